package engine

import (
	"bytes"
	"crypto/ed25519"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The nodes of the test network, by their index. All are authorities: slot s
// belongs to node s mod 4.
const (
	alice  = iota // evonode
	bob           // evonode
	cleo          // evonode, PoSe-banned until it announces an address
	rupert        // regular masternode
	nodes
)

const quorumThreshold = 2

// network is a small network with all its secrets.
type network struct {
	genesis  chain.Genesis
	service  [nodes]ed25519.PrivateKey
	operator [nodes]bls.SecretKey
	shares   []bls.SecretKey // of alice, bob, cleo
	members  []bls.ID
	quorum   bls.PublicKey
}

var networks sync.Map // by profile

func testNetwork(profile string) *network {
	if n, ok := networks.Load(profile); ok {
		return n.(*network)
	}
	n := &network{genesis: chain.Genesis{
		Network:    "devnet",
		Profile:    profile,
		Time:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		SlotMillis: 1000,
	}}
	polynomial := must(bls.NewPolynomial(quorumThreshold, seed("polynomial", 0)))
	n.quorum = polynomial.Commit().PublicKey()
	q := &chain.GenesisQuorum{
		MadeBy: chain.TrustedDealer, QuorumHash: wire.Hash{'q'}, Threshold: quorumThreshold,
		PublicKey: wire.OperatorKey(n.quorum.Bytes()),
	}
	for i := range nodes {
		s := seed("service", i)
		n.service[i] = ed25519.NewKeyFromSeed(s[:])
		n.operator[i] = bls.GenerateSecretKey(seed("operator", i))
		g := chain.GenesisNode{
			ProTxHash:   proTx(i),
			Evo:         i != rupert,
			OperatorKey: wire.OperatorKey(n.operator[i].PublicKey().Bytes()),
			ServiceKey:  wire.ServiceKey(n.service[i].Public().(ed25519.PublicKey)),
		}
		if i != cleo {
			g.Addresses = []string{"/ip4/127.0.0.1/udp/9999/quic-v1"}
		}
		n.genesis.Nodes = append(n.genesis.Nodes, g)
		n.genesis.Authorities = append(n.genesis.Authorities, g.ProTxHash)
		if g.Evo {
			id := must(bls.NewID(g.ProTxHash))
			n.members = append(n.members, id)
			n.shares = append(n.shares, must(polynomial.Share(id)))
			q.Members = append(q.Members, g.ProTxHash)
		}
	}
	n.genesis.PlatformQuorum = q
	actual, _ := networks.LoadOrStore(profile, n)
	return actual.(*network)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seed(what string, i int) [32]byte { return wire.DoubleHash([]byte(what), []byte{byte(i)}) }

func proTx(i int) wire.Hash { return wire.Hash{31: byte(i + 1)} }

// signedBan returns a platform ban with the quorum's signature, and its input.
func (n *network) signedBan(from Peer, node int, height int32) Ban {
	in := n.unsignedBan(from, node, height)
	hash := in.Message.SignHash(106)
	var shares []bls.SignatureShare
	for i := range quorumThreshold {
		shares = append(shares, bls.SignatureShare{ID: n.members[i], Signature: n.shares[i].Sign(hash)})
	}
	sig := must(bls.Recover(quorumThreshold, shares, n.quorum, hash))
	in.Message.Signature = wire.Signature(sig.Bytes())
	return in
}

// unsignedBan is a ban whose signature is arbitrary: the engine is told that
// it was verified.
func (n *network) unsignedBan(from Peer, node int, height int32) Ban {
	m := wire.PlatformBan{ProTxHash: proTx(node), SignedHeight: height, QuorumHash: n.genesis.PlatformQuorum.QuorumHash}
	m.Signature[0] = byte(height)
	return Ban{From: from, Message: m, Key: n.genesis.PlatformQuorum.PublicKey}
}

// update returns an update-service event signed by the node's operator.
func (n *network) update(node int, sequence uint64, address string) wire.UpdateService {
	return n.signEvent(node, wire.UpdateService{
		Network: n.genesis.Hash(), ProTxHash: proTx(node), Sequence: sequence, Addresses: []string{address},
	})
}

func (n *network) signEvent(signer int, e wire.UpdateService) wire.UpdateService {
	e.Signature = wire.Signature(n.operator[signer].Sign(e.SignHash()).Bytes())
	return e
}

// author makes blocks one on top of another, as the network's nodes would.
type author struct {
	*network
	tip   chain.Tip
	state state.State
}

func (n *network) author() *author {
	return &author{n, chain.Tip{Hash: n.genesis.Hash()}, must(state.Genesis(n.genesis))}
}

// draft is the header and events of a block in slot, by the slot's authority,
// that is not part of a's branch.
func (a *author) draft(slot uint64, events ...wire.UpdateService) wire.Block {
	return a.sign(wire.Block{
		Header: wire.Header{
			Height: a.tip.Height + 1, Slot: slot, Parent: a.tip.Hash,
			StateRoot: a.state.Root(), Content: wire.ContentHash(events),
		},
		Events: events,
	})
}

// sign signs b as the authority of its slot.
func (n *network) sign(b wire.Block) wire.Block {
	key := n.service[b.Header.Slot%nodes]
	b.Header.Signature = wire.ServiceSignature(ed25519.Sign(key, b.Header.SignedBytes()))
	return b
}

// next is a block in slot, on top of which the following one will be.
func (a *author) next(slot uint64, events ...wire.UpdateService) wire.Block {
	b := a.draft(slot, events...)
	s, _, err := a.state.Apply(b)
	if err != nil {
		panic(err)
	}
	a.state, a.tip = s, chain.Tip{Height: b.Header.Height, Slot: slot, Hash: b.Header.Hash()}
	return b
}

// blocks returns n blocks in the slots after the tip's.
func (a *author) blocks(n int) (all []wire.Block) {
	for range n {
		all = append(all, a.next(a.tip.Slot+1))
	}
	return all
}

// rig is an engine under test.
type rig struct {
	*Engine
	*network
	t testing.TB
}

// observer returns the engine of a node that makes no blocks.
func observer(t testing.TB, profile string) rig {
	t.Helper()
	return newRig(t, testNetwork(profile), -1)
}

func newRig(t testing.TB, n *network, node int) rig {
	t.Helper()
	e, _, err := New(n.configOf(node))
	if err != nil {
		t.Fatal(err)
	}
	return rig{e, n, t}
}

// configOf is the configuration of a node, or of an observer for -1.
func (n *network) configOf(node int) Config {
	c := Config{Genesis: n.genesis}
	if node >= 0 {
		c.ProTxHash, c.ServiceKey = proTx(node), n.service[node]
	}
	return c
}

// feed steps one input and returns its verdict and effects.
func (r rig) feed(in Input) (validation.Verdict, *Effects) {
	r.t.Helper()
	out := new(Effects)
	r.Step(in, 7, out)
	var v validation.Verdict
	switch {
	case len(out.Replies) == 1 && out.Replies[0].Ticket == 7:
		v = out.Replies[0].Verdict
	case len(out.Replies) > 0:
		r.t.Errorf("%T: replies %v, want one for ticket 7", in, out.Replies)
	}
	return v, out
}

// want feeds in and compares the reason of the verdict.
func (r rig) want(in Input, reason validation.Reason) *Effects {
	r.t.Helper()
	v, out := r.feed(in)
	if v != reason.Verdict() {
		r.t.Errorf("%T: verdict %+v, want %+v", in, v, reason.Verdict())
	}
	return out
}

// at moves the clock to the middle of a slot.
func (r rig) at(slot uint64) *Effects {
	r.t.Helper()
	_, out := r.feed(Tick{r.genesis.SlotStart(slot).Add(r.genesis.Slot() / 2)})
	return out
}

// connect moves the clock to each block's slot and feeds the block.
func (r rig) connect(blocks ...wire.Block) (last *Effects) {
	r.t.Helper()
	for _, b := range blocks {
		r.at(b.Header.Slot)
		last = r.want(Block{Block: b}, validation.Valid)
	}
	return last
}

func (r rig) flagOf(node int) state.BanFlag { return r.Snapshot().Flag(proTx(node)) }

// wantFlag compares whether a node's flag is set.
func (r rig) wantFlag(node int, set bool) {
	r.t.Helper()
	if f := r.flagOf(node); f.Set() != set {
		r.t.Errorf("flag of node %d: set is %v (banned at %d, cleared at %d), want %v", node, f.Set(), f.BannedHeight, f.ClearedHeight, set)
	}
}

// kinds counts the records that are written and deleted.
func kinds(out *Effects) (puts, deletes map[Kind]int) {
	puts, deletes = make(map[Kind]int), make(map[Kind]int)
	for _, w := range out.Writes {
		if w.Value == nil {
			deletes[w.Kind]++
		} else {
			puts[w.Kind]++
		}
	}
	return puts, deletes
}

func wantKinds(t testing.TB, what string, got, want map[Kind]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: records by kind are %v, want %v", what, got, want)
	}
}

// records is a database in memory.
type records map[Kind]map[string][]byte

func (r records) apply(writes []Write) {
	for _, w := range writes {
		if r[w.Kind] == nil {
			r[w.Kind] = make(map[string][]byte)
		}
		if w.Value == nil {
			delete(r[w.Kind], string(w.Key))
		} else {
			r[w.Kind][string(w.Key)] = bytes.Clone(w.Value)
		}
	}
}

func (r records) clone() records {
	c := make(records)
	for k, m := range r {
		c[k] = maps.Clone(m)
	}
	return c
}

func (r records) Get(kind Kind, key []byte) ([]byte, error) { return r[kind][string(key)], nil }

func (r records) Walk(kind Kind, from []byte, f func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(r[kind])) {
		if k < string(from) {
			continue
		}
		if err := f([]byte(k), r[kind][k]); err != nil {
			return err
		}
	}
	return nil
}
