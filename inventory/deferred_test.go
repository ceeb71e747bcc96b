package inventory

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// settled is a moment at which nothing but time and height keeps a ban.
var settled = Now{Time: t0, Slot: 100, Tip: 50, Synced: true, Confident: true}

func deferred(from string, n uint16) Deferred {
	return Deferred{From: from, Ban: ban(50, n), Why: Busy, Since: t0, Slot: 100}
}

func TestPool_EachWhyBecomesDueExactlyWhenItShould(t *testing.T) {
	for bits := range 4 {
		n := settled
		n.Synced, n.Confident = bits&1 != 0, bits&2 != 0
		for tip := int32(52); tip <= 56; tip++ {
			for slot := uint64(100); slot <= 104; slot++ {
				n.Tip, n.Slot = tip, slot
				held := slot >= 103 // two whole slots after it was deferred
				for why, want := range map[Why]bool{
					Unsynced: n.Synced,
					Busy:     n.Synced,
					Unsure:   n.Synced && n.Confident,
					Ahead:    n.Synced && (tip >= 54 || held),
				} {
					p := NewPool()
					d := Deferred{From: "p", Ban: ban(54, 1), Why: why, Since: t0, Slot: 100}
					p.Add(d)
					due, lost := p.Due(n)
					if got := len(due) == 1; got != want || lost != 0 {
						t.Errorf("why %d at %+v: due is %t, %d lost; want %t", why, n, got, lost, want)
					}
					if len(due) == 1 && due[0] != d {
						t.Errorf("why %d: due is %+v, want what was added", why, due[0])
					}
					if again, _ := p.Due(n); want && (len(again) > 0 || p.Deferred() != 0) {
						t.Errorf("why %d: due twice", why)
					}
				}
			}
		}
	}
}

func TestDeferred_HeldForTwoSlots(t *testing.T) {
	d := deferred("p", 1)
	for slot, want := range map[uint64]bool{99: false, 100: false, 100 + params.HoldSlots: false, 101 + params.HoldSlots: true, 1000: true} {
		if got := d.Held(slot); got != want {
			t.Errorf("deferred in slot 100: held in slot %d is %t, want %t", slot, got, want)
		}
	}
}

func TestPool_TooOldIsLost(t *testing.T) {
	for _, c := range []struct {
		name      string
		now       Now
		due, lost int
	}{
		{"at the limit, due", Now{Time: t0.Add(MaxDeferredTime), Synced: true, Confident: true}, 1, 0},
		{"at the limit, not due", Now{Time: t0.Add(MaxDeferredTime)}, 0, 0},
		{"over it", Now{Time: t0.Add(MaxDeferredTime + 1)}, 0, 1},
		{"over it, and could be judged", Now{Time: t0.Add(MaxDeferredTime + 1), Synced: true, Confident: true}, 0, 1},
	} {
		p := NewPool()
		p.Add(deferred("p", 1))
		due, lost := p.Due(c.now)
		if len(due) != c.due || lost != c.lost || p.Deferred() != 1-c.due-c.lost {
			t.Errorf("%s: %d due, %d lost, %d wait; want %d due, %d lost", c.name, len(due), lost, p.Deferred(), c.due, c.lost)
		}
		if len(p.ofPeer) != p.Deferred() {
			t.Errorf("%s: %d peers are counted for %d bans", c.name, len(p.ofPeer), p.Deferred())
		}
	}
}

func TestPool_Bounds(t *testing.T) {
	p := NewPool()
	for i := range MaxDeferredOfPeer + 3 {
		if !p.Add(deferred("flood", uint16(i))) {
			t.Fatalf("ban %d is lost", i)
		}
	}
	if p.Deferred() != MaxDeferredOfPeer || p.Wanted() != 3 {
		t.Errorf("%d wait, %d wanted; want %d of one peer, and the hashes of 3", p.Deferred(), p.Wanted(), MaxDeferredOfPeer)
	}
	for i := range MaxDeferred { // many peers: the bound is on all of them
		p.Add(deferred(fmt.Sprint(i%8), uint16(10_000+i)))
	}
	if want := 3 + MaxDeferredOfPeer; p.Deferred() != MaxDeferred || p.Wanted() != want {
		t.Errorf("%d wait, %d wanted; want %d, %d", p.Deferred(), p.Wanted(), MaxDeferred, want)
	}
	for i := p.Wanted(); i < MaxWanted; i++ {
		if !p.Add(deferred(fmt.Sprint("p", i%5), uint16(20_000+i))) {
			t.Fatalf("hash %d is lost, at most %d may be wanted", i, MaxWanted)
		}
	}
	if p.Add(deferred("p", 40_000)) || p.Wanted() != MaxWanted {
		t.Errorf("%d wanted, want %d and the one more told as lost", p.Wanted(), MaxWanted)
	}
	if !p.Add(deferred("flood", 0)) {
		t.Error("a ban that waits already is told as lost")
	}
	if !p.Add(deferred("p", uint16(20_000+MaxWanted-1))) {
		t.Error("a ban that is wanted already is told as lost")
	}
	// Room is made by judging.
	if due, _ := p.Due(settled); len(due) != maxDueAtOnce {
		t.Fatalf("%d due at once, want %d", len(due), maxDueAtOnce)
	}
	if p.Add(deferred("new", 41_000)); p.Deferred() != MaxDeferred-maxDueAtOnce+1 {
		t.Errorf("%d wait, want %d", p.Deferred(), MaxDeferred-maxDueAtOnce+1)
	}
}

// Whoever brings a ban first is charged for it.
func TestPool_TheFirstIsTheSource(t *testing.T) {
	p := NewPool()
	p.Add(deferred("first", 1))
	later := deferred("second", 1)
	later.Why, later.Since = Ahead, t0.Add(time.Second)
	p.Add(later)
	due, _ := p.Due(settled)
	if len(due) != 1 || due[0] != deferred("first", 1) {
		t.Errorf("due %+v, want the first peer's", due)
	}
	full := full()
	full.Add(deferred("first", 10_000))
	full.Add(deferred("second", 10_000))
	full.Due(settled)
	full.Due(settled)
	if peer, hashes := full.Want(); peer != "first" || len(hashes) != 1 {
		t.Errorf("asked %q for %d bans, want the first that had it", peer, len(hashes))
	}
	// Twins share the inventory hash; both wait, as one of them is forged.
	twin := deferred("p", 1)
	twin.Ban.Signature[0] = 1
	p.Add(deferred("p", 1))
	p.Add(twin)
	if p.Deferred() != 2 {
		t.Errorf("%d of two twins wait", p.Deferred())
	}
}

func TestPool_TheOldestFirst(t *testing.T) {
	p := NewPool()
	const total = maxDueAtOnce + 50
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(total) {
		d := deferred(fmt.Sprint(i%4), uint16(i))
		d.Since = t0.Add(time.Duration(i) * time.Millisecond)
		p.Add(d)
	}
	now := settled
	now.Time = t0.Add(time.Minute)
	for _, want := range []struct{ from, n int }{{0, maxDueAtOnce}, {maxDueAtOnce, 50}, {total, 0}} {
		due, _ := p.Due(now)
		if len(due) != want.n {
			t.Fatalf("%d due, want %d", len(due), want.n)
		}
		for i, d := range due {
			if since := t0.Add(time.Duration(want.from+i) * time.Millisecond); !d.Since.Equal(since) {
				t.Fatalf("number %d waits since %s, want %s", want.from+i, d.Since, since)
			}
		}
	}
}

// Neither the order of insertion nor that of a map shows in an answer.
func TestPool_OrderOfInsertionDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Deferred
		for i := range rapid.IntRange(0, 40).Draw(t, "bans") {
			d := deferred(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "from"), uint16(i))
			d.Ban.SignedHeight = rapid.Int32Range(48, 56).Draw(t, "height")
			d.Why = rapid.SampledFrom([]Why{Unsynced, Unsure, Ahead, Busy}).Draw(t, "why")
			d.Since = t0.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
			d.Slot = rapid.Uint64Range(96, 100).Draw(t, "slot")
			all = append(all, d)
		}
		now := settled
		now.Synced, now.Confident = rapid.IntRange(0, 3).Draw(t, "synced") > 0, rapid.Bool().Draw(t, "confident")
		answer := func(order []Deferred) (due []Deferred, lost, left int) {
			p := NewPool()
			for _, d := range order {
				p.Add(d)
			}
			due, lost = p.Due(now)
			return due, lost, p.Deferred()
		}
		due, lost, left := answer(all)
		if len(due)+lost+left != len(all) {
			t.Fatalf("%d due, %d lost, %d left of %d", len(due), lost, left, len(all))
		}
		for range 3 {
			due2, lost2, left2 := answer(rapid.Permutation(all).Draw(t, "order"))
			if !reflect.DeepEqual(due, due2) || lost != lost2 || left != left2 {
				t.Fatalf("in another order %v due, %d lost, %d left; want %v, %d, %d", due2, lost2, left2, due, lost, left)
			}
		}
	})
}

// full returns a pool without room, so that hashes only are kept.
func full() *Pool {
	p := NewPool()
	for i := range MaxDeferred {
		p.Add(deferred(fmt.Sprint("filler", i%8), uint16(i)))
	}
	return p
}

func TestPool_OnePeersHashesAreBounded(t *testing.T) {
	p := NewPool()
	for i := range uint16(MaxDeferredOfPeer + MaxWantedOfPeer) {
		if !p.Add(deferred("greedy", i)) {
			t.Fatalf("ban %d is lost", i)
		}
	}
	if p.Add(deferred("greedy", 60_000)) || p.Wanted() != MaxWantedOfPeer {
		t.Errorf("%d hashes of one peer wanted, at most %d", p.Wanted(), MaxWantedOfPeer)
	}
	for range MaxWantedOfPeer / wire.MaxListedBans {
		p.Want()
	}
	p.Add(deferred("greedy", 60_001))
	if p.Wanted() != 1 {
		t.Errorf("%d wanted after all were asked for and one more came, want 1", p.Wanted())
	}
	p.Forget("greedy")
	for i := range uint16(MaxWantedOfPeer) {
		if !p.Add(deferred("greedy", 61_000+i)) {
			t.Fatalf("ban %d is lost although the peer came anew", i)
		}
	}
}

func TestPool_WantAsksOnePeerWhileThereIsRoom(t *testing.T) {
	p := full()
	var ofB []wire.Hash
	for i := range wire.MaxListedBans + 10 {
		d := deferred("b", uint16(10_000+i))
		p.Add(d)
		ofB = append(ofB, d.Ban.InventoryHash())
	}
	c := deferred("c", 20_000)
	p.Add(c)
	slices.SortFunc(ofB, func(x, y wire.Hash) int { return slices.Compare(x[:], y[:]) })

	for left := MaxDeferred; left > wantedRoom; left -= maxDueAtOnce {
		if peer, hashes := p.Want(); len(hashes) > 0 {
			t.Fatalf("asked %q for %d bans while %d wait", peer, len(hashes), p.Deferred())
		}
		p.Due(settled)
	}
	if p.Deferred() != wantedRoom {
		t.Fatalf("%d wait, want exactly %d", p.Deferred(), wantedRoom)
	}
	for _, want := range []struct {
		peer   string
		hashes []wire.Hash
	}{
		{"b", ofB[:wire.MaxListedBans]}, {"c", []wire.Hash{c.Ban.InventoryHash()}}, {"b", ofB[wire.MaxListedBans:]}, {"", nil},
	} {
		peer, hashes := p.Want()
		if peer != want.peer || !slices.Equal(hashes, want.hashes) {
			t.Fatalf("asked %q for %d bans, want %q for %d, in order", peer, len(hashes), want.peer, len(want.hashes))
		}
	}
	if p.Wanted() != 0 {
		t.Errorf("%d are wanted still", p.Wanted())
	}
}

// What waits here is judged whether its peer is in contact or not; what only
// the peer has is gone with it.
func TestPool_Forget(t *testing.T) {
	p := full()
	p.Add(deferred("gone", 10_000))
	p.Add(deferred("gone", 10_001))
	p.Add(deferred("stays", 10_002))
	p.Forget("gone")
	p.Forget("filler0")
	if p.Deferred() != MaxDeferred || p.Wanted() != 1 {
		t.Errorf("%d wait, %d wanted; want %d, 1", p.Deferred(), p.Wanted(), MaxDeferred)
	}
	p.Due(settled)
	p.Due(settled)
	if peer, hashes := p.Want(); peer != "stays" || len(hashes) != 1 {
		t.Errorf("asked %q for %d bans, want the peer that is left", peer, len(hashes))
	}
}

// A ban that was inside the window when it came and is not any more is
// dropped: its sender is not to blame for our delay. One that was outside
// already is judged.
func TestPool_WhatOutgrowsTheWindowIsDropped(t *testing.T) {
	for _, c := range []struct {
		tipThen, tipNow int32
		lost            bool
	}{
		{626, 626, false}, // the last height at which 50 is inside
		{626, 627, true},
		{50, 5000, true},
		{627, 628, false},
		{627, 5000, false},
	} {
		p := NewPool()
		d := deferred("p", 1)
		d.Tip = c.tipThen
		p.Add(d)
		n := settled
		n.Tip = c.tipNow
		due, lost := p.Due(n)
		if (lost == 1) != c.lost || (len(due) == 1) == c.lost {
			t.Errorf("signed at 50, tip %d, then %d: %d due, %d lost; want lost %t", c.tipThen, c.tipNow, len(due), lost, c.lost)
		}
	}
}
