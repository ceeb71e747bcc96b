package gossip

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

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

// A node that dials us may still have closed its port to others.
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

			if err := a.Probe(testContext(t), proTx(2)); err != nil {
				t.Errorf("an open port: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // a packet to a closed port may just be lost
			defer cancel()
			if a.Probe(ctx, proTx(3)) == nil {
				t.Error("a closed port of a connected node is taken for open")
			}
			await(t, "the end of the probe", func() bool { return a.connections(open.ID()) == 1 && open.connections(a.ID()) == 1 })
			if len(a.Peers()) != 2 || a.contact(open.ID()) != "up" || open.contact(a.ID()) != "up" {
				t.Error("the probe disturbed the contact")
			}
		})
	}
}

// A packet filter lets in what comes from where its node has sent to: that is
// the port we listen on.
func TestProbe_ComesFromAnotherPort(t *testing.T) {
	a := run(t, 1, listen(onQUIC))
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := func(address net.Addr) string {
		return fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", address.(*net.UDPAddr).Port)
	}
	a.set(func(b *backend) {
		b.where = map[wire.Hash]peer.AddrInfo{proTx(2): {ID: id(t, 2), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(at(l.LocalAddr()))}}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if a.Probe(ctx, proTx(2)) == nil {
		t.Error("silence is taken for an answer")
	}
	l.SetReadDeadline(time.Now().Add(limit))
	_, from, err := l.ReadFrom(make([]byte, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	if at(from) == a.address() {
		t.Errorf("probed from %s, where we listen", at(from))
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

// On a public network the registry must not make us dial into a private one,
// by its addresses or by names. Where bootstrap peers are the operator says.
func TestReach_PrivateAddressesOfPublicNetworks(t *testing.T) {
	b := run(t, 2)
	names := &names{to: multiaddr.StringCast(b.address())}
	for _, where := range []string{b.address(), "/dns4/inside.test/tcp/4001"} {
		for _, c := range []struct {
			name   string
			change func(*Config)
			dials  bool
		}{
			{"shared", func(*Config) {}, true},
			{"public", func(c *Config) { c.SharedAddresses = false }, false},
			{"bootstrap", func(c *Config) {
				c.SharedAddresses, c.Bootstrap = false, []peer.AddrInfo{{ID: b.ID()}}
			}, true},
		} {
			t.Run(c.name+where, func(t *testing.T) {
				a := prepare(t, 1, c.change, func(c *Config) { c.resolver = names }) // not run: dials nobody by itself
				a.set(func(x *backend) {
					x.where = map[wire.Hash]peer.AddrInfo{proTx(2): {ID: b.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(where)}}}
				})
				if err := a.Probe(testContext(t), proTx(2)); (err == nil) != c.dials {
					t.Errorf("probe: %v", err)
				}
				if _, err := a.connectTo(testContext(t), proTx(2)); (err == nil) != c.dials {
					t.Errorf("for shares: %v", err)
				}
			})
		}
	}
}
