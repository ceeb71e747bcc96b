package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/wire"
)

// file is the genesis of two as a file, with each of pairs replaced by its
// successor.
func file(t *testing.T, pairs ...string) []byte {
	t.Helper()
	g, _ := two()
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		changed := bytes.Replace(b, []byte(pairs[i]), []byte(pairs[i+1]), 1)
		if bytes.Equal(changed, b) {
			t.Fatalf("the file has no %s", pairs[i])
		}
		b = changed
	}
	return b
}

// Values that decode, but would break something later.
func TestParseGenesis_RefusesWhatWouldFailLater(t *testing.T) {
	const (
		start   = `"time":"2026-01-01T00:00:00Z"`
		address = "/ip4/127.0.0.1/tcp/1"
	)
	g, _ := two()
	key, other := g.Nodes[0].ServiceKey.String(), g.Nodes[1].ServiceKey.String()
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", file(t), ""},
		{"first year", file(t, start, `"time":"1970-01-01T00:00:00Z"`), ""},
		{"last year", file(t, start, `"time":"2200-12-31T23:59:59.999Z"`), ""},
		{"no time: slots would stand still", file(t, start+",", ""), "time is 0001-01-01"},
		{"year too early", file(t, start, `"time":"1969-12-31T23:59:59Z"`), "want a year from 1970 to 2200"},
		{"year too late", file(t, start, `"time":"2201-01-01T00:00:00Z"`), "want a year from 1970 to 2200"},
		{"year 10000 in UTC: no hash", file(t, start, `"time":"9999-12-31T23:30:00-01:00"`), "want a year"},
		{"year -1 in UTC: no hash", file(t, start, `"time":"0000-01-01T00:30:00+01:00"`), "want a year"},
		{"slot of 1 s and 2^58 ms, which wraps to 1 s", file(t, `"slot_ms":1000`, `"slot_ms":288230376151712744`), "slot_ms is 288230376151712744"},
		{"negative slot", file(t, `"slot_ms":1000`, `"slot_ms":-1000`), "slot_ms is -1000"},
		{"no service key: anybody could sign", file(t, key, strings.Repeat("0", 64)), "is zero or stands twice"},
		{"one service key for two nodes", file(t, other, key), "is zero or stands twice"},
		{"empty address", file(t, address, ""), "empty address"},
		{"long address: its record would not load", file(t, address, strings.Repeat("a", 300)), "address of 300 bytes, at most 128"},
		{"address with a space", file(t, address, "a b"), "holds byte 0x20"},
		{"address with a control character", file(t, address, `a\u0000`), "holds byte 0x00"},
		{"hash of other digits", file(t, g.Nodes[0].ProTxHash.String(), strings.Repeat("z", 64)), "not hex"},
		{"short key", file(t, key, key[2:]), "want 64 hex digits"},
		{"unknown key in a node", file(t, `"evo":true`, `"evil":true`), `unknown field "evil"`},
		{"number for a name", file(t, `"network":"devnet"`, `"network":1`), "cannot unmarshal"},
		{"second value", append(file(t), "null"...), "follows the closing brace"},
		{"stray brace", append(file(t), '}'), "follows the closing brace"},
		{"white space after it", append(file(t), " \n\t"...), ""},
		{"cut short", file(t)[:100], "unexpected EOF"},
		{"empty", nil, "EOF"},
	} {
		checkGenesis(t, c.name, c.file, c.want)
	}
}

// Why a genesis without a service key is refused: all zeros are a point of
// order 4, under which a made-up signature holds for every fourth message.
func TestZeroServiceKey_IsForgeable(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1 // R is the identity, S is 0
	for i := range 1000 {
		if ed25519.Verify(make([]byte, ed25519.PublicKeySize), []byte{byte(i), byte(i >> 8)}, forged) {
			return
		}
	}
	t.Error("no forgery in 1000: the check in ParseGenesis may go")
}

// The hash is the network's identity, so a release must not change it.
func TestGenesis_HashIsStable(t *testing.T) {
	g := Genesis{
		Network: "devnet", Profile: "spec", Time: time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", -5*3600)), SlotMillis: 1000,
		Authorities:  []wire.Hash{{1}},
		Nodes:        []GenesisNode{{Name: "a<b", ProTxHash: wire.Hash{1}, Evo: true, Addresses: []string{"x"}, Platform: "tcp://a:1"}},
		LLMQs:        []GenesisLLMQ{{Type: 106, Size: 5, Threshold: 3}, {Type: 100}},
		NoQuorumPoSe: true,
	}
	text := func(h string, zeros int) string { return strings.Repeat("0", zeros) + h }
	want := wire.DoubleHash([]byte("proctor/genesis/1"), []byte(`{"network":"devnet","profile":"spec","time":"2026-01-02T08:04:05.0000006Z","slot_ms":1000,`+
		`"authorities":["`+text("01", 62)+`"],"nodes":[{"name":"a\u003cb","protx_hash":"`+text("01", 62)+`","evo":true,`+
		`"operator_key":"`+text("", 96)+`","service_key":"`+text("", 64)+`","addresses":["x"],"platform":"tcp://a:1"}],`+
		`"llmqs":[{"type":106,"size":5,"threshold":3},{"type":100}],"no_quorum_pose":true}`))
	if got := g.Hash(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func TestGenesis_SlotsMeetWithoutGaps(t *testing.T) {
	g, _ := two()
	for _, g.SlotMillis = range []int64{50, 1000, 3_600_000} {
		for slot := range uint64(50) {
			begin, end := g.SlotStart(slot), g.SlotStart(slot+1)
			if g.SlotAt(begin) != slot || g.SlotAt(end.Add(-1)) != slot || g.SlotAt(end) != slot+1 {
				t.Errorf("slot %d of %d ms does not reach from %s to %s", slot, g.SlotMillis, begin, end)
			}
		}
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
	for _, c := range []struct {
		name   string
		change func(*Genesis)
		want   string
	}{
		{"nothing wrong", func(*Genesis) {}, ""},
		{"network", func(g *Genesis) { g.Network = "moon" }, "known: devnet"},
		{"profile", func(g *Genesis) { g.Profile = "x" }, "known: spec"},
		{"short slot", func(g *Genesis) { g.SlotMillis = 49 }, "slot_ms is 49, want 50"},
		{"long slot", func(g *Genesis) { g.SlotMillis = 3_600_001 }, "slot_ms is 3600001"},
		{"no nodes", func(g *Genesis) { g.Nodes = nil }, "0 nodes, want 1"},
		{"too many nodes", func(g *Genesis) { g.Nodes = make([]GenesisNode, MaxGenesisNodes+1) }, "100001 nodes"},
		{"a node twice", func(g *Genesis) { g.Nodes[1].ProTxHash = g.Nodes[0].ProTxHash }, "stands twice"},
		{"a node without hash", func(g *Genesis) { g.Nodes[1].ProTxHash = wire.Hash{} }, "is zero"},
		{"many addresses", func(g *Genesis) { g.Nodes[0].Addresses = make([]string, 5) }, "5 addresses, at most 4"},
		{"no authority", func(g *Genesis) { g.Authorities = nil }, "no authority"},
		{"unknown authority", func(g *Genesis) { g.Authorities[0] = wire.Hash{99} }, "not among the nodes"},
		{"an evonode with a platform service", func(g *Genesis) { g.Nodes[0].Platform = "https://example.org" }, ""},
		{"a regular masternode with one", func(g *Genesis) { g.Nodes[0].Evo, g.Nodes[0].Platform = false, "https://example.org" }, "which only evonodes have"},
		{"a platform service that cannot be probed", func(g *Genesis) { g.Nodes[0].Platform = "ftp://example.org" }, `endpoint "ftp://example.org"`},
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

func TestParseGenesis_RefusesStakesThatAreNotThere(t *testing.T) {
	a, b := wire.StakerKey{1}, wire.StakerKey{2}
	for _, c := range []struct {
		name   string
		change func(*Genesis)
		want   string
	}{
		{"nothing wrong: two stakers, one awaits the rest", func(*Genesis) {}, ""},
		{"the whole grant in two nodes", func(g *Genesis) { g.Nodes[1].Stakes[0].Amount = 40 }, ""},
		{"no grants and no stakes", func(g *Genesis) { g.Grants, g.Nodes[0].Stakes, g.Nodes[1].Stakes = nil, nil, nil }, ""},
		{"too many grants", func(g *Genesis) { g.Grants = make([]Grant, MaxGrants+1) }, "100001 grants, at most 100000"},
		{"grant to nobody", func(g *Genesis) { g.Grants[1].Staker = wire.StakerKey{} }, "grant of 100 to 00"},
		{"grant that stands twice", func(g *Genesis) { g.Grants[1].Staker = a }, "grant of 100 to 01"},
		{"grant of nothing", func(g *Genesis) { g.Grants[0].Amount = 0 }, "grant of 0"},
		{"all 64 bits", func(g *Genesis) { g.Grants[0].Amount = 1<<64 - 1 - 100 }, ""},
		{"grants that wrap", func(g *Genesis) { g.Grants[0].Amount = 1<<64 - 100 }, "together exceed 64 bits"},
		{"more stakers than a node may have", func(g *Genesis) { g.Nodes[0].Stakes = make([]Grant, 11) }, "has 11 stakers, at most 10"},
		{"staker that stands twice in a node", func(g *Genesis) { g.Nodes[0].Stakes[1].Staker = a }, "stake of 40 by 01"},
		{"stake of nothing", func(g *Genesis) { g.Nodes[0].Stakes[0].Amount = 0 }, "stake of 0"},
		{"stake without a grant", func(g *Genesis) { g.Nodes[0].Stakes[0].Staker = wire.StakerKey{3} }, "more than the 0 left"},
		{"stakes that spend a grant twice", func(g *Genesis) { g.Nodes[1].Stakes[0].Amount = 41 }, "more than the 40 left"},
		{"the requirement exceeded", func(g *Genesis) { g.Nodes[0].Stakes[1].Amount = 41 }, "has a stake of 101, the requirement is 100"},
		{"stake where none is required", func(g *Genesis) { g.StakingRequirement = 0 }, "the requirement is 0"},
		{"as many nodes as a staker may have", func(g *Genesis) { stakeInMany(g, 64) }, ""},
		{"one node more", func(g *Genesis) { stakeInMany(g, 65) }, "stakes in more than 64 nodes"},
	} {
		g, _ := two()
		g.StakingRequirement = 100
		g.Grants = []Grant{{a, 100}, {b, 100}}
		g.Nodes[0].Stakes = []Grant{{a, 60}, {b, 40}}
		g.Nodes[1].Stakes = []Grant{{a, 30}}
		c.change(&g)
		file, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		checkGenesis(t, c.name, file, c.want)
	}
}

// stakeInMany makes n nodes in which one staker has a stake.
func stakeInMany(g *Genesis, n int) {
	g.Nodes[0].Stakes, g.Nodes[1].Stakes = nil, nil
	for i := len(g.Nodes); i < n; i++ {
		g.Nodes = append(g.Nodes, GenesisNode{ProTxHash: wire.Hash{byte(i + 1)}, ServiceKey: wire.ServiceKey{byte(i + 1)}})
	}
	for i := range g.Nodes {
		g.Nodes[i].Stakes = []Grant{{g.Grants[0].Staker, 1}}
	}
}
