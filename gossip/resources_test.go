package gossip

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/multiformats/go-multiaddr"
	dto "github.com/prometheus/client_model/go"

	"github.com/proctornet/proctor/wire"
)

func protocolID(name string) protocol.ID { return protocol.ID("/test/" + name) }

func testResources(t *testing.T, shared bool) *resources {
	t.Helper()
	r, err := newResources(Config{SharedAddresses: shared}, protocolID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestResources_OneAddress(t *testing.T) {
	const (
		atOnce = 8  // the library's, connections of an address at a time
		burst  = 16 // its connections in a moment, ended ones included
		most   = 60
	)
	for _, c := range []struct {
		address        string
		shared, single bool // whether SharedAddresses, and its absence, exempt the address
	}{
		{"/ip4/127.0.0.1/tcp/1", true, true},
		{"/ip4/127.9.9.9/udp/1/quic-v1", true, true},
		{"/ip6/::1/tcp/1", true, true},
		{"/ip4/172.18.0.2/tcp/1", true, false},
		{"/ip4/10.255.0.1/udp/1/quic-v1", true, false},
		{"/ip4/192.168.3.4/tcp/1", true, false},
		{"/ip6/fd00::7/tcp/1", true, false},
		{"/ip4/172.32.0.2/tcp/1", false, false}, // just outside of the range
		{"/ip4/8.8.8.8/tcp/1", false, false},
		{"/ip4/8.8.8.8/udp/1/quic-v1", false, false},
		{"/ip6/2001:db8::1/tcp/1", false, false},
	} {
		for _, shared := range []bool{true, false} {
			exempt := c.single || shared && c.shared
			// Once the connections stay, once each ends before the next begins.
			for limit, stay := range map[int]bool{atOnce: true, burst: false} {
				r := testResources(t, shared)
				var scopes []network.ConnManagementScope
				allowed := 0
				for range most {
					scope, err := r.OpenConnection(network.DirInbound, false, multiaddr.StringCast(c.address))
					if err != nil {
						continue
					}
					allowed++
					if stay {
						scopes = append(scopes, scope)
					} else {
						scope.Done()
					}
				}
				want := limit
				if exempt {
					want = most
				}
				if allowed != want {
					t.Errorf("%s, shared %t, connections stay %t: %d of %d allowed, want %d", c.address, shared, stay, allowed, most, want)
				}
				if got := r.refusedOf(t, resourceConnection); got != most-allowed {
					t.Errorf("%s: %d refusals counted, want %d", c.address, got, most-allowed)
				}
				for _, s := range scopes {
					s.Done()
				}
			}
		}
	}
}

// refusedOf is how many of a resource were counted as refused.
func (r *resources) refusedOf(t *testing.T, what string) int {
	t.Helper()
	var m dto.Metric
	if err := r.refused.WithLabelValues(what).Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

func TestResources_SystemLimits(t *testing.T) {
	open := func(r *resources, d network.Direction, i int) (network.ConnManagementScope, error) {
		scope, err := r.OpenConnection(d, true, multiaddr.StringCast(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/1", i/250, i%250)))
		if err == nil {
			if err = scope.SetPeer(peer.ID(fmt.Sprint("peer", i))); err != nil {
				scope.Done()
			}
		}
		return scope, err
	}
	count := func(r *resources, d network.Direction, from int) (n int) {
		for i := range 2 * maxConns {
			if _, err := open(r, d, from+i); err == nil {
				n++
			}
		}
		return n
	}
	r := testResources(t, true)
	if got := count(r, network.DirInbound, 0); got != maxInboundConns {
		t.Errorf("%d inbound connections, want %d", got, maxInboundConns)
	}
	if got := count(r, network.DirOutbound, 1000); got != maxConns-maxInboundConns {
		t.Errorf("%d outbound connections beside them, want %d", got, maxConns-maxInboundConns)
	}
	r = testResources(t, true)
	n := 0
	for range 2 * maxTransient {
		if _, err := r.OpenConnection(network.DirInbound, false, multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")); err == nil {
			n++
		}
	}
	if n != maxTransient {
		t.Errorf("%d connections of nobody yet, want %d", n, maxTransient)
	}
	r, n = testResources(t, true), 0
	for range 2 * maxPeerConns {
		scope, err := r.OpenConnection(network.DirInbound, false, multiaddr.StringCast("/ip4/10.0.0.1/tcp/1"))
		if err == nil && scope.SetPeer("one") == nil {
			n++
		}
	}
	if n != maxPeerConns {
		t.Errorf("%d connections of one peer, want %d", n, maxPeerConns)
	}
}

func TestResources_Streams(t *testing.T) {
	streams := func(r *resources, p func(int) peer.ID, id protocol.ID, most int) (n int) {
		for i := range most {
			scope, err := r.OpenStream(p(i), network.DirInbound)
			if err != nil {
				continue
			}
			if id != "" && scope.SetProtocol(id) != nil {
				scope.Done()
				continue
			}
			n++
		}
		return n
	}
	one := func(int) peer.ID { return "one" }
	each := func(i int) peer.ID { return peer.ID(fmt.Sprint("peer", i)) }
	for name, l := range streamLimits {
		r := testResources(t, false)
		if got := streams(r, one, protocolID(name), 50); got != l.peer {
			t.Errorf("%s: %d streams of one peer, want %d", name, got, l.peer)
		}
		r = testResources(t, false)
		if got := streams(r, each, protocolID(name), 400); got != l.all {
			t.Errorf("%s: %d streams of all peers, want %d", name, got, l.all)
		}
	}
	r := testResources(t, false)
	if got := streams(r, one, "", 200); got != maxPeerStreams {
		t.Errorf("%d streams of one peer, want %d", got, maxPeerStreams)
	}
	if got := r.refusedOf(t, resourceStream); got != 200-maxPeerStreams {
		t.Errorf("%d refused streams counted", got)
	}
}

// A limit of zero allows nothing at all, and nobody would see why.
func TestResourceLimits_NothingIsForbidden(t *testing.T) {
	l := rcmgr.NewFixedLimiter(resourceLimits(protocolID))
	limits := map[string]rcmgr.Limit{
		"system": l.GetSystemLimits(), "transient": l.GetTransientLimits(), "peer": l.GetPeerLimits("p"),
		"service": l.GetServiceLimits("libp2p.identify"), "service of a peer": l.GetServicePeerLimits("libp2p.identify"),
		"protocol": l.GetProtocolLimits("/other"), "protocol of a peer": l.GetProtocolPeerLimits("/other"),
		"stream": l.GetStreamLimits("p"),
	}
	for name := range streamLimits {
		limits[name] = l.GetProtocolLimits(protocolID(name))
		limits[name+" of a peer"] = l.GetProtocolPeerLimits(protocolID(name))
	}
	for _, id := range meshProtocols {
		limits[string(id)] = l.GetProtocolLimits(id)
		limits[string(id)+" of a peer"] = l.GetProtocolPeerLimits(id)
	}
	for name, limit := range limits {
		if limit.GetMemoryLimit() <= 0 || limit.GetStreamTotalLimit() <= 0 ||
			limit.GetStreamLimit(network.DirInbound) <= 0 || limit.GetStreamLimit(network.DirOutbound) <= 0 {
			t.Errorf("%s: something is forbidden: %+v", name, limit)
		}
	}
	conns := map[string]rcmgr.Limit{
		"system": l.GetSystemLimits(), "transient": l.GetTransientLimits(), "peer": l.GetPeerLimits("p"), "connection": l.GetConnLimits(),
	}
	for name, limit := range conns {
		if limit.GetConnTotalLimit() <= 0 || limit.GetFDLimit() <= 0 || limit.GetMemoryLimit() <= 0 ||
			limit.GetConnLimit(network.DirInbound) <= 0 || limit.GetConnLimit(network.DirOutbound) <= 0 {
			t.Errorf("%s: something is forbidden: %+v", name, limit)
		}
	}
	if got := l.GetSystemLimits().GetMemoryLimit(); got != 512<<20 {
		t.Errorf("%d bytes of memory", got)
	}
}

// Many nodes of one machine reach one of them.
func TestResources_ManyHostsOfOneAddress(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			hub := run(t, 1, listen(tr.address))
			const hosts = 30
			for i := range hosts {
				newStranger(t, 100+i).meet(hub)
			}
			if got := len(hub.Peers()); got != hosts {
				t.Errorf("%d of %d peers were met", got, hosts)
			}
			if got := hub.value("proctor_gossip_resources_refused_total", "resource", "connection"); got != 0 {
				t.Errorf("%v connections refused", got)
			}
		})
	}
}

func TestConnManager_WhoIsKept(t *testing.T) {
	boot, node, observer := run(t, 2), run(t, 3), run(t, 4)
	proTx := wire.Hash{0xa}
	node.set(func(b *backend) { b.status.ProTxHash = proTx })
	n := run(t, 1, bootstrap(boot))
	n.set(func(b *backend) { b.keys[proTx] = serviceKey(3) })
	node.dial(n)
	observer.dial(n)
	await(t, "all to be met", func() bool { return len(n.Peers()) == 3 })
	await(t, "the mesh, which speaks for nobody", func() bool { return n.MeshPeers(bans) == 3 })
	keeps := func(p peer.ID) bool { return n.host.ConnManager().IsProtected(p, "") }
	if !keeps(boot.ID()) || !keeps(node.ID()) || keeps(observer.ID()) {
		t.Errorf("kept: bootstrap peer %t, service node %t, observer %t", keeps(boot.ID()), keeps(node.ID()), keeps(observer.ID()))
	}
	node.stop()
	await(t, "the service node's end", func() bool { return !keeps(node.ID()) })
}

// Observers are turned away and told why; service nodes and bootstrap peers
// find room.
func TestHandshake_TooManyPeers(t *testing.T) {
	proTx := wire.Hash{0xa}
	first, observer, node, boot := run(t, 2), run(t, 3), run(t, 4), run(t, 5)
	node.set(func(b *backend) { b.status.ProTxHash = proTx })
	n := run(t, 1, func(c *Config) { c.room, c.Bootstrap = 1, []peer.AddrInfo{{ID: boot.ID()}} })
	n.set(func(b *backend) { b.keys[proTx] = serviceKey(4) })
	first.dial(n)
	await(t, "the first", func() bool { return slices.Contains(n.Peers(), first.ID()) })
	observer.dial(n)
	await(t, "the refusal", func() bool { return observer.handshakes(goodbyeCrowded) == 1 && observer.connections(n.ID()) == 0 })
	if got := observer.partings(); len(got) != 1 || got[0].Code != byte(goodbyeCrowded) {
		t.Errorf("parted %+v", got)
	}
	if len(n.offences()) != 0 || n.contact(observer.ID()) != "" {
		t.Error("the observer was met or charged")
	}
	s := newStranger(t, 2) // the first, on a second connection
	s.meet(n)
	node.dial(n)
	boot.dial(n)
	await(t, "the service node and the bootstrap peer", func() bool { return len(n.Peers()) == 3 })
}
