package node_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// attempt is a message of one topic and what becomes of it, one after the other.
type attempt struct {
	name string
	data []byte
	want validation.Reason
}

// judged offers messages, each as a peer of its own, and looks at its account.
// What is taken is afterwards known as stored, nothing else is.
func judged(t *testing.T, n *node.Node, topic engine.Topic, attempts ...attempt) {
	t.Helper()
	for _, o := range attempts {
		was := n.Stored(topic, o.data)
		from := engine.Peer(topic.String() + " " + o.name)
		v := n.JudgeOn(t.Context(), topic, from, o.data)
		if v != o.want.Verdict() {
			t.Errorf("%s: judged %s, want %s", o.name, v.Reason, o.want)
			continue
		}
		if got := n.Stored(topic, o.data); got != (was || v.Taken()) {
			t.Errorf("%s: stored %t, before %t, judged %s", o.name, got, was, v.Reason)
		}
		if v.Points == 0 {
			n.Settle(t.Context())
			if a, charged := n.Snapshot().Account(from); charged {
				t.Errorf("%s: %s is charged: %+v", o.name, v.Reason, a)
			}
			continue
		}
		await(t, "the charge for "+o.name, func() bool {
			_, charged := n.Snapshot().Account(from)
			_, banned := n.Snapshot().PeerBan(from)
			return charged || banned
		})
		a, _ := n.Snapshot().Account(from)
		if _, banned := n.Snapshot().PeerBan(from); banned != (v.Points >= params.PointsBan) || !banned && a.Points != v.Points {
			t.Errorf("%s: account %+v, banned %t, want %d points", o.name, a, banned, v.Points)
		}
	}
}

// malformed are messages that no encoder makes: of every topic one byte short,
// one byte long, none at all, and as long as pubsub lets through.
func malformed(good []byte) (attempts []attempt) {
	for name, data := range map[string][]byte{
		"empty": {}, "short": good[:len(good)-1], "long": append(slices.Clone(good), 0), "as long as may be": make([]byte, 200<<10),
	} {
		attempts = append(attempts, attempt{name, data, validation.Malformed})
	}
	return attempts
}

// frozen runs an observer of a network whose chain stands still and whose
// members were never heard but for their blocks.
func frozen(t *testing.T) (*testnet.Network, *node.Node) {
	t.Helper()
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 5, Regular: 1, Profile: "spec", Slot: time.Hour, History: 620, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	past, err := network.Simulate(testnet.Link{Mute: func(_ int, p engine.Publication) bool { return p.Topic != engine.TopicBlock }}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := past.Run(int(network.Genesis.SlotAt(time.Now())) - 1); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := past.Save(0, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNode(t, network, dir)
	return network, n
}

func TestAdmit_Events(t *testing.T) {
	network, n := frozen(t)
	update := network.Announce(network.Members[1], 0)
	good := update.Bytes()
	operator, encoding, foreign, repeated, unknown := update, update, update, update, update
	operator.Signature = network.Announce(network.Members[2], 0).Signature
	encoding.Signature = wire.Signature{0xc0}
	foreign.Network = wire.Hash{1}
	repeated.Sequence = 2
	unknown.ProTxHash = wire.Hash{1}
	other := network.Announce(network.Members[1], 0)
	other.Addresses = other.Addresses[:1]
	other.Signature = wire.Signature(network.Members[1].Operator.Sign(other.SignHash()).Bytes())

	staker, service := network.Exit(network.Members[2], network.Members[2].ProTxHash, 0), network.Register(network.Members[3], testnet.StakingRequirement, 0)
	exit := staker.Bytes()
	staker.Signature[0] ^= 1
	service.ServiceProof[0] ^= 1

	judged(t, n, engine.TopicEvent, malformed(good)...)
	judged(t, n, engine.TopicEvent,
		attempt{"another network", foreign.Bytes(), validation.EventNetwork},
		attempt{"another sequence number", repeated.Bytes(), validation.EventSequence},
		attempt{"an unknown node", unknown.Bytes(), validation.EventRefused},
		attempt{"another operator", operator.Bytes(), validation.EventSignature},
		attempt{"no signature", encoding.Bytes(), validation.EventSignature},
		attempt{"another staker", staker.Bytes(), validation.EventSignature},
		attempt{"keys in use", service.Bytes(), validation.EventRefused},
		attempt{"good", good, validation.Valid},
		attempt{"again", good, validation.Duplicate},
		attempt{"while another waits", other.Bytes(), validation.EventWaiting},
		attempt{"a staker's", exit, validation.Valid},
	)
}

func TestAdmit_Proofs(t *testing.T) {
	network, n := frozen(t)
	tip := n.Snapshot().Tip
	anchored := func(m testnet.Member, change ...func(*wire.UptimeProof)) []byte {
		p := wire.UptimeProof{
			ProTxHash: m.ProTxHash, Sequence: 9, AnchorHeight: tip.Height, AnchorHash: tip.Hash,
			Protocol: wire.ProtocolVersion, Agent: "test", Addresses: m.Addresses(),
		}
		for _, f := range change {
			f(&p)
		}
		p.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, p.SealedBytes(network.Genesis.Hash())))
		return p.Bytes()
	}
	stolen := network.Members[2]
	stolen.ProTxHash = network.Members[1].ProTxHash
	stranger := network.Members[1]
	stranger.ProTxHash = wire.Hash{1}
	good := anchored(network.Members[1])
	unsealed := slices.Clone(anchored(network.Members[2]))
	unsealed[len(unsealed)-1] ^= 1

	judged(t, n, engine.TopicUptime, malformed(good)...)
	judged(t, n, engine.TopicUptime,
		attempt{"an unknown node", anchored(stranger), validation.ProofUnregistered},
		attempt{"another's seal", anchored(stolen), validation.ProofSeal},
		attempt{"a broken seal", unsealed, validation.ProofSeal},
		attempt{"no host", anchored(network.Members[1], func(p *wire.UptimeProof) { p.Addresses = []string{"/memory/1"} }), validation.ProofAddress},
		attempt{"anchored ahead", anchored(network.Members[1], func(p *wire.UptimeProof) { p.AnchorHeight++ }), validation.ProofAnchorAhead},
		attempt{"anchored far ahead", anchored(network.Members[1], func(p *wire.UptimeProof) { p.AnchorHeight += 6 }), validation.ProofAnchorUnknown},
		attempt{"another branch", anchored(network.Members[1], func(p *wire.UptimeProof) { p.AnchorHash[0] ^= 1 }), validation.ProofAnchorUnknown},
		attempt{"anchored long ago", anchored(network.Members[1], func(p *wire.UptimeProof) { p.AnchorHeight -= 100 }), validation.ProofAnchorFar},
		attempt{"good", good, validation.Valid},
		attempt{"again", good, validation.Duplicate},
		attempt{"an old sequence number", anchored(network.Members[1], func(p *wire.UptimeProof) { p.Sequence = 8 }), validation.ProofSequence},
		attempt{"too soon", anchored(network.Members[1], func(p *wire.UptimeProof) { p.Sequence = 10 }), validation.ProofEarly},
	)
}

func TestAdmit_Votes(t *testing.T) {
	network, n := frozen(t)
	if value(t, n, "proctor_alarms_total") != 0 {
		t.Error("alarms before anything happened")
	}
	q := n.Snapshot().TipHeight() - params.VoteDelay
	link := n.Snapshot().Branch.At(q)
	if !link.Draw.Target(network.Members[2].ProTxHash) || len(link.Draw.Testers) != 5 {
		t.Fatalf("draw %+v: want every node as tester and target", link.Draw)
	}
	about := func(m testnet.Member, a wire.Answer) wire.Ballot {
		return wire.Ballot{Height: q, BlockHash: link.Tip.Hash, ProTxHash: m.ProTxHash, Answer: a}
	}
	voter, subject := network.Members[1], network.Members[2]
	vote := network.Vote(voter, about(subject, wire.FailsUptime), wire.Evidence{})
	good := vote.Bytes()
	unsealed, unsigned, resealed := vote, vote, vote
	unsealed.Seal[0] ^= 1
	unsigned.Signature = network.Vote(network.Members[3], vote.Ballot, wire.Evidence{}).Signature
	unsigned.Seal = wire.ServiceSignature(ed25519.Sign(voter.Service, unsigned.SealedBytes(network.Genesis.Hash())))
	resealed.Evidence.First++
	resealed.Seal = wire.ServiceSignature(ed25519.Sign(voter.Service, resealed.SealedBytes(network.Genesis.Hash())))
	later, branch := vote.Ballot, vote.Ballot
	later.Height = n.Snapshot().TipHeight() + 1
	branch.BlockHash[0] ^= 1
	old := vote.Ballot
	old.Height = n.Snapshot().TipHeight() - 100
	stranger := voter
	stranger.ProTxHash = wire.Hash{1}
	cast := func(m testnet.Member, b wire.Ballot) []byte { return network.Vote(m, b, wire.Evidence{}).Bytes() }

	judged(t, n, engine.TopicVote, malformed(good)...)
	checks := value(t, n, "proctor_verify_batch_size")
	judged(t, n, engine.TopicVote,
		attempt{"no tester", cast(stranger, vote.Ballot), validation.VoteMember},
		attempt{"about itself", cast(voter, about(voter, wire.FailsUptime)), validation.VoteTarget},
		attempt{"above our tip", cast(voter, later), validation.VoteEarly},
		attempt{"another branch", cast(voter, branch), validation.VoteUnknownQuorum},
		attempt{"long ago", cast(voter, old), validation.VoteExpired},
		attempt{"a broken seal", unsealed.Bytes(), validation.VoteSignature},
	)
	if now := value(t, n, "proctor_verify_batch_size"); now != checks {
		t.Errorf("%v signatures were checked where a cheaper rule decides", now-checks)
	}
	judged(t, n, engine.TopicVote,
		attempt{"another's signature", unsigned.Bytes(), validation.VoteSignature},
		attempt{"good", good, validation.Valid},
		attempt{"again", good, validation.Duplicate},
		attempt{"other evidence", resealed.Bytes(), validation.VoteRepeated},
		attempt{"another voter", cast(network.Members[3], vote.Ballot), validation.Valid},
		attempt{"against its own", cast(voter, about(subject, wire.Passes)), validation.VoteConflict},
	)
	await(t, "the alarm", func() bool { return value(t, n, "proctor_alarms_total", "kind", "misconduct") == 1 })
	if got := value(t, n, "proctor_alarms_total"); got != 1 {
		t.Errorf("%v alarms, want 1", got)
	}
}

func TestAdmit_Checkpoints(t *testing.T) {
	network, n := frozen(t)
	tip := n.Snapshot().TipHeight()
	q := tip - tip%params.CheckpointEvery
	mark := func(height int32) quorum.Mark {
		b := n.Snapshot().Branch
		return quorum.Mark{BlockHash: b.At(height).Tip.Hash, StateRoot: b.At(height - params.CheckpointDepth).State.Root()}
	}
	sealed := func(m testnet.Member, height int32, at quorum.Mark) []byte {
		return quorum.NewCheckpoint(network.Genesis.Hash(), height, at, m.ProTxHash, func(b []byte) wire.ServiceSignature {
			return wire.ServiceSignature(ed25519.Sign(m.Service, b))
		}).Bytes()
	}
	voter := network.Members[1]
	good := sealed(voter, q, mark(q))
	unsealed := slices.Clone(good)
	unsealed[len(unsealed)-1] ^= 1
	stranger := voter
	stranger.ProTxHash = wire.Hash{1}
	root, third, branch := mark(q), mark(q), mark(q)
	root.StateRoot[0] ^= 1
	third.StateRoot[0] ^= 2
	branch.BlockHash[0] ^= 1
	next := q + params.CheckpointEvery

	judged(t, n, engine.TopicCheckpoint, malformed(good)...)
	judged(t, n, engine.TopicCheckpoint,
		attempt{"no due height", sealed(voter, q-1, mark(q-1)), validation.CheckpointMember},
		attempt{"no tester", sealed(stranger, q, mark(q)), validation.CheckpointMember},
		attempt{"another branch", sealed(voter, q, branch), validation.CheckpointBranch},
		attempt{"ahead", sealed(voter, next, mark(q)), validation.CheckpointEarly},
		attempt{"far ahead", sealed(voter, next+8, mark(q)), validation.CheckpointBranch},
		attempt{"long ago", sealed(voter, q-40, mark(q-40)), validation.CheckpointExpired},
		attempt{"a broken seal", unsealed, validation.CheckpointSeal},
		attempt{"good", good, validation.Valid},
		attempt{"again", good, validation.Duplicate},
		attempt{"another root", sealed(voter, q, root), validation.CheckpointConflict},
		attempt{"a third root", sealed(voter, q, third), validation.CheckpointRepeated},
		attempt{"another voter with another root", sealed(network.Members[2], q, root), validation.Valid},
	)
	await(t, "the alarms", func() bool { return value(t, n, "proctor_alarms_total", "kind", "checkpoint") == 2 })
}

func TestAdmit_Blocks(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	forged, empty := x.blocks[0], x.blocks[0]
	forged.Header.Signature[0] ^= 1
	empty.Header.StateRoot[0] ^= 1
	author := x.Members[empty.Header.Slot%uint64(len(x.Genesis.Authorities))]
	empty.Header.Signature = wire.ServiceSignature(ed25519.Sign(author.Service, empty.Header.SignedBytes()))
	judged(t, n, engine.TopicBlock, malformed(x.blocks[0].Bytes())...)
	judged(t, n, engine.TopicBlock,
		attempt{"another author", forged.Bytes(), validation.BlockAuthor},
		attempt{"another root", empty.Bytes(), validation.BlockContent},
		attempt{"an orphan", x.blocks[1].Bytes(), validation.BlockOrphan},
		attempt{"good", x.blocks[0].Bytes(), validation.Valid},
		attempt{"again", x.blocks[0].Bytes(), validation.Duplicate},
	)
}

// Our own operator's event is judged as a peer's, and nobody is charged.
func TestSubmitEvent(t *testing.T) {
	network, n := frozen(t)
	e := network.Announce(network.Members[1], 0)
	bad, other := e, e
	bad.Signature[5] ^= 1
	other.Addresses = other.Addresses[:1]
	other.Signature = wire.Signature(network.Members[1].Operator.Sign(other.SignHash()).Bytes())
	for _, c := range []struct {
		event wire.Event
		want  validation.Reason
	}{{bad, validation.EventSignature}, {e, validation.Valid}, {e, validation.Duplicate}, {other, validation.Valid}} {
		if v := n.SubmitEvent(t.Context(), c.event); v.Reason != c.want {
			t.Errorf("judged %s, want %s", v.Reason, c.want)
		}
	}
	if !n.Stored(engine.TopicEvent, other.Bytes()) || n.Stored(engine.TopicEvent, e.Bytes()) || n.Stored(engine.TopicEvent, bad.Bytes()) {
		t.Error("what waits is not what the operator thought of last")
	}
	if s := n.Snapshot(); s.Accounts.Len() != 0 || s.PeerBans.Len() != 0 {
		t.Error("somebody was charged")
	}
}

// follow makes the block of a network's only author that follows a view's tip.
func follow(t *testing.T, network *testnet.Network, view *engine.Snapshot, change ...func(*wire.Header)) wire.Block {
	t.Helper()
	b := wire.Block{Header: wire.Header{
		Height: view.Tip.Height + 1, Slot: view.Tip.Slot + 1, Parent: view.Tip.Hash, StateRoot: view.State.Root(), Content: wire.Content{}.Hash(),
	}}
	for _, f := range change {
		f(&b.Header)
	}
	b.Header.Signature = wire.ServiceSignature(ed25519.Sign(network.Members[0].Service, b.Header.SignedBytes()))
	return b
}

// What came a moment too early is taken when its block has come, and a forger
// is found out then.
func TestRoom_JudgesWhatCameBeforeItsBlock(t *testing.T) {
	network, n := frozen(t)
	next := follow(t, network, n.Snapshot())
	proof := func(m testnet.Member) wire.UptimeProof {
		p := wire.UptimeProof{
			ProTxHash: m.ProTxHash, Sequence: 9, AnchorHeight: next.Header.Height, AnchorHash: next.Header.Hash(),
			Protocol: wire.ProtocolVersion, Agent: "test", Addresses: m.Addresses(),
		}
		p.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, p.SealedBytes(network.Genesis.Hash())))
		return p
	}
	good, forged := proof(network.Members[1]), proof(network.Members[2])
	forged.Seal[0] ^= 1
	judged(t, n, engine.TopicUptime,
		attempt{"good", good.Bytes(), validation.ProofAnchorAhead},
		attempt{"forged", forged.Bytes(), validation.ProofAnchorAhead},
	)
	await(t, "both to wait", func() bool { return value(t, n, "proctor_early_messages") == 2 })
	feed(t, n, next)
	await(t, "the proof to be taken", func() bool { return n.Stored(engine.TopicUptime, good.Bytes()) })
	await(t, "the forger to be found out", func() bool { _, banned := n.Snapshot().PeerBan("uptime forged"); return banned })
	await(t, "the room to be empty", func() bool { return value(t, n, "proctor_early_messages") == 0 })
	if n.Stored(engine.TopicUptime, forged.Bytes()) {
		t.Error("a forged proof is stored")
	}
	if _, charged := n.Snapshot().Account("uptime good"); charged || value(t, n, "proctor_early_messages_lost_total") != 0 {
		t.Error("a proof was lost, or its sender charged")
	}
}

// Two final blocks that contradict each other stop the node with that error.
// Nothing of their batch is stored, and nobody gets an answer.
func TestNode_StopsOnAFatalEffect(t *testing.T) {
	past, dir := frozenNetwork(t, 4, "spec")
	network := past.Network
	var commits atomic.Int32
	n, err := node.New(node.Config{
		Genesis: network.Genesis, Identity: network.Members[0].Service, DataDir: dir,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
		Faults: func(disk store.Committing) store.Committing { return counting{disk, &commits} },
	})
	if err != nil {
		t.Fatal(err)
	}
	view := n.Snapshot()
	below := view.Branch.At(view.TipHeight() - 1)
	good := follow(t, network, view)
	rival := follow(t, network, view, func(h *wire.Header) { // of the only author: both are final at once
		h.Height, h.Parent, h.StateRoot = view.Tip.Height, below.Tip.Hash, below.State.Root()
	})
	n.Queue(engine.Tick{Now: time.Now()})
	n.Queue(engine.Reached{Peer: "somebody", Addresses: []string{"/ip4/127.0.0.1/tcp/1"}})
	n.Queue(engine.Block{Block: good})
	n.Queue(engine.Block{Block: rival})
	n.Queue(engine.Reached{Peer: "somebody else", Addresses: []string{"/ip4/127.0.0.1/tcp/1"}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.Run(ctx); !errors.Is(err, chain.ErrConflict) {
		t.Fatalf("stopped with %v, want %v", err, chain.ErrConflict)
	}
	if n.Snapshot().Tip != view.Tip || commits.Load() > 1 { // the first batch is a tick of its own
		t.Errorf("tip %d after %d commits, want %d and at most 1", n.Snapshot().TipHeight(), commits.Load(), view.TipHeight())
	}
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, kind := range []engine.Kind{engine.KindContact, engine.KindBlock} {
		err := s.Walk(kind, nil, func(key, _ []byte) error {
			if kind == engine.KindContact || binary.BigEndian.Uint32(key) > uint32(view.TipHeight()) {
				t.Errorf("record %x of kind %d is stored", key, kind)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// counting counts the commits that write something.
type counting struct {
	store.Committing
	n *atomic.Int32
}

func (c counting) Commit(w []engine.Write) error {
	c.n.Add(1)
	return c.Committing.Commit(w)
}
