package node

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
)

// Limits of the room in which messages wait that came too early for us.
const (
	maxInRoom    = 1024                      // messages
	maxOfPeer    = 64                        // of one peer
	roomDoor     = 256                       // that have come and are not yet let in
	roomSlots    = params.BanHeightSlack + 1 // after them a message is dropped; what it names is at most one block less ahead
	roomAtOnce   = 64                        // being judged again: a batch of signatures
	roomDeadline = 5 * time.Second           // for one of them
)

// early is a message that we could not judge when it came.
type early struct {
	topic engine.Topic
	from  engine.Peer
	data  []byte
	under standpoint // it could not be judged so
	since time.Time
}

// standpoint is what our verdict on an early message follows from.
type standpoint struct {
	tip      chain.Tip
	synced   bool
	doubtful engine.Doubtful
}

func standpointOf(s *engine.Snapshot) standpoint {
	return standpoint{s.Tip, s.IsSynced, s.Doubtful}
}

// waitsInRoom reports whether a message judged so is judged again. Pubsub does
// not bring it a second time, and a proof, a vote or a checkpoint that we miss
// is a service node that we wrong, a message of a session one that we vote out.
// Bans have a pool of their own.
func waitsInRoom(t engine.Topic, r validation.Reason) bool {
	switch t {
	case engine.TopicPlatformBan, engine.TopicBlock, engine.TopicEvent:
		return false
	default:
		return r.Nature() == validation.OfUs && r != validation.Internal
	}
}

// room keeps messages until our view has moved, and has them judged again, for
// a few slots. Its loop owns what waits.
type room struct {
	slot       time.Duration
	standpoint func() standpoint
	judge      func(ctx context.Context, m early, held bool) validation.Verdict
	send       func(engine.Publication) // to all peers; pubsub has forgone to forward it

	door    chan early
	moved   chan struct{} // capacity 1: the standpoint may be another
	waiting []early       // oldest first

	lost prometheus.Counter
	size prometheus.Gauge
}

func newRoom(n *Node) *room {
	return &room{
		slot:       n.config.Genesis.Slot(),
		standpoint: func() standpoint { return standpointOf(n.Snapshot()) },
		judge: func(ctx context.Context, m early, held bool) validation.Verdict {
			v := n.judge(ctx, m.topic, m.from, m.data, held)
			n.gossip.Count(m.topic, v)
			return v
		},
		send:  func(p engine.Publication) { n.gossip.Publish(p) },
		door:  make(chan early, roomDoor),
		moved: make(chan struct{}, 1),
		lost:  n.metrics.earlyLost,
		size:  n.metrics.early,
	}
}

// enter hands in a message. It does not wait.
func (r *room) enter(m early) {
	select {
	case r.door <- m:
	default:
		r.lost.Inc()
	}
}

// wake tells that the standpoint may be another.
func (r *room) wake() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// run judges what waits until ctx ends. While it judges, newcomers wait at the
// door.
func (r *room) run(ctx context.Context) error {
	slots := time.NewTicker(r.slot)
	defer slots.Stop()
	for {
		select {
		case m := <-r.door:
			r.admit(m)
			for more := true; more; { // those that came together are judged together
				select {
				case m := <-r.door:
					r.admit(m)
				default:
					more = false
				}
			}
		case <-r.moved:
		case <-slots.C:
		case <-ctx.Done():
			return nil
		}
		now := time.Now()
		r.judgeAgain(ctx, now)
		r.expire(now)
		r.size.Set(float64(len(r.waiting)))
	}
}

// admit takes a newcomer. In a full room the peer that has the most there
// gives up its oldest, so that nobody fills it against the others.
func (r *room) admit(m early) {
	counts := make(map[engine.Peer]int)
	for _, w := range r.waiting {
		counts[w.from]++
	}
	if counts[m.from] >= maxOfPeer {
		r.lost.Inc()
		return
	}
	if len(r.waiting) >= maxInRoom {
		r.lost.Inc()
		most, oldest := m.from, -1
		for i, w := range r.waiting {
			if counts[w.from] > counts[most] {
				most, oldest = w.from, i
			}
		}
		if oldest < 0 {
			return
		}
		r.waiting = slices.Delete(r.waiting, oldest, oldest+1)
	}
	r.waiting = append(r.waiting, m)
}

// judgeAgain judges what was last judged from another standpoint. What was
// good before its time, or was stored when our time was up, goes on to all.
func (r *room) judgeAgain(ctx context.Context, now time.Time) {
	at := r.standpoint()
	done := make([]bool, len(r.waiting))
	var g errgroup.Group
	g.SetLimit(roomAtOnce)
	for i := range r.waiting {
		m := &r.waiting[i]
		held := r.held(*m, now)
		if m.under == at && !held {
			continue
		}
		m.under = at
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, roomDeadline)
			defer cancel()
			v := r.judge(ctx, *m, held)
			if done[i] = !waitsInRoom(m.topic, v.Reason); v.Taken() || v.Reason == validation.Duplicate {
				r.send(engine.Publication{Topic: m.topic, Bytes: m.data})
			}
			return nil
		})
	}
	g.Wait() // none fails
	kept := r.waiting[:0]
	for i, m := range r.waiting {
		if !done[i] {
			kept = append(kept, m)
		}
	}
	clear(r.waiting[len(kept):])
	r.waiting = kept
}

// held reports whether a message has its last chance: one of a session whose
// base block never came is charged then, or blocks that do not exist would be
// free to name.
func (r *room) held(m early, now time.Time) bool {
	_, ofMembers := m.topic.DKG()
	return ofMembers && r.over(m, now)
}

func (r *room) over(m early, now time.Time) bool { return now.Sub(m.since) >= roomSlots*r.slot }

// expire drops what has waited long enough.
func (r *room) expire(now time.Time) {
	before := len(r.waiting)
	r.waiting = slices.DeleteFunc(r.waiting, func(m early) bool { return r.over(m, now) })
	r.lost.Add(float64(before - len(r.waiting)))
}
