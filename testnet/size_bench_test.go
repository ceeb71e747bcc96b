package testnet

import (
	"crypto/ed25519"
	"runtime"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/wire"
)

// The size of a large network, and how much of its past is measured.
const (
	largeNodes  = 5000
	largeBlocks = 600
)

// BenchmarkLargeNetwork measures what one node stores and holds in memory for
// each of 5,000 service nodes, of all of whom it heard a proof, and how long it
// takes to open its database after 600 blocks and to be where it was.
func BenchmarkLargeNetwork(b *testing.B) {
	s := oneOfMany(b)
	size := 0
	for kind, records := range s.members[0].disk {
		if kind == engine.KindBlock || kind == engine.KindUndo {
			continue
		}
		for key, value := range records {
			size += len(key) + len(value)
		}
	}
	dir := b.TempDir()
	if err := s.Save(0, dir); err != nil {
		b.Fatal(err)
	}
	config, root := s.engineConfig(0), s.Engine(0).Snapshot().State.Root()
	config.Verify = nil
	s = nil
	var times []time.Duration
	var held, files int64
	for b.Loop() {
		before := heap()
		began := time.Now()
		db, err := store.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		e, _, err := engine.Restore(config, db)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
		held = int64(heap()) - int64(before)
		if e.Snapshot().State.Root() != root {
			b.Fatal("another state came back")
		}
		if files, err = db.Size(); err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(e)
	}
	b.ReportMetric(ms(measure.Median(times)), "reopen-ms(reported)")
	b.ReportMetric(float64(size)/largeNodes, "record-B/node(reported)")
	b.ReportMetric(float64(files)/largeNodes, "file-B/node(reported)")
	b.ReportMetric(float64(held)/largeNodes, "heap-B/node(reported)")
}

// oneOfMany is a simulation of which only the author of all blocks lives. It
// hears a proof of everybody.
func oneOfMany(b *testing.B) *Simulation {
	n, err := NewNetwork(Options{
		Nodes: largeNodes, Seed: 9, Profile: "spec", Slot: time.Second, Apart: true, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		b.Fatal(err)
	}
	s := &Simulation{Network: n, verify: sharedVerifier(), members: []*simulated{{disk: make(records)}}}
	if err := s.Up(0); err != nil {
		b.Fatal(err)
	}
	for s.Slot < largeBlocks {
		s.Slot++
		if err := s.step(0, engine.Tick{Now: n.Genesis.SlotStart(s.Slot)}); err != nil {
			b.Fatal(err)
		}
	}
	view := s.Engine(0).Snapshot()
	if view.TipHeight() < largeBlocks-10 {
		b.Fatalf("height %d after %d slots", view.TipHeight(), s.Slot)
	}
	network := n.Genesis.Hash()
	anchor, _ := view.BlockAt(view.TipHeight() - 2)
	for _, m := range n.Members[1:] {
		p := wire.UptimeProof{
			ProTxHash: m.ProTxHash, Sequence: 1, AnchorHeight: view.TipHeight() - 2, AnchorHash: anchor,
			Protocol: wire.ProtocolVersion, Agent: engine.Agent, Addresses: m.Addresses(),
		}
		p.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, p.SealedBytes(network)))
		if err := s.step(0, engine.Proof{From: "evo-2", Proof: p, Key: m.serviceKey()}); err != nil {
			b.Fatal(err)
		}
	}
	if heard := s.Engine(0).Snapshot().Proofs.Len(); heard < largeNodes-1 {
		b.Fatalf("%d proofs are held", heard)
	}
	return s
}

// BenchmarkSimulation measures the CPU of a block in each engine of a network
// of 60, all of whom prove, test and publish.
func BenchmarkSimulation(b *testing.B) {
	const nodes, blocks = 60, 60
	w := newWorld(b, Options{Nodes: nodes, Seed: 10}, Link{})
	if err := w.Run(100); err != nil {
		b.Fatal(err)
	}
	var costs []time.Duration
	for b.Loop() {
		costs = append(costs, measure.CPU(func() {
			if err := w.Run(blocks); err != nil {
				b.Fatal(err)
			}
		})/(nodes*blocks))
	}
	b.ReportMetric(float64(measure.Median(costs).Microseconds()), "us-CPU/block/engine(reported)")
}
