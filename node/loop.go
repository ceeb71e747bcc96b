package node

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation"
)

// Limits of the engine's loop.
const (
	inboxSize     = 4096      // inputs waiting for the engine
	maxBatch      = 64        // inputs stepped for one commit
	maxBatchBytes = 512 << 10 // of records in one batch, beyond which it closes

	// maxCommitBytes is what one transaction takes, where a batch can be split:
	// the store's limit lies at twice that.
	maxCommitBytes = 1 << 20
)

// request is an input and who waits for the reply, if anybody does.
type request struct {
	input engine.Input
	reply chan engine.Reply // capacity 1, or nil
}

// loop feeds the engine: it takes what is waiting, steps it, and hands one
// batch of effects to the committer. While that waits for the disk the next
// batch gathers.
func (n *Node) loop(ctx context.Context) error {
	ticks := time.NewTicker(n.tickEvery())
	defer ticks.Stop()
	b := batch{node: n, effects: *n.initial}
	b.add(request{input: engine.Tick{Now: time.Now()}})
	for {
		n.pulse.beat(time.Now())
		var stop fatal
		switch err := b.submit(ctx); {
		case errors.As(err, &stop):
			return stop.error // and nothing of this batch is stored
		case err != nil:
			return nil // the node is stopping
		}
		b = batch{node: n}
		select {
		case r := <-n.inbox:
			b.add(r)
		case now := <-ticks.C:
			b.add(request{input: engine.Tick{Now: now}})
		case <-ctx.Done():
			return nil
		}
		b.fill()
	}
}

// batch is a group of inputs whose effects are committed together.
type batch struct {
	node    *Node
	effects engine.Effects
	waiting []chan engine.Reply // the reply channel of ticket i+1
}

func (b *batch) add(r request) {
	var t engine.Ticket
	if r.reply != nil {
		b.waiting = append(b.waiting, r.reply)
		t = engine.Ticket(len(b.waiting))
	}
	b.node.engine.Step(r.input, t, &b.effects)
}

// fill adds what is waiting, up to the limits. Before the batch closes, those
// about to hand something in get their turn: a burst of verified messages
// would otherwise trickle into several commits.
func (b *batch) fill() {
	size := 1
	for yielded := false; size < maxBatch && b.effects.WriteBytes() < maxBatchBytes; {
		select {
		case r := <-b.node.inbox:
			b.add(r)
			size++
			yielded = false
			continue
		default:
		}
		if yielded {
			break
		}
		runtime.Gosched()
		yielded = true
	}
	b.node.metrics.batch.Observe(float64(size))
}

func (b *batch) submit(ctx context.Context) error {
	if b.effects.Fatal != nil {
		return fatal{b.effects.Fatal}
	}
	snapshot := b.node.engine.Snapshot()
	done := *b
	return b.node.commits.Submit(ctx, store.Batch{
		Commits: b.effects.Commits(maxCommitBytes),
		Done:    func() { done.release(snapshot) },
	})
}

// fatal is an error after which the engine must not go on.
type fatal struct{ error }

// release lets out what had to wait for the commit, in this order: readers
// see the new state, callers get their answers, the network hears of it.
func (b *batch) release(snapshot *engine.Snapshot) {
	before := b.node.snapshot.Swap(snapshot)
	if standpointOf(before) != standpointOf(snapshot) {
		b.node.room.wake()
	}
	for _, r := range b.effects.Replies {
		b.waiting[r.Ticket-1] <- r
	}
	gossip := b.node.gossip
	for _, c := range b.effects.Charges {
		b.node.admission.charged(c.Peer, time.Now())
		if !b.node.config.DryRun {
			gossip.Charged(c)
		}
	}
	for _, ban := range b.effects.Bans {
		if !ban.DryRun {
			gossip.Ban(ban)
		}
	}
	for _, p := range b.effects.Unbans {
		gossip.Unban(p)
	}
	for _, p := range b.effects.Publications {
		if mute := b.node.config.Mute; mute != nil && mute(p) {
			continue
		}
		said := []engine.Publication{p}
		if forge := b.node.config.Forge; forge != nil {
			said = forge(p)
		}
		for _, p := range said {
			gossip.Publish(p)
		}
	}
	for _, m := range b.effects.Shares {
		gossip.SendShares(m)
	}
	for _, p := range b.effects.Probes {
		b.node.prober.try(p)
	}
	for _, f := range b.effects.Fetches {
		gossip.Fetch(f)
	}
	for _, w := range b.effects.Wants {
		gossip.Want(w)
	}
	for _, d := range b.effects.Due {
		select {
		case b.node.due <- d:
		default:
			b.effects.Lost++
		}
	}
	if snapshot.IsSynced && !before.IsSynced { // what gossip brought meanwhile is gone from it
		gossip.Reconcile()
	}
	b.node.report(&b.effects)
}

// ask hands an input to the engine and waits for the verdict.
func (n *Node) ask(ctx context.Context, in engine.Input) validation.Verdict {
	return n.reply(ctx, in).Verdict
}

// reply hands an input to the engine and waits for the reply, which comes after
// the commit.
func (n *Node) reply(ctx context.Context, in engine.Input) engine.Reply {
	reply := make(chan engine.Reply, 1)
	late := engine.Reply{Verdict: validation.Overload.Verdict()}
	select {
	case n.inbox <- request{in, reply}:
	case <-ctx.Done():
		n.metrics.drops.Inc()
		return late
	case <-n.stopped:
		return late
	}
	select {
	case r := <-reply:
		return r
	case <-ctx.Done():
		return late
	case <-n.stopped:
		return late
	}
}

// tell hands an input to the engine. It waits while the inbox is full.
func (n *Node) tell(in engine.Input) {
	select {
	case n.inbox <- request{input: in}:
	case <-n.stopped:
	}
}
