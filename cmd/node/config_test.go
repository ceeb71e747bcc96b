package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// bed is where one node of a network lies, as an operator would lay it out.
type bed struct {
	*testnet.Network
	dir    string
	member testnet.Member
	tip    int32

	quorums testnet.Quorums // made so far, newest first
}

func (b bed) config() string { return filepath.Join(b.dir, testnet.ConfigFile) }
func (b bed) data() string   { return filepath.Join(b.dir, "data") }

// The chain of a bed stands still: its history ends now, and the only author
// of blocks is the first node, which does not run. The evonodes have made two
// quorums.
const bedHistory = 61

// layOut makes a network of that many evonodes and the directory of its second
// node: genesis, keys, configuration, and a database with the history in it.
func layOut(t testing.TB, nodes int) bed {
	t.Helper()
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: nodes, Authorities: 1, Seed: 11, Profile: "spec", Slot: time.Hour, History: bedHistory, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b := bed{Network: n, dir: t.TempDir(), member: n.Members[1]}
	past, err := n.History()
	if err != nil {
		t.Fatal(err)
	}
	b.tip = past.Engine(1).Snapshot().TipHeight()
	if b.quorums, err = past.Quorums(); err != nil {
		t.Fatal(err)
	}
	if err := past.Save(1, b.data()); err != nil {
		t.Fatal(err)
	}
	if err := config.WriteServiceKey(filepath.Join(b.dir, "service.key"), b.member.Service); err != nil {
		t.Fatal(err)
	}
	if err := config.WriteOperatorKey(filepath.Join(b.dir, "operator.key"), b.member.Operator); err != nil {
		t.Fatal(err)
	}
	genesis, err := json.Marshal(n.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, testnet.GenesisFile, string(genesis))
	c := config.Default()
	c.ProTxHash = b.member.ProTxHash.String()
	c.P2P.Listen = b.member.Addresses()[1:] // TCP only: the end of a killed process is seen at once
	c.API.Listen, c.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0"
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, testnet.ConfigFile, string(text))
	return b
}

// ban is a ban that a quorum of the network signed.
func (b bed) ban(t testing.TB, proTx wire.Hash, height int32) wire.PlatformBan {
	t.Helper()
	signers := b.quorums.At(height)
	m, err := signers.Ban(proTx, height, signers.Threshold)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// write writes a file of the node and returns its path.
func (b bed) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inForce reads the answer of config check.
func inForce(t testing.TB, o outcome) map[string]string {
	t.Helper()
	o.wantOK(t)
	m := make(map[string]string)
	text, ok := strings.CutSuffix(o.stdout, "ok\n")
	if !ok {
		t.Fatalf("stdout does not end in ok:\n%s", o.stdout)
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		m[key] = strings.TrimSpace(value)
	}
	return m
}

func TestConfigCheck_ShowsWhatIsInForce(t *testing.T) {
	b := layOut(t, 4)
	check := []string{"config", "check", "--config", b.config()}
	want := map[string]string{
		"network":        "devnet",
		"genesis":        filepath.Join(b.dir, "genesis.json"),
		"data_dir":       b.data(),
		"service_key":    filepath.Join(b.dir, "service.key"),
		"operator_key":   filepath.Join(b.dir, "operator.key"),
		"protx_hash":     b.member.ProTxHash.String(),
		"penalties":      "enforce",
		"watch_quorums":  "false",
		"p2p.listen":     b.member.Addresses()[1],
		"p2p.bootstrap":  "",
		"p2p.announce":   "",
		"api.listen":     "127.0.0.1:0",
		"api.cookie":     filepath.Join(b.dir, "api.cookie"),
		"metrics.listen": "127.0.0.1:0",
		"log.level":      "info",
		"log.format":     "text",
	}
	compare := func(args ...string) {
		t.Helper()
		got := inForce(t, proctor(t, append(check, args...)...))
		for _, s := range config.Settings() {
			if got[s.Key] != want[s.Key] {
				t.Errorf("%v: %s is %q, want %q", args, s.Key, got[s.Key], want[s.Key])
			}
		}
	}
	compare()

	t.Setenv("PROCTOR_LOG_LEVEL", "debug")
	t.Setenv("PROCTOR_P2P_LISTEN", "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2")
	t.Setenv("PROCTOR_METRICS_LISTEN", "127.0.0.1:9500")
	want["log.level"], want["metrics.listen"] = "debug", "127.0.0.1:9500"
	want["p2p.listen"] = "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2"
	compare()

	want["log.level"], want["metrics.listen"], want["p2p.listen"] = "error", "", "/ip4/127.0.0.1/tcp/3"
	compare("--log.level", "error", "--metrics.listen", "", "--p2p.listen", "/ip4/127.0.0.1/tcp/3")

	t.Setenv("PROCTOR_LOG_LEVLE", "debug")
	proctor(t, check...).wantError(t, exitUnusable, "PROCTOR_LOG_LEVLE", "log.level")
}

// Relative paths start at the file's directory, wherever one stands.
func TestConfigCheck_FromElsewhere(t *testing.T) {
	b := layOut(t, 4)
	t.Chdir(filepath.Dir(b.dir))
	got := inForce(t, proctor(t, "config", "check", "--config", filepath.Join(filepath.Base(b.dir), testnet.ConfigFile)))
	if want := filepath.Join(b.dir, "service.key"); got["service_key"] != want {
		t.Errorf("service_key is %q, want %q", got["service_key"], want)
	}
}

// check and run refuse the same configurations, with the same words.
func TestConfigCheck_Errors(t *testing.T) {
	b := layOut(t, 4)
	genesis, err := os.ReadFile(filepath.Join(b.dir, testnet.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("5e", 31)
	open := b.write(t, "open.key", secret+"5e")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"no file", []string{"--config", filepath.Join(b.dir, "none.toml")}, []string{"none.toml", "no such file", "proctor demo --keep"}},
		{"a directory", []string{"--config", b.dir}, []string{"is a directory"}},
		{"unknown key", []string{"--config", b.write(t, "key.toml", "\nbogus = 1\n")}, []string{"key.toml", "line 2", `"bogus"`, "network, genesis, data_dir"}},
		{"wrong type", []string{"--config", b.write(t, "type.toml", "network = 5\n")}, []string{"type.toml", "line 1", "network", "want a text"}},
		{"unknown flag", []string{"--p2p.lisen", "x"}, []string{"--p2p.lisen"}},
		{"no multiaddress", []string{"--p2p.listen", "127.0.0.1:1"}, []string{"p2p.listen", `"127.0.0.1:1"`}},
		{"bootstrap without an identity", []string{"--p2p.bootstrap", "/ip4/127.0.0.1/tcp/1"}, []string{"p2p.bootstrap", "/p2p/ID"}},
		{"metrics without a port", []string{"--metrics.listen", "localhost"}, []string{"metrics.listen", `"localhost"`, "host:port"}},
		{"metrics on a port too large", []string{"--metrics.listen", "localhost:99999"}, []string{"metrics.listen", "99999", "65535"}},
		{"unknown level", []string{"--log.level", "loud"}, []string{"log.level", `"loud"`, "debug, info, warn, error"}},
		{"unknown format", []string{"--log.format", "xml"}, []string{"log.format", `"xml"`, "text, json"}},
		{"short protx", []string{"--protx_hash", "ab"}, []string{"protx_hash", `"ab"`, "64 hex digits"}},

		{"no genesis", []string{"--genesis", "none.json"}, []string{"genesis", filepath.Join(b.dir, "none.json"), "no such file"}},
		{"genesis is something else", []string{"--genesis", b.write(t, "other.json", `{"nonsense":1}`)}, []string{"other.json", "genesis", "unknown field"}},
		{"genesis cut off", []string{"--genesis", b.write(t, "cut.json", string(genesis[:len(genesis)/2]))}, []string{"cut.json", "genesis"}},
		{"genesis with a tail", []string{"--genesis", b.write(t, "tail.json", string(genesis)+"{}")}, []string{"tail.json", "genesis"}},
		{"another network", []string{"--network", "regtest"}, []string{`"regtest"`, testnet.GenesisFile, `"devnet"`}},
		{"unknown network", []string{"--network", "mainnet"}, []string{`"mainnet"`, "dash-mainnet"}},

		{"no key", []string{"--service_key", "none.key"}, []string{"none.key", "does not exist", "proctor key new"}},
		{"key that others read", []string{"--service_key", "open.key"}, []string{"open.key", "0644", "chmod 600"}},
		{"key too short", []string{"--service_key", b.write(t, "short.key", secret)}, []string{"short.key", "62 characters", "64 hex digits"}},
		{"no operator key", []string{"--operator_key", "none.key"}, []string{"operator key", "none.key", "does not exist", "never votes"}},
		{"operator key that others read", []string{"--operator_key", "open.key"}, []string{"operator key", "open.key", "0644", "chmod 600"}},
		{"operator key too short", []string{"--operator_key", "short.key"}, []string{"short.key", "62 characters"}},
		{"operator key beyond the order", []string{"--operator_key", b.write(t, "order.key", strings.Repeat("ff", 32))}, []string{"order.key", "operator key", "order of the group"}},
		{"key not hex", []string{"--service_key", b.write(t, "hex.key", secret+"zz")}, []string{"hex.key", "not hex"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"--config", b.config()}, c.args...)
			checked := proctor(t, append([]string{"config", "check"}, args...)...)
			checked.wantError(t, exitUnusable, c.words...)
			started := proctor(t, append([]string{"run"}, args...)...)
			started.wantError(t, exitUnusable, c.words...)
			if strings.Contains(checked.stderr+started.stderr, "5e5e") {
				t.Errorf("the secret was printed: %s", checked.stderr)
			}
		})
	}
}

// What the configuration cannot show is found before anything runs.
func TestRun_RefusesTheWrongIdentity(t *testing.T) {
	b := layOut(t, 4)
	run := []string{"run", "--config", b.config()}
	other := filepath.Join(b.dir, "other.key")
	proctor(t, "key", "new", other).wantOK(t)
	proctor(t, append(run, "--service_key", other)...).wantError(t, exitFailed, b.member.ProTxHash.String(), "service key")

	// The operator key is found to be another's before the node opens anything.
	theirs := filepath.Join(b.dir, "theirs.key")
	if err := config.WriteOperatorKey(theirs, b.Members[2].Operator); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{run, {"config", "check", "--config", b.config()}} {
		registered, held := b.Genesis.Nodes[1].OperatorKey.String(), b.Genesis.Nodes[2].OperatorKey.String()
		proctor(t, append(command, "--operator_key", theirs)...).
			wantError(t, exitUnusable, "operator key", theirs, b.member.ProTxHash.String(), registered, held)
	}

	elsewhere := layOut(t, 5) // same seed, another genesis
	proctor(t, append(run, "--genesis", filepath.Join(elsewhere.dir, testnet.GenesisFile))...).
		wantError(t, exitFailed, b.data(), "another network", elsewhere.Genesis.Hash().String(), b.Genesis.Hash().String())
}

// In this process, so that what it leaves behind is seen.
func TestRun_StopsInOrder(t *testing.T) {
	b := layOut(t, 4)
	for _, args := range [][]string{
		{"--log.format", "json"},
		{"--protx_hash", "", "--metrics.listen", "", "--p2p.announce", "/ip4/127.0.0.1/tcp/1"}, // an observer
		{"--protx_hash", strings.Repeat("1", 64)},                                              // not registered yet
	} {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var stdout bytes.Buffer
		var stderr transcript
		done := make(chan int, 1)
		go func() {
			done <- execute(ctx, append([]string{"run", "--config", b.config()}, args...), &stdout, &stderr)
		}()
		await(t, "the node to start", func() bool { return strings.Contains(stderr.String(), "node starts") || len(done) > 0 })
		stop()
		if code := <-done; code != exitOK || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d, want %d; stdout %q, stderr:\n%s", args, code, exitOK, stdout.String(), stderr.String())
		}
		if args[0] == "--log.format" {
			for line := range strings.Lines(stderr.String()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("log line is not JSON: %s", line)
				}
			}
		}
	}
}
