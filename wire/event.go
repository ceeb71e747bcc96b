package wire

import (
	"encoding/binary"
	"fmt"
)

// EventKind is the first byte of an event.
type EventKind uint8

// The kinds of events. Those that Dash knows have Dash's numbers.
const (
	KindRegister      EventKind = 1 // ProRegTx
	KindUpdateService EventKind = 2 // ProUpServTx
	KindRevoke        EventKind = 4 // ProUpRevTx
	KindContribute    EventKind = 16
	KindExit          EventKind = 17
)

func (k EventKind) String() string {
	switch k {
	case KindRegister:
		return "register"
	case KindUpdateService:
		return "update-service"
	case KindRevoke:
		return "revoke"
	case KindContribute:
		return "contribute"
	case KindExit:
		return "exit"
	default:
		return fmt.Sprintf("kind-%d", uint8(k))
	}
}

// MaxEventSize is the most bytes of one encoded event.
const MaxEventSize = 1152

// Event is what somebody asks a block to change in the registry. It carries
// the network and a sequence number, last accepted event of its record + 1, so
// that no event can be replayed elsewhere or later.
//
// Every event begins with
//
//	size  field
//	   1  kind
//	  32  Network   hash of the genesis
//	  32  record whose sequence number it carries: a ProTxHash or a StakerKey
//	   8  Sequence
type Event interface {
	Kind() EventKind
	// Head is the network and the sequence number.
	Head() EventHead
	// Record names whose sequence number the event carries: the hash of a
	// service node, or the bytes of a staker's key.
	Record() Hash
	// SignHash is what the event's signers sign.
	SignHash() Hash
	// Bytes is the one encoding of the event.
	Bytes() []byte
}

// EventHead binds an event to one network and one place in its record's history.
type EventHead struct {
	Network  Hash
	Sequence uint64
}

// Head returns h: events embed it.
func (h EventHead) Head() EventHead { return h }

const eventTag = "proctor/event/1"

func appendEventHead(k EventKind, h EventHead, record Hash) []byte {
	b := append([]byte{byte(k)}, h.Network[:]...)
	b = append(b, record[:]...)
	return binary.BigEndian.AppendUint64(b, h.Sequence)
}

func eventHash(body []byte) Hash { return DoubleHash([]byte(eventTag), body) }

// ParseEvent decodes b, which must hold one event and nothing after it.
func ParseEvent(b []byte) (Event, error) {
	if len(b) > MaxEventSize {
		return nil, fmt.Errorf("event of %d bytes, at most %d: %w", len(b), MaxEventSize, ErrSize)
	}
	r := &reader{rest: b}
	kind := EventKind(r.uint8())
	h := EventHead{Network: r.hash()}
	record := r.hash()
	h.Sequence = r.uint64()
	var e Event
	switch kind {
	case KindRegister:
		e = readRegister(r, h, record)
	case KindUpdateService:
		e = readUpdateService(r, h, record)
	case KindRevoke:
		e = readRevoke(r, h, record)
	case KindContribute:
		e = readContribute(r, h, record)
	case KindExit:
		e = readExit(r, h, record)
	default:
		if r.err == nil {
			r.err = fmt.Errorf("kind %d is unknown: %w", uint8(kind), ErrValue)
		}
	}
	if err := r.end("event"); err != nil {
		return nil, err
	}
	return e, nil
}
