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
	info, err := s.where(node)
	if err != nil || s.host.Network().Connectedness(info.ID) == network.Connected {
		return info.ID, err
	}
	return info.ID, s.connect(ctx, info)
}

// where is a service node's identity, and where the registry and our address
// book say it is reached.
func (s *Service) where(node wire.Hash) (peer.AddrInfo, error) {
	info, ok := s.config.Backend.Where(node)
	if !ok {
		return info, fmt.Errorf("%w: %s", errUnregistered, node.Short())
	}
	s.dialer.mu.Lock()
	defer s.dialer.mu.Unlock()
	if c := s.dialer.book.candidates[info.ID]; c != nil {
		info.Addrs = distinct(append(info.Addrs, c.known()...))
	}
	return info, nil
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
