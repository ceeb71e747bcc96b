package testnet

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// twelve gives options of a network of 12 whose proofs come often, as profile
// core has it on networks for tests.
func twelve(authorities int) Options {
	return Options{
		Nodes: 12, Seed: 8, Profile: "core", Slot: slowness * 500 * time.Millisecond, History: 100, Now: time.Now(), Authorities: authorities,
	}
}

// muted says who sends no uptime proofs at the moment.
type muted struct {
	mu sync.Mutex
	of map[int]bool
}

func (m *muted) set(members ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of = make(map[int]bool)
	for _, i := range members {
		m.of[i] = true
	}
}

func (m *muted) mute(i int, p engine.Publication) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return p.Topic == engine.TopicUptime && m.of[i]
}

// everywhere reports whether so many nodes are active and decommissioned as
// each running node sees it.
func (b *bench) everywhere(active, decommissioned int) bool {
	for _, i := range b.Running() {
		if _, a, d := b.Node(i).Snapshot().State.Counts(); a != active || d != decommissioned {
			return false
		}
	}
	return true
}

func (b *bench) height(member int) int32 { return b.Node(member).Snapshot().TipHeight() }

// follow waits until a member's tip is so high.
func (b *bench) follow(member int, height int32) {
	b.t.Helper()
	b.await("blocks", func() bool { return b.height(member) >= height })
}

// agree waits until all nodes have one tip, and compares their states there.
func (b *bench) agree() {
	b.t.Helper()
	var views []*engine.Snapshot
	b.await("one tip", func() bool {
		views = views[:0]
		for _, i := range b.Running() {
			views = append(views, b.Node(i).Snapshot())
		}
		for _, v := range views {
			if v.Tip != views[0].Tip {
				return false
			}
		}
		return true
	})
	for _, v := range views {
		if v.State.Root() != views[0].State.Root() {
			b.t.Errorf("roots differ at height %d", v.Tip.Height)
		}
	}
}

// Of twelve live nodes four fall silent. Their testers take three out of
// service, the brake keeps the fourth, and all serve again when they are heard
// again.
func TestTesters_SilentNodesAndTheBrake(t *testing.T) {
	t.Parallel() // it waits for slots most of the time
	b := newBench(t, twelve(3))
	var m muted
	b.mute = m.mute
	if err := b.StartAll(b.ctx); err != nil {
		t.Fatal(err)
	}
	silent := []int{8, 9, 10, 11}
	m.set(silent...)
	rules := b.Node(0).Snapshot().State.Rules()
	begin := b.height(0)
	b.follow(0, begin+rules.ProofValidity)
	b.await("three decommissions", func() bool { return b.everywhere(9, 3) })
	took := b.height(0) - begin
	if most := rules.ProofValidity + 2 + 3; took > most+3 { // two at one block, one at a later one; and it takes time to look
		t.Errorf("the decommissions took %d blocks, want %d at most", took, most)
	}
	for range 3 {
		b.follow(0, b.height(0)+4)
		if !b.everywhere(9, 3) {
			t.Fatal("the brake does not hold")
		}
	}
	view := b.Node(0).Snapshot()
	if held := view.State.Brake(); held != 3 {
		t.Errorf("brake %d, want 3", held)
	}
	for _, i := range silent {
		if x := b.Members[i].ProTxHash; view.Proofs.Fresh(x, view.Tip.Height, rules) {
			t.Errorf("%s was heard meanwhile", b.Members[i].Name)
		}
	}
	// The one that the brake kept in service is heard again first, or it would
	// take the place of the first that comes back.
	down := slices.DeleteFunc(slices.Clone(silent), func(i int) bool {
		n, _ := view.State.Node(b.Members[i].ProTxHash)
		return n.Service() == state.Active
	})
	m.set(down...)
	b.await("the fourth to be heard by all", func() bool {
		for _, i := range silent {
			for _, v := range b.Running() {
				view := b.Node(v).Snapshot()
				if !slices.Contains(down, i) && !view.Proofs.Fresh(b.Members[i].ProTxHash, view.Tip.Height, rules) {
					return false
				}
			}
		}
		return true
	})
	m.set()
	b.await("all to serve again", func() bool { return b.everywhere(12, 0) })
	b.follow(0, b.height(0)+rules.ProofValidity+5)
	b.agree()
	if !b.everywhere(12, 0) {
		t.Error("they did not stay")
	}
	returned := 0
	for _, i := range silent {
		x, err := b.Node(7).Explain(b.Members[i].ProTxHash, b.height(7))
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Decisions) == 0 {
			continue
		}
		returned++
		down, up := x.Decisions[0], x.Decisions[len(x.Decisions)-1]
		if len(x.Decisions) != 2 || down.After.Service() != state.Decommissioned || up.After.Service() != state.Active ||
			up.Height < down.Height+params.CertificateFirst+1 || len(down.Voters) < 7 {
			t.Errorf("%s: %+v", b.Members[i].Name, x.Decisions)
		}
	}
	if returned != 3 {
		t.Errorf("%d were decommissioned, want 3", returned)
	}
	b.nobodyBlamed()
}

// Two halves of a live network, neither of which can make anything final, go
// on apart and find together: one tip, one state, nobody judged for having
// been out of reach.
func TestTesters_PartitionHeals(t *testing.T) {
	t.Parallel() // it waits for slots most of the time
	b := newBench(t, twelve(12))
	if err := b.StartAll(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.Part(6)
	b.await("the parts to lose each other", func() bool { return !b.acrossThePart() })
	begin := max(b.height(0), b.height(11))
	for _, i := range []int{0, 11} {
		b.follow(i, begin+15) // longer than proofs are valid
	}
	here, there := b.Node(0).Snapshot(), b.Node(11).Snapshot()
	if x, ok := there.BlockAt(begin + 10); ok && here.Branch.Of(begin+10, x) != nil {
		t.Error("both sides have the same blocks: there was no partition")
	}
	if final := max(here.Final.Height, there.Final.Height); final > begin+1 {
		t.Errorf("final height %d although parted at %d", final, begin)
	}
	b.Heal()
	b.await("one chain that becomes final", func() bool {
		for i := range b.Members {
			if b.Node(i).Snapshot().Final.Height <= begin+15 {
				return false
			}
		}
		return true
	})
	b.agree()
	if !b.everywhere(12, 0) {
		t.Error("somebody was judged for having been out of reach")
	}
	b.nobodyBlamed()
}
