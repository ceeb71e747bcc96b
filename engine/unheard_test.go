package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func sentOn(out *Effects, topic Topic) (n int) {
	for _, p := range out.Publications {
		if p.Topic == topic {
			n++
		}
	}
	return n
}

// Blocks that come several at once, as those of a branch that wins do, leave
// none of the hashes out that were due at them.
func TestDuty_HashesOfBlocksThatComeTogether(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	r.connect(a.grow(14, 4, nil)...)
	b := a.fork()
	as, bs := a.grow(4, 5, nil), b.grow(5, 1, nil)
	r.connect(as...)
	r.at(max(a.tip.Slot, b.tip.Slot))
	hashes := 0
	for _, b := range bs {
		_, out := r.feed(Block{"q", b})
		hashes += sentOn(out, TopicCheckpoint)
	}
	r.wantTip("the longer branch", b)
	if hashes != 1 {
		t.Errorf("%d hashes published, want that of block 16", hashes)
	}
}

// Who is not synced owes nothing: what it knows is old.
func TestDuty_NoneWhileNotSynced(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	blocks := a.grow(30, 4, nil)
	r.at(a.tip.Slot + 100)
	r.feed(PeerTip{Peer: "p", Height: a.tip.Height + 20})
	for _, b := range blocks {
		if _, out := r.feed(Block{"p", b}); len(out.Publications) > 0 {
			t.Fatalf("%d publications at height %d", len(out.Publications), b.Header.Height)
		}
	}
}

// What was heard of a node that left goes once nobody can undo its leaving.
func TestProof_ForgottenWithItsNode(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, -1)
	r.connect(a.blocks(3)...)
	const leaver = forkNodes - 1 // which awaits its stake
	r.want(n.proof(leaver, 1, a.tip), validation.Valid)
	r.connect(a.next(a.tip.Slot+1, n.exit(leaver, 1)))
	r.connect(a.blocks(2)...)
	if _, there := r.state.Node(proTx(leaver)); there || len(r.disk[KindProof]) != 1 {
		t.Fatalf("the node is there: %t; %d proofs", there, len(r.disk[KindProof]))
	}
	r.connect(a.blocks(keepLinks + 2)...)
	if _, heard := r.proofs.Get(proTx(leaver)); heard || len(r.disk[KindProof]) > 0 {
		t.Errorf("its proof is kept: %t, on disk %d", heard, len(r.disk[KindProof]))
	}
}

// Of a node that was heard since its testers did not hear it, an author has no
// accusation to carry.
func TestAssemble_LeavesOutWhatWasDisproved(t *testing.T) {
	n := networkOf("spec", forkNodes)
	for _, heard := range []bool{false, true} {
		a := n.author()
		r := stored(t, n, -1)
		r.connect(a.blocks(15)...)
		d := a.draw()
		r.connect(a.blocks(params.CertificateFirst)...)
		b := wire.Ballot{Height: d.Height, BlockHash: d.Hash, ProTxHash: proTx(bob), Answer: wire.FailsUptime}
		for _, v := range d.Voters(proTx(bob)) {
			r.keepVote(n.vote(n.nodeOf(v), b), new(Effects))
		}
		if heard {
			r.want(n.proof(bob, 1, a.tip), validation.Valid)
		}
		if c := r.assemble(a.tip.Height + 1); (len(c.Certificates) == 0) != heard {
			t.Errorf("heard %t: %d certificates", heard, len(c.Certificates))
		}
	}
}

// A proof whose seal was checked by another key than the node has is to come
// again.
func TestProof_OfAnotherKey(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, -1)
	r.connect(a.blocks(3)...)
	in := n.proof(bob, 1, a.tip)
	in.Key[0] ^= 1
	r.want(in, validation.Internal)
}
