package gossip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// goodbye says why contact ends. Values are part of the protocol: the answer
// to a status, the error code of a closed connection, and the code of a
// wire.Goodbye.
type goodbye byte

const (
	welcome         goodbye = iota // contact does not end
	goodbyeNetwork                 // another network
	goodbyeVersion                 // another protocol version
	goodbyeBinding                 // a ProTxHash whose service key the peer does not hold
	goodbyeStatus                  // not a status
	goodbyeBanned                  // banned
	goodbyeTimeout                 // no handshake in time, or it broke off
	goodbyeShutdown                // the node stops
	goodbyeCrowded                 // no room for another peer
)

var goodbyes = []goodbye{
	welcome, goodbyeNetwork, goodbyeVersion, goodbyeBinding, goodbyeStatus, goodbyeBanned, goodbyeTimeout, goodbyeShutdown, goodbyeCrowded,
}

func (g goodbye) String() string {
	if int(g) >= len(goodbyes) {
		return "unknown"
	}
	return [...]string{
		"welcome", "other-network", "other-version", "binding", "malformed", "banned", "timeout", "shutdown", "too-many-peers",
	}[g]
}

// GoodbyeText says what a goodbye's code means.
func GoodbyeText(code byte) string { return goodbye(code).String() }

// farewellTimeout bounds telling a peer why contact ends.
const farewellTimeout = time.Second

// sayGoodbye tells a peer why contact ends and waits until it has read that,
// or the peer does not care.
func (s *Service) sayGoodbye(p peer.ID, g wire.Goodbye) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(s.ctx, "goodbye"), farewellTimeout)
	defer cancel()
	stream, err := s.host.NewStream(ctx, p, s.protocol("goodbye"))
	if err != nil {
		return fmt.Errorf("open goodbye stream: %w", err)
	}
	defer stream.Reset()
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	if _, err := stream.Write(frame(g.Bytes())); err != nil {
		return fmt.Errorf("say goodbye: %w", err)
	}
	stream.CloseWrite()
	stream.Read(make([]byte, 1)) // its end: closing the connection at once could lose the frame
	return nil
}

// handleGoodbye hears why a peer ends contact. One goodbye is heard in the
// time of a contact, so that nobody fills logs and tables with more.
func (s *Service) handleGoodbye(stream network.Stream) {
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(farewellTimeout))
	p := stream.Conn().RemotePeer()
	g, err := readGoodbye(stream)
	switch {
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		s.misbehaved(p)
		stream.Reset()
	case err != nil, !s.firstGoodbye(p):
		stream.Reset()
	default:
		s.metrics.goodbyes.WithLabelValues(goodbye(g.Code).String()).Inc()
		f := engine.Farewell{Peer: engine.Peer(p), Code: g.Code, Reason: validation.Reason(g.Reason)}
		if g.Until != 0 {
			f.Until = time.Unix(g.Until, 0)
		}
		s.log.Info("goodbye of a peer", "peer", p, "end", goodbye(g.Code).String(), "reason", g.Reason, "until", f.Until)
		s.config.Backend.Parted(f)
	}
}

func readGoodbye(stream network.Stream) (wire.Goodbye, error) {
	b, err := readFrame(stream, wire.MaxGoodbyeSize)
	if err != nil {
		return wire.Goodbye{}, err
	}
	g, err := wire.ParseGoodbye(b)
	if err == nil && goodbye(g.Code) == welcome {
		err = fmt.Errorf("goodbye: code %d is none: %w", g.Code, wire.ErrValue)
	}
	if err == nil && g.Reason != "" && !validation.Reason(g.Reason).Known() {
		// Reasons go to logs and tables, and are a closed set there.
		err = fmt.Errorf("goodbye: reason %q is none: %w", g.Reason, wire.ErrValue)
	}
	return g, err
}

// firstGoodbye reports whether the contact has said no goodbye yet, and notes
// that it has now.
func (s *Service) firstGoodbye(p peer.ID) bool {
	s.contact.Lock()
	defer s.contact.Unlock()
	c, ok := s.contacts[p]
	if !ok || c.parted {
		return false
	}
	c.parted = true
	s.contacts[p] = c
	return true
}

// refused tells the backend that a peer refused the handshake.
func (s *Service) refused(p peer.ID, code byte) {
	s.metrics.goodbyes.WithLabelValues(goodbye(code).String()).Inc()
	s.config.Backend.Parted(engine.Farewell{Peer: engine.Peer(p), Code: code})
}

// goodbyeOf is what a banned peer is told: nothing that it could hold against us.
func goodbyeOf(b engine.PeerBan) wire.Goodbye {
	g := wire.Goodbye{Code: byte(goodbyeBanned), Until: min(max(0, b.Until.Unix()), wire.MaxGoodbyeUntil)}
	if b.Cause().Reason.Known() {
		g.Reason = string(b.Cause().Reason)
	}
	return g
}

// Ban refuses a peer from now on, tells it why, and ends all contact with it.
func (s *Service) Ban(b engine.PeerBan) {
	id, err := peer.IDFromBytes([]byte(b.Peer))
	if err != nil {
		s.log.Error("ban of a peer that is none", "peer", b.Peer, "err", err)
		return
	}
	s.book.add(id, b.Until)
	if !s.begin() {
		return
	}
	// The book refuses it from here on. Ending what is open can take seconds
	// when the peer does not read, and the committer must not wait for a peer.
	go func() {
		defer s.work.Done()
		s.pubsub.BlacklistPeer(id)
		conns := s.host.Network().ConnsToPeer(id)
		if s.gate.entered(id) {
			if err := s.sayGoodbye(id, goodbyeOf(b)); err != nil {
				s.log.Debug("goodbye to a peer", "peer", id, "err", err)
			}
		}
		for _, c := range conns {
			c.CloseWithError(network.ConnErrorCode(goodbyeBanned))
		}
	}()
}

// partAll ends every connection because this node stops. A peer that does not
// read holds nobody up; the function returned waits for what is left of that
// once the host is closed.
func (s *Service) partAll() (wait func()) {
	var closers sync.WaitGroup
	for _, c := range s.host.Network().Conns() {
		closers.Go(func() { c.CloseWithError(network.ConnErrorCode(goodbyeShutdown)) })
	}
	done := make(chan struct{})
	go func() { closers.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(farewellTimeout):
	}
	return func() { <-done }
}
