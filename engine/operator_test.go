package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestOperator_BansAPeer(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	r.feed(PeerTip{Peer: "bound", Height: 0})
	for _, c := range []struct {
		peer  Peer
		bound bool
	}{{"stranger", false}, {"bound", true}} {
		r.feed(Judged{c.peer, ten, wire.Hash{1}})
		out := r.want(BanPeer{c.peer, 90 * time.Minute}, validation.Valid)
		if len(out.Bans) != 1 || len(out.Charges) > 0 {
			t.Fatalf("effects %+v, want one ban and no charge", out)
		}
		b := out.Bans[0]
		if b.Peer != c.peer || !b.From.Equal(r.now) || !b.Until.Equal(r.now.Add(90*time.Minute)) || b.Bound != c.bound || b.DryRun {
			t.Errorf("ban %+v, want %s's for 90 minutes, bound %t", b, c.peer, c.bound)
		}
		if e := b.Cause(); e.Reason != validation.Operator || !e.Time.Equal(r.now) || len(b.Entries) != 1 {
			t.Errorf("cause %+v, want the operator's word alone", e)
		}
		puts, deletes := kinds(out)
		wantKinds(t, "put", puts, map[Kind]int{KindPeerBan: 1})
		wantKinds(t, "deleted", deletes, map[Kind]int{KindAccount: 1})
	}
}

// The last word counts, be it longer or shorter than a ban that stands.
func TestOperator_ReplacesABanThatStands(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	r.feed(Judged{"p", large, wire.Hash{1}})
	for _, d := range []time.Duration{time.Hour, 48 * time.Hour, time.Minute} {
		r.want(BanPeer{"p", d}, validation.Valid)
		b, _ := r.Snapshot().PeerBan("p")
		if !b.Until.Equal(r.now.Add(d)) || b.Cause().Reason != validation.Operator || r.Snapshot().PeerBans.Len() != 1 {
			t.Errorf("ban %+v, want the operator's for %s", b, d)
		}
	}
	_, out := r.feed(Tick{r.now.Add(time.Minute + expireEvery)})
	if !slices.Equal(out.Unbans, []Peer{"p"}) {
		t.Errorf("unbans %v, want p's at its new end", out.Unbans)
	}
}

func TestOperator_LiftsABanAndForgetsPoints(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	r.feed(Judged{"banned", large, wire.Hash{1}})
	r.feed(Judged{"charged", ten, wire.Hash{2}})
	for _, c := range []struct {
		peer    Peer
		unbans  []Peer
		deletes map[Kind]int
	}{
		{"banned", []Peer{"banned"}, map[Kind]int{KindPeerBan: 1}},
		{"charged", nil, map[Kind]int{KindAccount: 1}},
		{"unknown", nil, map[Kind]int{}},
	} {
		out := r.want(UnbanPeer{c.peer}, validation.Valid)
		if !slices.Equal(out.Unbans, c.unbans) {
			t.Errorf("%s: unbans %v, want %v", c.peer, out.Unbans, c.unbans)
		}
		var back []Charge // what the score of the peer is told
		if c.peer == "charged" {
			back = []Charge{{Peer: c.peer, Points: -10, Reason: validation.Operator}}
		}
		if !slices.Equal(out.Charges, back) {
			t.Errorf("%s: charges %v, want %v", c.peer, out.Charges, back)
		}
		_, deletes := kinds(out)
		wantKinds(t, "deleted of "+string(c.peer), deletes, c.deletes)
		if _, out := r.feed(Judged{c.peer, ten, wire.Hash{3}}); len(out.Charges) != 1 || out.Charges[0].Total != 10 {
			t.Errorf("%s: charges %v, want to begin at 10", c.peer, out.Charges)
		}
	}
}

// The operator's word survives a restart, also one into a dry run, and our
// doubts; and it is lifted after one, too.
func TestOperator_WordIsKept(t *testing.T) {
	n := testNetwork("spec")
	e, first, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(first.Writes)
	r := rig{Engine: e, network: n, t: t}
	stored.apply(r.connect(n.author().blocks(1)...).Writes)
	for _, in := range []Input{BanPeer{"p", time.Hour}, BanPeer{"q", time.Hour}, UnbanPeer{"q"}, Judged{"r", large, wire.Hash{1}}} {
		_, out := r.feed(in)
		stored.apply(out.Writes)
	}
	for _, dry := range []bool{false, true} {
		c := n.configOf(-1)
		c.DryRun = dry
		e, out, err := Restore(c, stored)
		if err != nil {
			t.Fatal(err)
		}
		var banned []Peer
		for _, b := range out.Bans {
			banned = append(banned, b.Peer)
		}
		slices.Sort(banned)
		want := []Peer{"p", "r"}
		if dry {
			want = want[:1] // what the rules banned is not carried out
		}
		if !slices.Equal(banned, want) {
			t.Errorf("dry run %t: bans of %v, want %v", dry, banned, want)
		}
		r.Engine = e
		r.at(2)
		for _, p := range []Peer{"x", "y", "z"} {
			r.feed(contradict(p))
		}
		if _, banned := r.Snapshot().PeerBan("p"); !banned {
			t.Errorf("dry run %t: our doubt lifted the operator's ban", dry)
		}
		if out := r.want(UnbanPeer{"p"}, validation.Valid); !slices.Equal(out.Unbans, []Peer{"p"}) {
			t.Errorf("dry run %t: unbans %v, want p", dry, out.Unbans)
		}
	}
}
