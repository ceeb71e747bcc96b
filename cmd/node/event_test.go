package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// serve answers the calls of commands with methods, and returns the
// configuration by which the commands find them. The directory has a genesis
// if one is given.
func serve(t testing.TB, methods []api.Method, genesis any) (configuration string) {
	t.Helper()
	dir := t.TempDir()
	s, err := api.Listen("127.0.0.1:0", filepath.Join(dir, "api.cookie"), methods, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c := config.Default()
	c.API.Listen = s.Addr()
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	b := bed{dir: dir}
	b.write(t, testnet.GenesisFile, string(raw))
	return b.write(t, testnet.ConfigFile, string(text))
}

// desk is where events are signed: a network, its key files, and a
// configuration.
type desk struct {
	*testnet.Network
	dir, config string
}

// newDesk writes the keys of all members, and new ones: new-service.key say.
func newDesk(t testing.TB, n *testnet.Network, methods ...api.Method) desk {
	t.Helper()
	path := serve(t, methods, n.Genesis)
	d := desk{n, filepath.Dir(path), path}
	for _, m := range n.Members {
		for _, err := range []error{
			config.WriteServiceKey(d.key(m, "service"), m.Service),
			config.WriteServiceKey(d.key(m, "staker"), m.Staker),
			config.WriteOperatorKey(d.key(m, "operator"), m.Operator),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range []string{"service", "operator", "staker"} {
		proctor(t, "key", "new", filepath.Join(d.dir, "new-"+kind+".key"), "--kind", kind).wantOK(t)
	}
	return d
}

func (d desk) key(m testnet.Member, kind string) string {
	return filepath.Join(d.dir, m.Name+"-"+kind+".key")
}
func (d desk) newKey(kind string) string { return filepath.Join(d.dir, "new-"+kind+".key") }

// event runs a command of the group.
func (d desk) event(t testing.TB, args ...string) outcome {
	t.Helper()
	return proctor(t, append(append([]string{"event"}, args...), "--config", d.config)...)
}

// sign runs a command that prints an event.
func (d desk) sign(t testing.TB, args ...string) wire.Event {
	t.Helper()
	o := d.event(t, args...)
	o.wantOK(t)
	e, err := node.ParseEventHex(strings.TrimSuffix(o.stdout, "\n"))
	if err != nil {
		t.Fatalf("%q prints %q: %v", args, o.stdout, err)
	}
	return e
}

const oneAddress = "/ip4/203.0.113.7/tcp/19850"

// Events that are signed offline do in blocks what they are for.
func TestEvent_SignedOfflineStandInBlocks(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: 5, Regular: 1, Seed: 3, Authorities: 1, Profile: "spec", Slot: time.Second, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Apart: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, n)
	s, err := n.Simulate(testnet.Link{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	owner, other := n.Members[0], n.Members[1]
	current := func() *engine.Snapshot { return s.Engine(0).Snapshot() }
	// carry has the event accepted and put into a block.
	carry := func(e wire.Event) {
		t.Helper()
		view := current().State
		if key, ok := engine.SignerOf(view, e); !ok || !engine.SignedByOperator(e, key) || !engine.SignedByStakers(e, ed25519.Verify) {
			t.Fatalf("%s is not signed as it must be", e.Kind())
		}
		if v := s.Submit(0, e); !v.OK() {
			t.Fatalf("%s is judged %s: %v", e.Kind(), v.Reason, view.CheckEvent(current().TipHeight()+1, e))
		}
		if err := s.Run(2); err != nil {
			t.Fatal(err)
		}
		if _, waits := current().Waiting(e); waits {
			t.Fatalf("%s stands in no block", e.Kind())
		}
	}
	if err := s.Run(10); err != nil {
		t.Fatal(err)
	}

	register := d.sign(t, "register", "--staker-key", d.key(owner, "staker"), "--operator-key", d.newKey("operator"), "--service-key", d.newKey("service"),
		"--amount", "400", "--evo", "--platform", "https://example.org/health", "--address", oneAddress, "--address", "/dns4/example.org/tcp/1", "--sequence", "1")
	carry(register)
	proTx := register.(wire.Register).ProTxHash()
	nodeNow := func() state.Node {
		t.Helper()
		found, ok := current().State.Node(proTx)
		if !ok {
			t.Fatalf("%s is not registered", proTx)
		}
		return found
	}
	if got := nodeNow(); got.Service() != state.Awaiting || !got.Evo || got.Platform != "https://example.org/health" || got.Staked() != 400 || !reflect.DeepEqual(got.Addresses, []string{oneAddress, "/dns4/example.org/tcp/1"}) {
		t.Errorf("registered as %+v", got)
	}
	carry(d.sign(t, "contribute", "--staker-key", d.key(other, "staker"), "--node", proTx.String(), "--amount", "600", "--sequence", "1"))
	if got := nodeNow(); got.Service() != state.Active || got.Staked() != 1000 {
		t.Errorf("after the contribution it is %s with %d", got.Service(), got.Staked())
	}
	carry(d.sign(t, "update-service", "--operator-key", d.newKey("operator"), "--node", proTx.String(), "--address", oneAddress, "--platform", "tcp://203.0.113.7:443", "--sequence", "1"))
	if got := nodeNow(); !reflect.DeepEqual(got.Addresses, []string{oneAddress}) || got.Platform != "tcp://203.0.113.7:443" {
		t.Errorf("it is reached at %q, its platform service at %q", got.Addresses, got.Platform)
	}
	carry(d.sign(t, "exit", "--staker-key", d.key(other, "staker"), "--node", proTx.String(), "--sequence", "2"))
	if got := nodeNow(); got.ExitHeight == state.NoHeight {
		t.Error("it does not leave")
	}
	carry(d.sign(t, "revoke", "--operator-key", d.newKey("operator"), "--node", proTx.String(), "--reason", "change-of-keys", "--sequence", "2"))
	if got := nodeNow(); !got.Revoked || !got.PoSeBanned() {
		t.Errorf("after the revocation it is %+v", got)
	}
	// The history of a node that events made is told.
	data := t.TempDir()
	if err := s.Save(0, data); err != nil {
		t.Fatal(err)
	}
	real, err := node.New(node.Config{
		Genesis: n.Genesis, Identity: owner.Service, DataDir: data, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	o := proctor(t, "explain", proTx.String(), "--config", serve(t, real.Methods(), nil))
	o.wantOK(t)
	for _, words := range []string{": active, PoSe-banned\n", "event        register", "not registered -> awaiting", "event        contribute", "awaiting -> active", "update-service"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("the explanation lacks %q:\n%s", words, o.stdout)
		}
	}

	// A node is named by its name in the genesis too.
	e := d.sign(t, "revoke", "--operator-key", d.key(other, "operator"), "--node", other.Name, "--sequence", "1")
	if got := e.(wire.Revoke); got.ProTxHash != other.ProTxHash || got.Reason != 0 || got.Head() != (wire.EventHead{Network: n.Genesis.Hash(), Sequence: 1}) {
		t.Errorf("revocation of %s is %+v", other.Name, got)
	}
}

// The running node is asked what the event must carry, takes it, and lists it.
func TestEvent_WithARunningNode(t *testing.T) {
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 5, Regular: 1, Seed: 4, Profile: "spec", Slot: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{
		Genesis: network.Genesis, Identity: network.Members[0].Service, DataDir: t.TempDir(),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await(t, "the node to be synced", func() bool { return n.Snapshot().Synced() })
	d := newDesk(t, network, n.EventMethods()...)
	owner := network.Members[1]

	if got := d.event(t, "list", "--json"); got.stdout != "[]\n" {
		t.Errorf("at first there wait %s", got.stdout)
	}
	var waiting []string
	for _, args := range [][]string{
		{"register", "--staker-key", d.key(owner, "staker"), "--operator-key", d.newKey("operator"), "--service-key", d.newKey("service"), "--amount", "1000"},
		{"update-service", "--operator-key", d.key(owner, "operator"), "--node", owner.Name, "--address", oneAddress},
		{"exit", "--staker-key", d.key(network.Members[2], "staker"), "--node", network.Members[2].ProTxHash.String()},
		{"revoke", "--operator-key", d.key(network.Members[3], "operator"), "--node", network.Members[3].Name, "--reason", "termination"},
	} {
		signed := d.sign(t, args...)
		if got := signed.Head(); got != (wire.EventHead{Network: network.Genesis.Hash(), Sequence: 1}) {
			t.Errorf("%s carries %+v", args[0], got)
		}
		var r node.EventResult
		exactly(t, d.event(t, append(args, "--submit", "--json")...), &r)
		if r.Kind != args[0] || !r.Accepted || r.Reason != "valid" || r.Sequence != 1 || r.ProTxHash != node.DescribeEvent(signed).ProTxHash {
			t.Errorf("%s: %+v", args[0], r)
		}
		waiting = append(waiting, r.ProTxHash.String())
		// Again: the same event is known, whichever way it comes.
		o := d.event(t, "submit", node.DescribeEvent(signed).Hex)
		if o.code != exitFailed || !strings.Contains(o.stdout, "duplicate") || o.stderr != "" {
			t.Errorf("%s once more: exit code %d, stdout %q, stderr %q", args[0], o.code, o.stdout, o.stderr)
		}
	}
	o := d.event(t, "list")
	o.wantOK(t)
	for _, proTx := range waiting {
		if strings.Count(o.stdout, proTx) == 0 {
			t.Errorf("the list lacks %s:\n%s", proTx, o.stdout)
		}
	}
	var list []node.EventInfo
	exactly(t, d.event(t, "list", "--json"), &list)
	if len(list) != len(waiting) {
		t.Errorf("%d events wait, want %d", len(list), len(waiting))
	}

	// What the node refuses says why.
	o = d.event(t, "contribute", "--staker-key", d.key(network.Members[3], "staker"), "--node", owner.Name, "--amount", "5", "--submit")
	if o.code != exitFailed || !strings.Contains(o.stdout, "reason          event-refused\ndetail          node awaits no stake\n") {
		t.Errorf("exit code %d, stdout %q", o.code, o.stdout)
	}
	d.event(t, "exit", "--staker-key", d.newKey("staker"), "--node", owner.Name).wantError(t, exitFailed, "granted no stake")
	d.event(t, "revoke", "--operator-key", d.newKey("operator"), "--node", zeros).wantError(t, exitFailed, "is not registered")
}

func TestEvent_NoNodeToAsk(t *testing.T) {
	b := layOut(t, 4)
	staker := filepath.Join(b.dir, "staker.key")
	proctor(t, "key", "new", staker, "--kind", "staker").wantOK(t)
	exit := []string{"event", "exit", "--staker-key", staker, "--node", zeros, "--config", b.config()}
	proctor(t, exit...).wantError(t, exitFailed, "does it run?")
	o := proctor(t, append(exit, "--sequence", "1")...)
	o.wantOK(t)
	proctor(t, "event", "submit", strings.TrimSpace(o.stdout), "--config", b.config()).wantError(t, exitFailed, "does it run?")
	proctor(t, "event", "list", "--config", b.config()).wantError(t, exitFailed, "does it run?")
	t.Setenv("PROCTOR_API_LISTEN", "")
	proctor(t, exit...).wantError(t, exitUnusable, "api.listen")
}

func TestEvent_Decode(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{Nodes: 4, Seed: 5, Profile: "spec", Slot: time.Second, Now: time.Now(), Apart: true})
	if err != nil {
		t.Fatal(err)
	}
	m := n.Members[0]
	for _, e := range []wire.Event{n.Register(m, 7, 8), n.Contribute(m, wire.Hash{1}, math.MaxUint64, 0), n.Exit(m, wire.Hash{1}, 0), n.Announce(m, math.MaxUint64-1), n.Revoke(m, 0)} {
		info := node.DescribeEvent(e)
		var got node.EventInfo
		exactly(t, proctor(t, "event", "decode", " "+strings.ToUpper(info.Hex)+"\n", "--json"), &got)
		if !reflect.DeepEqual(got, info) {
			t.Errorf("%s is shown as %+v, want %+v", e.Kind(), got, info)
		}
		o := proctor(t, "event", "decode", info.Hex)
		o.wantOK(t)
		for _, line := range []string{"kind            " + info.Kind, "record          " + info.Record, fmt.Sprint("sequence        ", info.Sequence), "protx_hash      " + info.ProTxHash.String()} {
			if !strings.Contains(o.stdout, line+"\n") {
				t.Errorf("%s lacks %q:\n%s", e.Kind(), line, o.stdout)
			}
		}
	}
}

func TestEvent_WrongInput(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{Nodes: 4, Seed: 6, Profile: "spec", Slot: time.Second, Now: time.Now(), Apart: true})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, n)
	secret := strings.Repeat("5e", 31)
	file := func(name, text string, mode os.FileMode) string {
		path := bed{dir: d.dir}.write(t, name, text)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short, open := file("short.key", secret, 0o600), file("open.key", secret+"5e", 0o644)
	staker, service, operator := d.newKey("staker"), d.newKey("service"), d.newKey("operator")
	register := fmt.Sprintf("register --staker-key %s --service-key %s --operator-key %s --amount 5 --sequence 1 ", staker, service, operator)
	contribute := fmt.Sprintf("contribute --staker-key %s --node %s --amount 5 --sequence 1 ", staker, zeros)
	update := fmt.Sprintf("update-service --operator-key %s --node evo-1 --address %s --sequence 1 ", operator, oneAddress)
	revoke := fmt.Sprintf("revoke --operator-key %s --node evo-1 --sequence 1 ", operator)
	exit := fmt.Sprintf("exit --staker-key %s --node evo-1 --sequence 1 ", staker)
	for _, good := range []string{register, contribute, update, revoke, exit} {
		d.event(t, strings.Fields(good)...).wantOK(t)
		// Without any one of its flags it is refused, and the flag named.
		words := strings.Fields(good)
		for i := 1; i < len(words); i += 2 {
			if words[i] != "--sequence" {
				less := append(append([]string{}, words[:i]...), words[i+2:]...)
				d.event(t, less...).wantError(t, exitUnusable, words[i]+" is not given", "proctor event "+words[0]+" --help")
			}
		}
	}
	five := strings.Repeat("--address "+oneAddress+" ", 5)
	for _, c := range []struct {
		name, args string
		words      []string
	}{
		{"no amount at all", contribute + "--amount 0", []string{"--amount", `"0"`, "1 to 18446744073709551615"}},
		{"amount below zero", contribute + "--amount -5", []string{"--amount", `"-5"`}},
		{"amount beyond 64 bits", register + "--amount 18446744073709551616", []string{"--amount", "1 to 18446744073709551615"}},
		{"sequence of zero", exit + "--sequence 0", []string{"--sequence", `"0"`, "1 to 18446744073709551615"}},
		{"sequence beyond 64 bits", exit + "--sequence 18446744073709551616", []string{"--sequence"}},
		{"node that is unknown", exit + "--node evo-9", []string{"--node", `"evo-9"`, "64 hex digits"}},
		{"node without a name", exit + "--node=", []string{"--node", `""`}},
		{"address that is none", register + "--address example.org:1", []string{"--address", `"example.org:1"`, "/ip4/203.0.113.7"}},
		{"address too long", update + "--address /dns4/" + strings.Repeat("a", 200), []string{"--address", "206 bytes", "128"}},
		{"five addresses", register + five, []string{"--address", "5 addresses", "0 to 4"}},
		{"five addresses of an update", strings.Replace(update, "--address", five+"--address", 1), []string{"--address", "6 addresses", "1 to 4"}},
		{"empty address", fmt.Sprintf("update-service --operator-key %s --node evo-1 --sequence 1 --address=", operator), []string{"--address", "0 addresses", "1 to 4"}},
		{"platform endpoint of a regular masternode", register + "--platform tcp://203.0.113.7:443", []string{"--platform", "--evo"}},
		{"platform endpoint that is none", register + "--evo --platform example.org:443", []string{"--platform", `"example.org:443"`, "tcp://"}},
		{"platform endpoint without a port", update + "--platform tcp://example.org", []string{"--platform", "needs a port"}},
		{"platform endpoint too long", update + "--platform https://" + strings.Repeat("a", 200), []string{"--platform", "208 bytes", "128"}},
		{"reason that is unknown", revoke + "--reason boredom", []string{"--reason", `"boredom"`, "compromised-keys"}},
		{"no staker key", exit + "--staker-key none.key", []string{"--staker-key", "none.key", "does not exist"}},
		{"staker key too short", exit + "--staker-key " + short, []string{"--staker-key", "short.key", "64 hex digits"}},
		{"staker key that others read", contribute + "--staker-key " + open, []string{"--staker-key", "open.key", "chmod 600"}},
		{"service key too short", register + "--service-key " + short, []string{"--service-key", "short.key", "64 hex digits"}},
		{"operator key too short", register + "--operator-key " + short, []string{"--operator-key", "short.key", "64 hex digits"}},
		{"operator key that others read", revoke + "--operator-key " + open, []string{"--operator-key", "open.key", "chmod 600"}},
		{"no operator key of an update", update + "--operator-key none.key", []string{"--operator-key", "none.key"}},
		{"an argument", exit + "more", []string{`"more"`}},
		{"nothing to decode", "decode", []string{"1 arg", "0"}},
		{"nothing to submit", "submit", []string{"1 arg", "0"}},
		{"submit no hex", "submit xy", []string{"not hex"}},
		{"submit half an event", "submit 01", []string{"event"}},
		{"submit too much", "submit " + strings.Repeat("00", wire.MaxEventSize+1), []string{fmt.Sprint(2*wire.MaxEventSize+2, " hex digits"), fmt.Sprint(2 * wire.MaxEventSize)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := d.event(t, strings.Fields(c.args)...)
			if strings.HasPrefix(c.args, "decode") {
				o = proctor(t, "event", "decode")
			}
			o.wantError(t, exitUnusable, c.words...)
			if strings.Contains(o.stderr, "5e5e") {
				t.Errorf("the secret was printed: %s", o.stderr)
			}
		})
	}
	for hex, words := range map[string][]string{"": {"event"}, "xy": {"2 characters", "not hex"}, "01": {"event"}, "ff" + strings.Repeat("00", 72): {"kind 255"}} {
		proctor(t, "event", "decode", hex).wantError(t, exitUnusable, words...)
	}
	// Offline it needs a genesis, and says so.
	proctor(t, append([]string{"event"}, append(strings.Fields(exit), "--config", filepath.Join(d.dir, "none.toml"))...)...).wantError(t, exitUnusable, "none.toml", "no such file")
	if err := os.Remove(filepath.Join(d.dir, testnet.GenesisFile)); err != nil {
		t.Fatal(err)
	}
	d.event(t, strings.Fields(exit)...).wantError(t, exitUnusable, testnet.GenesisFile, "no such file")
}
