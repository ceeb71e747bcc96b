package gossip

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
)

// Before the handshake a peer's streams wait and pubsub does not know it;
// afterwards what waited is read.
func TestGate_NothingBeforeTheHandshake(t *testing.T) {
	n, other, s := run(t, 1), run(t, 2), newStranger(t, 3)
	topic := n.topicName(bans)
	s.dial(n)
	stream := s.mesh(n)
	send(t, stream, subscribed(topic))
	send(t, stream, published(topic, "early"))

	other.dial(n)
	await(t, "the other peer", func() bool {
		return slices.Contains(n.TopicPeers(bans), other.ID()) && len(other.TopicPeers(bans)) == 1
	})
	other.say(bans, "barrier")
	await(t, "the barrier", func() bool { return n.hasJudged("barrier") })
	if n.hasJudged("early") || slices.Contains(n.TopicPeers(bans), s.ID()) || slices.Contains(n.pubsub.ListPeers(""), s.ID()) ||
		slices.Contains(n.Peers(), s.ID()) || slices.Contains(n.gate.Network().Peers(), s.ID()) {
		t.Error("a peer without a handshake exists")
	}

	if g := s.greet(n, goodStatus()); g != welcome {
		t.Fatalf("answered %s", g)
	}
	await(t, "the message that waited", func() bool { return n.hasJudged("early") })
	await(t, "pubsub", func() bool { return slices.Contains(n.TopicPeers(bans), s.ID()) })
	await(t, "a message to the stranger", func() bool {
		n.say(bans, "hello")
		return s.heard("hello")
	})
}

func TestGate_SweepsWhoNeverGreets(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1, listen(tr.address), patience(200*time.Millisecond)), newStranger(t, 2)
			greeter := newStranger(t, 3)
			greeter.meet(n)
			s.dial(n)
			stream := s.mesh(n)
			send(t, stream, published(n.topicName(bans), "early"))
			await(t, "the sweep", func() bool { return len(s.Network().ConnsToPeer(n.ID())) == 0 })
			if got := n.handshakes(goodbyeTimeout); got < 1 {
				t.Errorf("%v timeouts counted", got)
			}
			if len(n.judgedAll()) != 0 || len(n.offences()) != 0 || n.contact(s.ID()) != "" {
				t.Error("the backend heard of the peer")
			}
			if n.connections(greeter.ID()) != 1 {
				t.Error("a peer that greeted was swept")
			}
		})
	}
}

// A default service gives a handshake the time that its comment promises.
func TestGate_Patience(t *testing.T) {
	n := prepare(t, 1)
	if n.config.patience != 10*time.Second || n.gate.patience != 10*time.Second {
		t.Errorf("patience %s and %s, want 10s", n.config.patience, n.gate.patience)
	}
}

func TestGate_TwoConnectionsOneContact(t *testing.T) {
	n := run(t, 1)
	first, second := newStranger(t, 2), newStranger(t, 2) // one identity, two hosts
	first.meet(n)
	second.dial(n)
	if g := second.greet(n, goodStatus()); g != welcome {
		t.Fatalf("second connection: %s", g)
	}
	if got := n.connections(first.ID()); got != 2 {
		t.Fatalf("%d connections, want 2", got)
	}
	first.Close()
	await(t, "the first to end", func() bool { return n.connections(first.ID()) == 1 })
	if g := second.greet(n, goodStatus()); g != welcome {
		t.Fatalf("after the first ended: %s", g)
	}
	if got := n.contact(first.ID()); got != "up" || len(n.Peers()) != 1 {
		t.Errorf("contact %q with one connection left", got)
	}
	second.Close()
	await(t, "the contact to end", func() bool { return n.contact(first.ID()) == "up down" })
	if len(n.Peers()) != 0 {
		t.Errorf("peers %v", n.Peers())
	}
}

// Of two connections one may break in the middle of its handshake; the peer
// that the other has brought stays.
func TestGate_OneOfTwoBreaks(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	cause := errors.New("broken")
	if err := n.broke(n.host.Network().ConnsToPeer(s.ID())[0], goodbyeStatus, cause); err != cause {
		t.Errorf("error %v", err)
	}
	if n.connections(s.ID()) != 1 || n.handshakes(goodbyeStatus) != 0 {
		t.Error("the peer was parted from")
	}
}

func TestGate_SimultaneousDial(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			want := ""
			for range 4 {
				var dials sync.WaitGroup
				dials.Go(func() { a.host.Connect(testContext(t), b.info()) })
				dials.Go(func() { b.host.Connect(testContext(t), a.info()) })
				dials.Wait()
				want = strings.TrimSpace(want + " up")
				await(t, "one contact", func() bool { return a.contact(b.ID()) == want && b.contact(a.ID()) == want })
				await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 && len(b.TopicPeers(bans)) == 1 })
				a.host.Network().ClosePeer(b.ID())
				want += " down"
				await(t, "its end", func() bool { return a.contact(b.ID()) == want && b.contact(a.ID()) == want })
			}
		})
	}
}

// gone is a connection that has ended.
type gone struct {
	network.Conn
	peer peer.ID
}

func (g gone) RemotePeer() peer.ID { return g.peer }

// A handshake that ends while its connection does leaves no peer behind that
// nobody takes back.
func TestGate_GoneDuringTheHandshake(t *testing.T) {
	n := run(t, 1)
	n.welcome(gone{peer: id(t, 9)}, goodStatus())
	if got := n.contact(id(t, 9)); got != "" {
		t.Fatalf("contact %q with a peer that is not connected", got)
	}
	for i := range 20 {
		s := newStranger(t, 10+i)
		s.dial(n)
		stream := s.statusStream(n)
		stream.Write(frame(goodStatus().Bytes()))
		if i%2 == 0 { // the answer is on its way at most
			stream.Read(make([]byte, 1))
		}
		s.Close()
	}
	await(t, "all to be gone", func() bool { return len(n.host.Network().Conns()) == 0 && len(n.Peers()) == 0 })
	n.gate.mu.Lock()
	defer n.gate.mu.Unlock()
	if len(n.gate.peers) != 0 {
		t.Errorf("%d doors of peers that are gone", len(n.gate.peers))
	}
	if got := len(n.offences()); got != 0 {
		t.Errorf("%d offences of peers whose connection ended", got)
	}
}

func TestGate_Reconnect(t *testing.T) {
	b := run(t, 2)
	a := run(t, 1, bootstrap(b))
	want := "up"
	for _, round := range []string{"1", "2", "3"} {
		await(t, "the contact", func() bool { return a.contact(b.ID()) == want && b.contact(a.ID()) == want })
		await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 && len(b.TopicPeers(bans)) == 1 })
		await(t, "messages both ways", func() bool {
			a.say(bans, "from a"+round)
			b.say(bans, "from b"+round)
			return a.hasJudged("from b"+round) && b.hasJudged("from a"+round)
		})
		b.host.Network().ClosePeer(a.ID())
		want += " down up"
	}
}

// The doors themselves, without a network.
func TestGate_Doors(t *testing.T) {
	n := prepare(t, 1)
	p := id(t, 2)
	if n.gate.entered(p) || n.gate.leave(p) {
		t.Error("an unknown peer has entered")
	}
	n.gate.peers[p] = make(chan struct{})
	if n.gate.entered(p) || len(n.gate.open()) != 0 {
		t.Error("a peer that waits has entered")
	}
	for i, first := range []bool{true, false} {
		if got, err := n.gate.enter(p, meshProtocols); got != first || err != nil {
			t.Errorf("enter %d: %t %v", i, got, err)
		}
	}
	if !n.gate.entered(p) || !slices.Equal(n.gate.open(), []peer.ID{p}) {
		t.Error("a peer that entered has not")
	}
	if !n.gate.leave(p) || n.gate.leave(p) || n.gate.entered(p) {
		t.Error("a peer leaves once")
	}
}

// slow stays in the backend until the service's connection has ended.
func slow(n *node, p peer.ID, entered chan<- struct{}, left *atomic.Bool) {
	close(entered)
	for end := time.Now().Add(limit); n.connections(p) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // as a disk may take
	left.Store(true)
}

// What a backend needs can be closed once Close has returned.
func TestClose_WaitsForTheBackend(t *testing.T) {
	for _, what := range []string{"judge", "blocks"} {
		t.Run(what, func(t *testing.T) {
			n, s := run(t, 1), newStranger(t, 2)
			entered := make(chan struct{})
			var left atomic.Bool
			n.set(func(b *backend) {
				b.serve = blockServer(func() { slow(n, s.ID(), entered, &left) })
				b.judge = judging(func() { slow(n, s.ID(), entered, &left) })
			})
			s.meet(n)
			if what == "judge" {
				send(t, s.mesh(n), published(n.topicName(bans), "slow"))
			} else {
				s.open(n, n.protocol("blocks")).Write(blockRange(1, 1).Bytes())
			}
			<-entered
			n.stop()
			if !left.Load() {
				t.Error("Close returned before the backend")
			}
		})
	}
}

func TestClose_Twice(t *testing.T) {
	n := prepare(t, 1)
	if err := errors.Join(n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	n.Publish(engine.Publication{Topic: bans, Bytes: []byte("late")})
	n.Fetch(engine.Fetch{Peer: "late"})
}

// A peer that crashed and came back greets on a new connection while we still
// hold the old one, which would swallow all that we send.
func TestGate_AnOldConnectionEndsWhenItsPeerGreetsAgain(t *testing.T) {
	n := run(t, 1, patience(400*time.Millisecond))
	before, after := newStranger(t, 2), newStranger(t, 2) // one identity
	before.meet(n)
	old := n.host.Network().ConnsToPeer(before.ID())[0]
	await(t, "the connection to grow old", func() bool { return time.Since(old.Stat().Opened) > 250*time.Millisecond })
	after.meet(n)
	await(t, "the old connection to end", func() bool {
		conns := n.host.Network().ConnsToPeer(after.ID())
		return len(conns) == 1 && conns[0].ID() != old.ID()
	})
	if got := n.contact(after.ID()); got != "up" {
		t.Errorf("contact %q, want one that goes on", got)
	}
}
