package state

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Genesis returns the state at height 0. The genesis has been parsed; what
// ParseGenesis does not check is an error here: two nodes with one operator key.
func Genesis(g chain.Genesis) (State, error) {
	s, err := empty(g)
	if err != nil {
		return State{}, err
	}
	for _, grant := range g.Grants {
		s.replaceStaker(wire.Hash(grant.Staker), &Staker{Key: grant.Staker, Granted: grant.Amount})
	}
	nodes := make([]*Node, len(g.Nodes))
	for i, n := range g.Nodes {
		if nodes[i], err = s.genesisNode(n); err != nil {
			return State{}, fmt.Errorf("genesis: node %q: %w", n.Name, err)
		}
	}
	// The order in which a genesis file lists its nodes must not matter.
	slices.SortFunc(nodes, func(a, b *Node) int { return bytes.Compare(a.ProTxHash[:], b.ProTxHash[:]) })
	position := int32(0)
	for z := testers; z < unlisted; z++ {
		for _, n := range nodes {
			if zoneOf(*n) == z {
				n.Position = position
				position++
			}
		}
	}
	for _, n := range nodes {
		s.replaceNode(n.ProTxHash, n)
	}
	for r := range s.Records() {
		s.sum.add(r.Kind, r.Value)
	}
	if err := s.check(len(nodes)); err != nil {
		return State{}, fmt.Errorf("genesis: %w", err)
	}
	return s, nil
}

// genesisNode takes the stakes of n out of the grants.
func (s *State) genesisNode(n chain.GenesisNode) (*Node, error) {
	node := newNode(n.ProTxHash, n.Evo, n.OperatorKey, n.ServiceKey, n.Addresses, n.Platform, 0, s.rules)
	node.ConfirmedHash = s.network // there was no draw to wait for
	for _, stake := range n.Stakes {
		staker, ok := s.Staker(stake.Staker)
		if !ok || staker.Free(0) < stake.Amount {
			return nil, ErrStake
		}
		staker.Pledged += stake.Amount
		staker.Pledges++
		s.replaceStaker(wire.Hash(staker.Key), &staker)
		node.Stakes = append(node.Stakes, Pledge{stake.Staker, stake.Amount})
	}
	if node.Staked() >= s.requirement {
		node = node.activated(0, 0)
	}
	return &node, nil
}

// Load returns the state that consists of records, in any order, as an
// earlier run stored them. Whoever stored them knows the root they must have.
// The error wraps ErrRecord when they do not make a state.
func Load(g chain.Genesis, records iter.Seq[Record]) (State, error) {
	s, err := empty(g)
	if err != nil {
		return State{}, err
	}
	nodes := 0
	for r := range records {
		if len(r.Key) != wire.HashSize || r.Value == nil {
			return State{}, fmt.Errorf("%w: %s with a key of %d bytes and a value of %d", ErrRecord, r.Kind, len(r.Key), len(r.Value))
		}
		key := wire.Hash(r.Key)
		if s.value(r.Kind, key) != nil {
			return State{}, fmt.Errorf("%w: %s %s stands twice", ErrRecord, r.Kind, key)
		}
		if err := s.replace(r.Kind, key, r.Value); err != nil {
			return State{}, err
		}
		s.sum.add(r.Kind, r.Value)
		if r.Kind == KindNode {
			nodes++
		}
	}
	if err := s.check(nodes); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrRecord, err)
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
	s := State{
		network:       g.Hash(),
		profile:       profile,
		rules:         network.Service(profile),
		requirement:   g.StakingRequirement,
		noBrake:       g.NoBrake,
		private:       network.TestKeys,
		confirmations: network.Confirmations,
		platform:      network.PlatformType,
		sum:           new(accumulator),
	}
	for _, l := range g.LLMQs {
		q, err := l.Params()
		if err != nil {
			return State{}, err
		}
		s.llmqs = append(s.llmqs, q)
	}
	return s, nil
}

// check reports whether so many nodes, put in one by one, have keys of their
// own and fill the array. What Apply builds on needs no such check.
func (s State) check(nodes int) error {
	operators := 0
	for _, n := range s.nodes.All() {
		if !n.Revoked {
			operators++
		}
		p := int(n.Position)
		listed := n.Service() != Awaiting
		if listed != (p >= 0) || listed && (p >= s.Listed() || s.At(p) != n.ProTxHash || n.Tester() != (p < s.Testers())) {
			return fmt.Errorf("node %s, %s, has position %d", n.ProTxHash, n.Service(), n.Position)
		}
	}
	switch {
	case s.nodes.Len() != nodes:
		return fmt.Errorf("%d nodes have %d hashes: %w", nodes, s.nodes.Len(), ErrHash)
	case s.index.services.Len() != nodes:
		return fmt.Errorf("%d nodes have %d service keys: %w", nodes, s.index.services.Len(), ErrKey)
	case s.index.operators.Len() != operators:
		return fmt.Errorf("%d nodes have %d operator keys: %w", operators, s.index.operators.Len(), ErrKey)
	}
	return nil
}
