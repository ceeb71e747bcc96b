package forecast

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// An absence after block 100 of so many blocks: the last of them is not seen
// in time either.
func TestDuty_MissedBy(t *testing.T) {
	for _, c := range []struct {
		name   string
		duty   Duty
		blocks int32
		want   bool
	}{
		{"session that begins just after", Duty{From: 105, Until: 115, All: true}, 4, false},
		{"session that begins in it", Duty{From: 104, Until: 114, All: true}, 4, true},
		{"session that ends before it", Duty{From: 90, Until: 100, All: true}, 50, false},
		{"session that ends in it", Duty{From: 90, Until: 101, All: true}, 1, true},
		{"hash that can still be published", Duty{From: 101, Until: 112}, 11, false},
		{"hash that cannot", Duty{From: 101, Until: 111}, 11, true},
		{"hash that is published before", Duty{From: 100, Until: 111}, 50, false},
		{"at the end of heights", Duty{From: 101, Until: math.MaxInt32}, math.MaxInt32, true},
	} {
		if got := c.duty.MissedBy(100, c.blocks); got != c.want {
			t.Errorf("%s: missed %t, want %t", c.name, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	session := func(base int32, chance float64) Duty {
		return Duty{Kind: Session, From: base, Until: base + 10, All: true, Chance: chance}
	}
	hash := func(q int32, chance float64) Duty {
		return Duty{Kind: Checkpoint, From: q + 1, Until: q + 11, Chance: chance}
	}
	const tip, end = 100, 160
	for _, c := range []struct {
		name   string
		duties []Duty
		blocks int32
		want   Window
		ok     bool
	}{
		{"nothing to do", nil, 5, Window{5, 100, 160, 0}, true},
		{"before a session", []Duty{session(120, 1)}, 5, Window{5, 100, 114, 0}, true},
		{"in a session", []Duty{session(96, 1), session(120, 1)}, 5, Window{5, 106, 114, 0}, true},
		{"too long for the gap", []Duty{session(96, 1), session(120, 1)}, 14, Window{14, 130, 160, 0}, true},
		{"just short enough for it", []Duty{session(96, 1), session(120, 1)}, 13, Window{13, 106, 106, 0}, true},
		{"never", []Duty{session(96, 1), session(107, 1), session(118, 1), session(129, 1), session(140, 1), session(151, 1)}, 1, Window{}, false},
		{"a session that is hardly ours", []Duty{session(96, 1), session(120, 0.009)}, 14, Window{14, 106, 160, 0.009}, true},
		{"two that are hardly ours are too much at once", []Duty{session(100, 0.009), session(105, 0.009)}, 5, Window{5, 110, 160, 0.009}, true},
		{"a hash waits for us", []Duty{hash(100, 1), hash(104, 1)}, 10, Window{10, 100, 160, 0}, true},
		{"but not so long", []Duty{hash(100, 1), hash(104, 1)}, 11, Window{11, 101, 103, 0}, true},
	} {
		got, ok := nextWindow(c.duties, c.blocks, tip, end)
		got.Risk = math.Round(got.Risk*1e6) / 1e6
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %t; want %+v, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

// A slow twin: within an absence from the window nothing that is known is
// missed, in the block before it something is, and the longest is the longest.
func TestWindows_HoldTheirPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const tip, end = 50, 90
		duties := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Duty {
			from := rapid.Int32Range(40, 110).Draw(t, "from")
			return Duty{From: from, Until: from + rapid.Int32Range(0, 15).Draw(t, "length"), All: rapid.Bool().Draw(t, "all"), Chance: 1}
		}), 0, 6).Draw(t, "duties")
		blocks := rapid.Int32Range(1, 20).Draw(t, "blocks")
		safe := func(last, blocks int32) bool {
			for _, d := range duties {
				there := func(h int32) bool { return h <= last || h > last+blocks }
				all, any := true, false
				for h := d.From; h <= d.Until; h++ {
					all, any = all && there(h), any || there(h)
				}
				if d.All && !all || !any {
					return false
				}
			}
			return true
		}
		first := func(blocks int32) int32 {
			for last := int32(tip); last <= end; last++ {
				if safe(last, blocks) {
					return last
				}
			}
			return -1
		}
		w, ok := nextWindow(duties, blocks, tip, end)
		if want := first(blocks); ok != (want >= 0) || ok && w.From != want {
			t.Fatalf("window %+v, %t; want one from %d", w, ok, want)
		}
		for last := w.From; ok && last <= w.Until; last++ {
			if !safe(last, blocks) {
				t.Errorf("window %+v is not safe at %d", w, last)
			}
		}
		if ok && w.Until < end && safe(w.Until+1, blocks) {
			t.Errorf("window %+v ends too early", w)
		}
		const most = 25
		if n := longest(duties, most, tip, end); n > 0 && first(n) < 0 || n < most && first(n+1) >= 0 {
			t.Errorf("the longest absence is %d", n)
		}
	})
}

// A window that only chance stands against may still open.
func TestForecast_Possible(t *testing.T) {
	session := func(base int32, chance float64) Duty {
		return Duty{Kind: Session, From: base, Until: base + 10, All: true, Chance: chance}
	}
	for _, c := range []struct {
		name           string
		duties         []Duty
		blocks         int32
		safe, possible bool
	}{
		{"nothing to do", nil, 5000, true, false},
		{"as long as is looked for", []Duty{{From: 90, Until: 99, Chance: 1}}, MaxAbsence, true, true},
		{"longer", []Duty{{From: 90, Until: 99, Chance: 1}}, MaxAbsence + 1, false, false},
		{"known", []Duty{session(96, 1), session(107, 1)}, 5, false, false},
		{"perhaps", []Duty{session(96, 1), session(107, 0.3)}, 5, false, true},
	} {
		f := Forecast{Height: 100, Horizon: 110, Duties: c.duties}
		if _, safe := f.Window(c.blocks); safe != c.safe || f.Possible(c.blocks) != c.possible {
			t.Errorf("%s: safe %t, possible %t; want %t, %t", c.name, safe, f.Possible(c.blocks), c.safe, c.possible)
		}
	}
}
