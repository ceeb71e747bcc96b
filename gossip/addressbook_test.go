package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/wire"
)

// at is a candidate with addresses of the ports.
func at(id string, ports ...int) (i peer.AddrInfo) {
	i.ID = peer.ID(id)
	for _, p := range ports {
		i.Addrs = append(i.Addrs, multiaddr.StringCast(fmt.Sprint("/ip4/8.8.8.8/tcp/", p)))
	}
	return i
}

func fixedRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

var dayOne = time.Unix(1_700_000_000, 0)

func nobody(peer.ID) bool { return false }

// chosen is whom the book picks, sorted, without a limit unless given.
func chosen(b *addressBook, now time.Time, missing, room int) string {
	var ids []string
	for _, i := range b.choose(now, missing, room, nobody, fixedRandom()) {
		ids = append(ids, string(i.ID))
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func TestAddressBook_Choose(t *testing.T) {
	book := func() *addressBook {
		b := newAddressBook("self", []peer.AddrInfo{at("boot1", 1), at("boot2", 1), at("boot3", 1), at("self", 1), at("blank")}, []peer.AddrInfo{at("known1", 1), at("known2", 1)})
		b.register([]peer.AddrInfo{at("reg1", 1), at("reg2", 1), at("reg3", 1), at("boot1", 2), at("self", 2)})
		b.note(at("told1", 1), told)
		return b
	}
	for _, c := range []struct {
		name          string
		missing, room int
		skip          string
		want          string
	}{
		{"bootstrap only", 0, 10, "", "boot1 boot2 boot3"},
		{"more contacts than wanted", -3, 10, "", "boot1 boot2 boot3"},
		{"no room", 5, 0, "", ""},
		{"less than no room", 5, -1, "", ""},
		{"registered before others", 3, 6, "", "boot1 boot2 boot3 reg1 reg2 reg3"},
		{"known before hearsay", 5, 8, "", "boot1 boot2 boot3 known1 known2 reg1 reg2 reg3"},
		{"all", 20, 20, "", "boot1 boot2 boot3 known1 known2 reg1 reg2 reg3 told1"},
		{"connected ones are skipped", 20, 20, "boot1 reg1 told1", "boot2 boot3 known1 known2 reg2 reg3"},
	} {
		skip := func(p peer.ID) bool { return slices.Contains(strings.Fields(c.skip), string(p)) }
		var got []string
		for _, i := range book().choose(dayOne, c.missing, c.room, skip, fixedRandom()) {
			got = append(got, string(i.ID))
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

// Neither kind of candidate keeps the other waiting.
func TestAddressBook_ChooseIsFair(t *testing.T) {
	var boot, registry []peer.AddrInfo
	for i := range 10 {
		boot = append(boot, at(fmt.Sprint("boot", i), 1))
		registry = append(registry, at(fmt.Sprint("reg", i), 1))
	}
	b := newAddressBook("self", boot, nil)
	b.register(registry)
	got := chosen(b, dayOne, 16, 4)
	if strings.Count(got, "boot") != 2 || strings.Count(got, "reg") != 2 {
		t.Errorf("chose %q, want two of each", got)
	}
	if got = chosen(b, dayOne, 1, 4); strings.Count(got, "boot") != 3 || strings.Count(got, "reg") != 1 {
		t.Errorf("one missing: chose %q", got)
	}
	// All come round within the time in which the first may be dialled again.
	seen := make(map[string]bool)
	b = newAddressBook("self", boot, nil)
	b.register(registry)
	for s := range 5 {
		for _, p := range strings.Fields(chosen(b, dayOne.Add(time.Duration(s)*time.Second), 16, 8)) {
			seen[p] = true
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 were dialled in five rounds of eight", len(seen))
	}
}

// Different nodes begin with different peers.
func TestAddressBook_ChanceDecides(t *testing.T) {
	first := make(map[peer.ID]bool)
	for seed := range uint64(50) {
		b := newAddressBook("self", nil, nil)
		for i := range 10 {
			b.note(at(fmt.Sprint("p", i), 1), registered)
		}
		first[b.choose(dayOne, 1, 4, nobody, rand.New(rand.NewPCG(seed, 0)))[0].ID] = true
	}
	if len(first) < 5 {
		t.Errorf("50 nodes began with %d of 10 peers", len(first))
	}
}

func TestAddressBook_BackOff(t *testing.T) {
	s := time.Second
	for _, c := range []struct {
		name string
		note func(*addressBook)
		want []time.Duration
	}{
		{"bootstrap", func(b *addressBook) { b.note(at("p", 1), configured) }, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s, 5 * s}},
		{"registered", func(b *addressBook) { b.register([]peer.AddrInfo{at("p", 1)}) }, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}},
		{"registered and told", func(b *addressBook) { b.note(at("p", 1), told); b.register([]peer.AddrInfo{at("p", 1)}) }, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}},
		{"known", func(b *addressBook) { b.note(at("p", 1), reached) },
			[]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 300 * s, 300 * s}},
		{"told", func(b *addressBook) { b.note(at("p", 1), told) }, []time.Duration{s, 2 * s, 4 * s, 0}},
	} {
		b := newAddressBook("self", nil, nil)
		c.note(b)
		now := dayOne
		for i, wait := range c.want {
			if got := chosen(b, now, 9, 9); got != "p" {
				t.Fatalf("%s: dial %d: chose %q", c.name, i+1, got)
			}
			if wait == 0 { // forgotten
				if len(b.candidates) != 0 {
					t.Errorf("%s: still in the book", c.name)
				}
				break
			}
			if got := chosen(b, now.Add(wait-1), 9, 9); got != "" {
				t.Errorf("%s: dialled again before %s", c.name, wait)
			}
			now = now.Add(wait)
		}
		b.reach("p", multiaddr.StringCast("/ip4/8.8.8.8/tcp/1"))
		if got := chosen(b, now, 9, 9); got != "p" {
			t.Errorf("%s: not dialled at once after it was met", c.name)
		}
		if got := chosen(b, now.Add(s), 9, 9); got != "p" {
			t.Errorf("%s: the back-off did not begin again", c.name)
		}
	}
}

func TestAddressBook_OriginsKeepTheirAddresses(t *testing.T) {
	ports := func(b *addressBook) string {
		var s []string
		for _, a := range b.candidates["p"].known() {
			s = append(s, strings.TrimPrefix(a.String(), "/ip4/8.8.8.8/tcp/"))
		}
		return strings.Join(s, " ")
	}
	b := newAddressBook("self", []peer.AddrInfo{at("p")}, []peer.AddrInfo{at("p", 1)})
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"known", func() {}, "1"},
		{"told", func() { b.note(at("p", 9), told) }, "1 9"},
		{"told more", func() { b.note(at("p", 8, 9), told) }, "1 9 8"},
		{"told too much", func() { b.note(at("p", 4, 5, 6, 7), told) }, "1 9 8 4 5"},
		{"registered", func() { b.register([]peer.AddrInfo{at("p", 2, 1)}) }, "2 1 9 8 4 5"},
		{"moved", func() { b.register([]peer.AddrInfo{at("p", 3)}) }, "3 1 9 8 4 5"},
		{"told of one that is registered", func() { b.candidates["p"].fails = 1; b.note(at("p", 6), told) }, "3 1 9 8 4 5"},
		{"met", func() { b.reach("p", at("p", 7).Addrs[0]) }, "3 7 1 9 8 4 5"},
		{"no more registered", func() { b.register(nil) }, "7 1 9 8 4 5"},
		{"told after a failure", func() { b.candidates["p"].fails = 1; b.note(at("p", 6), told) }, "7 1 6"},
	} {
		if step.do(); ports(b) != step.want {
			t.Errorf("%s: %s, want %s", step.name, ports(b), step.want)
		}
	}
}

func TestAddressBook_TheRegistryForgets(t *testing.T) {
	b := newAddressBook("self", nil, nil)
	b.register([]peer.AddrInfo{at("p", 1), at("q", 1)})
	b.reach("q", at("q", 1).Addrs[0])
	b.register(nil)
	if len(b.candidates) != 1 || b.candidates["q"].origin() != reached {
		t.Errorf("candidates %v, want the one that was met", b.candidates)
	}
}

func TestAddressBook_Bound(t *testing.T) {
	full := func(o origin) *addressBook {
		b := newAddressBook("self", []peer.AddrInfo{at("boot", 1)}, nil)
		for i := 1; i < maxCandidates; i++ {
			if !b.note(at(fmt.Sprint("p", i), 1), o) {
				t.Fatal("no room too early")
			}
		}
		return b
	}
	for _, c := range []struct {
		name  string
		of, o origin
		fails bool // one of the old ones has failed
		want  bool
	}{
		{"hearsay for hearsay", told, told, false, false},
		{"hearsay for failed hearsay", told, told, true, true},
		{"hearsay for a failed registered peer", registered, told, true, false},
		{"a registered peer for hearsay", told, registered, false, true},
		{"a bootstrap peer", registered, configured, false, true},
	} {
		b := full(c.of)
		if c.fails {
			b.candidates["p7"].fails = 1
		}
		if got := b.note(at("new", 1), c.o); got != c.want || (b.candidates["new"] != nil) != c.want {
			t.Errorf("%s: took it: %t, want %t", c.name, got, c.want)
		}
		if c.o != configured && len(b.candidates) != maxCandidates {
			t.Errorf("%s: %d candidates", c.name, len(b.candidates))
		}
		if c.fails && c.want && b.candidates["p7"] != nil {
			t.Errorf("%s: not the failed one had to go", c.name)
		}
		if b.candidates["boot"] == nil {
			t.Errorf("%s: the bootstrap peer had to go", c.name)
		}
	}
}

// A registry with many more nodes than there is room for costs little.
func TestAddressBook_LargeRegistry(t *testing.T) {
	var nodes []peer.AddrInfo
	for i := range 20 * maxCandidates {
		nodes = append(nodes, at(fmt.Sprint("reg", i), 1))
	}
	b := newAddressBook("self", nil, nil)
	b.register(nodes[:maxCandidates])
	slices.Reverse(nodes)
	start := time.Now()
	for range 20 {
		if dropped := b.register(nodes); dropped != 19*maxCandidates || len(b.candidates) != maxCandidates {
			t.Fatalf("%d dropped, %d in the book", dropped, len(b.candidates))
		}
	}
	if took := time.Since(start); took > limit { // minutes if each looked for somebody worth less
		t.Errorf("20 look-ups took %s", took)
	}
}

func TestAddressBook_Share(t *testing.T) {
	b := newAddressBook("self", []peer.AddrInfo{at("boot", 1)}, []peer.AddrInfo{at("known", 1)})
	private := multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
	b.register([]peer.AddrInfo{at("reg", 1, 2), {ID: "inside", Addrs: []multiaddr.Multiaddr{private}}})
	b.note(at("told", 1), told)
	b.reach("met", at("met", 3).Addrs[0])
	for _, c := range []struct {
		shared bool
		skip   peer.ID
		want   string
	}{
		{false, "", "met[/ip4/8.8.8.8/tcp/3] reg[/ip4/8.8.8.8/tcp/1 /ip4/8.8.8.8/tcp/2]"},
		{false, "met", "reg[/ip4/8.8.8.8/tcp/1 /ip4/8.8.8.8/tcp/2]"},
		{true, "", "inside[/ip4/10.0.0.1/tcp/1] met[/ip4/8.8.8.8/tcp/3] reg[/ip4/8.8.8.8/tcp/1 /ip4/8.8.8.8/tcp/2]"},
	} {
		var got []string
		for _, e := range b.share(c.shared, func(p peer.ID) bool { return p == c.skip }, fixedRandom()) {
			got = append(got, fmt.Sprint(e.ID, e.Addresses))
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("shared %t, without %q: %s, want %s", c.shared, c.skip, s, c.want)
		}
	}
	for i := range 100 {
		b.reach(peer.ID(fmt.Sprint("p", i)), at("p", i+1).Addrs[0])
	}
	if got := len(b.share(false, nobody, fixedRandom())); got != wire.MaxListedPeers {
		t.Errorf("%d of more than 100 peers shared, want %d", got, wire.MaxListedPeers)
	}
}

func TestDialable(t *testing.T) {
	for a, want := range map[string]string{ // "always", "shared", "never"
		"/ip4/8.8.8.8/tcp/1":                                "always",
		"/ip4/8.8.8.8/udp/1/quic-v1":                        "always",
		"/ip6/2606:4700::1/tcp/1":                           "always",
		"/ip4/10.0.0.1/tcp/1":                               "shared",
		"/ip4/127.0.0.1/tcp/1":                              "shared",
		"/ip4/169.254.169.254/tcp/80":                       "shared",
		"/ip6/fd00::1/tcp/1":                                "shared",
		"/ip4/0.0.0.0/tcp/1":                                "never",
		"/ip4/224.0.0.1/udp/1/quic-v1":                      "never",
		"/dns4/example.org/tcp/1":                           "never",
		"/dnsaddr/example.org":                              "never",
		"/unix/tmp/socket":                                  "never",
		"/ip4/8.8.8.8/tcp/1/p2p/" + someID:                  "never",
		"/ip4/8.8.8.8/tcp/1/p2p/" + someID + "/p2p-circuit": "never",
	} {
		m := multiaddr.StringCast(a)
		if got := dialable(m, false); got != (want == "always") {
			t.Errorf("%s: %t, want %s", a, got, want)
		}
		if got := dialable(m, true); got != (want != "never") {
			t.Errorf("%s on shared addresses: %t, want %s", a, got, want)
		}
	}
}

const someID = "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"
