package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// paceMetrics show whether what is due every so many blocks comes.
func paceMetrics(n *Node) []prometheus.Collector {
	gauge := func(name, help string, f func(*engine.Snapshot) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: metrics.Namespace, Name: name, Help: help},
			func() float64 { return f(n.Snapshot()) })
	}
	return []prometheus.Collector{
		gauge("slot_seconds", "Length of a slot, in which at most one block is made.",
			func(*engine.Snapshot) float64 { return n.config.Genesis.Slot().Seconds() }),
		gauge("proof_validity_blocks", "Blocks after which an uptime proof is stale.",
			func(s *engine.Snapshot) float64 { return float64(s.State.Rules().ProofValidity) }),
		gauge("stale_proofs", "Service nodes, awaiting ones left out, whose last uptime proof heard here is stale.",
			func(s *engine.Snapshot) float64 { return float64(staleProofs(s)) }),
		missed{n, prometheus.NewDesc(metrics.Namespace+"_dkg_missed_sessions", "Sessions since the newest quorum that ended without one, by type.", []string{"type"}, nil)},
	}
}

// silence is for how many blocks no uptime proof of a node was heard.
func silence(s *engine.Snapshot, n state.Node) int32 {
	since := n.RegisteredHeight
	if r, heard := s.Proofs.Get(n.ProTxHash); heard {
		since = max(since, r.Heard)
	}
	return max(0, s.Tip.Height-since)
}

func staleProofs(s *engine.Snapshot) (count int) {
	for _, n := range s.State.Nodes() {
		if n.Service() != state.Awaiting && silence(s, n) > s.State.Rules().ProofValidity {
			count++
		}
	}
	return count
}

// missed shows how many sessions in a row made no quorum. A counter would not
// tell after a restart.
type missed struct {
	node *Node
	desc *prometheus.Desc
}

func (c missed) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c missed) Collect(ch chan<- prometheus.Metric) {
	s := c.node.Snapshot()
	for _, q := range s.State.LLMQs() {
		newest := int32(0) // the first session begins one interval above
		for made := range s.State.Quorums(q.Type) {
			newest = made.Base
			break
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(missedSessions(q, newest, s.Tip.Height)), typeLabel(q.Type))
	}
}

// missedSessions counts the sessions above base whose last block to be mined
// in has passed at tip.
func missedSessions(q params.LLMQ, base, tip int32) int32 {
	return max(0, (tip-q.MiningEnd-base)/q.DKGInterval)
}
