package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// booth is an engine with a draw that can be voted about.
type booth struct {
	rig
	*author
	draw quorum.Draw
}

// newBooth has a tip so many blocks above a draw.
func newBooth(t testing.TB, node int, above int) *booth {
	n := networkOf("core", forkNodes)
	b := &booth{rig: stored(t, n, node), author: n.author()}
	b.grow(3)
	b.draw = b.author.draw()
	b.grow(above)
	return b
}

// grow connects n blocks in all slots that are not alice's.
func (b *booth) grow(n int) (last *Effects) {
	for range n {
		slot := b.author.tip.Slot + 1
		if slot%forkNodes == alice {
			slot++
		}
		block := b.author.next(slot)
		b.at(slot)
		v, out := b.feed(Block{"", block})
		if !v.OK() {
			b.rig.t.Fatalf("block %d: %s", block.Header.Height, v.Reason)
		}
		last = out
	}
	b.at(b.author.tip.Slot)
	return last
}

func (b *booth) ballot(target int, a wire.Answer) wire.Ballot {
	return wire.Ballot{Height: b.draw.Height, BlockHash: b.draw.Hash, ProTxHash: proTx(target), Answer: a}
}

// cast feeds the votes of the first so many voters of a draw about a node.
func (b *booth) cast(d quorum.Draw, target int, a wire.Answer, votes int) {
	b.rig.t.Helper()
	ballot := wire.Ballot{Height: d.Height, BlockHash: d.Hash, ProTxHash: proTx(target), Answer: a}
	for _, voter := range d.Voters(proTx(target))[:votes] {
		b.want(Vote{"p", b.author.vote(b.author.nodeOf(voter), ballot)}, validation.Valid)
	}
}

func TestVote_Admission(t *testing.T) {
	const above = 13
	base := func(b *booth) wire.Ballot { return b.ballot(bob, wire.FailsUptime) }
	for _, c := range []struct {
		name  string
		above int
		want  validation.Reason
		vote  func(b *booth) wire.Vote
	}{
		{"good", above, validation.Valid, func(b *booth) wire.Vote { return b.author.vote(cleo, base(b)) }},
		{"about itself", above, validation.VoteTarget, func(b *booth) wire.Vote { return b.author.vote(bob, base(b)) }},
		{"by nobody's tester", above, validation.VoteMember, func(b *booth) wire.Vote { return b.author.vote(forkNodes-1, base(b)) }},
		{"about a node that awaits stake", above, validation.VoteTarget, func(b *booth) wire.Vote {
			return b.author.vote(cleo, b.ballot(forkNodes-1, wire.FailsUptime))
		}},
		{"on another block", above, validation.VoteUnknownQuorum, func(b *booth) wire.Vote {
			ballot := base(b)
			ballot.BlockHash[0] ^= 1
			return b.author.vote(cleo, ballot)
		}},
		{"on a draw above the tip", above, validation.VoteEarly, func(b *booth) wire.Vote {
			ballot := base(b)
			ballot.Height += above + 1
			return b.author.vote(cleo, ballot)
		}},
		{"as old as may be", 60, validation.Valid, func(b *booth) wire.Vote { return b.author.vote(cleo, base(b)) }},
		{"too old", 61, validation.VoteLate, func(b *booth) wire.Vote { return b.author.vote(cleo, base(b)) }},
		{"far too old", 66, validation.VoteExpired, func(b *booth) wire.Vote { return b.author.vote(cleo, base(b)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooth(t, -1, c.above)
			v := c.vote(b)
			out := b.want(Vote{"p", v}, c.want)
			_, held := b.Snapshot().HeldVote(v.Ballot, v.Voter)
			if kept := c.want == validation.Valid; held != kept || (len(b.disk[KindVote]) == 1) != kept || len(out.Publications) > 0 {
				t.Errorf("held %t, %d stored, want kept %t", held, len(b.disk[KindVote]), kept)
			}
			if c.want == validation.Valid {
				b.want(Vote{"q", v}, validation.Duplicate)
				other := b.author.voteWith(cleo, v.Ballot, wire.Evidence{First: 5, Second: -1})
				b.want(Vote{"q", other}, validation.VoteRepeated)
			}
		})
	}
}

// Two answers to one question are kept as evidence, survive the votes and a
// restart, and make room for newer ones.
func TestVote_MisconductIsKept(t *testing.T) {
	b := newBooth(t, -1, 13)
	b.want(Vote{"p", b.author.vote(cleo, b.ballot(bob, wire.FailsUptime))}, validation.Valid)
	out := b.want(Vote{"p", b.author.vote(cleo, b.ballot(bob, wire.Passes))}, validation.VoteConflict)
	if len(out.Alarms) != 1 || out.Alarms[0].Kind != AlarmMisconduct || len(out.Charges) > 0 {
		t.Fatalf("alarms %v, charges %v; want one alarm", out.Alarms, out.Charges)
	}
	if len(b.disk[KindMisconduct]) != 1 {
		t.Fatalf("%d cases stored", len(b.disk[KindMisconduct]))
	}
	for _, raw := range b.disk[KindMisconduct] {
		c, err := parseCase(raw)
		if err != nil || c.Passes.Answer != wire.Passes || c.Against.Answer != wire.FailsUptime || c.Passes.Voter != proTx(cleo) {
			t.Errorf("case %+v, %v", c, err)
		}
	}
	b.grow(ballotLife)
	if n := len(b.disk[KindVote]); n > 0 {
		t.Errorf("%d votes stored that no block can use", n)
	}
	b.rig = b.again(-1)
	if len(b.votes.Misconduct()) != 1 || len(b.disk[KindMisconduct]) != 1 {
		t.Fatalf("%d cases after a restart", len(b.votes.Misconduct()))
	}
	// As many as are remembered, all newer: the first has to go, and its record.
	for i := range quorum.MaxMisconduct {
		p, q := b.author.vote(cleo, b.ballot(bob, wire.Passes)), b.author.vote(cleo, b.ballot(bob, wire.FailsUptime))
		p.Height, q.Height = int32(1000+i), int32(1000+i)
		b.votes.Accuse(quorum.Case{Passes: p, Against: q})
		if i == 0 {
			continue
		}
	}
	var effects Effects
	b.keepCases(&effects)
	puts, deletes := kinds(&effects)
	wantKinds(t, "put", puts, map[Kind]int{KindMisconduct: quorum.MaxMisconduct})
	wantKinds(t, "deleted", deletes, map[Kind]int{KindMisconduct: 1})
}

// What no block can carry any more is forgotten, records too.
func TestVote_Expiry(t *testing.T) {
	b := newBooth(t, -1, 13)
	b.cast(b.draw, bob, wire.FailsUptime, 3)
	b.grow(ballotLife - 13)
	if len(b.disk[KindVote]) != 3 || b.votes.Len() != 3 {
		t.Fatalf("%d votes stored at their last block, want 3", len(b.disk[KindVote]))
	}
	out := b.grow(1)
	_, deletes := kinds(out)
	if deletes[KindVote] != 3 || b.votes.Len() != 0 || b.Snapshot().Votes.Len() != 0 {
		t.Errorf("deleted %v, %d remembered", deletes, b.votes.Len())
	}
}

// alice makes the block of slot 0 mod 8.
func (b *booth) produced() wire.Block {
	b.rig.t.Helper()
	slot := b.author.tip.Slot + 1
	for slot%forkNodes != alice {
		slot++
	}
	b.meet(b.author.tip.Height, "x", "y", "z")
	block, ok := published(b.rig.t, b.at(slot))
	if !ok {
		b.rig.t.Fatal("no block")
	}
	return block
}

func TestVote_AuthorNeedsEnough(t *testing.T) {
	for _, missing := range []int{1, 0} {
		b := newBooth(t, alice, 14)
		needed, _ := b.draw.Needed(proTx(bob), wire.FailsUptime)
		b.cast(b.draw, bob, wire.FailsUptime, needed-missing)
		block := b.produced()
		if got := len(block.Certificates); got != 1-missing {
			t.Fatalf("%d votes short: %d certificates", missing, got)
		}
		if missing > 0 {
			continue
		}
		if node, _ := b.Engine.state.Node(proTx(bob)); node.Service() != state.Decommissioned {
			t.Errorf("bob is %s", node.Service())
		}
		// Not a second time, although the votes are there.
		b.author.tip = b.Snapshot().Tip
		if block := b.produced(); len(block.Certificates) != 0 {
			t.Errorf("the certificate stands in a second block")
		}
	}
}

// Nor what another author included first.
func TestVote_CertificateOfAnotherAuthorIsNotRepeated(t *testing.T) {
	b := newBooth(t, alice, 14)
	b.cast(b.draw, bob, wire.FailsUptime, 5)
	b.connect(b.author.nextOf(b.author.turn(1), wire.Content{Certificates: []wire.Certificate{b.author.certificate(b.draw, bob, wire.FailsUptime, 0)}}))
	if block := b.produced(); len(block.Certificates) != 0 {
		t.Error("the certificate stands in a second block")
	}
}

func TestVote_AuthorPrefersTheLargerDraw(t *testing.T) {
	b := newBooth(t, alice, 3)
	later := b.author.draw()
	b.grow(14)
	b.cast(b.draw, bob, wire.FailsUptime, 6)
	b.cast(later, bob, wire.FailsUptime, 6)
	block := b.produced()
	if len(block.Certificates) != 1 || block.Certificates[0].Height != later.Height {
		t.Errorf("certificates %+v, want one of %d", block.Certificates, later.Height)
	}
}

// With seven funded nodes two may be down at once: the third certificate waits.
func TestVote_AuthorKeepsTheBrake(t *testing.T) {
	b := newBooth(t, alice, 14)
	for _, target := range []int{bob, cleo, rupert} {
		b.cast(b.draw, target, wire.FailsUptime, 6)
	}
	block := b.produced()
	if len(block.Certificates) != 2 {
		t.Fatalf("%d certificates, want the 2 that the brake allows", len(block.Certificates))
	}
	if _, _, down := b.Engine.state.Counts(); down != 2 {
		t.Errorf("%d nodes are down", down)
	}
	b.author.tip = b.Snapshot().Tip
	if block := b.produced(); len(block.Certificates) != 0 {
		t.Error("a third node is taken out of service")
	}
}

// A bad vote among enough good ones, which cannot come in by the front door,
// does not spoil the block.
func TestVote_AuthorChecksOnceMore(t *testing.T) {
	b := newBooth(t, alice, 14)
	b.cast(b.draw, bob, wire.FailsUptime, 5)
	bad := b.author.vote(b.author.nodeOf(b.draw.Voters(proTx(bob))[5]), b.ballot(bob, wire.FailsUptime))
	bad.Signature = b.author.vote(cleo, b.ballot(rupert, wire.FailsUptime)).Signature
	b.want(Vote{"p", bad}, validation.Valid) // we are told that it was verified
	if block := b.produced(); len(block.Certificates) != 1 {
		t.Errorf("%d certificates", len(block.Certificates))
	}
}

// Certificates of undone blocks are good again, made of the votes, which
// stayed, or as they were, by those who never heard the votes.
func TestVote_CertificateComesBackAfterAReorganisation(t *testing.T) {
	for _, votes := range []int{6, 0} {
		b := newBooth(t, alice, 14)
		b.cast(b.draw, bob, wire.FailsUptime, votes)
		other := b.author.fork()
		c := b.author.certificate(b.draw, bob, wire.FailsUptime, 1)
		b.connect(b.author.nextOf(b.author.turn(1), wire.Content{Certificates: []wire.Certificate{c}}))
		if n := len(b.disk[KindDecision]); n != 1 {
			t.Fatalf("%d votes heard: %d decisions", votes, n)
		}
		blocks := other.grow(2, 4, nil)
		b.at(other.tip.Slot)
		b.offer("p", blocks...)
		if node, _ := b.Engine.state.Node(proTx(bob)); node.Service() != state.Active || len(b.disk[KindDecision]) != 0 || len(b.decisions) != 0 {
			t.Fatalf("%d votes heard: bob is %s, %d decisions stored, %v remembered", votes, node.Service(), len(b.disk[KindDecision]), b.decisions)
		}
		b.author = other
		b.silentUntil = 0
		if block := b.produced(); len(block.Certificates) != 1 {
			t.Errorf("%d votes heard: the certificate did not come back", votes)
		}
		b.expireSpare()
		if len(b.spare) != 1 {
			t.Errorf("%d certificates kept, want 1", len(b.spare))
		}
		b.author = other
		b.grow(params.CertificateLast)
		if len(b.spare) != 0 {
			t.Errorf("%d certificates kept that no block can carry", len(b.spare))
		}
	}
}
