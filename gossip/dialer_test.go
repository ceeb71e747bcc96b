package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

func registry(nodes ...*node) func(*backend) {
	return func(b *backend) {
		for _, n := range nodes {
			b.registry = append(b.registry, n.info())
		}
	}
}

func (n *node) reachedAt(p peer.ID) []string {
	return read(n, func(b *backend) []string { return slices.Clone(b.reached[engine.Peer(p)]) })
}

func TestDialer_TheRegistryIsAnAddressBook(t *testing.T) {
	b, c := run(t, 2), run(t, 3)
	a := prepare(t, 1, want(8))
	a.set(registry(b, c))
	a.start()
	await(t, "both", func() bool { return a.contact(b.ID()) == "up" && a.contact(c.ID()) == "up" })
	for _, n := range []*node{b, c} {
		await(t, "the address", func() bool { return len(a.reachedAt(n.ID())) > 0 })
		if got := a.reachedAt(n.ID()); got[0] != n.address() || strings.Contains(got[0], "/p2p/") {
			t.Errorf("reached at %q, want %s", got, n.address())
		}
		if got := n.reachedAt(a.ID()); len(got) != 0 {
			t.Errorf("the one that was dialled reached %q", got)
		}
	}
	if got := a.value("proctor_gossip_addresses"); got != 2 {
		t.Errorf("%v addresses", got)
	}
	await(t, "the count", func() bool { return a.value("proctor_gossip_dials_total", "result", "connected") == 2 })
}

func TestDialer_KnownPeers(t *testing.T) {
	b := run(t, 2)
	a := run(t, 1, want(8), func(c *Config) { c.Known = []peer.AddrInfo{b.info()} })
	await(t, "the contact", func() bool { return a.contact(b.ID()) == "up" })
}

func TestDialer_EnoughContacts(t *testing.T) {
	boot, other := run(t, 2), run(t, 3)
	a := prepare(t, 1, want(1), bootstrap(boot))
	a.set(registry(other))
	a.host.Connect(testContext(t), boot.info())
	await(t, "the contact", func() bool { return a.contact(boot.ID()) == "up" })
	a.start()
	looked := func() float64 { return a.value("proctor_gossip_addresses") }
	await(t, "the registry", func() bool { return looked() == 2 })
	if got := a.chooseDials(time.Now()); len(got) != 0 {
		t.Errorf("dials %v with as many contacts as wanted", got)
	}
	boot.stop()
	await(t, "the other", func() bool { return a.contact(other.ID()) == "up" })
}

func TestDialer_NeverDials(t *testing.T) {
	banned, connected := run(t, 2), run(t, 3)
	a := prepare(t, 1, want(8), bootstrap(banned, connected))
	a.set(func(b *backend) { b.registry = []peer.AddrInfo{a.info(), banned.info()} })
	a.Ban(until(banned.ID(), time.Now().Add(time.Hour)))
	a.dial(connected)
	a.lookUp()
	if got := a.chooseDials(time.Now()); len(got) != 0 {
		t.Errorf("dials %v, want neither a banned peer, nor a connected one, nor itself", got)
	}
	a.Unban(banned.peer())
	if got := a.chooseDials(time.Now()); len(got) != 1 || got[0].ID != banned.ID() {
		t.Errorf("dials %v after the ban", got)
	}
	if got := a.chooseDials(time.Now().Add(time.Hour)); len(got) != 0 {
		t.Errorf("dials %v twice at once", got)
	}
}

func TestDialer_AtOnce(t *testing.T) {
	a := prepare(t, 1, want(100))
	a.set(func(b *backend) {
		for i := range 60 {
			b.registry = append(b.registry, at(fmt.Sprint("p", i), 1))
		}
	})
	a.lookUp()
	total := 0
	for range 10 {
		n := len(a.chooseDials(time.Now()))
		if n > dialsPerRound {
			t.Fatalf("%d dials in a round", n)
		}
		total += n
	}
	if total != maxDials {
		t.Errorf("%d dials at once, want %d", total, maxDials)
	}
}

// Two halves of a network that could not reach each other find together by
// themselves.
func TestDialer_HealsAPartition(t *testing.T) {
	var nodes []*node
	var all []peer.AddrInfo
	for i := range 4 {
		nodes = append(nodes, prepare(t, 1+i, want(8)))
		all = append(all, nodes[i].info())
	}
	for _, n := range nodes {
		n.set(func(b *backend) { b.registry = all })
	}
	cut := func(on bool) {
		for _, a := range nodes[:2] {
			for _, b := range nodes[2:] {
				if on { // the book ends connections and refuses new ones, as a cut does
					a.Ban(until(b.ID(), time.Now().Add(time.Hour)))
					b.Ban(until(a.ID(), time.Now().Add(time.Hour)))
				} else {
					a.Unban(b.peer())
					b.Unban(a.peer())
				}
			}
		}
	}
	peers := func(want int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(nodes, func(n *node) bool { return len(n.Peers()) != want })
		}
	}
	for _, n := range nodes {
		n.start()
	}
	await(t, "all to meet", peers(3))
	cut(true)
	await(t, "the cut", peers(1))
	cut(false)
	await(t, "all to meet again", peers(3))
}

// names resolves one name to an address that can change.
type names struct {
	mu    sync.Mutex
	to    multiaddr.Multiaddr
	asked int
}

func (r *names) ResolveDNSAddr(context.Context, peer.ID, multiaddr.Multiaddr, int, int) ([]multiaddr.Multiaddr, error) {
	return nil, errors.New("no dnsaddr")
}

func (r *names) ResolveDNSComponent(context.Context, multiaddr.Multiaddr, int) ([]multiaddr.Multiaddr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return []multiaddr.Multiaddr{r.to}, nil
}

// A name is resolved at each dial: containers come back elsewhere.
func TestDialer_ResolvesNamesAgain(t *testing.T) {
	first := prepare(t, 2)
	r := &names{to: multiaddr.StringCast(first.address())}
	name := peer.AddrInfo{ID: first.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/dns4/boot.test/tcp/4001")}}
	a := run(t, 1, func(c *Config) { c.Bootstrap, c.resolver = []peer.AddrInfo{name}, r })
	await(t, "the contact", func() bool { return a.contact(first.ID()) == "up" })
	before := first.address()
	first.stop()
	second := prepare(t, 2)
	if second.address() == before {
		t.Skip("the system gave out the same port again")
	}
	r.mu.Lock()
	r.to = multiaddr.StringCast(second.address())
	r.mu.Unlock()
	await(t, "the contact elsewhere", func() bool { return a.contact(first.ID()) == "up down up" })
}

func TestPeers_AreToldAndDialled(t *testing.T) {
	c := run(t, 3)
	b := run(t, 2, bootstrap(c))
	await(t, "those two", func() bool { return b.contact(c.ID()) == "up" })
	a := run(t, 1, want(8), bootstrap(b))
	await(t, "the third", func() bool { return a.contact(c.ID()) == "up" })
	await(t, "the count", func() bool {
		return a.value("proctor_gossip_peer_lists_total", "role", "client", "result", "done") > 0 &&
			b.value("proctor_gossip_peer_lists_total", "role", "server", "result", "done") > 0
	})
}

func TestPeers_OneAnswerInTenSeconds(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	ask := func() ([]byte, error) {
		stream := s.open(n, n.protocol("peers"))
		stream.CloseWrite()
		return readFrame(stream, wire.MaxPeerListSize)
	}
	if b, err := ask(); err != nil || len(b) != 1 || b[0] != 0 {
		t.Fatalf("answer %x, %v, want an empty list", b, err)
	}
	for range 3 {
		if b, err := ask(); err == nil {
			t.Errorf("answered again with %x", b)
		}
	}
	if got := n.value("proctor_gossip_peer_lists_total", "role", "server", "result", "limited"); got != 3 {
		t.Errorf("%v refusals counted, want 3", got)
	}
	if len(n.offences()) != 0 {
		t.Errorf("offences %v", n.offences())
	}
}

func TestPeers_BadServers(t *testing.T) {
	good := wire.PeerList{{ID: string(id(t, 9)), Addresses: []string{"/ip4/127.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/2", "/future/1", "/dns4/x/tcp/1"}}}
	for i, c := range []struct {
		name    string
		answer  []byte
		shared  bool
		want    string
		offence bool
	}{
		{"good, private addresses too", frame(good.Bytes()), true, "[/ip4/127.0.0.1/tcp/1 /ip4/8.8.8.8/tcp/2]", false},
		{"good, public addresses only", frame(good.Bytes()), false, "[/ip4/8.8.8.8/tcp/2]", false},
		{"an identity that is none", frame(wire.PeerList{{ID: "x", Addresses: []string{"/ip4/8.8.8.8/tcp/1"}}}.Bytes()), true, "", true},
		{"garbage", frame([]byte("garbage")), true, "", true},
		{"too long", frame(make([]byte, wire.MaxPeerListSize+1)), true, "", true},
		{"empty frame", frame(nil), true, "", true},
		{"nothing", nil, true, "", false},
		{"half", frame(good.Bytes())[:20], true, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1, func(x *Config) { x.SharedAddresses = c.shared }), newStranger(t, 10+i)
			s.SetStreamHandler(n.protocol("peers"), func(stream network.Stream) {
				stream.Write(c.answer)
				stream.Close()
			})
			s.meet(n)
			n.ask(testContext(t), s.ID())
			got := ""
			if x := n.dialer.book.candidates[id(t, 9)]; x != nil {
				got = fmt.Sprint(x.known())
			}
			if got != c.want {
				t.Errorf("noted %s, want %s", got, c.want)
			}
			if got := len(n.offences()) == 1; got != c.offence {
				t.Errorf("offences %v", n.offences())
			}
		})
	}
}

func TestAsking_WhomAndWhen(t *testing.T) {
	peers := []peer.ID{"p", "q"}
	a := asking{asked: make(map[peer.ID]time.Time), last: dayOne}
	for _, step := range []struct {
		name     string
		after    time.Duration // since the beginning
		contacts []peer.ID
		few      bool
		want     string // of whom one is asked
	}{
		{"enough contacts", time.Second, peers, false, ""},
		{"too few", 2 * time.Second, peers, true, "p q"},
		{"the other", 3 * time.Second, peers, true, "p q"},
		{"nobody new", 4 * time.Second, peers, true, ""},
		{"a new one", 5 * time.Second, []peer.ID{"p", "q", "r"}, true, "r"},
		{"one that was away", 6 * time.Second, []peer.ID{"p"}, true, ""},
		{"soon", 20 * time.Second, peers, true, "p q"},
		{"not that soon with enough", 70 * time.Second, peers, false, ""},
		{"in time", 80 * time.Second, peers, false, "p q"},
		{"alone", 500 * time.Second, nil, true, ""},
	} {
		got, ok := a.choose(dayOne.Add(step.after), step.contacts, step.few, fixedRandom())
		if ok != (step.want != "") || ok && !strings.Contains(step.want, string(got)) {
			t.Errorf("%s: asks %q (%t), want one of %q", step.name, got, ok, step.want)
		}
	}
	if len(a.asked) != 0 {
		t.Errorf("%d peers remembered that are long gone", len(a.asked))
	}
}

func TestPeerLimits(t *testing.T) {
	l := newPeerLimits(time.Second, 3)
	for _, step := range []struct {
		p     peer.ID
		n     int
		after time.Duration
		want  bool
	}{
		{"p", 2, 0, true}, {"p", 1, 0, true}, {"p", 1, 0, false}, {"q", 3, 0, true}, {"q", 1, 0, false},
		{"p", 1, 900 * time.Millisecond, false}, {"p", 1, time.Second, true}, {"p", 1, time.Second, false},
		{"p", 4, time.Hour, false}, {"p", 3, time.Hour, true},
	} {
		if got := l.allow(step.p, step.n, dayOne.Add(step.after)); got != step.want {
			t.Errorf("%d of %s after %s: %t", step.n, step.p, step.after, got)
		}
	}
	l = newPeerLimits(time.Second, 1)
	for i := range maxLimitedPeers {
		if !l.allow(peer.ID(fmt.Sprint(i)), 1, dayOne) {
			t.Fatal("refused too early")
		}
	}
	if l.allow("one more", 1, dayOne) {
		t.Error("more peers than the limit are remembered")
	}
	if !l.allow("one more", 1, dayOne.Add(time.Second)) || len(l.buckets) != 1 {
		t.Errorf("%d buckets after all were full again", len(l.buckets))
	}
}

// The host remembers for minutes that a peer could not be reached. Our address
// book decides when to try again.
func TestDialer_DialsAPeerThatTheHostBacksOffFrom(t *testing.T) {
	b := run(t, 2)
	a := prepare(t, 1, bootstrap(b))
	for range 10 { // each time for longer
		for _, addr := range b.info().Addrs {
			a.host.Network().(*swarm.Swarm).Backoff().AddBackoff(b.ID(), addr)
		}
	}
	a.start()
	await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" })
}
