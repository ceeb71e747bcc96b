package gossip

import (
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// maxLimitedPeers bounds the peers whose requests are remembered, above what
// can be connected at once.
const maxLimitedPeers = 1024

// peerLimits holds a token bucket for each peer that has asked lately. A peer
// that leaves and comes back finds its bucket as it was.
type peerLimits struct {
	every time.Duration // in which one token comes back
	burst int

	mu      sync.Mutex
	buckets map[peer.ID]*rate.Limiter
}

func newPeerLimits(every time.Duration, burst int) *peerLimits {
	return &peerLimits{every: every, burst: burst, buckets: make(map[peer.ID]*rate.Limiter)}
}

// allow takes n tokens of p's and reports whether it had them.
func (l *peerLimits) allow(p peer.ID, n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[p]
	if b == nil {
		if len(l.buckets) >= maxLimitedPeers {
			// A full bucket is as good as none.
			maps.DeleteFunc(l.buckets, func(_ peer.ID, b *rate.Limiter) bool { return b.TokensAt(now) >= float64(l.burst) })
		}
		if len(l.buckets) >= maxLimitedPeers {
			return false
		}
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.buckets[p] = b
	}
	return b.AllowN(now, n)
}
