package gossip

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func (n *node) partings() []engine.Farewell {
	return read(n, func(b *backend) []engine.Farewell { return slices.Clone(b.parted) })
}

func (n *node) goodbyes(g goodbye) float64 {
	return n.value("proctor_gossip_goodbyes_total", "end", g.String())
}

func TestGoodbye_String(t *testing.T) {
	seen := make(map[string]bool)
	for _, g := range goodbyes {
		if seen[g.String()] || g.String() == "unknown" {
			t.Errorf("goodbye %d is called %s", g, g)
		}
		seen[g.String()] = true
	}
	if got := goodbye(99).String(); got != "unknown" {
		t.Errorf("goodbye 99 is called %s", got)
	}
}

// The numbers are the protocol's.
func TestGoodbye_Codes(t *testing.T) {
	for code, want := range []string{
		"welcome", "other-network", "other-version", "binding", "malformed", "banned", "timeout", "shutdown", "too-many-peers",
	} {
		if got := goodbye(code).String(); got != want {
			t.Errorf("code %d is %s, want %s", code, got, want)
		}
	}
}

// Every reason of ours can be told.
func TestGoodbye_ReasonsFit(t *testing.T) {
	for _, row := range validation.Table() {
		if _, err := wire.ParseGoodbye(wire.Goodbye{Reason: string(row.Reason)}.Bytes()); err != nil {
			t.Errorf("%s: %v", row.Reason, err)
		}
	}
}

func banFor(r validation.Reason, until time.Time) engine.PeerBan {
	return engine.PeerBan{Entries: []engine.Entry{{Reason: r}}, Until: until}
}

// A goodbye of ours is never malformed, whatever a ban says.
func TestGoodbye_OfAnyBan(t *testing.T) {
	for _, c := range []struct {
		name string
		ban  engine.PeerBan
		want wire.Goodbye
	}{
		{"usual", banFor(validation.Signature, time.Unix(99, 0)), wire.Goodbye{Code: 5, Reason: "signature", Until: 99}},
		{"no end", banFor(validation.Operator, time.Time{}), wire.Goodbye{Code: 5, Reason: "operator"}},
		{"a reason of a later version", banFor("I do not like it", time.Unix(99, 0)), wire.Goodbye{Code: 5, Until: 99}},
		{"for ever", banFor(validation.Signature, time.Unix(1<<62, 0)), wire.Goodbye{Code: 5, Reason: "signature", Until: wire.MaxGoodbyeUntil}},
	} {
		got := goodbyeOf(c.ban)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if _, err := wire.ParseGoodbye(got.Bytes()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestGoodbye_ABannedPeerIsToldWhy(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			n, other := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			n.dial(other)
			await(t, "both to meet", func() bool { return n.contact(other.ID()) == "up" && other.contact(n.ID()) == "up" })
			end := time.Unix(time.Now().Unix()+3600, 0)
			n.Ban(until(other.ID(), end))
			await(t, "the goodbye", func() bool { return len(other.partings()) == 1 })
			want := engine.Farewell{Peer: n.peer(), Code: byte(goodbyeBanned), Reason: validation.Signature, Until: end}
			if got := other.partings()[0]; got != want {
				t.Errorf("heard %+v, want %+v", got, want)
			}
			await(t, "the end", func() bool { return other.contact(n.ID()) == "up down" && n.contact(other.ID()) == "up down" })
			if got := other.goodbyes(goodbyeBanned); got != 1 {
				t.Errorf("%v goodbyes counted, want 1", got)
			}
			if len(other.logs.with("INFO goodbye")) != 1 || len(n.partings()) != 0 || len(n.offences())+len(other.offences()) != 0 {
				t.Errorf("log %q, partings %v, offences %v %v", other.logs.with("INFO"), n.partings(), n.offences(), other.offences())
			}
		})
	}
}

// A peer that does not want to know delays neither the committer nor the end.
func TestGoodbye_PeerDoesNotRead(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	hold := make(chan struct{})
	defer close(hold)
	heard := make(chan wire.Goodbye, 1)
	s.SetStreamHandler(n.protocol("goodbye"), func(stream network.Stream) {
		b, err := readFrame(stream, wire.MaxGoodbyeSize)
		if g, bad := wire.ParseGoodbye(b); err == nil && bad == nil {
			heard <- g
		}
		<-hold
		stream.Reset()
	})
	s.meet(n)
	mesh := s.mesh(n)
	send(t, mesh, published(n.topicName(bans), "before"))
	await(t, "the message", func() bool { return n.hasJudged("before") })
	start := time.Now()
	n.Ban(engine.PeerBan{Peer: engine.Peer(s.ID()), Entries: []engine.Entry{{Reason: validation.HeightFar}}, Until: start.Add(time.Hour)})
	if took := time.Since(start); took > farewellTimeout/2 {
		t.Errorf("Ban took %s", took)
	}
	if !n.Banned(s.ID()) {
		t.Error("not refused when Ban returns")
	}
	if g := <-heard; g.Code != byte(goodbyeBanned) || g.Reason != string(validation.HeightFar) {
		t.Errorf("heard %+v", g)
	}
	// The connection is still there, and good for nothing.
	send(t, mesh, published(n.topicName(bans), "during"))
	if stream, err := s.NewStream(testContext(t), n.ID(), n.protocol("blocks")); err == nil {
		stream.Write(blockRange(1, 1).Bytes())
		if got, err := io.ReadAll(stream); err == nil {
			t.Errorf("a banned peer was served %d bytes", len(got))
		}
	}
	await(t, "the end", func() bool { return n.connections(s.ID()) == 0 })
	if n.hasJudged("during") || read(n, func(b *backend) int { return len(b.requests) }) != 0 {
		t.Error("a banned peer reached the backend")
	}
}

func TestGoodbye_Received(t *testing.T) {
	good := wire.Goodbye{Code: byte(goodbyeCrowded)}
	for i, c := range []struct {
		name    string
		bytes   []byte
		end     goodbye
		parted  []engine.Farewell
		offence bool
	}{
		{"no reason", frame(good.Bytes()), goodbyeCrowded, []engine.Farewell{{Code: 8}}, false},
		{"unknown code", frame(wire.Goodbye{Code: 77}.Bytes()), 77, []engine.Farewell{{Code: 77}}, false},
		{"ban", frame(wire.Goodbye{Code: 5, Reason: "malformed", Until: 99}.Bytes()), goodbyeBanned,
			[]engine.Farewell{{Code: 5, Reason: validation.Malformed, Until: time.Unix(99, 0)}}, false},
		{"welcome", frame(wire.Goodbye{}.Bytes()), goodbyeCrowded, nil, true},
		{"a reason that is none", frame(wire.Goodbye{Code: 5, Reason: "because"}.Bytes()), goodbyeBanned, nil, true},
		{"a byte too many", frame(append(good.Bytes(), 0)), goodbyeCrowded, nil, true},
		{"empty", frame(nil), goodbyeCrowded, nil, true},
		{"oversized", frame(make([]byte, wire.MaxGoodbyeSize+1)), goodbyeCrowded, nil, true},
		{"half a frame", frame(good.Bytes())[:6], goodbyeCrowded, nil, false},
		{"nothing", nil, goodbyeCrowded, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1), newStranger(t, 10+i)
			s.meet(n)
			stream := s.open(n, n.protocol("goodbye"))
			stream.Write(c.bytes)
			stream.CloseWrite()
			io.ReadAll(stream) // served when it ends
			for i := range c.parted {
				c.parted[i].Peer = engine.Peer(s.ID())
			}
			if got := n.partings(); !slices.Equal(got, c.parted) {
				t.Errorf("parted %+v, want %+v", got, c.parted)
			}
			if got := n.goodbyes(c.end); got != float64(len(c.parted)) {
				t.Errorf("%v counted", got)
			}
			if got := len(n.offences()) == 1; got != c.offence {
				t.Errorf("offences %v", n.offences())
			}
		})
	}
}

// A contact says goodbye once, and a peer without a handshake not at all.
func TestGoodbye_Once(t *testing.T) {
	n, s := run(t, 1, patience(time.Second)), newStranger(t, 2)
	say := func() error {
		stream := s.open(n, n.protocol("goodbye"))
		stream.Write(frame(wire.Goodbye{Code: byte(goodbyeShutdown)}.Bytes()))
		_, err := io.ReadAll(stream)
		return err
	}
	s.dial(n)
	if err := say(); err == nil || len(n.partings()) != 0 {
		t.Errorf("before the handshake: %v, partings %v", err, n.partings())
	}
	await(t, "the sweep", func() bool { return n.connections(s.ID()) == 0 && len(s.Network().ConnsToPeer(n.ID())) == 0 })
	s.meet(n)
	if err := say(); err != nil || len(n.partings()) != 1 {
		t.Errorf("first: %v, partings %v", err, n.partings())
	}
	if err := say(); err == nil || len(n.partings()) != 1 || n.goodbyes(goodbyeShutdown) != 1 {
		t.Errorf("second: %v, partings %v", err, n.partings())
	}
	if len(n.offences()) != 0 {
		t.Errorf("offences %v", n.offences())
	}
}

// A refused handshake is a goodbye too.
func TestGoodbye_RefusedHandshake(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			a.set(func(x *backend) { x.status.Network = wire.Hash{2} })
			a.host.Connect(testContext(t), b.info())
			await(t, "the reason", func() bool { return len(a.partings()) > 0 })
			want := engine.Farewell{Peer: b.peer(), Code: byte(goodbyeNetwork)}
			if got := a.partings(); !slices.Equal(got, []engine.Farewell{want}) || a.goodbyes(goodbyeNetwork) != 1 {
				t.Errorf("parted %+v, want one of %+v", got, want)
			}
			if got := b.partings(); len(got) != 0 {
				t.Errorf("the refusing side was parted from: %+v", got)
			}
		})
	}
	t.Run("by the end of the connection", func(t *testing.T) {
		a, b := run(t, 1, listen(onQUIC)), run(t, 2, listen(onQUIC))
		b.host.SetStreamHandler(b.protocol("status"), func(stream network.Stream) {
			stream.Conn().CloseWithError(network.ConnErrorCode(goodbyeCrowded))
		})
		a.host.Connect(testContext(t), b.info())
		await(t, "the reason", func() bool { return len(a.partings()) == 1 })
		if got := a.partings()[0]; got.Code != byte(goodbyeCrowded) || a.goodbyes(goodbyeCrowded) != 1 {
			t.Errorf("parted %+v", got)
		}
	})
}

// Who stops says so as the code of its connections. TCP loses the code when
// something of the peer is on its way at that moment.
func TestClose_SaysSo(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			var err error
			for range 10 {
				var end *network.ConnError
				if err = endOfStop(t, tr.address); errors.As(err, &end) && end.Remote && end.ErrorCode == network.ConnErrorCode(goodbyeShutdown) {
					return
				}
				if tr.name == "quic" {
					break
				}
			}
			t.Errorf("the connection ended with %v, want the code %d", err, goodbyeShutdown)
		})
	}
}

// endOfStop is what a reader of a stream gets when the far end stops.
func endOfStop(t *testing.T, address string) error {
	n, s := run(t, 1, listen(address)), newStranger(t, 2)
	entered := make(chan struct{})
	n.set(func(b *backend) {
		b.serve = blockServer(func() { // a stream that only the end of all ends
			close(entered)
			for n.connections(s.ID()) > 0 {
				time.Sleep(time.Millisecond)
			}
		})
	})
	s.meet(n)
	stream := s.open(n, n.protocol("blocks"))
	stream.Write(blockRange(300, 1).Bytes())
	codes := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, stream); codes <- err }()
	<-entered
	n.stop()
	return <-codes
}

func TestSayGoodbye_OfNobody(t *testing.T) {
	n := run(t, 1)
	if err := n.sayGoodbye(id(t, 9), wire.Goodbye{Code: 7}); err == nil {
		t.Error("a peer that is not connected was told")
	}
}
