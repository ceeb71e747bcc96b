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
	shares        *prometheus.CounterVec
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
	resultStranger  = "stranger"  // the peer is no service node
)

func newMetrics(r prometheus.Registerer, s *Service) *serviceMetrics {
	const subsystem = "gossip"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metrics.Namespace, Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: metrics.Namespace, Subsystem: subsystem, Name: name, Help: help}, f)
	}
	m := &serviceMetrics{
		judged: counter("judged_total", "Messages of peers judged, by topic, outcome and the rule that decided.", "topic", "outcome", "reason"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "judge_duration_seconds",
			Help: "Time from a message's arrival to its verdict, commit included.", Buckets: metrics.LatencyBuckets(),
		}, []string{"topic"}),
		handshakes: counter("handshakes_total", "Status handshakes, by how they ended.", "end"),
		goodbyes:   counter("goodbyes_total", "Reasons that peers gave for refusing or leaving us.", "end"),
		drops:      counter("outbox_drops_total", "Messages and requests of ours dropped because a queue was full.", "what"),
		dials:      counter("dials_total", "Peers dialled, by whether a connection came of it.", "result"),
		peerLists:  counter("peer_lists_total", "Exchanges of peers' addresses, by side and how they ended.", "role", "result"),
		exchanges: counter("inventory_exchanges_total",
			"Exchanges of inventories, by side and how they ended: whole ones where we asked, single requests where we answered.", "role", "result"),
		inventoryBans: counter("inventory_bans_total", "Bans served, fetched and sent on between inventories, by what became of them.", "result"),
		shares: counter("share_messages_total",
			"Messages of shares of quorums' signatures, by side and how they ended: sent where we are the client, received where we are the server.", "role", "result"),
		addressDrops: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "addresses_dropped_total",
			Help: "Peers that found no room in the address book.",
		}),
	}
	m.create(s.joined())
	r.MustRegister(m.judged, m.latency, m.handshakes, m.goodbyes, m.drops, m.dials, m.addressDrops, m.peerLists, m.exchanges, m.inventoryBans, m.shares, s.resources.refused,
		gauge("peers", "Peers that have completed the handshake.", func() float64 { return float64(len(s.gate.open())) }),
		gauge("bans_active", "Peers that are refused.", func() float64 { return float64(s.book.count()) }),
		gauge("tidings_depth", "Comings and goings of peers that the node has not taken note of.", func() float64 { return float64(s.herald.depth()) }),
		gauge("addresses", "Peers in the address book.", func() float64 { return float64(s.dialer.size()) }),
		gauge("outbox_depth", "Messages of ours waiting to go out.", func() float64 { return float64(len(s.outbox.publications)) }),
	)
	return m
}

// create makes every series, so that what has not happened shows as 0.
func (m *serviceMetrics) create(topics []engine.Topic) {
	for _, t := range topics {
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
	for _, what := range []string{"publication", "fetch", "want", "reconciliation", "shares"} {
		m.drops.WithLabelValues(what)
	}
	for _, result := range []string{"connected", "failed"} {
		m.dials.WithLabelValues(result)
	}
	for _, role := range []string{roleClient, roleServer} {
		for _, result := range []string{resultDone, resultLimited, resultMalformed, resultFailed} {
			m.peerLists.WithLabelValues(role, result)
			m.exchanges.WithLabelValues(role, result)
		}
		m.exchanges.WithLabelValues(role, resultEqual)
	}
	for _, result := range []string{resultDone, resultFailed} {
		m.shares.WithLabelValues(roleClient, result)
	}
	for _, result := range []string{resultDone, resultLimited, resultMalformed, resultFailed, resultStranger} {
		m.shares.WithLabelValues(roleServer, result)
	}
	for _, result := range []string{banServed, banKnown, banAccepted, banRefused, banUnasked, banRelayed, banUnsent} {
		m.inventoryBans.WithLabelValues(result)
	}
}
