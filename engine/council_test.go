package engine

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// council is the engines of all members of one platform quorum, in virtual
// time. The blocks are made by a node that runs no engine, in every third slot.
type council struct {
	*network
	t      testing.TB
	size   int
	vector bls.VerificationVector
	state  state.State
	tip    chain.Tip
	chain  []wire.Block
	bases  map[int32]wire.Hash // of sessions, whose commitments are null
	rigs   []rig               // of members; Engine is nil while one is down
	queue  []parcel
	random *rand.Rand // order of delivery; nil: as they were sent

	lose func(p parcel) bool                          // what does not arrive
	kill func(i int, out *Effects) (cut int, ok bool) // stop it when so many writes are stored, before anything leaves
	dead func(i int, p Probe) string                  // why a platform endpoint does not answer to a member; nil: nobody is told anything

	alarms map[AlarmKind]int
	points map[Peer]int
	said   map[Topic]map[wire.Hash]int // publications, by id and by how many
	votes  map[vote]map[wire.Hash]bool // messages that members signed; of shares that left
}

// vote names what a member may sign once.
type vote struct {
	member int
	id     wire.Hash
}

// parcel is an input on its way.
type parcel struct {
	from, to int
	in       Input
}

// The nodes of a council are its members, then these.
const (
	victim   = iota // an evonode that is no member
	servant         // a regular masternode
	clerk           // the author of all blocks, a regular masternode
	servants        // how many there are
)

// councilNetwork has a platform quorum of so many from the start.
func councilNetwork(profile string, size, threshold int) (*network, bls.VerificationVector) {
	n := &network{genesis: chain.Genesis{
		Network: "devnet", Profile: profile, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), SlotMillis: 1000,
		LLMQs: []chain.GenesisLLMQ{{Type: params.TestPlatform, Size: size, Threshold: threshold}},
	}}
	polynomial := must(bls.NewPolynomial(threshold, seed("polynomial", size)))
	vector := polynomial.Commit()
	n.quorum = vector.PublicKey()
	var members []wire.Hash
	for i := range size + servants {
		s := seed("service", i)
		n.service = append(n.service, ed25519.NewKeyFromSeed(s[:]))
		n.operator = append(n.operator, seedOperator(i))
		g := chain.GenesisNode{
			ProTxHash:   proTx(i),
			Evo:         i <= size+victim,
			OperatorKey: wire.OperatorKey(n.operator[i].PublicKey().Bytes()),
			ServiceKey:  wire.ServiceKey(n.service[i].Public().(ed25519.PublicKey)),
			Addresses:   []string{fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", 1000+i)},
		}
		if g.Evo {
			g.Platform = endpointOf(i)
		}
		if i < size {
			id := must(bls.NewID(g.ProTxHash))
			n.members = append(n.members, id)
			n.shares = append(n.shares, must(polynomial.Share(id)))
			members = append(members, g.ProTxHash)
		}
		n.genesis.Nodes = append(n.genesis.Nodes, g)
	}
	n.genesis.Authorities = []wire.Hash{proTx(size + clerk), proTx(size + servant), proTx(size + victim)} // so that no block is final
	n.begin = n.beginWith(members)
	return n, vector
}

func endpointOf(i int) string { return fmt.Sprintf("tcp://127.0.0.1:%d", 2000+i) }

func newCouncil(t testing.TB, size, threshold int) *council {
	return newCouncilOf(t, "spec", size, threshold)
}

func newCouncilOf(t testing.TB, profile string, size, threshold int) *council {
	n, vector := councilNetwork(profile, size, threshold)
	c := &council{
		network: n, t: t, size: size, vector: vector, state: n.begin, tip: chain.Tip{Hash: n.genesis.Hash()}, bases: make(map[int32]wire.Hash),
		alarms: make(map[AlarmKind]int), points: make(map[Peer]int), said: make(map[Topic]map[wire.Hash]int), votes: make(map[vote]map[wire.Hash]bool),
	}
	for i := range size {
		r := stored(t, n, i)
		out := new(Effects)
		r.keepShare(state.QuorumKey(params.TestPlatform, testQuorum), keyShare{n.shares[i], vector}, out)
		r.disk.apply(out.Writes)
		c.rigs = append(c.rigs, r)
	}
	return c
}

// node is the index of one that is no member.
func (c *council) node(which int) int { return c.size + which }

func (c *council) down(i int) { c.rigs[i].Engine = nil }

func (c *council) up(i int) {
	c.t.Helper()
	c.rigs[i] = c.rigs[i].again(i)
	for _, b := range c.chain[c.rigs[i].Snapshot().Tip.Height:] {
		c.hear(i, b)
	}
	c.step(i, Tick{c.genesis.SlotStart(c.tip.Slot)})
}

// step feeds an input to a member and puts what it sends on its way.
func (c *council) step(i int, in Input) (validation.Verdict, *Effects) {
	c.t.Helper()
	out := new(Effects)
	c.rigs[i].Step(in, 7, out)
	c.commit(i, out)
	if len(out.Replies) == 0 {
		return validation.Verdict{}, out
	}
	return out.Replies[0].Verdict, out
}

// commit stores the effects of a member's step and sends what leaves.
func (c *council) commit(i int, out *Effects) {
	c.t.Helper()
	if out.Fatal != nil {
		c.t.Fatalf("member %d: %v", i, out.Fatal)
	}
	if c.kill != nil {
		if cut, ok := c.kill(i, out); ok {
			c.rigs[i].disk.apply(out.Writes[:cut])
			c.up(i)
			for from, r := range c.rigs { // peers show what bans they have to whoever comes
				for _, m := range r.Snapshot().Accepted.All() {
					c.send(from, i, Ban{Peer(fmt.Sprint(from)), m, wire.OperatorKey(c.quorum.Bytes())})
				}
			}
			return
		}
	}
	c.rigs[i].disk.apply(out.Writes)
	for _, a := range out.Alarms {
		c.alarms[a.Kind]++
	}
	for _, p := range out.Charges {
		c.points[p.Peer] += p.Points
	}
	for _, m := range out.Shares {
		for _, x := range m.Shares {
			c.leaves(i, x)
		}
		c.send(i, c.nodeOf(m.To), Shares{Peer(fmt.Sprint(i)), proTx(i), m.Shares})
	}
	for _, r := range out.Replies {
		if r.Share != nil {
			c.leaves(i, *r.Share)
		}
	}
	for _, p := range out.Probes {
		if c.dead != nil && p.Service == Platform {
			c.send(i, i, Probed{p, c.dead(i, p)})
		}
	}
	for _, p := range out.Publications {
		if c.said[p.Topic] == nil {
			c.said[p.Topic] = make(map[wire.Hash]int)
		}
		c.said[p.Topic][wire.DoubleHash(p.Bytes)]++
		if in := c.input(i, p); in != nil {
			for to := range c.rigs {
				if to != i {
					c.send(i, to, in)
				}
			}
		}
	}
}

// leaves holds every share that leaves to the one rule of signing: it was
// written down, and nothing else was ever signed for that request.
func (c *council) leaves(i int, x wire.SigShare) {
	c.t.Helper()
	key := vote{i, x.ID}
	if c.votes[key] == nil {
		c.votes[key] = make(map[wire.Hash]bool)
	}
	if c.votes[key][x.MessageHash] = true; len(c.votes[key]) > 1 {
		c.t.Fatalf("member %d signed two messages for request %s", i, x.ID)
	}
	stored := c.rigs[i].disk[KindSigned][string(requestKey(x.Type, x.ID))]
	if v, err := signing.ParseVote(stored); err != nil || v.MessageHash != x.MessageHash {
		c.t.Fatalf("member %d sends a share of %s, stored is %+v, %v", i, x.MessageHash, v, err)
	}
}

func (c *council) send(from, to int, in Input) {
	if p := (parcel{from, to, in}); to < c.size && (c.lose == nil || !c.lose(p)) {
		c.queue = append(c.queue, p)
	}
}

// input is what the validators of a node make of a message.
func (c *council) input(from int, p Publication) Input {
	peer := Peer(fmt.Sprint(from))
	switch p.Topic {
	case TopicRecovered:
		r := must(wire.ParseRecoveredSig(p.Bytes))
		if c.first(p) && !bls.Verify(c.quorum, r.SignHash(), must(bls.ParseSignature(r.Signature))) {
			c.t.Fatalf("member %d publishes a signature that is not the quorum's", from)
		}
		return Recovered{peer, r, wire.OperatorKey(c.quorum.Bytes())}
	case TopicPlatformBan:
		m := must(wire.ParsePlatformBan(p.Bytes))
		if c.first(p) && !bls.Verify(c.quorum, m.SignHash(params.TestPlatform), must(bls.ParseSignature(m.Signature))) {
			c.t.Fatalf("member %d publishes a ban that is not the quorum's", from)
		}
		return Ban{peer, m, wire.OperatorKey(c.quorum.Bytes())}
	case TopicUptime:
		proof := must(wire.ParseUptimeProof(p.Bytes))
		n, _ := c.state.Node(proof.ProTxHash)
		return Proof{peer, proof, n.ServiceKey}
	default:
		return nil
	}
}

// first reports whether a message was never published before.
func (c *council) first(p Publication) bool { return c.said[p.Topic][wire.DoubleHash(p.Bytes)] == 1 }

// deliver carries until nothing is under way.
func (c *council) deliver() {
	c.t.Helper()
	for len(c.queue) > 0 {
		at := 0
		if c.random != nil {
			at = c.random.IntN(len(c.queue))
		}
		p := c.queue[at]
		c.queue = slices.Delete(c.queue, at, at+1)
		if c.rigs[p.to].Engine != nil {
			c.step(p.to, p.in)
		}
	}
}

// block makes the next block of the branch, each session's result is null.
func (c *council) block(events ...wire.Event) wire.Block {
	height := c.tip.Height + 1
	content := wire.Content{Events: events}
	var sessions []state.Session
	for _, q := range c.state.LLMQs() {
		if base, due := dkg.MiningBase(q, height); due {
			content.Commitments = append(content.Commitments, wire.NullCommitment(wire.CommitmentBasic, q.Type, c.bases[base], 0, q.Size))
			sessions = append(sessions, state.Session{Base: base})
		}
	}
	b := wire.Block{
		Header:  wire.Header{Height: height, Slot: c.tip.Slot + 3, Parent: c.tip.Hash, StateRoot: c.state.Root(), Content: content.Hash()},
		Content: content,
	}
	b.Header.Signature = wire.ServiceSignature(ed25519.Sign(c.service[c.node(clerk)], b.Header.SignedBytes()))
	next, _, err := c.state.Apply(b, sessions...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.state, c.tip = next, chain.Tip{Height: height, Slot: b.Header.Slot, Hash: b.Header.Hash()}
	c.bases[height] = c.tip.Hash
	c.chain = append(c.chain, b)
	return b
}

// hear feeds a block to a member at its slot.
func (c *council) hear(i int, b wire.Block) {
	c.t.Helper()
	if c.rigs[i].Engine == nil {
		return
	}
	c.step(i, Tick{c.genesis.SlotStart(b.Header.Slot)})
	if v, _ := c.step(i, Block{Block: b}); !v.OK() && v.Reason != validation.Duplicate {
		c.t.Fatalf("member %d, block %d: %s", i, b.Header.Height, v.Reason)
	}
}

// next is one block that everybody hears, and all that follows from it.
func (c *council) next(events ...wire.Event) {
	c.t.Helper()
	b := c.block(events...)
	for i := range c.rigs {
		c.hear(i, b)
	}
	c.deliver()
}

// meet brings all members in contact.
func (c *council) meet() {
	for i := range c.rigs {
		for j := range c.rigs {
			if i != j {
				c.step(i, PeerTip{Peer: Peer(fmt.Sprint(j))})
			}
		}
	}
}

// until lets blocks pass.
func (c *council) until(height int32) {
	c.t.Helper()
	for c.tip.Height < height {
		c.next()
	}
}

// ask is a member's operator who asks for a ban.
func (c *council) ask(i, node int) {
	c.t.Helper()
	c.want(i, RequestBan{ProTxHash: proTx(node)}, validation.Valid)
}

func (c *council) want(i int, in Input, reason validation.Reason) {
	c.t.Helper()
	if v, _ := c.step(i, in); v != reason.Verdict() {
		c.t.Errorf("member %d, %T at %d: verdict %+v, want %+v", i, in, c.tip.Height, v, reason.Verdict())
	}
}

// wantFlags compares at which height each running member has a node flagged.
func (c *council) wantFlags(what string, node int, height int32) {
	c.t.Helper()
	for i, r := range c.rigs {
		if r.Engine == nil {
			continue
		}
		if f := r.flagOf(node); f.BannedHeight != height {
			c.t.Errorf("%s: member %d at %d has node %d flagged at %d, want %d", what, i, c.tip.Height, node, f.BannedHeight, height)
		}
	}
}

// share is a member's share of a request.
func (c *council) share(member int, r signing.Request) wire.SigShare {
	x := wire.SigShare{Type: params.TestPlatform, QuorumHash: testQuorum, Member: uint16(member), ID: r.ID, MessageHash: r.MessageHash}
	x.Signature = c.shares[member].Sign(x.SignHash()).Bytes()
	return x
}

// collector returns the member that is the k-th to collect shares of a request.
func (c *council) collector(id wire.Hash, k int) int {
	var members []wire.Hash
	for i := range c.size {
		members = append(members, proTx(i))
	}
	slices.SortFunc(members, func(a, b wire.Hash) int {
		x, y := wire.DoubleHash(a[:], id[:]), wire.DoubleHash(b[:], id[:])
		return slices.Compare(x[:], y[:])
	})
	return c.nodeOf(members[k])
}

// banOf is the request that a ban of a node at a height makes.
func banOf(node int, height int32) signing.Request {
	return signing.BanRequest(wire.PlatformBan{ProTxHash: proTx(node), SignedHeight: height})
}
