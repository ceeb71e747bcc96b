package engine

import (
	"bytes"
	"maps"
	"math"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestNetwork_BansAreSignedByTheQuorum(t *testing.T) {
	in := testNetwork("spec").signedBan("", alice, 3)
	key := must(bls.ParsePublicKey(in.Key))
	sig := must(bls.ParseSignature(in.Message.Signature))
	if !bls.Verify(key, in.Message.SignHash(params.TestPlatform), sig) {
		t.Error("the helper's ban is not valid: the other tests prove little")
	}
}

func TestEngine_AcceptedBanSetsTheFlag(t *testing.T) {
	for _, from := range []Peer{"", "peer"} {
		r := observer(t, "spec")
		r.at(1)
		in := r.signedBan(from, alice, 0)
		out := r.want(in, validation.Valid)

		r.wantFlag(alice, true)
		r.wantFlag(bob, false)
		if got := r.flagOf(alice); got.BannedHeight != 0 || got.Ban != in.Message {
			t.Errorf("from %q: flag %+v does not hold the ban", from, got)
		}
		if n := r.Snapshot().FlagsSet(); n != 1 {
			t.Errorf("from %q: %d flags set, want 1", from, n)
		}
		hash := in.Message.InventoryHash()
		if got, ok := r.Snapshot().AcceptedBan(hash); !ok || got != in.Message {
			t.Errorf("from %q: the inventory does not hold the ban", from)
		}
		// Flag and ban are in one batch, or a crash could keep one of them.
		puts, deletes := kinds(out)
		wantKinds(t, "put", puts, map[Kind]int{KindFlag: 1, KindBan: 1})
		wantKinds(t, "deleted", deletes, map[Kind]int{})
		stored := make(records)
		stored.apply(out.Writes)
		key := proTx(alice)
		if f, err := state.ParseBanFlag(stored[KindFlag][string(key[:])]); err != nil || f != r.flagOf(alice) {
			t.Errorf("from %q: stored flag %+v, %v", from, f, err)
		}
		if b := stored[KindBan][string(hash[:])]; !bytes.Equal(b, in.Message.Bytes()) {
			t.Errorf("from %q: stored ban %x", from, b)
		}
		// A peer's message is forwarded by the gossip layer.
		want := 0
		if from == "" {
			want = 1
		}
		if len(out.Publications) != want {
			t.Errorf("from %q: %d publications, want %d", from, len(out.Publications), want)
		}
		for _, p := range out.Publications {
			if p.Topic != TopicPlatformBan || !bytes.Equal(p.Bytes, in.Message.Bytes()) {
				t.Errorf("published %v %x", p.Topic, p.Bytes)
			}
		}
		if len(out.Charges) > 0 {
			t.Errorf("from %q: charges %v for a good ban", from, out.Charges)
		}
	}
}

func TestEngine_NoTicketNoReply(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	out := new(Effects)
	r.Step(r.unsignedBan("", alice, 0), 0, out)
	if len(out.Replies) > 0 || len(out.Writes) == 0 {
		t.Errorf("replies %v, %d writes; want none, and the ban's", out.Replies, len(out.Writes))
	}
}

func TestEngine_RefusedBans(t *testing.T) {
	const tip = 6
	n := testNetwork("spec")
	forged := n.unsignedBan("peer", alice, tip)
	forged.Message.Signature[95] ^= 1
	otherQuorum := n.unsignedBan("peer", bob, tip)
	otherQuorum.Message.QuorumHash[0] ^= 1
	otherKey := n.unsignedBan("peer", bob, tip)
	otherKey.Key = wire.OperatorKey(n.operator[bob].PublicKey().Bytes())
	for _, c := range []struct {
		name string
		in   Ban
		want validation.Reason
	}{
		{"had before", n.unsignedBan("peer", alice, tip), validation.Duplicate},
		{"had before with another signature", forged, validation.ForgedTwin},
		{"node is not registered", n.unsignedBan("peer", nodes, tip), validation.UnknownNode},
		{"regular masternode", n.unsignedBan("peer", rupert, tip), validation.RegularNode},
		{"one block ahead", n.unsignedBan("peer", bob, tip+1), validation.Ahead},
		{"five blocks ahead", n.unsignedBan("peer", bob, tip+5), validation.Ahead},
		{"six blocks ahead", n.unsignedBan("peer", bob, tip+6), validation.HeightFar},
		{"below zero", n.unsignedBan("peer", bob, math.MinInt32), validation.HeightFar},
		{"quorum nobody knows", otherQuorum, validation.UnknownQuorum},
		// The validator checked it against a quorum that we know otherwise.
		{"checked under another key", otherKey, validation.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, n, -1)
			r.connect(n.author().blocks(tip)...)
			r.want(r.unsignedBan("first", alice, tip), validation.Valid)
			before := r.Snapshot()
			out := r.want(c.in, c.want)

			after := r.Snapshot()
			if after.Accepted.Len() != 1 || !maps.Equal(maps.Collect(after.Flags.All()), maps.Collect(before.Flags.All())) {
				t.Error("a refused ban changed flags or inventory")
			}
			puts, deletes := kinds(out)
			want := map[Kind]int{}
			if c.want.Nature() == validation.OfView { // received under this profile, so known when it comes again
				want[KindRefusal] = 1
			}
			switch points := c.want.Verdict().Points; {
			case points == 0:
			case points < params.PointsBan:
				want[KindAccount] = 1
			default:
				want[KindPeerBan] = 1
				if len(out.Bans) != 1 || out.Bans[0].Cause().Evidence != wire.DoubleHash(c.in.Message.Bytes()) || out.Bans[0].Peer != "peer" {
					t.Errorf("bans %+v, want peer's with the message's gossip id", out.Bans)
				}
			}
			wantKinds(t, "put", puts, want)
			wantKinds(t, "deleted", deletes, map[Kind]int{})
			if len(out.Publications) > 0 {
				t.Errorf("a refused ban was published: %v", out.Publications)
			}
		})
	}
}

func TestEngine_BansWaitUntilSynced(t *testing.T) {
	r := observer(t, "spec")
	r.at(params.SyncedWithin)
	if !r.Snapshot().Synced() {
		t.Error("not synced at the last slot the tip may be behind")
	}
	r.at(params.SyncedWithin + 1)
	out := r.want(r.unsignedBan("peer", alice, 0), validation.NotSynced)
	if len(out.Writes)+len(out.Charges) > 0 {
		t.Errorf("writes %v, charges %v", out.Writes, out.Charges)
	}
	// Three peers, and none knows more.
	for _, p := range []Peer{"x", "y", "z"} {
		r.want(r.unsignedBan("peer", alice, 0), validation.NotSynced)
		r.feed(PeerTip{Peer: p, Height: 0})
	}
	r.want(r.unsignedBan("peer", alice, 0), validation.Valid)
}

// A ban signed below the height that cleared the flag is too late, whether it
// was seen before or not; one signed at that very height counts.
func TestEngine_ClearedFlagAndOldBans(t *testing.T) {
	const tip = 4
	for _, c := range []struct {
		name     string
		profile  string
		node     int
		clears   bool
		sawFirst bool
	}{
		{"spec, update of a node in service", "spec", alice, false, true},
		{"spec, update that revives", "spec", cleo, true, true},
		{"spec, update that revives, ban never seen", "spec", cleo, true, false},
		{"core, update of a node in service", "core", alice, true, true},
		{"core, update of a node in service, ban never seen", "core", alice, true, false},
		{"core, update that revives", "core", cleo, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := observer(t, c.profile)
			a := r.author()
			r.connect(a.blocks(tip)...)
			if c.sawFirst {
				r.want(r.unsignedBan("peer", c.node, tip), validation.Valid)
			}
			out := r.connect(a.next(tip+1, r.update(c.node, 1, "/ip4/1.2.3.4/tcp/1")))
			r.wantFlag(c.node, c.sawFirst && !c.clears)
			puts, _ := kinds(out)
			want := map[Kind]int{KindBlock: 1, KindUndo: 1, KindNode: 2, KindMeta: 1} // the other node is paid
			if c.clears {
				want[KindFlag] = 1
			}
			wantKinds(t, "block with the update", puts, want)

			// tip-1 was not seen in any case.
			old := validation.Stale
			if !c.clears && !c.sawFirst {
				old = validation.Valid
			}
			r.want(r.unsignedBan("peer", c.node, tip-1), old)
			if c.clears {
				wantTie := r.unsignedBan("peer", c.node, tip+1)
				r.want(wantTie, validation.Valid)
			}
			r.wantFlag(c.node, true)
		})
	}
}

func TestEngine_RegularNodesHaveNoFlag(t *testing.T) {
	r := observer(t, "core")
	out := r.connect(r.author().next(1, r.update(rupert, 1, "/ip4/1.2.3.4/tcp/1")))
	puts, _ := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindBlock: 1, KindUndo: 1, KindNode: 2, KindMeta: 1}) // the other node is paid
	r.want(r.unsignedBan("", rupert, 1), validation.RegularNode)
	if n := r.Snapshot().Flags.Len(); n != 0 {
		t.Errorf("%d flags, want none", n)
	}
}

func TestEngine_InventoryForgetsWhatLeftTheWindow(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.at(1)
	r.want(r.unsignedBan("", alice, 0), validation.Valid)
	r.connect(a.blocks(1)...)
	r.want(r.unsignedBan("", alice, 1), validation.Valid)
	const last = params.BanWindow + params.BanHeightSlack // block at which height 0 is near still
	r.connect(a.blocks(last - 1)...)
	if n := r.Snapshot().Accepted.Len(); n != 2 {
		t.Fatalf("%d bans at height %d, want 2", n, last)
	}
	r.want(r.unsignedBan("", alice, 0), validation.Duplicate)

	out := r.connect(a.blocks(1)...)
	_, deletes := kinds(out)
	wantKinds(t, "deleted", deletes, map[Kind]int{KindBan: 1, KindUndo: 1})
	if n := r.Snapshot().Accepted.Len(); n != 1 {
		t.Errorf("%d bans at height %d, want 1", n, last+1)
	}
	// Forgotten, so judged anew, but the flag stays.
	r.want(r.unsignedBan("", alice, 0), validation.HeightFar)
	r.wantFlag(alice, true)
}
