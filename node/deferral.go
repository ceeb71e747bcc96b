package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of what is judged again.
const (
	maxDue      = inventory.MaxDeferred // bans whose time has come
	dueAtOnce   = 64                    // of them being judged: a batch of signatures
	dueDeadline = 5 * time.Second       // for one of them
)

// waitsFor says what a ban with that verdict is kept for; false when it is
// not kept.
func waitsFor(r validation.Reason) (inventory.Why, bool) {
	switch r {
	case validation.NotSynced:
		return inventory.Unsynced, true
	case validation.Unsure:
		return inventory.Unsure, true
	case validation.Ahead:
		return inventory.Ahead, true
	case validation.Rate, validation.Overload:
		return inventory.Busy, true
	default:
		return 0, false
	}
}

// putOff keeps a ban of a peer that could not be judged. Pubsub has marked it
// as seen and will not bring it again, but DIP-0031 does not count it as
// received: it is judged later, charged to the peer it came from, and sent on
// when it is good.
func (n *Node) putOff(from engine.Peer, data []byte, why inventory.Why) {
	if m, err := wire.ParsePlatformBan(data); err == nil {
		n.tell(engine.Defer{Ban: inventory.Deferred{From: string(from), Ban: m, Why: why}})
	}
}

// judgeDue judges the deferred bans whose time has come.
func (n *Node) judgeDue(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(dueAtOnce)
	for {
		select {
		case d := <-n.due:
			g.Go(func() error {
				n.judgeAgain(ctx, d)
				return nil
			})
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

func (n *Node) judgeAgain(ctx context.Context, d inventory.Deferred) {
	ctx, cancel := context.WithTimeout(ctx, dueDeadline)
	defer cancel()
	data := d.Ban.Bytes()
	v := n.judge(ctx, engine.TopicPlatformBan, engine.Peer(d.From), data, d.Why == inventory.Ahead)
	n.gossip.Count(engine.TopicPlatformBan, v)
	if why, again := waitsFor(v.Reason); again {
		d.Why = why
		n.tell(engine.Defer{Ban: d})
		return
	}
	if v.OK() || v.Reason == validation.Duplicate { // the engine may have taken it after our time was up
		n.gossip.Publish(engine.Publication{Topic: engine.TopicPlatformBan, Bytes: data})
	}
}
