package engine

import (
	"bytes"
	"maps"
	"reflect"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// forkNodes is the size of the networks whose branches are told apart here:
// six of eight authorities make a block final, and each branch has four.
const forkNodes = 8

// turns returns the next slot above the tip's that belongs to one of the
// authorities from first on, four of them.
func (a *author) turn(first uint64) uint64 {
	slot := a.tip.Slot + 1
	for slot%forkNodes < first || slot%forkNodes >= first+4 {
		slot++
	}
	return slot
}

// grow makes n blocks by four authorities from first on. content says what
// the block at a height carries; nil for nothing.
func (a *author) grow(n int, first uint64, content func(height int32) wire.Content) (blocks []wire.Block) {
	for range n {
		var c wire.Content
		if content != nil {
			c = content(a.tip.Height + 1)
		}
		blocks = append(blocks, a.nextOf(a.turn(first), c))
	}
	return blocks
}

// busy carries an update every third block and, as soon as it may, a
// certificate of the draw at the author's tip against a node.
func (a *author) busy(updates, target int) func(int32) wire.Content {
	draw := a.draw()
	return func(height int32) (c wire.Content) {
		if height%3 == 0 {
			known, _ := a.state.Node(proTx(updates))
			c.Events = []wire.Event{a.update(updates, known.Sequence+1, "/ip4/1.2.3.4/tcp/"+string(rune('1'+height%9)))}
		}
		if height == draw.Height+13 {
			c.Certificates = []wire.Certificate{a.certificate(draw, target, wire.FailsUptime, 0)}
		}
		return c
	}
}

// offer feeds blocks of any branch: each is good, wherever it leads.
func (r rig) offer(from Peer, blocks ...wire.Block) (all []*Effects) {
	r.t.Helper()
	for _, b := range blocks {
		v, out := r.feed(Block{from, b})
		if !v.OK() {
			r.t.Fatalf("block %d in slot %d: %s", b.Header.Height, b.Header.Slot, v.Reason)
		}
		all = append(all, out)
	}
	return all
}

// better returns the author whose branch wins.
func better(a, b *author) *author {
	switch {
	case a.tip.Height > b.tip.Height:
		return a
	case a.tip.Height < b.tip.Height:
		return b
	case bytes.Compare(a.tip.Hash[:], b.tip.Hash[:]) < 0:
		return a
	default:
		return b
	}
}

// lowerHash reports whether b, which needs no signature yet, wins a tie
// against a tip.
func lowerHash(b wire.Block, tip chain.Tip) bool {
	hash := b.Header.Hash()
	return bytes.Compare(hash[:], tip.Hash[:]) < 0
}

// wantTip compares where an engine stands.
func (r rig) wantTip(what string, a *author) {
	r.t.Helper()
	if s := r.Snapshot(); s.Tip != a.tip || s.State.Root() != a.state.Root() {
		r.t.Errorf("%s: tip %d in slot %d, root %s; want %d in %d, %s", what,
			s.Tip.Height, s.Tip.Slot, s.State.Root().Short(), a.tip.Height, a.tip.Slot, a.state.Root().Short())
	}
}

// sameAgreed compares what follows from the blocks alone: also what is stored
// of it, and the clearing heights of flags.
func sameAgreed(t interface {
	Helper()
	Errorf(string, ...any)
}, got, want rig) {
	t.Helper()
	g, w := got.Snapshot(), want.Snapshot()
	if g.Tip != w.Tip || g.State.Root() != w.State.Root() {
		t.Errorf("tip %d, root %s; want %d, %s", g.Tip.Height, g.State.Root().Short(), w.Tip.Height, w.State.Root().Short())
	}
	sameBranch(t, g.Branch, w.Branch)
	cleared := func(f Flags) map[wire.Hash]int32 {
		m := make(map[wire.Hash]int32)
		for proTx, flag := range f.All() {
			if flag.ClearedHeight >= 0 {
				m[proTx] = flag.ClearedHeight
			}
		}
		return m
	}
	if g, w := cleared(g.Flags), cleared(w.Flags); !maps.Equal(g, w) {
		t.Errorf("flags cleared at %v, want %v", g, w)
	}
	for _, k := range []Kind{KindNode, KindStaker, KindTombstone, KindBlock, KindDecision} {
		if !reflect.DeepEqual(nonEmpty(got.disk[k]), nonEmpty(want.disk[k])) {
			t.Errorf("%d records of kind %d are stored, want these %d", len(got.disk[k]), k, len(want.disk[k]))
		}
	}
}

func nonEmpty(m map[string][]byte) map[string][]byte {
	if m == nil {
		return map[string][]byte{}
	}
	return m
}

// sameBranch compares the heights that both know; one may know more.
func sameBranch(t interface {
	Helper()
	Errorf(string, ...any)
}, got, want Branch) {
	t.Helper()
	for h := max(got[0].Tip.Height, want[0].Tip.Height); h <= want.last().Tip.Height; h++ {
		g, w := got.At(h), want.At(h)
		if g == nil || g.Tip != w.Tip || g.State.Root() != w.State.Root() || !reflect.DeepEqual(g.Draw, w.Draw) || !reflect.DeepEqual(g.Block.Bytes(), w.Block.Bytes()) {
			t.Errorf("the branches differ at height %d", h)
			return
		}
	}
}
