package gossip

import (
	"slices"
	"sync"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// maxTidings is how many comings and goings wait before those that cancel
// each other are left out. What then waits above it is at most one for each
// connected peer.
const maxTidings = 1024

// tiding is one peer's coming or going.
type tiding struct {
	peer   engine.Peer
	up     bool
	status wire.Status // of one that is up
}

// herald tells the backend who comes and goes, in that order. The backend may
// wait for its own queue; the herald does so in the place of handshakes and
// of the host, which holds up other connections while it reports one.
type herald struct {
	backend Backend
	wake    chan struct{}
	ended   chan struct{} // closed when the last one has been told

	mu      sync.Mutex
	waiting []tiding
	telling int // 1 while the backend is being told
	ending  bool
}

func newHerald(b Backend) *herald {
	h := &herald{backend: b, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go h.run()
	return h
}

// tell hands over a tiding; it does not wait.
func (h *herald) tell(t tiding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !t.up && len(h.waiting) >= maxTidings {
		for i, w := range slices.Backward(h.waiting) {
			if w.peer == t.peer { // its coming, or it could not go
				h.waiting = slices.Delete(h.waiting, i, i+1)
				return
			}
		}
	}
	h.waiting = append(h.waiting, t)
	h.signal()
}

func (h *herald) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest tiding. It reports false when there is none, and
// whether more can come.
func (h *herald) next() (t tiding, ok, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.telling = 0
	if len(h.waiting) == 0 {
		return t, false, !h.ending
	}
	h.telling = 1
	t, h.waiting = h.waiting[0], h.waiting[1:]
	return t, true, true
}

func (h *herald) run() {
	defer close(h.ended)
	for {
		t, ok, more := h.next()
		switch {
		case !more:
			return
		case !ok:
			<-h.wake
		case t.up:
			h.backend.PeerUp(t.peer, t.status)
		default:
			h.backend.PeerDown(t.peer)
		}
	}
}

// depth is how many tidings the backend has not taken note of.
func (h *herald) depth() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting) + h.telling
}

// close waits until the last tiding has been told; nobody may tell any more.
func (h *herald) close() {
	h.mu.Lock()
	h.ending = true
	h.signal()
	h.mu.Unlock()
	<-h.ended
}
