package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// alive moves the clock and keeps our view settled: a tip of the same slot.
func (r rig) alive(a *author, now time.Time) *Effects {
	r.t.Helper()
	slot := r.genesis.SlotAt(now)
	_, out := r.feed(Tick{now})
	if slot > a.tip.Slot {
		r.want(Block{Block: a.next(slot)}, validation.Valid)
		for next := slot + 1; next <= slot+3; next++ { // caught up and settled
			r.at(next)
			r.want(Block{Block: a.next(next)}, validation.Valid)
		}
	}
	return out
}

func contradict(p Peer) Judged {
	return Judged{p, validation.UnknownQuorum.Verdict(), wire.DoubleHash([]byte(p))}
}

func TestDoubt_LiftsWhatOurViewDid(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(3)...)
	r.feed(Judged{"forger", validation.Signature.Verdict(), wire.Hash{1}})
	r.feed(Judged{"both", ten, wire.Hash{2}}) // rude, and of another view
	r.feed(Judged{"both", small, wire.Hash{3}})
	r.feed(Judged{"small", small, wire.Hash{4}}) // one point contradicts nobody
	r.feed(Judged{"forger too", medium, wire.Hash{5}})
	_, out := r.feed(Judged{"forger too", validation.Signature.Verdict(), wire.Hash{6}})
	if len(out.Bans) != 1 {
		t.Fatalf("bans %v, want the forger's", out.Bans)
	}
	r.connect(a.blocks(1)...)
	r.feed(Judged{"rude", ten, wire.Hash{7}})
	r.feed(contradict("rude"))
	if _, banned := r.Snapshot().PeerBan("rude"); !banned {
		t.Fatal("two peers that contradict us are not charged")
	}
	_, out = r.feed(contradict("last"))
	if !out.Doubting || len(out.Bans) != 0 {
		t.Fatalf("doubting %t, bans %v; want doubt at the third peer, which is not banned first", out.Doubting, out.Bans)
	}
	if unbans := slices.Sorted(slices.Values(out.Unbans)); !slices.Equal(unbans, []Peer{"last", "rude"}) {
		t.Errorf("unbans %v, want the two that our view banned", unbans)
	}
	s := r.Snapshot()
	if s.PeerBans.Len() != 2 {
		t.Errorf("%d bans, want the forgers' two", s.PeerBans.Len())
	}
	for _, p := range []Peer{"forger", "forger too"} {
		if b, banned := s.PeerBan(p); !banned || b.Cause().Reason != validation.Signature {
			t.Errorf("%s is free: a forgery does not depend on our view", p)
		}
	}
	for _, p := range []Peer{"both", "rude"} {
		if a, _ := s.Account(p); a.Points != 10 || len(a.Entries) != 1 || a.Entries[0].Reason != validation.Handshake {
			t.Errorf("account %+v, want the 10 points that do not depend on our view", a)
		}
	}
	if s.Accounts.Len() != 2 {
		t.Errorf("%d accounts, want two: what was charged for our view is forgotten", s.Accounts.Len())
	}
	refunds := map[Peer]int{}
	for _, c := range out.Charges {
		if c.Points < 0 {
			refunds[c.Peer] = c.Points
		}
	}
	if want := map[Peer]int{"both": -1, "small": -1, "rude": -100, "last": -100}; !maps.Equal(refunds, want) {
		t.Errorf("refunds %v, want %v", refunds, want)
	}
	// What we refused for our view may come again; what was forged is known.
	for why, want := range map[validation.Reason]int{validation.Signature: 2, validation.UnknownQuorum: 0, validation.HeightFar: 0, validation.HeightNear: 0} {
		n := 0
		for _, r := range s.Refusals.All() {
			if r.Verdict == string(why) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d items are remembered as %s, want %d", n, why, want)
		}
	}
	_, deletes := kinds(out)
	if deletes[KindPeerBan] != 2 || deletes[KindRefusal] != 4 { // the last was not remembered at all
		t.Errorf("deleted %v, want 2 bans and the 4 refusals of our view", deletes)
	}
}

func TestDoubt_NeedsAThirdOfTheContacts(t *testing.T) {
	for _, c := range []struct{ contacts, peers int }{{0, 3}, {1, 3}, {8, 3}, {9, 3}, {10, 4}, {30, 10}, {31, 11}, {maxClaims, 86}} {
		t.Run(fmt.Sprintf("%d contacts", c.contacts), func(t *testing.T) {
			r := observer(t, "spec")
			r.connect(r.author().blocks(3)...)
			for i := range c.contacts {
				r.feed(PeerTip{Peer: Peer(fmt.Sprint("contact", i)), Height: 3})
			}
			for i := 1; i < c.peers; i++ {
				for range 2 { // the same peer twice is one peer
					if _, out := r.feed(contradict(Peer(fmt.Sprint("contact", i)))); out.Doubting {
						t.Fatalf("doubting at %d peers", i)
					}
				}
			}
			if _, out := r.feed(contradict("one more")); !out.Doubting || len(out.Unbans) != c.peers {
				t.Errorf("doubting %t, %d unbans at %d peers; want all free", out.Doubting, len(out.Unbans), c.peers)
			}
		})
	}
}

func TestDoubt_CountsWithinTheWindowOnly(t *testing.T) {
	r := observer(t, "core")
	a := r.author()
	r.alive(a, t0.Add(time.Second))
	r.feed(contradict("first"))
	start := r.now
	r.alive(a, start.Add(5*time.Minute))
	r.feed(contradict("second"))
	r.alive(a, start.Add(params.DoubtWindow))
	r.alive(a, r.now.Add(10*time.Second)) // the first is forgotten now
	if _, out := r.feed(contradict("third")); out.Doubting {
		t.Fatal("doubting, with two peers in the window")
	}
	_, out := r.feed(contradict("fourth"))
	if !out.Doubting || len(out.Unbans) != 3 {
		t.Errorf("doubting %t, unbans %v; want the three of the window free", out.Doubting, out.Unbans)
	}
	if _, banned := r.Snapshot().PeerBan("first"); !banned {
		t.Error("a ban older than the window was lifted")
	}
}

// While we doubt ourselves nobody is charged for our view; forgers are. It
// ends by itself, and begins again only with new contradictions.
func TestDoubt_Ends(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(3)...)
	for _, p := range []Peer{"x", "y", "z"} {
		r.feed(contradict(p))
	}
	began := r.now
	r.wantDoubtful("three peers contradict us", SelfDoubting)
	r.wantNoCharge("in doubt")
	if _, out := r.feed(Judged{"forger", validation.Signature.Verdict(), wire.Hash{1}}); len(out.Bans) != 1 {
		t.Errorf("effects %+v in doubt, want the forger banned", out)
	}
	r.alive(a, began.Add(params.DoubtTime-10*time.Second))
	r.wantDoubtful("shortly before its end", SelfDoubting)
	r.alive(a, began.Add(params.DoubtTime))
	r.wantDoubtful("at its end", Settled)
	for _, p := range []Peer{"x", "y"} {
		if _, out := r.feed(contradict(p)); out.Doubting || len(out.Bans) != 1 {
			t.Errorf("effects %+v, want a ban: what was forgiven does not count again", out)
		}
	}
	if _, out := r.feed(contradict("z")); !out.Doubting {
		t.Error("no doubt at the third contradiction of a new window")
	}
}

// Small points and what does not follow from our view cause no doubt.
func TestDoubt_OnlyHeavyPenaltiesOfOurView(t *testing.T) {
	for _, row := range validation.Table() {
		r := observer(t, "spec")
		r.connect(r.author().blocks(3)...)
		doubting := false
		for i := range 5 {
			_, out := r.feed(Judged{Peer(fmt.Sprint(i)), row.Reason.Verdict(), wire.Hash{byte(i)}})
			doubting = doubting || out.Doubting
		}
		if want := row.Nature == validation.OfView && row.Points >= params.PointsMedium; doubting != want {
			t.Errorf("%s from five peers: doubting %t, want %t", row.Reason, doubting, want)
		}
	}
}

func TestDoubt_WatchesABoundedNumberOfPeers(t *testing.T) {
	d := newDoubt()
	for i := range maxDoubters + 5 {
		if d.note(numbered(i), medium, 10*maxDoubters, t0) {
			t.Fatal("doubt at a tenth of the contacts")
		}
	}
	if len(d.contradicted) != maxDoubters {
		t.Errorf("%d peers are watched, want %d", len(d.contradicted), maxDoubters)
	}
	d.note("late", medium, 10*maxDoubters, t0.Add(params.DoubtWindow+1))
	if len(d.contradicted) != 1 {
		t.Errorf("%d peers are watched after the window, want 1", len(d.contradicted))
	}
}

func TestDoubt_StandsForItsTimeAndBeginsAnew(t *testing.T) {
	d := newDoubt()
	for i := range params.DoubtPeers {
		if got, want := d.note(numbered(i), medium, 0, t0), i == params.DoubtPeers-1; got != want {
			t.Fatalf("doubt at peer %d is %t, want %t", i, got, want)
		}
	}
	end := t0.Add(params.DoubtTime)
	if !d.stands(t0) || !d.stands(end.Add(-1)) || d.stands(end) {
		t.Errorf("it stands %t at once, %t at last, %t at the end; want true, true, false", d.stands(t0), d.stands(end.Add(-1)), d.stands(end))
	}
	// At its end the window still holds those who caused it.
	if d.note("one more", medium, 0, end) {
		t.Error("what was forgiven causes doubt again")
	}
}
