package node

import (
	"context"
	"sync"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of the deferral.
const (
	maxDeferred        = 1024             // bans in all
	maxDeferredPerPeer = 256              // bans of one peer
	maxDeferredAge     = 15 * time.Minute // after it a ban is dropped
	deferredEvery      = time.Second      // how often they are looked at
)

// deferral keeps the bans of peers that we could not judge: we were not
// synced, or too busy. Pubsub has marked them as seen and will not bring them
// again, but DIP-0031 does not count them as received, so they are judged
// later, charged to the peer they came from, and sent on when they are good.
type deferral struct {
	mu      sync.Mutex
	bans    map[wire.Hash]deferred // by the hash of all bytes
	perPeer map[engine.Peer]int
}

type deferred struct {
	from  engine.Peer
	data  []byte
	since time.Time
}

func newDeferral() *deferral {
	return &deferral{bans: make(map[wire.Hash]deferred), perPeer: make(map[engine.Peer]int)}
}

// deferrable reports whether a verdict is about us and not about the message.
func deferrable(v validation.Verdict) bool {
	return v.Reason == validation.NotSynced || v.Reason == validation.Overload
}

// add keeps a ban; false when there is no room for it.
func (d *deferral) add(from engine.Peer, data []byte, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := wire.DoubleHash(data)
	if _, ok := d.bans[id]; ok {
		return true
	}
	if len(d.bans) >= maxDeferred || d.perPeer[from] >= maxDeferredPerPeer {
		return false
	}
	d.bans[id] = deferred{from, data, now}
	d.perPeer[from]++
	return true
}

// take empties the pool.
func (d *deferral) take() []deferred {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []deferred
	for _, b := range d.bans {
		all = append(all, b)
	}
	clear(d.bans)
	clear(d.perPeer)
	return all
}

func (d *deferral) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.bans)
}

// judgeDeferred judges what was deferred, again and again until it can be.
func (n *Node) judgeDeferred(ctx context.Context) error {
	tick := time.NewTicker(deferredEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if n.deferral.len() == 0 || !n.Snapshot().Synced() {
			continue
		}
		for _, b := range n.deferral.take() {
			if time.Since(b.since) > maxDeferredAge {
				n.metrics.deferredLost.Inc()
				continue
			}
			v := n.judge(ctx, engine.TopicPlatformBan, b.from, b.data)
			switch {
			case v.OK(), v.Reason == validation.Duplicate: // the engine may have taken it after our time was up
				n.gossip.Publish(engine.Publication{Topic: engine.TopicPlatformBan, Bytes: b.data})
			case deferrable(v) && !n.deferral.add(b.from, b.data, b.since):
				n.metrics.deferredLost.Inc()
			}
		}
	}
}
