package testnet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkBanOverNetwork measures the CPU of an accepted ban with transport,
// both ends counted: one peer sends 64, one node judges and stores them.
func BenchmarkBanOverNetwork(b *testing.B) {
	const offered = 64
	o := frozen("core")
	o.Nodes, o.Regular = offered+1, 1
	c := newLargeBench(b, o)
	c.start(0)
	s := c.insider(1, 0)
	var ratios []float64
	height := c.Node(0).Snapshot().TipHeight() - 500
	for b.Loop() {
		height++
		bans := c.bans(offered, height)
		raw := measure.CPU(func() { c.checkTogether(bans) })
		sent := measure.CPU(func() {
			before := c.Node(0).Snapshot().Accepted.Len()
			for _, m := range bans {
				s.Say(engine.TopicPlatformBan, m.Bytes())
			}
			c.await("the bans", func() bool { return c.Node(0).Snapshot().Accepted.Len() == before+offered })
		})
		ratios = append(ratios, sent.Seconds()/raw.Seconds())
	}
	b.ReportMetric(measure.Median(ratios), "x-raw-batch(reported)")
}

// bans signs one ban for each of the first evonodes.
func (b *bench) bans(count int, height int32) (bans []wire.PlatformBan) {
	for i := range count {
		bans = append(bans, b.ban(b.evo(i+1), height))
	}
	return bans
}

func (b *bench) checkTogether(bans []wire.PlatformBan) {
	key, err := bls.ParsePublicKey(b.Quorums.At(bans[0].SignedHeight).PublicKey)
	if err != nil {
		b.t.Fatal(err)
	}
	var items []bls.Item
	for _, m := range bans {
		sig, err := bls.ParseSignature(m.Signature)
		if err != nil {
			b.t.Fatal(err)
		}
		items = append(items, bls.Item{Key: key, Hash: m.SignHash(b.Signers.Type), Signature: sig})
	}
	if slices.Contains(bls.VerifyBatch(items, [32]byte{1}), false) {
		b.t.Fatal("a signature is wrong")
	}
}

// The load of BenchmarkPropagation.
const (
	hosts   = 10
	spread  = 300 // messages
	perSlot = 10 * time.Millisecond
)

// BenchmarkPropagation measures how long a ban takes from the node it enters
// at until it is on the disk of each of 10 nodes, at 100 a second, and how
// long the same bytes take to reach each of 10 hosts that accept everything.
func BenchmarkPropagation(b *testing.B) {
	for b.Loop() {
		judged := propagation(b, judgingNetwork(b))
		bare := propagation(b, bareNetwork(b))
		b.ReportMetric(ms(measure.Quantile(judged, 0.5)), "p50-ms")
		b.ReportMetric(ms(measure.Quantile(judged, 0.99)), "p99-ms")
		b.ReportMetric(ms(measure.Quantile(bare, 0.5)), "bare-p50-ms")
		b.ReportMetric(ms(measure.Quantile(bare, 0.99)), "bare-p99-ms")
		b.ReportMetric(measure.Quantile(judged, 0.5).Seconds()/measure.Quantile(bare, 0.5).Seconds(), "x-bare-p50")
	}
}

// arrivals notes when each message was first seen at each host.
type arrivals struct {
	mu   sync.Mutex
	seen map[wire.Hash][]time.Time // by inventory hash
	byID map[wire.Hash]wire.Hash   // inventory hash by the id of all bytes
}

func (a *arrivals) note(m wire.Hash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[m] = append(a.seen[m], time.Now())
}

func (a *arrivals) complete() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, times := range a.seen {
		if len(times) < hosts {
			return false
		}
	}
	return len(a.seen) == spread
}

// loaded is a network of hosts that messages can be put into.
type loaded struct {
	*bench
	*arrivals
	bans   []wire.PlatformBan
	submit func(host int, m wire.PlatformBan)
}

func propagation(b *testing.B, n loaded) (delays []time.Duration) {
	sent := make(map[wire.Hash]time.Time)
	tick := time.NewTicker(perSlot)
	defer tick.Stop()
	var submits sync.WaitGroup
	for i, m := range n.bans {
		<-tick.C
		sent[m.InventoryHash()] = time.Now()
		submits.Go(func() { n.submit(i%hosts, m) })
	}
	submits.Wait()
	n.await("every message to reach every host", n.complete)
	for m, times := range n.seen {
		for _, t := range times {
			delays = append(delays, t.Sub(sent[m]))
		}
	}
	return delays
}

// noting notes judged bans once that is on disk.
type noting struct {
	store.Committing
	*arrivals
}

func (n noting) Commit(writes []engine.Write) error {
	err := n.Committing.Commit(writes)
	for _, w := range writes {
		switch {
		case w.Kind == engine.KindBan && w.Value != nil:
			n.note(wire.Hash(w.Key))
		case w.Kind == engine.KindRefusal && w.Value != nil: // stale: the evonode's next ban was faster
			n.note(n.byID[wire.Hash(w.Key)])
		}
	}
	return err
}

func judgingNetwork(b *testing.B) loaded {
	o := frozen("core")
	o.Nodes, o.Regular = hosts, 2
	c := newBench(b, o)
	a := &arrivals{seen: make(map[wire.Hash][]time.Time), byID: make(map[wire.Hash]wire.Hash)}
	bans := c.spreadBans()
	for _, m := range bans {
		a.byID[m.ID()] = m.InventoryHash()
	}
	c.faults = func(_ int, disk store.Committing) store.Committing { return noting{disk, a} }
	if err := c.StartAll(c.ctx); err != nil {
		b.Fatal(err)
	}
	return loaded{c, a, bans, func(host int, m wire.PlatformBan) {
		if v := c.Node(host).SubmitBan(c.ctx, m.Bytes()); !v.OK() && v.Reason != validation.Stale {
			b.Errorf("judged %s", v.Reason)
		}
	}}
}

// spreadBans takes the evonodes in turn, each time at a higher height: by the
// time an evonode's turn comes again its last ban has long been everywhere, so
// hardly one arrives stale.
func (b *bench) spreadBans() (bans []wire.PlatformBan) {
	evonodes := 0
	for _, m := range b.Members {
		if m.Evo {
			evonodes++
		}
	}
	for i := range spread {
		bans = append(bans, b.ban(b.evo(i%evonodes+1), int32(100+i/evonodes)))
	}
	return bans
}

// listener is a backend that accepts everything and notes when.
type listener struct {
	Bystander
	*arrivals
}

func (l *listener) Judge(_ context.Context, _ engine.Topic, _ engine.Peer, data []byte) validation.Verdict {
	if m, err := wire.ParsePlatformBan(data); err == nil {
		l.note(m.InventoryHash())
	}
	return validation.Valid.Verdict()
}

func bareNetwork(b *testing.B) loaded {
	o := frozen("core")
	o.Nodes, o.Regular = hosts, 2
	c := newBench(b, o)
	a := &arrivals{seen: make(map[wire.Hash][]time.Time)}
	services := make([]*gossip.Service, hosts)
	ctx, stop := context.WithCancel(c.ctx)
	var running sync.WaitGroup
	for i, m := range c.Members {
		s, err := gossip.New(gossip.Config{
			Backend:         &listener{Bystander{Genesis: c.Genesis}, a},
			Network:         c.Genesis.Network,
			Identity:        m.Service,
			Listen:          m.Addresses(),
			Log:             slog.New(slog.NewTextHandler(io.Discard, nil)),
			Registerer:      prometheus.NewRegistry(),
			Bootstrap:       c.neighbours(i),
			SizeHint:        hosts,
			SharedAddresses: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		services[i] = s
		running.Go(func() {
			if err := s.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() { stop(); running.Wait() })
	c.await("the mesh", func() bool {
		return !slices.ContainsFunc(services, func(s *gossip.Service) bool { return s.MeshPeers(engine.TopicPlatformBan) == 0 })
	})
	return loaded{c, a, c.spreadBans(), func(host int, m wire.PlatformBan) {
		a.note(m.InventoryHash()) // the sender has it at once
		services[host].Publish(engine.Publication{Topic: engine.TopicPlatformBan, Bytes: m.Bytes()})
	}}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
