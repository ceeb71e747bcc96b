package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/state"
)

// own shows how the service node stands that this is: what alerts watch.
// Nothing of it is exported by an observer; of a node that is not registered,
// only that it is not.
type own struct {
	node       *Node
	registered *prometheus.Desc
	state      *prometheus.Desc
	gauges     []ownGauge
}

type ownGauge struct {
	desc  *prometheus.Desc
	value func(*engine.Snapshot, state.Node) float64
}

func newOwn(n *Node) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metrics.Namespace+"_own_"+name, help, labels, nil)
	}
	gauge := func(name, help string, value func(*engine.Snapshot, state.Node) float64) ownGauge {
		return ownGauge{desc(name, help), value}
	}
	return own{n, desc("registered", "1 if the service node that this is stands in the registry, else 0."),
		desc("state", "1 for the service state that the node is in, 0 for the others.", "state"), []ownGauge{
			gauge("credit_blocks", "Blocks for which the node may be decommissioned before it is deregistered.",
				func(s *engine.Snapshot, own state.Node) float64 {
					return float64(own.Credit(s.Tip.Height, s.State.Rules()))
				}),
			gauge("credit_minimum_blocks", "Credit below which a failing node is deregistered at once.",
				func(s *engine.Snapshot, _ state.Node) float64 { return float64(s.State.Rules().MinimumCredit) }),
			gauge("pose_score", "Proof of Service score of the node.",
				func(s *engine.Snapshot, own state.Node) float64 { return float64(own.PoSe.At(s.Tip.Height)) }),
			gauge("pose_maximum", "Score that bans.",
				func(s *engine.Snapshot, _ state.Node) float64 {
					return float64(state.PoSeMaximum(s.State.NodeCount()))
				}),
			gauge("pose_increase", "What one failed session costs.",
				func(s *engine.Snapshot, _ state.Node) float64 {
					return float64(state.PoSeIncrease(s.State.NodeCount(), s.State.Profile()))
				}),
			gauge("pose_banned", "1 if the node is PoSe-banned, else 0.",
				func(_ *engine.Snapshot, own state.Node) float64 { return flag(own.PoSeBanned()) }),
			gauge("platform_ban_flag", "1 if the node's PlatformPoSeBan flag is set here, else 0.",
				func(s *engine.Snapshot, own state.Node) float64 { return flag(s.Flag(own.ProTxHash).Set()) }),
			gauge("proof_age_blocks", "Blocks since the node's last uptime proof was sent; since its registration if none was.",
				func(s *engine.Snapshot, own state.Node) float64 { return float64(silence(s, own)) }),
		}}
}

func (c own) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.registered
	ch <- c.state
	for _, g := range c.gauges {
		ch <- g.desc
	}
}

func (c own) Collect(ch chan<- prometheus.Metric) {
	proTx := c.node.config.ProTxHash
	if proTx.IsZero() {
		return
	}
	show := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	s := c.node.Snapshot()
	own, registered := s.State.Node(proTx)
	show(c.registered, flag(registered))
	if !registered {
		return
	}
	for _, in := range []state.Service{state.Awaiting, state.Active, state.Decommissioned} {
		show(c.state, flag(own.Service() == in), in.String())
	}
	for _, g := range c.gauges {
		show(g.desc, g.value(s, own))
	}
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
