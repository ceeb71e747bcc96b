package state

import (
	"math"
	"testing"

	"github.com/proctornet/proctor/params"
)

func profile(t *testing.T, name string) params.Profile {
	t.Helper()
	p, err := params.ProfileByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The whole table of the seed "Dash Proof of Service".
func TestPoSe_TableOfTheSeed(t *testing.T) {
	p, spec := NoPoSe(), profile(t, "spec")
	for _, c := range []struct {
		height int32
		fails  bool
		score  int32
		banned bool
	}{
		{1, true, 3333, false},
		{1734, false, 1600, false},
		{1734, true, 4933, false},
		{5000, false, 1667, false},
		{5500, false, 1167, false},
		{5500, true, 4500, false},
		{7000, false, 3000, false},
		{7000, true, 6333, true},
		{10000, false, 6333, true},
	} {
		if c.fails {
			p = p.Punish(c.height, 5000, spec)
		}
		if p.At(c.height) != c.score || p.Banned() != c.banned {
			t.Errorf("at %d: score %d, banned %t; want %d, %t", c.height, p.At(c.height), p.Banned(), c.score, c.banned)
		}
	}
	if p.BanHeight != 7000 {
		t.Errorf("banned at %d, want 7000", p.BanHeight)
	}
	if p = p.Revive(10001); p.At(10001) != 0 || p.Banned() || p.At(20000) != 0 {
		t.Errorf("revived it is %+v", p)
	}
}

// Source: spec/dash.md 2.1; DESIGN.md section 8.
func TestPoSe_Increase(t *testing.T) {
	for _, c := range []struct {
		registered          int
		maximum, spec, core int32
	}{
		{0, 100, 66, 66}, {100, 100, 66, 66}, {101, 101, 67, 66}, {4656, 4656, 3104, 3072}, {5000, 5000, 3333, 3300}, {math.MaxInt32, math.MaxInt32, 1431655764, 1417339207},
	} {
		spec, core := PoSeIncrease(c.registered, profile(t, "spec")), PoSeIncrease(c.registered, profile(t, "core"))
		if PoSeMaximum(c.registered) != c.maximum || spec != c.spec || core != c.core {
			t.Errorf("%d nodes: maximum %d, increase %d and %d; want %d, %d and %d", c.registered, PoSeMaximum(c.registered), spec, core, c.maximum, c.spec, c.core)
		}
	}
}

// Two failures ban if at most 2*increase - maximum blocks lie between them.
func TestPoSe_TwoFailures(t *testing.T) {
	for _, c := range []struct {
		profile    string
		registered int
		apart      int32
		banned     bool
		score      int32
	}{
		{"core", 5000, 1600, true, 5000},
		{"core", 5000, 1601, false, 4999},
		{"core", 10, 32, true, 100},
		{"core", 10, 33, false, 99},
		{"core", 10, 24, true, 100}, // capped
		{"spec", 10, 24, true, 108}, // not capped
		{"spec", 10, 0, true, 132},
		{"spec", 5000, 1666, true, 5000},
		{"spec", 5000, 1667, false, 4999},
		{"spec", 10, math.MaxInt32 - 1, false, 66},
	} {
		p := NoPoSe().Punish(1, c.registered, profile(t, c.profile)).Punish(1+c.apart, c.registered, profile(t, c.profile))
		if p.Banned() != c.banned || p.Score != c.score {
			t.Errorf("%s, %d nodes, %d blocks apart: %+v; want banned %t with %d", c.profile, c.registered, c.apart, p, c.banned, c.score)
		}
	}
	// A banned node is still punished, and keeps the height of its ban.
	for name, score := range map[string]int32{"spec": 198, "core": 100} {
		p := NoPoSe()
		for range 3 {
			p = p.Punish(1, 1, profile(t, name))
		}
		if p.BanHeight != 1 || p.At(1000) != score {
			t.Errorf("%s: %+v, want %d", name, p, score)
		}
	}
	full := PoSe{Score: math.MaxInt32, BanHeight: 1}
	if got := full.Punish(2, 5000, profile(t, "spec")); got.Score != math.MaxInt32 {
		t.Errorf("the score wraps to %d", got.Score)
	}
}
