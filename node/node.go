// Package node builds the parts of a node, joins them, runs them and stops
// them. It owns the engine's loop: everything that changes protocol state
// passes through one goroutine here.
package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation/verify"
	"github.com/proctornet/proctor/wire"
)

// Config of a Node.
type Config struct {
	Genesis  chain.Genesis
	Identity ed25519.PrivateKey // service key; an observer's may be any
	DataDir  string             // holds the database and nothing else
	Listen   []string           // multiaddresses
	Log      *slog.Logger

	ProTxHash      wire.Hash       // service node this is; default: none, an observer
	OperatorKey    *bls.SecretKey  // signs the answers of a tester; default: none are given
	Bootstrap      []peer.AddrInfo // peers to connect to
	Announce       []string        // multiaddresses told to peers; default: those listened on
	MetricsAddress string          // "host:port" of /metrics; default: none
	APIAddress     string          // "host:port" of the operator's API, loopback only; default: none
	APICookie      string          // file that the API's password is written to
	DryRun         bool            // peers' penalties are counted and shown, and not carried out
	Watch          bool            // follow how quorums are made, also those that we are no member of

	// Cut, when set, reports whether the link to a peer is cut, see package
	// gossip. Tests part networks with it.
	Cut func(peer.ID) bool

	// Mute, when set, reports whether a message of ours is not sent. Tests and
	// demonstrations make nodes neglect their duties with it.
	Mute func(engine.Publication) bool

	// Forge, when set, returns what is sent instead of a message of ours; nil
	// sends nothing. Tests make nodes lie with it.
	Forge func(engine.Publication) []engine.Publication

	// Faults, when set, stands between the committer and the database. Tests
	// make commits fail with it.
	Faults func(store.Committing) store.Committing
}

// Node is one node of a network.
type Node struct {
	config       Config
	network      params.Network
	genesisHash  wire.Hash
	genesisState state.State
	names        map[wire.Hash]string // of the genesis' nodes
	store        *store.Store
	engine       *engine.Engine // owned by loop
	initial      *engine.Effects
	commits      *store.Committer
	verify       *verify.Pool
	gossip       *gossip.Service
	page         *metrics.Server // nil without MetricsAddress
	api          *api.Server     // nil without APIAddress
	metrics      *nodeMetrics
	registry     *prometheus.Registry

	admission   *admission
	dkgCounts   dkgCounts
	commitments chan struct{} // one element for each final commitment being verified
	snapshot    atomic.Pointer[engine.Snapshot]
	pulse       pulse
	alarms      alarms
	inbox       chan request
	due         chan inventory.Deferred
	room        *room
	prober      *prober
	stop        context.CancelFunc // ends Run
	stopped     chan struct{}      // closed when Run returns: nobody reads the inbox any more
}

// New opens everything the node needs and writes the genesis to an empty data
// directory. Call Run, or Close if Run is never called.
func New(c Config) (*Node, error) {
	n := &Node{
		config: c, pulse: pulse{started: time.Now()}, admission: newAdmission(), stopped: make(chan struct{}),
		inbox: make(chan request, inboxSize), due: make(chan inventory.Deferred, maxDue),
		commitments: make(chan struct{}, commitmentSlots()),
	}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open() (err error) {
	c := n.config
	if n.network, err = params.NetworkByName(c.Genesis.Network); err != nil {
		return err
	}
	n.genesisHash = c.Genesis.Hash()
	if n.genesisState, err = state.Genesis(c.Genesis); err != nil {
		return err
	}
	n.names = make(map[wire.Hash]string, len(c.Genesis.Nodes))
	for _, g := range c.Genesis.Nodes {
		n.names[g.ProTxHash] = g.Name
	}
	n.registry = metrics.NewRegistry(c.Genesis.Network, c.Genesis.Profile)
	if c.MetricsAddress != "" {
		if n.page, err = metrics.Listen(c.MetricsAddress, n.registry, n.pages()...); err != nil {
			return err
		}
	}
	if n.store, err = store.Open(c.DataDir); err != nil {
		return err
	}
	// Behind the database's lock: another process of this node has a password
	// in the same file.
	if err = n.openAPI(); err != nil {
		return err
	}
	ec := engine.Config{Genesis: c.Genesis, DryRun: c.DryRun, Watch: c.Watch}
	if !c.ProTxHash.IsZero() {
		ec.ProTxHash, ec.ServiceKey, ec.OperatorKey, ec.Addresses = c.ProTxHash, c.Identity, c.OperatorKey, c.Announce
	}
	if n.engine, n.initial, err = engine.Restore(ec, n.store); err != nil {
		return fmt.Errorf("%s: %w", c.DataDir, err)
	}
	for records := range slices.Chunk(n.initial.Writes, 1000) { // a large genesis is too much for one commit
		if err := n.store.Commit(records); err != nil {
			return err
		}
	}
	n.initial.Writes = nil
	n.snapshot.Store(n.engine.Snapshot())
	n.metrics = newMetrics(n.registry, n)
	n.room = newRoom(n)

	var disk store.Committing = n.store
	if c.Faults != nil {
		disk = c.Faults(disk)
	}
	n.commits = store.NewCommitter(disk, n.registry)
	n.verify = verify.New(verify.Config{Registerer: n.registry})
	n.gossip, err = gossip.New(gossip.Config{
		Backend:         (*backend)(n),
		Network:         c.Genesis.Network,
		Identity:        c.Identity,
		Listen:          c.Listen,
		Log:             c.Log,
		Registerer:      n.registry,
		Bootstrap:       c.Bootstrap,
		Known:           known(n.initial.Known),
		DryRun:          c.DryRun,
		Cut:             c.Cut,
		Announce:        c.Announce,
		SizeHint:        len(c.Genesis.Nodes),
		MemberTopics:    n.memberTopics(),
		SharedAddresses: n.network.TestKeys,
	})
	if err != nil {
		return err
	}
	n.prober = newProber(c.Genesis.Slot(), n.network.TestKeys, n.gossip.Probe, func(p engine.Probed) { n.tell(p) }, n.registry)
	for _, b := range n.initial.Bans { // of earlier runs: in force before anybody is served, and not counted again
		n.gossip.Ban(b)
	}
	n.initial.Bans, n.initial.Known = nil, nil
	if !c.DryRun {
		now := time.Now()
		for _, a := range n.Snapshot().Accounts.All() {
			n.gossip.Charged(engine.Charge{Peer: a.Peer, Total: a.At(now).Points})
		}
	}
	return nil
}

// Run runs the node until ctx ends, then stops everything and returns nil. It
// returns the first failure otherwise; a node that cannot store stops.
func (n *Node) Run(ctx context.Context) error {
	n.config.Log.Info("node starts", "peer", n.gossip.ID(), "height", n.Snapshot().TipHeight(), "addresses", n.gossip.Addrs(), "metrics", n.MetricsAddr(), "api", n.APIAddr())
	ctx, n.stop = context.WithCancel(ctx)
	defer n.stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.loop(ctx) })
	g.Go(func() error { return n.commits.Run(ctx) })
	g.Go(func() error { return n.verify.Run(ctx) })
	g.Go(func() error { return n.gossip.Run(ctx) })
	g.Go(func() error { return n.judgeDue(ctx) })
	g.Go(func() error { return n.room.run(ctx) })
	g.Go(func() error { return n.prober.run(ctx) })
	if n.page != nil {
		g.Go(func() error { return n.page.Run(ctx) })
	}
	if n.api != nil {
		g.Go(func() error { return n.api.Run(ctx) })
	}
	go func() { // whoever waits for the inbox must not wait for parts that wait for them
		<-ctx.Done()
		close(n.stopped)
	}()
	err := g.Wait()
	return errors.Join(err, n.store.Close()) // last: nobody writes any more
}

// Close releases what New opened. It is for nodes that are never run.
func (n *Node) Close() (err error) {
	if n.gossip != nil {
		err = errors.Join(err, n.gossip.Close())
	}
	if n.page != nil {
		err = errors.Join(err, n.page.Close())
	}
	if n.api != nil {
		err = errors.Join(err, n.api.Close())
	}
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	return err
}

// Snapshot returns what the node knew after its last commit.
func (n *Node) Snapshot() *engine.Snapshot { return n.snapshot.Load() }

// Gossip is the node's face to its peers.
func (n *Node) Gossip() *gossip.Service { return n.gossip }

// Metrics is what the node's /metrics shows.
func (n *Node) Metrics() prometheus.Gatherer { return n.registry }

// MetricsAddr is where /metrics is served; "" if nowhere.
func (n *Node) MetricsAddr() string {
	if n.page == nil {
		return ""
	}
	return n.page.Addr()
}

// APIAddr is where the operator's API is served; "" if nowhere.
func (n *Node) APIAddr() string {
	if n.api == nil {
		return ""
	}
	return n.api.Addr()
}

// tickEvery is how often the engine is told the time.
func (n *Node) tickEvery() time.Duration {
	return min(max(n.config.Genesis.Slot()/10, 10*time.Millisecond), 250*time.Millisecond)
}
