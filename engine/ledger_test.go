package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

var (
	small  = validation.HeightNear.Verdict() // 1 point
	medium = validation.HeightFar.Verdict()  // 10 points
	ten    = validation.Handshake.Verdict()  // 10 points, whatever our view
	large  = validation.Malformed.Verdict()  // 100 points, the same
	t0     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func TestLedger_PointsAddUpAndDecay(t *testing.T) {
	l := new(ledger)
	for _, c := range []struct {
		after time.Duration // since t0
		v     validation.Verdict
		want  int
	}{
		{0, small, 1},
		{0, medium, 11},
		{params.PointDecay - 1, medium, 21},
		{params.PointDecay, medium, 30},        // one of 21 is forgiven
		{2*params.PointDecay - 1, small, 31},   // and none more until a whole step later
		{2 * params.PointDecay, small, 31},     // now
		{5*params.PointDecay + 1, medium, 38},  // three steps at once
		{6 * params.PointDecay, small, 38},     // the fraction of the last charge is not lost
		{44 * params.PointDecay, small, 1},     // 38 steps: all forgiven, the account begins anew
		{44*params.PointDecay + 1, medium, 11}, //
		{45 * params.PointDecay, medium, 20},   //
		{45*params.PointDecay - 1, medium, 30}, // a clock that goes back forgives nothing
		{100 * params.PointDecay, medium, 10},  //
		{100*params.PointDecay + 1, small, 11}, //
		{100 * params.PointDecay, validation.Signature.Verdict(), 100},
	} {
		var out Effects
		l.charge("p", false, c.v, wire.Hash{1}, t0.Add(c.after), &out)
		if len(out.Charges) != 1 {
			t.Fatalf("after %v: charges %v", c.after, out.Charges)
		}
		if got, want := out.Charges[0], (Charge{"p", c.v.Points, c.want, c.v.Reason, wire.Hash{1}}); got != want {
			t.Fatalf("after %v: %+v, want %+v", c.after, got, want)
		}
	}
}

// However the charges lie in time, an account that does not run empty loses a
// point for each whole step since its first charge, no more and no less.
func TestLedger_NoFractionIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := new(ledger)
		now, given, v := t0, 0, validation.Verdict{Points: 40}
		for range rapid.IntRange(1, 13).Draw(t, "charges") {
			var out Effects
			l.charge("p", false, v, wire.Hash{}, now, &out)
			given += v.Points
			if got, want := out.Charges[0].Total, given-int(now.Sub(t0)/params.PointDecay); got != want {
				t.Fatalf("%d points after %v, want %d", got, now.Sub(t0), want)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(25*time.Minute)).Draw(t, "pause")))
			v.Points = 3
		}
	})
}

func TestEngine_BansAtAHundredPointsForADay(t *testing.T) {
	r := observer(t, "core") // which does not remember what our view decided
	r.at(1)
	now := r.now
	for i := range 9 {
		if _, out := r.feed(Judged{"p", medium, wire.Hash{byte(i)}}); len(out.Bans) > 0 {
			t.Fatalf("banned at %d points", out.Charges[0].Total)
		}
	}
	for range 9 {
		r.feed(Judged{"p", small, wire.Hash{}})
	}
	_, out := r.feed(Judged{"p", small, wire.Hash{77}})
	if len(out.Bans) != 1 {
		t.Fatalf("bans %+v, want one", out.Bans)
	}
	b := out.Bans[0]
	if b.Peer != "p" || !b.From.Equal(now) || !b.Until.Equal(now.Add(24*time.Hour)) || b.Bound || b.DryRun {
		t.Errorf("ban %+v, want p's from %s for a day", b, now)
	}
	if want := (Entry{now, validation.HeightNear, 1, 100, wire.Hash{77}}); b.Cause() != want {
		t.Errorf("cause %+v, want %+v", b.Cause(), want)
	}
	if len(b.Entries) != maxEntries || b.Entries[0].Total != 40 {
		t.Errorf("%d charges from %+v on, want the newest %d", len(b.Entries), b.Entries[0], maxEntries)
	}
	puts, deletes := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindPeerBan: 1})
	wantKinds(t, "deleted", deletes, map[Kind]int{KindAccount: 1})

	// What was under way when the ban fell changes nothing.
	if _, out := r.feed(Judged{"p", large, wire.Hash{78}}); len(out.Charges)+len(out.Bans)+len(out.Writes) > 0 {
		t.Errorf("charged while banned: %+v", out)
	}
	_, out = r.feed(Tick{now.Add(24*time.Hour - time.Millisecond)})
	if len(out.Unbans) > 0 {
		t.Error("lifted early")
	}
	_, out = r.feed(Tick{now.Add(24*time.Hour + expireEvery)})
	if len(out.Unbans) != 1 || out.Unbans[0] != "p" {
		t.Errorf("unbans %v, want p", out.Unbans)
	}
	_, deletes = kinds(out)
	wantKinds(t, "deleted", deletes, map[Kind]int{KindPeerBan: 1})
	if _, out := r.feed(Judged{"p", ten, wire.Hash{}}); len(out.Charges) != 1 || out.Charges[0].Total != 10 {
		t.Errorf("charges after the ban %+v, want to begin at 10", out.Charges)
	}
}

func TestEngine_OneLargeOffenceBans(t *testing.T) {
	r := observer(t, "spec")
	_, out := r.feed(Judged{"p", large, wire.Hash{5}})
	puts, deletes := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindPeerBan: 1})
	wantKinds(t, "deleted", deletes, map[Kind]int{})
	if len(out.Bans) != 1 || out.Bans[0].Cause().Reason != validation.Malformed {
		t.Errorf("bans %+v", out.Bans)
	}
}

// Only a service node in contact with us has an identity that is not free.
func TestEngine_BansSayWhoseIdentityIsFree(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	r.feed(PeerTip{Peer: "service node"})
	r.feed(PeerTip{Peer: "observer", Observer: true})
	r.feed(PeerTip{Peer: "gone"})
	r.feed(PeerGone{"gone"})
	for p, want := range map[Peer]bool{"service node": true, "observer": false, "gone": false, "stranger": false} {
		if _, out := r.feed(Judged{p, large, wire.Hash{5}}); len(out.Bans) != 1 || out.Bans[0].Bound != want {
			t.Errorf("%s: bans %+v, want bound %t", p, out.Bans, want)
		}
	}
}

func TestEngine_OperatorIsNeverCharged(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	for _, in := range []Input{
		Judged{"", large, wire.Hash{}},
		r.unsignedBan("", rupert, 0),
		r.unsignedBan("", alice, 1000),
		Block{Block: wire.Block{}},
	} {
		_, out := r.feed(in)
		puts, _ := kinds(out)
		delete(puts, KindRefusal) // what became of an item is kept whoever sent it
		if len(out.Charges)+len(out.Bans)+len(puts) > 0 {
			t.Errorf("%T: %+v", in, out)
		}
	}
	if _, out := r.feed(Judged{"p", validation.Duplicate.Verdict(), wire.Hash{}}); len(out.Charges)+len(out.Writes) > 0 {
		t.Errorf("no points, yet charged: %+v", out)
	}
}
