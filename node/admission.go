package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/proctornet/proctor/engine"
)

// Limits of what one peer may have checked at once, so that a flood from one
// leaves the others' place free. What is over the last two is deferred.
const (
	maxChecking        = 128  // signatures of a peer being checked: two batches
	maxWaiting         = 2048 // bans of a peer in good standing, those being checked included
	maxWaitingOfOthers = 64   // of any other
)

// errRate means that a peer has as much waiting as it may.
var errRate = errors.New("node: too much of this peer waits already")

// youth is how long a peer with a free identity, and after its last penalty
// any peer, shares no batch: a wrong signature makes a batch cost double, and
// all who are in it wait. Source: spec/gossip.md 1.3.
const youth = 10 * time.Minute

// admission decides who may have a signature checked, and who shares a batch.
type admission struct {
	mu    sync.Mutex
	peers map[engine.Peer]*standing // in contact, or with something that waits
}

// standing is what we think of a peer while we are in contact with it.
type standing struct {
	up       bool // in contact
	bound    bool // a registered service node: its identity is not free
	since    time.Time
	punished time.Time // when it was last charged, or a signature of it was wrong
	waiting  int
	checking chan struct{} // one element for each signature being checked
}

func newAdmission() *admission { return &admission{peers: make(map[engine.Peer]*standing)} }

func (a *admission) of(p engine.Peer, now time.Time) *standing {
	s, ok := a.peers[p]
	if !ok {
		s = &standing{since: now, checking: make(chan struct{}, maxChecking)}
		a.peers[p] = s
	}
	return s
}

// met notes that a peer is in contact, and whether it is a service node.
func (a *admission) met(p engine.Peer, bound bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.of(p, now)
	s.up, s.bound, s.since = true, bound, now
}

// left forgets a peer once nothing of it waits.
func (a *admission) left(p engine.Peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.peers[p]; ok {
		s.up = false
		a.tidy(p, s)
	}
}

// charged notes that a peer was charged.
func (a *admission) charged(p engine.Peer, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.peers[p]; ok {
		s.punished = now
	}
}

// punishedSince reports whether a peer was found out at or after a time.
func (a *admission) punishedSince(p engine.Peer, t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.peers[p]
	return ok && !s.punished.Before(t)
}

// begin waits for a place for a signature of p. alone says that the signature
// must share no batch: that is decided last, as p may have been found out
// meanwhile. Without an error the caller calls end. The error is errRate or
// ctx's.
func (a *admission) begin(ctx context.Context, p engine.Peer) (alone bool, err error) {
	s, err := a.queue(p, time.Now())
	if err != nil {
		return false, err
	}
	select {
	case s.checking <- struct{}{}:
	case <-ctx.Done():
		a.leave(p, s)
		return false, ctx.Err()
	}
	a.mu.Lock()
	alone = s.suspect(time.Now())
	late := alone && s.waiting > maxWaitingOfOthers
	a.mu.Unlock()
	if late {
		a.end(p, false)
		return false, errRate
	}
	return alone, nil
}

func (a *admission) queue(p engine.Peer, now time.Time) (*standing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.of(p, now)
	if s.waiting >= maxWaiting || s.waiting >= maxWaitingOfOthers && s.suspect(now) {
		return nil, errRate
	}
	s.waiting++
	return s, nil
}

// suspect reports whether s shares no batch.
func (s *standing) suspect(now time.Time) bool {
	return now.Sub(s.punished) < youth || !s.bound && now.Sub(s.since) < youth
}

// end gives a place back. wrong says that the signature was.
func (a *admission) end(p engine.Peer, wrong bool) {
	a.mu.Lock()
	s := a.peers[p]
	if wrong {
		s.punished = time.Now()
	}
	a.mu.Unlock()
	<-s.checking
	a.leave(p, s)
}

func (a *admission) leave(p engine.Peer, s *standing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.waiting--
	a.tidy(p, s)
}

func (a *admission) tidy(p engine.Peer, s *standing) {
	if !s.up && s.waiting == 0 {
		delete(a.peers, p)
	}
}
