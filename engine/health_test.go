package engine

import (
	"maps"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/wire"
)

// tester is alice's engine: bob was never heard of, rupert is decommissioned
// and heard like all others. So of each draw she has one to fail and one to
// pass.
type tester struct {
	rig
	*author
	hears []int // whose proofs reach her
}

const testerTip = 41

func newTester(t *testing.T, peers int, hears ...int) *tester {
	n := networkOf("core", forkNodes)
	v := &tester{rig: stored(t, n, alice), author: n.author(), hears: hears}
	v.rig.at(1)
	for i := range peers {
		v.meet(0, numbered(i))
	}
	var draw quorum.Draw
	for v.author.tip.Height < testerTip {
		var c wire.Content
		switch v.author.tip.Height {
		case 3:
			draw = v.draw()
		case 20:
			c.Certificates = []wire.Certificate{n.certificate(draw, rupert, wire.FailsUptime, 0)}
		}
		v.feedNext(v.soon(), c)
	}
	return v
}

// everybody is who is heard of by a healthy tester.
var everybody = []int{cleo, rupert, 4, 5, 6}

// soon is the next slot that is not alice's own.
func (v *tester) soon() uint64 {
	slot := v.author.tip.Slot + 1
	if slot%forkNodes == alice {
		slot++
	}
	return slot
}

// feedNext moves the clock to a slot and feeds a block of the slot that is
// next, and proofs.
func (v *tester) feedNext(clock uint64, c wire.Content) *Effects {
	v.rig.t.Helper()
	b := v.author.nextOf(v.soon(), c)
	v.rig.at(clock)
	verdict, out := v.feed(Block{"", b})
	if !verdict.OK() {
		v.rig.t.Fatalf("block %d: %s", b.Header.Height, verdict.Reason)
	}
	if b.Header.Height%4 == 0 {
		for _, i := range v.hears {
			v.feed(v.author.proof(i, uint64(b.Header.Height), v.author.tip))
		}
	}
	return out
}

func (v *tester) wantAnswers(what string, out *Effects, want map[wire.Answer]int) {
	v.rig.t.Helper()
	got := make(map[wire.Answer]int)
	for _, raw := range sent(out, TopicVote) {
		vote := must(wire.ParseVote(raw))
		got[vote.Answer]++
		if of := map[wire.Answer]int{wire.FailsUptime: bob, wire.Passes: rupert}[vote.Answer]; vote.ProTxHash != proTx(of) {
			v.rig.t.Errorf("%s: %s about node %d", what, vote.Answer, v.nodeOf(vote.ProTxHash))
		}
		if vote.Height != v.Snapshot().Tip.Height-params.VoteDelay {
			v.rig.t.Errorf("%s: vote on the draw of %d at %d", what, vote.Height, v.Snapshot().Tip.Height)
		}
	}
	if !maps.Equal(got, want) {
		v.rig.t.Errorf("%s: answers %v, want %v; ailment %q", what, got, want, v.ailment())
	}
}

func (v *tester) nodeOf(hash wire.Hash) int { return v.author.network.nodeOf(hash) }

var (
	bothAnswers = map[wire.Answer]int{wire.FailsUptime: 1, wire.Passes: 1}
	passesOnly  = map[wire.Answer]int{wire.Passes: 1}
)

func TestHealth_AHealthyTesterSaysBoth(t *testing.T) {
	v := newTester(t, 3, everybody...)
	v.wantAnswers("healthy", v.feedNext(v.soon(), wire.Content{}), bothAnswers)
	if got := v.ailment(); got != quorum.Sound {
		t.Errorf("ailment %q", got)
	}
}

// Each ailment alone keeps it from speaking against others; passes are given
// all the same.
func TestHealth_AilmentsGateNegativeAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  quorum.Ailment
		peers int
		hears []int
		late  uint64 // slots that the next block comes late
	}{
		{"two peers", quorum.FewPeers, 2, everybody, 0},
		{"an old tip", quorum.TipOld, 3, everybody, params.SyncedWithin + 1},
		{"half of the others' proofs", quorum.FewProofs, 3, []int{rupert, 4, 5}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newTester(t, c.peers, c.hears...)
			out := v.feedNext(v.soon()+c.late, wire.Content{})
			if got := v.ailment(); got != c.want {
				t.Errorf("ailment %q, want %q", got, c.want)
			}
			got := make(map[wire.Answer]int)
			for _, raw := range sent(out, TopicVote) {
				got[must(wire.ParseVote(raw)).Answer]++
			}
			if !maps.Equal(got, passesOnly) {
				t.Errorf("answers %v, want %v", got, passesOnly)
			}
		})
	}
}

// A node that was down for some blocks warms up for as many, and a restart in
// between does not make it well.
func TestHealth_WarmUpAfterBeingDown(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		v := newTester(t, 3, everybody...)
		v.rig = v.again(alice)
		var missed []wire.Block
		for range 12 {
			missed = append(missed, v.author.nextOf(v.soon(), wire.Content{}))
		}
		v.rig.at(v.author.tip.Slot) // up again, twelve blocks behind
		for i, b := range missed {
			v.offer("", b)
			if restarts && i == 9 { // near enough to the clock to be synced at once
				v.rig = v.again(alice)
				v.rig.at(v.author.tip.Slot)
			}
		}
		v.meet(v.author.tip.Height, numbered(0), numbered(1), numbered(2))
		v.rig.at(v.author.tip.Slot)
		for _, i := range v.hears {
			v.feed(v.author.proof(i, uint64(v.author.tip.Height), v.author.tip))
		}
		if v.ailment() != quorum.WarmingUp {
			t.Fatalf("restarts %t: ailment %q, want %q", restarts, v.ailment(), quorum.WarmingUp)
		}
		ill := 0
		for v.ailment() == quorum.WarmingUp && ill < 70 {
			out := v.feedNext(v.soon(), wire.Content{})
			ill++
			if restarts && ill%3 == 0 {
				v.rig = v.again(alice)
				v.meet(v.author.tip.Height, numbered(0), numbered(1), numbered(2))
				v.rig.at(v.author.tip.Slot)
			}
			if v.ailment() == quorum.WarmingUp {
				v.wantAnswers("warming up", out, passesOnly)
			}
		}
		want := 12
		if restarts { // it was up to date at the tenth, and heard the next two
			want = 10 - 2
		}
		if ill != want {
			t.Errorf("restarts %t: warmed up for %d blocks, want %d", restarts, ill, want)
		}
	}
}

// After a reorganisation the same, for the blocks that came with it; and the
// draws of the new branch are answered about, those of the old one not again.
func TestHealth_WarmUpAfterAReorganisation(t *testing.T) {
	v := newTester(t, 3, everybody...)
	a := v.author
	other := a.fork()
	for range 2 {
		v.wantAnswers("before", v.feedNext(v.soon(), wire.Content{}), bothAnswers)
	}
	judged := len(v.judged)
	v.author = other
	first := other.nextOf(v.soon(), wire.Content{Events: []wire.Event{other.update(5, 1, "/ip4/1.2.3.4/tcp/9")}})
	var blocks []wire.Block
	for range 2 {
		blocks = append(blocks, other.nextOf(v.soon(), wire.Content{}))
	}
	v.rig.at(max(other.tip.Slot, a.tip.Slot))
	v.offer("q", first)
	v.offer("q", blocks...)
	if v.Snapshot().Tip != other.tip || v.confidence.missed == 0 {
		t.Fatalf("tip %d, missed %d: no reorganisation", v.Snapshot().Tip.Height, v.confidence.missed)
	}
	if v.ailment() != quorum.WarmingUp {
		t.Errorf("ailment %q", v.ailment())
	}
	// The draws judged since are of blocks below the fork: once each.
	if got := len(v.judged); got > judged+1 {
		t.Errorf("%d draws judged, %d before: the same draw twice", got, judged)
	}
	for v.Snapshot().Tip.Height+1 < v.confidence.since+v.confidence.missed {
		v.wantAnswers("warming up", v.feedNext(v.soon(), wire.Content{}), passesOnly)
	}
	v.wantAnswers("well again", v.feedNext(v.soon(), wire.Content{}), bothAnswers)
}
