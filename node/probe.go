package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/wire"
)

// Limits of probing other nodes.
const (
	maxProbes      = 512 // waiting: more than the largest quorum has members
	probesAtOnce   = 8
	shortestProbe  = 500 * time.Millisecond // a probe takes a slot at most, within these bounds
	longestProbe   = 2 * time.Second
	maxProbeHeader = 16 << 10 // bytes of an answer's header; its body is not read
	maxFailure     = 200      // characters of why a probe failed
)

// errPrivate means that an endpoint leads into a network that is nobody's
// business: whoever registers one must not make others look around there.
var errPrivate = errors.New("address is not public")

// prober tries whether services of other nodes answer.
type prober struct {
	timeout time.Duration
	reach   func(ctx context.Context, proTx wire.Hash) error // over the transport
	answer  func(engine.Probed)
	dialer  net.Dialer
	client  http.Client
	queue   chan engine.Probe
	results *prometheus.CounterVec
}

// Ends of a probe, as label values.
const (
	probeAlive   = "alive"
	probeDead    = "dead"
	probeDropped = "dropped" // as many wait as may
)

// newProber returns a prober. shared says that nodes may have private
// addresses, as on one machine or behind one bridge.
func newProber(slot time.Duration, shared bool, reach func(context.Context, wire.Hash) error, answer func(engine.Probed), r prometheus.Registerer) *prober {
	p := &prober{
		timeout: min(max(slot, shortestProbe), longestProbe),
		reach:   reach, answer: answer,
		queue: make(chan engine.Probe, maxProbes),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Name: "probes_total",
			Help: "Probes of other nodes' services, by service and what came of it.",
		}, []string{"service", "result"}),
	}
	for _, service := range []engine.ProbedService{engine.Transport, engine.Platform} {
		for _, result := range []string{probeAlive, probeDead, probeDropped} {
			p.results.WithLabelValues(serviceName(service), result)
		}
	}
	r.MustRegister(p.results)
	if !shared {
		p.dialer.Control = onlyPublic
	}
	p.client = http.Client{
		Transport: &http.Transport{
			DialContext: p.dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: maxProbeHeader,
			// Whether it answers is asked, not who it is: a certificate that ran
			// out is no reason to ban a node.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // to wherever the node likes
	}
	return p
}

func serviceName(s engine.ProbedService) string {
	if s == engine.Transport {
		return "transport"
	}
	return "platform"
}

// onlyPublic is asked with the address that a name was resolved to, just
// before it is dialled: a name may lead anywhere, and elsewhere next time.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	a, err := manet.FromIP(net.ParseIP(host))
	if err != nil || !manet.IsPublicAddr(a) {
		return fmt.Errorf("%w: %s", errPrivate, host)
	}
	return nil
}

// try takes a probe to be carried out. It does not wait; what does not fit is
// dropped, counted and not answered.
func (p *prober) try(probe engine.Probe) {
	select {
	case p.queue <- probe:
	default:
		p.results.WithLabelValues(serviceName(probe.Service), probeDropped).Inc()
	}
}

// run carries out probes until ctx ends.
func (p *prober) run(ctx context.Context) error {
	var g errgroup.Group
	for range probesAtOnce {
		g.Go(func() error {
			for {
				select {
				case probe := <-p.queue:
					p.carryOut(ctx, probe)
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	return g.Wait()
}

func (p *prober) carryOut(ctx context.Context, probe engine.Probe) {
	within, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	err := p.probe(within, probe)
	if ctx.Err() != nil {
		return // we stop: that says nothing about the node
	}
	result := probeAlive
	if err != nil {
		result = probeDead
	}
	p.results.WithLabelValues(serviceName(probe.Service), result).Inc()
	p.answer(engine.Probed{Probe: probe, Failed: p.failure(err)})
}

func (p *prober) probe(ctx context.Context, probe engine.Probe) error {
	if probe.Service == engine.Transport {
		return p.reach(ctx, probe.ProTxHash)
	}
	endpoint, err := url.Parse(probe.Endpoint)
	if err != nil {
		return err
	}
	switch endpoint.Scheme {
	case "tcp":
		conn, err := p.dialer.DialContext(ctx, "tcp", endpoint.Host)
		if err != nil {
			return err
		}
		return conn.Close()
	case "http", "https":
		return p.get(ctx, probe.Endpoint)
	default:
		return fmt.Errorf("no probe of %q", endpoint.Scheme)
	}
}

// get asks for a page. Whatever the service says of the page, it lives, unless
// it says that it does not.
func (p *prober) get(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("answers with status %d", answer.StatusCode)
	}
	return nil
}

// failure says in one line why a probe failed; empty if it did not.
func (p *prober) failure(err error) string {
	var dialled *net.OpError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", p.timeout)
	case errors.Is(err, errPrivate):
		return errPrivate.Error()
	case errors.As(err, &dialled):
		err = dialled.Err // without the addresses, which differ from node to node
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if runes := []rune(text); len(runes) > maxFailure {
		text = string(runes[:maxFailure])
	}
	return text
}
