package engine

import "testing"

// An author whose block was undone makes none for a turn, also after a
// restart: in that time it would help to make two branches final.
func TestProduce_SilentForATurnAfterOwnBlockWasUndone(t *testing.T) {
	for _, restart := range []bool{false, true} {
		n := networkOf("spec", forkNodes)
		a := n.author()
		r := stored(t, n, alice)
		trunk := a.grow(4, 4, nil) // by others
		r.at(a.tip.Slot)
		r.offer("p", trunk...)
		if !makesBlock(r, a.tip.Slot+1, forkNodes) {
			t.Fatal("no block in alice's slot")
		}
		bs := a.grow(2, 4, nil) // by those who did not hear of it
		r.at(a.tip.Slot)
		r.offer("p", bs...)
		r.wantTip("the longer branch", a)
		if restart {
			r = r.again(alice)
		}
		if makesBlock(r, a.tip.Slot+1, forkNodes) {
			t.Errorf("restarted %t: a block in the turn after its own was undone", restart)
		}
		if !makesBlock(r, a.tip.Slot+1+forkNodes, forkNodes) {
			t.Errorf("restarted %t: no block in the turn after that", restart)
		}
	}
}

// makesBlock reports whether r makes a block in one of count slots.
func makesBlock(r rig, from, count uint64) bool {
	for slot := from; slot < from+count; slot++ {
		for _, p := range r.at(slot).Publications {
			if p.Topic == TopicBlock {
				return true
			}
		}
	}
	return false
}
