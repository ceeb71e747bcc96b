package engine

import (
	"crypto/ed25519"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
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

const (
	quorumThreshold = 2
	requirement     = 1000 // stake of a node of a larger network
)

// network is a small network with all its secrets.
type network struct {
	genesis  chain.Genesis
	service  []ed25519.PrivateKey
	operator []bls.SecretKey
	staker   []ed25519.PrivateKey
	shares   []bls.SecretKey // of alice, bob, cleo
	members  []bls.ID
	quorum   bls.PublicKey
	begin    state.State // at height 0: the genesis, and a quorum that no block made
}

var networks sync.Map // by profile and size

func testNetwork(profile string) *network { return networkOf(profile, nodes) }

// networkOf is the network above, or a larger one: of what is beyond its nodes
// every node is an evonode with an address. Only a larger one needs stake; the
// last node of it is registered and awaits most of its own.
func networkOf(profile string, size int) *network {
	type key struct {
		profile string
		size    int
	}
	if n, ok := networks.Load(key{profile, size}); ok {
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
	var members []wire.Hash
	for i := range size {
		s, staker := seed("service", i), seed("staker", i)
		n.service = append(n.service, ed25519.NewKeyFromSeed(s[:]))
		n.operator = append(n.operator, bls.GenerateSecretKey(seed("operator", i)))
		n.staker = append(n.staker, ed25519.NewKeyFromSeed(staker[:]))
		g := chain.GenesisNode{
			ProTxHash:   proTx(i),
			Evo:         i != rupert,
			OperatorKey: wire.OperatorKey(n.operator[i].PublicKey().Bytes()),
			ServiceKey:  wire.ServiceKey(n.service[i].Public().(ed25519.PublicKey)),
		}
		if i != cleo || size > nodes {
			g.Addresses = []string{"/ip4/127.0.0.1/udp/9999/quic-v1"}
		}
		if size > nodes {
			n.genesis.StakingRequirement = requirement
			n.genesis.Grants = append(n.genesis.Grants, chain.Grant{Staker: n.stakerKey(i), Amount: 3 * requirement})
			stake := uint64(requirement)
			if i == size-1 {
				stake /= 10
			}
			g.Stakes = []chain.Grant{{Staker: n.stakerKey(i), Amount: stake}}
		}
		n.genesis.Nodes = append(n.genesis.Nodes, g)
		n.genesis.Authorities = append(n.genesis.Authorities, g.ProTxHash)
		if g.Evo && i < nodes {
			id := must(bls.NewID(g.ProTxHash))
			n.members = append(n.members, id)
			n.shares = append(n.shares, must(polynomial.Share(id)))
			members = append(members, g.ProTxHash)
		}
	}
	n.begin = n.beginWith(members)
	actual, _ := networks.LoadOrStore(key{profile, size}, n)
	return actual.(*network)
}

// testQuorum is the hash of the quorum that is there from the start.
var testQuorum = wire.Hash{'q'}

// beginWith returns the state at height 0 with a quorum of those members.
func (n *network) beginWith(members []wire.Hash) state.State {
	c := wire.NullCommitment(wire.CommitmentBasic, params.TestPlatform, testQuorum, 0, len(members))
	for i := range members {
		c.Signers[i], c.ValidMembers[i] = true, true
	}
	c.PublicKey = wire.OperatorKey(n.quorum.Bytes())
	q := state.Quorum{Commitment: c, Members: members}
	key := state.QuorumKey(q.Type(), q.Hash())
	records := slices.Collect(must(state.Genesis(n.genesis)).Records())
	return must(state.Load(n.genesis, slices.Values(append(records, state.Record{Kind: state.KindQuorum, Key: key[:], Value: q.Bytes()}))))
}

// start is New with the quorum that is there from the start.
func (n *network) start(c Config) (*Engine, *Effects, error) {
	e, out, err := New(c)
	if err != nil {
		return nil, nil, err
	}
	first := new(Effects)
	e.state = n.begin
	e.branch = Branch{e.newLink(e.tree.Tip(), wire.Block{}, e.state, state.Diff{})}
	for r := range e.state.Records() {
		first.record(r)
	}
	e.putMetaOf(e.branch.last(), first)
	out.Writes = first.Writes
	return e, out, nil
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
	m := wire.PlatformBan{ProTxHash: proTx(node), SignedHeight: height, QuorumHash: testQuorum}
	m.Signature[0] = byte(height)
	return Ban{From: from, Message: m, Key: wire.OperatorKey(n.quorum.Bytes())}
}

// update returns an update-service event signed by the node's operator.
func (n *network) update(node int, sequence uint64, address string) wire.UpdateService {
	return n.signEvent(node, wire.UpdateService{
		EventHead: n.head(sequence), ProTxHash: proTx(node), Addresses: []string{address},
	})
}

func (n *network) head(sequence uint64) wire.EventHead {
	return wire.EventHead{Network: n.genesis.Hash(), Sequence: sequence}
}

func (n *network) stakerKey(i int) wire.StakerKey {
	return wire.StakerKey(n.staker[i].Public().(ed25519.PublicKey))
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
	return &author{n, chain.Tip{Hash: n.genesis.Hash()}, n.begin}
}

// draft is the header and events of a block in slot, by the slot's authority,
// that is not part of a's branch.
func (a *author) draft(slot uint64, events ...wire.Event) wire.Block {
	return a.draftOf(slot, wire.Content{Events: events})
}

func (a *author) draftOf(slot uint64, c wire.Content) wire.Block {
	return a.sign(wire.Block{
		Header: wire.Header{
			Height: a.tip.Height + 1, Slot: slot, Parent: a.tip.Hash,
			StateRoot: a.state.Root(), Content: c.Hash(),
		},
		Content: c,
	})
}

// sign signs b as the authority of its slot.
func (n *network) sign(b wire.Block) wire.Block {
	key := n.service[b.Header.Slot%uint64(len(n.service))]
	b.Header.Signature = wire.ServiceSignature(ed25519.Sign(key, b.Header.SignedBytes()))
	return b
}

// next is a block in slot, on top of which the following one will be.
func (a *author) next(slot uint64, events ...wire.Event) wire.Block {
	return a.nextOf(slot, wire.Content{Events: events})
}

func (a *author) nextOf(slot uint64, c wire.Content) wire.Block {
	b := a.draftOf(slot, c)
	s, _, err := a.state.Apply(b)
	if err != nil {
		panic(err)
	}
	a.state, a.tip = s, chain.Tip{Height: b.Header.Height, Slot: slot, Hash: b.Header.Hash()}
	return b
}

// fork is an author on the same branch, who goes on otherwise.
func (a *author) fork() *author {
	other := *a
	return &other
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
	t    testing.TB
	disk records // gets what is stored, unless it is nil
}

// stored returns the engine of a node, -1 for an observer, and its database.
func stored(t testing.TB, n *network, node int) rig {
	t.Helper()
	e, out, err := n.start(n.configOf(node))
	if err != nil {
		t.Fatal(err)
	}
	r := rig{Engine: e, network: n, t: t, disk: make(records)}
	r.disk.apply(out.Writes)
	return r
}

// again returns the engine that comes back from what is stored, for a node or
// an observer.
func (r rig) again(node int) rig {
	r.t.Helper()
	e, out, err := Restore(r.configOf(node), r.disk)
	if err != nil {
		r.t.Fatal(err)
	}
	r.disk.apply(out.Writes)
	r.Engine = e
	return r
}

// observer returns the engine of a node that makes no blocks.
func observer(t testing.TB, profile string) rig {
	t.Helper()
	return newRig(t, testNetwork(profile), -1)
}

func newRig(t testing.TB, n *network, node int) rig {
	t.Helper()
	e, _, err := n.start(n.configOf(node))
	if err != nil {
		t.Fatal(err)
	}
	return rig{Engine: e, network: n, t: t}
}

// configOf is the configuration of a node, or of an observer for -1.
func (n *network) configOf(node int) Config {
	c := Config{Genesis: n.genesis}
	if node >= 0 {
		c.ProTxHash, c.ServiceKey, c.OperatorKey = proTx(node), n.service[node], &n.operator[node]
	}
	return c
}

// feed steps one input and returns its verdict and effects.
func (r rig) feed(in Input) (validation.Verdict, *Effects) {
	r.t.Helper()
	out := new(Effects)
	r.Step(in, 7, out)
	if r.disk != nil {
		r.disk.apply(out.Writes)
	}
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

// event is the input that a validator makes of an event.
func (r rig) event(from Peer, e wire.Event) Event {
	key, _ := SignerOf(r.state, e)
	return Event{From: from, Event: e, Key: key}
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

func seedOperator(i int) bls.SecretKey { return bls.GenerateSecretKey(seed("operator", i)) }

func seedService(i int) ed25519.PrivateKey {
	s := seed("service", i)
	return ed25519.NewKeyFromSeed(s[:])
}
