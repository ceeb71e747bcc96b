package testnet

import (
	"encoding/binary"
	"maps"
	"runtime"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// heavy skips a test under -short and where the race detector makes it take
// minutes. The ordinary run has them all.
func heavy(t *testing.T) {
	t.Helper()
	if testing.Short() || raceEnabled {
		t.Skip("takes too long here")
	}
	t.Parallel()
}

// Of 60 members 21 fall silent for two days. The brake holds most of them in
// service, nobody is deregistered while it holds and credit is not below the
// negative maximum, and when they return everybody serves. Source: DESIGN.md
// section 6, rule 8.
func TestSimulation_BrakeHoldsInAMassFailure(t *testing.T) {
	heavy(t)
	const nodes, silent, brake = 60, 21, 15
	w := newWorld(t, Options{Nodes: nodes, Seed: 51}, Link{})
	w.run(100)
	for i := nodes - silent; i < nodes; i++ {
		w.Down(i)
	}
	most, before := 0, 0
	w.atBlock = func(l *engine.Link) {
		s := l.State
		_, active, down := s.Counts()
		most = max(most, down)
		if down > s.Brake() || s.Brake() != brake || active+down != nodes {
			t.Errorf("block %d: %d active, %d decommissioned, brake %d", l.Tip.Height, active, down, s.Brake())
		}
		if down > before+params.RemovalFloor {
			t.Errorf("block %d takes %d out of service", l.Tip.Height, down-before)
		}
		before = down
	}
	w.run(100)
	if most != brake {
		t.Fatalf("%d are decommissioned, want %d", most, brake)
	}
	lowest := func() (credit int32) {
		s := w.view().State
		for _, n := range s.Nodes() {
			credit = min(credit, n.Credit(w.tip()+1, s.Rules()))
		}
		return credit
	}
	rules := w.view().State.Rules()
	w.until("credit near the negative maximum", 1600, func() bool { return lowest() < -rules.MaxCredit+10 })
	for i := nodes - silent; i < nodes; i++ {
		w.up(i)
	}
	w.run(80)
	w.counts(nodes, 0)
	w.oneTip()
	for i := range w.Members {
		all := w.transitions(i)
		if returned := len(all) == 2 && all[1].To == state.Active; i < nodes-silent && len(all) > 0 || len(all) > 0 && !returned {
			t.Errorf("%s: %+v", w.Members[i].Name, all)
		}
	}
}

// After thirty days of blocks ten members hold what ten members held after
// ten days: nothing grows but the chain itself.
func TestSimulation_ThirtyDays(t *testing.T) {
	heavy(t)
	const days, perDay = 30, 720
	w := newWorld(t, Options{Nodes: 10, Seed: 52}, Link{})
	var counts [2]map[engine.Kind]int
	var heaps [2]uint64
	for day := 1; day <= days; day++ {
		if err := w.Run(perDay); err != nil {
			t.Fatal(err)
		}
		for i := range w.members {
			w.watch(i)
			w.forgetBlocks(i)
		}
		w.oneTip()
		switch day {
		case 10:
			counts[0], heaps[0] = w.records(), heap()
		case days:
			counts[1], heaps[1] = w.records(), heap()
		}
	}
	w.counts(10, 0)
	w.untouched()
	for i := range w.Members {
		if credit := w.node(i).Credit(w.tip(), w.view().State.Rules()); credit != 780 {
			t.Errorf("%s has a credit of %d, want 780", w.Members[i].Name, credit)
		}
	}
	if !maps.Equal(counts[0], counts[1]) {
		t.Errorf("records by kind after 10 days %v, after 30 %v", counts[0], counts[1])
	}
	for i := range w.members {
		view := w.Engine(i).Snapshot()
		if len(view.Branch) > 100 || view.Proofs.Len() != 10 || view.Votes.Len() != 0 || view.Checkpoints.Len() > 200 || view.Accounts.Len() != 0 {
			t.Errorf("%s holds %d blocks, %d proofs, %d votes, %d hashes", w.Members[i].Name, len(view.Branch), view.Proofs.Len(), view.Votes.Len(), view.Checkpoints.Len())
		}
	}
	if heaps[1] > heaps[0]+128<<20 { // other simulations run at the same time
		t.Errorf("heap after 10 days %d KiB, after 30 %d KiB", heaps[0]>>10, heaps[1]>>10)
	}
	t.Logf("records %v; heap after 10 days %d KiB, after 30 %d KiB", counts[1], heaps[0]>>10, heaps[1]>>10)
}

// forgetBlocks lets old blocks lie on a disk that nobody has to keep in
// memory.
func (w *world) forgetBlocks(i int) {
	blocks := w.members[i].disk[engine.KindBlock]
	for key := range blocks {
		if int32(binary.BigEndian.Uint32([]byte(key))) < w.tip()-1000 {
			delete(blocks, key)
		}
	}
}

// records counts what all members have stored, but the blocks.
func (w *world) records() map[engine.Kind]int {
	counts := make(map[engine.Kind]int)
	for _, m := range w.members {
		for kind, of := range m.disk {
			if kind != engine.KindBlock && len(of) > 0 {
				counts[kind] += len(of)
			}
		}
	}
	return counts
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
