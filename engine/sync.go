package engine

import (
	"time"

	"github.com/proctornet/proctor/params"
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
	slow   Peer      // who was asked last, if it sent less than it was asked for
	asked  Peer      // whom a Fetch is under way to; "" if none is
	count  int       // how many were asked for
	from   int32     // the first height asked for
	had    wire.Hash // our tip when it was asked for
	since  time.Time // when it was asked
}

// claim is what a peer says about its tip.
type claim struct {
	height   int32
	met      bool // it told us its tip, so it is connected until we hear that it has gone
	observer bool
	refuted  bool // asked for what it claimed, it had nothing

	// While we fetch another branch of the peer's: how often what it sent did
	// not connect since it last sent something new, and the height to go on
	// from, 0 for our tip's successor.
	misses int
	next   int32
}

func newSyncer() syncer { return syncer{claims: make(map[Peer]claim)} }

// claim notes the tip that a peer in contact with us tells.
func (s *syncer) claim(p Peer, height int32, observer bool) {
	if !s.room(p) {
		return
	}
	c := s.claims[p]
	c.height, c.met, c.observer, c.refuted = height, true, observer, false
	s.claims[p] = c
}

// room reports whether there is room for what p claims. Whoever only passed
// blocks on may have gone without our hearing of it, and makes room.
func (s *syncer) room(p Peer) bool {
	if _, known := s.claims[p]; p == "" || known || len(s.claims) < maxClaims {
		return p != ""
	}
	var least Peer
	for other, c := range s.claims {
		if l := s.claims[least]; !c.met && (least == "" || c.height < l.height || c.height == l.height && other < least) {
			least = other
		}
	}
	delete(s.claims, least)
	return least != ""
}

// contacts is how many peers we are in contact with.
func (s *syncer) contacts() (n int) {
	for _, c := range s.claims {
		if c.met {
			n++
		}
	}
	return n
}

// has notes that p showed a signed block of that height, which takes back what
// refuted p. What p claimed beyond it stands.
func (s *syncer) has(p Peer, height int32) {
	if !s.room(p) {
		return
	}
	c, known := s.claims[p]
	c.height, c.observer, c.refuted = max(c.height, height), c.observer || !known, false
	s.claims[p] = c
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
		s.keep(p, c)
	}
}

// keep notes what became of a claim. Of a peer that we never met nothing stays
// once it is refuted.
func (s *syncer) keep(p Peer, c claim) {
	if c.refuted && !c.met {
		delete(s.claims, p)
		return
	}
	s.claims[p] = c
}

// highest returns the peer, other than one, that claims the most and is not
// refuted; of several the lowest.
func (s *syncer) highest(other Peer) (best Peer, height int32) {
	for p, c := range s.claims {
		if p == other || c.refuted {
			continue
		}
		if best == "" || c.height > height || c.height == height && p < best {
			best, height = p, c.height
		}
	}
	return best, height
}

// choose returns the peer to ask for what is above our tip, "" if there is
// nobody. Whoever was slow is not asked twice in a row while another knows
// something, or one that hands out a block at a time would keep us from all
// others.
func (s *syncer) choose(tip int32) (Peer, int32) {
	best, height := s.highest("")
	if best == s.slow {
		if p, h := s.highest(s.slow); h > tip {
			best, height = p, h
		}
	}
	if height <= tip {
		return "", 0
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
	return asked >= min(params.SyncedPeers, others) && height <= e.tree.Tip().Height
}

// current reports whether our tip is within a few slots of the clock.
func (e *Engine) current() bool { return e.slot() <= e.tree.Tip().Slot+params.SyncedWithin }

// mayProduce lets an author go on that follows the chain. One that has fallen
// behind the clock waits while a service node claims more, and for a warm-up
// after its start; then a chain that stands still may go on with whoever is
// left. Observers hold nobody back: anybody can be one, many times over.
func (e *Engine) mayProduce() bool {
	if e.current() {
		return true
	}
	_, height := e.sync.serviceNodes()
	return height <= e.tree.Tip().Height && (e.synced() || e.slot() >= e.started+warmUpSlots)
}

// plausible bounds a claim by the clock: there is at most one block a slot.
func (e *Engine) plausible(height int32) int32 {
	tip := e.tree.Tip()
	return int32(min(int64(height), int64(tip.Height)+int64(e.slot()+1)-int64(tip.Slot)))
}
