package gossip

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/validation"
)

type serviceMetrics struct {
	judged     *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	handshakes *prometheus.CounterVec
	goodbyes   *prometheus.CounterVec
	drops      *prometheus.CounterVec

	dials        *prometheus.CounterVec
	addressDrops prometheus.Counter
	peerLists    *prometheus.CounterVec

	exchanges     *prometheus.CounterVec
	inventoryBans *prometheus.CounterVec
}

// Sides and ends of an exchange with a peer, as label values.
const (
	roleClient = "client"
	roleServer = "server"

	resultDone      = "done"
	resultEqual     = "equal"     // nothing to do
	resultLimited   = "limited"   // the peer asked more often than it may
	resultMalformed = "malformed" // the peer sent what no honest one would
	resultFailed    = "failed"    // the stream broke off or stalled
)

func newMetrics(r prometheus.Registerer, s *Service) *serviceMetrics {
	const subsystem = "gossip"
	m := &serviceMetrics{
		judged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "judged_total",
			Help: "Messages of peers judged, by topic, outcome and the rule that decided.",
		}, []string{"topic", "outcome", "reason"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "judge_duration_seconds",
			Help: "Time from a message's arrival to its verdict, commit included.", Buckets: metrics.LatencyBuckets(),
		}, []string{"topic"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "handshakes_total",
			Help: "Status handshakes, by how they ended.",
		}, []string{"end"}),
		goodbyes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "goodbyes_total",
			Help: "Reasons that peers gave for refusing or leaving us.",
		}, []string{"end"}),
		drops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "outbox_drops_total",
			Help: "Messages and requests of ours dropped because the outbox was full.",
		}, []string{"what"}),
	}
	m.dials = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "dials_total",
		Help: "Peers dialled, by whether a connection came of it.",
	}, []string{"result"})
	m.addressDrops = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "addresses_dropped_total",
		Help: "Peers that found no room in the address book.",
	})
	m.peerLists = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "peer_lists_total",
		Help: "Exchanges of peers' addresses, by side and how they ended.",
	}, []string{"role", "result"})
	m.exchanges = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "inventory_exchanges_total",
		Help: "Exchanges of inventories, by side and how they ended: whole ones where we asked, single requests where we answered.",
	}, []string{"role", "result"})
	m.inventoryBans = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "inventory_bans_total",
		Help: "Bans served, fetched and sent on between inventories, by what became of them.",
	}, []string{"result"})
	for _, result := range []string{banServed, banKnown, banAccepted, banRefused, banUnasked, banRelayed, banUnsent} {
		m.inventoryBans.WithLabelValues(result)
	}
	m.dials.WithLabelValues("connected")
	m.dials.WithLabelValues("failed")
	for _, role := range []string{roleClient, roleServer} {
		for _, result := range []string{resultDone, resultLimited, resultMalformed, resultFailed} {
			m.peerLists.WithLabelValues(role, result)
			m.exchanges.WithLabelValues(role, result)
		}
		m.exchanges.WithLabelValues(role, resultEqual)
	}
	for _, t := range engine.Topics() {
		m.latency.WithLabelValues(t.String())
		for _, row := range validation.Table() {
			m.judged.WithLabelValues(t.String(), row.Outcome.String(), string(row.Reason))
		}
	}
	for _, g := range append(slices.Clone(goodbyes), goodbye(len(goodbyes))) { // and a reason that we do not know
		m.handshakes.WithLabelValues(g.String())
		if g != welcome {
			m.goodbyes.WithLabelValues(g.String())
		}
	}
	for _, what := range []string{"publication", "fetch", "want", "reconciliation"} {
		m.drops.WithLabelValues(what)
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: name, Help: help,
		}, f)
	}
	r.MustRegister(m.judged, m.latency, m.handshakes, m.goodbyes, m.drops, s.resources.refused, m.dials, m.addressDrops, m.peerLists, m.exchanges, m.inventoryBans,
		gauge("peers", "Peers that have completed the handshake.", func() float64 { return float64(len(s.gate.open())) }),
		gauge("bans_active", "Peers that are refused.", func() float64 { return float64(s.book.count()) }),
		gauge("tidings_depth", "Comings and goings of peers that the node has not taken note of.", func() float64 { return float64(s.herald.depth()) }),
		gauge("addresses", "Peers in the address book.", func() float64 { return float64(s.dialer.size()) }),
		gauge("outbox_depth", "Messages of ours waiting to go out.", func() float64 { return float64(len(s.outbox.publications)) }),
	)
	return m
}
