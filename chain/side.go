package chain

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// leaves are the ends of other branches, the worst for us first.
type leaves []*node

// order compares two blocks as ends of branches: negative if a is worse. A
// longer branch is better, then the lower hash.
func order(a, b *node) int {
	if a.barred != b.barred {
		if a.barred {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(b.Hash[:], a.Hash[:]))
}

func (l *leaves) insert(n *node) {
	i, _ := slices.BinarySearchFunc(*l, n, order)
	*l = slices.Insert(*l, i, n)
}

// remove takes n out if it is there.
func (l *leaves) remove(n *node) {
	if i, ok := slices.BinarySearchFunc(*l, n, order); ok {
		*l = slices.Delete(*l, i, i+1)
	}
}

// evict makes room when there are too many blocks of other branches. It drops
// the worst leaf, but neither the newest block, or a low branch that we fetch
// from its fork upwards could never grow past an author's heap of high blocks,
// nor a final one.
func (t *Tree) evict(newest *node) {
	for t.side > MaxSide {
		worst := newest
		for _, n := range t.leaves {
			if n != newest && n != t.claim {
				worst = n
				break
			}
		}
		if worst == nil {
			return // all is one branch that ends in a final block: Move to it makes room
		}
		t.drop(worst)
	}
}

// drop forgets a side branch from n upwards.
func (t *Tree) drop(n *node) {
	for _, m := range t.cut(n) {
		t.release(m.Slot)
		if !m.barred { // or it was reported when it was barred
			t.forgotten = append(t.forgotten, m.Hash)
		}
	}
}

// cut takes a side branch from n upwards out of the tree, and returns it.
func (t *Tree) cut(n *node) []*node {
	all := n.subtree()
	for _, m := range all {
		if len(m.children) == 0 {
			t.leaves.remove(m)
		}
		if m == t.claim {
			t.claim = nil
		}
		delete(t.nodes, m.Hash)
	}
	t.side -= len(all)
	p := n.parent
	i := slices.Index(p.children, n)
	p.children = slices.Delete(p.children, i, i+1)
	if !p.ours && len(p.children) == 0 {
		t.leaves.insert(p)
	}
	return all
}

// Kill marks a block's contents as invalid: it and its descendants are dead.
// It returns them. A block that is not kept stays unknown; one on our branch
// was valid, and to kill it panics.
func (t *Tree) Kill(hash wire.Hash) (dead []wire.Hash) {
	n := t.nodes[hash]
	if n == nil {
		return nil
	}
	if n.ours {
		panic("chain: a block of our own branch is killed")
	}
	claimed := t.claim != nil
	all := t.cut(n)
	for _, m := range slices.Backward(all) { // the root last: of a full graveyard it is forgotten last
		t.bury(grave{m.Hash, m.Slot})
	}
	for _, m := range all {
		dead = append(dead, m.Hash)
	}
	if claimed && t.claim == nil {
		t.claimAgain()
	}
	return dead
}

// claimAgain finds the claim after the one there was has died.
func (t *Tree) claimAgain() {
	for _, leaf := range t.leaves {
		if n := t.highestFinal(leaf); n != nil && (t.claim == nil || n.Height > t.claim.Height) {
			t.claim = n
		}
	}
}

// graves remembers the newest dead blocks.
type graves struct {
	order []grave
	next  int // where order is overwritten once it is full
	set   map[wire.Hash]struct{}
}

// grave is a dead block. Its slot stays counted, or an author could have us
// judge any number of invalid contents in one slot.
type grave struct {
	hash wire.Hash
	slot uint64
}

func newGraves() graves { return graves{set: make(map[wire.Hash]struct{})} }

func (g *graves) has(h wire.Hash) bool {
	_, ok := g.set[h]
	return ok
}

func (t *Tree) bury(dead grave) {
	g := &t.graves
	if len(g.order) < MaxDead {
		g.order = append(g.order, dead)
	} else {
		delete(g.set, g.order[g.next].hash)
		t.release(g.order[g.next].slot)
		g.order[g.next] = dead
		g.next = (g.next + 1) % MaxDead
	}
	g.set[dead.hash] = struct{}{}
}
