package chain

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/wire"
)

// two is a genesis with two authorities, and their keys in turn order.
func two() (Genesis, []ed25519.PrivateKey) {
	g := Genesis{Network: "devnet", Profile: "spec", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), SlotMillis: 1000}
	var keys []ed25519.PrivateKey
	for i := range 2 {
		key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+i)), 32)))
		keys = append(keys, key)
		proTx := wire.Hash{byte(i + 1)}
		g.Nodes = append(g.Nodes, GenesisNode{
			Name: fmt.Sprint("node-", i), ProTxHash: proTx, Evo: true, Addresses: []string{"/ip4/127.0.0.1/tcp/1"},
			ServiceKey: wire.ServiceKey(key.Public().(ed25519.PublicKey)),
		})
		g.Authorities = append(g.Authorities, proTx)
	}
	return g, keys
}

// next is a well-made header on tip.
func next(tip Tip, slot uint64, key ed25519.PrivateKey) wire.Header {
	h := wire.Header{Height: tip.Height + 1, Slot: slot, Parent: tip.Hash}
	return signed(h, key)
}

func signed(h wire.Header, key ed25519.PrivateKey) wire.Header {
	h.Signature = wire.ServiceSignature(ed25519.Sign(key, h.SignedBytes()))
	return h
}

func TestChain_Judge(t *testing.T) {
	g, keys := two()
	c := New(g)
	first := next(c.Tip(), 2, keys[0])
	c.Extend(first)
	c.Extend(next(c.Tip(), 5, keys[1]))
	tip := c.Tip()
	side := next(Tip{1, 2, first.Hash()}, 7, keys[1])
	const clock = 10
	for _, test := range []struct {
		name   string
		header wire.Header
		place  Place
		err    error
	}{
		{"extends the tip", next(tip, 6, keys[0]), Extends, nil},
		{"extends it after empty slots", next(tip, 9, keys[1]), Extends, nil},
		{"in the present slot", next(tip, 10, keys[0]), Extends, nil},
		{"one slot early: a clock may be ahead", next(tip, 11, keys[1]), Extends, nil},
		{"two slots early", next(tip, 12, keys[0]), Early, nil},
		{"known", first, Known, nil},
		{"second branch", side, Side, nil},
		{"second branch from the genesis", next(Tip{0, 0, g.Hash()}, 4, keys[0]), Side, nil},
		{"unknown parent above us", next(Tip{7, 7, wire.Hash{9}}, 8, keys[0]), Orphan, nil},
		{"unknown parent below us", next(Tip{0, 0, wire.Hash{9}}, 8, keys[0]), Side, nil},
		{"of the other authority", next(tip, 6, keys[1]), 0, ErrAuthor},
		{"unsigned", func() wire.Header { h := next(tip, 6, keys[0]); h.Signature = wire.ServiceSignature{}; return h }(), 0, ErrAuthor},
		{"altered after signing", func() wire.Header { h := next(tip, 6, keys[0]); h.StateRoot[0]++; return h }(), 0, ErrAuthor},
		{"in its parent's slot", next(tip, 5, keys[1]), 0, ErrSlot},
		{"before its parent's slot", next(tip, 4, keys[0]), 0, ErrSlot},
		{"too high", signed(wire.Header{Height: 4, Slot: 6, Parent: tip.Hash}, keys[0]), 0, ErrHeight},
		{"too low", signed(wire.Header{Height: 2, Slot: 6, Parent: tip.Hash}, keys[0]), 0, ErrHeight},
		{"slot that would wrap", signed(wire.Header{Height: 3, Slot: 1<<64 - 1, Parent: tip.Hash}, keys[1]), Early, nil},
	} {
		place, err := c.Judge(test.header, clock)
		if place != test.place || !errors.Is(err, test.err) {
			t.Errorf("%s: place %d, %v; want %d, %v", test.name, place, err, test.place, test.err)
		}
	}
	c.Keep(side)
	if place, _ := c.Judge(side, clock); place != Known {
		t.Errorf("a side block that was kept has place %d, want %d", place, Known)
	}
	if place, _ := c.Judge(next(Tip{2, 7, side.Hash()}, 8, keys[0]), clock); place != Side {
		t.Errorf("a child of a side block has place %d, want %d", place, Side)
	}
	if c.Tip() != tip {
		t.Error("judging moved the tip")
	}
}

func TestChain_MemoryIsBounded(t *testing.T) {
	g, keys := two()
	c := New(g)
	var hashes []wire.Hash
	for slot := range uint64(RecentBlocks + 50) {
		c.Extend(next(c.Tip(), slot+1, keys[(slot+1)%2]))
		hashes = append(hashes, c.Tip().Hash)
	}
	for i := range 3 * sideBlocks {
		c.Keep(wire.Header{Height: int32(i)})
	}
	if len(c.recent.set) != RecentBlocks || len(c.recent.order) != RecentBlocks || len(c.side.set) != sideBlocks {
		t.Fatalf("%d recent and %d side blocks, want %d and %d", len(c.recent.set), len(c.side.set), RecentBlocks, sideBlocks)
	}
	if c.recent.has(g.Hash()) || c.recent.has(hashes[49-1]) || !c.recent.has(hashes[len(hashes)-RecentBlocks]) {
		t.Error("the ring does not hold exactly the newest blocks")
	}
	again := New(g)
	again.Restore(c.Tip(), hashes[len(hashes)-10:])
	if again.Tip() != c.Tip() || !again.recent.has(hashes[len(hashes)-1]) {
		t.Error("Restore does not bring tip and hashes back")
	}
}

func TestGenesis_Slots(t *testing.T) {
	g, _ := two()
	for _, c := range []struct {
		after time.Duration
		want  uint64
	}{{-time.Hour, 0}, {0, 0}, {999 * time.Millisecond, 0}, {time.Second, 1}, {10 * time.Hour, 36000}} {
		if got := g.SlotAt(g.Time.Add(c.after)); got != c.want {
			t.Errorf("slot %s after the genesis is %d, want %d", c.after, got, c.want)
		}
	}
	if got := g.SlotAt(g.SlotStart(77)); got != 77 {
		t.Errorf("slot 77 starts in slot %d", got)
	}
	if g.Authority(0) != g.Authorities[0] || g.Authority(3) != g.Authorities[1] {
		t.Error("authorities do not take turns")
	}
}

func TestGenesis_HashIsTheNetworks(t *testing.T) {
	g, _ := two()
	elsewhere := g
	elsewhere.Time = g.Time.In(time.FixedZone("x", 3600))
	if elsewhere.Hash() != g.Hash() {
		t.Error("the hash depends on the time zone")
	}
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseGenesis(b)
	if err != nil || read.Hash() != g.Hash() {
		t.Errorf("after writing and reading the hash is %s, %v; want %s", read.Hash(), err, g.Hash())
	}
	other := g
	other.SlotMillis++
	if other.Hash() == g.Hash() {
		t.Error("another network has the same hash")
	}
}

func TestParseGenesis_Refuses(t *testing.T) {
	quorum := func(g *Genesis) *GenesisQuorum {
		g.PlatformQuorum = &GenesisQuorum{MadeBy: TrustedDealer, Threshold: 1, Members: []wire.Hash{{1}}}
		return g.PlatformQuorum
	}
	for _, c := range []struct {
		name   string
		change func(*Genesis)
		want   string
	}{
		{"nothing wrong", func(*Genesis) {}, ""},
		{"a quorum", func(g *Genesis) { quorum(g) }, ""},
		{"network", func(g *Genesis) { g.Network = "moon" }, "known: devnet"},
		{"profile", func(g *Genesis) { g.Profile = "x" }, "known: spec"},
		{"short slot", func(g *Genesis) { g.SlotMillis = 49 }, "slot_ms is 49, want 50"},
		{"long slot", func(g *Genesis) { g.SlotMillis = 3_600_001 }, "slot_ms is 3600001"},
		{"no nodes", func(g *Genesis) { g.Nodes = nil }, "0 nodes, want 1"},
		{"too many nodes", func(g *Genesis) { g.Nodes = make([]GenesisNode, MaxGenesisNodes+1) }, "10001 nodes"},
		{"a node twice", func(g *Genesis) { g.Nodes[1].ProTxHash = g.Nodes[0].ProTxHash }, "stands twice"},
		{"a node without hash", func(g *Genesis) { g.Nodes[1].ProTxHash = wire.Hash{} }, "is zero"},
		{"many addresses", func(g *Genesis) { g.Nodes[0].Addresses = make([]string, 5) }, "5 addresses, at most 4"},
		{"no authority", func(g *Genesis) { g.Authorities = nil }, "no authority"},
		{"unknown authority", func(g *Genesis) { g.Authorities[0] = wire.Hash{99} }, "not among the nodes"},
		{"quorum by nobody", func(g *Genesis) { quorum(g).MadeBy = "" }, `made_by is ""`},
		{"quorum before the genesis", func(g *Genesis) { quorum(g).MinedHeight = -1 }, "mined_height is -1"},
		{"threshold zero", func(g *Genesis) { quorum(g).Threshold = 0 }, "threshold is 0 of 1"},
		{"threshold above size", func(g *Genesis) { quorum(g).Threshold = 2 }, "threshold is 2 of 1"},
		{"member unknown", func(g *Genesis) { quorum(g).Members[0] = wire.Hash{99} }, "is not an evonode"},
		{"member regular", func(g *Genesis) { quorum(g); g.Nodes[0].Evo = false }, "is not an evonode"},
	} {
		g, _ := two()
		c.change(&g)
		b, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		checkGenesis(t, c.name, b, c.want)
	}
	g, _ := two()
	b, _ := json.Marshal(g)
	checkGenesis(t, "trailing data", append(b, "{}"...), "follows the closing brace")
	checkGenesis(t, "unknown key", []byte(`{"netwerk":"devnet"}`), `unknown field "netwerk"`)
	checkGenesis(t, "not JSON", []byte(`x`), "invalid character")
	checkGenesis(t, "bad hash", []byte(`{"authorities":["00"]}`), "want 64 hex digits")
	checkGenesis(t, "too large", make([]byte, MaxGenesisSize+1), "at most")
}

func checkGenesis(t *testing.T, name string, b []byte, want string) {
	t.Helper()
	_, err := ParseGenesis(b)
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	if !errors.Is(err, ErrGenesis) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", name, err, want)
	}
}

func FuzzParseGenesis(f *testing.F) {
	g, _ := two()
	b, err := json.Marshal(g)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseGenesis(b)
		if err != nil {
			return
		}
		New(g) // what is read can be used
		g.Hash()
	})
}
