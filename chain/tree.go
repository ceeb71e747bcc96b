package chain

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Limits of a Tree's memory.
const (
	// RecentBlocks of our branch are known by hash, and the one below them.
	RecentBlocks = 1024

	// MaxReorg is how many of our blocks another branch can replace.
	MaxReorg = RecentBlocks

	// MaxSide bounds the headers of other branches. It is above MaxReorg, or
	// two halves of a network that were apart for less than MaxReorg blocks
	// could not come together again: the better branch would not fit.
	MaxSide = MaxReorg + 256

	// MaxDead bounds the hashes of dead blocks, so that a whole branch fits.
	MaxDead = MaxSide

	// MaxPerSlot is how many blocks of one slot are kept that nobody asked
	// for: two, so that an author who made two cannot choose which one we see.
	MaxPerSlot = 2
)

// Faults of whoever made a header or passed it on.
var (
	ErrSlot   = errors.New("slot is not after its parent's")
	ErrHeight = errors.New("height is not its parent's + 1")
	ErrAuthor = errors.New("not signed by the slot's authority")
)

var (
	// ErrConflict means that two blocks are final of which neither descends
	// from the other: more than a third of the authorities signed both
	// branches. No rule says which one holds, so the node must stop.
	ErrConflict = errors.New("two final blocks contradict each other")

	// ErrPath means that a block cannot become our tip.
	ErrPath = errors.New("not a block our branch may move to")

	// ErrRestore means that what was stored is not one branch of this network.
	ErrRestore = errors.New("stored headers are not a branch")
)

// Tip is a block as the end of a branch.
type Tip struct {
	Height int32     // 0 at the genesis
	Slot   uint64    // 0 at the genesis
	Hash   wire.Hash // the network's hash at the genesis
}

// Verifier reports whether sig is key's Ed25519 signature of message.
type Verifier func(key ed25519.PublicKey, message, sig []byte) bool

// Option changes how a Tree works.
type Option func(*Tree)

// WithVerifier replaces ed25519.Verify, so that the many nodes of a simulator
// can share one verdict on the same header. The arguments must not be kept.
func WithVerifier(v Verifier) Option { return func(t *Tree) { t.verify = v } }

// Tree is our branch and what we heard of others, as headers. It is not safe
// for concurrent use, not even for reading; the engine owns it.
//
// Its tip and its final block are a function of the set of headers it was
// given, whatever their order, once Better has nothing more to offer.
type Tree struct {
	authorities authorities
	verify      Verifier

	nodes map[wire.Hash]*node // our branch and the others
	slots map[uint64]int      // blocks of one slot in nodes and graves
	tip   *node
	final Tip

	recent []*node // our branch, by height modulo its length; see at
	oldest int32   // lowest height in recent

	leaves leaves // ends of other branches
	side   int    // blocks of other branches
	graves graves

	// claim is the highest final block that is not on our branch; nil if all
	// are. It outweighs length: nodes whose branch it is on can never leave it.
	claim *node

	forgotten []wire.Hash // since somebody was told
}

// node is a block in the tree.
type node struct {
	Tip
	header   wire.Header // zero for the genesis
	author   int         // among the distinct authorities
	parent   *node       // nil below what is remembered
	children []*node
	ours     bool // on our branch
	barred   bool // forks off below our final block: kept only as evidence
}

// New returns the tree that holds only the genesis.
func New(g Genesis, options ...Option) *Tree {
	genesis := &node{Tip: Tip{Hash: g.Hash()}, ours: true}
	t := &Tree{
		authorities: newAuthorities(g),
		verify:      ed25519.Verify,
		nodes:       map[wire.Hash]*node{genesis.Hash: genesis},
		slots:       make(map[uint64]int),
		tip:         genesis,
		final:       genesis.Tip,
		recent:      make([]*node, RecentBlocks+1),
		graves:      newGraves(),
	}
	t.recent[0] = genesis
	for _, o := range options {
		o(t)
	}
	return t
}

// Tip returns the end of our branch.
func (t *Tree) Tip() Tip { return t.tip.Tip }

// OnBranch returns the block of our branch at a height, if it is remembered.
func (t *Tree) OnBranch(height int32) (wire.Hash, bool) {
	if n := t.at(height); n != nil {
		return n.Hash, true
	}
	return wire.Hash{}, false
}

// at returns the node of our branch at a height; nil if it is not remembered.
func (t *Tree) at(height int32) *node {
	if height < t.oldest || height > t.tip.Height {
		return nil
	}
	return t.recent[int(height)%len(t.recent)]
}

// Contains reports whether a block is on our branch and remembered.
func (t *Tree) Contains(hash wire.Hash) bool {
	n := t.nodes[hash]
	return n != nil && n.ours
}

// Ancestor returns the block at a height on the branch that ends in block of,
// which may be on any branch; the block itself at its own height.
func (t *Tree) Ancestor(of wire.Hash, height int32) (wire.Hash, bool) {
	n := t.nodes[of]
	for n != nil && !n.ours && n.Height > height {
		n = n.parent
	}
	switch {
	case n == nil || n.Height < height:
		return wire.Hash{}, false
	case n.ours:
		return t.OnBranch(height)
	default:
		return n.Hash, true
	}
}

// Header returns the header of a remembered block of any branch.
func (t *Tree) Header(hash wire.Hash) (wire.Header, bool) {
	n := t.nodes[hash]
	if n == nil || n.Height == 0 {
		return wire.Header{}, false
	}
	return n.header, true
}

// Add keeps a header that Judge placed, without moving the tip. Extends and
// Side come up in Better, Dead is remembered so that its children are Dead
// too, Deep as evidence of a conflict if its parent is known. Other headers
// are ignored.
//
// It returns the blocks whose contents nobody will need any more, h's among
// them if there was no room. After ErrConflict the tree is of no more use.
func (t *Tree) Add(h wire.Header) (forgotten []wire.Hash, err error) {
	hash := h.Hash()
	if t.nodes[hash] != nil || t.graves.has(hash) {
		return nil, nil
	}
	if t.graves.has(h.Parent) {
		t.slots[h.Slot]++
		t.bury(grave{hash, h.Slot})
		return nil, nil
	}
	parent := t.nodes[h.Parent]
	if parent == nil {
		return nil, nil
	}
	n := t.attach(parent, h, hash)
	n.barred = t.bars(parent)
	t.side++
	if !parent.ours {
		t.leaves.remove(parent)
	}
	t.leaves.insert(n)
	err = t.settle(t.newlyFinal(n))
	t.evict(n)
	return t.report(), err
}

// attach makes h a child of parent.
func (t *Tree) attach(parent *node, h wire.Header, hash wire.Hash) *node {
	n := &node{Tip: Tip{h.Height, h.Slot, hash}, header: h, author: t.authorities.at(h.Slot), parent: parent}
	if parent != nil {
		parent.children = append(parent.children, n)
	}
	t.nodes[hash] = n
	t.slots[h.Slot]++
	return n
}

// bars reports whether a child of parent forks off below our final block.
func (t *Tree) bars(parent *node) bool {
	return parent.barred || parent.ours && parent.Height < t.final.Height
}

// Better returns the tip our branch should move to, if there is a better one:
// of the descendants of the highest final block the highest, of several the
// one with the lowest hash.
func (t *Tree) Better() (Tip, bool) {
	for _, n := range slices.Backward(t.leaves) { // best first
		switch {
		case n.barred || t.claim == nil && order(n, t.tip) <= 0:
			return Tip{}, false
		case t.claim == nil || n.descends(t.claim):
			return n.Tip, true
		}
	}
	return Tip{}, false
}

// Path returns the way from our tip to another block: the blocks to undo,
// newest first, and then those to apply, oldest first. The error is ErrPath if
// the block is unknown or forks off below what is final.
func (t *Tree) Path(to wire.Hash) (undo, apply []wire.Hash, err error) {
	n := t.nodes[to]
	if !t.reachable(n) {
		return nil, nil, fmt.Errorf("block %s: %w", to.Short(), ErrPath)
	}
	for ; !n.ours; n = n.parent {
		apply = append(apply, n.Hash)
	}
	slices.Reverse(apply)
	for u := t.tip; u != n; u = u.parent {
		undo = append(undo, u.Hash)
	}
	return undo, apply, nil
}

// reachable reports whether n may become our tip.
func (t *Tree) reachable(n *node) bool {
	return n != nil && !n.barred && (!n.ours || n.Height >= t.final.Height)
}

// Move makes a block our tip, whose contents the caller has applied along
// Path. It panics where Path fails. It returns the blocks whose contents
// nobody will need any more.
func (t *Tree) Move(to wire.Hash) (forgotten []wire.Hash) {
	n := t.nodes[to]
	if !t.reachable(n) {
		panic("chain: move to a block without a path")
	}
	var apply []*node
	for ; !n.ours; n = n.parent {
		apply = append(apply, n)
	}
	t.retreat(n)
	for _, n := range slices.Backward(apply) {
		t.side--
		if len(n.children) == 0 {
			t.leaves.remove(n)
		}
		t.advance(n)
	}
	t.evict(nil)
	return t.report()
}

// retreat takes our blocks above n off our branch.
func (t *Tree) retreat(n *node) {
	for t.tip != n {
		old := t.tip
		old.ours = false
		t.side++
		if len(old.children) == 0 {
			t.leaves.insert(old)
		}
		t.tip = old.parent
	}
}

// advance puts n, a child of our tip, on our branch.
func (t *Tree) advance(n *node) {
	if n.Height-t.oldest > RecentBlocks {
		t.forgetOldest()
	}
	n.ours = true
	t.recent[int(n.Height)%len(t.recent)] = n
	t.tip = n
	if n == t.claim {
		t.claim = nil
		t.finalise(n)
	}
}

// forgetOldest drops the lowest block of our branch and the branches that fork
// off there: from now on they fork too deep.
func (t *Tree) forgetOldest() {
	old := t.at(t.oldest)
	t.oldest++
	for _, child := range slices.Clone(old.children) {
		if child.ours {
			child.parent = nil
		} else {
			t.drop(child)
		}
	}
	delete(t.nodes, old.Hash)
	t.release(old.Slot)
}

// release takes a block of a slot out of the count.
func (t *Tree) release(slot uint64) {
	if t.slots[slot]--; t.slots[slot] <= 0 {
		delete(t.slots, slot)
	}
}

func (t *Tree) report() []wire.Hash {
	f := t.forgotten
	t.forgotten = nil
	return f
}

// descends reports whether n is a or descends from it.
func (n *node) descends(a *node) bool {
	for n != nil && n.Height > a.Height {
		n = n.parent
	}
	return n == a
}

// subtree returns n and its descendants, parents before children.
func (n *node) subtree() []*node {
	all := []*node{n}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].children...)
	}
	return all
}
