package testnet

import (
	"crypto/ed25519"
	"math"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// message is something that a peer says, and how it is judged.
type message struct {
	name string
	data []byte
	want validation.Reason
}

// speaker and subject are members whose nodes do not run: strangers say what
// is signed with their keys.
const speaker, subject = 3, 5

// newListeners starts two of the nodes of a chain that stands still. What the
// speaker had to say about the last blocks was never heard.
func newListeners(t *testing.T) *bench {
	n, err := NewNetwork(frozen("spec"))
	if err != nil {
		t.Fatal(err)
	}
	quiet := uint64(math.MaxUint64)
	var s *Simulation
	s, err = n.Simulate(Link{Mute: func(i int, p engine.Publication) bool {
		return i == speaker && p.Topic == engine.TopicCheckpoint && s.Slot >= quiet
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	quiet = n.start - 8
	if err := s.Run(int(n.start) - 1); err != nil {
		t.Fatal(err)
	}
	c, err := s.Cluster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := benchOf(t, c)
	b.start(0, 1)
	return b
}

// hears lets a new stranger say each message to member 0, and expects the
// verdict in its metrics, the points in the stranger's account, and that
// member 1 hears of what is taken and of nothing else.
func (b *bench) hears(topic engine.Topic, messages []message) {
	b.t.Helper()
	for _, m := range messages {
		verdict := m.want.Verdict()
		passedOn := b.judged(1, topic, "")
		s := b.says(topic, m.data, m.want)
		b.charged(s, m.name, verdict)
		if verdict.Taken() {
			b.await(m.name+" to be passed on", func() bool { return b.judged(1, topic, m.want) > 0 && b.judged(1, topic, "") > passedOn })
		} else if got := b.judged(1, topic, ""); got != passedOn {
			b.t.Errorf("%s: %q was passed on although judged %s", topic, m.name, m.want)
		}
	}
}

// charged expects the points of a verdict in the account of a peer that had
// none; a hundred make a ban of it.
func (b *bench) charged(s *Stranger, name string, v validation.Verdict) {
	b.t.Helper()
	view, p := b.Node(0).Snapshot(), engine.Peer(s.ID())
	account, _ := view.Account(p)
	ban, banned := view.PeerBan(p)
	switch {
	case banned != (v.Points >= params.PointsBan):
		b.t.Errorf("%q: banned %t for %d points", name, banned, v.Points)
	case banned && ban.Cause().Reason != v.Reason:
		b.t.Errorf("%q: banned for %s, want %s", name, ban.Cause().Reason, v.Reason)
	case !banned && account.Points != v.Points:
		b.t.Errorf("%q: %d points, want %d", name, account.Points, v.Points)
	}
}

func TestMessages_Events(t *testing.T) {
	b := newListeners(t)
	m, other := b.Members[subject], b.Members[speaker]
	foreign := b.Announce(m, 0)
	foreign.Network[0] ^= 1
	foreign.Signature = m.operatorSigns(foreign.SignHash())
	stolen := b.Announce(m, 0)
	stolen.Signature = other.operatorSigns(stolen.SignHash())
	forgedExit := b.Exit(m, m.ProTxHash, 0)
	forgedExit.Signature = other.stakerSigns(forgedExit.SignHash())
	poor := b.Register(m, 10*StakingRequirement, 0)
	elsewhere := b.Announce(m, 0)
	elsewhere.Addresses = []string{"/dns4/elsewhere/udp/1/quic-v1"}
	elsewhere.Signature = m.operatorSigns(elsewhere.SignHash())
	b.hears(engine.TopicEvent, []message{
		{"another network's", foreign.Bytes(), validation.EventNetwork},
		{"a number too high", b.Announce(m, 1).Bytes(), validation.EventSequence},
		{"an old number", b.Announce(m, math.MaxUint64).Bytes(), validation.EventSequence},
		{"of an unknown node", b.Announce(Member{ProTxHash: wire.Hash{1}, Operator: m.Operator}, 0).Bytes(), validation.EventRefused},
		{"stake for a node that needs none", b.Contribute(m, other.ProTxHash, 10, 0).Bytes(), validation.EventRefused},
		{"more stake than there is, keys in use", poor.Bytes(), validation.EventRefused},
		{"leave for another's node", b.Exit(m, other.ProTxHash, 0).Bytes(), validation.EventRefused},
		{"another operator's signature", stolen.Bytes(), validation.EventSignature},
		{"another staker's signature", forgedExit.Bytes(), validation.EventSignature},
		{"cut short", b.Announce(m, 0).Bytes()[:100], validation.Malformed},
		{"good", b.Announce(m, 0).Bytes(), validation.Valid},
		{"a second of the same record", elsewhere.Bytes(), validation.EventWaiting},
		{"good, of a staker", b.Exit(m, m.ProTxHash, 0).Bytes(), validation.Valid},
	})
}

// ballot is a member's answer about another, on a draw so far below the tip.
func (b *bench) ballot(age int32, answer wire.Answer) wire.Ballot {
	view := b.Node(0).Snapshot()
	height := view.TipHeight() - age
	hash, _ := view.BlockAt(height)
	return wire.Ballot{Height: height, BlockHash: hash, ProTxHash: b.Members[subject].ProTxHash, Answer: answer}
}

func TestMessages_Votes(t *testing.T) {
	b := newListeners(t)
	m := b.Members[speaker]
	vote := func(ballot wire.Ballot, change func(*wire.Vote)) []byte {
		v := b.Vote(m, ballot, wire.Evidence{First: -1, Second: -1})
		if change != nil {
			change(&v)
			v.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, v.SealedBytes(b.Genesis.Hash())))
		}
		return v.Bytes()
	}
	fails, last := b.ballot(13, wire.FailsUptime), b.ballot(params.CertificateLast+1, wire.FailsUptime)
	future, foreign, self := fails, fails, fails
	future.Height, foreign.BlockHash[0], self.ProTxHash = b.Node(0).Snapshot().TipHeight()+1, foreign.BlockHash[0]^1, m.ProTxHash
	late, expired := last, last
	late.Height, expired.Height = last.Height-1, last.Height-1-params.BanHeightSlack
	unsealed := b.Vote(m, fails, wire.Evidence{First: 1})
	unsealed.Seal[0] ^= 1
	b.hears(engine.TopicVote, []message{
		{"above the tip", vote(future, nil), validation.VoteEarly},
		{"61 blocks old", vote(late, nil), validation.VoteLate},
		{"66 blocks old", vote(expired, nil), validation.VoteExpired},
		{"on a draw of another branch", vote(foreign, nil), validation.VoteUnknownQuorum},
		{"by no tester", vote(fails, func(v *wire.Vote) { v.Voter = wire.Hash{1} }), validation.VoteMember},
		{"about a stranger", vote(wire.Ballot{Height: fails.Height, BlockHash: fails.BlockHash, ProTxHash: wire.Hash{1}, Answer: wire.FailsUptime}, nil), validation.VoteTarget},
		{"about itself", vote(self, nil), validation.VoteTarget},
		{"with a wrong seal", unsealed.Bytes(), validation.VoteSignature},
		{"with another's signature", vote(fails, func(v *wire.Vote) { v.Signature = b.Members[4].operatorSigns(fails.SignHash(b.Genesis.Hash())) }), validation.VoteSignature},
		{"with a signature that is none", vote(fails, func(v *wire.Vote) { v.Signature = wire.Signature{} }), validation.VoteSignature},
		{"cut short", vote(fails, nil)[:150], validation.Malformed},
		{"good", vote(fails, nil), validation.Valid},
		{"again, with other evidence", vote(fails, func(v *wire.Vote) { v.Evidence.First = 7 }), validation.VoteRepeated},
		{"again, with another signature", vote(fails, func(v *wire.Vote) { v.Signature[5] ^= 1 }), validation.VoteSignature},
		{"the oldest there may be", vote(last, nil), validation.Valid},
		{"the opposite", vote(b.ballot(13, wire.Passes), nil), validation.VoteConflict},
	})
	for _, i := range []int{0, 1} {
		if got := b.Value(i, "proctor_alarms_total", "kind", string(engine.AlarmMisconduct)); got != 1 {
			t.Errorf("%s raised %v alarms, want 1", b.Members[i].Name, got)
		}
	}
}

func TestMessages_Proofs(t *testing.T) {
	b := newListeners(t)
	m := b.Members[subject]
	view := b.Node(0).Snapshot()
	tip := view.TipHeight()
	held, ok := view.Proofs.Get(m.ProTxHash)
	if !ok || tip-held.Heard <= view.State.Rules().ProofSpacing {
		t.Fatalf("last proof heard at %d, %t", held.Heard, ok)
	}
	proof := func(age int32, change func(*wire.UptimeProof)) []byte {
		hash, _ := view.BlockAt(tip - age)
		p := wire.UptimeProof{
			ProTxHash: m.ProTxHash, Sequence: uint64(tip), AnchorHeight: tip - age, AnchorHash: hash,
			Protocol: wire.ProtocolVersion, Agent: engine.Agent, Addresses: m.Addresses(),
		}
		if change != nil {
			change(&p)
		}
		p.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, p.SealedBytes(b.Genesis.Hash())))
		return p.Bytes()
	}
	forged, err := wire.ParseUptimeProof(proof(2, nil))
	if err != nil {
		t.Fatal(err)
	}
	forged.Seal = wire.ServiceSignature(ed25519.Sign(b.Members[speaker].Service, forged.SealedBytes(b.Genesis.Hash())))
	window := view.State.Rules().AnchorWindow
	b.hears(engine.TopicUptime, []message{
		{"sealed by another's key", forged.Bytes(), validation.ProofSeal},
		{"of a stranger", proof(2, func(p *wire.UptimeProof) { p.ProTxHash = wire.Hash{1} }), validation.ProofUnregistered},
		{"with the number of the last one", proof(2, func(p *wire.UptimeProof) { p.Sequence = held.Proof.Sequence }), validation.ProofSequence},
		{"anchored a little too far below", proof(window+1, nil), validation.ProofAnchorNear},
		{"anchored far below", proof(window+params.BanHeightSlack+1, nil), validation.ProofAnchorFar},
		{"anchored above the tip", proof(-1, nil), validation.ProofAnchorAhead},
		{"anchored far above the tip", proof(-params.BanHeightSlack-1, nil), validation.ProofAnchorUnknown},
		{"anchored on another branch", proof(2, func(p *wire.UptimeProof) { p.AnchorHash[0] ^= 1 }), validation.ProofAnchorUnknown},
		{"with an address without a host", proof(2, func(p *wire.UptimeProof) { p.Addresses = []string{"/tcp/1"} }), validation.ProofAddress},
		{"cut short", proof(2, nil)[:60], validation.Malformed},
		{"good, as old as it may be", proof(window, nil), validation.Valid},
		{"another one at once", proof(2, func(p *wire.UptimeProof) { p.Sequence++ }), validation.ProofEarly},
		{"the last one, replayed", held.Proof.Bytes(), validation.ProofSequence},
	})
}

func TestMessages_Checkpoints(t *testing.T) {
	b := newListeners(t)
	m := b.Members[speaker]
	view := b.Node(0).Snapshot()
	tip := view.TipHeight()
	const due = 616
	if tip != 619 {
		t.Fatalf("tip %d, want 619", tip)
	}
	checkpoint := func(height int32, change func(*wire.Checkpoint)) []byte {
		c := wire.Checkpoint{Height: height, Voter: m.ProTxHash}
		c.BlockHash, _ = view.BlockAt(height)
		if below := view.Branch.At(height - params.CheckpointDepth); below != nil {
			c.StateRoot = below.State.Root()
		}
		if change != nil {
			change(&c)
		}
		c.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, c.SealedBytes(b.Genesis.Hash())))
		return c.Bytes()
	}
	forged, err := wire.ParseCheckpoint(checkpoint(due, nil))
	if err != nil {
		t.Fatal(err)
	}
	forged.Seal[0] ^= 1
	b.hears(engine.TopicCheckpoint, []message{
		{"of a height without duty", checkpoint(due-1, nil), validation.CheckpointMember},
		{"of a stranger", checkpoint(due, func(c *wire.Checkpoint) { c.Voter = wire.Hash{1} }), validation.CheckpointMember},
		{"of another branch", checkpoint(due, func(c *wire.Checkpoint) { c.BlockHash[0] ^= 1 }), validation.CheckpointBranch},
		{"of the next block", checkpoint(due+4, nil), validation.CheckpointEarly},
		{"of a block far above", checkpoint(due+12, nil), validation.CheckpointBranch},
		{"15 blocks old", checkpoint(due-12, func(c *wire.Checkpoint) { c.StateRoot[0] ^= 1 }), validation.CheckpointLate},
		{"19 blocks old", checkpoint(due-16, func(c *wire.Checkpoint) { c.StateRoot[0] ^= 1 }), validation.CheckpointExpired},
		{"with a wrong seal", forged.Bytes(), validation.CheckpointSeal},
		{"cut short", checkpoint(due, nil)[:100], validation.Malformed},
		{"good", checkpoint(due, nil), validation.Valid},
		{"with another root", checkpoint(due, func(c *wire.Checkpoint) { c.StateRoot[0] ^= 1 }), validation.CheckpointConflict},
		{"with a third root", checkpoint(due, func(c *wire.Checkpoint) { c.StateRoot[0] ^= 2 }), validation.CheckpointRepeated},
	})
	for _, i := range []int{0, 1} {
		if got := b.Value(i, "proctor_alarms_total", "kind", string(engine.AlarmCheckpoint)); got != 1 {
			t.Errorf("%s raised %v alarms, want 1", b.Members[i].Name, got)
		}
	}
}

// Whoever says it, the same message is judged the same: the identity of a
// service node is no excuse.
func TestMessages_InsidersAreJudgedAlike(t *testing.T) {
	b := newListeners(t)
	s := b.insider(4, 0)
	v := b.Vote(b.Members[speaker], b.ballot(13, wire.FailsUptime), wire.Evidence{})
	v.Seal[0] ^= 1
	s.Say(engine.TopicVote, v.Bytes())
	b.await("the verdict", func() bool { return b.judged(0, engine.TopicVote, validation.VoteSignature) == 1 })
	b.await("the ban", func() bool { return b.Node(0).Gossip().Banned(s.ID()) })
}
