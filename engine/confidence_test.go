package engine

import (
	"fmt"
	"testing"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// wantDoubtful compares why our view is not settled.
func (r rig) wantDoubtful(when string, want Doubtful) {
	r.t.Helper()
	s := r.Snapshot()
	if s.Doubtful != want || s.Confident() != (want == Settled) {
		r.t.Errorf("%s: doubtful %q, confident %t; want %q", when, s.Doubtful, s.Confident(), want)
	}
}

func TestConfidence_FollowsTheTip(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.at(1)
	r.wantDoubtful("at the start, with a current tip", Settled)
	r.connect(a.blocks(5)...)
	r.wantDoubtful("following the chain", Settled)
	r.at(6)
	r.wantDoubtful("in the next slot, before its block", Settled)
	r.at(7)
	r.wantDoubtful("a block is overdue", TipOld)
	r.at(8)
	r.wantDoubtful("synced still", TipOld)
	r.at(9)
	r.wantDoubtful("too far behind the clock", NotSynced)
	r.want(Block{Block: a.next(9)}, validation.Valid)
	r.wantDoubtful("caught up, before any tick", JustSynced)
	r.at(10)
	r.want(Block{Block: a.next(10)}, validation.Valid)
	r.wantDoubtful("caught up", JustSynced)
	r.at(11)
	r.want(Block{Block: a.next(11)}, validation.Valid)
	r.wantDoubtful("a slot later", JustSynced)
	r.at(12)
	r.wantDoubtful("two slots after we caught up", Settled)
}

// A node that is 600 blocks behind charges nobody until a while after it has
// caught up, and at no moment between.
func TestConfidence_SixHundredBehind(t *testing.T) {
	const height = 600
	r := observer(t, "spec")
	a := r.author()
	all := a.blocks(height)
	r.at(height)
	r.feed(PeerTip{Peer: "p", Height: height})
	for i, b := range all {
		r.wantDoubtful(fmt.Sprintf("%d blocks behind", height-i), NotSynced)
		if i%100 == 0 {
			r.wantNoCharge("behind")
		}
		if b.Header.Height > height-params.SyncedWithin-1 {
			break
		}
		r.want(Block{Block: b}, validation.Valid)
	}
	r.feed(Fetched{Peer: "p", Blocks: all[:wire.MaxRangeBlocks]}) // what it was asked for, which we have by now
	r.feed(Fetched{Peer: "p", Blocks: all[height-params.SyncedWithin-1:]})
	if h := r.Snapshot().TipHeight(); h != height {
		t.Fatalf("tip %d, want %d", h, height)
	}
	r.wantDoubtful("at the moment of the last block", JustSynced)
	r.wantNoCharge("at the moment of the last block")
	for slot := uint64(height + 1); slot < height+3; slot++ {
		r.at(slot)
		r.wantDoubtful("caught up", JustSynced)
		r.wantNoCharge("caught up")
		r.want(Block{Block: a.next(slot)}, validation.Valid)
	}
	r.at(height + 3)
	r.wantDoubtful("settled", Settled)
}

// wantNoCharge feeds the verdicts of steps 2 to 5, which another moment's view
// may have given, and those of the engine's own view.
func (r rig) wantNoCharge(when string) {
	r.t.Helper()
	before := r.Snapshot()
	for i, reason := range ofView() {
		if _, out := r.feed(Judged{"honest", reason.Verdict(), wire.Hash{byte(i), 9}}); len(out.Charges)+len(out.Bans)+len(out.Writes) > 0 {
			r.t.Errorf("%s: %s has effects %+v", when, reason, out)
		}
	}
	for _, in := range []Ban{
		r.unsignedBan("honest", nodes, r.Snapshot().TipHeight()), r.unsignedBan("honest", rupert, 0), r.unsignedBan("honest", bob, -1),
	} {
		v, out := r.feed(in)
		if v.Reason != validation.Unsure && v.Reason != validation.NotSynced || len(out.Charges)+len(out.Writes) > 0 {
			r.t.Errorf("%s: verdict %+v, effects %+v", when, v, out)
		}
	}
	if after := r.Snapshot(); after.Accounts.Len() != before.Accounts.Len() || after.Refusals.Len() != before.Refusals.Len() {
		r.t.Errorf("%s: accounts or refusals have grown", when)
	}
}

func ofView() (all []validation.Reason) {
	for _, row := range validation.Table() {
		if row.Nature == validation.OfView {
			all = append(all, row.Reason)
		}
	}
	return all
}

func TestConfidence_BehindAServiceNode(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(5)...)
	r.at(6)
	r.feed(PeerTip{Peer: "observer", Height: 6, Observer: true}) // identities of observers are free
	r.wantDoubtful("an observer claims more", Settled)
	r.feed(PeerTip{Peer: "equal", Height: 5})
	r.wantDoubtful("a service node claims our tip", Settled)
	r.feed(PeerTip{Peer: "ahead", Height: 6})
	r.wantDoubtful("a service node claims more", Behind)
	r.wantNoCharge("a block behind")
	r.want(Block{Block: a.next(6)}, validation.Valid)
	r.wantDoubtful("its block came", Settled)
	r.at(7)
	r.feed(PeerTip{Peer: "ahead", Height: 7})
	r.wantDoubtful("it claims more again", Behind)
	r.feed(PeerGone{"ahead"})
	r.wantDoubtful("it has gone", Settled)
	r.feed(PeerTip{Peer: "liar", Height: 7})
	r.feed(Fetched{Peer: "observer"}) // who was asked first
	r.feed(Fetched{Peer: "liar"})
	r.wantDoubtful("it had nothing", Settled)
}

func TestConfidence_SecondBranchAtTheTip(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int // height of the block of the other branch
		is   validation.Reason
		want Doubtful
	}{
		{"beside the tip", 10, validation.Valid, BranchNear},
		{"beside its parent", 9, validation.Valid, BranchNear},
		{"beside what is final", 8, validation.BlockDeep, Settled},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := observer(t, "spec")
			a, b := r.author(), r.author()
			r.connect(a.blocks(10)...)
			r.at(11)
			b.blocks(c.at - 1)
			side := b.draft(11)
			for i := 0; side.Header.Height == a.tip.Height && lowerHash(side, a.tip); i++ { // it does not win the tie
				side = b.draft(11, r.update(bob, 1, fmt.Sprintf("/ip4/1.2.3.4/tcp/%d", i)))
			}
			r.want(Block{"p", side}, c.is)
			r.wantDoubtful("a second branch was seen", c.want)
			if c.want == Settled {
				return
			}
			r.wantNoCharge("a second branch was seen")
			r.connect(a.blocks(params.SteadyBlocks)...)
			r.wantDoubtful("as many blocks later as leave doubt", c.want)
			r.want(Block{"q", side}, validation.Duplicate) // known: it contests nothing again
			r.connect(a.blocks(1)...)
			r.wantDoubtful("one more", Settled)
		})
	}
}

// Several reasons at once: the one that says the most is given.
func TestConfidence_SelfDoubt(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(3)...)
	for _, p := range []Peer{"x", "y", "z"} {
		r.feed(Judged{p, validation.RegularNode.Verdict(), wire.Hash{p[0]}})
	}
	r.wantDoubtful("three peers contradict us", SelfDoubting)
	r.wantNoCharge("in doubt")
	r.at(9)
	r.wantDoubtful("and we are not synced", NotSynced)
}

// Whatever the view, what follows from the message or its signature is charged.
func TestConfidence_ForgeriesAreChargedAnyway(t *testing.T) {
	for _, slot := range []uint64{1, 2, 50} { // settled, old, not synced
		for _, reason := range []validation.Reason{validation.Signature, validation.SignatureEncoding, validation.Malformed, validation.ForgedTwin} {
			r := observer(t, "spec")
			r.at(slot)
			if _, out := r.feed(Judged{"forger", reason.Verdict(), wire.Hash{1}}); len(out.Bans) != 1 {
				t.Errorf("slot %d, doubtful %q: %s has effects %+v, want a ban", slot, r.Snapshot().Doubtful, reason, out)
			}
		}
	}
}

// One block behind: a ban of a node that the next block registers, or signed
// at its height, is not held against anybody.
func TestConfidence_OneBlockBehind(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(9)...)
	r.at(11) // the block of slot 10 was missed
	r.wantNoCharge("a block is overdue")
	ahead := r.unsignedBan("honest", alice, 10)
	r.want(ahead, validation.Ahead)
	r.feed(Defer{inventory.Deferred{From: "honest", Ban: ahead.Message, Why: inventory.Ahead}})
	if out := r.at(11); len(out.Due) > 0 {
		t.Errorf("due %v before the block", out.Due)
	}
	r.want(Block{Block: a.next(10)}, validation.Valid)
	r.want(Block{Block: a.next(11)}, validation.Valid)
	out := r.at(11)
	if len(out.Due) != 1 || out.Due[0].From != "honest" {
		t.Fatalf("due %v, want the ban that was ahead", out.Due)
	}
	r.want(ahead, validation.Valid)
	if n := r.Snapshot().Accounts.Len(); n != 0 {
		t.Errorf("%d accounts, want none", n)
	}
}

// Before its first tick an engine knows no time, so it cannot know that its
// tip is the network's.
func TestEngine_NotSyncedBeforeTheFirstTick(t *testing.T) {
	stored, r := lived(t)
	e, _, err := Restore(r.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.Snapshot(); s.Synced() || s.Doubtful != NotSynced {
		t.Errorf("synced %t, doubtful %q before the first tick; want %q", s.Synced(), s.Doubtful, NotSynced)
	}
}
