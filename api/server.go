package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Limits of a Server.
const (
	callsPerSecond = 100 // of all callers together
	callBurst      = 200
	callTimeout    = 30 * time.Second
)

// cookieUser is the user name in the cookie file, as in Dash Core's.
const cookieUser = "__cookie__"

// Method is one thing that can be asked for.
type Method struct {
	Name  string // "platformban submit": a subcommand follows after a space
	Usage string // its parameters, for help
	Help  string // one line
	Call  func(ctx context.Context, p Params) (any, error)
}

// Server answers calls on a loopback address.
type Server struct {
	methods  map[string]Method
	listener net.Listener
	http     http.Server
	cookie   string // file
	password string
	limit    *rate.Limiter
	metrics  serverMetrics
}

// Listen binds addr, which must be of the loopback interface, and writes a new
// password to the file cookie. Close or Run releases both. Besides the methods
// it serves the probes, which take no password.
func Listen(addr, cookie string, methods []Method, r prometheus.Registerer, probes ...Probe) (*Server, error) {
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	s := &Server{
		methods: make(map[string]Method),
		cookie:  cookie,
		limit:   rate.NewLimiter(callsPerSecond, callBurst),
	}
	for _, m := range methods {
		s.methods[m.Name] = m
	}
	s.methods["help"] = Method{"help", "[METHOD]", "list the methods, or show how one is called", s.help}
	s.metrics = newMetrics(r, s.methods)
	var err error
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("api: listen on %s: %w", addr, err)
	}
	if s.password, err = writeCookie(cookie); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.handle)
	for _, p := range probes {
		mux.Handle("GET "+p.Path, p)
	}
	s.http = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      callTimeout + 10*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
	return s, nil
}

// checkLoopback refuses to serve the operator's commands to the network.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("api: %q is not host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("api: %q is not on the loopback interface: commands are for this machine's operator; use a tunnel", addr)
	}
	return nil
}

func writeCookie(path string) (password string, err error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: package crypto/rand ends the process instead
	password = hex.EncodeToString(secret[:])
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("api: cookie: %w", err)
	}
	if err := os.WriteFile(path, []byte(cookieUser+":"+password), 0o600); err != nil {
		return "", fmt.Errorf("api: cookie: %w", err)
	}
	return password, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close releases the address and the cookie of a server that was never run.
func (s *Server) Close() error { return errors.Join(s.listener.Close(), os.Remove(s.cookie)) }

// Run serves until ctx ends; then it removes the cookie and returns nil.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("api: serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(stop)
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err = errors.Join(err, os.Remove(s.cookie)); err != nil {
		return fmt.Errorf("api: stop: %w", err)
	}
	return nil
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != cookieUser || subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) != 1 {
		s.metrics.refused.WithLabelValues("password").Inc()
		w.Header().Set("WWW-Authenticate", `Basic realm="proctor"`)
		http.Error(w, "the password is in the cookie file "+s.cookie, http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		s.metrics.refused.WithLabelValues("size").Inc()
		http.Error(w, fmt.Sprintf("a request has at most %d bytes", MaxBody), http.StatusRequestEntityTooLarge)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	result := s.serve(ctx, body)
	if result == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(result); err != nil {
		s.metrics.refused.WithLabelValues("write").Inc()
	}
}
