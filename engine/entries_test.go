package engine

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// decayed counts the points forgiven between two moments, where a whole step
// ends at anchor.
func decayed(anchor, from, to time.Time) int {
	base := anchor.Add(-100_000 * params.PointDecay) // before everything, in step with anchor
	return int(to.Sub(base)/params.PointDecay) - int(from.Sub(base)/params.PointDecay)
}

// replay adds up what charges led to, from the first that is remembered on.
func replay(entries []Entry, anchor time.Time) (total int) {
	for i, e := range entries {
		if i == 0 {
			total = e.Total
			continue
		}
		left := max(0, total-decayed(anchor, entries[i-1].Time, e.Time))
		total = min(left+e.Points, params.PointsBan)
	}
	return total
}

// Whoever reads an account can do its sum again: each charge, what decay took
// between two of them, and the limit give the points that count.
func TestLedger_ArithmeticCanBeReplayedFromEntries(t *testing.T) {
	verdicts := []validation.Verdict{small, medium, ten, validation.UnknownNode.Verdict()}
	rapid.Check(t, func(t *rapid.T) {
		l := new(ledger)
		now := t0
		type version struct{ held, clone []Entry }
		var versions []version
		for i := range rapid.IntRange(1, 40).Draw(t, "charges") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*time.Minute)).Draw(t, "pause")))
			v := rapid.SampledFrom(verdicts).Draw(t, "verdict")
			if rapid.IntRange(0, 30).Draw(t, "large") == 0 {
				v = large
			}
			var out Effects
			l.charge("p", false, v, wire.Hash{byte(i)}, now, &out)
			charge := out.Charges[0]
			a, ok := l.accounts.Get(peerKey("p"))
			entries, anchor := a.Entries, a.AsOf
			b, banned := l.bans.Get(peerKey("p"))
			if banned == ok {
				t.Fatalf("account %t, ban %t: want one of them", ok, banned)
			}
			if banned {
				entries = b.Entries
				anchor = entries[0].Time // the charge that found it empty, unless older ones are forgotten
			}
			if len(entries) == 0 || len(entries) > maxEntries {
				t.Fatalf("%d entries, want 1 to %d", len(entries), maxEntries)
			}
			last := entries[len(entries)-1]
			if want := (Entry{now, v.Reason, v.Points, charge.Total, wire.Hash{byte(i)}}); last != want {
				t.Fatalf("last entry %+v, want %+v", last, want)
			}
			if whole := len(entries) < maxEntries; whole && entries[0].Total != entries[0].Points {
				t.Fatalf("first entry %+v, want it to begin at nothing", entries[0])
			}
			if !banned || len(entries) < maxEntries {
				if got := replay(entries, anchor); got != charge.Total {
					t.Fatalf("entries add up to %d, the account says %d:\n%+v", got, charge.Total, entries)
				}
			}
			if banned != (charge.Total == params.PointsBan) {
				t.Fatalf("banned %t at %d points", banned, charge.Total)
			}
			if banned {
				return
			}
			if a.Points != charge.Total || a.At(now).Points != a.Points {
				t.Fatalf("account %+v, charged to %d", a, charge.Total)
			}
			later := now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Hour)).Draw(t, "later")))
			if got, want := a.At(later).Points, max(0, last.Total-decayed(anchor, now, later)); got != want {
				t.Fatalf("%d points after %s, entries say %d", got, later.Sub(now), want)
			}
			versions = append(versions, version{a.Entries, slices.Clone(a.Entries)})
		}
		for i, v := range versions { // readers of older snapshots hold them
			if !reflect.DeepEqual(v.held, v.clone) {
				t.Fatalf("entries of version %d changed under their readers", i)
			}
		}
	})
}

func TestAccount_RememberTheNewestEntries(t *testing.T) {
	a := Account{Peer: "p"}
	for i := range 3 * maxEntries {
		a = a.charged(small, wire.Hash{byte(i)}, t0)
		if want := min(i+1, maxEntries); len(a.Entries) != want {
			t.Fatalf("%d entries after %d charges, want %d", len(a.Entries), i+1, want)
		}
		if first := max(0, i+1-maxEntries); a.Entries[0].Evidence != (wire.Hash{byte(first)}) {
			t.Fatalf("oldest entry is %v, want that of charge %d", a.Entries[0].Evidence, first)
		}
	}
	if a.Points != 3*maxEntries {
		t.Errorf("%d points, want %d: forgotten charges count", a.Points, 3*maxEntries)
	}
	// An account that ran empty begins anew, with no old entry in its sum.
	a = a.charged(ten, wire.Hash{99}, t0.Add(3*maxEntries*params.PointDecay))
	if len(a.Entries) != 1 || a.Points != 10 || !a.AsOf.Equal(a.Entries[0].Time) {
		t.Errorf("account %+v, want the one new charge", a)
	}
}

// What is left after a refund is what the account would be had our view not
// been wrong; a forgery bans whatever our view.
func TestAccount_Refunded(t *testing.T) {
	type charge struct {
		minute int
		reason validation.Reason
	}
	const view, rude, tiny, quorum, forged = validation.HeightFar, validation.Handshake, validation.HeightNear, validation.UnknownQuorum, validation.Signature
	for _, c := range []struct {
		name    string
		charges []charge
		since   int // minute
		refund  int
		left    []int // totals
	}{
		{"nothing of our view", []charge{{0, rude}}, 0, 0, []int{10}},
		{"nothing else", []charge{{0, view}, {1, tiny}}, 0, 11, nil},
		{"mixed", []charge{{0, view}, {1, rude}, {2, view}, {3, tiny}, {4, rude}}, 0, 21, []int{10, 20}},
		{"mixed, later ones only", []charge{{0, view}, {1, rude}, {2, view}, {3, tiny}, {4, rude}}, 2, 11, []int{10, 20, 30}},
		{"at the time itself", []charge{{0, rude}, {2, view}}, 2, 10, []int{10}},
		{"decay since", []charge{{0, rude}, {5, view}, {25, rude}}, 5, 10, []int{10, 18}},
		{"under the limit", []charge{{0, rude}, {1, quorum}}, 0, 100, []int{10}},
		{"over the limit by a forgery", []charge{{0, view}, {1, forged}}, 0, 10, []int{100}},
	} {
		a := Account{Peer: "p"}
		at := func(minute int) time.Time { return t0.Add(time.Duration(minute) * time.Minute) }
		for i, ch := range c.charges {
			a = a.charged(ch.reason.Verdict(), wire.Hash{byte(i)}, at(ch.minute))
		}
		before := slices.Clone(a.Entries)
		got, refund := a.refunded(at(c.since))
		var left []int
		for _, e := range got.Entries {
			left = append(left, e.Total)
		}
		points := 0
		if len(c.left) > 0 {
			points = c.left[len(c.left)-1]
		}
		if refund != c.refund || got.Points != points || !slices.Equal(left, c.left) {
			t.Errorf("%s: %d back, %d points, totals %v; want %d, %d, %v", c.name, refund, got.Points, left, c.refund, points, c.left)
		}
		if !reflect.DeepEqual(a.Entries, before) {
			t.Errorf("%s: entries changed under their readers", c.name)
		}
	}
}

// The same as if those charges had never been, for any history that is
// remembered as a whole: ten charges are.
func TestAccount_RefundedIsAnotherHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, others := Account{Peer: "p"}, Account{Peer: "p"}
		now, refund := t0, 0
		for i := range rapid.IntRange(0, 9).Draw(t, "charges") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "pause")))
			v := rapid.SampledFrom([]validation.Verdict{ten, ten, medium, small}).Draw(t, "verdict")
			all = all.charged(v, wire.Hash{byte(i)}, now)
			if v.Reason.Nature() == validation.OfView {
				refund += v.Points
			} else {
				others = others.charged(v, wire.Hash{byte(i)}, now)
			}
		}
		got, back := all.refunded(t0)
		if got.At(now).Points != others.At(now).Points || back > refund {
			t.Fatalf("%d back of %d: after a refund %+v, without the charges %+v", back, refund, got, others)
		}
		if got.At(now).Points > 0 && !reflect.DeepEqual(got.Entries, others.Entries) {
			t.Fatalf("after a refund\n%+v, without the charges\n%+v", got.Entries, others.Entries)
		}
	})
}

// Charges that are no longer remembered one by one count in what is left.
func TestAccount_RefundKeepsForgottenCharges(t *testing.T) {
	two := validation.Verdict{Reason: validation.Handshake, Points: 2}
	for _, older := range []int{0, 1, maxEntries - 1, maxEntries, maxEntries + 1, 2 * maxEntries} {
		a := Account{Peer: "p"}
		for range older {
			a = a.charged(two, wire.Hash{1}, t0)
		}
		a = a.charged(medium, wire.Hash{2}, t0)
		if got, back := a.refunded(t0); back != 10 || got.Points != 2*older {
			t.Errorf("%d older charges of 2: %d back, %d points left; want 10, %d", older, back, got.Points, 2*older)
		}
	}
}

// Two histories may begin with the same account; neither shows in the other.
func TestAccount_HistoriesDoNotMix(t *testing.T) {
	for n := range 2 * maxEntries {
		a := Account{Peer: "p"}
		for range n {
			a = a.charged(small, wire.Hash{1}, t0)
		}
		b, c := a.charged(small, wire.Hash{2}, t0), a.charged(small, wire.Hash{3}, t0)
		if b.Entries[len(b.Entries)-1].Evidence != (wire.Hash{2}) || c.Entries[len(c.Entries)-1].Evidence != (wire.Hash{3}) {
			t.Fatalf("after %d charges two accounts share their entries", n)
		}
	}
}
