package gossip

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/params"
)

// banBook is what the transport and pubsub ask about a peer: may we talk to
// it, and how do its penalty points stand? The engine owns both facts; the
// book is a copy that answers under a lock held for a map look-up. It is a
// libp2p connection gater and a pubsub blacklist.
type banBook struct {
	mu       sync.RWMutex
	until    map[peer.ID]time.Time
	points   map[peer.ID]account                     // of peers charged since they were last at zero
	cut      func(peer.ID) bool                      // optional: links that are cut, see Config
	dialable func(peer.ID, multiaddr.Multiaddr) bool // optional: whether a peer may be dialled there
}

// account is a peer's when it was last charged.
type account struct {
	total int
	asOf  time.Time
}

// maxAccounts bounds the copy of the accounts; it is above the ledger's own
// limit, and what is dropped costs only a little of a pubsub score.
const maxAccounts = 8192

func newBanBook() *banBook {
	return &banBook{until: make(map[peer.ID]time.Time), points: make(map[peer.ID]account)}
}

// refuses reports whether no connection to p may be.
func (b *banBook) refuses(p peer.ID) bool { return b.cut != nil && b.cut(p) || b.banned(p) }

func (b *banBook) add(p peer.ID, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until[p] = until
	delete(b.points, p)
}

func (b *banBook) remove(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.until, p)
}

func (b *banBook) charged(p peer.ID, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.points) >= maxAccounts {
		clear(b.points)
	}
	b.points[p] = account{total, time.Now()}
}

func (b *banBook) banned(p peer.ID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	until, ok := b.until[p]
	return ok && time.Now().Before(until)
}

// count leaves out bans that have run out and not been removed yet.
func (b *banBook) count() (n int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, until := range b.until {
		if time.Now().Before(until) {
			n++
		}
	}
	return n
}

// deadZone is how many points cost no place in the mesh: any negative score
// does, and a single small offence must not (DESIGN.md section 7).
const deadZone = 9

// score is pubsub's application score of a peer.
func (b *banBook) score(p peer.ID) float64 { return -float64(max(0, b.standing(p)-deadZone)) }

// standing is a peer's account as it has decayed by now.
func (b *banBook) standing(p peer.ID) int {
	b.mu.RLock()
	a := b.points[p]
	b.mu.RUnlock()
	return max(0, a.total-int(time.Since(a.asOf)/params.PointDecay))
}

// Add takes a peer that pubsub itself wants blacklisted: nobody but the book decides.
func (b *banBook) Add(peer.ID) bool { return true }

// Contains is the pubsub blacklist.
func (b *banBook) Contains(p peer.ID) bool { return b.banned(p) }

// InterceptPeerDial refuses to dial banned peers.
func (b *banBook) InterceptPeerDial(p peer.ID) bool { return !b.refuses(p) }

// InterceptAddrDial is asked when names have been resolved. What anybody can
// write into the registry, what peers tell and what names lead to must not
// make us look around where we have no business.
func (b *banBook) InterceptAddrDial(p peer.ID, a multiaddr.Multiaddr) bool {
	return !b.refuses(p) && (b.dialable == nil || b.dialable(p, a))
}

// InterceptAccept lets everybody in: who it is shows one step later.
func (b *banBook) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses banned peers as soon as their identity is proven.
func (b *banBook) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !b.refuses(p)
}

// InterceptUpgraded has nothing to add.
func (b *banBook) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
