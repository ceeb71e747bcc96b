package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

const (
	maxClaims    = 256              // peers whose tips are remembered
	fetchTimeout = 15 * time.Second // after it another peer is asked
	warmUpSlots  = 5                // slots after the start before an author trusts that nobody is ahead
)

// syncer knows how far peers say they are and what was asked of whom.
type syncer struct {
	claims map[Peer]claim
	asked  Peer      // whom a Fetch is under way to; "" if none is
	from   int32     // the first height asked for
	since  time.Time // when it was asked
}

// claim is what a peer says about its tip.
type claim struct {
	height   int32
	observer bool
	refuted  bool // asked for what it claimed, it had nothing
}

func newSyncer() syncer { return syncer{claims: make(map[Peer]claim)} }

func (s *syncer) claim(p Peer, height int32, observer bool) {
	if _, known := s.claims[p]; p == "" || !known && len(s.claims) >= maxClaims {
		return
	}
	s.claims[p] = claim{height: height, observer: observer}
}

// has notes that p showed a signed block of that height, which takes back what
// refuted p. What p claimed beyond it stands.
func (s *syncer) has(p Peer, height int32) {
	c, known := s.claims[p]
	s.claim(p, max(c.height, height), c.observer || !known)
}

// bound reports whether p is a registered service node in contact with us.
func (s *syncer) bound(p Peer) bool {
	c, known := s.claims[p]
	return known && !c.observer
}

func (s *syncer) forget(p Peer) {
	delete(s.claims, p)
	if s.asked == p {
		s.asked = ""
	}
}

// refute ends a request that brought nothing: what the peer claimed no longer
// counts, or one liar could keep us waiting for ever.
func (s *syncer) refute(p Peer) {
	s.asked = ""
	if c, known := s.claims[p]; known {
		c.refuted = true
		s.claims[p] = c
	}
}

// highest returns the peer that claims the most and is not refuted; of
// several the lowest.
func (s *syncer) highest() (best Peer, height int32) {
	for _, p := range slices.Sorted(maps.Keys(s.claims)) {
		if c := s.claims[p]; !c.refuted && (best == "" || c.height > height) {
			best, height = p, c.height
		}
	}
	return best, height
}

// serviceNodes counts the service nodes whose claims stand, and returns the
// most that one of them claims.
func (s *syncer) serviceNodes() (asked int, height int32) {
	for _, c := range s.claims {
		if !c.observer && !c.refuted {
			asked++
			height = max(height, c.height)
		}
	}
	return asked, height
}

// synced reports whether our tip is within a few slots of the clock, or
// enough service nodes were asked and none knows a higher one.
func (e *Engine) synced() bool {
	if e.now.IsZero() {
		return false // nobody has told us the time
	}
	if e.current() {
		return true
	}
	others := e.state.NodeCount() - 1
	asked, height := e.sync.serviceNodes()
	return asked >= min(params.SyncedPeers, others) && height <= e.chain.Tip().Height
}

// current reports whether our tip is within a few slots of the clock.
func (e *Engine) current() bool { return e.slot() <= e.chain.Tip().Slot+params.SyncedWithin }

// mayProduce lets an author go on that follows the chain. One that has fallen
// behind the clock waits while a service node claims more, and for a warm-up
// after its start; then a chain that stands still may go on with whoever is
// left. Observers hold nobody back: anybody can be one, many times over.
func (e *Engine) mayProduce() bool {
	if e.current() {
		return true
	}
	_, height := e.sync.serviceNodes()
	return height <= e.chain.Tip().Height && (e.synced() || e.slot() >= e.started+warmUpSlots)
}

// plausible bounds a claim by the clock: there is at most one block a slot.
func (e *Engine) plausible(height int32) int32 {
	tip := e.chain.Tip()
	return int32(min(int64(height), int64(tip.Height)+int64(e.slot()+1)-int64(tip.Slot)))
}

// fetch asks the peer that claims the most for what we lack, one at a time.
func (e *Engine) fetch(out *Effects) {
	if e.sync.asked != "" {
		if e.now.Sub(e.sync.since) < fetchTimeout {
			return
		}
		e.sync.refute(e.sync.asked)
	}
	peer, height := e.sync.highest()
	if tip := e.chain.Tip().Height; peer != "" && height > tip {
		e.sync.asked, e.sync.from, e.sync.since = peer, tip+1, e.now
		count := uint16(min(int64(height)-int64(tip), wire.MaxRangeBlocks))
		out.Fetches = append(out.Fetches, Fetch{peer, wire.BlockRange{From: tip + 1, Count: count}})
	}
}

// fetched connects the blocks that a peer sent on request.
func (e *Engine) fetched(in Fetched, out *Effects) {
	if in.Peer != e.sync.asked {
		return // too late: somebody else was asked since
	}
	for _, b := range in.Blocks {
		v := e.block(Block{From: in.Peer, Block: b}, out)
		e.charge(in.Peer, v, b.Header.Hash(), out)
		if !v.OK() && v.Reason != validation.Duplicate {
			break
		}
	}
	if e.chain.Tip().Height < e.sync.from { // neither this peer brought it nor gossip meanwhile
		e.sync.refute(in.Peer)
	}
	e.sync.asked = ""
	e.fetch(out)
}
