package docs

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// example is a call of a method that is shown with its answer.
type example struct {
	method  string
	params  []any
	refused int // code of the error that is the answer, as nothing better can be had in a network of two; 0 if it is none
}

// examples are called in this order. Every method has one.
func examples(x *exhibition) []example {
	ban, update := x.ban(), x.update()
	sig := ban.Signature.String()
	id := wire.DoubleHash([]byte("request")).String()
	platform, quorum := int(x.llmq), x.quorum.String()
	return []example{
		{"getblockcount", nil, 0}, {"getbestblockhash", nil, 0}, {"getblockhash", []any{0}, 0}, {"getfinalblock", nil, 0},
		{"getblockchaininfo", nil, 0}, {"mnsync status", nil, 0}, {"getnetworkinfo", nil, 0}, {"uptime", nil, 0},
		{"health", nil, 0}, {"status", nil, 0}, {"forecast", []any{"evo-2", 30}, 0},
		{"help", []any{"getblockhash"}, 0},
		{"protx list", []any{"valid", true}, 0}, {"protx info", []any{"evo-1"}, 0},
		{"masternode status", nil, 0}, {"masternode count", nil, 0}, {"masternodelist", []any{"json", "evo-1"}, 0},
		{"nodes", nil, 0}, {"explain", []any{"evo-2"}, 0},
		{"event next", []any{"node", "evo-1"}, 0}, {"event submit", []any{hex.EncodeToString(update.Bytes())}, 0}, {"event list", nil, 0},
		{"quorum list", nil, 0}, {"quorum listextended", nil, 0}, {"quorum info", []any{platform, quorum}, 0}, {"quorum memberof", []any{"evo-1", 1}, 0},
		{"quorum dkginfo", nil, 0}, {"quorum dkgstatus", []any{1}, 0}, {"quorum selectquorum", []any{platform, id}, 0},
		{"quorum verify", []any{platform, id, id, sig, quorum}, 0}, {"quorum hasrecsig", []any{platform, id, id}, 0},
		{"quorum getrecsig", []any{platform, id, id}, api.CodeNotFound}, {"quorum isconflicting", []any{platform, id, id}, 0}, {"quorum faults", nil, 0},
		{"quorum sign", []any{platform, id, id, quorum, true}, 0}, {"quorum platformsign", []any{id, id, quorum, false}, 0},
		{"platformban submit", []any{hex.EncodeToString(ban.Bytes())}, 0}, {"platformban get", []any{ban.InventoryHash().String()}, 0}, {"platformban list", nil, 0},
		{"platformban request", []any{"evo-3"}, 0}, {"platformban requests", nil, 0},
		{"getpeerinfo", nil, 0}, {"explainpeer", []any{x.other.Gossip().ID().String()}, 0},
		{"setban", []any{somebody, "add", 48}, 0}, {"listbanned", nil, 0},
		{"stop", nil, 0},
	}
}

const somebody = "12D3KooWRVMEzH8G9Fgi37GdxQPFujqspnrJdNBDwDqEuKD2Z2tV"

// exhibition is a network of which two nodes run: evo-1, which is asked, and
// evo-2.
type exhibition struct {
	*testing.T
	*testnet.Network
	client  api.Client
	asked   *node.Node
	other   *node.Node
	signers testnet.Signers
	llmq    wire.LLMQType
	quorum  wire.Hash
	tip     int32
}

func newExhibition(t *testing.T) *exhibition {
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 5, Regular: 1, Seed: 5, Profile: "spec", Slot: time.Hour, History: 62, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	past, err := network.History()
	if err != nil {
		t.Fatal(err)
	}
	x := &exhibition{T: t, Network: network}
	if x.signers, err = past.Signers(); err != nil {
		t.Fatal(err)
	}
	x.llmq, x.quorum, x.tip = x.signers.Type, x.signers.QuorumHash, past.Engine(0).Snapshot().TipHeight()
	x.other = x.run(past, "evo-2")
	x.asked = x.run(past, "evo-1", peer.AddrInfo{ID: x.other.Gossip().ID(), Addrs: x.other.Gossip().Addrs()})
	for len(x.asked.Gossip().Contacts()) == 0 || !x.asked.Snapshot().Confident() {
		select {
		case <-t.Context().Done():
			t.Fatal("the nodes never met")
		case <-time.After(time.Millisecond):
		}
	}
	return x
}

func (x *exhibition) run(past *testnet.Simulation, name string, bootstrap ...peer.AddrInfo) *node.Node {
	i, m := x.Named(name)
	dir := x.TempDir()
	if err := past.Save(i, filepath.Join(dir, "data")); err != nil {
		x.Fatal(err)
	}
	n, err := node.New(node.Config{
		Genesis: x.Genesis, Identity: m.Service, ProTxHash: m.ProTxHash, OperatorKey: &m.Operator,
		DataDir: filepath.Join(dir, "data"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: bootstrap, Log: slog.New(slog.DiscardHandler),
		APIAddress: "127.0.0.1:0", APICookie: filepath.Join(dir, "cookie"),
	})
	if err != nil {
		x.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	x.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			x.Error(err)
		}
	})
	x.client = api.Client{Addr: n.APIAddr(), Cookie: filepath.Join(dir, "cookie")}
	return n
}

func (x *exhibition) ban() wire.PlatformBan {
	_, m := x.Named("evo-4")
	ban, err := x.signers.Ban(m.ProTxHash, x.tip, x.signers.Threshold)
	if err != nil {
		x.Fatal(err)
	}
	return ban
}

func (x *exhibition) update() wire.Event {
	_, m := x.Named("evo-2")
	return x.Announce(m, 0)
}

// TestRPC holds docs/rpc.md to what a node answers: each method with its
// parameters, a call, and the shape of the answer. Values may differ.
func TestRPC(t *testing.T) {
	x := newExhibition(t)
	methods := make(map[string]api.Method)
	for _, m := range x.asked.Methods() {
		methods[m.Name] = m
	}
	methods["help"] = api.Method{Name: "help", Usage: "[METHOD]", Help: "list the methods, or show how one is called"}
	var fresh strings.Builder
	shown := make(map[string]bool)
	for _, e := range examples(x) {
		m, known := methods[e.method]
		if !known || shown[e.method] {
			t.Errorf("the example of %s is of no method or the second of one", e.method)
		}
		shown[e.method] = true
		fmt.Fprintf(&fresh, "### %s\n\n`%s`: %s\n\n%s", m.Name, strings.TrimSpace(m.Name+" "+m.Usage), m.Help, x.call(e))
	}
	for name := range maps.Keys(methods) {
		if !shown[name] {
			t.Errorf("method %s has no example", name)
		}
	}
	const file = "rpc.md"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	intro, examples, found := strings.Cut(string(old), mark)
	if !found {
		t.Fatalf("%s has no place for methods: %q", file, mark)
	}
	if *update {
		if err := os.WriteFile(file, []byte(intro+mark+strings.TrimRight(fresh.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, want := sections(t, "\n"+examples), sections(t, "\n"+fresh.String())
	for name, section := range want {
		if got[name] != section {
			t.Errorf("%s is stale: run go test ./docs -run RPC -update. Of %s it shows\n%s\nwant\n%s", file, name, got[name], section)
		}
	}
	for name := range got {
		if _, known := want[name]; !known {
			t.Errorf("%s shows %s, which is no method", file, name)
		}
	}
}

const mark = "<!-- methods -->\n\n"

// call shows a call and its answer.
func (x *exhibition) call(e example) string {
	name, sub, nested := strings.Cut(e.method, " ")
	params := e.params
	if nested {
		params = append([]any{sub}, params...)
	}
	request := map[string]any{"jsonrpc": "2.0", "id": 1, "method": name}
	if len(params) > 0 {
		request["params"] = params
	}
	var answer any
	var result json.RawMessage
	err := x.client.Call(x.Context(), e.method, &result, e.params...)
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && refused.Code == e.refused:
		answer = map[string]any{"error": refused}
	case err != nil || e.refused != 0:
		x.Errorf("%s %v: %v, want code %d", e.method, e.params, err, e.refused)
	default:
		answer = result
	}
	return fmt.Sprintf("    %s\n\n```json\n%s\n```\n\n", compact(x, request), indented(x, answer))
}

func compact(x *exhibition, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		x.Fatal(err)
	}
	return string(shortened(b))
}

// indented shows an answer, of lists the longest entry only.
func indented(x *exhibition, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		x.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	short, err := longest(d)
	if err != nil {
		x.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, short, "", "  "); err != nil {
		x.Fatal(err)
	}
	return string(shortened(b.Bytes()))
}

// longest copies JSON in the order of its names, with one entry of each list,
// and of each object whose names are hashes: the longest, which lacks nothing.
func longest(d *json.Decoder) ([]byte, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return json.Marshal(token)
	}
	var entries [][]byte
	one := delim == '['
	for d.More() {
		var entry []byte
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			entry = fmt.Appendf(nil, "%q:", name)
			one = len(entry) == 2*wire.HashSize+len(`"":`)
		}
		value, err := longest(d)
		if err != nil {
			return nil, err
		}
		entries = append(entries, append(entry, value...))
	}
	if one && len(entries) > 0 {
		entries = [][]byte{slices.MaxFunc(entries, func(a, b []byte) int { return len(a) - len(b) })}
	}
	_, err = d.Token()
	return slices.Concat([]byte{byte(delim)}, bytes.Join(entries, []byte(",")), []byte{byte(delim) + 2}), err // '[' + 2 is ']', and so of braces
}

var longHex = regexp.MustCompile(`[0-9a-f]{65,}`)

// shortened leaves out the middle of what nobody reads.
func shortened(b []byte) []byte {
	return longHex.ReplaceAllFunc(b, func(hex []byte) []byte { return slices.Concat(hex[:16], []byte("..."), hex[len(hex)-16:]) })
}

// sections reads what is shown of each method: heading, usage, method called,
// and of the answer the names and kinds of all values.
func sections(t *testing.T, text string) map[string]string {
	t.Helper()
	list := make(map[string]string)
	for _, section := range strings.Split(text, "\n### ")[1:] {
		name, rest, _ := strings.Cut(section, "\n")
		about, rest, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		call, rest, _ := strings.Cut(rest, "```json\n")
		answer, _, _ := strings.Cut(rest, "\n```")
		var request, result any
		if err := json.Unmarshal([]byte(call), &request); err != nil {
			t.Errorf("the call of %s: %v", name, err)
		}
		if err := json.Unmarshal([]byte(answer), &result); err != nil {
			t.Errorf("the answer of %s: %v", name, err)
		}
		list[name] = about + "\n" + shape(request, "call") + shape(result, "answer")
	}
	return list
}

// shape lists the names and kinds of all values below a path.
func shape(v any, path string) string {
	switch v := v.(type) {
	case map[string]any:
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below := name
			if len(name) == 2*wire.HashSize {
				below = "HASH"
			}
			b.WriteString(shape(v[name], path+"."+below))
		}
		return path + " object\n" + b.String()
	case []any:
		if len(v) == 0 {
			return path + " empty list\n"
		}
		return path + " list\n" + shape(v[0], path+"[]")
	default:
		return fmt.Sprintf("%s %T\n", path, v)
	}
}
