package gossip

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/proctornet/proctor/wire"
)

// errUnregistered means that the registry has no such service node.
var errUnregistered = errors.New("gossip: not a registered service node")

// Probe returns nil if a service node takes a connection and proves its
// service key, or is connected already.
func (s *Service) Probe(ctx context.Context, node wire.Hash) error {
	_, err := s.connectTo(ctx, node)
	return err
}

// reach returns the peer that a service node is, once we are in contact.
func (s *Service) reach(ctx context.Context, node wire.Hash) (peer.ID, error) {
	p, err := s.connectTo(ctx, node)
	if err != nil {
		return "", err
	}
	select {
	case <-s.gate.door(p):
		return p, nil
	case <-ctx.Done():
		return "", fmt.Errorf("no handshake with %s: %w", p, ctx.Err())
	}
}

// connectTo returns the peer that a service node is, once it is connected.
func (s *Service) connectTo(ctx context.Context, node wire.Hash) (peer.ID, error) {
	info, ok := s.config.Backend.Where(node)
	if !ok {
		return "", fmt.Errorf("%w: %s", errUnregistered, node.Short())
	}
	if s.host.Network().Connectedness(info.ID) == network.Connected {
		return info.ID, nil
	}
	s.dialer.mu.Lock()
	if c := s.dialer.book.candidates[info.ID]; c != nil {
		info.Addrs = distinct(append(info.Addrs, c.known()...))
	}
	s.dialer.mu.Unlock()
	return info.ID, s.connect(ctx, info)
}

// connect dials a peer, whose handshake then shows whether it is one. The
// host resolves names again each time: a peer may come back elsewhere. Its
// back-off, which grows to minutes and would outlast a peer's restart, is
// cleared: our address book has its own. A forced dial would leave it out too,
// but panics when the host is closed meanwhile.
func (s *Service) connect(ctx context.Context, p peer.AddrInfo) error {
	if host, ok := s.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		host.Backoff().Clear(p.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := s.host.Connect(ctx, p); err != nil {
		s.metrics.dials.WithLabelValues("failed").Inc()
		return fmt.Errorf("dial %s: %w", p.ID, err)
	}
	s.metrics.dials.WithLabelValues("connected").Inc()
	return nil
}
