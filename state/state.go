package state

import (
	"iter"
	"math"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// State is the agreed state after a block. It is immutable; the zero value is
// not usable, see Genesis. What it hands out shares memory with it and must
// not be changed.
type State struct {
	network       wire.Hash
	profile       params.Profile
	rules         params.Service
	requirement   uint64 // stake of an active node
	noBrake       bool
	private       bool
	confirmations int32
	platform      wire.LLMQType
	llmqs         []params.LLMQ // that run

	nodes      trie.Map[*Node]
	stakers    trie.Map[*Staker]
	tombstones trie.Map[*Tombstone]
	quorums    trie.Map[*Quorum] // by QuorumKey
	sum        *accumulator      // of all records

	index index
}

// Root commits to every record.
func (s State) Root() wire.Hash { return s.sum.root() }

// Network returns the hash of the genesis.
func (s State) Network() wire.Hash { return s.network }

// Profile returns the rule profile in force.
func (s State) Profile() params.Profile { return s.profile }

// Rules returns the rules of service states in force.
func (s State) Rules() params.Service { return s.rules }

// Public reports whether nodes must be reachable from everywhere: on networks
// whose keys may be published they may share a machine.
func (s State) Public() bool { return !s.private }

// StakingRequirement returns the stake that an active node has.
func (s State) StakingRequirement() uint64 { return s.requirement }

// Node returns a registered node.
func (s State) Node(proTx wire.Hash) (Node, bool) { return found(s.nodes, proTx) }

// Staker returns the stake of one owner.
func (s State) Staker(key wire.StakerKey) (Staker, bool) { return found(s.stakers, wire.Hash(key)) }

// Tombstone returns what stayed of a node that is gone.
func (s State) Tombstone(proTx wire.Hash) (Tombstone, bool) { return found(s.tombstones, proTx) }

func found[V any](m trie.Map[*V], key wire.Hash) (value V, ok bool) {
	p, ok := m.Get(key)
	if ok {
		value = *p
	}
	return value, ok
}

// Nodes walks the registry in ascending order of the hashes' bytes.
func (s State) Nodes() iter.Seq2[wire.Hash, Node] { return walk(s.nodes) }

// Stakers walks the owners of stake in ascending order of their keys.
func (s State) Stakers() iter.Seq2[wire.Hash, Staker] { return walk(s.stakers) }

// Tombstones walks the nodes that are gone in ascending order of the hashes' bytes.
func (s State) Tombstones() iter.Seq2[wire.Hash, Tombstone] { return walk(s.tombstones) }

func walk[V any](m trie.Map[*V]) iter.Seq2[wire.Hash, V] {
	return func(yield func(wire.Hash, V) bool) {
		for key, value := range m.All() {
			if !yield(key, *value) {
				return
			}
		}
	}
}

// NodeCount returns the number of registered nodes, PoSe-banned ones included.
func (s State) NodeCount() int { return s.nodes.Len() }

// ByServiceKey returns the registered node with that service key.
func (s State) ByServiceKey(key wire.ServiceKey) (Node, bool) {
	proTx, ok := s.index.services.Get(wire.Hash(key))
	if !ok {
		return Node{}, false
	}
	return s.Node(proTx)
}

// Testers returns how many nodes may be drawn as testers. They stand in the
// array at positions below it.
func (s State) Testers() int { return s.index.testers }

// Listed returns how many nodes are funded. They are the whole array.
func (s State) Listed() int { return s.index.listed() }

// At returns the node at a position of the array of funded nodes: testers
// first, then the PoSe-banned and decommissioned. A quorum is drawn from the
// array by index, so its order is part of the records. The hash is zero where
// there is no such position.
func (s State) At(position int) wire.Hash { return s.index.array.At(position) }

// Counts returns how many nodes are in each service state, PoSe-banned or not.
func (s State) Counts() (awaiting, active, decommissioned int) {
	return s.nodes.Len() - s.Listed(), s.index.active, s.index.decommissioned
}

// noBrake is a brake that never takes hold.
const noBrake = math.MaxInt32

// Brake returns how many nodes may be decommissioned at once, K of DESIGN.md
// section 6, rule 8.
func (s State) Brake() int {
	if s.noBrake {
		return noBrake
	}
	return max(params.BrakeFloor, s.Listed()/params.BrakeShare)
}

// removalLimit is how many nodes certificates of one block may take out of
// service. It is part of the brake.
func (s State) removalLimit() int {
	if s.noBrake {
		return noBrake
	}
	return max(params.RemovalFloor, s.Listed()/params.RemovalShare)
}

// NextPaid returns the node that the next block pays, if there is one.
func (s State) NextPaid() (wire.Hash, bool) {
	for proTx := range s.RewardOrder() {
		return proTx, true
	}
	return wire.Hash{}, false
}

// RewardOrder walks the testers in the order in which they will be paid:
// ascending by RewardHeight, RewardIndex and the bytes of the hash.
func (s State) RewardOrder() iter.Seq[wire.Hash] {
	return func(yield func(wire.Hash) bool) {
		for _, proTx := range s.index.rewards.all() {
			if !yield(proTx) {
				return
			}
		}
	}
}
