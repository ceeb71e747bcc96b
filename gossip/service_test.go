package gossip

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// address is the only one a service listens on.
func (n *node) address() string { return n.host.Network().ListenAddresses()[0].String() }

func TestNew_AddressInUse(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			first := prepare(t, 1, listen(tr.address))
			used := first.address()
			for _, c := range []struct {
				name  string
				addrs []string
			}{
				{"alone", []string{used}},
				{"behind a free one", []string{onTCP, used}},
				{"before a free one", []string{used, onQUIC}},
			} {
				_, err := tryPrepare(t, 2, listen(c.addrs...))
				if err == nil || !strings.Contains(err.Error(), used) {
					t.Errorf("%s: error %v, want one that names %s", c.name, err, used)
				}
			}
			first.stop()
			prepare(t, 2, listen(used)) // released
		})
	}
	t.Run("by a socket of another kind", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		used := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
		if _, err := tryPrepare(t, 2, listen(used)); err == nil || !strings.Contains(err.Error(), used) {
			t.Errorf("error %v, want one that names %s", err, used)
		}
	})
}

func TestNew_BadConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"listen", listen("/ip4/nowhere"), "/ip4/nowhere"},
		{"announce", func(c *Config) { c.Announce = []string{"nowhere"} }, "nowhere"},
		{"identity", func(c *Config) { c.Identity = nil }, "identity"},
	} {
		if _, err := tryPrepare(t, 1, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that names %s", c.name, err, c.want)
		}
	}
}

func TestService_Addresses(t *testing.T) {
	n := prepare(t, 1, listen(onTCP, onQUIC))
	if len(n.Addrs()) != 2 {
		t.Fatalf("addresses %v, want one of TCP and one of QUIC", n.Addrs())
	}
	for _, a := range n.Addrs() {
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil || info.ID != n.ID() || info.ID != id(t, 1) {
			t.Errorf("address %s of %v: %v", a, info, err)
		}
	}
	announced := "/dns4/node.example/tcp/4001"
	n = prepare(t, 2, func(c *Config) { c.Announce = []string{announced} })
	want := announced + "/p2p/" + n.ID().String()
	if got := n.Addrs(); len(got) != 1 || got[0].String() != want {
		t.Errorf("announces %v, want %s", got, want)
	}
}

func TestRedial_PeerStartsLater(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			first := prepare(t, 2, listen(tr.address)) // to find a free port
			later, info := first.address(), first.info()
			first.stop()
			a := run(t, 1, listen(tr.address), func(c *Config) { c.Bootstrap = []peer.AddrInfo{info, {ID: id(t, 1)}} })
			if tr.name == "tcp" { // a refusal is quick; a lost packet is not
				await(t, "dials to fail", func() bool { return len(a.logs.with("DEBUG dial")) >= 2 })
			}
			if lines := a.logs.with("backoff"); len(lines) != 0 {
				t.Fatalf("a dial was not tried: %q", lines[0])
			}
			want := ""
			for range 2 { // it starts, and starts again
				b := run(t, 2, listen(later))
				want = strings.TrimSpace(want + " up")
				await(t, "the contact", func() bool { return a.contact(b.ID()) == want && b.contact(a.ID()) == "up" })
				await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 && len(b.TopicPeers(bans)) == 1 })
				b.say(bans, "from life "+want)
				await(t, "a message", func() bool { return a.hasJudged("from life " + want) })
				b.stop()
				want += " down"
				await(t, "its end", func() bool { return a.contact(b.ID()) == want })
			}
		})
	}
}

func TestOutbox_DropsWhatDoesNotFit(t *testing.T) {
	n := prepare(t, 1) // not run: nobody empties the outbox
	for range maxPublications + 3 {
		n.Publish(engine.Publication{Topic: bans})
	}
	for range maxFetches + 2 {
		n.Fetch(engine.Fetch{})
	}
	for what, want := range map[string]float64{"publication": 3, "fetch": 2} {
		if got := n.value("proctor_gossip_outbox_drops_total", "what", what); got != want {
			t.Errorf("%v of %s dropped, want %v", got, what, want)
		}
	}
	if got := n.value("proctor_gossip_outbox_depth"); got != maxPublications {
		t.Errorf("%v waiting, want %d", got, maxPublications)
	}
}

// What waited in the outbox goes out in its order.
func TestOutbox_KeepsTheOrder(t *testing.T) {
	a, s := run(t, 1), newStranger(t, 2)
	s.meet(a)
	send(t, s.mesh(a), subscribed(a.topicName(bans)))
	await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 })
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprint("m", i))
		a.say(bans, want[i])
	}
	await(t, "the last", func() bool { return s.heard(want[49]) })
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, r := range s.rpcs {
		for _, m := range r.GetPublish() {
			got = append(got, string(m.GetData()))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("heard %v", got)
	}
}

func TestMetrics_EverySeriesIsThereFromTheStart(t *testing.T) {
	n := prepare(t, 1)
	type series struct {
		name   string
		labels []string
	}
	all := []series{
		{"proctor_gossip_peers", nil}, {"proctor_gossip_bans_active", nil}, {"proctor_gossip_tidings_depth", nil},
		{"proctor_gossip_addresses", nil}, {"proctor_gossip_addresses_dropped_total", nil},
		{"proctor_gossip_dials_total", []string{"result", "connected"}}, {"proctor_gossip_dials_total", []string{"result", "failed"}},
		{"proctor_gossip_outbox_depth", nil}, {"proctor_gossip_duplicates_total", nil},
		{"proctor_gossip_outbox_drops_total", []string{"what", "publication"}},
		{"proctor_gossip_outbox_drops_total", []string{"what", "fetch"}},
		{"proctor_gossip_outbox_drops_total", []string{"what", "shares"}},
		{"proctor_gossip_share_messages_total", []string{"role", "client", "result", "done"}},
		{"proctor_gossip_share_messages_total", []string{"role", "client", "result", "failed"}},
		{"proctor_gossip_share_messages_total", []string{"role", "server", "result", "done"}},
		{"proctor_gossip_share_messages_total", []string{"role", "server", "result", "limited"}},
		{"proctor_gossip_share_messages_total", []string{"role", "server", "result", "malformed"}},
		{"proctor_gossip_share_messages_total", []string{"role", "server", "result", "failed"}},
		{"proctor_gossip_share_messages_total", []string{"role", "server", "result", "stranger"}},
		{"proctor_gossip_pubsub_drops_total", []string{"queue", "validate-queue"}},
		{"proctor_gossip_pubsub_drops_total", []string{"queue", "validate-throttle"}},
		{"proctor_gossip_pubsub_drops_total", []string{"queue", "peer-outbound"}},
	}
	for _, role := range []string{"client", "server"} {
		for _, result := range []string{"done", "limited", "malformed", "failed"} {
			all = append(all, series{"proctor_gossip_peer_lists_total", []string{"role", role, "result", result}},
				series{"proctor_gossip_inventory_exchanges_total", []string{"role", role, "result", result}})
		}
	}
	for _, result := range []string{"served", "known", "accepted", "refused", "unasked", "relayed", "relay-dropped"} {
		all = append(all, series{"proctor_gossip_inventory_bans_total", []string{"result", result}})
	}
	for _, what := range []string{"connection", "stream", "peer-connection", "protocol-stream", "memory"} {
		all = append(all, series{"proctor_gossip_resources_refused_total", []string{"resource", what}})
	}
	for _, g := range append(slices.Clone(goodbyes), 200) {
		all = append(all, series{"proctor_gossip_handshakes_total", []string{"end", g.String()}})
		if g != welcome {
			all = append(all, series{"proctor_gossip_goodbyes_total", []string{"end", g.String()}})
		}
	}
	for _, topic := range engine.Topics() {
		label := []string{"topic", topic.String()}
		all = append(all, series{"proctor_gossip_mesh_peers", label}, series{"proctor_gossip_judge_duration_seconds", label})
		for _, row := range validation.Table() {
			all = append(all, series{"proctor_gossip_judged_total", append(slices.Clone(label), "outcome", row.Outcome.String(), "reason", string(row.Reason))})
		}
	}
	for _, s := range all {
		if v, n := sum(t, n.registry, s.name, s.labels...); v != 0 || n != 1 {
			t.Errorf("%s %v: %d series of sum %v, want one of 0", s.name, s.labels, n, v)
		}
	}
}

func TestTracer_MeshPeersComeAndGo(t *testing.T) {
	b := run(t, 2)
	a := run(t, 1, bootstrap(b))
	for _, n := range []*node{a, b} {
		for _, topic := range engine.Topics() {
			await(t, "the mesh", func() bool {
				return n.MeshPeers(topic) == 1 && n.value("proctor_gossip_mesh_peers", "topic", topic.String()) == 1
			})
		}
	}
	b.stop()
	await(t, "the mesh to be empty", func() bool { return a.MeshPeers(bans) == 0 && a.MeshPeers(engine.TopicBlock) == 0 })
}

func TestTracer_Prune(t *testing.T) {
	tr := &tracer{mesh: make(map[string]map[peer.ID]struct{})}
	tr.Prune("p", "a")
	tr.Graft("p", "a")
	tr.Graft("p", "a")
	tr.Graft("q", "a")
	tr.Graft("p", "b")
	for _, c := range []struct {
		what string
		do   func()
		a, b int
	}{
		{"grafted", func() {}, 2, 1},
		{"pruned", func() { tr.Prune("q", "a") }, 1, 1},
		{"gone", func() { tr.OnClosedOutboundStream("p") }, 0, 0},
	} {
		c.do()
		if a, b := tr.meshPeers("a"), tr.meshPeers("b"); a != c.a || b != c.b {
			t.Errorf("%s: %d and %d mesh peers, want %d and %d", c.what, a, b, c.a, c.b)
		}
	}
}

// Messages that no validator can take are counted, and nothing waits.
func TestTracer_Throttled(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	hold := make(chan struct{})
	n.set(func(b *backend) { b.judge = judging(func() { <-hold }) })
	defer close(hold)
	s.meet(n)
	stream := s.mesh(n)
	sent := 0
	dropped := func(queue string) int { return int(n.value("proctor_gossip_pubsub_drops_total", "queue", queue)) }
	say := func(count int) { // no faster than the queue before the throttle is emptied
		for range count {
			send(t, stream, published(n.topicName(bans), fmt.Sprint("m", sent)))
			sent++
		}
		await(t, "all to be taken or dropped", func() bool {
			return len(n.judgedAll())+dropped("validate-queue")+dropped("validate-throttle") == sent
		})
	}
	for len(n.judgedAll()) < concurrency[bans] {
		say(min(500, concurrency[bans]-len(n.judgedAll())))
	}
	if got := dropped("validate-throttle"); got != 0 {
		t.Fatalf("%d messages dropped by the throttle before its limit", got)
	}
	say(50)
	if got := dropped("validate-throttle"); got == 0 || len(n.judgedAll()) != concurrency[bans] {
		t.Errorf("%d messages dropped by the throttle, %d being judged; want some, and %d", got, len(n.judgedAll()), concurrency[bans])
	}
}

func TestRun_StopsInTime(t *testing.T) {
	b := run(t, 2)
	a := run(t, 1, bootstrap(b), func(c *Config) {
		unreachable := multiaddr.StringCast("/ip4/192.0.2.1/tcp/1") // a documentation address: dials hang
		c.Bootstrap = append(c.Bootstrap, peer.AddrInfo{ID: id(t, 9), Addrs: []multiaddr.Multiaddr{unreachable}})
	})
	await(t, "the contact", func() bool { return a.contact(b.ID()) == "up" })
	start := time.Now()
	a.stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
