package gossip

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

var transports = []struct{ name, address string }{{"tcp", onTCP}, {"quic", onQUIC}}

func TestHandshake_BothSidesMeet(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			a.set(func(x *backend) { x.status.Height, x.status.Agent = 11, "a" })
			a.dial(b)
			await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
			theirs := read(b, func(x *backend) wire.Status { return x.statuses[a.peer()] })
			if want := read(a, func(x *backend) wire.Status { return x.status }); theirs != want {
				t.Errorf("status of the dialler %+v, want %+v", theirs, want)
			}
			for _, n := range []*node{a, b} {
				if got := n.handshakes(welcome); got != 1 {
					t.Errorf("%v welcomes counted, want 1", got)
				}
				if got := n.value("proctor_gossip_peers"); got != 1 {
					t.Errorf("%v peers shown, want 1", got)
				}
			}
			await(t, "pubsub to know both", func() bool {
				return slices.Equal(a.TopicPeers(bans), []peer.ID{b.ID()}) && slices.Equal(b.TopicPeers(bans), []peer.ID{a.ID()})
			})
			a.stop()
			await(t, "the end to be noticed", func() bool { return b.contact(a.ID()) == "up down" })
		})
	}
}

func TestHandshake_ServiceNodes(t *testing.T) {
	mine, others := wire.Hash{0xa}, wire.Hash{0xb}
	registry := map[wire.Hash]wire.ServiceKey{mine: serviceKey(1), others: serviceKey(9)}
	for _, c := range []struct {
		name    string
		change  func(*wire.Status)
		want    goodbye
		offence bool
	}{
		{"right binding", func(s *wire.Status) { s.ProTxHash = mine }, welcome, false},
		{"other network", func(s *wire.Status) { s.Network = wire.Hash{2} }, goodbyeNetwork, false},
		{"other network, wrong binding", func(s *wire.Status) { s.Network, s.ProTxHash = wire.Hash{2}, others }, goodbyeNetwork, false},
		{"other version", func(s *wire.Status) { s.Version++ }, goodbyeVersion, false},
		{"not registered", func(s *wire.Status) { s.ProTxHash = wire.Hash{0xc} }, goodbyeBinding, true},
		{"another node's", func(s *wire.Status) { s.ProTxHash = others }, goodbyeBinding, true},
	} {
		for _, tr := range transports {
			// The first peer is the one whose status is special; both directions count.
			for _, dials := range []bool{true, false} {
				name := c.name + " over " + tr.name + ", accepts"
				if dials {
					name = c.name + " over " + tr.name + ", dials"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					special, judge := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
					special.set(func(b *backend) { c.change(&b.status); b.keys = registry })
					judge.set(func(b *backend) { b.keys = registry })
					dialler, accepter := special, judge
					if !dials {
						dialler, accepter = judge, special
					}
					dialler.host.Connect(testContext(t), accepter.info()) // may be ended before it returns

					await(t, "the outcome", func() bool { return judge.handshakes(c.want)+special.handshakes(c.want) > 0 })
					if c.want == welcome {
						await(t, "both to meet", func() bool { return special.contact(judge.ID()) == "up" && judge.contact(special.ID()) == "up" })
						return
					}
					await(t, "the end", func() bool { return dialler.connections(accepter.ID())+accepter.connections(dialler.ID()) == 0 })
					if c.offence {
						if got := judge.offences(); !slices.Equal(got, []engine.Peer{special.peer()}) {
							t.Errorf("offences %q, want one of the special peer", got)
						}
					} else if got := len(judge.offences()) + len(special.offences()); got != 0 {
						t.Errorf("%d offences, want none", got)
					}
					if judge.contact(special.ID()) != "" {
						t.Errorf("the refusing side met its peer")
					}
				})
			}
		}
	}
}

// The refused side learns why.
func TestHandshake_RefusedSideIsToldWhy(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			a.set(func(x *backend) { x.status.Network = wire.Hash{2} })
			for i := range 5 {
				a.host.Connect(testContext(t), b.info())
				await(t, "the reason", func() bool { return a.handshakes(goodbyeNetwork) == float64(i+1) })
				await(t, "the end", func() bool { return a.connections(b.ID()) == 0 })
			}
		})
	}
}

// So does one that gets the end of the connection as an answer.
func TestHandshake_ReasonOfTheEnd(t *testing.T) {
	a, b := run(t, 1, listen(onQUIC)), run(t, 2, listen(onQUIC))
	b.host.SetStreamHandler(b.protocol("status"), func(stream network.Stream) {
		stream.Conn().CloseWithError(network.ConnErrorCode(goodbyeBanned))
	})
	a.host.Connect(testContext(t), b.info())
	await(t, "the reason", func() bool { return a.handshakes(goodbyeBanned) == 1 && a.connections(b.ID()) == 0 })
}

func TestHandshake_BadStatus(t *testing.T) {
	good := goodStatus().Bytes()
	synced := slices.Clone(good)
	synced[len(good)-len("test")-2] = 2
	blank := goodStatus()
	blank.Agent = "a b"
	cases := []struct {
		name    string
		bytes   []byte
		shut    bool // the stream is closed behind the bytes
		want    goodbye
		offence bool
	}{
		{"a byte too many", frame(append(slices.Clone(good), 0)), false, goodbyeStatus, true},
		{"a byte too few", frame(good[:len(good)-1]), false, goodbyeStatus, true},
		{"empty", frame(nil), false, goodbyeStatus, true},
		{"oversized by one", binary.BigEndian.AppendUint32(nil, wire.MaxStatusSize+1), false, goodbyeStatus, true},
		{"oversized by far", frame(make([]byte, 1<<16-1)), false, goodbyeStatus, true},
		{"neither synced nor not", frame(synced), false, goodbyeStatus, true},
		{"space in the agent", frame(blank.Bytes()), false, goodbyeStatus, true},
		{"closed at once", nil, true, goodbyeTimeout, false},
		{"half a length", []byte{0}, true, goodbyeTimeout, false},
		{"half a status", frame(good)[:50], true, goodbyeTimeout, false},
		{"nothing", nil, false, goodbyeTimeout, false},
		{"half a status and silence", frame(good)[:50], false, goodbyeTimeout, false},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1, patience(500*time.Millisecond)), newStranger(t, 10+i)
			n.set(func(b *backend) { b.serve = func(wire.BlockRange) ([][]byte, error) { return nil, nil } })
			s.dial(n)
			send(t, s.mesh(n), published(n.topicName(bans), "early"))
			s.open(n, n.protocol("blocks")).Write(wire.BlockRange{From: 1, Count: 1}.Bytes())
			stream := s.statusStream(n)
			stream.Write(c.bytes)
			if c.shut {
				stream.CloseWrite()
			}
			await(t, "the goodbye", func() bool { return n.handshakes(c.want) > 0 })
			await(t, "the end", func() bool { return n.connections(s.ID()) == 0 })
			want := 0
			if c.offence {
				want = 1
			}
			if got := len(n.offences()); got != want {
				t.Errorf("%d offences, want %d", got, want)
			}
			if n.contact(s.ID()) != "" || len(n.judgedAll()) != 0 || read(n, func(b *backend) int { return len(b.requests) }) != 0 {
				t.Error("the backend heard of the peer's messages")
			}
		})
	}
}

// A service that dials reads the accepter's status by the same rules.
func TestHandshake_BadAnswer(t *testing.T) {
	good := frame(goodStatus().Bytes())
	for i, c := range []struct {
		name    string
		answer  []byte
		want    goodbye
		offence bool
	}{
		{"garbage", append([]byte{byte(welcome)}, frame([]byte("garbage"))...), goodbyeStatus, true},
		{"refused without reason of ours", []byte{200}, 200, false},
		{"refused as banned", []byte{byte(goodbyeBanned)}, goodbyeBanned, false},
		{"welcome and the end", []byte{byte(welcome)}, goodbyeTimeout, false},
		{"half a status", append([]byte{byte(welcome)}, good[:20]...), goodbyeTimeout, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1, patience(500*time.Millisecond)), newStranger(t, 30+i)
			s.SetStreamHandler(n.protocol("status"), func(stream network.Stream) {
				defer stream.Close()
				if _, err := readStatusFrame(stream); err == nil {
					stream.Write(c.answer)
				}
			})
			n.host.Connect(testContext(t), s.info())
			await(t, "the goodbye", func() bool { return n.handshakes(c.want) == 1 })
			await(t, "the end", func() bool { return n.connections(s.ID()) == 0 })
			if got := len(n.offences()) == 1; got != c.offence {
				t.Errorf("offences %v", n.offences())
			}
		})
	}
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		n, s := run(t, 1, patience(200*time.Millisecond)), newStranger(t, 40)
		hold := make(chan struct{})
		defer close(hold)
		s.SetStreamHandler(n.protocol("status"), func(stream network.Stream) { <-hold; stream.Reset() })
		n.host.Connect(testContext(t), s.info())
		await(t, "the sweep", func() bool { return n.handshakes(goodbyeTimeout) > 0 && n.connections(s.ID()) == 0 })
		if len(n.offences()) != 0 {
			t.Errorf("offences %v, want none", n.offences())
		}
	})
	t.Run("no such protocol", func(t *testing.T) {
		t.Parallel()
		n, s := run(t, 1), newStranger(t, 41)
		n.host.Connect(testContext(t), s.info())
		await(t, "the goodbye", func() bool { return n.handshakes(goodbyeStatus) == 1 && n.connections(s.ID()) == 0 })
		if len(n.offences()) != 0 {
			t.Errorf("offences %v, want none", n.offences())
		}
	})
}

func TestHandshake_AgainDoesNotHarm(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	for range 3 {
		if g := s.greet(n, goodStatus()); g != welcome {
			t.Fatalf("answered %s", g)
		}
	}
	if got := n.contact(s.ID()); got != "up" {
		t.Errorf("contact %q, want one up", got)
	}
	if got := n.handshakes(welcome); got != 1 {
		t.Errorf("%v welcomes counted, want 1", got)
	}
}

// until bans a peer.
func until(p peer.ID, t time.Time) engine.PeerBan {
	return engine.PeerBan{Peer: engine.Peer(p), Entries: []engine.Entry{{Reason: validation.Signature}}, Until: t}
}

func TestBan_KeepsAPeerOut(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			n, other := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			n.Ban(until(other.ID(), time.Now().Add(time.Hour)))
			if !n.Banned(other.ID()) || n.value("proctor_gossip_bans_active") != 1 {
				t.Fatal("not banned")
			}
			if err := n.host.Connect(testContext(t), other.info()); err == nil {
				t.Error("a banned peer was dialled")
			}
			other.host.Connect(testContext(t), n.info()) // may succeed on this side for a moment
			await(t, "the refusal", func() bool { return other.connections(n.ID()) == 0 })
			if n.contact(other.ID()) != "" || other.contact(n.ID()) != "" || n.connections(other.ID()) != 0 {
				t.Error("a banned peer was met")
			}

			n.Unban(other.peer())
			if n.Banned(other.ID()) || n.value("proctor_gossip_bans_active") != 0 {
				t.Error("still banned")
			}
			await(t, "the peer to come back", func() bool {
				other.host.Connect(network.WithForceDirectDial(testContext(t), "test"), n.info())
				return n.contact(other.ID()) == "up" && other.contact(n.ID()) == "up"
			})
			await(t, "pubsub", func() bool { return len(n.TopicPeers(bans)) == 1 && len(other.TopicPeers(bans)) == 1 })
			other.say(bans, "back")
			await(t, "a message", func() bool { return n.hasJudged("back") })
		})
	}
}

func TestBan_RunsOut(t *testing.T) {
	n, other := run(t, 1), run(t, 2)
	n.dial(other)
	await(t, "both to meet", func() bool { return n.contact(other.ID()) == "up" })
	n.Ban(until(other.ID(), time.Now().Add(-time.Second)))
	if n.Banned(other.ID()) {
		t.Error("banned after the end of the ban")
	}
	if got := n.value("proctor_gossip_bans_active"); got != 0 {
		t.Errorf("%v bans shown as active, want 0", got)
	}
	await(t, "the end", func() bool { return n.contact(other.ID()) == "up down" })
	await(t, "the peer to come back", func() bool {
		other.host.Connect(testContext(t), n.info())
		return n.contact(other.ID()) == "up down up"
	})
}

func TestBan_EndsContactAtOnce(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	stream := s.mesh(n)
	send(t, stream, subscribed(n.topicName(bans)))
	send(t, stream, published(n.topicName(bans), "before"))
	await(t, "the message", func() bool { return n.hasJudged("before") && len(n.TopicPeers(bans)) == 1 })

	n.Ban(until(s.ID(), time.Now().Add(time.Hour)))
	if !n.Banned(s.ID()) {
		t.Error("not refused when Ban returns")
	}
	await(t, "the connections to end", func() bool { return n.connections(s.ID()) == 0 && len(n.TopicPeers(bans)) == 0 })
	await(t, "the end", func() bool { return n.contact(s.ID()) == "up down" })
	send(t, stream, published(n.topicName(bans), "after"))
	s.Connect(testContext(t), n.info())
	await(t, "the stranger to be alone", func() bool { return len(s.Network().ConnsToPeer(n.ID())) == 0 })

	other := run(t, 3)
	other.dial(n)
	await(t, "the mesh", func() bool { return len(other.TopicPeers(bans)) == 1 })
	other.say(bans, "barrier")
	await(t, "the barrier", func() bool { return n.hasJudged("barrier") })
	if n.hasJudged("after") {
		t.Error("a banned peer's message was judged")
	}
}

// Pubsub itself must drop what is on its way from a peer while it is banned.
func TestBan_PubsubDropsWhatIsUnderWay(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	stream := s.mesh(n)
	send(t, stream, published(n.topicName(bans), "before"))
	await(t, "the message", func() bool { return n.hasJudged("before") })
	n.book.add(s.ID(), time.Now().Add(time.Hour)) // the connection stays
	send(t, stream, published(n.topicName(bans), "during"))
	other := run(t, 3)
	other.dial(n)
	await(t, "the mesh", func() bool { return len(other.TopicPeers(bans)) == 1 })
	other.say(bans, "barrier")
	await(t, "the barrier", func() bool { return n.hasJudged("barrier") })
	if n.hasJudged("during") {
		t.Error("a banned peer's message was judged")
	}
	n.book.remove(s.ID())
	send(t, stream, published(n.topicName(bans), "later"))
	await(t, "a message after the ban", func() bool { return n.hasJudged("later") })
}

// A peer that the gater let pass a moment before its ban has a connection
// that Ban did not see yet.
func TestBan_ConnectionUnderWay(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	n.book.add(s.ID(), time.Now().Add(time.Hour))
	n.notifiee().Connected(n.host.Network(), n.host.Network().ConnsToPeer(s.ID())[0])
	await(t, "the end", func() bool { return n.connections(s.ID()) == 0 && n.contact(s.ID()) == "up down" })
}

func TestBan_OfNobody(t *testing.T) {
	n := prepare(t, 1)
	n.Ban(engine.PeerBan{Peer: "no peer", Until: time.Now().Add(time.Hour)})
	n.Unban("no peer")
	n.Charged(engine.Charge{Peer: "no peer", Total: 50})
	if got := n.value("proctor_gossip_bans_active"); got != 0 {
		t.Errorf("%v bans", got)
	}
	if len(n.logs.with("ERROR")) != 1 {
		t.Errorf("log %q, want one error", n.logs.lines)
	}
}

// Bans of earlier runs come before anybody is served.
func TestBan_BeforeRun(t *testing.T) {
	n, s := prepare(t, 1), newStranger(t, 2)
	n.Ban(until(s.ID(), time.Now().Add(time.Hour)))
	s.Connect(testContext(t), n.info())
	await(t, "the refusal", func() bool { return len(s.Network().ConnsToPeer(n.ID())) == 0 })
	if n.contact(s.ID()) != "" {
		t.Error("met")
	}
}
