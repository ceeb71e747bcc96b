package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a page and returns its address and what stops it.
func serve(t *testing.T, r *prometheus.Registry) (addr string, stop func()) {
	t.Helper()
	s, err := Listen("127.0.0.1:0", r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s.Addr(), func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func do(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestServer_Page(t *testing.T) {
	addr, stop := serve(t, NewRegistry("devnet", "core"))
	defer stop()
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/metrics", http.StatusOK},
		{"POST", "/metrics", http.StatusMethodNotAllowed},
		{"PUT", "/metrics", http.StatusMethodNotAllowed},
		{"DELETE", "/metrics", http.StatusMethodNotAllowed},
		{"GET", "/", http.StatusNotFound},
		{"GET", "/metrics/more", http.StatusNotFound},
		{"GET", "/debug/pprof/", http.StatusNotFound},
	} {
		if got, _ := do(t, c.method, "http://"+addr+c.path); got != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, got, c.want)
		}
	}
	_, page := do(t, "GET", "http://"+addr+"/metrics")
	for _, want := range []string{
		`proctor_build_info{network="devnet",profile="core",version="` + Version() + `"} 1`,
		"go_goroutines ", "process_", "promhttp_metric_handler_errors_total",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestServer_Stops(t *testing.T) {
	addr, stop := serve(t, NewRegistry("devnet", "spec"))
	if got, _ := do(t, "GET", "http://"+addr+"/metrics"); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	stop()
	s, err := Listen(addr, NewRegistry("devnet", "spec"))
	if err != nil {
		t.Fatalf("the address is not released: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A client that never finishes its request neither keeps the node from
// stopping nor makes its end a failure.
// More pages may stand beside the metrics.
func TestServer_MorePages(t *testing.T) {
	s, err := Listen("127.0.0.1:0", prometheus.NewRegistry(), Page{"/more", http.RedirectHandler("/metrics", http.StatusSeeOther)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]int{"/more": http.StatusSeeOther, "/metrics": http.StatusOK, "/other": http.StatusNotFound} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s answers %d, want %d", path, w.Code, want)
		}
	}
}

func TestServer_StopsWithASlowClient(t *testing.T) {
	addr, stop := serve(t, NewRegistry("devnet", "spec"))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost"); err != nil {
		t.Fatal(err)
	}
	if got, _ := do(t, "GET", "http://"+addr+"/metrics"); got != http.StatusOK { // accepted behind c
		t.Fatalf("status %d", got)
	}
	stop()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func TestServer_RunFailsWithoutListener(t *testing.T) {
	s, err := Listen("127.0.0.1:0", NewRegistry("devnet", "spec"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "metrics: serve") {
		t.Errorf("error %v", err)
	}
}

func TestListen_AddressInUse(t *testing.T) {
	first, err := Listen("127.0.0.1:0", NewRegistry("devnet", "spec"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Listen(first.Addr(), NewRegistry("devnet", "spec")); err == nil || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("error %v, want one that names %s", err, first.Addr())
	}
	if _, err := Listen("nonsense", NewRegistry("devnet", "spec")); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v, want one that names the address", err)
	}
}

func TestRegistries_AreIndependent(t *testing.T) {
	pages := make(map[string]string)
	for _, network := range []string{"devnet", "testnet"} {
		r := NewRegistry(network, "spec")
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: Namespace, Name: "own_total", Help: "Own."})
		r.MustRegister(c)
		if network == "devnet" {
			c.Inc()
		}
		addr, stop := serve(t, r)
		defer stop()
		_, pages[network] = do(t, "GET", "http://"+addr+"/metrics")
	}
	for network, want := range map[string]string{"devnet": "proctor_own_total 1", "testnet": "proctor_own_total 0"} {
		if !strings.Contains(pages[network], want) || strings.Count(pages[network], "proctor_build_info{") != 1 ||
			!strings.Contains(pages[network], `network="`+network+`"`) {
			t.Errorf("page of %s lacks its own values", network)
		}
	}
}

func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		name        string
		got         []float64
		first, last float64
		n           int
	}{
		{"latency", LatencyBuckets(), 0.0001, 6.5536, 17},
		{"size", SizeBuckets(), 1, 64, 7},
	} {
		if len(c.got) != c.n || c.got[0] != c.first || c.got[len(c.got)-1] < c.last*0.999 || c.got[len(c.got)-1] > c.last*1.001 {
			t.Errorf("%s: %v, want %d from %v to %v", c.name, c.got, c.n, c.first, c.last)
		}
	}
}
