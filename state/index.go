package state

import (
	"crypto/sha256"

	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// index is what is derived from the records of nodes and quorums. Only
// replaced and replaceQuorum change it, and for a set of replaced records their
// order does not matter: Apply, Undo and Load come to the same index.
type index struct {
	array       trie.Vector[wire.Hash] // by Node.Position
	rewards     order                  // of testers
	exits       order                  // by Node.ExitHeight
	unconfirmed order                  // by Node.RegisteredHeight
	services    trie.Map[wire.Hash]    // by service key
	operators   trie.Map[wire.Hash]    // by hash of the operator key

	testers, active, decommissioned int

	mined order // quorums by newestFirst, all types among one another
}

// replaced returns x after a record took the place of another; nil stands
// for no record. What both records agree on is not touched.
func (x index) replaced(old, new *Node) index {
	both := old != nil && new != nil
	samePlace := both && old.Position == new.Position
	sameOrder := both && old.Tester() == new.Tester() && old.RewardHeight == new.RewardHeight && old.RewardIndex == new.RewardIndex && old.ExitHeight == new.ExitHeight
	samePending := both && old.RegisteredHeight == new.RegisteredHeight && old.ConfirmedHash.IsZero() == new.ConfirmedHash.IsZero()
	sameKeys := both && old.ServiceKey == new.ServiceKey && old.OperatorKey == new.OperatorKey && old.Revoked == new.Revoked
	if old != nil {
		x.count(old, -1)
		if !samePlace {
			x = x.unplaced(old)
		}
		if !sameOrder {
			x = x.unordered(old)
		}
		if !samePending && old.ConfirmedHash.IsZero() {
			x.unconfirmed = x.unconfirmed.without(rank(old.RegisteredHeight, 0), old.ProTxHash)
		}
		if !sameKeys {
			x = x.unkeyed(old)
		}
	}
	if new != nil {
		x.count(new, 1)
		if !samePlace {
			x = x.placed(new)
		}
		if !sameOrder {
			x = x.ordered(new)
		}
		if !samePending && new.ConfirmedHash.IsZero() {
			x.unconfirmed = x.unconfirmed.with(rank(new.RegisteredHeight, 0), new.ProTxHash)
		}
		if !sameKeys {
			x = x.keyed(new)
		}
	}
	return x
}

func (x index) placed(n *Node) index {
	if n.Position >= 0 {
		x.array = x.array.Set(int(n.Position), n.ProTxHash)
	}
	return x
}

// unplaced clears a place only if it is n's: another record may have it by now.
func (x index) unplaced(n *Node) index {
	if n.Position >= 0 && x.array.At(int(n.Position)) == n.ProTxHash {
		x.array = x.array.Set(int(n.Position), wire.Hash{})
	}
	return x
}

func (x index) ordered(n *Node) index {
	if n.Tester() {
		x.rewards = x.rewards.with(rank(n.RewardHeight, n.RewardIndex), n.ProTxHash)
	}
	if n.ExitHeight != NoHeight {
		x.exits = x.exits.with(rank(n.ExitHeight, 0), n.ProTxHash)
	}
	return x
}

func (x index) unordered(n *Node) index {
	if n.Tester() {
		x.rewards = x.rewards.without(rank(n.RewardHeight, n.RewardIndex), n.ProTxHash)
	}
	if n.ExitHeight != NoHeight {
		x.exits = x.exits.without(rank(n.ExitHeight, 0), n.ProTxHash)
	}
	return x
}

func (x index) keyed(n *Node) index {
	x.services = x.services.Set(wire.Hash(n.ServiceKey), n.ProTxHash)
	if !n.Revoked {
		x.operators = x.operators.Set(operatorHash(n.OperatorKey), n.ProTxHash)
	}
	return x
}

// unkeyed, like unplaced, leaves to another what it has taken.
func (x index) unkeyed(n *Node) index {
	x.services = withoutOwn(x.services, wire.Hash(n.ServiceKey), n.ProTxHash)
	if !n.Revoked {
		x.operators = withoutOwn(x.operators, operatorHash(n.OperatorKey), n.ProTxHash)
	}
	return x
}

func withoutOwn(m trie.Map[wire.Hash], key, proTx wire.Hash) trie.Map[wire.Hash] {
	if owner, ok := m.Get(key); ok && owner == proTx {
		return m.Delete(key)
	}
	return m
}

func (x *index) count(n *Node, by int) {
	switch n.Service() {
	case Active:
		x.active += by
	case Decommissioned:
		x.decommissioned += by
	}
	if n.Tester() {
		x.testers += by
	}
}

// listed is the number of funded nodes.
func (x index) listed() int { return x.active + x.decommissioned }

func operatorHash(k wire.OperatorKey) wire.Hash { return sha256.Sum256(k[:]) }
