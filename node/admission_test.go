package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proctornet/proctor/engine"
)

func TestAdmission_WhoSharesABatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*admission)
		after time.Duration
		alone bool
	}{
		{"service node from the start", func(a *admission) { a.met("p", true, time.Now()) }, 0, false},
		{"free identity", func(a *admission) { a.met("p", false, time.Now()) }, 0, true},
		{"free identity before its time", func(a *admission) { a.met("p", false, time.Now()) }, youth - 1, true},
		{"free identity after its time", func(a *admission) { a.met("p", false, time.Now()) }, youth, false},
		{"free identity that came back", func(a *admission) {
			a.met("p", false, time.Now())
			time.Sleep(youth)
			a.left("p")
			a.met("p", false, time.Now())
		}, 1, true},
		{"service node after a penalty", func(a *admission) {
			a.met("p", true, time.Now())
			a.charged("p", time.Now())
		}, youth - 1, true},
		{"service node long after a penalty", func(a *admission) {
			a.met("p", true, time.Now())
			a.charged("p", time.Now())
		}, youth, false},
		{"service node after a wrong signature", func(a *admission) {
			a.met("p", true, time.Now())
			a.begin(context.Background(), "p")
			a.end("p", true)
		}, youth - 1, true},
		{"never met", func(*admission) {}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAdmission()
				c.do(a)
				time.Sleep(c.after)
				if alone, err := a.begin(t.Context(), "p"); alone != c.alone || err != nil {
					t.Errorf("alone %t, error %v; want alone %t", alone, err, c.alone)
				}
			})
		})
	}
}

// fill takes places until a call waits or is refused, and returns how many
// calls got one and how the last ended.
func fill(a *admission, p engine.Peer) (got int, err error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := a.begin(ctx, p)
		cancel()
		if err != nil {
			return got, err
		}
		got++
	}
}

func TestAdmission_BoundsEachPeerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.met("trusted", true, time.Now())
		a.met("stranger", false, time.Now())
		if got, err := fill(a, "trusted"); got != maxChecking || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d checked at once, then %v; want %d, then waiting", got, err, maxChecking)
		}
		if got, err := fill(a, "stranger"); got != maxWaitingOfOthers || !errors.Is(err, errRate) {
			t.Errorf("%d of a stranger, then %v; want %d, then %v", got, err, maxWaitingOfOthers, errRate)
		}
		errs := make(chan error, maxWaiting)
		for range maxWaiting - maxChecking {
			go func() {
				_, err := a.begin(t.Context(), "trusted")
				errs <- err
			}()
		}
		synctest.Wait()
		if _, err := a.begin(t.Context(), "trusted"); !errors.Is(err, errRate) {
			t.Errorf("with %d waiting: %v, want %v", maxWaiting, err, errRate)
		}
		a.end("trusted", false)
		synctest.Wait()
		if err := <-errs; err != nil {
			t.Errorf("the next in line: %v", err)
		}
		// Found out, it has the place of a stranger, and those in line lose theirs.
		a.end("trusted", true)
		synctest.Wait()
		if err := <-errs; !errors.Is(err, errRate) {
			t.Errorf("in line behind a wrong signature: %v, want %v", err, errRate)
		}
		for range maxChecking - 1 {
			a.end("trusted", false)
			synctest.Wait()
		}
	})
}

func TestAdmission_ForgetsWhoHasLeft(t *testing.T) {
	a := newAdmission()
	a.met("p", true, time.Now())
	a.begin(t.Context(), "p")
	a.begin(t.Context(), "never met")
	a.left("p")
	if len(a.peers) != 2 {
		t.Fatalf("%d peers, want 2 while something of both is being checked", len(a.peers))
	}
	a.end("p", false)
	a.end("never met", false)
	a.left("never seen")
	a.charged("never seen", time.Now())
	if len(a.peers) != 0 {
		t.Errorf("%d peers remembered, want none", len(a.peers))
	}
}
