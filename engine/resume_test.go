package engine

import (
	"bytes"
	"cmp"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// sameKnowledge compares what two engines hold and would store.
func sameKnowledge(t interface {
	Helper()
	Errorf(string, ...any)
}, got, want *Engine) {
	t.Helper()
	g, w := got.Snapshot(), want.Snapshot()
	if g.Tip != w.Tip || g.State.Root() != w.State.Root() {
		t.Errorf("tip %+v, root %s; want %+v, %s", g.Tip, g.State.Root(), w.Tip, w.State.Root())
	}
	if !maps.Equal(maps.Collect(g.Flags.All()), maps.Collect(w.Flags.All())) {
		t.Errorf("flags differ: %d, want %d", g.Flags.Len(), w.Flags.Len())
	}
	if !maps.Equal(maps.Collect(g.Accepted.All()), maps.Collect(w.Accepted.All())) {
		t.Errorf("accepted bans differ: %d, want %d", g.Accepted.Len(), w.Accepted.Len())
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"refusals", maps.Collect(g.Refusals.All()), maps.Collect(w.Refusals.All())},
		{"accounts", maps.Collect(g.Accounts.All()), maps.Collect(w.Accounts.All())},
		{"peer bans", maps.Collect(g.PeerBans.All()), maps.Collect(w.PeerBans.All())},
		{"contacts", got.contacts.reached, want.contacts.reached},
		{"farewells", maps.Collect(g.Farewells.All()), maps.Collect(w.Farewells.All())},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s differ: %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

// drawBatch draws the inputs of one batch. The clock moves a's network on;
// deferrals are drawn only where both engines hear of them.
func drawBatch(t *rapid.T, a *author, now *time.Time, pause time.Duration, deferrals bool) (inputs []Input) {
	if pause == 0 {
		// About a slot, so that our view settles between two longer ones.
		pause = time.Duration(rapid.SampledFrom([]int{0, 400, 900, 1000, 1000, 1100}).Draw(t, "pause")) * time.Millisecond
		if rapid.IntRange(0, 15).Draw(t, "long") == 15 {
			pause = time.Duration(rapid.Int64Range(0, int64(40*time.Minute)).Draw(t, "long pause"))
		}
	}
	*now = now.Add(pause)
	inputs = append(inputs, Tick{*now})
	slot := a.genesis.SlotAt(*now)
	if slot > a.tip.Slot && rapid.IntRange(0, 9).Draw(t, "no block") < 9 {
		inputs = append(inputs, Block{rapid.SampledFrom(peersOfBatch).Draw(t, "peer"), a.next(slot)})
	}
	for range rapid.IntRange(0, 5).Draw(t, "inputs") {
		inputs = append(inputs, drawInput(t, a, slot, deferrals))
	}
	return inputs
}

var peersOfBatch = []Peer{"", "p", "q", "r"}

// drawInput draws what can happen between two ticks. Only p and q contradict
// our view: a third would make us doubt ourselves, which no record keeps.
func drawInput(t *rapid.T, a *author, slot uint64, deferrals bool) Input {
	p := rapid.SampledFrom(peersOfBatch).Draw(t, "peer")
	critic := rapid.SampledFrom([]Peer{"", "p", "q"}).Draw(t, "critic")
	height := a.tip.Height - rapid.Int32Range(-2, 6).Draw(t, "age")
	node := rapid.IntRange(0, nodes).Draw(t, "node")
	last := 10
	if deferrals {
		last = 12
	}
	switch rapid.IntRange(0, last).Draw(t, "input") {
	case 0:
		if known, ok := a.state.Node(proTx(node)); ok && slot > a.tip.Slot {
			return Block{p, a.next(slot, a.update(node, known.Sequence+1, "/ip4/1.2.3.4/tcp/1"))}
		}
	case 1:
		return Reached{p, []string{rapid.SampledFrom([]string{"/ip4/1.2.3.4/tcp/1", "/dns4/a/tcp/2", ""}).Draw(t, "address")}}
	case 2:
		return Farewell{Peer: p, Code: byte(node), Reason: rapid.SampledFrom([]validation.Reason{"", validation.Signature, "gossip"}).Draw(t, "reason")}
	case 3:
		return BanPeer{p, time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "for"))}
	case 4:
		return UnbanPeer{p}
	case 5, 6:
		return a.unsignedBan(critic, node, height)
	case 7:
		v := rapid.SampledFrom([]validation.Verdict{small, medium, medium, medium, validation.UnknownQuorum.Verdict()}).Draw(t, "verdict")
		return Judged{critic, v, wire.Hash{byte(node), byte(height)}}
	case 8, 9:
		v := rapid.SampledFrom([]validation.Verdict{ten, ten, ten, large, validation.Signature.Verdict()}).Draw(t, "verdict")
		return Judged{p, v, wire.Hash{byte(node), byte(height), 1}}
	case 11, 12:
		why := rapid.SampledFrom([]inventory.Why{inventory.Unsynced, inventory.Unsure, inventory.Ahead, inventory.Busy}).Draw(t, "why")
		return Defer{inventory.Deferred{From: string(p), Ban: a.unsignedBan(p, node, height).Message, Why: why}}
	}
	return PeerTip{Peer: cmp.Or(p, "s"), Height: a.tip.Height}
}

// step feeds a batch and returns its effects in a form that can be compared:
// records that are deleted together have no order.
func step(e *Engine, inputs []Input) Effects {
	var out Effects
	for i, in := range inputs {
		e.Step(in, Ticket(i+1), &out)
	}
	slices.SortStableFunc(out.Writes, func(a, b Write) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Key, b.Key))
	})
	return out
}

// Whatever happened, and after whichever batch the process ended: the engine
// that comes back from the records knows the same and goes on in the same way.
//
// Not kept on purpose, as all of it is of the moment: what peers claim (the
// connections are new), the bans that wait (peers have them still), and how
// sure we are of our view. So the claims end at the cut; bans are deferred
// behind it only; too few peers contradict us for self-doubt; and behind the
// cut comes a pause, after which both must catch up with the network first,
// so that neither is surer than the other. From there on everything counts.
func TestRestore_GoesOnAsIfItHadNeverStopped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := testNetwork(rapid.SampledFrom([]string{"spec", "core"}).Draw(t, "profile"))
		e, out, err := n.start(n.configOf(-1))
		if err != nil {
			t.Fatal(err)
		}
		stored := make(records)
		stored.apply(out.Writes)
		a, now := n.author(), n.genesis.Time.Add(time.Second)
		for range rapid.IntRange(0, 12).Draw(t, "batches before the cut") {
			effects := step(e, drawBatch(t, a, &now, 0, false))
			stored.apply(effects.Writes)
		}
		restored, first, err := Restore(n.configOf(-1), stored.clone())
		if err != nil {
			t.Fatal(err)
		}
		sameKnowledge(t, restored, e)
		if len(first.Bans) != e.ledger.bans.Len() || len(first.Known) != len(e.contacts.reached) {
			t.Errorf("%d bans to enforce, %d contacts; want %d, %d", len(first.Bans), len(first.Known), e.ledger.bans.Len(), len(e.contacts.reached))
		}
		for _, p := range []Peer{"p", "q", "r", "s"} {
			e.Step(PeerGone{p}, 0, new(Effects))
		}
		// At its end both tidy their ledgers, and neither is synced.
		pause := expireEvery + time.Duration(rapid.Int64Range(int64(time.Second), int64(40*time.Minute)).Draw(t, "pause at the cut"))
		for i := range rapid.IntRange(1, 14).Draw(t, "batches after the cut") {
			batch := drawBatch(t, a, &now, pause, true)
			pause = 0
			want, got := step(e, batch), step(restored, batch)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("batch %d after the cut: effects\n%+v, without it\n%+v", i, got, want)
			}
			sameKnowledge(t, restored, e)
		}
	})
}
