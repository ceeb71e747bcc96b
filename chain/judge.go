package chain

import (
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// Place says how a header relates to our branch.
type Place int

// The places a header can have.
const (
	Extends Place = iota + 1 // its parent is our tip
	Side                     // its parent is a block that another branch could be built on, or is on one
	Known                    // it is kept already, on our branch or another
	Orphan                   // its parent is unknown: ask for the blocks between
	Early                    // its slot has not come yet
	Twin                     // a third block in one slot, and nobody asked for it
	Deep                     // forks off below what is final or remembered
	Dead                     // its contents, or an ancestor's, are invalid
)

var places = [...]string{"none", "extends", "side", "known", "orphan", "early", "twin", "deep", "dead"}

func (p Place) String() string {
	if p < 0 || int(p) >= len(places) {
		return fmt.Sprintf("place %d", int(p))
	}
	return places[p]
}

// Judge places h, given the slot the clock is in and whether we asked for it.
// A header that no honest node would make or pass on is refused with
// ErrAuthor, ErrHeight or ErrSlot. It changes nothing.
//
// The signature comes first: a hash leaves it out, and without it variants of
// one block are free.
func (t *Tree) Judge(h wire.Header, clock uint64, asked bool) (Place, error) {
	hash := h.Hash()
	key := t.authorities.keys[t.authorities.at(h.Slot)]
	if !t.verify(key, h.SignedBytes(), h.Signature[:]) {
		return 0, fmt.Errorf("block %s in slot %d: %w", hash.Short(), h.Slot, ErrAuthor)
	}
	parent := t.nodes[h.Parent]
	switch {
	case h.Height < 1 || parent != nil && h.Height != parent.Height+1:
		return 0, fmt.Errorf("block %s at height %d: %w", hash.Short(), h.Height, ErrHeight)
	// Every block has a slot of its own, so a height above the slot is a lie
	// even while the parent is unknown.
	case uint64(h.Height) > h.Slot || parent != nil && h.Slot <= parent.Slot:
		return 0, fmt.Errorf("block %s at height %d in slot %d: %w", hash.Short(), h.Height, h.Slot, ErrSlot)
	case t.nodes[hash] != nil:
		return Known, nil
	case t.graves.has(hash):
		return Dead, nil
	// One slot of grace: an honest author's clock may be a little ahead.
	case h.Slot > clock && h.Slot-clock > 1:
		return Early, nil
	// Not if we asked: it may be an ancestor of the longest branch.
	case !asked && t.slots[h.Slot] >= MaxPerSlot:
		return Twin, nil
	}
	switch {
	case t.graves.has(h.Parent):
		return Dead, nil
	case parent == t.tip:
		return Extends, nil
	case parent != nil && t.bars(parent):
		return Deep, nil
	case parent != nil:
		return Side, nil
	// Ours is another block at that height, or lower than we remember.
	case h.Height <= max(t.final.Height, t.oldest):
		return Deep, nil
	default:
		return Orphan, nil
	}
}
