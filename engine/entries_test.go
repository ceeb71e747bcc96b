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

func TestAccount_Refunded(t *testing.T) {
	entry := func(minute int, r validation.Reason) Entry {
		return Entry{Time: t0.Add(time.Duration(minute) * time.Minute), Reason: r, Points: r.Verdict().Points}
	}
	a := Account{Peer: "p", Points: 31, AsOf: t0, Entries: []Entry{
		entry(0, validation.HeightFar), entry(1, validation.Handshake), entry(2, validation.HeightFar), entry(3, validation.HeightNear),
	}}
	for _, c := range []struct {
		since  int // minute
		refund int
	}{{0, 21}, {1, 11}, {2, 11}, {3, 1}, {4, 0}} {
		got, refund := a.refunded(t0.Add(time.Duration(c.since) * time.Minute))
		if refund != c.refund || got.Points != a.Points-refund || !got.AsOf.Equal(a.AsOf) {
			t.Errorf("since minute %d: %d points back, %d left; want %d, %d", c.since, refund, got.Points, c.refund, a.Points-c.refund)
		}
		for _, e := range got.Entries {
			if e.Reason.Nature() == validation.OfView && !e.Time.Before(t0.Add(time.Duration(c.since)*time.Minute)) {
				t.Errorf("since minute %d: entry %+v is left", c.since, e)
			}
		}
	}
	low := a
	low.Points = 5 // the rest has decayed
	if got, refund := low.refunded(t0); got.Points != 0 || refund != 21 {
		t.Errorf("%d points left after a refund of %d from 5, want none", got.Points, refund)
	}
	forger := a
	forger.Entries = append(slices.Clone(a.Entries), entry(4, validation.Signature))
	if got, refund := forger.refunded(t0); refund != 0 || !reflect.DeepEqual(got, forger) {
		t.Errorf("%d points back from a forger, want none", refund)
	}
}
