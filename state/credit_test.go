package state

import (
	"math"
	"testing"

	"github.com/proctornet/proctor/params"
)

func rules(t *testing.T, name string) params.Service {
	t.Helper()
	network, err := params.NetworkByName("devnet")
	if err != nil {
		t.Fatal(err)
	}
	return network.Service(profile(t, name))
}

// The table of spec/oxen.md 2.3 and 10.4, item 1.
func TestNode_Credit(t *testing.T) {
	for _, name := range []string{"spec", "core"} {
		for _, c := range []struct{ active, want int32 }{
			{0, 60}, {29, 60}, {30, 61}, {59, 61}, {60, 62}, {719, 83}, {720, 84}, {1800, 120}, {7200, 300}, {21600, 780}, {41399, 1439}, {41400, 1440}, {41401, 1440}, {1 << 30, 1440}, {-5, 60},
		} {
			n := Node{ActiveSince: 1000, DecommissionedHeight: NoHeight, CreditBase: 60}
			if got := n.Credit(1000+c.active, rules(t, name)); got != c.want {
				t.Errorf("%s: after %d active blocks %d, want %d", name, c.active, got, c.want)
			}
			// It falls by one per block of a decommission, below zero.
			n.DecommissionedHeight = 1000 + c.active
			for _, down := range []int32{0, 1, c.want, c.want + 1, c.want + 500} {
				if got := n.Credit(n.DecommissionedHeight+down, rules(t, name)); got != c.want-down {
					t.Errorf("%s: %d active blocks, %d down: %d, want %d", name, c.active, down, got, c.want-down)
				}
			}
		}
	}
	awaiting := Node{ActiveSince: NoHeight, DecommissionedHeight: NoHeight, CreditBase: 60}
	if got := awaiting.Credit(50_000, rules(t, "spec")); got != 60 {
		t.Errorf("an awaiting node earned %d", got-60)
	}
	// No height wraps.
	for _, n := range []Node{
		{ActiveSince: math.MinInt32, DecommissionedHeight: NoHeight, CreditBase: math.MinInt32},
		{ActiveSince: 0, DecommissionedHeight: math.MinInt32, CreditBase: math.MinInt32},
	} {
		if got := n.Credit(math.MaxInt32, rules(t, "spec")); got > 1440 {
			t.Errorf("%+v has credit %d", n, got)
		}
	}
}

// Source: spec/oxen.md 2.3.
func TestRecommissioned(t *testing.T) {
	for _, c := range []struct{ credit, down, core int32 }{
		{1000, 100, 800}, {1000, 150, 700}, {1000, 499, 2}, {1000, 500, 0}, {1440, 719, 2}, {1440, 720, 0}, {60, 29, 2}, {60, 30, 0}, {60, 14, 32}, {60, 61, 0}, {60, math.MaxInt32, 0},
	} {
		if got := Recommissioned(c.credit, c.down, rules(t, "core")); got != c.core {
			t.Errorf("core: %d, down %d: %d, want %d", c.credit, c.down, got, c.core)
		}
		if got := Recommissioned(c.credit, c.down, rules(t, "spec")); got != 0 {
			t.Errorf("spec: %d, down %d: %d, want 0", c.credit, c.down, got)
		}
	}
}
