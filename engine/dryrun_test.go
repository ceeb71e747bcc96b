package engine

import (
	"testing"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// In a dry run the operator's bans are carried out; those of the rules are
// written down, and the peer is not charged on top of them.
func TestDryRun_BansAreWrittenDownOnly(t *testing.T) {
	n := testNetwork("spec")
	c := n.configOf(-1)
	c.DryRun = true
	e, first, err := n.start(c)
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(first.Writes)
	r := rig{Engine: e, network: n, t: t}
	r.at(1)
	for _, in := range []Input{Judged{"rules", large, wire.Hash{1}}, BanPeer{"operator's", time.Hour}, Judged{"account", ten, wire.Hash{2}}} {
		_, out := r.feed(in)
		stored.apply(out.Writes)
		for _, b := range out.Bans {
			if want := b.Cause().Reason != validation.Operator; b.DryRun != want {
				t.Errorf("ban %+v: dry run is %t, want %t", b, b.DryRun, want)
			}
		}
	}
	if b, ok := r.Snapshot().PeerBan("rules"); !ok || !b.DryRun {
		t.Errorf("ban %+v, %t; want it written down", b, ok)
	}
	if _, out := r.feed(Judged{"rules", large, wire.Hash{3}}); len(out.Charges)+len(out.Bans) > 0 {
		t.Errorf("effects %+v, want none: the peer would be gone", out)
	}

	again, out, err := Restore(c, stored.clone()) // another dry run
	if err != nil || len(out.Bans) != 1 || out.Bans[0].Peer != "operator's" || len(out.Writes) > 0 {
		t.Fatalf("bans %+v, writes %v, %v; want the operator's only", out.Bans, out.Writes, err)
	}
	if again.ledger.bans.Len() != 2 {
		t.Errorf("%d bans after a restart into a dry run, want both", again.ledger.bans.Len())
	}

	enforcing, out, err := Restore(n.configOf(-1), stored)
	if err != nil || len(out.Bans) != 1 || out.Bans[0].Peer != "operator's" {
		t.Fatalf("bans %+v, %v; want the operator's only", out.Bans, err)
	}
	_, deletes := kinds(out)
	wantKinds(t, "deleted", deletes, map[Kind]int{KindPeerBan: 1})
	r.Engine = enforcing
	if _, ok := r.Snapshot().PeerBan("rules"); ok {
		t.Error("a run that enforces holds on to what a dry run wrote down")
	}
	r.at(1)
	if a, ok := r.Snapshot().Account("account"); !ok || a.Points != 10 {
		t.Errorf("account %+v, want its 10 points kept", a)
	}
	if _, out := r.feed(Judged{"rules", ten, wire.Hash{4}}); len(out.Charges) != 1 || out.Charges[0].Total != 10 {
		t.Errorf("charges %v, want to begin anew at 10", out.Charges)
	}
	if _, out := r.feed(Judged{"rules", large, wire.Hash{5}}); len(out.Bans) != 1 || out.Bans[0].DryRun {
		t.Errorf("bans %v, want one that is carried out", out.Bans)
	}
	// What a dry run wrote down ends like any other.
	r.Engine = again
	_, out = r.feed(Tick{t0.Add(params.BanDuration + time.Hour)})
	if again.ledger.bans.Len() != 0 || len(out.Unbans) != 2 {
		t.Errorf("%d bans after a day, unbans %v; want none left", again.ledger.bans.Len(), out.Unbans)
	}
}
