package node_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

const secondBase = 48 // the base block of the second session; the first quorum is mined then

// follower is a member's node in a session that stands still, and the others'
// keys. The first node is a regular one, the second runs.
type follower struct {
	*node.Node
	network *testnet.Network
	past    *testnet.Simulation
	roster  *dkg.Roster
	topic   engine.Topic
}

// inSession runs a member's node with the tip at that offset from the base
// block. Nobody has spoken in the session yet but perhaps the node itself.
func inSession(t *testing.T, offset int32, change ...func(*node.Config)) follower {
	t.Helper()
	past := soFar(t, secondBase+offset)
	network, dir := past.Network, t.TempDir()
	if err := past.Save(1, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNode(t, network, dir, append([]func(*node.Config){func(c *node.Config) {
		m := network.Members[1]
		c.ProTxHash, c.Identity, c.OperatorKey = m.ProTxHash, m.Service, &m.Operator
	}}, change...)...)
	f := follower{Node: n, network: network, past: past}
	if tip := n.Snapshot().TipHeight(); tip != secondBase+offset {
		t.Fatalf("the tip is at %d, want %d", tip, secondBase+offset)
	}
	await(t, "the session", func() bool { return len(n.Snapshot().Sessions) == 1 })
	f.roster = n.Snapshot().Sessions[0]
	if base, _ := f.roster.Base(); base != secondBase || len(f.roster.Members()) != 5 {
		t.Fatalf("session of block %d with %d members, want %d with 5", base, len(f.roster.Members()), secondBase)
	}
	f.topic = engine.DKGTopic(f.roster.LLMQ().Type)
	return f
}

// soFar is a network of a regular node and five evonodes up to a height, whose
// second session nobody has spoken in.
func soFar(t *testing.T, height int32) (past *testnet.Simulation) {
	t.Helper()
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 6, Regular: 1, Profile: "spec", Slot: time.Hour, History: height + 1, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	past, err = network.Simulate(testnet.Link{Mute: func(_ int, p engine.Publication) bool {
		_, ofMembers := p.Topic.DKG()
		return ofMembers && past.Slot >= secondBase
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := past.Run(int(height)); err != nil {
		t.Fatal(err)
	}
	return past
}

// head begins a message of a node in the session.
func (f follower) head(m testnet.Member) wire.DKGHead {
	_, hash := f.roster.Base()
	return wire.DKGHead{Type: f.roster.LLMQ().Type, QuorumHash: hash, ProTxHash: m.ProTxHash}
}

// said is a message of a session, signed by m, as it travels.
func said(m testnet.Member, message wire.DKGMessage) []byte {
	return engine.DKGBytes(message.Signed(m.Operator.Sign(message.SignHash()).Bytes()))
}

func points(n, seed int) (vector []wire.OperatorKey) {
	for i := range n {
		vector = append(vector, bls.GenerateSecretKey([32]byte{1, byte(i), byte(seed)}).PublicKey().Bytes())
	}
	return vector
}

// Messages in the shape that the session demands, each number another one.

func (f follower) contribution(m testnet.Member, number int) wire.Contribution {
	q := f.roster.LLMQ()
	return wire.Contribution{DKGHead: f.head(m), Vector: points(q.Threshold, 0), Ephemeral: points(1, 1)[0], IVSeed: wire.Hash{byte(number)}, Shares: make([]wire.EncryptedShare, len(f.roster.Members()))}
}

func (f follower) complaint(m testnet.Member, number int) wire.Complaint {
	size := f.roster.LLMQ().Size
	c := wire.Complaint{DKGHead: f.head(m), BadMembers: make(wire.Bitset, size), ComplainFor: make(wire.Bitset, size)}
	c.BadMembers[number] = true
	return c
}

func (f follower) justification(m testnet.Member, number int) wire.Justification {
	return wire.Justification{DKGHead: f.head(m), Shares: []wire.RevealedShare{{Member: uint32(number), Share: [wire.SecretShareSize]byte{31: 1}}}}
}

func (f follower) commitment(m testnet.Member, number int) wire.PrematureCommitment {
	q := f.roster.LLMQ()
	c := wire.PrematureCommitment{
		DKGHead: f.head(m), ValidMembers: make(wire.Bitset, q.Size), PublicKey: points(1, 0)[0], VectorHash: wire.Hash{byte(number)},
		QuorumSignature: m.Operator.Sign([32]byte{1}).Bytes(),
	}
	for i := range q.MinSize {
		c.ValidMembers[i] = true
	}
	return c
}

// kinds are the messages of a session and the offset of the phase of each.
func kinds() map[string]struct {
	offset int32
	make   func(f follower, m testnet.Member, number int) wire.DKGMessage
} {
	type kind = struct {
		offset int32
		make   func(f follower, m testnet.Member, number int) wire.DKGMessage
	}
	return map[string]kind{
		"contribution":         {2, func(f follower, m testnet.Member, n int) wire.DKGMessage { return f.contribution(m, n) }},
		"complaint":            {4, func(f follower, m testnet.Member, n int) wire.DKGMessage { return f.complaint(m, n) }},
		"justification":        {6, func(f follower, m testnet.Member, n int) wire.DKGMessage { return f.justification(m, n) }},
		"premature commitment": {8, func(f follower, m testnet.Member, n int) wire.DKGMessage { return f.commitment(m, n) }},
	}
}

// What every message of a session can be wrong in, each in its own phase.
func TestAdmit_MessagesOfSessions(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inSession(t, kind.offset)
			regular, sender, other := f.network.Members[0], f.network.Members[2], f.network.Members[3]
			make := func(n int) wire.DKGMessage { return kind.make(f, sender, n) }
			good := said(sender, make(0))

			under := func(change func(*wire.DKGHead)) []byte {
				m := slices.Clone(said(sender, make(0)))
				head := f.head(sender)
				change(&head)
				m[1] = byte(head.Type)
				copy(m[2:], head.QuorumHash[:])
				copy(m[34:], head.ProTxHash[:])
				return m
			}
			branch := f.Snapshot().Branch
			first, middle := branch.At(24).Tip.Hash, branch.At(secondBase-1).Tip.Hash
			noSignature := make(0).Signed(wire.Signature{0xc0})

			judged(t, f.Node, f.topic, malformed(good)...)
			judged(t, f.Node, f.topic,
				attempt{"another kind", append([]byte{27}, good[1:]...), validation.Malformed},
				attempt{"another type", under(func(h *wire.DKGHead) { h.Type = 100 }), validation.DKGType},
				attempt{"no base block", under(func(h *wire.DKGHead) { h.QuorumHash = middle }), validation.DKGBase},
				attempt{"the session before", under(func(h *wire.DKGHead) { h.QuorumHash = first }), validation.DKGLate},
				attempt{"an unknown block", under(func(h *wire.DKGHead) { h.QuorumHash[0] ^= 1 }), validation.Unsure},
				attempt{"a regular node", said(regular, kind.make(f, regular, 0)), validation.DKGMember},
				attempt{"nobody", under(func(h *wire.DKGHead) { h.ProTxHash = wire.Hash{1} }), validation.DKGMember},
				attempt{"another's signature", said(other, make(0)), validation.DKGSignature},
				attempt{"no signature", engine.DKGBytes(noSignature), validation.DKGSignature},
				attempt{"good", good, validation.Valid},
				attempt{"again", good, validation.Duplicate},
				attempt{"another one", said(sender, make(1)), validation.DKGEquivocation},
				attempt{"that again", said(sender, make(1)), validation.Duplicate},
				attempt{"a third", said(sender, make(2)), validation.DKGThird},
				attempt{"of another member", said(other, kind.make(f, other, 0)), validation.Valid},
			)
			if v := f.JudgeOn(t.Context(), engine.DKGTopic(100), "misplaced", good); v != validation.DKGType.Verdict() {
				t.Errorf("on another topic: judged %s", v.Reason)
			}
			late := under(func(h *wire.DKGHead) { h.QuorumHash[0] ^= 1 })
			if v := f.JudgeHeld(t.Context(), f.topic, "late", late); v != validation.DKGUnknownBlock.Verdict() {
				t.Errorf("of a block that never came: judged %s", v.Reason)
			}
			for other, k := range kinds() {
				want := validation.Valid
				switch {
				case k.offset < kind.offset:
					want = validation.DKGLate
				case k.offset > kind.offset+2:
					want = validation.DKGEarly
				case k.offset == kind.offset:
					continue
				}
				m := f.network.Members[4]
				if v := f.JudgeOn(t.Context(), f.topic, engine.Peer(other), said(m, k.make(f, m, 0))); v != want.Verdict() {
					t.Errorf("%s in the phase of the %s: judged %s, want %s", other, name, v.Reason, want)
				}
			}
		})
	}
}

// What is wrong in the content of a message that its member has signed.
func TestAdmit_ShapesOfSessionMessages(t *testing.T) {
	for name, c := range map[string]struct {
		offset int32
		make   func(f follower, m testnet.Member) map[string]wire.DKGMessage
		want   validation.Reason
	}{
		"contributions": {2, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			short, few, twice := f.contribution(m, 0), f.contribution(m, 0), f.contribution(m, 0)
			short.Vector = short.Vector[1:]
			few.Shares = few.Shares[1:]
			twice.Vector[1] = twice.Vector[0]
			return map[string]wire.DKGMessage{"a short vector": short, "too few shares": few, "a point twice": twice}
		}, validation.Malformed},
		"complaints": {4, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			bad, shares := f.complaint(m, 0), f.complaint(m, 0)
			bad.BadMembers = append(bad.BadMembers, false)
			shares.ComplainFor = shares.ComplainFor[1:]
			return map[string]wire.DKGMessage{"too long": bad, "too short": shares}
		}, validation.Malformed},
		"justifications": {6, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			none, twice, beyond, zero := f.justification(m, 0), f.justification(m, 0), f.justification(m, 5), f.justification(m, 0)
			none.Shares = nil
			twice.Shares = append(twice.Shares, twice.Shares[0])
			zero.Shares[0].Share = [wire.SecretShareSize]byte{}
			return map[string]wire.DKGMessage{"of nothing": none, "twice": twice, "beyond the members": beyond, "no scalar": zero}
		}, validation.Malformed},
		"premature commitments": {8, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			long, few := f.commitment(m, 0), f.commitment(m, 0)
			long.ValidMembers = append(long.ValidMembers, false)
			few.ValidMembers[0] = false
			return map[string]wire.DKGMessage{"too long": long, "too few": few}
		}, validation.Malformed},
		"points of contributions": {2, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			vector, ephemeral := f.contribution(m, 0), f.contribution(m, 0)
			vector.Vector[0] = wire.OperatorKey{0xff}
			ephemeral.Ephemeral = wire.OperatorKey{0xc0}
			return map[string]wire.DKGMessage{"in the vector": vector, "ephemeral": ephemeral}
		}, validation.DKGPoint},
		"points of premature commitments": {8, func(f follower, m testnet.Member) map[string]wire.DKGMessage {
			signature := f.commitment(m, 0)
			signature.QuorumSignature = wire.Signature{0xc0}
			return map[string]wire.DKGMessage{"signature": signature}
		}, validation.DKGPoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inSession(t, c.offset)
			m := f.network.Members[2]
			for what, message := range c.make(f, m) {
				judged(t, f.Node, f.topic, attempt{what, said(m, message), c.want})
			}
		})
	}
}

// Who could be drawn joins the topics of sessions, and who watches. Others do
// not, and charge who tells them all the same.
func TestAdmit_OutsidersOfSessions(t *testing.T) {
	f := inSession(t, 2)
	data := said(f.network.Members[2], f.contribution(f.network.Members[2], 0))
	for name, c := range map[string]struct {
		change func(*node.Config)
		topics int
		want   validation.Reason
	}{
		"observer":     {func(*node.Config) {}, 0, validation.DKGOutsider},
		"watcher":      {func(c *node.Config) { c.Watch = true }, 1, validation.Valid},
		"regular node": {func(c *node.Config) { c.ProTxHash = f.network.Members[0].ProTxHash }, 0, validation.Valid},
		"newcomer":     {func(c *node.Config) { c.ProTxHash = wire.Hash{1} }, 1, validation.Valid},
	} {
		dir := t.TempDir()
		if err := f.past.Save(1, dir); err != nil {
			t.Fatal(err)
		}
		n, stop := startNode(t, f.network, dir, c.change)
		if got := len(n.MemberTopics()); got != c.topics {
			t.Errorf("%s: joins %d topics of members, want %d", name, got, c.topics)
		}
		judged(t, n, f.topic, attempt{name, data, c.want})
		stop()
	}
}

// A member that signs one message after the other is verified twice, whoever
// passes them on, and so is what everybody sends once more.
func TestAdmit_ThirdSessionMessagesAreNotVerified(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inSession(t, kind.offset)
			m, other := f.network.Members[2], f.network.Members[3]
			attempts := []attempt{
				{"first", said(m, kind.make(f, m, 0)), validation.Valid},
				{"second", said(m, kind.make(f, m, 1)), validation.DKGEquivocation},
				{"first again", said(m, kind.make(f, m, 0)), validation.Duplicate},
				{"second again", said(m, kind.make(f, m, 1)), validation.Duplicate},
			}
			for i := range 20 {
				attempts = append(attempts,
					attempt{fmt.Sprint("third ", i), said(m, kind.make(f, m, 2+i%3)), validation.DKGThird},
					attempt{fmt.Sprint("in its name ", i), said(other, kind.make(f, m, i%3)), validation.DKGThird})
			}
			judged(t, f.Node, f.topic, attempts...)
			if checks := value(t, f.Node, "proctor_verify_batch_size"); checks != 2 {
				t.Errorf("%v signatures checked, want 2", checks)
			}
		})
	}
}

// What is not kept is verified so often and no more, of each peer.
func TestAdmit_SessionMessagesOfOnePeerAreLimited(t *testing.T) {
	f := inSession(t, 2)
	m, other := f.network.Members[2], f.network.Members[3]
	most := 2 * len(f.roster.Members())
	for i := range most + 2 {
		want := validation.DKGSignature
		if i >= most {
			want = validation.DKGTooMany
		}
		if v := f.JudgeOn(t.Context(), f.topic, "greedy", said(other, f.contribution(m, i))); v != want.Verdict() {
			t.Errorf("message %d: judged %s, want %s", i, v.Reason, want)
		}
	}
	if v := validation.DKGTooMany.Verdict(); v.Points != 0 || v.Outcome != validation.Ignore {
		t.Errorf("too many messages of others: %+v, want nobody charged", v)
	}
	if checks := value(t, f.Node, "proctor_verify_batch_size"); checks != float64(most) {
		t.Errorf("%v signatures checked, want %d", checks, most)
	}
	for _, c := range []struct {
		name string
		from engine.Peer
		want validation.Reason
	}{{"greedy", "greedy", validation.DKGTooMany}, {"another peer", "modest", validation.Valid}} {
		if v := f.JudgeOn(t.Context(), f.topic, c.from, said(m, f.contribution(m, 0))); v != c.want.Verdict() {
			t.Errorf("%s: judged %s, want %s", c.name, v.Reason, c.want)
		}
	}
}

// The node itself speaks in the session: what it says is stored, and only that
// is let out.
func TestAdmit_OwnMessagesOfSessions(t *testing.T) {
	own := make(chan []byte, 1)
	f := inSession(t, 2, func(c *node.Config) {
		c.Mute = func(p engine.Publication) bool {
			if _, ofMembers := p.Topic.DKG(); ofMembers {
				select {
				case own <- p.Bytes:
				default:
				}
			}
			return true
		}
	})
	await(t, "a message of our own", func() bool { return len(own) == 1 })
	if !f.Stored(f.topic, <-own) {
		t.Error("a message of our own is not let out")
	}
	m := f.network.Members[1]
	if f.Stored(f.topic, nil) || f.Stored(f.topic, said(m, f.contribution(m, 0))) {
		t.Error("what was never stored is let out")
	}
}
