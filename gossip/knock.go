package gossip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/proctornet/proctor/wire"
)

// Probe returns nil if a service node takes a new connection at one of its
// addresses and proves its service key. That it is connected says nothing: a
// node that dials others need not have an open port.
func (s *Service) Probe(ctx context.Context, node wire.Hash) error {
	info, err := s.where(node)
	if err != nil {
		return err
	}
	k, err := newKnocker(s.config, s.book)
	if err != nil {
		return fmt.Errorf("gossip: probe: %w", err)
	}
	return errors.Join(k.knock(ctx, info), k.close())
}

// knocker dials as a stranger would: past any connection that there is, and
// not from the port that we listen on, to which the packet filter of a closed
// node would let answers through. It is used once. Our limits do not hold for
// it, as reaching them says nothing about others; few may be at work at once.
type knocker struct {
	swarm *swarm.Swarm
	quic  *quicreuse.ConnManager
}

func newKnocker(c Config, gater *banBook) (*knocker, error) {
	k := &knocker{}
	if err := k.open(c, gater); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *knocker) open(c Config, gater *banBook) error {
	key, err := crypto.UnmarshalEd25519PrivateKey(c.Identity)
	if err != nil {
		return err
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return err
	}
	// What one port is like says nothing about the next: no black holes.
	options := []swarm.Option{
		swarm.WithConnectionGater(gater), swarm.WithDialTimeout(dialTimeout),
		swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil),
	}
	if c.resolver != nil {
		options = append(options, swarm.WithMultiaddrResolver(c.resolver))
	}
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return err
	}
	if k.swarm, err = swarm.NewSwarm(self, peers, eventbus.NewBus(), options...); err != nil {
		return errors.Join(err, peers.Close())
	}
	if err := k.addTCP(key, gater); err != nil {
		return err
	}
	return k.addQUIC(key, gater)
}

func (k *knocker) addTCP(key crypto.PrivKey, gater *banBook) error {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return err
	}
	up, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, nil, gater)
	if err != nil {
		return err
	}
	t, err := tcp.NewTCPTransport(up, nil, nil, tcp.DisableReuseport())
	if err != nil {
		return err
	}
	return k.swarm.AddTransport(t)
}

func (k *knocker) addQUIC(key crypto.PrivKey, gater *banBook) (err error) {
	var reset, token [32]byte
	rand.Read(reset[:])
	rand.Read(token[:])
	if k.quic, err = quicreuse.NewConnManager(reset, token); err != nil {
		return err
	}
	t, err := quic.NewTransport(key, k.quic, nil, gater, nil)
	if err != nil {
		return err
	}
	return k.swarm.AddTransport(t)
}

func (k *knocker) knock(ctx context.Context, at peer.AddrInfo) error {
	k.swarm.Peerstore().AddAddrs(at.ID, at.Addrs, dialTimeout)
	if _, err := k.swarm.DialPeer(ctx, at.ID); err != nil {
		return fmt.Errorf("knock at %s: %w", at.ID, err)
	}
	return nil
}

func (k *knocker) close() (err error) {
	if k.swarm != nil {
		err = errors.Join(k.swarm.Close(), k.swarm.Peerstore().Close())
	}
	if k.quic != nil {
		err = errors.Join(err, k.quic.Close())
	}
	return err
}
