package testnet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Stranger is a peer that nobody registered and that judges nothing: it says
// whatever it is told to. It meets nodes by the ordinary handshake.
type Stranger struct {
	service *gossip.Service
	stop    context.CancelFunc
	done    chan error
}

// NewStranger makes a peer that connects to the given nodes. Strangers of one
// seed with different numbers have different identities.
func NewStranger(n *Network, seed uint64, number int, targets []peer.AddrInfo) (*Stranger, error) {
	key := secret(seed, "stranger", number)
	return newSpeaker(n, ed25519.NewKeyFromSeed(key[:]), Bystander{n.Genesis, wire.Hash{}, "stranger"}, targets)
}

// NewInsider makes such a peer with the identity of member i, whose node must
// not run: nodes take it for a service node.
func NewInsider(n *Network, i int, targets []peer.AddrInfo) (*Stranger, error) {
	m := n.Members[i]
	return newSpeaker(n, m.Service, Bystander{n.Genesis, m.ProTxHash, "insider"}, targets)
}

// newSpeaker dials over TCP: the QUIC library leaves goroutines behind when a
// host closes at a certain moment of a dial, and who is banned dials for ever.
func newSpeaker(n *Network, identity ed25519.PrivateKey, b gossip.Backend, targets []peer.AddrInfo) (*Stranger, error) {
	s := &Stranger{done: make(chan error, 1)}
	var overTCP []peer.AddrInfo
	for _, t := range targets {
		addrs := slices.DeleteFunc(slices.Clone(t.Addrs), func(a multiaddr.Multiaddr) bool {
			_, err := a.ValueForProtocol(multiaddr.P_TCP)
			return err != nil
		})
		overTCP = append(overTCP, peer.AddrInfo{ID: t.ID, Addrs: addrs})
	}
	var err error
	s.service, err = gossip.New(gossip.Config{
		Backend:         b,
		Network:         n.Genesis.Network,
		Identity:        identity,
		Listen:          []string{"/ip4/127.0.0.1/tcp/0"},
		Log:             slog.New(slog.DiscardHandler),
		Registerer:      prometheus.NewRegistry(),
		Bootstrap:       overTCP,
		Contacts:        -1, // it meets nobody else
		SizeHint:        len(n.Members),
		SharedAddresses: true,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.done <- s.service.Run(ctx) }()
	return s, nil
}

// ID is the stranger as its peers know it.
func (s *Stranger) ID() peer.ID { return s.service.ID() }

// Peers returns who has completed the handshake with the stranger and counts
// it among the subscribers of a topic.
func (s *Stranger) Peers(t engine.Topic) []peer.ID { return s.service.TopicPeers(t) }

// Say publishes bytes to every peer.
func (s *Stranger) Say(t engine.Topic, b []byte) {
	s.service.Publish(engine.Publication{Topic: t, Bytes: b})
}

// Close disconnects the stranger.
func (s *Stranger) Close() error {
	s.stop()
	return <-s.done
}

// Bystander is the backend of a peer that knows a network, has nothing,
// accepts everything and remembers nothing.
type Bystander struct {
	Genesis   chain.Genesis
	ProTxHash wire.Hash // service node it claims to be; zero for an observer
	Agent     string
}

// Judge accepts.
func (b Bystander) Judge(context.Context, engine.Topic, engine.Peer, []byte) validation.Verdict {
	return validation.Valid.Verdict()
}

// Stored lets everything out.
func (b Bystander) Stored(engine.Topic, []byte) bool { return true }

// Status is that of a node at the genesis.
func (b Bystander) Status() wire.Status {
	return wire.Status{Version: wire.ProtocolVersion, Network: b.Genesis.Hash(), ProTxHash: b.ProTxHash, Agent: b.Agent}
}

// ServiceKey is the genesis' registry.
func (b Bystander) ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) {
	for _, n := range b.Genesis.Nodes {
		if n.ProTxHash == proTx {
			return n.ServiceKey, true
		}
	}
	return wire.ServiceKey{}, false
}

// RegisteredAs is the genesis' registry.
func (b Bystander) RegisteredAs(key wire.ServiceKey) (wire.Hash, bool) {
	for _, n := range b.Genesis.Nodes {
		if n.ServiceKey == key {
			return n.ProTxHash, true
		}
	}
	return wire.Hash{}, false
}

// Where knows identities and no addresses: shares go to contacts only.
func (b Bystander) Where(proTx wire.Hash) (peer.AddrInfo, bool) {
	key, ok := b.ServiceKey(proTx)
	if !ok {
		return peer.AddrInfo{}, false
	}
	id, err := gossip.PeerID(key)
	return peer.AddrInfo{ID: id}, err == nil
}

// Blocks, bans and addresses: there are none.
func (b Bystander) Blocks(wire.BlockRange) ([][]byte, error)     { return nil, errors.New("no blocks") }
func (b Bystander) BanSummary() wire.BanSummary                  { return nil }
func (b Bystander) BanWindow() (from, to int32)                  { return 0, 0 }
func (b Bystander) BansInRange(wire.BanRange) []wire.PlatformBan { return nil }
func (b Bystander) BansByHash(wire.BanHashes) []wire.PlatformBan { return nil }
func (b Bystander) Registered() []peer.AddrInfo                  { return nil }

// What happens is nobody's business.
func (b Bystander) Shares(engine.Peer, wire.Hash, wire.SigShares) {}
func (b Bystander) PeerUp(engine.Peer, wire.Status)               {}
func (b Bystander) PeerDown(engine.Peer)                          {}
func (b Bystander) Fetched(engine.Fetched)                        {}
func (b Bystander) Misbehaved(engine.Peer, validation.Verdict)    {}
func (b Bystander) Reached(engine.Peer, []string)                 {}
func (b Bystander) Parted(engine.Farewell)                        {}
