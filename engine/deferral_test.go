package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// A verdict that waits is given to whoever brought the ban, once our view is
// settled: with the points of DIP-0031 and not before.
func TestDefer_JudgedLaterWithPointsToTheSource(t *testing.T) {
	for _, c := range []struct {
		name  string
		slot  uint64 // of the clock when the ban comes; the tip is of slot 10
		first validation.Reason
	}{
		{"not synced", 20, validation.NotSynced},
		{"a block is overdue", 12, validation.Unsure},
	} {
		for _, ban := range []struct {
			name   string
			node   int
			height int32
			want   validation.Reason // at height 10
		}{
			{"good", alice, 9, validation.Valid},
			{"unknown node", nodes, 9, validation.UnknownNode},
			{"regular node", rupert, 9, validation.RegularNode},
			{"far", alice, 200, validation.HeightFar},
		} {
			t.Run(c.name+"/"+ban.name, func(t *testing.T) {
				r := observer(t, "spec")
				a := r.author()
				r.connect(a.blocks(10)...)
				in := r.unsignedBan("", ban.node, ban.height)
				p := r.player(in)
				r.at(c.slot)
				first := c.first
				if ban.want == validation.Valid && first == validation.Unsure {
					first = validation.Valid // nothing objects, so nothing is put off
				}
				if got := p.deliver("source", in.Message); got != first {
					t.Fatalf("verdict %s, want %s", got, first)
				}
				if n := len(p.total.Charges); n > 0 {
					t.Fatalf("charges %v while nobody can be blamed", p.total.Charges)
				}
				p.feed(PeerGone{"source"}) // it is remembered all the same
				for slot := c.slot; slot < c.slot+6; slot++ {
					b := a.next(slot)
					p.tell(Tick{r.genesis.SlotStart(slot)})
					p.tell(Block{Block: b})
					if r.Snapshot().Doubtful != Settled && ban.want != validation.Valid && len(p.total.Charges) > 0 {
						t.Fatalf("slot %d, doubtful %q: charges %v", slot, r.Snapshot().Doubtful, p.total.Charges)
					}
				}
				want := ban.want.Verdict()
				var charged int
				for _, charge := range p.total.Charges {
					charged += charge.Points
					if charge.Peer != "source" || charge.Reason != want.Reason || charge.Evidence != in.Message.ID() {
						t.Errorf("charge %+v, want source's for %s", charge, want.Reason)
					}
				}
				if charged != want.Points || r.Snapshot().Deferred != 0 || p.total.Lost != 0 {
					t.Errorf("%d points, %d wait, %d lost; want %d, none, none", charged, r.Snapshot().Deferred, p.total.Lost, want.Points)
				}
				r.wantFlag(alice, ban.want == validation.Valid)
			})
		}
	}
}

// A ban ahead of our tip is held until the tip gets there, or two slots pass;
// then DIP-0031's points are charged, if our view is settled.
func TestDefer_HoldsWhatIsAhead(t *testing.T) {
	const tip = 10
	for ahead := int32(1); ahead <= params.BanHeightSlack; ahead++ {
		for blocks := range params.HoldSlots + 1 { // that come in the slots of the hold
			t.Run(fmt.Sprintf("%d ahead, %d blocks come", ahead, blocks), func(t *testing.T) {
				r := observer(t, "spec")
				a := r.author()
				r.connect(a.blocks(tip)...)
				in := r.unsignedBan("", alice, tip+ahead)
				p := r.player(in)
				if got := p.deliver("source", in.Message); got != validation.Ahead {
					t.Fatalf("verdict %s, want %s", got, validation.Ahead)
				}
				for i := range params.HoldSlots {
					if r.Snapshot().Deferred != 1 && int32(i) < ahead {
						t.Fatalf("not held for %d slots", i)
					}
					slot := a.tip.Slot + 1
					p.tell(Tick{r.genesis.SlotStart(slot)})
					if i < blocks {
						p.tell(Block{Block: a.next(slot)})
					} else {
						a.next(slot) // which we do not hear of
					}
					p.tell(Tick{r.genesis.SlotStart(slot).Add(time.Millisecond)})
				}
				after := r.genesis.SlotStart(a.tip.Slot + 1)
				p.tell(Tick{after})
				there := int(ahead) <= blocks
				got := r.Snapshot().Deferred
				switch {
				case there && got != 0:
					t.Errorf("the tip got there in time, and the ban waits")
				case !there && blocks >= params.HoldSlots:
					// Two slots have passed and our tip is as fresh as can be.
					if got != 0 || p.judged[validation.HeightNear] != 1 || len(p.total.Charges) != 1 || p.total.Charges[0].Points != params.PointsSmall {
						t.Errorf("%d wait, judged %v, charges %v; want one point", got, p.judged, p.total.Charges)
					}
				case !there && (p.judged[validation.Unsure] != 1 || len(p.total.Charges) > 0):
					t.Errorf("judged %v, charges %v; want unsure: a block is overdue", p.judged, p.total.Charges)
				}
				p.tell(Tick{after.Add(time.Millisecond)})
				r.wantFlag(alice, there)
			})
		}
	}
}

// What waits for our view to settle is left alone until it has: each tick
// would judge it again, and in vain.
func TestDefer_UnsureWaitsUntilSettled(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.connect(a.blocks(10)...)
	r.at(12)
	for i, why := range []inventory.Why{inventory.Unsure, inventory.Busy} {
		r.feed(Defer{inventory.Deferred{From: "p", Ban: r.unsignedBan("", rupert, int32(i)).Message, Why: why}})
	}
	if out := r.at(12); len(out.Due) != 1 || out.Due[0].Why != inventory.Busy {
		t.Errorf("due %v, want the one that waited for its turn only", out.Due)
	}
	r.want(Block{Block: a.next(12)}, validation.Valid)
	if out := r.at(12); len(out.Due) != 1 || out.Due[0].Why != inventory.Unsure {
		t.Errorf("due %v, want the other: our view is settled", out.Due)
	}
}

// The time of waiting counts from the first deferral, and what waits too long
// is given up.
func TestDefer_TimeAndSlotAreOfTheFirst(t *testing.T) {
	r := observer(t, "spec")
	r.at(100) // not synced, and it stays so
	in := r.unsignedBan("", alice, 0)
	r.feed(Defer{inventory.Deferred{From: "p", Ban: in.Message, Why: inventory.Unsynced}})
	r.feed(Tick{r.now.Add(inventory.MaxDeferredTime)})
	if n := r.Snapshot().Deferred; n != 1 {
		t.Fatalf("%d wait at the limit, want 1", n)
	}
	_, out := r.feed(Tick{r.now.Add(time.Millisecond)})
	if out.Lost != 1 || len(out.Due) > 0 || r.Snapshot().Deferred != 0 {
		t.Errorf("%d lost, %v due; want one lost", out.Lost, out.Due)
	}
	// One that comes back from being judged keeps its age.
	since := r.now.Add(-inventory.MaxDeferredTime)
	r.feed(Defer{inventory.Deferred{From: "p", Ban: in.Message, Why: inventory.Unsure, Since: since, Slot: 7}})
	if _, out := r.feed(Tick{r.now.Add(time.Millisecond)}); out.Lost != 1 {
		t.Errorf("%d lost, want the one that has waited before", out.Lost)
	}
}

// Where there is no room for a ban its hash is kept, and asked for when there
// is room again and we can judge what comes.
func TestDefer_WantsWhatThereWasNoRoomFor(t *testing.T) {
	r := observer(t, "spec")
	r.at(100)
	var over []wire.Hash
	for i := range inventory.MaxDeferred + 4 {
		in := r.unsignedBan("", alice, 0)
		in.Message.Signature[1], in.Message.QuorumHash = byte(i), wire.Hash{byte(i), byte(i >> 8)}
		_, out := r.feed(Defer{inventory.Deferred{From: fmt.Sprint("p", i%8), Ban: in.Message, Why: inventory.Unsynced}})
		if out.Lost > 0 {
			t.Fatalf("ban %d is lost", i)
		}
		if i >= inventory.MaxDeferred {
			over = append(over, in.Message.InventoryHash())
		}
	}
	r.feed(PeerGone{"p3"})
	if s := r.Snapshot(); s.Deferred != inventory.MaxDeferred || s.Wanted != 3 {
		t.Fatalf("%d wait, %d wanted; want %d, 3: p3 has gone", s.Deferred, s.Wanted, inventory.MaxDeferred)
	}
	if out := r.at(101); len(out.Wants)+len(out.Due) > 0 {
		t.Errorf("asked for %v while not synced", out.Wants)
	}
	for _, p := range []Peer{"x", "y", "z"} {
		r.feed(PeerTip{Peer: p})
	}
	var wants []Want
	due := 0
	for range 8 {
		out := r.at(102)
		due += len(out.Due)
		if len(wants) == 0 && len(out.Wants) > 0 { // not synced for a moment: there is room, but no use
			r.feed(PeerTip{Peer: "x", Height: 1})
			if out := r.at(102); len(out.Wants)+len(out.Due) > 0 {
				t.Errorf("asked for %v, %d due while not synced", out.Wants, len(out.Due))
			}
			r.feed(PeerTip{Peer: "x"})
		}
		wants = append(wants, out.Wants...)
		if len(out.Wants) > 0 && r.Snapshot().Deferred > inventory.MaxDeferred/2 {
			t.Errorf("asked for %v while %d wait", out.Wants, r.Snapshot().Deferred)
		}
	}
	if due != inventory.MaxDeferred {
		t.Errorf("%d due, want %d", due, inventory.MaxDeferred)
	}
	want := []Want{{"p0", over[:1]}, {"p1", over[1:2]}, {"p2", over[2:3]}}
	if !slices.EqualFunc(wants, want, func(a, b Want) bool { return a.Peer == b.Peer && slices.Equal(a.Bans, b.Bans) }) {
		t.Errorf("asked for %v, want %v, one peer at a time", wants, want)
	}
	if r.Snapshot().Wanted != 0 {
		t.Errorf("%d wanted after all were asked for", r.Snapshot().Wanted)
	}
}
