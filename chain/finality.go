package chain

import (
	"crypto/ed25519"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// authorities knows whose turn a slot is. One that stands twice in the genesis
// has two turns and counts once.
type authorities struct {
	turns []int               // by slot modulo their number, an index of keys
	keys  []ed25519.PublicKey // distinct
	seen  []int               // by authority: the last round that met it
	round int
}

func newAuthorities(g Genesis) authorities {
	keys := make(map[wire.Hash]ed25519.PublicKey, len(g.Nodes))
	for _, n := range g.Nodes {
		keys[n.ProTxHash] = n.ServiceKey[:]
	}
	var a authorities
	numbers := make(map[wire.Hash]int)
	for _, proTx := range g.Authorities {
		number, known := numbers[proTx]
		if !known {
			number = len(a.keys)
			numbers[proTx] = number
			a.keys = append(a.keys, keys[proTx])
		}
		a.turns = append(a.turns, number)
	}
	a.seen = make([]int, len(a.keys))
	return a
}

// at returns the number of the authority whose turn a slot is.
func (a *authorities) at(slot uint64) int { return a.turns[slot%uint64(len(a.turns))] }

// needed is the least number of authorities that is more than two thirds.
func (a *authorities) needed() int { return len(a.keys)*2/3 + 1 }

// walk goes from n towards the genesis, down to but without our final block,
// and counts distinct authors. It stops at the block where they are enough and
// returns it, or nil if they never are. On a branch that forks off below our
// final block it goes no deeper than the fork.
func (t *Tree) walk(n *node, enough int) (at *node, signed int) {
	return t.walkUntil(n, enough, func(*node) bool { return false })
}

func (t *Tree) walkUntil(n *node, enough int, stop func(*node) bool) (at *node, signed int) {
	a := &t.authorities
	a.round++
	for ; n != nil && n.Height > 0 && !(n.ours && n.Height <= t.final.Height) && !stop(n); n = n.parent {
		if a.seen[n.author] == a.round {
			continue
		}
		a.seen[n.author] = a.round
		if signed++; signed == enough {
			return n, signed
		}
	}
	return nil, signed
}

// highestFinal returns the highest block that n and its ancestors make final;
// nil if that is nothing new.
func (t *Tree) highestFinal(n *node) *node {
	at, _ := t.walk(n, t.authorities.needed())
	return at
}

// newlyFinal is highestFinal for a block whose parent was settled. It looks no
// further back than to the last block of the same author, about one turn: at
// that block and below, n tells no more than its parent did.
func (t *Tree) newlyFinal(n *node) *node {
	at, _ := t.walkUntil(n, t.authorities.needed(), func(m *node) bool { return m != n && m.author == n.author })
	return at
}

// Final returns the newest block of our branch that is final: more than two
// thirds of the authorities signed it or a descendant, on any one branch. It
// never goes back, and may advance in Add as well as in Move.
func (t *Tree) Final() Tip { return t.final }

// Finality tells how many authorities have signed our branch above the final
// block, and how many make its next block final.
func (t *Tree) Finality() (signed, needed int) {
	_, signed = t.walk(t.tip, 0)
	return signed, t.authorities.needed()
}

// settle takes note of a final block; nil is none.
func (t *Tree) settle(n *node) error {
	switch {
	case n == nil:
		return nil
	case n.barred:
		return fmt.Errorf("block %s at height %d, and %s at %d: %w", n.Hash.Short(), n.Height, t.final.Hash.Short(), t.final.Height, ErrConflict)
	case n.ours:
		t.finalise(n)
		if t.claim == nil || !t.claim.barred {
			return nil
		}
	case t.claim == nil || n.descends(t.claim):
		t.claim = n
		return nil
	case t.claim.descends(n):
		return nil
	}
	return fmt.Errorf("block %s at height %d, and %s at %d: %w", n.Hash.Short(), n.Height, t.claim.Hash.Short(), t.claim.Height, ErrConflict)
}

// finalise makes n, a block of our branch, the final one and bars the branches
// that fork off below it. They stay as evidence: if one gathers enough
// authorities too, there is a conflict.
func (t *Tree) finalise(n *node) {
	for height := max(t.final.Height, t.oldest); height < n.Height; height++ {
		for _, child := range t.at(height).children {
			if !child.ours {
				t.bar(child)
			}
		}
	}
	t.final = n.Tip
}

// bar marks a branch as one that can never be ours.
func (t *Tree) bar(root *node) {
	for _, n := range root.subtree() {
		leaf := len(n.children) == 0
		if leaf {
			t.leaves.remove(n)
		}
		n.barred = true
		if leaf {
			t.leaves.insert(n)
		}
		t.forgotten = append(t.forgotten, n.Hash)
	}
}
