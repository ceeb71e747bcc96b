package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/wire"
)

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // what stands in the developer's environment is not under test
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, config.EnvPrefix) {
			os.Unsetenv(name)
		}
	}
	var err error
	if builtIn, err = os.MkdirTemp("", "proctor-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(builtIn)
		os.Exit(code)
	}))
}

var builtIn string // directory of the binary

// build makes the binary that users run, once for all tests that need it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(builtIn, "proctor")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// outcome is what a user sees of one command line.
type outcome struct {
	args           []string
	code           int
	stdout, stderr string
}

// proctor runs one command line in this process. What does not end by itself
// is stopped.
func proctor(t testing.TB, args ...string) outcome {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var stdout, stderr bytes.Buffer
	code := execute(ctx, args, &stdout, &stderr)
	return outcome{args, code, stdout.String(), stderr.String()}
}

// wantOK fails the test unless the command worked in silence.
func (o outcome) wantOK(t testing.TB) {
	t.Helper()
	if o.code != exitOK || o.stderr != "" {
		t.Fatalf("proctor %.200q: exit code %d, want %d; stderr:\n%s\nstdout:\n%.2000s", o.args, o.code, exitOK, o.stderr, o.stdout)
	}
}

// wantError fails the test unless the command said in one line what is wrong,
// with all of the words in it, and nothing else.
func (o outcome) wantError(t testing.TB, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("proctor %.200q: exit code %d, want %d", o.args, o.code, code)
	}
	if o.stdout != "" {
		t.Errorf("proctor %.200q: stdout %q, want none", o.args, o.stdout)
	}
	if !strings.HasPrefix(o.stderr, "proctor: ") || strings.Count(o.stderr, "\n") != 1 || !strings.HasSuffix(o.stderr, "\n") {
		t.Errorf("proctor %.200q: stderr is not one line:\n%s", o.args, o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("proctor %.200q: stderr %q, want %q in it", o.args, o.stderr, w)
		}
	}
	for _, never := range []string{"panic", "goroutine ", "Usage:", "runtime error"} {
		if strings.Contains(o.stderr, never) {
			t.Errorf("proctor %.200q: %q in stderr:\n%s", o.args, never, o.stderr)
		}
	}
}

const (
	limit    = 20 * time.Second // for whatever a test waits for
	patience = time.Minute      // with a whole command
)

// await polls until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

const somebody = "12D3KooWRVMEzH8G9Fgi37GdxQPFujqspnrJdNBDwDqEuKD2Z2tV"

var zeros = strings.Repeat("0", 64)

func TestUsage_WrongInputIsOneLine(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "something"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"unknown command", []string{"nonsense"}, []string{`"nonsense"`, "proctor --help"}},
		{"unknown command of a group", []string{"ban", "nonsense"}, []string{`"nonsense"`, "proctor ban --help"}},
		{"unknown shell", []string{"completion", "nonsense"}, []string{`"nonsense"`}},
		{"unknown event", []string{"event", "transfer"}, []string{`"transfer"`, "proctor event --help"}},
		{"nobody's history", []string{"explain"}, []string{"1 arg", "0"}},
		{"history at a height below zero", []string{"explain", "evo-1", "--at", "-1"}, []string{"--at", `"-1"`, "0 to"}},
		{"history of a node without a name", []string{"explain", ""}, []string{`""`, "name"}},
		{"extra argument to nodes", []string{"nodes", "extra"}, []string{`"extra"`}},
		{"nodes without a configuration", []string{"nodes", "--config", filepath.Join(full, "none.toml")}, []string{"none.toml", "no such file"}},
		{"unknown flag", []string{"--nonsense"}, []string{"--nonsense", "proctor --help"}},
		{"unknown flag of a command", []string{"demo", "--nonsense"}, []string{"--nonsense", "proctor demo --help"}},
		{"unknown short flag", []string{"run", "-z"}, []string{"'z'"}},
		{"flag without a value", []string{"run", "--config"}, []string{"--config"}},
		{"extra argument to run", []string{"run", "extra"}, []string{`"extra"`}},
		{"extra argument to config check", []string{"config", "check", "extra"}, []string{`"extra"`}},
		{"extra argument to demo", []string{"demo", "extra"}, []string{`"extra"`}},
		{"sign a ban without a quorum", []string{"ban", "sign"}, []string{`"sign"`, "proctor ban --help"}},
		{"decode nothing", []string{"decode"}, []string{"2 arg", "0"}},
		{"decode no message", []string{"decode", "qfcommit"}, []string{"2 arg", "1"}},
		{"decode an unknown kind", []string{"decode", "qsigsinv", "00"}, []string{`"qsigsinv"`, "known: platformban, qcontrib", "peer-list"}},
		{"unknown command of quorum", []string{"quorum", "sign"}, []string{`"sign"`, "proctor quorum --help"}},
		{"no commitment to verify", []string{"quorum", "verify-commitment"}, []string{"1 arg", "0"}},
		{"two messages to inspect", []string{"ban", "inspect", "aa", "bb"}, []string{"1 arg", "2"}},
		{"no message to inspect", []string{"ban", "inspect"}, []string{"1 arg", "0"}},
		{"no message to verify", []string{"ban", "verify"}, []string{"1 arg", "0"}},
		{"no file for a key", []string{"key", "new"}, []string{"1 arg", "0"}},
		{"too few nodes", []string{"demo", "--nodes", "9"}, []string{"9 nodes", "10 to 30"}},
		{"too many nodes", []string{"demo", "--nodes", "31"}, []string{"31 nodes", "10 to 30"}},
		{"nodes is no number", []string{"demo", "--nodes", "abc"}, []string{`"abc"`, "--nodes"}},
		{"seed below zero", []string{"demo", "--seed", "-1"}, []string{`"-1"`, "--seed"}},
		{"unknown profile", []string{"demo", "--profile", "x"}, []string{`"x"`, "spec", "core"}},
		{"directory is not empty", []string{"demo", "--keep", full}, []string{full, "not empty"}},
		{"directory is a file", []string{"demo", "--keep", filepath.Join(full, "something")}, []string{"something", "not a directory"}},
		{"no directory for a network", []string{"testnet", "init"}, []string{"--out"}},
		{"too few nodes for a quorum", []string{"testnet", "init", "--out", "x", "--nodes", "3"}, []string{"3 nodes", "4 to 100"}},
		{"too many nodes for containers", []string{"testnet", "init", "--out", "x", "--nodes", "101"}, []string{"101 nodes", "4 to 100"}},
		{"slot too short", []string{"testnet", "init", "--out", "x", "--slot", "49ms"}, []string{"49ms", "50ms", "1h"}},
		{"slot too long", []string{"testnet", "init", "--out", "x", "--slot", "1h1ms"}, []string{"1h0m0.001s", "50ms", "1h"}},
		{"slot with a fraction", []string{"testnet", "init", "--out", "x", "--slot", "60500us"}, []string{"60.5ms", "whole milliseconds"}},
		{"slot without a unit", []string{"testnet", "init", "--out", "x", "--slot", "1"}, []string{`"1"`, "--slot"}},
		{"profile of a network", []string{"testnet", "init", "--out", "x", "--profile", "x"}, []string{`"x"`, "spec", "core"}},
		{"network in a full directory", []string{"testnet", "init", "--out", full}, []string{full, "not empty"}},
		{"nobody to explain", []string{"peers", "explain"}, []string{"1 arg", "0"}},
		{"unknown command of peers", []string{"peers", "nonsense"}, []string{`"nonsense"`, "proctor peers --help"}},
		{"explain what is no peer", []string{"peers", "explain", "12D3"}, []string{`"12D3"`, "proctor peers"}},
		{"ban what is no peer", []string{"peers", "ban", "me"}, []string{`"me"`, "proctor peers"}},
		{"unban what is no peer", []string{"peers", "unban", ""}, []string{`""`, "proctor peers"}},
		{"ban for no time", []string{"peers", "ban", somebody, "--hours", "0"}, []string{"0 hours", "1 to 8760"}},
		{"ban for too long", []string{"peers", "ban", somebody, "--hours", "8761"}, []string{"8761 hours", "1 to 8760"}},
		{"half a ban", []string{"ban", "submit", "aa", "7"}, []string{"2 arguments", "1 (hex) or 4"}},
		{"ban at no height", []string{"ban", "submit", zeros, "x", zeros, "00"}, []string{"height", `"x"`, "32 bits"}},
		{"ban with half a hash", []string{"ban", "submit", "00", "7", zeros, "00"}, []string{"protxhash", "64"}},
		{"extra argument to health", []string{"health", "extra"}, []string{`"extra"`}},
		{"health without a configuration", []string{"health", "--config", filepath.Join(full, "none.toml")}, []string{"none.toml", "no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) { proctor(t, c.args...).wantError(t, exitUnusable, c.words...) })
	}
}

func TestUsage_GroupsShowTheirHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"ban"}, {"quorum"}, {"config"}, {"key"}, {"event"}, {"rules"}, {"testnet"}, {"completion"}, {"run", "--help"}, {"--version"}} {
		o := proctor(t, args...)
		o.wantOK(t)
		if o.stdout == "" {
			t.Errorf("proctor %q: nothing on stdout", args)
		}
	}
}

// Every command says in its help what it does, and shows how it is called.
func TestUsage_EveryCommandHasExamples(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Name() == "completion" { // cobra's own
			return
		}
		if c.Short == "" || c.Example == "" || !c.HasSubCommands() && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(rootCommand())
}

// Every setting can be given to the commands that read a configuration.
func TestUsage_EverySettingIsAFlag(t *testing.T) {
	for _, command := range []string{"run", "config check"} {
		help := proctor(t, append(strings.Fields(command), "--help")...).stdout
		for _, s := range config.Settings() {
			if !strings.Contains(help, "--"+s.Key) || !strings.Contains(help, s.Help) {
				t.Errorf("proctor %s --help: no --%s with %q", command, s.Key, s.Help)
			}
		}
	}
}

// The public key that is printed is the one that the registry would show.
func TestKeyNew_Kinds(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"service", "operator", "staker"} {
		path := filepath.Join(dir, kind+".key")
		o := proctor(t, "key", "new", path, "--kind", kind)
		o.wantOK(t)
		var want string
		if kind == "operator" {
			key, err := config.ReadOperatorKey(path)
			if err != nil {
				t.Fatal(err)
			}
			want = wire.OperatorKey(key.PublicKey().Bytes()).String()
		} else {
			key, err := config.ReadServiceKey(path)
			if err != nil {
				t.Fatal(err)
			}
			want = fmt.Sprintf("%x", []byte(key)[32:])
		}
		if o.stdout != want+"\n" {
			t.Errorf("%s: stdout %q, want %q", kind, o.stdout, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", kind, info.Mode(), err)
		}
		proctor(t, "key", "new", path, "--kind", kind).wantError(t, exitFailed, path, "exists")
	}
	proctor(t, "key", "new", filepath.Join(dir, "x"), "--kind", "quorum").wantError(t, exitUnusable, "--kind", `"quorum"`, "service, operator, staker")
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("a key of an unknown kind was made")
	}
}

func TestKeyNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.key")
	o := proctor(t, "key", "new", path)
	o.wantOK(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %#o, want 0600", got)
	}
	private, err := config.ReadServiceKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := o.stdout, fmt.Sprintf("%x\n", []byte(private)[32:]); got != want {
		t.Errorf("stdout %q, want the public key %q", got, want)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(o.stdout, strings.TrimSpace(string(secret))) {
		t.Error("the secret was printed")
	}

	proctor(t, "key", "new", path).wantError(t, exitFailed, path, "exists")
	after, err := os.ReadFile(path)
	if err != nil || !slices.Equal(after, secret) {
		t.Errorf("an existing key was changed (err %v)", err)
	}
	proctor(t, "key", "new", filepath.Join(t.TempDir(), "no", "dir")).wantError(t, exitFailed, "no such file or directory")
}
