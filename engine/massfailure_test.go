package engine

import (
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// massFailure is an observer that holds enough votes against many nodes, and the
// author of its branch.
func massFailure(t testing.TB) (rig, *author) {
	n := networkOf("spec", 60)
	a := n.author()
	r := stored(t, n, -1)
	r.connect(a.blocks(15)...)
	d := a.draw()
	r.connect(a.blocks(12)...)
	for _, x := range d.Targets() {
		b := wire.Ballot{Height: d.Height, BlockHash: d.Hash, ProTxHash: x, Answer: wire.FailsUptime}
		for _, v := range d.Voters(x)[:7] {
			r.keepVote(n.vote(n.nodeOf(v), b), new(Effects))
		}
	}
	return r, a
}

// In a mass failure a block carries as many certificates as the brake lets
// through, and the others of them wait.
func TestAssemble_MassFailure(t *testing.T) {
	r, a := massFailure(t)
	c := r.assemble(a.tip.Height + 1)
	if len(c.Certificates) != 2 {
		t.Fatalf("%d certificates, want 2", len(c.Certificates))
	}
	b := a.nextOf(a.tip.Slot+1, c)
	r.at(b.Header.Slot)
	r.want(Block{"p", b}, validation.Valid)
}

func BenchmarkAssemble_MassFailure(b *testing.B) {
	r, a := massFailure(b)
	for b.Loop() {
		r.assemble(a.tip.Height + 1)
	}
}
