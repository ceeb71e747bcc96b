package gossip

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// stuck is a backend whose inbox is full until it is let go.
type stuck struct {
	Backend
	hold chan struct{}

	mu   sync.Mutex
	told []string
}

func (b *stuck) note(what string) {
	<-b.hold
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, what)
}

func (b *stuck) PeerUp(p engine.Peer, s wire.Status) { b.note(fmt.Sprint("+", p, s.Height)) }
func (b *stuck) PeerDown(p engine.Peer)              { b.note(fmt.Sprint("-", p)) }

func TestHerald_KeepsTheOrderAndDoesNotWait(t *testing.T) {
	b := &stuck{hold: make(chan struct{})}
	h := newHerald(b)
	var want []string
	for i := range 20 {
		p := engine.Peer(rune('a' + i%3))
		h.tell(tiding{p, true, wire.Status{Height: int32(i)}})
		h.tell(tiding{peer: p})
		want = append(want, fmt.Sprint("+", p, i), fmt.Sprint("-", p))
	}
	if h.depth() != 40 {
		t.Errorf("%d wait, want 40", h.depth())
	}
	close(b.hold)
	h.close()
	if got := strings.Join(b.told, " "); got != strings.Join(want, " ") {
		t.Errorf("told %s, want %s", got, strings.Join(want, " "))
	}
	h.close() // again
}

// A peer that comes and goes while the backend is stuck fills no memory, and
// what is told in the end is how things are.
func TestHerald_Bound(t *testing.T) {
	b := &stuck{hold: make(chan struct{})}
	h := newHerald(b)
	h.tell(tiding{"stays", true, wire.Status{}})
	for range 10 * maxTidings {
		h.tell(tiding{"flaps", true, wire.Status{}})
		h.tell(tiding{peer: "flaps"})
	}
	h.tell(tiding{peer: "stays"})
	h.tell(tiding{"last", true, wire.Status{}})
	if h.depth() > maxTidings+3 { // two peers that are up, and the one that is being told
		t.Errorf("%d wait, at most %d", h.depth(), maxTidings)
	}
	close(b.hold)
	h.close()
	up := make(map[byte]bool)
	for _, what := range b.told {
		if (what[0] == '+') == up[what[1]] {
			t.Fatalf("told %s out of turn", what)
		}
		up[what[1]] = what[0] == '+'
	}
	if up['s'] || up['f'] || !up['l'] {
		t.Errorf("in the end up: stays %t, flaps %t, last %t", up['s'], up['f'], up['l'])
	}
}

// A backend that does not take note keeps no peer from being met.
func TestHerald_HandshakesGoOn(t *testing.T) {
	n := prepare(t, 1)
	b := &stuck{Backend: n.backend, hold: make(chan struct{})}
	n.herald.close()
	n.herald = newHerald(b)
	for i := range 3 {
		s := newStranger(t, 10+i)
		s.meet(n)
		if i > 0 {
			s.Close()
			await(t, "the end", func() bool { return n.connections(s.ID()) == 0 && len(n.Peers()) == 1 })
		}
	}
	close(b.hold)
}
