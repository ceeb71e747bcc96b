package gossip

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/wire"
)

func TestProbe(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	enrol(map[int]*node{1: a, 2: b})
	impostor := run(t, 3)
	a.set(func(x *backend) {
		x.where[proTx(4)] = peer.AddrInfo{ID: id(t, 4), Addrs: impostor.info().Addrs}
		x.where[proTx(5)] = peer.AddrInfo{ID: id(t, 5), Addrs: []multiaddr.Multiaddr{listenSilently(t)}}
		x.where[proTx(6)] = peer.AddrInfo{ID: id(t, 6)}
	})
	for _, c := range []struct {
		name  string
		node  wire.Hash
		alive bool
	}{
		{"alive", proTx(2), true},
		{"again", proTx(2), true},
		{"another key", proTx(4), false},
		{"silent", proTx(5), false},
		{"no address", proTx(6), false},
		{"not registered", proTx(7), false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		if c.name == "silent" {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		defer cancel()
		if err := a.Probe(ctx, c.node); (err == nil) != c.alive {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	b.stop()
	if a.Probe(testContext(t), proTx(2)) == nil {
		t.Error("a node that stopped answers")
	}
}

// A node that dials us may still have closed its port to others, and its
// packet filter lets in what comes from where it has sent to.
func TestProbe_OfConnectedNodes(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			open := run(t, 2, listen(tr.address))
			moved := prepare(t, 4, listen(tr.address)) // to find a closed port
			closed := moved.info().Addrs
			moved.stop()
			shut, a := run(t, 3, listen(tr.address)), run(t, 1, listen(tr.address))
			enrol(map[int]*node{1: a, 2: open, 3: shut})
			a.set(func(b *backend) { b.where[proTx(3)] = peer.AddrInfo{ID: shut.ID(), Addrs: closed} })
			open.dial(a)
			shut.dial(a)
			await(t, "contact", func() bool { return len(a.Peers()) == 2 })

			var mu sync.Mutex
			var from []string // of connections to the open node
			open.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
				mu.Lock()
				defer mu.Unlock()
				from = append(from, c.RemoteMultiaddr().String())
			}})
			if err := a.Probe(testContext(t), proTx(2)); err != nil {
				t.Errorf("an open port: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // a packet to a closed port may just be lost
			defer cancel()
			if a.Probe(ctx, proTx(3)) == nil {
				t.Error("a closed port of a connected node is taken for open")
			}
			await(t, "the end of the probe", func() bool { return a.connections(open.ID()) == 1 && open.connections(a.ID()) == 1 })
			mu.Lock()
			defer mu.Unlock()
			if len(from) != 1 || from[0] == a.address() {
				t.Errorf("probed from %v, want one port that is not the one of %s", from, a.address())
			}
			if len(a.Peers()) != 2 || a.contact(open.ID()) != "up" || open.contact(a.ID()) != "up" {
				t.Error("the probe disturbed the contact")
			}
		})
	}
}

// A link that is cut is not got round.
func TestProbe_AsksTheBanBook(t *testing.T) {
	var cut peer.ID
	a, b := run(t, 1, func(c *Config) { c.Cut = func(p peer.ID) bool { return p == cut } }), run(t, 2)
	enrol(map[int]*node{1: a, 2: b})
	cut = b.ID()
	if a.Probe(testContext(t), proTx(2)) == nil {
		t.Error("a cut link was probed")
	}
	cut = ""
	if err := a.Probe(testContext(t), proTx(2)); err != nil {
		t.Error(err)
	}
}
