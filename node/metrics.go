package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
)

type nodeMetrics struct {
	points       *prometheus.CounterVec
	refunded     prometheus.Counter
	doubts       prometheus.Counter
	bans         *prometheus.CounterVec
	evicted      prometheus.Counter
	drops        prometheus.Counter
	deferredLost prometheus.Counter
	early        prometheus.Gauge
	earlyLost    prometheus.Counter
	transitions  *prometheus.CounterVec
	waited       prometheus.Histogram
	undone       prometheus.Counter
	alarms       *prometheus.CounterVec
	batch        prometheus.Histogram
	quorums      *quorumMetrics
}

func newMetrics(r prometheus.Registerer, n *Node) *nodeMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: metrics.Namespace, Name: name, Help: help})
	}
	byReason := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metrics.Namespace, Name: name, Help: help}, []string{"reason"})
	}
	m := &nodeMetrics{
		points:       byReason("peer_points_total", "Penalty points given to peers, by reason."),
		bans:         byReason("peer_bans_total", "Peers banned, by the reason that reached the limit."),
		refunded:     counter("peer_points_refunded_total", "Penalty points taken back, because too many peers contradicted us at once or the operator said so."),
		doubts:       counter("self_doubts_total", "Times that so many peers contradicted our view of the chain that we doubted ourselves."),
		evicted:      counter("engine_evictions_total", "Records dropped because a limit of the engine was reached."),
		drops:        counter("engine_inbox_drops_total", "Messages given up because the engine's inbox was full."),
		deferredLost: counter("deferred_bans_lost_total", "Bans that could not be judged and were dropped for want of room or time."),
		earlyLost:    counter("early_messages_lost_total", "Messages other than bans that came too early for us and were dropped for want of room or time."),
		early: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Name: "early_messages",
			Help: "Messages other than bans that came too early for us and wait until our tip has moved.",
		}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Name: "service_transitions_total",
			Help: "Changes of service nodes' states in blocks of our branch, by the state they came to.",
		}, []string{"to"}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Name: "certificate_wait_blocks",
			Help:    "Blocks from the draw of the testers to the block that carries their certificate, 13 to 59.",
			Buckets: []float64{13, 14, 15, 17, 20, 25, 30, 40, 50, 59},
		}),
		undone: counter("blocks_undone_total", "Blocks of our branch that were undone for a better branch."),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Name: "alarms_total",
			Help: "What people should look at and no rule punishes, by kind.",
		}, []string{"kind"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Name: "engine_batch_inputs",
			Help: "Inputs stepped for one commit.", Buckets: metrics.SizeBuckets(),
		}),
	}
	m.quorums = newQuorumMetrics(r, n)
	for _, k := range engine.AlarmKinds() {
		m.alarms.WithLabelValues(string(k))
	}
	for _, s := range serviceStates() {
		m.transitions.WithLabelValues(s)
	}
	for _, row := range validation.Table() {
		if row.Points > 0 {
			m.points.WithLabelValues(string(row.Reason))
			m.bans.WithLabelValues(string(row.Reason))
		}
	}
	gauge := func(name, help string, f func(*engine.Snapshot) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: metrics.Namespace, Name: name, Help: help},
			func() float64 { return f(n.Snapshot()) })
	}
	r.MustRegister(m.points, m.refunded, m.doubts, m.bans, m.evicted, m.drops, m.deferredLost, m.early, m.earlyLost, m.batch, m.transitions, m.waited, m.undone, m.alarms,
		gauge("deferred_bans", "Bans that wait until they can be judged.", func(s *engine.Snapshot) float64 { return float64(s.Deferred) }),
		gauge("wanted_bans", "Bans that wait of which only the hash was kept.", func(s *engine.Snapshot) float64 { return float64(s.Wanted) }),
		gauge("refused_items", "Refused bans remembered.", func(s *engine.Snapshot) float64 { return float64(s.Refusals.Len()) }),
		gauge("peer_accounts", "Peers with penalty points.", func(s *engine.Snapshot) float64 { return float64(s.Accounts.Len()) }),
		gauge("view_settled", "1 if peers are blamed for contradicting our view of the chain, else 0.", func(s *engine.Snapshot) float64 {
			if s.Confident() {
				return 1
			}
			return 0
		}),
		gauge("tip_height", "Height of the best block.", func(s *engine.Snapshot) float64 { return float64(s.Tip.Height) }),
		gauge("tip_age_seconds", "Time since the slot of the best block began.", func(s *engine.Snapshot) float64 {
			return time.Since(n.config.Genesis.SlotStart(s.Tip.Slot)).Seconds()
		}),
		gauge("synced", "1 if the tip is the network's as far as we can tell, else 0.", func(s *engine.Snapshot) float64 {
			if s.IsSynced {
				return 1
			}
			return 0
		}),
		gauge("platform_ban_flags", "Evonodes whose PlatformPoSeBan flag is set.", func(s *engine.Snapshot) float64 { return float64(s.FlagsSet()) }),
		gauge("inventory_bans", "Accepted platform bans remembered.", func(s *engine.Snapshot) float64 { return float64(s.Accepted.Len()) }),
		gauge("registered_nodes", "Service nodes in the registry.", func(s *engine.Snapshot) float64 { return float64(s.State.NodeCount()) }),
		gauge("final_height", "Height of the newest block that is never undone.", func(s *engine.Snapshot) float64 { return float64(s.Final.Height) }),
		gauge("brake_nodes", "Nodes that may be decommissioned at once; negative where the network has no brake.", func(s *engine.Snapshot) float64 { return brake(s) }),
		gauge("events_waiting", "Events that wait for a block.", func(s *engine.Snapshot) float64 { return float64(s.Events.Len()) }),
		newStates(n), newOwn(n),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Name: "engine_inbox_depth", Help: "Inputs waiting for the engine.",
		}, func() float64 { return float64(len(n.inbox)) }),
	)
	r.MustRegister(paceMetrics(n)...)
	return m
}

// report counts and logs what a commit did. Points can be provoked at will,
// so they are logged at debug level; a ban ends its cause.
func (n *Node) report(e *engine.Effects) {
	for _, c := range e.Charges {
		if c.Points < 0 {
			n.metrics.refunded.Add(float64(-c.Points))
			n.config.Log.Info("points taken back", "peer", peer.ID(c.Peer), "points", -c.Points, "total", c.Total)
			continue
		}
		n.metrics.points.WithLabelValues(string(c.Reason)).Add(float64(c.Points))
		n.config.Log.Debug("peer charged", "peer", peer.ID(c.Peer), "points", c.Points, "total", c.Total, "reason", c.Reason, "msg_id", c.Evidence)
	}
	for _, b := range e.Bans {
		cause := b.Cause()
		n.metrics.bans.WithLabelValues(string(cause.Reason)).Inc()
		what := "peer banned"
		if b.DryRun {
			what = "peer would be banned"
		}
		n.config.Log.Warn(what, "peer", peer.ID(b.Peer), "points", cause.Total, "reason", cause.Reason, "until", b.Until, "msg_id", cause.Evidence)
	}
	n.reportBlocks(e)
	n.reportQuorums(e)
	if e.Doubting {
		n.metrics.doubts.Inc()
		n.config.Log.Warn("too many peers contradict our view of the chain: nobody is blamed for it for a while; check clock and chain", "for", params.DoubtTime)
	}
	n.metrics.deferredLost.Add(float64(e.Lost))
	n.metrics.evicted.Add(float64(e.Evicted))
}
