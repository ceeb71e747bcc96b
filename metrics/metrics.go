// Package metrics owns the registry that services register their metrics
// with, the buckets they share, and the page that Prometheus reads.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Namespace is the prefix of every metric.
const Namespace = "proctor"

// LatencyBuckets span 0.1 ms to 6.5 s, doubling.
func LatencyBuckets() []float64 { return prometheus.ExponentialBuckets(0.0001, 2, 17) }

// SizeBuckets span 1 to 64, doubling: the sizes of a batch.
func SizeBuckets() []float64 { return prometheus.ExponentialBuckets(1, 2, 7) }

// NewRegistry returns a registry with the process's own metrics and
// proctor_build_info, whose labels are fixed for the life of the process.
func NewRegistry(network, profile string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: Namespace, Name: "build_info", Help: "Always 1; version, network and rule profile as labels.",
	}, []string{"version", "network", "profile"})
	r.MustRegister(info)
	info.WithLabelValues(Version(), network, profile).Set(1)
	return r
}

// Version returns the module version the binary was built from.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// Page is one more page beside /metrics: a probe, say.
type Page struct {
	Path    string // "/readyz"
	Handler http.Handler
}

// Server answers GET /metrics, and GET of more pages.
type Server struct {
	listener net.Listener
	http     http.Server
}

// Listen binds addr ("host:port"; port 0 picks a free one), so that a port in
// use is an error before anything else starts. Close or Run releases it.
func Listen(addr string, r *prometheus.Registry, pages ...Page) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics: listen on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, MaxRequestsInFlight: 4}))
	for _, p := range pages {
		mux.Handle("GET "+p.Path, p.Handler)
	}
	return &Server{l, http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close releases the address of a server that was never run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends; then it returns nil.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("metrics: serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close() // on clients that take for ever
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("metrics: stop: %w", err)
	}
	return nil
}
