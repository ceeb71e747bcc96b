package node

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/state"
)

const gone = "gone" // deregistered, or left in good order

// serviceStates lists what a service node can come to.
func serviceStates() []string {
	return []string{state.Awaiting.String(), state.Active.String(), state.Decommissioned.String(), gone}
}

func stateName(s state.Service) string {
	if s == 0 {
		return gone
	}
	return s.String()
}

// reportBlocks counts and logs what blocks did to service nodes.
func (n *Node) reportBlocks(e *engine.Effects) {
	for _, c := range e.Connected {
		for _, t := range c.Transitions {
			n.metrics.transitions.WithLabelValues(stateName(t.To)).Inc()
			n.config.Log.Info("service node changes", "node", t.ProTxHash, "height", c.Tip.Height, "from", stateName(t.From), "to", stateName(t.To), "cause", t.Cause)
		}
		for _, blocks := range c.Waited {
			n.metrics.waited.Observe(float64(blocks))
		}
	}
	n.metrics.undone.Add(float64(e.Undone))
	for _, a := range e.Alarms {
		n.metrics.alarms.WithLabelValues(string(a.Kind)).Inc()
		n.alarms.note(a, n.Snapshot().TipHeight(), time.Now())
		n.config.Log.Warn("alarm", "kind", a.Kind, "what", a.Text)
	}
}

func brake(s *engine.Snapshot) float64 {
	if k := s.State.Brake(); k < math.MaxInt32 {
		return float64(k)
	}
	return -1
}

// states shows how many service nodes are in each state.
type states struct {
	node *Node
	desc *prometheus.Desc
}

func newStates(n *Node) prometheus.Collector {
	return states{n, prometheus.NewDesc(metrics.Namespace+"_service_nodes", "Service nodes in the registry, by service state.", []string{"state"}, nil)}
}

func (c states) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c states) Collect(ch chan<- prometheus.Metric) {
	awaiting, active, decommissioned := c.node.Snapshot().State.Counts()
	for s, count := range map[state.Service]int{state.Awaiting: awaiting, state.Active: active, state.Decommissioned: decommissioned} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(count), s.String())
	}
}
