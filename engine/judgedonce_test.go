package engine

import "testing"

// A tester answers about a draw once, also when a branch that is shorter but
// final takes us back to where that draw is young enough again.
func TestDuty_NoDrawIsJudgedTwice(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	judged := make(map[string]bool)
	take := func(out *Effects) {
		for _, w := range out.Writes {
			if w.Kind != KindJudged || w.Value == nil {
				continue
			}
			if judged[string(w.Key)] {
				t.Errorf("the draw at %d is judged again at tip %d", heightOf(w.Key[:4]), r.tree.Tip().Height)
			}
			judged[string(w.Key)] = true
		}
	}
	for range 100 {
		b := a.draft(a.tip.Slot + 1)
		if b.Header.Slot%forkNodes == alice {
			b = a.draft(a.tip.Slot + 2)
		}
		a.nextOf(b.Header.Slot, b.Content)
		take(r.at(b.Header.Slot))
		_, out := r.feed(Block{"p", b})
		take(out)
	}
	b := a.fork()
	as := a.grow(12, 4, nil)
	var last uint64
	for _, b := range as {
		last = b.Header.Slot
		take(r.at(last))
		_, out := r.feed(Block{"p", b})
		take(out)
	}
	high := r.tree.Tip().Height
	for b.tip.Height < 107 { // by all but alice
		slot := b.tip.Slot + 1
		if slot%forkNodes == alice {
			slot++
		}
		_, out := r.feed(Block{"q", b.nextOf(slot, as[0].Content)})
		take(out)
	}
	if r.tree.Tip().Height >= high {
		t.Fatalf("tip %d was %d: nothing became final", r.tree.Tip().Height, high)
	}
	for range 4 {
		take(r.at(last))
		last++
	}
	if len(judged) < 20 {
		t.Errorf("%d draws judged", len(judged))
	}
}
