package gossip

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// lateCalls counts calls of a backend whose service has been closed.
var lateCalls atomic.Int64

type checkedMain struct{ *testing.M }

func (m checkedMain) Run() int {
	code := m.M.Run()
	if n := lateCalls.Load(); n > 0 {
		fmt.Fprintf(os.Stderr, "backends were called %d times after Close\n", n)
		return 1
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(checkedMain{m}) }

const (
	limit = 20 * time.Second // for whatever a test waits for

	onTCP  = "/ip4/127.0.0.1/tcp/0"
	onQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"

	bans = engine.TopicPlatformBan
)

func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// key is the identity of the nth peer of a test.
func key(n int) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{byte(n)})
	return ed25519.NewKeyFromSeed(seed[:])
}

func serviceKey(n int) wire.ServiceKey { return wire.ServiceKey(key(n).Public().(ed25519.PublicKey)) }

func id(t testing.TB, n int) peer.ID {
	p, err := PeerID(serviceKey(n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func goodStatus() wire.Status {
	return wire.Status{Version: wire.ProtocolVersion, Network: wire.Hash{1}, Height: 7, Synced: true, Agent: "test"}
}

// node is a service under test.
type node struct {
	*Service
	backend  *backend
	registry *prometheus.Registry
	logs     *logs
	t        testing.TB
	stop     func()
}

// prepare makes the nth service, which is not run.
func prepare(t testing.TB, n int, change ...func(*Config)) *node {
	t.Helper()
	node, err := tryPrepare(t, n, change...)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func tryPrepare(t testing.TB, n int, change ...func(*Config)) (*node, error) {
	b, r, l := newBackend(), prometheus.NewRegistry(), &logs{}
	c := Config{
		Backend: b, Network: "test", Identity: key(n), Listen: []string{onTCP},
		Log: slog.New(l), Registerer: r, SharedAddresses: true,
		Contacts: -1, // a test says whom to dial
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		return nil, err
	}
	x := &node{Service: s, backend: b, registry: r, logs: l, t: t}
	x.stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		x.ended()
	})
	t.Cleanup(func() { x.stop() })
	return x, nil
}

// run makes the nth service and runs it.
func run(t testing.TB, n int, change ...func(*Config)) *node {
	t.Helper()
	x := prepare(t, n, change...)
	x.start()
	return x
}

// start runs a service that has been prepared.
func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("run: %v", err)
		}
		n.ended()
	})
}

func (n *node) ended() {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	n.backend.closed = true
	for p, c := range n.backend.contacts {
		for i, what := range c {
			if what != []string{"up", "down"}[i%2] {
				n.t.Errorf("contact of %s: %v", peer.ID(p), c)
			}
		}
		if len(c)%2 != 0 {
			n.t.Errorf("a peer that was never down: %s: %v", peer.ID(p), c)
		}
	}
}

// Options of a service.

func listen(addrs ...string) func(*Config)   { return func(c *Config) { c.Listen = addrs } }
func patience(d time.Duration) func(*Config) { return func(c *Config) { c.patience = d } }
func want(contacts int) func(*Config)        { return func(c *Config) { c.Contacts = contacts } }
func bootstrap(peers ...*node) func(*Config) {
	return func(c *Config) {
		for _, p := range peers {
			c.Bootstrap = append(c.Bootstrap, p.info())
		}
	}
}

func (n *node) info() peer.AddrInfo { return *host.InfoFromHost(n.host) }

func (n *node) peer() engine.Peer { return engine.Peer(n.ID()) }

// dial connects to another service; whether they agree shows later.
func (n *node) dial(to *node) {
	n.t.Helper()
	if err := n.host.Connect(testContext(n.t), to.info()); err != nil {
		n.t.Fatalf("dial: %v", err)
	}
}

// set changes the backend.
func (n *node) set(f func(*backend)) {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	f(n.backend)
}

func read[T any](n *node, f func(*backend) T) T {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	return f(n.backend)
}

// contact is what the backend has been told of a peer, whatever has happened
// by now included.
func (n *node) contact(p peer.ID) string {
	n.t.Helper()
	await(n.t, "the backend to be told", func() bool {
		n.Service.contact.Lock() // nothing is half done
		defer n.Service.contact.Unlock()
		return n.herald.depth() == 0
	})
	return read(n, func(b *backend) string { return strings.Join(b.contacts[engine.Peer(p)], " ") })
}

func (n *node) judgedAll() []string {
	return read(n, func(b *backend) []string { return slices.Clone(b.judged) })
}

func (n *node) hasJudged(m string) bool { return slices.Contains(n.judgedAll(), m) }

func (n *node) offences() []engine.Peer {
	return read(n, func(b *backend) []engine.Peer { return slices.Clone(b.offences) })
}

func (n *node) connections(p peer.ID) int { return len(n.host.Network().ConnsToPeer(p)) }

// say stores a message and publishes it.
func (n *node) say(t engine.Topic, m string) {
	n.set(func(b *backend) { b.stored[t.String()+m] = true })
	n.Publish(engine.Publication{Topic: t, Bytes: []byte(m)})
}

// value sums the metric's series that carry the labels, given as pairs. It
// fails the test when there are none.
func (n *node) value(name string, labels ...string) float64 {
	n.t.Helper()
	v, series := sum(n.t, n.registry, name, labels...)
	if series == 0 {
		n.t.Fatalf("no metric %s %v", name, labels)
	}
	return v
}

func (n *node) handshakes(g goodbye) float64 {
	return n.value("proctor_gossip_handshakes_total", "end", g.String())
}

func sum(t testing.TB, r *prometheus.Registry, name string, labels ...string) (total float64, series int) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && has[labels[i]] == labels[i+1]
			}
			if match {
				series++
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return total, series
}

// logs keeps what a service logs.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }
func (l *logs) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// with returns the lines that contain text.
func (l *logs) with(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.lines), func(s string) bool { return !strings.Contains(s, text) })
}

// stranger is a bare host that speaks the protocols by hand.
type stranger struct {
	host.Host
	t testing.TB

	mu   sync.Mutex
	rpcs []*pb.RPC // what came on its meshsub streams
}

const meshsub protocol.ID = pubsub.GossipSubID_v12

func newStranger(t testing.TB, n int) *stranger {
	t.Helper()
	k, err := crypto.UnmarshalEd25519PrivateKey(key(n))
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(
		libp2p.Identity(k), libp2p.ListenAddrStrings(onTCP), libp2p.Security(noise.ID, noise.New),
		libp2p.Transport(quic.NewTransport), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := &stranger{Host: h, t: t}
	h.SetStreamHandler(meshsub, func(stream network.Stream) { s.readRPCs(stream) })
	return s
}

func (s *stranger) readRPCs(stream network.Stream) {
	defer stream.Close()
	r := byteReader{stream}
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > 1<<20 {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(stream, b); err != nil {
			return
		}
		rpc := new(pb.RPC)
		if proto.Unmarshal(b, rpc) != nil {
			return
		}
		s.mu.Lock()
		s.rpcs = append(s.rpcs, rpc)
		s.mu.Unlock()
	}
}

type byteReader struct{ io.Reader }

func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}

// heard reports whether a message reached the stranger.
func (s *stranger) heard(m string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.rpcs, func(r *pb.RPC) bool {
		return slices.ContainsFunc(r.GetPublish(), func(p *pb.Message) bool { return string(p.GetData()) == m })
	})
}

func (s *stranger) info() peer.AddrInfo { return *host.InfoFromHost(s.Host) }

func (s *stranger) dial(n *node) {
	s.t.Helper()
	if err := s.Connect(testContext(s.t), n.info()); err != nil {
		s.t.Fatalf("dial: %v", err)
	}
}

// open opens a stream; the test ends it.
func (s *stranger) open(n *node, id protocol.ID) network.Stream {
	s.t.Helper()
	stream, err := s.NewStream(testContext(s.t), n.ID(), id)
	if err != nil {
		s.t.Fatalf("open %s: %v", id, err)
	}
	stream.SetDeadline(time.Now().Add(limit))
	s.t.Cleanup(func() { stream.Reset() })
	return stream
}

func (s *stranger) statusStream(n *node) network.Stream { return s.open(n, n.protocol("status")) }

// greet makes a proper handshake and returns how it was answered.
func (s *stranger) greet(n *node, st wire.Status) goodbye {
	s.t.Helper()
	stream := s.statusStream(n)
	defer stream.Close()
	if _, err := stream.Write(frame(st.Bytes())); err != nil {
		s.t.Fatalf("write status: %v", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(stream, answer[:]); err != nil {
		s.t.Fatalf("read answer: %v", err)
	}
	if goodbye(answer[0]) == welcome {
		if _, err := readStatusFrame(stream); err != nil {
			s.t.Fatalf("read status: %v", err)
		}
	}
	return goodbye(answer[0])
}

// meet dials a service and is welcomed.
func (s *stranger) meet(n *node) {
	s.t.Helper()
	s.dial(n)
	if g := s.greet(n, goodStatus()); g != welcome {
		s.t.Fatalf("a proper status was answered %s", g)
	}
	await(s.t, "the stranger to be met", func() bool { return slices.Contains(n.Peers(), s.ID()) })
}

// mesh opens a meshsub stream.
func (s *stranger) mesh(n *node) network.Stream { return s.open(n, meshsub) }

func send(t testing.TB, w io.Writer, rpc *pb.RPC) {
	t.Helper()
	b, err := proto.Marshal(rpc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		t.Logf("send rpc: %v", err) // a refused stream is what some tests want
	}
}

func subscribed(topic string) *pb.RPC {
	return &pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: &topic, Subscribe: proto.Bool(true)}}}
}

func published(topic string, messages ...string) *pb.RPC {
	rpc := &pb.RPC{}
	for _, m := range messages {
		rpc.Publish = append(rpc.Publish, &pb.Message{Topic: &topic, Data: []byte(m)})
	}
	return rpc
}
