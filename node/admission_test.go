package node

import (
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAdmission_WhoSharesABatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*admission)
		after time.Duration
		alone bool
	}{
		{"service node from the start", func(a *admission) { a.met("p", true, t0) }, 0, false},
		{"free identity", func(a *admission) { a.met("p", false, t0) }, 0, true},
		{"free identity before its time", func(a *admission) { a.met("p", false, t0) }, youth - 1, true},
		{"free identity after its time", func(a *admission) { a.met("p", false, t0) }, youth, false},
		{"free identity that came back", func(a *admission) {
			a.met("p", false, t0)
			a.left("p")
			a.met("p", false, t0.Add(youth))
		}, youth + 1, true},
		{"service node after a penalty", func(a *admission) {
			a.met("p", true, t0)
			a.charged("p", t0.Add(time.Minute))
		}, time.Minute + youth - 1, true},
		{"service node long after a penalty", func(a *admission) {
			a.met("p", true, t0)
			a.charged("p", t0.Add(time.Minute))
		}, time.Minute + youth, false},
		{"never met", func(*admission) {}, 0, true},
	} {
		a := newAdmission()
		c.do(a)
		if alone, ok := a.begin("p", t0.Add(c.after)); alone != c.alone || !ok {
			t.Errorf("%s: alone %t, admitted %t; want alone %t, admitted", c.name, alone, ok, c.alone)
		}
	}
}

func TestAdmission_BoundsEachPeerAlone(t *testing.T) {
	a := newAdmission()
	a.met("trusted", true, t0)
	a.met("stranger", false, t0)
	for p, limit := range map[engine.Peer]int{"trusted": maxChecking, "stranger": maxCheckingSuspect} {
		for i := range limit {
			if _, ok := a.begin(p, t0); !ok {
				t.Fatalf("%s: signature %d of %d refused", p, i, limit)
			}
		}
		if _, ok := a.begin(p, t0); ok {
			t.Errorf("%s: more than %d at once", p, limit)
		}
		a.end(p)
		if _, ok := a.begin(p, t0); !ok {
			t.Errorf("%s: refused although one has ended", p)
		}
	}
}

func TestAdmission_ForgetsWhoHasLeft(t *testing.T) {
	a := newAdmission()
	a.met("p", true, t0)
	a.begin("p", t0)
	a.begin("never met", t0)
	a.left("p")
	if len(a.peers) != 2 {
		t.Fatalf("%d peers, want 2 while something of both is being checked", len(a.peers))
	}
	a.end("p")
	a.end("never met")
	a.left("never seen")
	a.charged("never seen", t0)
	if len(a.peers) != 0 {
		t.Errorf("%d peers remembered, want none", len(a.peers))
	}
}
