package testnet

import (
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// Value reads a counter or gauge of node i as its /metrics would show it,
// summed over the labels not named. Labels alternate between name and value.
func (c *Cluster) Value(i int, name string, labels ...string) (sum float64) {
	families, err := c.Node(i).Metrics().Gather()
	if err != nil {
		panic(err) // a metric was registered wrongly
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}) {
			return false
		}
	}
	return true
}

// Judged counts the platform bans that node i gave a verdict to.
func (c *Cluster) Judged(i int, v validation.Verdict) float64 {
	return c.Value(i, "proctor_gossip_judged_total",
		"topic", engine.TopicPlatformBan.String(), "outcome", v.Outcome.String(), "reason", string(v.Reason))
}
