// Package gossip is the node's face to its peers: a libp2p host, the status
// handshake before anything else, pubsub topics, streams, and the book of
// those it refuses to talk to. It judges nothing: a Backend does.
package gossip

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Backend is the node behind the service. Its methods are called from many
// goroutines at once.
type Backend interface {
	// Judge gives the verdict on a message of a peer. An accepted message has
	// been stored when it returns.
	Judge(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte) validation.Verdict
	// Stored reports whether a message of our own has been stored.
	Stored(topic engine.Topic, data []byte) bool
	// Status is what we tell a peer about us.
	Status() wire.Status
	// ServiceKey is the key under which a service node is registered.
	ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool)
	// RegisteredAs is the service node that is registered under a key.
	RegisteredAs(key wire.ServiceKey) (proTx wire.Hash, ok bool)
	// Where is a service node's identity and where the registry says it is
	// reached.
	Where(proTx wire.Hash) (peer.AddrInfo, bool)
	// Blocks returns encoded blocks of our branch in ascending order.
	Blocks(q wire.BlockRange) ([][]byte, error)
	// PeerUp and PeerDown bracket the time in which a peer may be talked to.
	PeerUp(p engine.Peer, s wire.Status)
	PeerDown(p engine.Peer)
	// Fetched answers a Fetch.
	Fetched(f engine.Fetched)
	// Shares are shares of quorums' signatures that a service node sent us.
	Shares(p engine.Peer, proTx wire.Hash, shares wire.SigShares)
	// Misbehaved reports an offence outside of any topic.
	Misbehaved(p engine.Peer, v validation.Verdict)

	// BanSummary digests the bans that we serve, by height.
	BanSummary() wire.BanSummary
	// BanWindow is the lowest and the highest signed height of a ban that we
	// could take now.
	BanWindow() (from, to int32)
	// BansInRange and BansByHash return bans that we serve.
	BansInRange(q wire.BanRange) []wire.PlatformBan
	BansByHash(q wire.BanHashes) []wire.PlatformBan

	// Registered lists the service nodes of the registry and where it says
	// they are reached, this node left out.
	Registered() []peer.AddrInfo
	// Reached reports addresses at which a peer that we dialled was met.
	Reached(p engine.Peer, addresses []string)
	// Parted reports the reason that a peer gave for leaving us.
	Parted(f engine.Farewell)
}

// Config of a Service.
type Config struct {
	Backend    Backend
	Network    string             // name in topics and protocols
	Identity   ed25519.PrivateKey // the service key
	Listen     []string           // multiaddresses; an address in use is an error
	Log        *slog.Logger
	Registerer prometheus.Registerer

	Bootstrap []peer.AddrInfo // dialled and redialled for ever
	Known     []peer.AddrInfo // peers that an earlier run has reached
	Announce  []string        // multiaddresses told to peers; default: those listened on
	SizeHint  int             // nodes expected in the network; default 10

	// MemberTopics are joined beside those of all nodes. Whoever joins one
	// judges what is said there and passes it on; others never see it.
	MemberTopics []engine.Topic

	Contacts int // contacts to keep beside the bootstrap peers; default 16, below 0 none

	// SharedAddresses says that many honest peers may come from one address,
	// as on one machine or behind one bridge.
	SharedAddresses bool

	// DryRun keeps what peers send from costing them anything here: their
	// penalties are only written down.
	DryRun bool

	// Cut, when set, reports whether the link to a peer is cut: no connection
	// to it comes about. Tests part networks with it and Sever.
	Cut func(peer.ID) bool

	patience time.Duration                // with a connection that makes no handshake; default handshakeTimeout
	resolver network.MultiaddrDNSResolver // of names in addresses; default the system's
	room     int                          // contacts above which observers are refused; default keepConnsAbove
}

// dialable reports whether a peer may be dialled at an address. A bootstrap
// peer may be anywhere: our operator says where it is.
func (c Config) dialable(p peer.ID, a multiaddr.Multiaddr) bool {
	trusted := slices.ContainsFunc(c.Bootstrap, func(i peer.AddrInfo) bool { return i.ID == p })
	return trusted || dialable(a, c.SharedAddresses)
}

// Service is a running or startable node of the gossip network.
type Service struct {
	config    Config
	host      host.Host
	gate      *gate
	book      *banBook
	pubsub    *pubsub.PubSub
	topics    map[engine.Topic]*pubsub.Topic
	outbox    *outbox
	metrics   *serviceMetrics
	resources *resources
	dialer    *dialer
	inventory *inventory
	shares    *shareQueue
	herald    *herald
	tracer    *tracer
	log       *slog.Logger

	// Pubsub and the stream handlers run from New on; stop ends them.
	ctx    context.Context
	stop   context.CancelFunc
	ending sync.RWMutex   // held for writing by stop, for reading by begin
	work   sync.WaitGroup // whatever may call the backend, see begin

	contact  sync.Mutex // keeps PeerUp and PeerDown in the order in which peers come and go
	contacts map[peer.ID]Contact
}

// New opens the host and joins the topics. Call Run, or Close if Run is never
// called.
func New(c Config) (*Service, error) {
	if c.SizeHint == 0 {
		c.SizeHint = 10
	}
	if c.patience == 0 {
		c.patience = handshakeTimeout
	}
	if c.Contacts == 0 {
		c.Contacts = wantContacts
	}
	if c.room == 0 {
		c.room = keepConnsAbove
	}
	s := &Service{config: c, book: newBanBook(), outbox: newOutbox(), inventory: newInventory(), shares: newShareQueue(), herald: newHerald(c.Backend), log: c.Log, contacts: make(map[peer.ID]Contact)}
	s.book.cut, s.book.dialable = c.Cut, c.dialable
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) open() (err error) {
	if s.host, s.resources, err = newHost(s.config, s.book, s.protocol); err != nil {
		return err
	}
	s.dialer = newDialer(s.host.ID(), s.config)
	if s.gate, err = newGate(s.host, s.config.patience); err != nil {
		return err
	}
	s.metrics = newMetrics(s.config.Registerer, s)
	s.tracer = newTracer(s.config.Registerer, s)
	if err = s.join(); err != nil {
		return err
	}
	s.host.SetStreamHandler(s.protocol("status"), s.handle(s.handleStatus))
	s.host.SetStreamHandler(s.protocol("goodbye"), s.gate.afterHandshake(s.handle(s.handleGoodbye)))
	s.host.SetStreamHandler(s.protocol("peers"), s.gate.afterHandshake(s.handle(s.handlePeers)))
	s.host.SetStreamHandler(s.protocol("inventory"), s.gate.afterHandshake(s.handle(s.handleInventory)))
	s.host.SetStreamHandler(s.protocol("blocks"), s.gate.afterHandshake(s.handle(s.handleBlocks)))
	s.host.SetStreamHandler(s.protocol("qsigshare"), s.gate.afterHandshake(s.handle(s.handleShares)))
	s.host.Network().Notify(s.notifiee())
	// All handlers stand before the first connection: identify tells peers
	// about later ones too slowly (spec/gossip.md 2.4).
	return s.listen()
}

// listen opens every address. The host is content when one of several works;
// a node that is told to listen somewhere is not.
func (s *Service) listen() error {
	addrs, err := parseAddrs(s.config.Listen)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := s.host.Network().Listen(a); err != nil {
			return fmt.Errorf("gossip: listen on %s: %w", a, err)
		}
	}
	return nil
}

// begin reports whether the backend may still be called. The caller calls
// work.Done afterwards; Close waits for that.
func (s *Service) begin() bool {
	s.ending.RLock()
	defer s.ending.RUnlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Add(1)
	return true
}

func (s *Service) handle(h network.StreamHandler) network.StreamHandler {
	return func(stream network.Stream) {
		if !s.begin() {
			stream.Reset()
			return
		}
		defer s.work.Done()
		if s.book.banned(stream.Conn().RemotePeer()) { // and being told so
			stream.Reset()
			return
		}
		h(stream)
	}
}

func newHost(c Config, gater *banBook, id func(string) protocol.ID) (host.Host, *resources, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(c.Identity)
	if err != nil {
		return nil, nil, fmt.Errorf("gossip: identity: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs, // see listen
		libp2p.Transport(quic.NewTransport),
		// A port shared with another process would be no error, and half of our peers would meet it.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(noise.ID, noise.New),
		libp2p.ConnectionGater(gater),
		libp2p.UserAgent("proctor"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
	if len(c.Announce) > 0 {
		announce, err := parseAddrs(c.Announce)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return announce }))
	}
	if c.resolver != nil {
		options = append(options, libp2p.MultiaddrResolver(c.resolver))
	}
	limits, err := newResources(c, id)
	if err != nil {
		return nil, nil, err
	}
	keeper, err := newConnManager(c)
	if err != nil {
		return nil, nil, errors.Join(err, limits.Close())
	}
	h, err := libp2p.New(append(options, libp2p.ResourceManager(limits), libp2p.ConnectionManager(keeper))...)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("gossip: open host: %w", err), keeper.Close(), limits.Close())
	}
	return h, limits, nil
}

func parseAddrs(texts []string) ([]multiaddr.Multiaddr, error) {
	addrs := make([]multiaddr.Multiaddr, len(texts))
	for i, t := range texts {
		a, err := multiaddr.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("gossip: address %q: %w", t, err)
		}
		addrs[i] = a
	}
	return addrs, nil
}

// ID is our identity as peers see it.
func (s *Service) ID() peer.ID { return s.host.ID() }

// Addrs is where peers reach us, our identity included.
func (s *Service) Addrs() []multiaddr.Multiaddr {
	addrs, err := peer.AddrInfoToP2pAddrs(host.InfoFromHost(s.host))
	if err != nil {
		panic(err) // our own identity encodes
	}
	return addrs
}

// Contact is a peer that has completed the handshake.
type Contact struct {
	Peer    peer.ID
	Status  wire.Status // as it was told then
	Since   time.Time
	Inbound bool   // it dialled us
	Address string // where it is reached now
	Points  int    // in our ledger, decay counted

	parted bool // it has said goodbye
}

// Contacts lists who may be talked to, by identity.
func (s *Service) Contacts() []Contact {
	s.contact.Lock()
	list := slices.Collect(maps.Values(s.contacts))
	s.contact.Unlock()
	for i, c := range list {
		list[i].Points = s.book.standing(c.Peer)
		for _, conn := range s.host.Network().ConnsToPeer(c.Peer) {
			list[i].Address = conn.RemoteMultiaddr().String()
			list[i].Inbound = conn.Stat().Direction == network.DirInbound
		}
	}
	slices.SortFunc(list, func(a, b Contact) int { return strings.Compare(string(a.Peer), string(b.Peer)) })
	return list
}

// Peers returns the peers that have completed the handshake.
func (s *Service) Peers() []peer.ID { return s.gate.open() }

// TopicPeers returns the peers that told us they listen to a topic; none of a
// topic that we did not join.
func (s *Service) TopicPeers(t engine.Topic) []peer.ID {
	if topic, joined := s.topics[t]; joined {
		return topic.ListPeers()
	}
	return nil
}

// MeshPeers is the number of peers that a topic's messages are exchanged with
// at once. While it is zero only messages of our own reach anybody.
func (s *Service) MeshPeers(t engine.Topic) int { return s.tracer.meshPeers(s.topicName(t)) }

// Sever ends the connections of links that are cut, see Config.Cut.
func (s *Service) Sever() {
	for _, c := range s.host.Network().Conns() {
		if s.config.Cut(c.RemotePeer()) {
			c.Close()
		}
	}
}

// Run serves until ctx ends, closes everything and returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.redial(ctx) })
	g.Go(func() error { return s.askAround(ctx) })
	g.Go(func() error { return s.sweep(ctx) })
	g.Go(func() error { return s.runInventory(ctx) })
	g.Go(func() error { return s.runOutbox(ctx) })
	g.Go(func() error { return s.runShares(ctx) })
	err := g.Wait()
	return errors.Join(err, s.Close())
}

// Close ends all contact at once. The backend is not called any more when it
// returns.
func (s *Service) Close() error {
	s.ending.Lock()
	s.stop()
	s.ending.Unlock()
	var err error
	if s.gate != nil {
		s.gate.close()
	}
	if s.host != nil {
		wait := s.partAll()
		err = s.host.Close()
		wait()
	}
	s.work.Wait()
	s.herald.close()
	if err != nil {
		return fmt.Errorf("gossip: close: %w", err)
	}
	return nil
}

// Banned reports whether a peer is refused.
func (s *Service) Banned(p peer.ID) bool { return s.book.banned(p) }

// Unban lets a peer come back.
func (s *Service) Unban(p engine.Peer) {
	if id, err := peer.IDFromBytes([]byte(p)); err == nil {
		s.book.remove(id)
	}
}

// Charged tells the pubsub score what a peer's account stands at.
func (s *Service) Charged(c engine.Charge) {
	if id, err := peer.IDFromBytes([]byte(c.Peer)); err == nil {
		s.book.charged(id, c.Total)
	}
}
