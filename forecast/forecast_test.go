package forecast_test

import (
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// world is a simulated network in which members can be made silent.
type world struct {
	testing.TB
	*testnet.Simulation
	silent map[int]bool
	sent   map[int][]engine.Publication // since the test looked last
}

func newWorld(t testing.TB, o testnet.Options) *world {
	o.Profile, o.Slot, o.Now, o.Seed = "spec", time.Second, time.Now(), 11
	network, err := testnet.NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, silent: make(map[int]bool), sent: make(map[int][]engine.Publication)}
	if w.Simulation, err = network.Simulate(testnet.Link{Mute: func(i int, p engine.Publication) bool {
		w.sent[i] = append(w.sent[i], p)
		return w.silent[i] && p.Topic == engine.TopicUptime
	}}, 1); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) run(slots int) {
	w.Helper()
	if err := w.Run(slots); err != nil {
		w.Fatal(err)
	}
}

func (w *world) view() *engine.Snapshot { return w.Engine(0).Snapshot() }

func (w *world) forecast(i int) forecast.Forecast {
	return forecast.Of(w.view(), w.Members[i].ProTxHash)
}

// What is foretold about sessions and draws is what then happens, at every
// block of three sessions: who is a member, when it speaks, which hashes it
// publishes and when it sends its proofs.
func TestOf_DutiesComeTrue(t *testing.T) {
	w := newWorld(t, testnet.Options{Nodes: 14, Regular: 1}) // 13 evonodes, of which 12 are drawn
	type promise struct{ known, member bool }
	promised := make(map[int32]map[int]promise) // by base and member
	possible := 0
	for height := int32(1); height <= 110; height++ {
		clear(w.sent)
		before := make([]forecast.Forecast, len(w.Members))
		if height > 1 {
			for i := range w.Members {
				before[i] = w.forecast(i)
			}
		}
		w.run(1)
		if got := w.view().TipHeight(); got != height {
			t.Fatalf("height is %d, want %d", got, height)
		}
		for i := range w.Members {
			if height == 1 {
				continue
			}
			did := w.did(i)
			for _, d := range before[i].Duties {
				if d.Kind == forecast.Checkpoint && d.Chance < 1 {
					possible++
				}
				switch {
				case d.From > height || d.Until < height:
				case d.Kind == forecast.Proof && !did[wire.Hash{byte(engine.KindProof)}] && d.From == height:
					t.Errorf("block %d: %s sent no proof, of %+v", height, w.Members[i].Name, d)
				case d.Kind == forecast.Checkpoint && d.Chance == 1 && d.From == height && !did[hashAt(d.Height)]:
					t.Errorf("block %d: %s published no hash, of %+v", height, w.Members[i].Name, d)
				}
			}
			for _, m := range before[i].Sessions {
				if promised[m.Base] == nil {
					promised[m.Base] = make(map[int]promise)
				}
				was := promised[m.Base][i]
				now := promise{m.Known, m.Index >= 0}
				if was.known && now != was {
					t.Errorf("block %d: %s in session %d is %+v, and was %+v", height, w.Members[i].Name, m.Base, now, was)
				}
				if m.Known != (height-1 >= m.KnownAt) || m.Known && m.Chance != 0 && m.Chance != 1 || !m.Known && w.Members[i].Evo != (m.Chance > 0.9) {
					t.Errorf("block %d: %s: %+v", height, w.Members[i].Name, m)
				}
				promised[m.Base][i] = now
			}
		}
	}
	if possible == 0 {
		t.Error("no draw to come was counted with")
	}
	for _, base := range []int32{24, 48, 72} {
		members := 0
		q, ok := w.quorum(base)
		for i, m := range w.Members {
			_, in := q.Index(m.ProTxHash)
			if p := promised[base][i]; !ok || !p.known || p.member != in {
				t.Errorf("session %d: %s was promised %+v and is in it: %t", base, m.Name, p, in)
			}
			if in {
				members++
			}
		}
		if members != 12 {
			t.Errorf("session %d has %d members", base, members)
		}
	}
}

func hashAt(height int32) wire.Hash { return wire.Hash{0xff, byte(height >> 8), byte(height)} }

// did tells what a member sent: a proof, or hashes of heights.
func (w *world) did(i int) map[wire.Hash]bool {
	did := make(map[wire.Hash]bool)
	for _, p := range w.sent[i] {
		switch p.Topic {
		case engine.TopicUptime:
			did[wire.Hash{byte(engine.KindProof)}] = true
		case engine.TopicCheckpoint:
			c, err := wire.ParseCheckpoint(p.Bytes)
			if err != nil {
				w.Fatal(err)
			}
			did[hashAt(c.Height)] = true
		}
	}
	return did
}

func (w *world) quorum(base int32) (state.Quorum, bool) {
	s := w.view().State
	for q := range s.Quorums(s.PlatformType()) {
		if q.Base == base {
			return q, true
		}
	}
	return state.Quorum{}, false
}

// A node falls silent; what was foretold then happens to the block.
func TestOf_AnOutageComesTrue(t *testing.T) {
	w := newWorld(t, testnet.Options{Nodes: 10, Regular: 4, Authorities: 4, NoQuorums: true})
	const silent = 9
	w.run(75)
	w.silent[silent] = true
	f := w.forecast(silent)
	if !f.Registered || f.Service != state.Active || f.IfDown == nil || f.PoSe == nil || f.NextTest != f.Height+1 || f.ProofAge < 0 || f.ProofAge > 30 || len(f.Sessions) > 0 {
		t.Fatalf("before: %+v", f)
	}
	foretold := *f.IfDown
	w.run(int(foretold.Decommissioned - f.Height - 1))
	if got := w.forecast(silent); got.Service != state.Active {
		t.Errorf("decommissioned before block %d: %+v", foretold.Decommissioned, got)
	}
	w.run(1)
	if got := w.forecast(silent); got.Service != state.Decommissioned || got.IfDown.Deregistered != foretold.Deregistered || got.IfDown.Decommissioned != state.NoHeight {
		t.Errorf("not decommissioned in block %d: %+v", foretold.Decommissioned, got)
	}
	w.run(int(foretold.Deregistered - foretold.Decommissioned - 1))
	if got := w.forecast(silent); !got.Registered || got.IfDown.Left != 1 || got.Credit != 0 {
		t.Errorf("just before block %d: %+v", foretold.Deregistered, got)
	}
	w.run(1)
	if got := w.forecast(silent); got.Registered || got.Unlock != foretold.Unlocked || got.Duties == nil || len(got.Duties) > 0 {
		t.Errorf("not deregistered in block %d: %+v", foretold.Deregistered, got)
	}
}

// Restarts at both edges of windows cost nothing, however long they are; in a
// session one does.
func TestOf_AWindowIsSafe(t *testing.T) {
	w := newWorld(t, testnet.Options{Nodes: 6, Regular: 1})
	const away = 3
	w.run(50)
	f := w.forecast(away)
	if f.Sessions[0].Phase != "contribute" || f.Sessions[0].Index < 0 {
		t.Fatalf("at %d: sessions %+v", f.Height, f.Sessions)
	}
	if window, ok := f.Window(5); !ok || window.From != 58 || window.Until != 66 {
		t.Fatalf("window %+v, %t; want from 58 to 66, between two sessions", window, ok)
	}
	if longest := f.Longest(); longest != 12 {
		t.Errorf("the longest absence is %d, want 12: all test at every block, and want the hash of the fourth within 11", longest)
	}
	restart := func(at, blocks int32) {
		t.Helper()
		w.run(int(at - w.view().TipHeight()))
		w.Down(away)
		w.run(int(blocks))
		if err := w.Up(away); err != nil {
			t.Fatal(err)
		}
		w.run(25)
	}
	for i, blocks := range []int32{1, 4, 8, 10, 11, 12} {
		f := w.forecast(away)
		window, ok := f.Window(blocks)
		if !ok {
			t.Fatalf("at %d: no window for %d blocks", f.Height, blocks)
		}
		begin := window.Until
		if i%2 == 0 {
			begin = window.From
		}
		restart(begin, blocks)
		n, _ := w.view().State.Node(w.Members[away].ProTxHash)
		if n.PoSe.Score != 0 || n.Service() != state.Active || n.Decommissions > 0 {
			t.Errorf("after a restart of %d blocks at %d, in the window %+v: %+v", blocks, begin, window, n)
		}
	}
	next := w.forecast(away).Sessions[0].Base
	restart(next+1, 4)
	if n, _ := w.view().State.Node(w.Members[away].ProTxHash); n.PoSe.Score == 0 {
		t.Errorf("after a restart in session %d: %+v", next, n.PoSe)
	}
}

func TestOf_Nobody(t *testing.T) {
	w := newWorld(t, testnet.Options{Nodes: 4, NoQuorums: true})
	w.run(3)
	f := forecast.Of(w.view(), wire.Hash{1})
	if f.Registered || f.PoSe != nil || f.IfDown != nil || f.Unlock != state.NoHeight || f.Duties == nil || len(f.Duties) != 0 {
		t.Errorf("of nobody: %+v", f)
	}
	if window, ok := f.Window(1 << 20); !ok || window.From != f.Height || window.Until != f.Horizon {
		t.Errorf("who has no duties may not be away: %+v, %t", window, ok)
	}
}
