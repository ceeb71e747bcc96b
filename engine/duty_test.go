package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// meet lets an engine hear of service nodes whose tip is at a height.
func (r rig) meet(height int32, peers ...Peer) {
	for _, p := range peers {
		r.feed(PeerTip{Peer: p, Height: height})
	}
}

// follow feeds a's next blocks, in the slots of four authorities from first
// on, so that a node of the other four hears only.
func (r rig) follow(a *author, n int, first uint64) (outs []*Effects) {
	r.t.Helper()
	for _, b := range a.grow(n, first, nil) {
		outs = append(outs, r.at(b.Header.Slot))
		v, out := r.feed(Block{"p", b})
		if !v.OK() {
			r.t.Fatalf("block %d: %s", b.Header.Height, v.Reason)
		}
		outs = append(outs, out)
	}
	return outs
}

// all returns what several effects publish on a topic.
func all(outs []*Effects, topic Topic) (messages [][]byte) {
	for _, out := range outs {
		messages = append(messages, sent(out, topic)...)
	}
	return messages
}

// One proof each ProofEvery blocks, whatever is restarted in between; a node
// that lost its database goes on with a number that others take.
func TestDuty_ProofsAreSentInTime(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, alice) // authority of slots 0 mod 8; those of 1 to 4 make the blocks
	// The first proof is sent at the genesis, and seen with the first block.
	every := r.state.Rules().ProofEvery
	var proofs []wire.UptimeProof
	var heights []int32
	for range 3*every + 5 {
		r.meet(a.tip.Height, "x", "y", "z")
		outs := r.follow(a, 1, 1)
		for _, raw := range all(outs, TopicUptime) {
			proofs = append(proofs, must(wire.ParseUptimeProof(raw)))
			heights = append(heights, r.Snapshot().Tip.Height)
		}
		if a.tip.Height%7 == 0 {
			r = r.again(alice)
		}
	}
	if want := []int32{1, every, 2 * every, 3 * every}; !slices.Equal(heights, want) {
		t.Fatalf("proofs at heights %v, want %v", heights, want)
	}
	for i, p := range proofs {
		hash, ok := r.tree.OnBranch(p.AnchorHeight)
		if !ok || hash != p.AnchorHash || p.ProTxHash != proTx(alice) || i > 0 && p.Sequence <= proofs[i-1].Sequence {
			t.Errorf("proof %d at %d: %+v", i, heights[i], p)
		}
		if p.Seal != n.seal(alice, p.SealedBytes(n.genesis.Hash())) {
			t.Errorf("proof %d is not sealed", i)
		}
	}
	// Everything is lost, and fetched again.
	fresh := stored(t, n, alice)
	fresh.at(a.tip.Slot)
	for h := int32(1); h <= a.tip.Height; h++ {
		fresh.feed(Block{"p", must(wire.ParseBlock(r.disk[KindBlock][string(heightKey(h))]))})
	}
	fresh.meet(a.tip.Height, "x", "y", "z")
	fresh.follow(a, 1, 1)
	if again, ok := fresh.Snapshot().Proofs.Get(proTx(alice)); !ok || again.Proof.Sequence <= proofs[len(proofs)-1].Sequence {
		t.Errorf("proof %d after the loss, want one above %d", again.Proof.Sequence, proofs[len(proofs)-1].Sequence)
	}
}

func TestDuty_NoProofWithoutContactsOrRegistration(t *testing.T) {
	n := networkOf("spec", forkNodes)
	lonely := stored(t, n, alice)
	for _, b := range n.author().grow(5, 1, nil) {
		lonely.at(b.Header.Slot)
		if _, out := lonely.feed(Block{"", b}); len(sent(out, TopicUptime)) > 0 {
			t.Error("a proof with nobody to hear it")
		}
	}
	for name, change := range map[string]func(*Config){
		"not registered": func(c *Config) { c.ProTxHash = proTx(forkNodes) },
		"observer":       func(c *Config) { c.ProTxHash, c.ServiceKey, c.OperatorKey = wire.Hash{}, nil, nil },
	} {
		c := n.configOf(alice)
		change(&c)
		e, _, err := n.start(c)
		if err != nil {
			t.Fatal(err)
		}
		r := rig{Engine: e, network: n, t: t}
		r.meet(0, "x", "y", "z")
		outs := r.follow(n.author(), 20, 1)
		for _, topic := range []Topic{TopicUptime, TopicCheckpoint, TopicVote} {
			if got := all(outs, topic); len(got) > 0 {
				t.Errorf("%s: %d messages of topic %s", name, len(got), topic)
			}
		}
	}
}

// Testers publish each due height once, late if several blocks came at once,
// and again for the block that stands there after a reorganisation.
func TestDuty_Checkpoints(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	marks := func(outs []*Effects) (heights []int32) {
		for _, raw := range all(outs, TopicCheckpoint) {
			c := must(wire.ParseCheckpoint(raw))
			l := r.Snapshot().Branch.At(c.Height)
			below := r.Snapshot().Branch.At(c.Height - params.CheckpointDepth)
			if c.BlockHash != l.Tip.Hash || c.StateRoot != below.State.Root() || c.Voter != proTx(alice) || c.Seal != n.seal(alice, c.SealedBytes(n.genesis.Hash())) {
				t.Errorf("checkpoint at %d: %+v", c.Height, c)
			}
			heights = append(heights, c.Height)
		}
		return heights
	}
	// All seven active nodes are testers of every draw.
	if got, want := marks(r.follow(a, 18, 1)), []int32{12, 16}; !slices.Equal(got, want) {
		t.Fatalf("published at %v, want %v", got, want)
	}
	r = r.again(alice)
	// Those that still count may never have left before the stop.
	got := marks(r.follow(a, 3, 1))
	slices.Sort(got)
	if want := []int32{12, 16, 20}; !slices.Equal(got, want) {
		t.Errorf("published at %v after a restart, want %v", got, want)
	}
	// What is ten blocks old is of no use by the time it gets around.
	r = r.again(alice)
	got = marks(r.follow(a, 1, 1))
	slices.Sort(got)
	if want := []int32{16, 20}; !slices.Equal(got, want) {
		t.Errorf("published at %v after a later restart, want %v", got, want)
	}
	b := a.fork()
	if got, want := marks(r.follow(a, 4, 1)), []int32{24}; !slices.Equal(got, want) {
		t.Fatalf("published at %v, want %v", got, want)
	}
	// Five blocks replace four at once; the second of them stands at 24 now,
	// and the first that is due has passed by the tip.
	blocks := b.grow(9, 4, nil)
	r.at(b.tip.Slot)
	outs := []*Effects{}
	for _, block := range blocks {
		_, out := r.feed(Block{"p", block})
		outs = append(outs, out)
	}
	r.wantTip("reorganised", b)
	if got, want := marks(outs), []int32{24, 28}; !slices.Equal(got, want) {
		t.Errorf("published at %v after a reorganisation, want %v", got, want)
	}
	held := r.Snapshot().HeldCheckpoints(r.branch.At(24).Tip.Hash, proTx(alice))
	if len(held) != 1 || len(outs[len(outs)-1].Alarms) > 0 && outs[len(outs)-1].Alarms[0].Kind == AlarmCheckpoint {
		t.Errorf("%d held of our own, alarms %v", len(held), outs[len(outs)-1].Alarms)
	}
	if got := marks(r.follow(b, 1, 4)); len(got) > 0 {
		t.Errorf("published at %v again", got)
	}
}

// A node that was decommissioned for a missing hash publishes although it is
// no tester, until it is active again.
func TestDuty_CheckpointsOnProbation(t *testing.T) {
	n := networkOf("core", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	r.follow(a, 12, 1)
	draw := a.draw() // at 12, which is due
	r.follow(a, 12, 1)
	c := n.certificate(draw, alice, wire.FailsCheckpoint, 0)
	b := a.nextOf(a.turn(1), wire.Content{Certificates: []wire.Certificate{c}})
	r.connect(b)
	if node, _ := r.state.Node(proTx(alice)); node.Service() != state.Decommissioned {
		t.Fatalf("alice is %s", node.Service())
	}
	outs := r.follow(a, 10, 1)
	var heights []int32
	for _, raw := range all(outs, TopicCheckpoint) {
		m := must(wire.ParseCheckpoint(raw))
		heights = append(heights, m.Height)
		if _, tester := r.branch.At(m.Height).Draw.Index(proTx(alice)); tester {
			t.Errorf("a tester of %d: the test sees no probation", m.Height)
		}
	}
	if want := []int32{28, 32}; !slices.Equal(heights, want) {
		t.Errorf("published at %v, want %v", heights, want)
	}
}

// Who missed so much may have answered before and forgotten it: about draws
// from before it caught up it says nothing.
func TestDuty_NothingAboutDrawsThatWereMissed(t *testing.T) {
	n := networkOf("core", forkNodes)
	a := n.author()
	r := stored(t, n, alice)
	missed := a.grow(params.WarmUp+20, 4, nil)
	r.at(a.tip.Slot) // it has nothing, and others are far ahead
	r.offer("p", missed...)
	caughtUp := a.tip.Height
	r.at(a.tip.Slot)
	r.follow(a, params.VoteDelay+5, 4)
	if len(r.judged) == 0 {
		t.Error("no draw was judged")
	}
	for _, q := range r.judged {
		if q <= caughtUp {
			t.Errorf("the draw of %d was judged, caught up at %d", q, caughtUp)
		}
	}
}
