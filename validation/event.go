package validation

import (
	"bytes"

	"github.com/proctornet/proctor/wire"
)

// EventView is what an event is judged by: the state after the tip, and the
// pool of events that wait for a block.
type EventView interface {
	// Synced reports whether the tip is the network's as far as we can tell.
	Synced() bool
	// Network is the hash of the genesis.
	Network() wire.Hash
	// NextSequence is the number that the next event of e's record must carry:
	// that of a node or, by its kind, of a staker. An unknown record has 1.
	NextSequence(e wire.Event) uint64
	// Stands reports whether e could stand in the next block, its signatures
	// and its sequence number aside.
	Stands(e wire.Event) bool
	// Waiting is the event in the pool that has e's record.
	Waiting(e wire.Event) (wire.Event, bool)
	// PoolFull reports whether as many events wait as may.
	PoolFull() bool
}

// eventRules are cheap ones. Whoever passes an event on may have another tip,
// so only what no tip changes is charged. An event that is replaced or has no
// room would otherwise be valid: our own operator's may take the place.
var eventRules = []rule[wire.Event, EventView]{ofNetwork, eventHeld, synced[wire.Event, EventView], sequence, stands, waiting, room}

// Event judges all of e but its signatures: the rules in order, the first that
// objects decides.
func Event(e wire.Event, v EventView) Verdict { return firstObjection(eventRules, e, v).Verdict() }

// EventChecked is the verdict on an event that passed Event, by whether all
// have signed whom it needs. Their keys stand in the event or, for good, in
// the registry, so everybody sees the same.
func EventChecked(signed bool) Verdict {
	if !signed {
		return EventSignature.Verdict()
	}
	return Valid.Verdict()
}

func ofNetwork(e wire.Event, v EventView) Reason {
	if e.Head().Network != v.Network() {
		return EventNetwork
	}
	return Valid
}

func eventHeld(e wire.Event, v EventView) Reason {
	if other, ok := v.Waiting(e); ok && bytes.Equal(other.Bytes(), e.Bytes()) {
		return Duplicate
	}
	return Valid
}

func sequence(e wire.Event, v EventView) Reason {
	if e.Head().Sequence != v.NextSequence(e) {
		return EventSequence
	}
	return Valid
}

func stands(e wire.Event, v EventView) Reason {
	if !v.Stands(e) {
		return EventRefused
	}
	return Valid
}

// waiting keeps the first event of a record: a block has one of each, and
// whoever signs for the record could otherwise make any number of them that
// the whole network must check and pass on.
func waiting(e wire.Event, v EventView) Reason {
	if _, ok := v.Waiting(e); ok {
		return EventWaiting
	}
	return Valid
}

func room(_ wire.Event, v EventView) Reason {
	if v.PoolFull() {
		return PoolFull
	}
	return Valid
}
