package chain

import (
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// Restore puts a new tree back where an earlier run left it. headers are the
// newest of our branch, oldest first and the tip's last: all of them, or
// RecentBlocks+1 for a tree that judges like the one before. What is older is
// left out. Other branches are not restored; peers will tell of them again.
//
// It checks that the headers hang together, not their signatures: they come
// from our own disk. After an error, ErrRestore, the tree is of no use.
func (t *Tree) Restore(final, tip Tip, headers []wire.Header) error {
	if len(headers) > 0 && headers[0].Height > 1 {
		first := headers[0]
		clear(t.nodes)
		t.tip = t.attach(nil, first, first.Hash())
		t.tip.ours = true
		t.oldest = first.Height
		t.recent[int(first.Height)%len(t.recent)] = t.tip
		headers = headers[1:]
	}
	for _, h := range headers {
		if h.Parent != t.tip.Hash || h.Height != t.tip.Height+1 || h.Slot <= t.tip.Slot {
			return fmt.Errorf("header at height %d does not follow the one at %d: %w", h.Height, t.tip.Height, ErrRestore)
		}
		t.advance(t.attach(t.tip, h, h.Hash()))
	}
	if t.tip.Tip != tip {
		return fmt.Errorf("the headers end at %d in %s, the tip is %d, %s: %w", t.tip.Height, t.tip.Hash.Short(), tip.Height, tip.Hash.Short(), ErrRestore)
	}
	if n := t.at(final.Height); n != nil && n.Tip != final || final.Height > tip.Height || final.Height < 0 {
		return fmt.Errorf("final block %s at height %d is not on the branch: %w", final.Hash.Short(), final.Height, ErrRestore)
	}
	t.final = final
	return t.settle(t.highestFinal(t.tip))
}

// firstStepBack is how far FetchFrom goes back when the blocks after our tip
// did not connect: most forks are shorter than that.
const firstStepBack = 8

// FetchFrom returns the height to ask a peer's blocks from: after our tip at
// first, and further back the more answers did not connect, in doubling steps.
// On the way it stops once right after our final block: on any branch that we
// can follow the blocks from there connect. Below it only a conflict is to be
// found, and no further than the fork may be.
func FetchFrom(tip, final int32, unconnected int) int32 {
	from := tip + 1
	for back := firstStepBack; unconnected > 0; unconnected-- {
		next := max(1, tip+1-int32(min(back, RecentBlocks)))
		if next <= final && from > final+1 {
			next = final + 1
		} else {
			back *= 2
		}
		if next == from {
			break // as far as it goes
		}
		from = next
	}
	return from
}
