package validation

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

var ourNetwork = wire.Hash{0xee}

// pool is an EventView; the zero value but for the network refuses everything.
type pool struct {
	synced, stands, full bool
	next                 uint64
	waiting              wire.Event
	log                  *[]string // what was asked, if somebody wants to know
}

func (p pool) note(question string) {
	if p.log != nil {
		*p.log = append(*p.log, question)
	}
}

func (p pool) Synced() bool                   { p.note("synced"); return p.synced }
func (p pool) Network() wire.Hash             { p.note("network"); return ourNetwork }
func (p pool) NextSequence(wire.Event) uint64 { p.note("sequence"); return p.next }
func (p pool) Stands(wire.Event) bool         { p.note("stands"); return p.stands }
func (p pool) PoolFull() bool                 { p.note("full"); return p.full }
func (p pool) Waiting(wire.Event) (wire.Event, bool) {
	p.note("waiting")
	return p.waiting, p.waiting != nil
}

func TestEvent_Rules(t *testing.T) {
	event := func(network wire.Hash, sequence uint64) wire.Event {
		return wire.UpdateService{EventHead: wire.EventHead{Network: network, Sequence: sequence}, Addresses: []string{"a"}}
	}
	good := event(ourNetwork, 5)
	ready := pool{synced: true, stands: true, next: 5}
	with := func(change func(*pool)) pool { p := ready; change(&p); return p }
	for _, c := range []struct {
		name string
		e    wire.Event
		view pool
		want Verdict
	}{
		{"valid", good, ready, Verdict{Accept, 0, Valid}},
		{"another network", event(wire.Hash{1}, 5), ready, Verdict{Reject, 100, EventNetwork}},
		{"another network, not synced", event(wire.Hash{1}, 5), pool{}, Verdict{Reject, 100, EventNetwork}},
		{"held already", good, with(func(p *pool) { p.waiting = good }), Verdict{Ignore, 0, Duplicate}},
		{"held already, not synced", good, pool{waiting: good}, Verdict{Ignore, 0, Duplicate}},
		{"not synced", good, with(func(p *pool) { p.synced = false }), Verdict{Ignore, 0, NotSynced}},
		{"replayed", event(ourNetwork, 4), ready, Verdict{Ignore, 0, EventSequence}},
		{"one too far", event(ourNetwork, 6), ready, Verdict{Ignore, 0, EventSequence}},
		{"could not stand", good, with(func(p *pool) { p.stands = false }), Verdict{Ignore, 0, EventRefused}},
		{"could not stand, another waits", good, with(func(p *pool) { p.stands, p.waiting = false, event(ourNetwork, 4) }), Verdict{Ignore, 0, EventRefused}},
		{"another of the record waits", good, with(func(p *pool) { p.waiting = wire.Revoke{EventHead: good.Head()} }), Verdict{Ignore, 0, EventWaiting}},
		{"another of the record waits in a full pool", good, with(func(p *pool) { p.waiting, p.full = event(ourNetwork, 4), true }), Verdict{Ignore, 0, EventWaiting}},
		{"no room", good, with(func(p *pool) { p.full = true }), Verdict{Ignore, 0, PoolFull}},
	} {
		if got := Event(c.e, c.view); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := EventChecked(true); !got.OK() {
		t.Errorf("signed: %+v", got)
	}
	if got := EventChecked(false); got != (Verdict{Reject, 100, EventSignature}) {
		t.Errorf("not signed: %+v", got)
	}
}

// Nothing is asked that is not needed: the state is only when the place in
// the record's history is right.
func TestEvent_AsksInOrder(t *testing.T) {
	var log []string
	e := wire.Exit{EventHead: wire.EventHead{Network: ourNetwork, Sequence: 1}}
	Event(e, pool{synced: true, stands: true, next: 1, log: &log})
	if want := []string{"network", "waiting", "synced", "sequence", "stands", "waiting", "full"}; !slices.Equal(log, want) {
		t.Errorf("asked %s, want %s", log, want)
	}
	log = nil
	Event(e, pool{synced: true, next: 2, log: &log})
	if want := []string{"network", "waiting", "synced", "sequence"}; !slices.Equal(log, want) {
		t.Errorf("asked %s for an old one, want %s", log, want)
	}
}
