package state

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// Why a block's contents are refused. Its author made or checked them wrongly.
var (
	ErrRoot     = errors.New("state root differs from ours")
	ErrNetwork  = errors.New("event is for another network")
	ErrUnknown  = errors.New("node is not registered")
	ErrSequence = errors.New("event sequence is not the last + 1")
)

// Quorum is a long-living masternode quorum that exists on our branch.
type Quorum struct {
	Type        wire.LLMQType
	Hash        wire.Hash
	MinedHeight int32
	Key         wire.OperatorKey // threshold public key
	Threshold   int
	MadeBy      string // chain.TrustedDealer
	Members     []wire.Hash
}

// State is the agreed state after a block. It is immutable; the zero value is
// not usable, see Genesis.
type State struct {
	network wire.Hash
	profile params.Profile
	nodes   trie.Map[Node]
	sum     *accumulator
	quorums []Quorum // ascending by MinedHeight
}

// Genesis returns the state at height 0. The genesis has been parsed, so its
// names are known.
func Genesis(g chain.Genesis) (State, error) {
	s, err := empty(g)
	if err != nil {
		return State{}, err
	}
	for _, n := range g.Nodes {
		node := Node{
			ProTxHash:     n.ProTxHash,
			Evo:           n.Evo,
			OperatorKey:   n.OperatorKey,
			ServiceKey:    n.ServiceKey,
			Addresses:     n.Addresses,
			PoSeBanHeight: NoHeight,
			RevivedHeight: NoHeight,
		}
		if len(n.Addresses) == 0 {
			node.PoSeBanHeight = 0
		}
		s.put(node)
	}
	return s, nil
}

// Load returns the state that consists of nodes, as an earlier run stored
// them. Whoever stored them knows the root they must have.
func Load(g chain.Genesis, nodes iter.Seq[Node]) (State, error) {
	s, err := empty(g)
	if err != nil {
		return State{}, err
	}
	for n := range nodes {
		s.put(n)
	}
	return s, nil
}

func empty(g chain.Genesis) (State, error) {
	network, err := params.NetworkByName(g.Network)
	if err != nil {
		return State{}, err
	}
	profile, err := params.ProfileByName(g.Profile)
	if err != nil {
		return State{}, err
	}
	s := State{network: g.Hash(), profile: profile, sum: new(accumulator)}
	if q := g.PlatformQuorum; q != nil {
		s.quorums = []Quorum{{network.PlatformType, q.QuorumHash, q.MinedHeight, q.PublicKey, q.Threshold, q.MadeBy, q.Members}}
	}
	return s, nil
}

// put is for a State that nobody else has seen yet and that owns its sum.
func (s *State) put(n Node) {
	if old, ok := s.nodes.Get(n.ProTxHash); ok {
		s.sum.remove(old.Bytes())
	}
	s.sum.add(n.Bytes())
	s.nodes = s.nodes.Set(n.ProTxHash, n)
}

// Root commits to every record of the registry.
func (s State) Root() wire.Hash { return s.sum.root() }

// Node returns a registered node.
func (s State) Node(proTx wire.Hash) (Node, bool) { return s.nodes.Get(proTx) }

// Nodes walks the registry in ascending order of the hashes' bytes.
func (s State) Nodes() iter.Seq2[wire.Hash, Node] { return s.nodes.All() }

// NodeCount returns the number of registered nodes, PoSe-banned ones included.
func (s State) NodeCount() int { return s.nodes.Len() }

// Profile returns the rule profile in force.
func (s State) Profile() params.Profile { return s.profile }

// Quorums returns the quorums that exist at height tip, oldest first.
func (s State) Quorums(tip int32) []Quorum { return slices.Clone(s.minedBy(tip)) }

// minedBy aliases s.quorums.
func (s State) minedBy(height int32) []Quorum {
	n, _ := slices.BinarySearchFunc(s.quorums, int64(height)+1, func(q Quorum, h int64) int {
		return cmp.Compare(int64(q.MinedHeight), h)
	})
	return s.quorums[:n]
}

// PlatformQuorum returns the platform quorum whose signature at signedHeight
// is taken when the tip is at tip. In profile spec it must have existed at
// signedHeight and been among the newest then; in profile core any quorum on
// the branch will do. Source: DIP-0031, Validation, step 5; spec/dash.md 3.3.
func (s State) PlatformQuorum(hash wire.Hash, signedHeight, tip int32) (Quorum, bool) {
	at := tip
	if !s.profile.AnyMinedQuorum {
		at = min(signedHeight, tip)
	}
	existing := s.minedBy(at)
	if !s.profile.AnyMinedQuorum {
		existing = newest(existing)
	}
	for _, q := range existing {
		if q.Hash == hash {
			return q, true
		}
	}
	return Quorum{}, false
}

// newest keeps the quorums that are still connected.
func newest(quorums []Quorum) []Quorum {
	if len(quorums) == 0 {
		return nil
	}
	llmq, err := params.LLMQByType(quorums[0].Type)
	if err != nil {
		panic(err) // the type comes from params
	}
	return quorums[max(0, len(quorums)-llmq.KeepOldConnections):]
}

// Change is what a block did to one node.
type Change struct {
	Node    Node // as it is now
	Revived bool // it was PoSe-banned before
}

// Apply returns the state after b and the changes it made, in the order of
// its events. The header has been judged by package chain and the events'
// signatures verified; state judges the rest. On error s is still the state.
func (s State) Apply(b wire.Block) (State, []Change, error) {
	if root := s.Root(); b.Header.StateRoot != root {
		return s, nil, fmt.Errorf("block %d says %s, we have %s: %w", b.Header.Height, b.Header.StateRoot.Short(), root.Short(), ErrRoot)
	}
	next := s
	if len(b.Events) > 0 {
		sum := *s.sum
		next.sum = &sum
	}
	var changes []Change
	for _, e := range b.Events {
		n, err := next.checkEvent(e)
		if err != nil {
			return s, nil, fmt.Errorf("block %d, update-service of %s: %w", b.Header.Height, e.ProTxHash.Short(), err)
		}
		change := Change{Revived: n.PoSeBanned()}
		n.Sequence = e.Sequence
		n.Addresses = e.Addresses
		if change.Revived {
			n.PoSeBanHeight, n.RevivedHeight = NoHeight, b.Header.Height
		}
		change.Node = n
		next.put(n)
		changes = append(changes, change)
	}
	return next, changes, nil
}

// CheckEvent reports why e could not stand in the next block; nil if it could.
func (s State) CheckEvent(e wire.UpdateService) error {
	_, err := s.checkEvent(e)
	return err
}

func (s State) checkEvent(e wire.UpdateService) (Node, error) {
	n, ok := s.nodes.Get(e.ProTxHash)
	switch {
	case e.Network != s.network:
		return n, ErrNetwork
	case !ok:
		return n, ErrUnknown
	case e.Sequence != n.Sequence+1:
		return n, fmt.Errorf("%w: got %d, want %d", ErrSequence, e.Sequence, n.Sequence+1)
	}
	return n, nil
}
