package testnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/wire"
)

// Cluster is a network whose nodes run in this process, each with its own
// host and its own database on disk.
type Cluster struct {
	*Network
	Dir     string
	Quorums Quorums    // of the past
	Signers Signers    // of the newest of them; empty if there is none
	nodes   []*running // by member; nil where none runs

	faults  func(member int, disk store.Committing) store.Committing    // optional, set before Start
	mute    func(member int, p engine.Publication) bool                 // optional, set before Start: messages that are not sent
	forge   func(member int, p engine.Publication) []engine.Publication // optional, set before Start: what is sent instead of a message
	dryRun  bool                                                        // penalties are not carried out
	parting parting
}

// running is a node, and what it takes to stop it in both ways.
type running struct {
	*node.Node
	dataDir string
	disk    *plug
	log     *os.File
	stop    context.CancelFunc
	done    chan error
}

// end stops the node and waits until it has.
func (r *running) end() error {
	r.stop()
	return errors.Join(<-r.done, r.log.Close())
}

// NewCluster prepares a directory for every node, with the network's history
// in its database. Nothing runs yet.
func NewCluster(n *Network, dir string) (*Cluster, error) {
	history, err := n.History()
	if err != nil {
		return nil, err
	}
	return history.Cluster(dir)
}

// each calls f for every member at once.
func (c *Cluster) each(f func(i int) error) error {
	errs := make([]error, len(c.Members))
	var work sync.WaitGroup
	for i := range c.Members {
		work.Go(func() { errs[i] = f(i) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// NodeDir is the directory of member i: keys, configuration, database.
func (c *Cluster) NodeDir(i int) string { return filepath.Join(c.Dir, c.Members[i].Name) }

func (c *Cluster) dataDir(i int) string { return filepath.Join(c.NodeDir(i), "data") }

// Node returns the running node of member i.
func (c *Cluster) Node(i int) *node.Node { return c.nodes[i].Node }

// Running lists the members whose node runs.
func (c *Cluster) Running() (members []int) {
	for i, n := range c.nodes {
		if n != nil {
			members = append(members, i)
		}
	}
	return members
}

// Start starts the node of member i.
func (c *Cluster) Start(i int) error {
	log, err := os.OpenFile(filepath.Join(c.NodeDir(i), "log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("testnet: %w", err)
	}
	m := c.Members[i]
	r := &running{dataDir: c.dataDir(i), log: log, done: make(chan error, 1)}
	var forge func(engine.Publication) []engine.Publication
	if c.forge != nil {
		forge = func(p engine.Publication) []engine.Publication { return c.forge(i, p) }
	}
	r.Node, err = node.New(node.Config{
		Genesis:        c.Genesis,
		Identity:       m.Service,
		ProTxHash:      m.ProTxHash,
		OperatorKey:    &m.Operator,
		Announce:       m.Announced,
		Mute:           func(p engine.Publication) bool { return c.mute != nil && c.mute(i, p) },
		Forge:          forge,
		DataDir:        r.dataDir,
		Listen:         m.Addresses(),
		Log:            slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Bootstrap:      c.neighbours(i),
		MetricsAddress: "127.0.0.1:0",
		DryRun:         c.dryRun,
		Cut:            func(p peer.ID) bool { return c.parting.cuts(m.AddrInfo().ID, p) },
		Faults: func(disk store.Committing) store.Committing {
			if c.faults != nil {
				disk = c.faults(i, disk)
			}
			r.disk = &plug{disk: disk, shares: make(map[string]bool)}
			return r.disk
		},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("testnet: start %s: %w", m.Name, err), log.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.Run(ctx) }()
	c.nodes[i] = r
	return nil
}

// neighbours makes a ring with chords: everybody is a few hops away, nobody
// is everybody's neighbour.
func (n *Network) neighbours(i int) (peers []peer.AddrInfo) {
	size := len(n.Members)
	for _, step := range []int{1, 2, max(3, size/3)} {
		if step < size {
			peers = append(peers, n.Members[(i+step)%size].AddrInfo())
		}
	}
	return peers
}

// AddrInfo is the member as a peer to dial.
func (m Member) AddrInfo() peer.AddrInfo {
	id, err := gossip.PeerID(m.serviceKey())
	if err != nil {
		panic(err) // made from a private key
	}
	info := peer.AddrInfo{ID: id}
	for _, a := range m.Addresses() {
		info.Addrs = append(info.Addrs, multiaddr.StringCast(a))
	}
	return info
}

// StartAll starts every node and waits until each is synced and has peers to
// exchange messages with.
func (c *Cluster) StartAll(ctx context.Context) error {
	if err := c.each(c.Start); err != nil {
		return err
	}
	return c.Await(ctx, "every node to be synced and in the mesh", func() bool {
		for i := range c.Members {
			if !c.ready(i) {
				return false
			}
		}
		return true
	})
}

// ready reports whether node i is synced and has mesh peers on every topic.
func (c *Cluster) ready(i int) bool {
	for _, t := range engine.Topics() {
		if c.Node(i).Gossip().MeshPeers(t) == 0 {
			return false
		}
	}
	return c.Node(i).Snapshot().Synced()
}

// pollEvery is how often Await looks.
const pollEvery = 2 * time.Millisecond

// Await waits until cond holds. The error says what was waited for.
func (c *Cluster) Await(ctx context.Context, what string, cond func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("testnet: wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Stop stops node i in order.
func (c *Cluster) Stop(i int) error {
	r := c.nodes[i]
	c.nodes[i] = nil
	return r.end()
}

// Kill ends node i as a power cut would: what is not on disk at this moment
// is lost, nothing is flushed or closed, no goodbye is said. The database's
// files are taken as they lie there; whatever the dying node still does to
// its own files does not reach them.
func (c *Cluster) Kill(i int) error {
	r := c.nodes[i]
	c.nodes[i] = nil
	dead := r.dataDir + ".dead"
	r.disk.pull()
	err := os.CopyFS(dead, os.DirFS(r.dataDir))
	r.disk.gone()
	if err != nil {
		return errors.Join(fmt.Errorf("testnet: kill %s: %w", c.Members[i].Name, err), r.end())
	}
	if err := r.end(); err != nil && !errors.Is(err, errPulled) {
		return err
	}
	if err := os.RemoveAll(r.dataDir); err != nil {
		return err
	}
	return os.Rename(dead, r.dataDir)
}

// Close stops every node that runs.
func (c *Cluster) Close() error {
	return c.each(func(i int) error {
		if c.nodes[i] == nil {
			return nil
		}
		return c.Stop(i)
	})
}

// FlagOn reports whether every running node's flag of proTx is as wanted.
func (c *Cluster) FlagOn(proTx wire.Hash, want bool) bool {
	for _, i := range c.Running() {
		if c.Node(i).Snapshot().Flag(proTx).Set() != want {
			return false
		}
	}
	return true
}

// plug is a disk that can be pulled out.
type plug struct {
	disk   store.Committing
	mu     sync.Mutex
	pulled bool
	shares map[string]bool // stored since the start: of quorums' keys, by state.QuorumKey
}

var errPulled = errors.New("testnet: the disk is gone")

// Commit passes on to the disk while it is there.
func (p *plug) Commit(writes []engine.Write) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pulled {
		return errPulled
	}
	err := p.disk.Commit(writes)
	for _, w := range writes {
		if err == nil && w.Kind == engine.KindShare {
			p.shares[string(w.Key)] = w.Value != nil
		}
	}
	return err
}

// hasShare reports whether the node has, since its start, stored its share of
// a quorum's key.
func (p *plug) hasShare(q state.Quorum) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := state.QuorumKey(q.Type(), q.Hash())
	return p.shares[string(key[:])]
}

// pull waits for the commit under way. Until gone nothing can be written, and
// nobody can tell: the node cannot begin to close its database meanwhile.
func (p *plug) pull() {
	p.mu.Lock()
	p.pulled = true
}

// gone lets the node find out.
func (p *plug) gone() { p.mu.Unlock() }
