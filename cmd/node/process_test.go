package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// transcript keeps what is written to it and may be read meanwhile.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// process is the binary at work.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr transcript
	page           string // URL of its metrics
	ended          chan struct{}
	err            error // of Wait, once ended
}

// launch starts the binary. What still runs when the test ends is killed.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith does so with more environment variables.
func launchWith(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

var metricsAddress = regexp.MustCompile(`msg="node starts".* metrics=(\S+)`)

// start runs a node and waits until it serves.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	p := launch(t, append([]string{"run"}, args...)...)
	await(t, "the node to start", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("proctor %q ended with %v:\n%s", args, p.err, p.stderr.String())
		default:
		}
		m := metricsAddress.FindStringSubmatch(p.stderr.String())
		if m == nil {
			return false
		}
		p.page = "http://" + m[1] + "/metrics"
		return true
	})
	return p
}

// outcome waits until the process has ended by itself.
func (p *process) outcome() outcome {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%q still runs after %s:\n%s", p.cmd.Args, patience, p.stderr.String())
	}
	return outcome{p.cmd.Args[1:], p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// scraper keeps no connection open: its server may be killed at any moment.
var scraper = http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// scrape reads the metrics page: the sum of a metric's samples by what stands
// between its braces ("" if nothing does).
func (p *process) scrape(name string) (map[string]float64, error) {
	r, err := scraper.Get(p.page)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	if err != nil {
		return nil, err
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(string(page)) {
		metric, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		metric, labels, _ := strings.Cut(strings.TrimSuffix(metric, "}"), "{")
		if metric != name {
			continue
		}
		if samples[labels], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, err
		}
	}
	if len(samples) == 0 {
		return nil, errors.New("no " + name + " on the page")
	}
	return samples, nil
}

// value reads the sum of the samples of a metric that have all labels.
func (p *process) value(name string, labels ...string) (sum float64) {
	p.t.Helper()
	samples, err := p.scrape(name)
	if err != nil {
		p.t.Fatalf("metrics: %v; stderr:\n%s", err, p.stderr.String())
	}
	for have, v := range samples {
		if !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(have, l) }) {
			sum += v
		}
	}
	return sum
}

func TestRun_ServesMetrics(t *testing.T) {
	b := layOut(t, 4)
	p := start(t, "--config", b.config())
	if got := p.value("proctor_build_info", `network="devnet"`, `profile="spec"`); got != 1 {
		t.Errorf("proctor_build_info is %v, want 1", got)
	}
	if got := p.value("proctor_tip_height"); got != float64(b.tip) {
		t.Errorf("proctor_tip_height is %v, want %d", got, b.tip)
	}
	await(t, "the node to be synced", func() bool { return p.value("proctor_synced") == 1 })
	r, err := scraper.Get(strings.TrimSuffix(p.page, "metrics"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("another page answers %s, want 404", r.Status)
	}
	if got := p.stdout.String(); got != "" {
		t.Errorf("stdout %q, want none", got)
	}
}

// stopWithin is how long a node may take to stop in order.
const stopWithin = 5 * time.Second

func TestRun_SignalsStopInOrder(t *testing.T) {
	b := layOut(t, 4)
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			p := start(t, "--config", b.config())
			began := time.Now()
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			o := p.outcome()
			if took := time.Since(began); o.code != exitOK || took > stopWithin {
				t.Errorf("exit code %d after %s, want %d within %s; stderr:\n%s", o.code, took, exitOK, stopWithin, o.stderr)
			}
		})
	}
}

// What a node cannot work with ends it at once with one line that names it.
func TestRun_RefusesToStart(t *testing.T) {
	b := layOut(t, 4)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// data copies the node's database and does something to it.
	data := func(name string, change func(dir string)) []string {
		dir := filepath.Join(b.dir, name)
		if err := os.CopyFS(dir, os.DirFS(b.data())); err != nil {
			t.Fatal(err)
		}
		change(dir)
		return []string{"--data_dir", dir}
	}
	damage := func(file string, at int64, with string) func(string) {
		return func(dir string) {
			f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte(with), at); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	truncate := func(file string, size int64) func(string) {
		return func(dir string) {
			if err := os.Truncate(filepath.Join(dir, file), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	// record puts one record over what the database holds.
	record := func(w engine.Write) func(string) {
		return func(dir string) {
			s, err := store.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Commit([]engine.Write{w}), s.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"metrics port in use", []string{"--metrics.listen", taken.Addr().String()}, []string{"metrics", taken.Addr().String(), "in use"}},
		{"p2p port in use", []string{"--p2p.listen", "/ip4/127.0.0.1/tcp/" + port}, []string{"/ip4/127.0.0.1/tcp/" + port}},
		{"one of two p2p ports in use", []string{"--p2p.listen", "/ip4/127.0.0.1/tcp/" + port + ",/ip4/127.0.0.1/tcp/0"}, []string{"/ip4/127.0.0.1/tcp/" + port, "in use"}},
		{"data_dir is a file", []string{"--data_dir", b.config()}, []string{b.config(), "not a directory"}},
		// The schema version is the record under the single byte 0.
		{"newer schema", data("newer", record(engine.Write{Kind: 0, Value: fmt.Append(nil, store.SchemaVersion+1)})), []string{"newer", fmt.Sprint("version ", store.SchemaVersion+1), "upgrade"}},
		{"schema is no number", data("schema", record(engine.Write{Kind: 0, Value: []byte("x")})), []string{"schema", "damaged"}},
		{"manifest without its magic", data("magic", damage("MANIFEST", 0, "nonsense")), []string{"magic", "damaged", "backup"}},
		{"manifest with a wrong length", data("length", damage("MANIFEST", 8, "\xff\xff\xff\xff")), []string{"length", "damaged", "backup"}},
		{"manifest with a wrong sum", data("sum", damage("MANIFEST", 12, "\x01\x02\x03\x04")), []string{"sum", "damaged", "backup"}},
		{"manifest cut off", data("cut", truncate("MANIFEST", 10)), []string{"cut", "damaged", "backup"}},
		{"manifest gone", data("gone", func(dir string) { os.Remove(filepath.Join(dir, "MANIFEST")) }), []string{"gone", "MANIFEST", "damaged", "backup"}},
		{"table with other bytes", data("bytes", damage("000001.sst", 8, "nonsense")), []string{"bytes", "000001.sst", "damaged", "backup"}},
		{"table cut off", data("short", truncate("000001.sst", 10)), []string{"short", "000001.sst", "damaged", "backup"}},
		{"table gone", data("none", func(dir string) { os.Remove(filepath.Join(dir, "000001.sst")) }), []string{"none", "damaged", "backup"}},
		{"key registry damaged", data("registry", damage("KEYREGISTRY", 16, "nonsense")), []string{"registry", "damaged", "backup"}},
		{"a record that is none", data("record", record(engine.Write{Kind: engine.KindMeta, Value: []byte("x")})), []string{"record", "meta of 1 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			launch(t, append([]string{"run", "--config", b.config()}, c.args...)...).outcome().wantError(t, exitFailed, c.words...)
		})
	}
}

func TestRun_OneProcessPerDataDirectory(t *testing.T) {
	b := layOut(t, 4)
	first := start(t, "--config", b.config())
	password, err := os.ReadFile(filepath.Join(b.dir, "api.cookie"))
	if err != nil {
		t.Fatal(err)
	}
	launch(t, "run", "--config", b.config(), "--p2p.listen", "/ip4/127.0.0.1/tcp/0").outcome().
		wantError(t, exitFailed, "in use", b.data(), "stop the other proctor")
	if first.value("proctor_tip_height") != float64(b.tip) { // untouched
		t.Error("the first process lost its tip")
	}
	if now, err := os.ReadFile(filepath.Join(b.dir, "api.cookie")); err != nil || string(now) != string(password) {
		t.Errorf("the first process lost the password of its API: %v", err)
	}
	first.kill()
	start(t, "--config", b.config()) // the lock dies with its holder
}

// Four processes and a ban: what one of them hears, all know, also after they
// were told to stop.
func TestRun_Network(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: 4, Authorities: 1, Seed: 12, Profile: "spec", Slot: 500 * time.Millisecond, History: 45, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := testnet.NewCluster(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFiles(); err != nil {
		t.Fatal(err)
	}
	var all []*process
	for i := range n.Members {
		all = append(all, start(t, "--config", filepath.Join(c.NodeDir(i), testnet.ConfigFile)))
	}
	everywhere := func(what string, holds func(*process) bool) {
		t.Helper()
		await(t, what, func() bool {
			return !slices.ContainsFunc(all, func(p *process) bool { return !holds(p) })
		})
	}
	everywhere("everybody to be synced", func(p *process) bool { return p.value("proctor_synced") == 1 })
	tip := all[0].value("proctor_tip_height")
	everywhere("the chain to grow", func(p *process) bool { return p.value("proctor_tip_height") > tip })

	ban, err := c.Signers.Ban(n.Members[3].ProTxHash, int32(tip)-1, c.Signers.Threshold)
	if err != nil {
		t.Fatal(err)
	}
	s, err := testnet.NewStranger(n, 12, 1, []peer.AddrInfo{n.Members[0].AddrInfo()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	await(t, "a stranger to be met", func() bool { return len(s.Peers(engine.TopicPlatformBan)) == 1 })
	s.Say(engine.TopicPlatformBan, ban.Bytes())
	everywhere("the flag on every node", func(p *process) bool { return p.value("proctor_platform_ban_flags") == 1 })

	submitAndList(t, c, int32(tip)-1)
	everywhere("the operator's ban on every node", func(p *process) bool { return p.value("proctor_platform_ban_flags") == 2 })

	for _, p := range all {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		if o := p.outcome(); o.code != exitOK {
			t.Errorf("exit code %d, want %d; stderr:\n%s", o.code, exitOK, o.stderr)
		}
	}
	again := start(t, "--config", filepath.Join(c.NodeDir(2), testnet.ConfigFile))
	if got := again.value("proctor_platform_ban_flags"); got != 2 {
		t.Errorf("%v flags after the restart, want 2", got)
	}
	proctor(t, "peers", "--config", filepath.Join(c.NodeDir(1), testnet.ConfigFile)).wantError(t, exitFailed, "does it run?")
}

// submitAndList talks to member 1 as its operator does.
func submitAndList(t *testing.T, c *testnet.Cluster, height int32) {
	t.Helper()
	at := filepath.Join(c.NodeDir(1), testnet.ConfigFile)
	signed := func(proTx wire.Hash) string {
		m, err := c.Signers.Ban(proTx, height, c.Signers.Threshold)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(m.Bytes())
	}
	good := signed(c.Members[2].ProTxHash)
	o := proctor(t, "ban", "submit", good, "--config", at, "--json")
	o.wantOK(t)
	if !strings.Contains(o.stdout, `"accepted": true`) || !strings.Contains(o.stdout, `"reason": "valid"`) {
		t.Errorf("submit prints %s", o.stdout)
	}
	for _, refused := range []struct{ ban, reason string }{{good, "duplicate"}, {signed(wire.Hash{1}), "unknown-node"}} {
		if o := proctor(t, "ban", "submit", refused.ban, "--config", at); o.code != exitFailed || !strings.Contains(o.stdout, refused.reason) {
			t.Errorf("exit code %d, prints %q, want reason %s", o.code, o.stdout, refused.reason)
		}
	}
	proctor(t, "ban", "submit", "00", "--config", at).wantError(t, exitUnusable, "164")

	o = proctor(t, "peers", "--config", at, "--json")
	o.wantOK(t)
	var peers []node.PeerInfo
	if err := json.Unmarshal([]byte(o.stdout), &peers); err != nil {
		t.Fatal(err)
	}
	if len(peers) == 0 || peers[0].ID == "" || peers[0].Agent == "" || peers[0].Address == "" {
		t.Errorf("peers are %+v", peers)
	}
	o = proctor(t, "peers", "--config", at)
	o.wantOK(t)
	if !strings.Contains(o.stdout, peers[0].ID.String()) {
		t.Errorf("the table of peers lacks %s:\n%s", peers[0].ID, o.stdout)
	}
}

// judged counts the platform bans that the process gave a verdict to, by
// reason.
func (p *process) judged() (all float64, byReason map[string]float64) {
	p.t.Helper()
	byReason = make(map[string]float64)
	samples, err := p.scrape("proctor_gossip_judged_total")
	if err != nil {
		p.t.Fatal(err)
	}
	for labels, v := range samples {
		if v == 0 || !strings.Contains(labels, `topic="`+engine.TopicPlatformBan.String()+`"`) {
			continue
		}
		_, reason, _ := strings.Cut(labels, `reason="`)
		reason, _, _ = strings.Cut(reason, `"`)
		byReason[reason] += v
		all += v
	}
	return all, byReason
}

// verdicts waits until so many bans were judged since before, and returns how.
func (p *process) verdicts(before map[string]float64, n int) map[string]float64 {
	p.t.Helper()
	var sum float64
	for _, v := range before {
		sum += v
	}
	var now map[string]float64
	await(p.t, strconv.Itoa(n)+" verdicts", func() bool {
		var all float64
		all, now = p.judged()
		return all >= sum+float64(n)
	})
	maps.DeleteFunc(now, func(reason string, v float64) bool { return v == before[reason] })
	for reason := range now {
		now[reason] -= before[reason]
	}
	return now
}
