package engine

import (
	"testing"

	"github.com/proctornet/proctor/validation"
)

// Whoever is on another branch passes a block on whose contents it has not
// looked into: those for whom it is the next one must not ban it for that.
func TestBlock_WhoPassesASideBlockOnIsNotCharged(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	as, bs := a.grow(3, 0, nil), b.grow(2, 4, nil)
	bad := b.draft(b.turn(4))
	bad.Header.StateRoot[0] ^= 1
	bad = n.sign(bad)
	onA, onB := stored(t, n, -1), stored(t, n, -1)
	for _, r := range []rig{onA, onB} {
		r.at(100)
		r.offer("p", trunk...)
	}
	onA.offer("p", as...)
	onA.offer("p", bs...)
	onB.offer("p", bs...)
	v, _ := onA.feed(Block{"author", bad})
	if v.Outcome != validation.Accept {
		t.Fatalf("on the other branch: %+v", v)
	}
	v, out := onB.feed(Block{"honest", bad})
	if v.Points > 0 || len(out.Bans) > 0 {
		t.Errorf("who passed it on: verdict %+v, bans %v", v, out.Bans)
	}
}
