package inventory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Limits of a Pool.
const (
	MaxDeferred       = 1024             // bans in all
	MaxDeferredOfPeer = 256              // bans of one peer
	MaxDeferredTime   = 15 * time.Minute // after it a ban is dropped
	MaxWanted         = 4096             // hashes of bans for which there was no room
	MaxWantedOfPeer   = 1024             // of them of one peer
	maxDueAtOnce      = 256              // bans that become due in one step
	wantedRoom        = MaxDeferred / 2  // nothing is asked for while more than this waits
)

// Why says what a deferred ban waits for.
type Why uint8

// What a ban can wait for.
const (
	Unsynced Why = iota + 1 // us to be synced
	Unsure                  // our view to settle
	Ahead                   // our tip to reach its height, or params.HoldSlots slots
	Busy                    // the next step
)

// Deferred is a ban that was not judged, or whose verdict waits.
type Deferred struct {
	From  string // peer it came from, who is charged for it
	Ban   wire.PlatformBan
	Why   Why
	Since time.Time // when it was first deferred
	Slot  uint64    // then
	Tip   int32     // our tip's height then
}

// Now is what decides who has waited long enough.
type Now struct {
	Time      time.Time
	Slot      uint64
	Tip       int32
	Synced    bool
	Confident bool
}

// due reports whether d can be judged.
func (d Deferred) due(n Now) bool {
	switch d.Why {
	case Unsure:
		return n.Synced && n.Confident
	case Ahead:
		return n.Synced && (n.Tip >= d.Ban.SignedHeight || d.Held(n.Slot))
	default:
		return n.Synced
	}
}

// Held reports whether d has waited for our tip as long as a ban may: that
// many whole slots, as the one in which it came may have been over at once.
func (d Deferred) Held(slot uint64) bool { return slot > d.Slot+params.HoldSlots }

// outgrown reports whether d was inside the height window when it came and is
// not any more. Its sender is not to blame for our delay.
func (d Deferred) outgrown(tip int32) bool {
	lowest := int64(d.Ban.SignedHeight) + params.BanWindow
	return int64(d.Tip) <= lowest && lowest < int64(tip)
}

// Pool keeps the bans that wait, and the hashes of those for which there was
// no room. DIP-0031 does not count them as received. It is not persisted:
// what a stop loses is fetched from peers again.
type Pool struct {
	deferred map[wire.Hash]Deferred // by the id of all bytes
	ofPeer   map[string]int
	wanted   map[wire.Hash]string // by inventory hash: the peer that has it
	wantedOf map[string]int       // hashes of one peer
	asked    string               // the peer that was asked last
}

// NewPool returns an empty pool.
func NewPool() *Pool {
	return &Pool{
		deferred: make(map[wire.Hash]Deferred), ofPeer: make(map[string]int),
		wanted: make(map[wire.Hash]string), wantedOf: make(map[string]int),
	}
}

// Deferred counts the bans that wait.
func (p *Pool) Deferred() int { return len(p.deferred) }

// Wanted counts the bans known by hash only.
func (p *Pool) Wanted() int { return len(p.wanted) }

// Add keeps a ban, or its hash when there is no room for it; false when there
// is no room for that either. The first peer to bring a ban is its source.
func (p *Pool) Add(d Deferred) bool {
	id := d.Ban.ID()
	if _, ok := p.deferred[id]; ok {
		return true
	}
	if len(p.deferred) < MaxDeferred && p.ofPeer[d.From] < MaxDeferredOfPeer {
		p.deferred[id] = d
		p.ofPeer[d.From]++
		return true
	}
	hash := d.Ban.InventoryHash()
	if _, ok := p.wanted[hash]; ok {
		return true
	}
	if len(p.wanted) >= MaxWanted || p.wantedOf[d.From] >= MaxWantedOfPeer {
		return false
	}
	p.wanted[hash] = d.From
	p.wantedOf[d.From]++
	return true
}

// Due takes out the bans that can be judged now, the oldest first, and drops
// those that have waited too long.
func (p *Pool) Due(n Now) (due []Deferred, lost int) {
	for id, d := range p.deferred {
		switch {
		case n.Time.Sub(d.Since) > MaxDeferredTime, d.outgrown(n.Tip):
			p.remove(id)
			lost++
		case d.due(n):
			due = append(due, d)
		}
	}
	slices.SortFunc(due, func(a, b Deferred) int {
		x, y := a.Ban.ID(), b.Ban.ID()
		return cmp.Or(a.Since.Compare(b.Since), bytes.Compare(x[:], y[:]))
	})
	due = due[:min(len(due), maxDueAtOnce)]
	for _, d := range due {
		p.remove(d.Ban.ID())
	}
	return due, lost
}

func (p *Pool) remove(id wire.Hash) {
	from := p.deferred[id].From
	delete(p.deferred, id)
	if p.ofPeer[from]--; p.ofPeer[from] == 0 {
		delete(p.ofPeer, from)
	}
}

// Want takes out hashes to ask one peer for, while there is room for the
// answers; none when there is nothing to ask. Peers take turns.
func (p *Pool) Want() (peer string, hashes []wire.Hash) {
	if len(p.wanted) == 0 || len(p.deferred) > wantedRoom {
		return "", nil
	}
	peers := slices.Sorted(maps.Keys(p.wantedOf))
	next := slices.IndexFunc(peers, func(q string) bool { return q > p.asked })
	peer = peers[max(0, next)]
	p.asked = peer
	for hash, from := range p.wanted {
		if from == peer {
			hashes = append(hashes, hash)
		}
	}
	slices.SortFunc(hashes, func(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) })
	hashes = hashes[:min(len(hashes), wire.MaxListedBans)]
	for _, hash := range hashes {
		delete(p.wanted, hash)
	}
	if p.wantedOf[peer] -= len(hashes); p.wantedOf[peer] == 0 {
		delete(p.wantedOf, peer)
	}
	return peer, hashes
}

// Forget drops what only a peer that has gone could serve.
func (p *Pool) Forget(peer string) {
	maps.DeleteFunc(p.wanted, func(_ wire.Hash, from string) bool { return from == peer })
	delete(p.wantedOf, peer)
}
