package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proctornet/proctor/testnet"
)

// claims are what the demonstration shows, in order.
var claims = []string{
	"history", "network", "valid-ban", "forgery", "genuine-after-forgery", "one-block-too-old", "far-too-old", "unknown-node", "regular-node",
	"endpoint-dead", "silent-nodes", "second-address", "crash", "update-service", "killed-in-dkg", "voted-out", "recommissioned", "deregistered",
	"missing-checkpoint", "probation", "revived", "lying-tester",
}

// demoTime is what a demonstration may take: about 110 blocks of 0.7 s on a
// machine that does other things too.
const demoTime = 4 * time.Minute

// demo runs a demonstration in a process of its own, as they take long and
// are run beside each other. The race detector does not see it: TestDemo_Core
// runs in this one.
func demo(t testing.TB, env []string, args ...string) outcome {
	t.Helper()
	if raceEnabled {
		t.Skip("runs without the race detector too")
	}
	p := launchWith(t, env, append([]string{"demo"}, args...)...)
	select {
	case <-p.ended:
	case <-time.After(demoTime):
		t.Fatalf("still going on after %s:\n%s", demoTime, p.stdout.String())
	}
	return p.outcome()
}

// told is the JSON form of a demonstration.
type told struct {
	OK    bool
	Steps []struct {
		Name   string
		OK     *bool
		Detail string
	}
	Nodes []struct {
		Node      string
		Height    int32
		Synced    bool
		Peers     int
		Flags     []string
		Banned    int
		StateRoot string `json:"state_root"`
	}
}

func demoJSON(t testing.TB, args ...string) told {
	t.Helper()
	return demoTold(t, demo(t, nil, append([]string{"--json"}, args...)...))
}

// demoTold reads what a demonstration told as JSON.
func demoTold(t testing.TB, o outcome) told {
	t.Helper()
	o.wantOK(t)
	var got told
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil || d.More() {
		t.Fatalf("stdout is not one JSON object: %v\n%s", err, o.stdout)
	}
	if !got.OK {
		t.Error("ok is false")
	}
	var names []string
	for _, s := range got.Steps {
		names = append(names, s.Name)
		if s.OK == nil || !*s.OK || s.Detail == "" {
			t.Errorf("step %s: ok %v, detail %q", s.Name, s.OK, s.Detail)
		}
	}
	if !slices.Equal(names, claims) {
		t.Errorf("steps %q, want %q", names, claims)
	}
	if len(got.Nodes) != 10 {
		t.Errorf("%d nodes, want 10", len(got.Nodes))
	}
	for _, n := range got.Nodes {
		if !n.Synced || len(n.Flags) != 1 || n.Flags[0] != "evo-8" || n.StateRoot == "" {
			t.Errorf("node %+v, want it synced and with the flag of evo-8", n)
		}
	}
	return got
}

// What a demonstration leaves behind runs.
func TestDemo_SpecKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "net")
	got := demoJSON(t, "--profile", "spec", "--keep", dir)

	for _, n := range got.Nodes {
		check := inForce(t, proctor(t, "config", "check", "--config", filepath.Join(dir, n.Node, testnet.ConfigFile)))
		if check["genesis"] != filepath.Join(dir, testnet.GenesisFile) {
			t.Errorf("%s: genesis is %s", n.Node, check["genesis"])
		}
		if info, err := os.Stat(filepath.Join(dir, n.Node, "log.txt")); err != nil || info.Size() == 0 {
			t.Errorf("%s: no log (err %v)", n.Node, err)
		}
	}
	for _, secret := range []string{"evo-1/operator.key", "evo-1/service.key"} {
		info, err := os.Stat(filepath.Join(dir, secret))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %#o, want 0600", secret, info.Mode())
		}
	}

	p := start(t, "--config", filepath.Join(dir, "evo-1", testnet.ConfigFile))
	if got := p.value("proctor_platform_ban_flags"); got != 1 {
		t.Errorf("%v flags in the node that was kept, want 1", got)
	}
	if h := p.value("proctor_tip_height"); h < float64(got.Nodes[1].Height) {
		t.Errorf("tip at %v in the node that was kept, it was %d", h, got.Nodes[1].Height)
	}

	proctor(t, "demo", "--keep", dir).wantError(t, exitUnusable, dir, "not empty")
}

func TestDemo_Core(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), demoTime)
	defer stop()
	var stdout, stderr transcript
	args := []string{"demo", "--json", "--profile", "core", "--seed", "2"}
	code := execute(ctx, args, &stdout, &stderr)
	demoTold(t, outcome{args, code, stdout.String(), stderr.String()})
}

// As people see it, and nothing stays on disk.
func TestDemo_Text(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	o := demo(t, []string{"TMPDIR=" + tmp}, "--nodes", "11")
	o.wantOK(t)
	for _, c := range claims {
		if !strings.Contains(o.stdout, "  ok  "+c+" ") {
			t.Errorf("no claim %s in\n%s", c, o.stdout)
		}
	}
	for _, words := range []string{"11 nodes", "rule profile spec", "PUBLIC TEST KEYS", "made by DKG", "score 66", "PoSe-banned", "STATE ROOT", "22 of 22 claims"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("no %q in\n%s", words, o.stdout)
		}
	}
	if strings.ContainsAny(o.stdout, "\r\x1b") || strings.Contains(o.stdout, "kept in") {
		t.Errorf("made for a terminal, or kept:\n%q", o.stdout)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, err %v", left, err)
	}
}

// An interrupted demonstration says so and leaves nothing on disk.
func TestDemo_Interrupted(t *testing.T) {
	tmp := t.TempDir()
	p := launchWith(t, []string{"TMPDIR=" + tmp}, "demo")
	await(t, "the network", func() bool { return strings.Contains(p.stdout.String(), "ok  network") })
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	o := p.outcome()
	if o.code != exitFailed || !strings.Contains(o.stderr, "cancel") || strings.Contains(o.stderr, "goroutine ") {
		t.Errorf("exit code %d, want %d; stderr %q", o.code, exitFailed, o.stderr)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, err %v", left, err)
	}
}

// brokenPipe is an output whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestOutput_LostIsAFailure(t *testing.T) {
	for _, args := range [][]string{
		{"ban", "inspect", vectorBan(vectorSignature), "--json"},
		{"ban", "verify", vectorBan(vectorSignature), "--quorum-key", vectorKey, "--json"},
	} {
		var stderr transcript
		if code := execute(t.Context(), args, brokenPipe{}, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "broken pipe") {
			t.Errorf("proctor %.60q: exit code %d, want %d; stderr %q", args, code, exitFailed, stderr.String())
		}
	}
}
