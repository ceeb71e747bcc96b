package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// testProber is a prober that runs until the end of the test, and what it has
// answered.
type testProber struct {
	*prober
	answers chan engine.Probed
}

func newTestProber(t *testing.T, shared bool, reach func(context.Context, wire.Hash) error) testProber {
	t.Helper()
	p := testProber{answers: make(chan engine.Probed, maxProbes)}
	p.prober = newProber(0, shared, reach, func(a engine.Probed) { p.answers <- a }, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// why carries out a probe and returns why it failed.
func (p testProber) why(t *testing.T, probe engine.Probe) string {
	t.Helper()
	p.try(probe)
	select {
	case a := <-p.answers:
		if a.Probe != probe {
			t.Errorf("asked for %+v, answered %+v", probe, a.Probe)
		}
		return a.Failed
	case <-time.After(20 * time.Second):
		t.Fatalf("no answer to %+v", probe)
		return ""
	}
}

func platform(endpoint string) engine.Probe {
	return engine.Probe{ProTxHash: wire.Hash{1}, Service: engine.Platform, Endpoint: endpoint}
}

// listening takes connections and, of each, does what it is told.
func listening(t *testing.T, do func(net.Conn)) (hostPort string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer c.Close(); do(c) })
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String()
}

func TestProber_Platform(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("all", func(t *testing.T) { // its ends come before the look for leaks
		visited := make(chan string, 100)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			visited <- r.URL.Path
			switch r.URL.Path {
			case "/missing":
				http.NotFound(w, r)
			case "/sick":
				w.WriteHeader(http.StatusServiceUnavailable)
			case "/elsewhere":
				http.Redirect(w, r, "/sick", http.StatusFound)
			case "/endless":
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			case "/wordy":
				w.Header().Set("X", strings.Repeat("x", 2*maxProbeHeader))
			}
		})
		server, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
		t.Cleanup(server.Close)
		t.Cleanup(secure.Close)
		open := listening(t, func(net.Conn) {})
		silent := listening(t, func(c net.Conn) { c.Read(make([]byte, 1<<16)); c.Read(make([]byte, 1)) })
		garbage := listening(t, func(c net.Conn) {
			c.Read(make([]byte, 1)) // who answers before it is asked is another error, now and then
			fmt.Fprintf(c, "\x00\x1b[2J\xff%s\n\n", strings.Repeat("z", 1000))
		})
		dead := closedPort(t)

		p := newTestProber(t, true, nil)
		for _, c := range []struct {
			name, endpoint, failed string // a part of why
		}{
			{"a port that listens", "tcp://" + open, ""},
			{"a port that says nothing", "tcp://" + silent, ""},
			{"a port that is closed", "tcp://" + dead, "refused"},
			{"a page", server.URL + "/", ""},
			{"a page without a path", server.URL, ""},
			{"a page that is not there", server.URL + "/missing", ""},
			{"a page that leads elsewhere", server.URL + "/elsewhere", ""},
			{"a page without end", server.URL + "/endless", ""},
			{"a page behind a certificate of nobody", secure.URL + "/", ""},
			{"a service that is not well", server.URL + "/sick", "status 503"},
			{"a header without end", server.URL + "/wordy", "header"},
			{"a page of a closed port", "http://" + dead, "refused"},
			{"a service that says nothing", "http://" + silent, "no answer within 500ms"},
			{"no page", "http://" + garbage, "malformed"},
			{"no certificate", "https://" + garbage, "tls"},
			{"another scheme", "file:///etc/passwd", "no probe"},
			{"none", "", "no probe"},
		} {
			switch why := p.why(t, platform(c.endpoint)); {
			case (why == "") != (c.failed == "") || !strings.Contains(why, c.failed):
				t.Errorf("%s: failed with %q, want %q", c.name, why, c.failed)
			case len([]rune(why)) > maxFailure || strings.ContainsFunc(why, func(r rune) bool { return r < ' ' }):
				t.Errorf("%s: %q is no short line", c.name, why)
			}
		}
		close(visited)
		sick := 0
		for path := range visited {
			if path == "/sick" {
				sick++
			}
		}
		if sick != 1 {
			t.Errorf("a page was visited %d times, want once: nobody follows where a node points", sick)
		}
	})
}

// closedPort is where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// On a public network nobody makes others look into private ones, by whatever
// name or address.
func TestProber_PrivateAddressesOfPublicNetworks(t *testing.T) {
	called := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := newTestProber(t, false, nil)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[::]", "[fc00::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "224.0.0.1"} {
		for _, scheme := range []string{"tcp", "http", "https"} {
			if why := p.why(t, platform(scheme+"://"+host+":"+port)); why != errPrivate.Error() {
				t.Errorf("%s://%s: %q, want %q", scheme, host, why, errPrivate)
			}
		}
	}
	if called {
		t.Error("a private address was asked")
	}
	for _, public := range []string{"1.1.1.1:443", "[2606:4700::1]:1"} {
		if err := onlyPublic("tcp", public, nil); err != nil {
			t.Errorf("%s: %v", public, err)
		}
	}
}

func TestProber_Transport(t *testing.T) {
	node, other := wire.Hash{1}, wire.Hash{2}
	p := newTestProber(t, false, func(ctx context.Context, proTx wire.Hash) error {
		if proTx == node {
			return nil
		}
		if _, ends := ctx.Deadline(); !ends {
			return errors.New("no end")
		}
		return errors.New("dial: nobody there")
	})
	for proTx, want := range map[wire.Hash]string{node: "", other: "dial: nobody there"} {
		if why := p.why(t, engine.Probe{ProTxHash: proTx, Service: engine.Transport}); why != want {
			t.Errorf("failed with %q, want %q", why, want)
		}
	}
	for result, want := range map[string]float64{probeAlive: 1, probeDead: 1, probeDropped: 0} {
		if got := counted(t, p.results, "service", "transport", "result", result); got != want {
			t.Errorf("%v probes %s, want %v", got, result, want)
		}
	}
}

func TestProber_TimeoutsFollowTheSlot(t *testing.T) {
	for slot, want := range map[time.Duration]time.Duration{0: shortestProbe, time.Second: time.Second, time.Hour: longestProbe} {
		p := newProber(slot, true, nil, nil, prometheus.NewRegistry())
		if p.timeout != want {
			t.Errorf("slots of %s: %s, want %s", slot, p.timeout, want)
		}
	}
}

// A few probes run at once, more wait, and what is too much is dropped. Those
// that a stop ends say nothing about anybody.
func TestProber_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most := 0, 0
		var mu sync.Mutex
		var answered []engine.Probed
		p := newProber(0, true, func(ctx context.Context, _ wire.Hash) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			running--
			mu.Unlock()
			return ctx.Err()
		}, func(a engine.Probed) { mu.Lock(); answered = append(answered, a); mu.Unlock() }, prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.run(ctx) }()
		synctest.Wait()
		for range probesAtOnce + maxProbes {
			p.try(engine.Probe{Service: engine.Transport})
			synctest.Wait()
		}
		for range 3 {
			p.try(engine.Probe{Service: engine.Transport})
		}
		synctest.Wait()
		mu.Lock()
		atOnce := most
		mu.Unlock()
		if got := counted(t, p.results, "service", "transport", "result", probeDropped); got != 3 || atOnce != probesAtOnce {
			t.Errorf("%v dropped, %d at once, want 3 and %d", got, atOnce, probesAtOnce)
		}
		time.Sleep(shortestProbe + time.Millisecond)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(answered) != probesAtOnce || !slices.Equal([]string{answered[0].Failed}, []string{"no answer within 500ms"}) {
			t.Errorf("%d answers, the first %+v, want %d", len(answered), answered[0], probesAtOnce)
		}
	})
}

// counted is the value of one series of a metric.
func counted(t *testing.T, c prometheus.Collector, labels ...string) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
	series:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if i := slices.Index(labels, l.GetName()); i < 0 || labels[i+1] != l.GetValue() {
					continue series
				}
			}
			return m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no series %v", labels)
	return 0
}
