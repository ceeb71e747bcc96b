package state

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/wire"
)

// spread is a network of n nodes as large ones are: hashes spread evenly, one
// address, one staker for each.
func spread(n int) chain.Genesis {
	g := funded(n, "core")
	g.StakingRequirement = 1000
	for i := range g.Nodes {
		node := &g.Nodes[i]
		node.ProTxHash = wire.DoubleHash(node.ServiceKey[:])
		node.ServiceKey = wire.ServiceKey(wire.DoubleHash(node.ProTxHash[:]))
		node.Addresses = []string{"/ip4/192.168.100.100/tcp/20001"}
		staker := wire.StakerKey(wire.DoubleHash(node.ServiceKey[:]))
		node.Stakes = []chain.Grant{{Staker: staker, Amount: 1000}}
		g.Grants = append(g.Grants, node.Stakes...)
	}
	slices.SortFunc(g.Nodes, func(a, b chain.GenesisNode) int { return bytes.Compare(a.ProTxHash[:], b.ProTxHash[:]) })
	return g
}

// full makes blocks that change 100 records: one is paid, 64 update their
// addresses, 33 get an address penalty, two are decommissioned or come back.
type full struct {
	g      chain.Genesis
	height int32
	turn   int
	last   []uint64
	hash   wire.Hash // of the network: it encodes the whole genesis
}

func newFull(g chain.Genesis) *full {
	return &full{g: g, height: 1, last: make([]uint64, len(g.Nodes)), hash: g.Hash()}
}

func (f *full) block(s State) wire.Block {
	f.height++
	b := block(s, f.height)
	step := len(f.g.Nodes)/101 | 1
	next := func() int { f.turn += step; return f.turn % len(f.g.Nodes) }
	for range wire.MaxBlockEvents {
		i := next()
		f.last[i]++
		b.Events = append(b.Events, wire.UpdateService{
			EventHead: wire.EventHead{Network: f.hash, Sequence: f.last[i]}, ProTxHash: f.g.Nodes[i].ProTxHash, Addresses: f.g.Nodes[i].Addresses,
		})
	}
	for i := range 35 {
		a := wire.TwoAddresses
		if i < 2 {
			a = wire.FailsUptime
		}
		c := answer(f.g, next(), f.height-1, a)
		if n, _ := s.Node(c.ProTxHash); n.Service() == Decommissioned {
			c.Answer = wire.Passes
		}
		if s.CheckResult(f.height, c.Ballot) == nil {
			b.Certificates = append(b.Certificates, c)
		}
	}
	slices.SortFunc(b.Certificates, func(a, b wire.Certificate) int { return bytes.Compare(a.ProTxHash[:], b.ProTxHash[:]) })
	return b
}

// BenchmarkApply measures a block with 100 changed records at 100,000 nodes
// against the same at 5,000: the cost must follow the change.
func BenchmarkApply(b *testing.B) {
	sizes := []int{5_000, 100_000}
	states, blocks := make([]State, 2), make([]*full, 2)
	for i, n := range sizes {
		g := spread(n)
		states[i], blocks[i] = start(b, g), newFull(g)
	}
	var ratios, small, records []float64
	for b.Loop() {
		var took [2]float64
		for i := range sizes {
			for range 40 {
				block := blocks[i].block(states[i])
				took[i] += float64(measure.CPU(func() {
					next, diff, err := states[i].Apply(block)
					if err != nil {
						b.Fatal(err)
					}
					states[i] = next
					records = append(records, float64(len(diff.Before)))
				}).Microseconds())
			}
			runtime.GC() // what one size leaves behind is not the other's to clean up
		}
		ratios, small = append(ratios, took[1]/took[0]), append(small, took[0]/40)
	}
	b.ReportMetric(measure.Median(ratios), "x-5000-nodes(aim:1.5)")
	b.ReportMetric(measure.Median(small), "µs-per-block")
	b.ReportMetric(measure.Median(records), "records-per-block")
}

// BenchmarkUndo measures a reorganisation of 60 full blocks at 5,000 nodes,
// back and forth again, against applying them.
func BenchmarkUndo(b *testing.B) {
	g := spread(5_000)
	s, f := start(b, g), newFull(g)
	var blocks []wire.Block
	var undo [][]byte
	tip := s
	for range 60 {
		block := f.block(tip)
		next, diff, err := tip.Apply(block)
		if err != nil {
			b.Fatal(err)
		}
		tip, blocks, undo = next, append(blocks, block), append(undo, diff.UndoBytes())
	}
	var back, both, size []float64
	for b.Loop() {
		apply := func() {
			now := s
			for _, block := range blocks {
				var err error
				if now, _, err = now.Apply(block); err != nil {
					b.Fatal(err)
				}
			}
		}
		applied := measure.CPU(apply)
		undone := measure.CPU(func() {
			now := tip
			for i := range undo {
				d, err := ParseUndo(undo[len(undo)-1-i])
				if err == nil {
					now, err = now.Undo(d)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		again := measure.CPU(apply)
		back = append(back, float64(undone)/float64(applied))
		both = append(both, float64(undone+again)/float64(applied))
		for _, u := range undo {
			size = append(size, float64(len(u))/1024)
		}
	}
	b.ReportMetric(measure.Median(back), "x-applying-to-undo(aim:1.2)")
	b.ReportMetric(measure.Median(both), "x-applying-to-undo-and-redo(aim:2.5)")
	b.ReportMetric(measure.Median(size), "KiB-to-undo-a-block")
}

// BenchmarkMemory measures what a node costs, its staker included.
func BenchmarkMemory(b *testing.B) {
	const n = 20_000
	g := spread(n)
	var records, held []float64
	for b.Loop() {
		before := heap()
		s := start(b, g)
		held = append(held, float64(heap()-before)/n)
		size := 0
		for r := range s.Records() {
			size += len(r.Value)
		}
		records = append(records, float64(size)/n)
	}
	b.ReportMetric(measure.Median(held), "bytes-in-memory-per-node")
	b.ReportMetric(measure.Median(records), "bytes-of-records-per-node")
	b.ReportMetric(measure.Median(held)/measure.Median(records), "x-bytes-of-the-records(aim:6)")
	runtime.KeepAlive(g)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one found to be finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
