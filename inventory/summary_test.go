package inventory

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func bansOf(all []wire.PlatformBan) Bans {
	v := New()
	for _, m := range all {
		v.Add(m)
	}
	return v.Bans()
}

// drawBans draws distinct bans at few heights.
func drawBans(t *rapid.T, most int) (all []wire.PlatformBan) {
	for i := range rapid.IntRange(0, most).Draw(t, "bans") {
		all = append(all, ban(rapid.Int32Range(-3, 8).Draw(t, "height"), uint16(i)))
	}
	return all
}

// window is the slow, obvious answer: the bans of these heights in order.
func window(all []wire.PlatformBan, from, to int32) (in []wire.PlatformBan) {
	for _, m := range all {
		if from <= m.SignedHeight && m.SignedHeight <= to {
			in = append(in, m)
		}
	}
	slices.SortFunc(in, func(a, b wire.PlatformBan) int {
		x, y := a.InventoryHash(), b.InventoryHash()
		return cmp.Or(cmp.Compare(a.SignedHeight, b.SignedHeight), bytes.Compare(x[:], y[:]))
	})
	return in
}

// Whatever the size of a page, all pages together are the window, once and in
// order, and never below the floor.
func TestRange_PagesCoverTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawBans(t, 50)
		bans := bansOf(all)
		q := wire.BanRange{
			From:  rapid.Int32Range(-4, 9).Draw(t, "from"),
			Count: rapid.Uint16Range(1, 7).Draw(t, "count"),
		}
		q.To = q.From + rapid.Int32Range(0, 12).Draw(t, "heights")
		floor := rapid.Int32Range(-4, 9).Draw(t, "floor")
		want := window(all, max(q.From, floor), q.To)
		var got []wire.PlatformBan
		for {
			page := Range(bans, q, floor)
			if len(page) > int(q.Count) {
				t.Fatalf("%d bans on a page of %d", len(page), q.Count)
			}
			got = append(got, page...)
			if len(got) > len(want) {
				t.Fatalf("%d bans, want %d", len(got), len(want))
			}
			if len(page) < int(q.Count) {
				break // a page that is not full is the last
			}
			last := page[len(page)-1]
			q.From, q.After = last.SignedHeight, last.InventoryHash()
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages hold %d bans, want %d in order", len(got), len(want))
		}
	})
}

func TestRange_TheEndsOfHeights(t *testing.T) {
	all := []wire.PlatformBan{ban(math.MinInt32, 1), ban(-1, 1), ban(0, 1), ban(math.MaxInt32, 1)}
	q := wire.BanRange{From: math.MinInt32, To: math.MaxInt32, Count: wire.MaxListedBans}
	for floor, want := range map[int32]int{math.MinInt32: 4, 0: 2, math.MaxInt32: 1} {
		if page := Range(bansOf(all), q, floor); len(page) != want {
			t.Errorf("%d bans from floor %d on, want %d", len(page), floor, want)
		}
		if s := Summary(bansOf(all), floor); len(s) != want {
			t.Errorf("%d heights from floor %d on, want %d", len(s), floor, want)
		}
	}
}

// A summary depends on the set only: what was inserted in another order, and
// what was there meanwhile, does not show.
func TestSummary_EqualSetsHaveEqualDigests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawBans(t, 30)
		floor := rapid.Int32Range(-4, 9).Draw(t, "floor")
		other := New()
		for i := range 5 {
			other.Add(ban(-100, uint16(1000+i)))
		}
		for _, m := range rapid.Permutation(all).Draw(t, "order") {
			other.Add(m)
		}
		other.Expire(-50)
		want := Summary(bansOf(all), floor)
		if got := Summary(other.Bans(), floor); !slices.Equal(got, want) || got.Digest() != want.Digest() {
			t.Fatalf("summary %v in another order, want %v", got, want)
		}
		// It is what a peer can decode, and counts every ban of the window once.
		if back, err := wire.ParseBanSummary(want.Bytes()); err != nil || !slices.Equal(back, want) {
			t.Fatalf("summary decodes to %v, %v; want %v", back, err, want)
		}
		total := 0
		for _, d := range want {
			n := len(window(all, max(d.Height, floor), d.Height))
			if int(d.Count) != n || n == 0 {
				t.Fatalf("%d bans at height %d, want %d", d.Count, d.Height, n)
			}
			total += n
		}
		if n := len(window(all, floor, math.MaxInt32)); total != n {
			t.Fatalf("%d bans in the summary, want %d", total, n)
		}
	})
}

// One ban more, less, or another one shows at its height and nowhere else.
func TestSummary_DifferentSetsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := append(drawBans(t, 30), ban(4, 9999))
		i := rapid.IntRange(0, len(all)-1).Draw(t, "changed")
		floor := rapid.Int32Range(-4, 9).Draw(t, "floor")
		changed := slices.Clone(all)
		height := all[i].SignedHeight
		if rapid.Bool().Draw(t, "removed") {
			changed = slices.Delete(changed, i, i+1)
		} else {
			changed[i] = ban(height, 10_000)
		}
		a, b := Summary(bansOf(all), floor), Summary(bansOf(changed), floor)
		if differ := a.Digest() != b.Digest(); differ != (height >= floor) {
			t.Fatalf("a change at height %d, floor %d: digests differ is %t", height, floor, differ)
		}
		at := func(s wire.BanSummary, h int32) wire.HeightDigest {
			for _, d := range s {
				if d.Height == h {
					return d
				}
			}
			return wire.HeightDigest{}
		}
		for h := floor; h <= 9; h++ {
			if differ := at(a, h) != at(b, h); differ != (h == height) {
				t.Fatalf("a change at height %d: digests at height %d differ is %t", height, h, differ)
			}
		}
	})
}

// The signature is no part of the fact, and a quorum's is unique.
func TestSummary_IsOfFacts(t *testing.T) {
	a, b := ban(1, 1), ban(1, 1)
	b.Signature[0] = 1
	if !slices.Equal(Summary(bansOf([]wire.PlatformBan{a}), 0), Summary(bansOf([]wire.PlatformBan{b}), 0)) {
		t.Error("the signature of a ban shows in the summary")
	}
}
