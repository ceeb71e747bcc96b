package engine

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// hall is a network of engines in one process, in which sessions take place.
// In each slot everybody is told the time, and everything that is said reaches
// everybody at once, in one order, unless a test says otherwise.
type hall struct {
	*network
	t    testing.TB
	rigs []rig
	slot uint64

	pass  func(from, to int, p Publication) bool // whether a message gets there; nil: all do
	lie   func(from int, p Publication) []Publication
	probe func(from int, p Probe) (failed string, answered bool) // nil: nobody tries anything
	told  []said                                                 // everything that was said, before lies
	made  []Connected

	good   map[wire.Hash]bool // what was verified before: it is the same for everybody
	verify chain.Verifier
}

type said struct {
	from int
	slot uint64
	Publication
}

// hallNetwork is a network of that many evonodes with addresses, all of them
// authorities, and these types of quorums.
func hallNetwork(size int, llmqs ...chain.GenesisLLMQ) *network {
	n := &network{genesis: chain.Genesis{
		Network: "devnet", Profile: "core", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), SlotMillis: 1000, LLMQs: llmqs,
	}}
	for i := range size {
		s := seed("service", i)
		n.service = append(n.service, ed25519.NewKeyFromSeed(s[:]))
		n.operator = append(n.operator, bls.GenerateSecretKey(seed("operator", i)))
		n.genesis.Nodes = append(n.genesis.Nodes, chain.GenesisNode{
			ProTxHash:   proTx(i),
			Evo:         true,
			OperatorKey: wire.OperatorKey(n.operator[i].PublicKey().Bytes()),
			ServiceKey:  wire.ServiceKey(n.service[i].Public().(ed25519.PublicKey)),
			Addresses:   []string{"/ip4/127.0.0.1/udp/9999/quic-v1"},
		})
		n.genesis.Authorities = append(n.genesis.Authorities, proTx(i))
	}
	return n
}

// platform is the platform type in the shape of that many members.
func platform(size, threshold int) chain.GenesisLLMQ {
	return chain.GenesisLLMQ{Type: params.TestPlatform, Size: size, Threshold: threshold}
}

func newHall(t testing.TB, n *network) *hall {
	t.Helper()
	h := &hall{network: n, t: t, good: make(map[wire.Hash]bool), verify: remembering()}
	for i := range n.service {
		h.rigs = append(h.rigs, rig{network: n, t: t, disk: make(records)})
		h.up(i)
	}
	return h
}

// branchOff is a hall whose nodes begin with what those of h have stored.
func (h *hall) branchOff() *hall {
	other := &hall{network: h.network, t: h.t, slot: h.slot, pass: h.pass, lie: h.lie, good: h.good, verify: h.verify}
	other.rigs = make([]rig, len(h.rigs))
	for i, r := range h.rigs {
		other.rigs[i] = rig{network: h.network, t: h.t, disk: r.disk.clone()}
		other.up(i)
	}
	return other
}

// up starts a node on what it has stored, and down stops it.
func (h *hall) up(i int) {
	h.t.Helper()
	c := h.configOf(i)
	c.Verify = h.verify
	e, out, err := Restore(c, h.rigs[i].disk)
	if err != nil {
		h.t.Fatalf("node %d: %v", i, err)
	}
	h.rigs[i].Engine = e
	h.rigs[i].disk.apply(out.Writes)
	if h.slot > 0 {
		h.deliver(i, h.feedTo(i, Tick{h.now()}))
	}
	h.meet(i)
}

// meet connects a node with all others, and part disconnects it.
func (h *hall) meet(i int) {
	h.t.Helper()
	for j, r := range h.rigs {
		if j != i && r.Engine != nil {
			h.deliver(i, h.feedTo(i, PeerTip{Peer: peerOf(j), Height: r.tree.Tip().Height}))
			h.deliver(j, h.feedTo(j, PeerTip{Peer: peerOf(i), Height: h.rigs[i].tree.Tip().Height}))
		}
	}
}

func (h *hall) part(i int) {
	h.t.Helper()
	for j, r := range h.rigs {
		if j != i && r.Engine != nil {
			h.feedTo(j, PeerGone{peerOf(i)})
		}
		if h.rigs[i].Engine != nil {
			h.feedTo(i, PeerGone{peerOf(j)})
		}
	}
}

func (h *hall) down(i int) {
	h.rigs[i].Engine = nil
	h.part(i)
}

func (h *hall) again(i int) {
	h.down(i)
	h.up(i)
}

func peerOf(i int) Peer { return Peer(fmt.Sprintf("node-%d", i)) }

func (h *hall) now() time.Time { return h.genesis.SlotStart(h.slot).Add(h.genesis.Slot() / 2) }

// feedTo steps a node and answers its fetches.
func (h *hall) feedTo(i int, in Input) *Effects {
	h.t.Helper()
	_, out := h.rigs[i].feed(in)
	if out.Fatal != nil {
		h.t.Fatalf("node %d: %v", i, out.Fatal)
	}
	if i == 0 {
		h.made = append(h.made, out.Connected...)
	}
	for _, p := range out.Probes {
		if h.probe == nil {
			break
		}
		if failed, answered := h.probe(i, p); answered {
			h.deliver(i, h.feedTo(i, Probed{p, failed}))
		}
	}
	for _, f := range out.Fetches {
		var j int
		fmt.Sscanf(string(f.Peer), "node-%d", &j)
		var blocks []wire.Block
		if from := h.rigs[j].Engine; from != nil {
			for height := f.Range.From; len(blocks) < int(f.Range.Count); height++ {
				l := from.branch.At(height)
				if l == nil {
					break
				}
				blocks = append(blocks, l.Block)
			}
		}
		h.deliver(i, h.feedTo(i, Fetched{Peer: f.Peer, Blocks: blocks}))
	}
	return out
}

// deliver hands on what a node says, and what others say because of it.
func (h *hall) deliver(from int, out *Effects) {
	h.t.Helper()
	type letter struct {
		from int
		Publication
	}
	var queue []letter
	push := func(from int, out *Effects) {
		for _, p := range out.Publications {
			h.told = append(h.told, said{from, h.slot, p})
			spoken := []Publication{p}
			if h.lie != nil {
				spoken = h.lie(from, p)
			}
			for _, p := range spoken {
				queue = append(queue, letter{from, p})
			}
		}
	}
	for push(from, out); len(queue) > 0; queue = queue[1:] {
		l := queue[0]
		for to, r := range h.rigs {
			if to == l.from || r.Engine == nil || h.pass != nil && !h.pass(l.from, to, l.Publication) {
				continue
			}
			if in, ok := h.admit(to, l.from, l.Publication); ok {
				push(to, h.feedTo(to, in))
			}
		}
	}
}

// admit plays the part of a node's validators: what of it reaches the engine.
func (h *hall) admit(to, from int, p Publication) (Input, bool) {
	h.t.Helper()
	peer, view := peerOf(from), h.rigs[to].Snapshot()
	if _, of := p.Topic.DKG(); of {
		m := must(ParseDKGBytes(p.Bytes))
		for _, r := range view.Sessions {
			if _, hash := r.Base(); hash != m.Head().QuorumHash || r.LLMQ().Type != m.Head().Type {
				continue
			}
			c, reason := r.Check(m, view.Tip.Height)
			if reason != 0 || !h.once(m.ID(), func() bool { return bls.Verify(c.Item.Key, c.Item.Hash, c.Item.Signature) }) {
				return nil, false
			}
			o, reason := r.Open(c)
			return DKG{peer, o}, reason == 0
		}
		return nil, false
	}
	switch p.Topic {
	case TopicBlock:
		return Block{peer, must(wire.ParseBlock(p.Bytes))}, true
	case TopicUptime:
		proof := must(wire.ParseUptimeProof(p.Bytes))
		n, ok := view.State.Node(proof.ProTxHash)
		return Proof{peer, proof, n.ServiceKey}, ok
	case TopicCommitment:
		c := must(wire.ParseFinalCommitment(p.Bytes))
		r, v := view.JudgeCommitment(c)
		if !v.OK() {
			return nil, false
		}
		return Commitment{peer, c}, h.once(c.ID(), func() bool {
			s := dkg.VerifySignatures(c, r.Keys())
			return s.Quorum && s.Members
		})
	default:
		return nil, false
	}
}

func (h *hall) once(id wire.Hash, check func() bool) bool {
	ok, known := h.good[id]
	if !known {
		ok = check()
		h.good[id] = ok
	}
	return ok
}

// step goes on by one slot.
func (h *hall) step() {
	h.t.Helper()
	h.slot++
	for i, r := range h.rigs {
		if r.Engine != nil {
			h.deliver(i, h.feedTo(i, Tick{h.now()}))
		}
	}
}

// height is the highest tip.
func (h *hall) height() (height int32) {
	for _, r := range h.rigs {
		if r.Engine != nil {
			height = max(height, r.tree.Tip().Height)
		}
	}
	return height
}

// until goes on until the chain has a height.
func (h *hall) until(height int32) {
	h.t.Helper()
	for limit := h.slot + 20*uint64(height); h.height() < height; h.step() {
		if h.slot > limit {
			h.t.Fatalf("in slot %d the tip is at %d, want %d", h.slot, h.height(), height)
		}
	}
}

// quorum is the newest platform quorum as node i sees it.
func (h *hall) quorumOf(i int, t wire.LLMQType) (state.Quorum, bool) {
	for q := range h.rigs[i].state.Quorums(t) {
		return q, true
	}
	return state.Quorum{}, false
}

// wantSigns has a quorum's members sign: those that have a share recover a
// signature, and it takes as many as the threshold.
func (h *hall) wantSigns(q state.Quorum, holders int) {
	h.t.Helper()
	key := must(bls.ParsePublicKey(q.Key()))
	message := wire.DoubleHash([]byte("signed"))
	var shares []bls.SignatureShare
	for i, r := range h.rigs {
		if r.Engine == nil {
			continue
		}
		if k, ok := r.keyShares[state.QuorumKey(q.Type(), q.Hash())]; ok {
			shares = append(shares, bls.SignatureShare{ID: must(bls.NewID(proTx(i))), Signature: k.secret.Sign(message)})
		}
	}
	if len(shares) != holders {
		h.t.Errorf("%d members have a share, want %d", len(shares), holders)
	}
	llmq, _ := h.rigs[0].state.LLMQ(q.Type())
	if len(shares) < llmq.Threshold {
		return
	}
	if _, err := bls.Recover(llmq.Threshold, shares[len(shares)-llmq.Threshold:], key, message); err != nil {
		h.t.Errorf("signature of %d members: %v", llmq.Threshold, err)
	}
	if _, err := bls.Recover(llmq.Threshold-1, shares[:llmq.Threshold-1], key, message); err == nil {
		h.t.Errorf("%d members sign, want %d", llmq.Threshold-1, llmq.Threshold)
	}
}
