package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// protocol returns the id of one of our stream protocols.
func (s *Service) protocol(name string) protocol.ID {
	return protocol.ID(fmt.Sprintf("/proctor/%s/%s/%d", s.config.Network, name, wire.ProtocolVersion))
}

// greet makes the handshake on a connection of ours: our status out, the
// peer's answer and status in. Statuses stand in frames. Whatever goes wrong
// ends this connection and no other: by then the peer may have a newer one.
func (s *Service) greet(ctx context.Context, c network.Conn) error {
	stream, err := s.host.NewStream(network.WithNoDial(ctx, "handshake"), c.RemotePeer(), s.protocol("status"))
	if err != nil {
		return s.broke(c, goodbyeStatus, fmt.Errorf("open status stream: %w", err))
	}
	defer stream.Close()
	c = stream.Conn()
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	if err := writeStatus(stream, s.config.Backend.Status()); err != nil {
		return s.broke(c, goodbyeTimeout, fmt.Errorf("send status: %w", err))
	}
	var answer [1]byte
	if _, err := io.ReadFull(stream, answer[:]); err != nil {
		return s.broke(c, goodbyeTimeout, fmt.Errorf("read answer: %w", err))
	}
	if g := goodbye(answer[0]); g != welcome {
		s.refused(c.RemotePeer(), byte(g))
		return s.part(c, g, fmt.Errorf("refused by the peer: %s", g))
	}
	return s.meet(stream)
}

// handleStatus makes the handshake on a connection of the peer's.
func (s *Service) handleStatus(stream network.Stream) {
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(s.config.patience))
	p := stream.Conn().RemotePeer()
	theirs, g := s.readStatus(stream, p)
	if g == welcome && s.crowded(p, theirs) {
		g = goodbyeCrowded
	}
	_, err := stream.Write([]byte{byte(g)})
	if g != welcome {
		// An honest peer reads the answer and ends the connection itself. If
		// we did at once, TCP could lose the answer.
		stream.CloseWrite()
		stream.SetReadDeadline(time.Now().Add(s.config.patience / 10))
		stream.Read(make([]byte, 1))
		s.part(stream.Conn(), g, nil)
		return
	}
	if err == nil {
		err = writeStatus(stream, s.config.Backend.Status())
	}
	if err == nil {
		s.welcome(stream.Conn(), theirs)
	}
}

// crowded reports whether there is no room for p, which dialled us. Service
// nodes and those we dial ourselves are not turned away: identities of other
// peers cost nothing, and could fill all places.
func (s *Service) crowded(p peer.ID, theirs wire.Status) bool {
	return theirs.ProTxHash.IsZero() && !s.host.ConnManager().IsProtected(p, keptBootstrap) &&
		!s.gate.entered(p) && len(s.gate.open()) >= s.config.room
}

// meet reads the status of a peer that welcomed us.
func (s *Service) meet(stream network.Stream) error {
	c := stream.Conn()
	theirs, g := s.readStatus(stream, c.RemotePeer())
	if g != welcome {
		return s.part(c, g, fmt.Errorf("refused by us: %s", g))
	}
	s.welcome(c, theirs)
	s.reached(c)
	return nil
}

// welcome lets a peer in, unless it is gone already: then nobody would tell
// the backend so. A peer that is in and greets again lost its old connection,
// by a crash say, long before we would have noticed. Young connections stay:
// two peers that dial each other at once have two of them.
func (s *Service) welcome(c network.Conn, theirs wire.Status) {
	p := c.RemotePeer()
	s.contact.Lock()
	defer s.contact.Unlock()
	if s.host.Network().Connectedness(p) != network.Connected {
		return
	}
	first, err := s.gate.enter(p, meshProtocols)
	switch {
	case err != nil:
		s.log.Error("introduce peer to pubsub", "peer", p, "err", err)
	case first:
		s.metrics.handshakes.WithLabelValues(welcome.String()).Inc()
		if !theirs.ProTxHash.IsZero() { // which is proven
			s.host.ConnManager().Protect(p, keptServiceNode)
		}
		s.contacts[p] = Contact{Peer: p, Status: theirs, Since: time.Now()}
		s.herald.tell(tiding{engine.Peer(p), true, theirs})
		s.introduce(p)
	default:
		for _, old := range s.host.Network().ConnsToPeer(p) {
			if old.ID() != c.ID() && time.Since(old.Stat().Opened) > s.config.patience/2 {
				old.Close()
			}
		}
	}
}

// broke ends a handshake that got no answer. A peer that closes the
// connection instead may give its reason there: then it is in the error.
// Of two connections one can break while the other's handshake stands.
func (s *Service) broke(c network.Conn, g goodbye, err error) error {
	if s.gate.entered(c.RemotePeer()) {
		return err
	}
	var end *network.ConnError
	if errors.As(err, &end) && end.Remote && 0 < end.ErrorCode && int(end.ErrorCode) < len(goodbyes) {
		g = goodbye(end.ErrorCode)
		s.refused(c.RemotePeer(), byte(g))
	}
	return s.part(c, g, err)
}

// part ends a handshake that failed, and the connection with it.
func (s *Service) part(c network.Conn, g goodbye, err error) error {
	s.metrics.handshakes.WithLabelValues(g.String()).Inc()
	c.CloseWithError(network.ConnErrorCode(g))
	return err
}

// readStatus reads and judges a peer's status. A peer that sends what no
// honest one would is charged; one of another network or version is not, nor
// one whose status does not come: connections end and stall by themselves.
func (s *Service) readStatus(r io.Reader, p peer.ID) (wire.Status, goodbye) {
	theirs, err := readStatusFrame(r)
	ours := s.config.Backend.Status()
	switch {
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		s.misbehaved(p)
		return theirs, goodbyeStatus
	case err != nil:
		return theirs, goodbyeTimeout
	case theirs.Network != ours.Network:
		return theirs, goodbyeNetwork
	case theirs.Version != ours.Version:
		return theirs, goodbyeVersion
	case !s.bound(p, theirs.ProTxHash):
		s.misbehaved(p)
		return theirs, goodbyeBinding
	}
	return theirs, welcome
}

// bound reports whether p may speak for a service node: the transport has
// proven p's identity, which must be the node's registered service key.
// Everybody may be an observer.
func (s *Service) bound(p peer.ID, proTx wire.Hash) bool {
	if proTx.IsZero() {
		return true
	}
	registered, ok := s.config.Backend.ServiceKey(proTx)
	if !ok {
		return false
	}
	id, err := PeerID(registered)
	return err == nil && id == p
}

// PeerID is the identity of whoever holds a service key.
func PeerID(k wire.ServiceKey) (peer.ID, error) {
	public, err := crypto.UnmarshalEd25519PublicKey(k[:])
	if err != nil {
		return "", fmt.Errorf("gossip: service key %s: %w", k, err)
	}
	return peer.IDFromPublicKey(public)
}

// ServiceKey is the service key that a peer's identity is; observers have one
// too, which is nobody's in the registry.
func ServiceKey(p peer.ID) (k wire.ServiceKey, err error) {
	public, err := p.ExtractPublicKey()
	if err != nil {
		return k, fmt.Errorf("gossip: key of peer %s: %w", p, err)
	}
	raw, err := public.Raw()
	if err != nil || public.Type() != crypto.Ed25519 {
		return k, fmt.Errorf("gossip: key of peer %s is no service key", p)
	}
	return wire.ServiceKey(raw), nil
}

func (s *Service) misbehaved(p peer.ID) {
	s.config.Backend.Misbehaved(engine.Peer(p), validation.Handshake.Verdict())
}

func writeStatus(w io.Writer, st wire.Status) error {
	_, err := w.Write(frame(st.Bytes()))
	return err
}

func readStatusFrame(r io.Reader) (wire.Status, error) {
	b, err := readFrame(r, wire.MaxStatusSize)
	if err != nil {
		return wire.Status{}, err
	}
	return wire.ParseStatus(b)
}
