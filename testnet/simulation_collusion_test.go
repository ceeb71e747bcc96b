package testnet

import (
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// accuse lets members say that another fails, on the newest draw that may be
// voted on and, so that no chance is missed, on the one before.
func (w *world) accuse(members []int, x int) {
	w.t.Helper()
	view := w.view()
	for age := int32(params.VoteDelay); age <= params.VoteDelay+1; age++ {
		l := view.Branch.At(view.Tip.Height - age)
		if l == nil {
			continue
		}
		b := wire.Ballot{Height: l.Tip.Height, BlockHash: l.Tip.Hash, ProTxHash: w.Members[x].ProTxHash, Answer: wire.FailsUptime}
		for _, i := range members {
			w.liars[w.Members[i].ProTxHash] = true
			v := w.Vote(w.Members[i], b, wire.Evidence{First: b.Height - 100, Second: -1})
			if err := w.Inject(i, engine.Publication{Topic: engine.TopicVote, Bytes: v.Bytes()}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// Six liars among the nine testers of a healthy node are one too few: block
// after block they vote, and no certificate comes of it.
func TestSimulation_FewerThanTheThresholdDoNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Nodes: 10, Regular: 4, Seed: 21}, Link{})
	w.atBlock = func(l *engine.Link) {
		if len(l.Block.Certificates) > 0 {
			t.Errorf("block %d carries a certificate", l.Tip.Height)
		}
	}
	w.run(40)
	liars, held := []int{1, 2, 3, 4, 5, 6}, 0
	for range 80 {
		w.accuse(liars, 9)
		held = max(held, w.view().Votes.Len())
		w.run(1)
	}
	if held < 6*(params.CertificateLast-params.CertificateFirst) {
		t.Errorf("member 0 held %d votes at most: the lies were not heard", held)
	}
	w.untouched()
	w.counts(10, 0)
}

// Seven of nine make a certificate. It takes a healthy node out of service,
// and that is all they can do while the node has credit; when they stop it
// comes back.
func TestSimulation_SevenColludersCannotDeregister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Nodes: 10, Regular: 4, Seed: 22}, Link{})
	w.run(100)
	liars, x := []int{1, 2, 3, 4, 5, 6, 7}, 9
	for _, i := range liars {
		w.dumb[i] = true // they keep the truth to themselves
	}
	slot := w.Slot
	w.until("the decommission", 30, func() bool { w.accuse(liars, x); return w.is(x, state.Decommissioned) })
	if took := w.Slot - slot; took > 4 { // one author in four is honest and hears all of them
		t.Errorf("the decommission took %d blocks", took)
	}
	down := w.node(x)
	credit := down.Credit(down.DecommissionedHeight, w.view().State.Rules())
	if credit < params.SuperMajorityOf10 || down.Cause != wire.FailsUptime {
		t.Fatalf("decommissioned with a credit of %d for %s", credit, down.Cause)
	}
	for w.tip() < down.DecommissionedHeight+credit-2 {
		w.accuse(liars, x)
		w.run(1)
		if !w.is(x, state.Decommissioned) {
			t.Fatalf("block %d: with %d blocks of credit the node is %+v", w.tip(), credit, w.transitions(x))
		}
	}
	clear(w.dumb)
	w.until("the recommission", 5, func() bool { return w.is(x, state.Active) })
	w.run(20)
	w.counts(10, 0)
}
