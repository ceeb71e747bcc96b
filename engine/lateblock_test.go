package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// One author in four that signs two blocks of a slot, of which it holds one
// back, makes two blocks final in conflict after a single natural fork. All
// nodes must notice and stop: none may go on as if nothing was (decision 019
// says why one round of signatures does not prevent it).
func TestFork_OneByzantineAuthorOfFour(t *testing.T) {
	for hour := 0; !oneByzantine(t, hour); hour++ {
	}
}

// oneByzantine plays it on a network that began at that hour. It is false if
// with its hashes the other block wins the natural fork.
func oneByzantine(t *testing.T, hour int) bool {
	n := fourAuthors(hour)
	a := n.author()
	nodes := make(map[int]rig)
	for _, i := range []int{1, 2, 3} {
		nodes[i] = stored(t, n, i)
	}
	ticked := func(slot uint64) (made *wire.Block) {
		for _, r := range nodes {
			for _, p := range r.at(slot).Publications {
				if p.Topic == TopicBlock {
					b := must(wire.ParseBlock(p.Bytes))
					made = &b
				}
			}
		}
		return made
	}
	fatal := 0
	hear := func(b wire.Block, who ...int) {
		for _, i := range who {
			if _, out := nodes[i].feed(Block{"p", b}); errors.Is(out.Fatal, chain.ErrConflict) {
				fatal++
			}
		}
	}
	for _, r := range nodes {
		for i := range 4 {
			r.feed(PeerTip{Peer: Peer(rune('a' + i)), Height: 0})
		}
	}
	// Slots 4k+1..: everybody works for a while.
	for slot := uint64(1); slot <= 8; slot++ {
		if b := ticked(slot); b != nil {
			hear(*b, 1, 2, 3)
			a.state, a.tip = nodes[1].state, nodes[1].tree.Tip()
		} else {
			hear(a.next(slot), 1, 2, 3)
		}
	}
	first, second := a.fork(), a.fork()
	follow := func(w *author, b wire.Block) {
		s, _, err := w.state.Apply(b)
		if err != nil {
			t.Fatal(err)
		}
		w.state, w.tip = s, chain.Tip{Height: b.Header.Height, Slot: b.Header.Slot, Hash: b.Header.Hash()}
	}
	// Slot 9: node 1 makes A. It is late at node 2, which makes B in slot 10.
	A := ticked(9)
	hear(*A, 3)
	B := ticked(10)
	hear(*B, 1, 3)
	hear(*A, 2)
	follow(first, *A)
	follow(second, *B)
	if better(first, second) != first {
		return false
	}
	C := ticked(11) // node 3, on A
	hear(*C, 1, 2)
	follow(first, *C)
	// Slot 12: the author of two blocks. One on C is held back; one on B has a lower hash than C.
	held := first.draft(12)
	var shown wire.Block
	for i := 0; ; i++ {
		known, _ := second.state.Node(proTx(0))
		shown = second.draft(12, n.update(0, known.Sequence+1, "/ip4/1.2.3.4/tcp/"+string(rune('1'+i%9))+string(rune('0'+i/9%10))+string(rune('0'+i/90))))
		if h, c := shown.Header.Hash(), C.Header.Hash(); string(h[:]) < string(c[:]) {
			break
		}
	}
	ticked(12)
	hear(shown, 1, 2, 3)
	follow(second, shown)
	for i, r := range nodes {
		if r.tree.Tip().Hash != second.tip.Hash {
			t.Fatalf("node %d did not go over", i)
		}
	}
	for slot := uint64(13); slot < 26; slot++ {
		if b := ticked(slot); b != nil {
			hear(*b, 1, 2, 3)
		}
	}
	hear(held, 1, 2, 3)
	if fatal != 3 {
		t.Errorf("%d of 3 nodes stop before two final blocks in conflict", fatal)
	}
	return true
}

// fourAuthors is a network whose first four nodes make the blocks.
func fourAuthors(hour int) *network {
	n := *networkOf("spec", forkNodes)
	n.genesis.Authorities = n.genesis.Authorities[:4]
	n.genesis.Time = n.genesis.Time.Add(time.Duration(hour) * time.Hour)
	n.service = n.service[:4] // sign takes the key of the slot
	n.begin = must(state.Genesis(n.genesis))
	return &n
}
