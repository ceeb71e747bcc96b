package engine

import (
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// fetch asks a peer that claims more than we have for what we lack, one at a
// time.
func (e *Engine) fetch(out *Effects) {
	if e.sync.asked != "" {
		if e.now.Sub(e.sync.since) < fetchTimeout {
			return
		}
		e.sync.refute(e.sync.asked)
	}
	tip := e.tree.Tip()
	peer, height := e.sync.choose(tip.Height)
	if peer == "" {
		return
	}
	from := e.sync.claims[peer].next
	if from == 0 || from > height {
		from = tip.Height + 1
	}
	count := min(int(height)-int(from)+1, wire.MaxRangeBlocks)
	e.sync.asked, e.sync.from, e.sync.count, e.sync.had, e.sync.since = peer, from, count, tip.Hash, e.now
	out.Fetches = append(out.Fetches, Fetch{peer, wire.BlockRange{From: from, Count: uint16(count)}})
}

// fetched connects the blocks that a peer sent on request. When its branch is
// not ours it is asked for lower blocks until they connect, and then for the
// rest: nothing of another branch counts before it is better than ours.
//
// Each answer moves our tip, brings something new, goes further along the
// peer's branch or, a few times, further back; or it ends what the peer
// claims. So no peer keeps us asking.
func (e *Engine) fetched(in Fetched, out *Effects) {
	if in.Peer != e.sync.asked {
		return // too late: somebody else was asked since
	}
	a := e.connect(in, out)
	if out.Fatal != nil {
		return
	}
	e.sync.slow = ""
	if int(a.next-e.sync.from) < e.sync.count {
		e.sync.slow = in.Peer
	}
	c := e.sync.claims[in.Peer]
	moved := e.tree.Tip().Hash != e.sync.had
	switch {
	case a.loose:
		c.misses++
		c.next = e.lower(c.misses)
		c.refuted = c.next == e.lower(c.misses-1) // there is no further back to go
	case a.next == e.sync.from: // neither this peer brought anything nor, unless we moved, gossip meanwhile
		c.next, c.misses, c.refuted = 0, 0, !moved
	case e.tree.Contains(a.last): // we are on its branch
		c.next, c.misses = 0, 0
	case a.next > c.height: // all of it came, and it is no better than ours
		c.next, c.misses, c.refuted = 0, 0, c.height > e.tree.Tip().Height
	default:
		c.next = a.next
		if a.fresh {
			c.misses = 0
		}
	}
	e.sync.keep(in.Peer, c)
	e.sync.asked = ""
	e.fetch(out)
}

// answer is what came of blocks that we asked for.
type answer struct {
	next  int32     // height above the last good one
	last  wire.Hash // the last good one
	fresh bool      // some were new
	loose bool      // the first does not connect to anything we know
}

// connect takes the blocks of an answer up to the first that is not good, or
// not the one that we asked for: what does not follow would lead us nowhere.
func (e *Engine) connect(in Fetched, out *Effects) answer {
	a := answer{next: e.sync.from}
	for _, b := range in.Blocks {
		if b.Header.Height != a.next {
			break
		}
		hash := b.Header.Hash()
		v := e.block(Block{From: in.Peer, Block: b}, true, out)
		if v.Reason == validation.BlockContent { // who answers has applied it
			v = validation.BlockServed.Verdict()
		}
		e.charge(in.Peer, v, hash, out)
		if !v.OK() && v.Reason != validation.Duplicate {
			a.loose = v.Reason == validation.BlockOrphan && a.next == e.sync.from
			break
		}
		a.fresh = a.fresh || v.OK()
		a.next, a.last = a.next+1, hash
	}
	return a
}

// lower is the height to ask a peer's blocks from once so many of its answers
// did not connect.
func (e *Engine) lower(misses int) int32 {
	return chain.FetchFrom(e.tree.Tip().Height, e.tree.Final().Height, misses)
}
