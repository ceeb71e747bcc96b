package gossip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	basicconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"

	"github.com/proctornet/proctor/engine"
)

// handshakeTimeout is how long a connection may last without a handshake.
const handshakeTimeout = 10 * time.Second

// gate is the host as pubsub sees it: peers exist only once they have
// completed the status handshake. Pubsub learns of peers from an event bus,
// which is the gate's own, and their streams wait at the door.
type gate struct {
	host.Host
	bus      event.Bus
	arrived  event.Emitter
	patience time.Duration // with streams that come before the handshake

	mu    sync.Mutex
	peers map[peer.ID]chan struct{} // closed once the handshake is done
	ended chan struct{}
	once  sync.Once
}

func newGate(h host.Host, patience time.Duration) (*gate, error) {
	g := &gate{Host: h, bus: eventbus.NewBus(), patience: patience, peers: make(map[peer.ID]chan struct{}), ended: make(chan struct{})}
	var err error
	if g.arrived, err = g.bus.Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return nil, fmt.Errorf("gossip: gate: %w", err)
	}
	return g, nil
}

// EventBus hides the host's bus from pubsub.
func (g *gate) EventBus() event.Bus { return g.bus }

// Network hides the peers that have made no handshake.
func (g *gate) Network() network.Network { return gatedNetwork{g.Host.Network(), g} }

// ConnManager keeps pubsub from protecting the peers of its meshes. It never
// takes that back from those that leave, and anybody can be in a mesh: the
// table of the protected would grow for ever, and nobody could be let go.
func (g *gate) ConnManager() connmgr.ConnManager {
	if m, ok := g.Host.ConnManager().(*basicconnmgr.BasicConnMgr); ok {
		return tagsOnly{m}
	}
	return g.Host.ConnManager()
}

// tagsOnly lets what peers deliver speak for them, and nothing else.
type tagsOnly struct{ *basicconnmgr.BasicConnMgr }

func (tagsOnly) Protect(peer.ID, string)        {}
func (tagsOnly) Unprotect(peer.ID, string) bool { return false }

// NewStream leaves dialling to those whose business it is: pubsub opens
// streams to peers that have just gone, and would bring them back.
func (g *gate) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	return g.Host.NewStream(network.WithNoDial(ctx, "pubsub"), p, ids...)
}

type gatedNetwork struct {
	network.Network
	gate *gate
}

func (n gatedNetwork) Peers() []peer.ID { return n.gate.open() }

// SetStreamHandler lets streams in after the handshake.
func (g *gate) SetStreamHandler(id protocol.ID, h network.StreamHandler) {
	g.Host.SetStreamHandler(id, g.afterHandshake(h))
}

// SetStreamHandlerMatch lets streams in after the handshake.
func (g *gate) SetStreamHandlerMatch(id protocol.ID, m func(protocol.ID) bool, h network.StreamHandler) {
	g.Host.SetStreamHandlerMatch(id, m, g.afterHandshake(h))
}

// afterHandshake holds a stream back until its peer is known. The remote end
// of a handshake knows us a moment before we know it, so its streams may come
// early.
func (g *gate) afterHandshake(h network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		wait := time.NewTimer(g.patience)
		defer wait.Stop()
		select {
		case <-g.door(s.Conn().RemotePeer()):
			h(s)
		case <-wait.C:
			s.Reset()
		case <-g.ended:
			s.Reset()
		}
	}
}

// door returns the channel that closes when p's handshake is done.
func (g *gate) door(p peer.ID) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.peers[p]
	if !ok {
		d = make(chan struct{})
		if g.Network().Connectedness(p) != network.NotConnected {
			g.peers[p] = d // forgotten in leave
		}
	}
	return d
}

// enter opens the door for p and tells pubsub. It reports false when p has
// entered before.
func (g *gate) enter(p peer.ID, protocols []protocol.ID) (bool, error) {
	d := g.door(p)
	g.mu.Lock()
	if isOpen(d) {
		g.mu.Unlock()
		return false, nil
	}
	close(d)
	g.mu.Unlock()
	return true, g.arrived.Emit(event.EvtPeerIdentificationCompleted{Peer: p, Protocols: protocols})
}

// leave forgets p and reports whether it had entered.
func (g *gate) leave(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.peers[p]
	delete(g.peers, p)
	return ok && isOpen(d)
}

// entered reports whether p's handshake is done.
func (g *gate) entered(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.peers[p]
	return ok && isOpen(d)
}

// open lists the peers whose handshake is done.
func (g *gate) open() []peer.ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Keys(g.peers)), func(p peer.ID) bool { return !isOpen(g.peers[p]) })
}

func (g *gate) close() { g.once.Do(func() { close(g.ended) }) }

func isOpen(d chan struct{}) bool {
	select {
	case <-d:
		return true
	default:
		return false
	}
}

// sweep ends connections that never made a handshake.
func (s *Service) sweep(ctx context.Context) error {
	tick := time.NewTicker(s.config.patience / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, c := range s.host.Network().Conns() {
			if p := c.RemotePeer(); !s.gate.entered(p) && time.Since(c.Stat().Opened) > s.config.patience {
				s.log.Debug("no handshake", "peer", p)
				s.metrics.handshakes.WithLabelValues(goodbyeTimeout.String()).Inc()
				c.CloseWithError(network.ConnErrorCode(goodbyeTimeout))
			}
		}
	}
}

// notifiee starts a handshake on every connection that we opened, and forgets
// peers whose last connection has ended.
func (s *Service) notifiee() network.Notifiee {
	return &network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			if s.book.banned(c.RemotePeer()) { // since the gater let it pass
				c.CloseWithError(network.ConnErrorCode(goodbyeBanned))
				return
			}
			if c.Stat().Direction != network.DirOutbound || !s.begin() {
				return
			}
			go func() {
				defer s.work.Done()
				ctx, cancel := context.WithTimeout(s.ctx, s.config.patience)
				defer cancel()
				if err := s.greet(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
					s.log.Debug("handshake", "peer", c.RemotePeer(), "err", err)
				}
			}()
		},
		DisconnectedF: func(n network.Network, c network.Conn) {
			p := c.RemotePeer()
			s.contact.Lock()
			defer s.contact.Unlock()
			if n.Connectedness(p) != network.Connected && s.gate.leave(p) {
				delete(s.contacts, p)
				s.host.ConnManager().Unprotect(p, keptServiceNode)
				s.herald.tell(tiding{peer: engine.Peer(p)})
			}
		},
	}
}
