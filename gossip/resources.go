package gossip

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/metrics"
)

// Limits of connections, streams and memory. The library's own grow with the
// machine, which in a container is not ours. Source: spec/gossip.md 4.2.
const (
	maxConns        = 256
	maxInboundConns = 160 // the rest is for those we choose
	maxStreams      = 4096
	maxMemory       = 512 << 20
	maxTransient    = 64 // connections and streams that have not shown whose or what they are, streams times 4
	maxPeerConns    = 8
	maxPeerStreams  = 64
	maxPeerMemory   = 16 << 20

	// Above keepConnsAbove connections those that nothing speaks for are ended
	// until keepConnsBelow are left.
	keepConnsBelow = 60
	keepConnsAbove = 100
	keepConnsGrace = 30 * time.Second // in which a young connection is spared
)

// Limits of new connections of one address. They are the library's; ranges
// that are exempt can only be named together with them.
const (
	connsPerSecond = 0.2
	connsBurst     = 16
)

// streamLimit is how many streams of a protocol may be open, in one direction.
type streamLimit struct{ all, peer int }

// streamLimits are those of our protocols. There are as many handshakes as
// connections. Elsewhere a peer has one stream at a time, or two, and the next
// may begin while the end of the last is on its way.
var streamLimits = map[string]streamLimit{
	"status":    {maxInboundConns, maxPeerConns},
	"goodbye":   {maxInboundConns, 2},
	"blocks":    {64, 2},
	"peers":     {64, 2},
	"inventory": {64, 2 * parallelExchanges},
	"qsigshare": {256, 2},
}

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

	// private addresses are shared by many nodes of a development network:
	// one machine, or containers behind one bridge.
	private = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
	}
)

// resourceLimits is the table of limits. What it leaves out is the library's
// default for a fixed size of machine; a zero that reached the library as a
// limit would mean that nothing is allowed.
func resourceLimits(id func(protocol string) protocol.ID) rcmgr.ConcreteLimitConfig {
	system := rcmgr.ResourceLimits{
		Conns: maxConns, ConnsInbound: maxInboundConns, ConnsOutbound: maxConns, FD: maxConns,
		Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory,
	}
	transient := rcmgr.ResourceLimits{
		Conns: maxTransient, ConnsInbound: maxTransient, ConnsOutbound: maxTransient, FD: maxTransient,
		Streams: 4 * maxTransient, StreamsInbound: 4 * maxTransient, StreamsOutbound: 4 * maxTransient, Memory: maxMemory / 8,
	}
	limits := rcmgr.PartialLimitConfig{
		System: system, Transient: transient,
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxPeerConns, ConnsInbound: maxPeerConns, ConnsOutbound: maxPeerConns, FD: maxPeerConns,
			Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams, Memory: maxPeerMemory,
		},
		Protocol:     make(map[protocol.ID]rcmgr.ResourceLimits),
		ProtocolPeer: make(map[protocol.ID]rcmgr.ResourceLimits),
	}
	for name, l := range streamLimits {
		limits.Protocol[id(name)] = bothWays(l.all, maxMemory/8)
		limits.ProtocolPeer[id(name)] = bothWays(l.peer, maxPeerMemory)
	}
	for _, mesh := range meshProtocols {
		limits.Protocol[mesh] = bothWays(2*maxConns, maxMemory/2)
		limits.ProtocolPeer[mesh] = bothWays(maxPeerConns, maxPeerMemory)
	}
	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	return limits.Build(defaults.Scale(maxMemory, maxConns))
}

func bothWays(streams int, memory rcmgr.LimitVal64) rcmgr.ResourceLimits {
	n := rcmgr.LimitVal(streams)
	return rcmgr.ResourceLimits{Streams: 2 * n, StreamsInbound: n, StreamsOutbound: n, Memory: memory}
}

// addressLimits limits connections of one address, the exempt ranges left
// out: how many there are, and how many are new. Either list replaces the
// library's, which spares loopback.
func addressLimits(exempt []netip.Prefix) []rcmgr.Option {
	var v4, v6 []rcmgr.NetworkPrefixLimit
	var rates []rate.PrefixLimit
	for _, p := range exempt {
		l := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}
		if p.Addr().Is4() {
			v4 = append(v4, l)
		} else {
			v6 = append(v6, l)
		}
		rates = append(rates, rate.PrefixLimit{Prefix: p}) // no limit at all
	}
	return []rcmgr.Option{
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: rates,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: connsPerSecond, Burst: connsBurst}}},
				IPv6SubnetLimits: []rate.SubnetLimit{
					{PrefixLength: 56, Limit: rate.Limit{RPS: connsPerSecond, Burst: connsBurst}},
					{PrefixLength: 48, Limit: rate.Limit{RPS: 2.5 * connsPerSecond, Burst: 5 * connsBurst}},
				},
				GracePeriod: time.Minute,
			},
		}),
	}
}

// resources counts what the resource manager refuses.
type resources struct {
	network.ResourceManager
	refused *prometheus.CounterVec
}

// Kinds of resources, as label values.
const (
	resourceConnection = "connection"
	resourceStream     = "stream"
	resourcePeer       = "peer-connection"
	resourceProtocol   = "protocol-stream"
	resourceMemory     = "memory"
)

func newResources(c Config, id func(string) protocol.ID) (*resources, error) {
	r := &resources{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: "gossip", Name: "resources_refused_total",
		Help: "Connections, streams and memory that a limit refused, by what it was.",
	}, []string{"resource"})}
	for _, what := range []string{resourceConnection, resourceStream, resourcePeer, resourceProtocol, resourceMemory} {
		r.refused.WithLabelValues(what)
	}
	exempt := loopback
	if c.SharedAddresses {
		exempt = slices.Concat(loopback, private)
	}
	options := append(addressLimits(exempt), rcmgr.WithMetrics(refusals{r.refused}), rcmgr.WithMetricsDisabled())
	var err error
	if r.ResourceManager, err = rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(resourceLimits(id)), options...); err != nil {
		return nil, fmt.Errorf("gossip: resource manager: %w", err)
	}
	return r, nil
}

// OpenConnection counts here, because the library does not report a refusal
// for the sake of the address.
func (r *resources) OpenConnection(d network.Direction, fd bool, a multiaddr.Multiaddr) (network.ConnManagementScope, error) {
	scope, err := r.ResourceManager.OpenConnection(d, fd, a)
	if err != nil {
		r.refused.WithLabelValues(resourceConnection).Inc()
	}
	return scope, err
}

// refusals is what the library reports.
type refusals struct{ total *prometheus.CounterVec }

func (r refusals) count(what string) { r.total.WithLabelValues(what).Inc() }

func (r refusals) BlockStream(peer.ID, network.Direction) { r.count(resourceStream) }
func (r refusals) BlockPeer(peer.ID)                      { r.count(resourcePeer) }
func (r refusals) BlockProtocol(protocol.ID)              { r.count(resourceProtocol) }
func (r refusals) BlockProtocolPeer(protocol.ID, peer.ID) { r.count(resourceProtocol) }
func (r refusals) BlockService(string)                    { r.count(resourceProtocol) }
func (r refusals) BlockServicePeer(string, peer.ID)       { r.count(resourceProtocol) }
func (r refusals) BlockMemory(int)                        { r.count(resourceMemory) }
func (r refusals) BlockConn(network.Direction, bool)      {} // see OpenConnection
func (r refusals) AllowConn(network.Direction, bool)      {}
func (r refusals) AllowStream(peer.ID, network.Direction) {}
func (r refusals) AllowPeer(peer.ID)                      {}
func (r refusals) AllowProtocol(protocol.ID)              {}
func (r refusals) AllowService(string)                    {}
func (r refusals) AllowMemory(int)                        {}

// Why a connection is kept when others have to go.
const (
	keptBootstrap   = "bootstrap"
	keptServiceNode = "service-node"
)

func newConnManager(c Config) (*connmgr.BasicConnMgr, error) {
	m, err := connmgr.NewConnManager(keepConnsBelow, keepConnsAbove, connmgr.WithGracePeriod(keepConnsGrace))
	if err != nil {
		return nil, errors.Join(errors.New("gossip: connection manager"), err)
	}
	for _, p := range c.Bootstrap {
		m.Protect(p.ID, keptBootstrap)
	}
	return m, nil
}
