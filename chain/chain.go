package chain

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// Limits of a Chain's memory.
const (
	RecentBlocks = 1024 // own blocks known by hash; older ones count as a second branch
	sideBlocks   = 64   // blocks of other branches
)

// Why a header is refused. Each is the fault of whoever made or passed it on.
var (
	ErrSlot   = errors.New("slot is not after its parent's")
	ErrHeight = errors.New("height is not its parent's + 1")
	ErrAuthor = errors.New("not signed by the slot's authority")
)

// Place says how a header relates to our branch.
type Place int

// The places a header can have.
const (
	Extends Place = iota + 1 // its parent is the tip
	Known                    // it is on our branch or a side branch already
	Side                     // it belongs to a second branch: kept and ignored
	Orphan                   // we do not know its parent: ask for the blocks between
	Early                    // its slot has not come yet
)

// Tip is the end of a branch.
type Tip struct {
	Height int32     // 0 at the genesis
	Slot   uint64    // 0 at the genesis
	Hash   wire.Hash // the network's hash at the genesis
}

// Chain is our branch and what we heard of others. It is not safe for
// concurrent use; the engine owns it.
type Chain struct {
	genesis     Genesis
	authorities []ed25519.PublicKey // in the order of genesis.Authorities
	tip         Tip
	recent      ring // own branch, genesis included
	side        ring
}

// New returns the chain that holds only the genesis.
func New(g Genesis) *Chain {
	keys := make(map[wire.Hash]ed25519.PublicKey, len(g.Nodes))
	for _, n := range g.Nodes {
		keys[n.ProTxHash] = n.ServiceKey[:]
	}
	c := &Chain{genesis: g, tip: Tip{Hash: g.Hash()}, recent: newRing(RecentBlocks), side: newRing(sideBlocks)}
	for _, a := range g.Authorities {
		c.authorities = append(c.authorities, keys[a])
	}
	c.recent.add(c.tip.Hash)
	return c
}

// Tip returns the end of our branch.
func (c *Chain) Tip() Tip { return c.tip }

// Judge places h, given the slot the clock is in. A header that no honest
// node would make or pass on is refused with ErrSlot, ErrHeight or ErrAuthor.
// The signature comes first: without it variants of one block are free.
func (c *Chain) Judge(h wire.Header, clock uint64) (Place, error) {
	hash := h.Hash()
	author := c.authorities[h.Slot%uint64(len(c.authorities))]
	if !ed25519.Verify(author, h.SignedBytes(), h.Signature[:]) {
		return 0, fmt.Errorf("block %s in slot %d: %w", hash.Short(), h.Slot, ErrAuthor)
	}
	if c.recent.has(hash) || c.side.has(hash) {
		return Known, nil
	}
	// One slot of grace: an honest author's clock may be a little ahead.
	if h.Slot > clock+1 {
		return Early, nil
	}
	if h.Parent == c.tip.Hash {
		switch {
		case h.Height != c.tip.Height+1:
			return 0, fmt.Errorf("block %s at height %d on tip %d: %w", hash.Short(), h.Height, c.tip.Height, ErrHeight)
		case h.Slot <= c.tip.Slot:
			return 0, fmt.Errorf("block %s in slot %d on slot %d: %w", hash.Short(), h.Slot, c.tip.Slot, ErrSlot)
		}
		return Extends, nil
	}
	if c.recent.has(h.Parent) || c.side.has(h.Parent) || h.Height <= c.tip.Height {
		return Side, nil
	}
	return Orphan, nil
}

// Extend moves the tip to h, which Judge must have found to extend it.
func (c *Chain) Extend(h wire.Header) {
	c.tip = Tip{h.Height, h.Slot, h.Hash()}
	c.recent.add(c.tip.Hash)
}

// Keep remembers a block of a second branch.
func (c *Chain) Keep(h wire.Header) { c.side.add(h.Hash()) }

// Restore puts the tip back where an earlier run left it. recent are the
// hashes of the newest blocks, oldest first; the tip's is the last.
func (c *Chain) Restore(tip Tip, recent []wire.Hash) {
	c.tip = tip
	for _, h := range recent {
		c.recent.add(h)
	}
}

// ring is a set that forgets its oldest member when it is full.
type ring struct {
	limit int
	order []wire.Hash
	next  int // where order is overwritten once it is full
	set   map[wire.Hash]struct{}
}

func newRing(limit int) ring { return ring{limit: limit, set: make(map[wire.Hash]struct{})} }

func (r *ring) has(h wire.Hash) bool {
	_, ok := r.set[h]
	return ok
}

func (r *ring) add(h wire.Hash) {
	switch {
	case r.has(h):
		return
	case len(r.order) < r.limit:
		r.order = append(r.order, h)
	default:
		delete(r.set, r.order[r.next])
		r.order[r.next] = h
		r.next = (r.next + 1) % r.limit
	}
	r.set[h] = struct{}{}
}
