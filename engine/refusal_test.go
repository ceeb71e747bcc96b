package engine

import (
	"encoding/binary"
	"testing"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// What was refused is remembered once, by its first verdict, if the profile
// takes it as received or its signature was checked.
func TestRefusals_RememberedOnce(t *testing.T) {
	for _, profile := range []string{"spec", "core"} {
		for _, row := range validation.Table() {
			r := observer(t, profile)
			r.connect(r.author().blocks(3)...)
			want := row.Reason.Remembered(r.state.Profile())
			if _, out := r.feed(Judged{"", row.Reason.Verdict(), wire.Hash{}}); len(out.Writes) > 0 {
				t.Errorf("%s, %s: an item without a name is remembered", profile, row.Reason)
			}
			_, out := r.feed(Judged{"", row.Reason.Verdict(), wire.Hash{1}})
			puts, _ := kinds(out)
			if got := puts[KindRefusal] == 1; got != want {
				t.Errorf("%s, %s: remembered is %t, want %t", profile, row.Reason, got, want)
			}
			_, out = r.feed(Judged{"", validation.Signature.Verdict(), wire.Hash{1}})
			if puts, _ := kinds(out); want && puts[KindRefusal] > 0 {
				t.Errorf("%s, %s: remembered a second time", profile, row.Reason)
			}
			if why, ok := r.Snapshot().Refused(wire.Hash{1}); want && (why != row.Reason || !ok) {
				t.Errorf("%s, %s: known as %q", profile, row.Reason, why)
			}
		}
	}
}

// A stale ban passed the signature check, so the engine itself remembers it:
// offered again, by anybody and after a restart, it costs no second one.
func TestRefusals_CostNoSecondCheck(t *testing.T) {
	n := testNetwork("spec")
	e, first, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(first.Writes)
	r := rig{Engine: e, network: n, t: t}
	for _, b := range n.author().blocks(5) {
		stored.apply(r.connect(b).Writes)
	}
	for _, in := range []Input{r.unsignedBan("p", alice, 5), r.unsignedBan("p", alice, 3)} {
		_, out := r.feed(in)
		stored.apply(out.Writes)
	}
	forged := r.unsignedBan("p", bob, 4).Message
	_, out := r.feed(Judged{"p", validation.Signature.Verdict(), forged.ID()})
	stored.apply(out.Writes)

	restored, _, err := Restore(n.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Engine{r.Engine, restored} {
		e.Step(Tick{n.genesis.SlotStart(5)}, 0, new(Effects))
		view := e.Snapshot()
		for _, c := range []struct {
			ban  wire.PlatformBan
			want validation.Reason
		}{
			{r.unsignedBan("", alice, 5).Message, validation.Duplicate},
			{r.unsignedBan("", alice, 3).Message, validation.Stale},
			{forged, validation.Signature},
		} {
			if v := validation.PlatformBan(c.ban, view, false); v.Reason != c.want {
				t.Errorf("ban at %d offered again: %s, want %s without a signature check", c.ban.SignedHeight, v.Reason, c.want)
			}
		}
		genuine := forged
		genuine.Signature[50] ^= 1
		if v := validation.PlatformBan(genuine, view, false); !v.OK() {
			t.Errorf("the genuine ban is %s because of a forged one", v.Reason)
		}
	}
}

func TestRefusals_ExpireWithTheWindow(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.at(1)
	r.feed(Judged{"p", validation.Signature.Verdict(), wire.Hash{1}})
	r.connect(a.blocks(1)...)
	r.feed(Judged{"p", validation.Signature.Verdict(), wire.Hash{2}})
	const last = params.BanWindow + params.BanHeightSlack // as long as an accepted ban of height 0
	r.connect(a.blocks(last - 1)...)
	if n := r.Snapshot().Refusals.Len(); n != 2 {
		t.Fatalf("%d refusals at height %d, want 2", n, last)
	}
	for left := 1; left >= 0; left-- {
		out := r.connect(a.blocks(1)...)
		_, deletes := kinds(out)
		wantKinds(t, "deleted", deletes, map[Kind]int{KindRefusal: 1, KindUndo: 1})
		if n := r.Snapshot().Refusals.Len(); n != left {
			t.Errorf("%d refusals, want %d", n, left)
		}
	}
}

func TestRefusals_AreBoundedAndRestored(t *testing.T) {
	n := testNetwork("core")
	e, first, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(first.Writes)
	r := rig{Engine: e, network: n, t: t}
	a := n.author()
	stored.apply(r.connect(a.blocks(1)...).Writes)
	id := func(i int) (h wire.Hash) {
		binary.BigEndian.PutUint32(h[:], uint32(inventory.MaxRefused-i)) // the newer, the lower
		h[31] = 1
		return h
	}
	evicted := 0
	for i := range inventory.MaxRefused + 2 {
		if i == inventory.MaxRefused/2 {
			stored.apply(r.connect(a.blocks(1)...).Writes)
		}
		_, out := r.feed(Judged{"", validation.Signature.Verdict(), id(i)})
		stored.apply(out.Writes)
		evicted += out.Evicted
	}
	if evicted != 2 || r.Snapshot().Refusals.Len() != inventory.MaxRefused || len(stored[KindRefusal]) != inventory.MaxRefused {
		t.Fatalf("%d evicted, %d remembered, %d stored; want 2, %d", evicted, r.Snapshot().Refusals.Len(), len(stored[KindRefusal]), inventory.MaxRefused)
	}
	restored, _, err := Restore(n.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	sameKnowledge(t, restored, r.Engine)
	// Room is made at the lower height, although its ids are the higher ones.
	var out Effects
	restored.Step(Judged{"", validation.Signature.Verdict(), wire.Hash{0xff}}, 0, &out)
	if out.Evicted != 1 || restored.Snapshot().Refusals.Len() != inventory.MaxRefused {
		t.Errorf("%d evicted, %d remembered; want 1, %d", out.Evicted, restored.Snapshot().Refusals.Len(), inventory.MaxRefused)
	}
	for _, w := range out.Writes {
		if w.Value == nil {
			if why, err := parseRefusal(stored[KindRefusal][string(w.Key)]); err != nil || why.Height != 1 {
				t.Errorf("evicted one of height %d, %v; want the lower height, 1", why.Height, err)
			}
		}
	}
}
