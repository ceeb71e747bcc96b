package node

import (
	"sync"
	"time"

	"github.com/proctornet/proctor/engine"
)

// Limits of what one peer may have checked at once, so that a flood from one
// leaves the others' place free. What is over them is deferred.
const (
	maxChecking        = 2048 // signatures of a peer in good standing
	maxCheckingSuspect = 64   // of any other
)

// youth is how long a peer with a free identity, and after its last penalty
// any peer, shares no batch: a wrong signature makes a batch cost double, and
// all who are in it wait. Source: spec/gossip.md 1.3.
const youth = 10 * time.Minute

// admission decides who may have a signature checked, and who shares a batch.
type admission struct {
	mu    sync.Mutex
	peers map[engine.Peer]*standing // in contact, or with something being checked
}

// standing is what we think of a peer while we are in contact with it.
type standing struct {
	up       bool // in contact
	bound    bool // a registered service node: its identity is not free
	since    time.Time
	punished time.Time // when it was last charged
	checking int
}

func newAdmission() *admission { return &admission{peers: make(map[engine.Peer]*standing)} }

func (a *admission) of(p engine.Peer, now time.Time) *standing {
	s, ok := a.peers[p]
	if !ok {
		s = &standing{since: now}
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

// left forgets a peer once nothing of it is being checked.
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

// begin takes a place for a signature of p; ok is false when p has as many as
// it may. alone says that the signature must share no batch. Whoever has got
// a place calls end.
func (a *admission) begin(p engine.Peer, now time.Time) (alone, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.of(p, now)
	alone = now.Sub(s.punished) < youth || !s.bound && now.Sub(s.since) < youth
	limit := maxChecking
	if alone {
		limit = maxCheckingSuspect
	}
	if s.checking >= limit {
		return alone, false
	}
	s.checking++
	return alone, true
}

func (a *admission) end(p engine.Peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.peers[p]
	s.checking--
	a.tidy(p, s)
}

func (a *admission) tidy(p engine.Peer, s *standing) {
	if !s.up && s.checking == 0 {
		delete(a.peers, p)
	}
}
