package testnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
)

// chaos makes a bad time for a network of 10 with 4 authorities: messages in
// any order, a fifth of them lost and a fifth twice, members that come and go,
// a silent one, and now and then a partition in which one side, or none, can
// make blocks final. Partitions heal before the next one. It returns nil if two
// final blocks contradicted each other, which honest authors can bring about
// where messages are lost for longer than a turn (docs/decisions/019): about one
// time in fifty here.
func chaos(t *testing.T, seed uint64, slots int) *world {
	w := newWorld(t, Options{Nodes: 10, Regular: 4, Seed: seed, Profile: profiles[seed%2]}, Link{Shuffle: true, Twice: 0.2, Loss: 0.2})
	random := rand.New(rand.NewPCG(seed, 1))
	side := make([]bool, len(w.Members))
	parted := false
	w.link.Cut = func(a, b int) bool { return parted && side[a] != side[b] }
	w.silent[9] = true
	for i := range slots {
		switch i % 60 {
		case 30:
			parted = true
			for m := range side {
				side[m] = random.IntN(2) == 0
			}
		case 45:
			parted = false
		}
		if m := random.IntN(len(w.Members)); random.IntN(5) == 0 {
			if w.Engine(m) == nil {
				w.up(m)
			} else if m >= 4 || random.IntN(4) == 0 {
				w.Down(m)
			}
		}
		if err := w.advance(); errors.Is(err, chain.ErrConflict) {
			return nil
		} else if err != nil {
			t.Fatalf("slot %d: %v", w.Slot, err)
		}
	}
	return w
}

func TestSimulation_ChaosEndsInOneState(t *testing.T) {
	var conflicts atomic.Int32
	t.Cleanup(func() {
		if n := conflicts.Load(); n > 1 {
			t.Errorf("in %d runs two final blocks contradicted each other", n)
		}
	})
	for seed := uint64(1); seed <= 5; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := chaos(t, seed, 300)
			if w == nil {
				conflicts.Add(1)
				return
			}
			w.silent[9] = false
			w.calm(100)
			if final := w.view().Final.Height; final < w.tip()-10 {
				t.Errorf("final height %d below tip %d", final, w.tip())
			}
		})
	}
}

// Bad links alone harm nobody: whoever serves all the time stays active. What
// is lost here is lost in the end, after all that gossip does to repeat it.
func TestSimulation_BadLinksHarmNobody(t *testing.T) {
	for _, nodes := range []int{7, 10, 25} {
		for _, profile := range profiles {
			t.Run(fmt.Sprint(nodes, " ", profile), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, Options{Nodes: nodes, Seed: uint64(nodes), Profile: profile}, Link{Shuffle: true, Twice: 0.2, Loss: 0.1})
				w.run(200)
				w.calm(5)
				w.untouched()
			})
		}
	}
}

// Whatever a map's order is, the same simulation stores the same.
func TestSimulation_IsAFunctionOfItsSeed(t *testing.T) {
	t.Parallel()
	a, b := chaos(t, 5, 150), chaos(t, 5, 150)
	if a == nil || b == nil {
		t.Fatal("two final blocks contradict each other: take another seed")
	}
	equal(t, a, b)
}

// A network in which every member is stopped and started at every slot, while
// testers vote and blocks carry certificates, stores what one stores whose
// members run through.
func TestSimulation_RestartsChangeNothing(t *testing.T) {
	t.Parallel()
	run := func(restarts bool) *world {
		w := newWorld(t, Options{Nodes: 10, Regular: 4, Seed: 6, Profile: "core"}, Link{})
		for i := range 100 {
			switch i {
			case 15:
				w.silent[8], w.silent[9] = true, true
			case 60:
				w.silent[8] = false
			}
			w.run(1)
			if restarts && 20 <= i && i < 90 {
				for m := range w.Members {
					w.restart(m)
				}
			}
		}
		w.listen()
		return w
	}
	through, restarted := run(false), run(true)
	equal(t, through, restarted)
	if all := through.transitions(8); len(all) != 2 || all[0].To != state.Decommissioned || all[1].To != state.Active {
		t.Errorf("%+v, want a decommission and a recommission within the window", all)
	}
}

// Two halves of a network go on for hours without each other. Neither makes
// anything final, neither judges the other, and the shorter branch gives way.
func TestSimulation_MassPartitions(t *testing.T) {
	for _, c := range []struct{ nodes, first int }{{10, 5}, {7, 4}} {
		for _, profile := range profiles {
			t.Run(fmt.Sprintf("%d of %d %s", c.first, c.nodes, profile), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, Options{Nodes: c.nodes, Seed: 7, Authorities: c.nodes, Profile: profile}, Link{})
				w.run(100)
				w.link.Cut = func(a, b int) bool { return (a < c.first) != (b < c.first) }
				final := w.view().Final.Height
				w.run(200)
				here, there := w.Engine(0).Snapshot(), w.Engine(c.nodes-1).Snapshot()
				if here.Tip.Hash == there.Tip.Hash || here.Tip.Height < 150 || there.Tip.Height < 150 {
					t.Fatalf("tips %d and %d: both sides must go on apart", here.Tip.Height, there.Tip.Height)
				}
				if got := max(here.Final.Height, there.Final.Height); got > final+int32(c.nodes) {
					t.Errorf("final height %d, before the partition %d", got, final)
				}
				w.calm(2 * c.nodes)
				w.untouched()
				if got := w.view().Final.Height; got < here.Tip.Height && got < there.Tip.Height {
					t.Errorf("final height %d after the partition, tip %d", got, w.tip())
				}
			})
		}
	}
}
