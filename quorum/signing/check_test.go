package signing

import (
	"reflect"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// However many wrong shares there are, from whomever, the good ones recover,
// and each wrong one is blamed on its sender.
func TestPool_WrongSharesDoNotSpoil(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	p, r := f.pool(t, 0), request(1, 1)
	signer := Source{Peer: "member 1", ProTx: f.members[1]}
	want(t, "wrong share of a signer", p.AddShare(f.wrong(1, r, 1), signer), Taken)
	want(t, "wrong share by another", p.AddShare(f.wrong(2, r, 2), peer(9)), Taken)
	want(t, "good share of the signer", p.AddShare(f.share(1, r), signer), Taken)
	want(t, "a good share", p.AddShare(f.share(2, r), peer(2)), Taken)
	want(t, "wrong share for one that sleeps", p.AddShare(f.wrong(3, r, 3), peer(9)), Taken)
	got := settle(p)
	if len(got.Recovered) != 0 || len(got.Blamed) != 3 || len(got.Faults) != 3 {
		t.Fatalf("two good shares and three wrong: %+v", got)
	}
	if s := p.sessions[r.ID][f.mined.Hash]; !s.spoiled {
		t.Error("the session goes on to recover from shares that were not checked")
	}
	proven := 0
	for _, x := range got.Faults {
		if x.Kind != BadShare || x.ID != r.ID || x.Height != tip {
			t.Errorf("fault %+v", x)
		}
		if x.Proven() {
			proven++
		}
	}
	if kept := p.Faults(); proven != 1 || len(kept) != 1 || kept[0].Member != f.members[1] || kept[0].From != signer {
		t.Errorf("%d proven, kept %+v; want that of member 1, which sent it itself", proven, kept)
	}
	want(t, "wrong, and we have the good one", p.AddShare(f.wrong(1, r, 7), peer(9)), WrongShare)
	want(t, "no point", p.AddShare(wire.SigShare{Type: 106, QuorumHash: f.mined.Hash, Member: 4, ID: r.ID, MessageHash: r.MessageHash}, peer(9)), Malformed)
	want(t, "third good share", p.AddShare(f.share(3, r), peer(3)), Taken)
	if got := settle(p); !reflect.DeepEqual(got, Checked{Recovered: []wire.RecoveredSig{f.expected(t, r)}}) {
		t.Errorf("three good shares: %+v", got)
	}
}

// A wrong share among enough others costs the recovery of unchecked shares,
// and is found in the same check as the good ones recover.
func TestPool_WrongShareAmongEnough(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	for wrongMember := 1; wrongMember <= 4; wrongMember++ {
		p, r := f.pool(t, 0), request(1, 1)
		for m := 1; m <= 4; m++ {
			x := f.share(m, r)
			if m == wrongMember {
				x = f.wrong(m, r, 1)
			}
			want(t, "a share", p.AddShare(x, peer(m)), Taken)
		}
		got := settle(p)
		if len(got.Recovered) != 1 || got.Recovered[0] != f.expected(t, r) || len(got.Blamed) != 1 || got.Blamed[0].From != peer(wrongMember) {
			t.Errorf("member %d wrong: %+v", wrongMember, got)
		}
	}
}

func TestPool_Equivocation(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	a, b := request(1, 1), request(1, 2)
	var faults []Fault
	for _, order := range [][]Request{{a, b}, {b, a}} {
		p := f.pool(t, 0)
		for _, r := range order {
			want(t, "a share", p.AddShare(f.share(1, r), peer(1)), Taken)
			p.Advance(tip, []*Quorum{f.quorum(t)})
			got := settle(p)
			faults = append(faults, got.Faults...)
			if len(got.Blamed) > 0 {
				t.Errorf("the sender of a good share is blamed: %+v", got.Blamed)
			}
		}
		want(t, "a third message", p.AddShare(f.share(1, request(1, 3)), peer(1)), Full)
		// Both count still.
		for _, m := range []int{2, 3} {
			want(t, "a share", p.AddShare(f.share(m, b), peer(m)), Taken)
		}
		if got := settle(p); len(got.Recovered) != 1 || got.Recovered[0] != f.expected(t, b) {
			t.Errorf("recovered %+v", got)
		}
		if kept := p.Faults(); len(kept) != 1 || !kept[0].Proven() {
			t.Errorf("kept %+v", kept)
		}
	}
	if len(faults) != 2 || !reflect.DeepEqual(faults[0], faults[1]) || faults[0].Kind != Equivocation || faults[0].Member != f.members[1] || len(faults[0].Shares) != 2 {
		t.Errorf("faults %+v, want the same one in both orders", faults)
	}
}

// Both messages in the very check that recovers one of them.
func TestPool_EquivocationBesideARecovery(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	p, a := f.pool(t, 0), request(1, 1)
	want(t, "another message", p.AddShare(f.share(2, request(1, 2)), peer(2)), Taken)
	for m := 1; m <= 3; m++ {
		want(t, "a share", p.AddShare(f.share(m, a), peer(m)), Taken)
	}
	got := settle(p)
	if len(got.Recovered) != 1 || len(got.Faults) != 1 || got.Faults[0].Kind != Equivocation || got.Faults[0].Member != f.members[2] {
		t.Errorf("%+v, want a recovery and an equivocation of member 2", got)
	}
}

// A request in two quorums is one request.
func TestPool_EquivocationAcrossQuorums(t *testing.T) {
	f, g := fixtureOf(t, 5, 3, "a"), fixtureOf(t, 5, 3, "b")
	p := f.pool(t, 0)
	both := []*Quorum{f.quorum(t), g.quorum(t)}
	p.Advance(tip, both)
	want(t, "a share", p.AddShare(f.share(1, request(1, 1)), peer(1)), Taken)
	want(t, "in the other", p.AddShare(g.share(1, request(1, 2)), peer(1)), Taken)
	want(t, "another member, the same message", p.AddShare(f.share(2, request(1, 1)), peer(2)), Taken)
	want(t, "in the other", p.AddShare(g.share(2, request(1, 1)), peer(2)), Taken)
	p.Advance(tip+1, both)
	if got := settle(p); len(got.Faults) != 1 || got.Faults[0].Member != f.members[1] {
		t.Errorf("faults %+v, want one, of member 1", got.Faults)
	}
}
