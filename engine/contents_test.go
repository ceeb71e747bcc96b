package engine

import (
	"crypto/ed25519"
	"testing"

	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Every rule on the certificates of a block, one broken at a time.
func TestContents_Certificates(t *testing.T) {
	fails := func(b *booth, target int) wire.Certificate {
		return b.author.certificate(b.draw, target, wire.FailsUptime, 0)
	}
	for _, c := range []struct {
		name  string
		above int // blocks between the draw and the tip
		good  bool
		certs func(b *booth) []wire.Certificate
	}{
		{"first block that may", 12, true, func(b *booth) []wire.Certificate { return []wire.Certificate{fails(b, bob)} }},
		{"one block too young", 11, false, func(b *booth) []wire.Certificate { return []wire.Certificate{fails(b, bob)} }},
		{"last block that may", 58, true, func(b *booth) []wire.Certificate { return []wire.Certificate{fails(b, bob)} }},
		{"one block too old", 59, false, func(b *booth) []wire.Certificate { return []wire.Certificate{fails(b, bob)} }},
		{"more votes than needed", 20, true, func(b *booth) []wire.Certificate {
			return []wire.Certificate{b.author.certificate(b.draw, bob, wire.FailsUptime, 1)}
		}},
		{"two, ascending", 20, true, func(b *booth) []wire.Certificate {
			return []wire.Certificate{fails(b, bob), fails(b, cleo)}
		}},
		{"two, descending", 20, false, func(b *booth) []wire.Certificate {
			return []wire.Certificate{fails(b, cleo), fails(b, bob)}
		}},
		{"twice for one node", 20, false, func(b *booth) []wire.Certificate {
			return []wire.Certificate{fails(b, bob), fails(b, bob)}
		}},
		{"twice for one node, two answers", 20, false, func(b *booth) []wire.Certificate {
			return []wire.Certificate{fails(b, bob), b.author.certificate(b.draw, bob, wire.TwoAddresses, 0)}
		}},
		{"more than the brake allows", 20, false, func(b *booth) []wire.Certificate {
			return []wire.Certificate{fails(b, bob), fails(b, cleo), fails(b, rupert)}
		}},
		{"passes an active node", 20, false, func(b *booth) []wire.Certificate {
			return []wire.Certificate{b.author.certificate(b.draw, bob, wire.Passes, 0)}
		}},
		{"of a block that is no ancestor", 20, false, func(b *booth) []wire.Certificate {
			a := b.author.network.author()
			a.grow(2, 0, nil)
			a.next(a.turn(4))
			return []wire.Certificate{a.certificate(a.draw(), bob, wire.FailsUptime, 0)}
		}},
		{"of a draw above the tip", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Height += 100
			return []wire.Certificate{cert}
		}},
		{"of a negative height", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Height = -1 << 31
			return []wire.Certificate{cert}
		}},
		{"wrong signature", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Signature = fails(b, cleo).Signature
			return []wire.Certificate{cert}
		}},
		{"no signature", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Signature = wire.Signature{}
			return []wire.Certificate{cert}
		}},
		{"signed for another answer", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Answer = wire.FailsCheckpoint
			return []wire.Certificate{cert}
		}},
		{"a voter more than signed", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			for i := range b.draw.Testers {
				if self, _ := b.draw.Index(proTx(bob)); i != self && cert.Voters&(1<<i) == 0 {
					cert.Voters |= 1 << i
				}
			}
			return []wire.Certificate{cert}
		}},
		{"a voter too few", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Voters &= cert.Voters - 1
			return []wire.Certificate{cert}
		}},
		{"the node's own vote", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			self, _ := b.draw.Index(proTx(bob))
			cert.Voters |= 1 << self
			return []wire.Certificate{cert}
		}},
		{"a tester beyond the draw", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.Voters |= 1 << 15
			return []wire.Certificate{cert}
		}},
		{"about a node that is no target", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.ProTxHash = proTx(forkNodes - 1) // awaits stake
			return []wire.Certificate{cert}
		}},
		{"about nobody", 20, false, func(b *booth) []wire.Certificate {
			cert := fails(b, bob)
			cert.ProTxHash = wire.Hash{1, 2, 3}
			return []wire.Certificate{cert}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooth(t, -1, c.above)
			slot := b.author.tip.Slot + 1
			block := b.author.draftOf(slot, wire.Content{Certificates: c.certs(b)})
			b.at(slot)
			tip := b.Snapshot().Tip
			want := validation.BlockContent
			if c.good {
				want = validation.Valid
			}
			out := b.want(Block{"p", block}, want)
			if moved := b.Snapshot().Tip != tip; moved != c.good || len(out.Bans) > 0 { // whoever brought it need not have looked into it
				t.Errorf("moved %t, bans %v", moved, out.Bans)
			}
			if _, err := wire.ParseBlock(block.Bytes()); err != nil {
				t.Errorf("nobody could have sent it: %v", err)
			}
		})
	}
}

// A certificate is refused once another has acted, be it of the same draw or
// of one from before the node's last change.
func TestContents_CertificateActsOnce(t *testing.T) {
	b := newBooth(t, -1, 5)
	later := b.author.draw()
	b.grow(13)
	cert := b.author.certificate(b.draw, bob, wire.FailsUptime, 0)
	b.connect(b.author.nextOf(b.author.tip.Slot+1, wire.Content{Certificates: []wire.Certificate{cert}}))
	slot := b.author.tip.Slot
	for name, again := range map[string]wire.Certificate{
		"the same":                    cert,
		"another draw, as it was old": b.author.certificate(later, bob, wire.FailsUptime, 0),
		"passes, drawn before":        b.author.certificate(later, bob, wire.Passes, 0),
	} {
		slot++
		b.at(slot)
		block := b.author.draftOf(slot, wire.Content{Certificates: []wire.Certificate{again}})
		if v, _ := b.feed(Block{"", block}); v.Reason != validation.BlockContent {
			t.Errorf("%s: %s", name, v.Reason)
		}
	}
	if node, _ := b.Engine.state.Node(proTx(bob)); node.Decommissions != 1 {
		t.Errorf("decommissioned %d times", node.Decommissions)
	}
}

// Every kind of event must be signed by all whom it needs.
func TestContents_EventsSignedWrongly(t *testing.T) {
	n := networkOf("spec", forkNodes)
	const last = forkNodes - 1
	fresh := wire.Register{
		EventHead: n.head(1), Staker: n.stakerKey(bob), Evo: true,
		OperatorKey: wire.OperatorKey(n.operator[0].PublicKey().Bytes()), // replaced below
		Addresses:   []string{"/ip4/1.2.3.4/tcp/1"}, Amount: requirement,
	}
	operator, service := seedOperator(99), seedService(99)
	fresh.OperatorKey = wire.OperatorKey(operator.PublicKey().Bytes())
	fresh.ServiceKey = wire.ServiceKey(service.Public().(ed25519.PublicKey))
	hash := fresh.SignHash()
	fresh.OperatorProof = wire.Signature(operator.Sign(hash).Bytes())
	fresh.ServiceProof = wire.ServiceSignature(ed25519.Sign(service, hash[:]))
	fresh.Signature = wire.ServiceSignature(ed25519.Sign(n.staker[bob], hash[:]))
	by := func(change func(*wire.Register)) wire.Event {
		e := fresh
		change(&e)
		return e
	}
	other := n.contribute(bob, last, requirement*9/10, 1)
	update, revoke, exit := n.update(bob, 1, "/ip4/1.2.3.4/tcp/1"), n.revoke(bob, 1), n.exit(bob, 1)
	wrongUpdate, wrongRevoke, wrongExit, wrongContribute := update, revoke, exit, other
	wrongUpdate.Signature, wrongRevoke.Signature = revoke.Signature, update.Signature
	wrongExit.Signature, wrongContribute.Signature = other.Signature, exit.Signature
	for name, c := range map[string]struct {
		event wire.Event
		good  bool
	}{
		"register":                         {fresh, true},
		"register, another operator proof": {by(func(e *wire.Register) { e.OperatorProof = update.Signature }), false},
		"register, another service proof":  {by(func(e *wire.Register) { e.ServiceProof = e.Signature }), false},
		"register, another staker":         {by(func(e *wire.Register) { e.Signature = e.ServiceProof }), false},
		"register, no proof":               {by(func(e *wire.Register) { e.OperatorProof = wire.Signature{} }), false},
		"contribute":                       {other, true},
		"contribute, wrongly":              {wrongContribute, false},
		"update-service":                   {update, true},
		"update-service, wrongly":          {wrongUpdate, false},
		"revoke":                           {revoke, true},
		"revoke, wrongly":                  {wrongRevoke, false},
		"exit":                             {exit, true},
		"exit, wrongly":                    {wrongExit, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := stored(t, n, -1)
			a := n.author()
			r.connect(a.next(1))
			r.at(2)
			want := validation.BlockContent
			if c.good {
				want = validation.Valid
			}
			b := a.draft(2, c.event)
			if _, err := wire.ParseBlock(b.Bytes()); err != nil {
				t.Fatal(err)
			}
			r.want(Block{"p", b}, want)
			if key, _ := SignerOf(a.state, c.event); (SignedByStakers(c.event, ed25519.Verify) && SignedByOperator(c.event, key)) != c.good {
				t.Errorf("admission takes it: %t", !c.good)
			}
		})
	}
}

// As many events as a block may carry, from a pool that holds more; the rest
// comes in the next.
func TestContents_FullOfEvents(t *testing.T) {
	const size = 40
	n := networkOf("spec", size)
	r := stored(t, n, alice)
	a := n.author()
	r.connect(a.next(1))
	for i := range size - 1 {
		r.want(r.event("p", n.update(i, 1, "/ip4/1.2.3.4/tcp/1")), validation.Valid)
		r.want(r.event("p", n.exit(i, 1)), validation.Valid)
	}
	r.meet(1, "x", "y", "z")
	first, ok := published(t, r.at(size))
	if !ok || len(first.Events) != wire.MaxBlockEvents {
		t.Fatalf("block %t with %d events, want %d", ok, len(first.Events), wire.MaxBlockEvents)
	}
	left := 2*(size-1) - wire.MaxBlockEvents
	if got := len(r.pool.order); got != left || r.pool.waiting.Len() != left {
		t.Fatalf("%d events wait, want %d", got, left)
	}
	other := stored(t, n, -1) // which has seen none of them before
	other.connect(must(wire.ParseBlock(r.disk[KindBlock][string(heightKey(1))])), first)
	if other.Snapshot().State.Root() != r.Snapshot().State.Root() {
		t.Error("another engine comes to another state")
	}
	r.meet(2, "x", "y", "z")
	if second, ok := published(t, r.at(2*size)); !ok || len(second.Events) != left {
		t.Errorf("block %t with %d events, want the other %d", ok, len(second.Events), left)
	}
}

// Events that cannot stand together: the first keeps its place, the others
// wait or go.
func TestContents_EventsThatExcludeEachOther(t *testing.T) {
	n := networkOf("spec", forkNodes)
	const last = forkNodes - 1
	r := stored(t, n, -1)
	r.connect(n.author().next(1))
	// The last node awaits nine tenths; two stakers offer all of it.
	r.want(r.event("p", n.contribute(bob, last, requirement*9/10, 1)), validation.Valid)
	r.want(r.event("p", n.contribute(cleo, last, requirement*9/10, 1)), validation.Valid)
	r.want(r.event("p", n.update(rupert, 1, "/ip4/1.2.3.4/tcp/1")), validation.Valid)
	c := r.assemble(2)
	if len(c.Events) != 2 || c.Events[0].Record() != wire.Hash(n.stakerKey(bob)) || c.Events[1].Record() != proTx(rupert) {
		t.Errorf("events %v, want bob's and rupert's", c.Events)
	}
}

// fitting is the same as asking about one after the other.
func TestFitting(t *testing.T) {
	list := make([]int, 100)
	for i := range list {
		list[i] = i
	}
	for _, limit := range []int{0, 1, 7, 50, 99, 1000, 4950} {
		asked := 0
		fits := func(l []int) bool { // the sum is bounded, and nothing is divisible by 13
			asked++
			sum := 0
			for _, v := range l {
				if sum += v; v%13 == 0 {
					return false
				}
			}
			return sum <= limit
		}
		var want []int
		for _, v := range list {
			if fits(append(want[:len(want):len(want)], v)) {
				want = append(want, v)
			}
		}
		asked = 0
		got := fitting(nil, list, fits)
		if len(got) != len(want) || asked > 200 {
			t.Errorf("limit %d: %d of them, want %d; asked %d times", limit, len(got), len(want), asked)
		}
	}
}

// Limits of the pools take their records with them.
func TestBallots_LimitsDeleteRecords(t *testing.T) {
	r := stored(t, networkOf("core", forkNodes), -1)
	var out Effects
	for i := range quorum.MaxVotesOfVoter + 5 {
		v := wire.Vote{Voter: proTx(bob), Ballot: wire.Ballot{Height: 9, ProTxHash: wire.Hash{byte(i >> 8), byte(i)}, Answer: wire.FailsUptime}}
		r.keepVote(v, &out)
	}
	low := wire.Vote{Voter: proTx(bob), Ballot: wire.Ballot{Height: 9, Answer: wire.TwoAddresses}} // before all of them but one
	r.keepVote(low, &out)
	r.disk.apply(out.Writes)
	if n := len(r.disk[KindVote]); n != quorum.MaxVotesOfVoter || r.heardVotes.Len() != n || r.votes.Len() != n || out.Evicted != 6 {
		t.Errorf("%d stored, %d heard, %d in the pool, %d evicted; want %d and 6", n, r.heardVotes.Len(), r.votes.Len(), out.Evicted, quorum.MaxVotesOfVoter)
	}
	if _, kept := r.heardVotes.Get(voteID(low.Ballot, low.Voter)); !kept {
		t.Error("the one that comes first in order had to go")
	}
	again := r.again(-1)
	if again.votes.Len() != r.votes.Len() {
		t.Errorf("%d votes after a restart, want %d", again.votes.Len(), r.votes.Len())
	}
}
