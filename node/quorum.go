package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// quorumMetrics count how quorums are made, what they sign, and who is
// punished for it.
type quorumMetrics struct {
	mined       *prometheus.CounterVec
	recovered   *prometheus.CounterVec
	shares      *prometheus.CounterVec
	punishments prometheus.Counter
	poseBans    prometheus.Counter
}

// Results of a session, as label values.
const (
	minedReal = "real"
	minedNull = "null"
)

func newQuorumMetrics(r prometheus.Registerer, n *Node) *quorumMetrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metrics.Namespace, Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: metrics.Namespace, Name: name, Help: help})
	}
	m := &quorumMetrics{
		mined:     counters("quorums_mined_total", "Final commitments in blocks of our branch, by type and by whether they make a quorum.", "type", "result"),
		recovered: counters("signatures_recovered_total", "Signatures of quorums that this node recovered from shares, by type.", "type"),
		shares: counters("sig_shares_total",
			"Shares of others judged, by outcome and reason; one that is taken and found wrong later counts twice.", "outcome", "reason"),
		punishments: counter("pose_punishments_total", "Members whose score was raised in blocks of our branch, as a commitment found them not valid."),
		poseBans:    counter("pose_bans_total", "Punishments that banned the member."),
	}
	for _, q := range n.genesisState.LLMQs() {
		for _, result := range []string{minedReal, minedNull} {
			m.mined.WithLabelValues(typeLabel(q.Type), result)
		}
		m.recovered.WithLabelValues(typeLabel(q.Type))
	}
	for _, v := range shareVerdicts() {
		m.shares.WithLabelValues(v.Outcome.String(), string(v.Reason))
	}
	r.MustRegister(m.mined, m.recovered, m.shares, m.punishments, m.poseBans, newPhases(n),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Name: "ban_requests", Help: "Bans that this node asks its quorum for.",
		}, func() float64 { return float64(requestsStanding(n.Snapshot())) }),
	)
	return m
}

func typeLabel(t wire.LLMQType) string { return strconv.Itoa(int(t)) }

// shareVerdicts lists what a share can be judged.
func shareVerdicts() (all []validation.Verdict) {
	for _, r := range []validation.Reason{
		validation.Valid, validation.Duplicate, validation.ShareUnknownQuorum, validation.ShareNotOurs,
		validation.ShareDecided, validation.ShareFull, validation.ShareMember, validation.ShareSignature,
	} {
		all = append(all, r.Verdict())
	}
	return all
}

// requestsStanding counts the requests for bans that have no answer yet.
func requestsStanding(s *engine.Snapshot) (count int) {
	for _, r := range s.Requests.All() {
		if r.Stands() {
			count++
		}
	}
	return count
}

// reportQuorums counts and logs what came of sessions and signing.
func (n *Node) reportQuorums(e *engine.Effects) {
	m := n.metrics.quorums
	for _, v := range e.SharesJudged {
		m.shares.WithLabelValues(v.Outcome.String(), string(v.Reason)).Inc()
	}
	for _, p := range e.Publications {
		if p.Topic != engine.TopicRecovered {
			continue
		}
		if sig, err := wire.ParseRecoveredSig(p.Bytes); err == nil {
			m.recovered.WithLabelValues(typeLabel(sig.Type)).Inc()
			n.config.Log.Info("signature recovered", "type", sig.Type, "quorum", sig.QuorumHash, "request", sig.ID, "message", sig.MessageHash)
		}
	}
	for _, c := range e.Connected {
		for _, q := range c.Formed {
			m.mined.WithLabelValues(typeLabel(q.Type()), minedReal).Inc()
			n.config.Log.Info("quorum formed", "type", q.Type(), "quorum", q.Hash(), "height", c.Tip.Height,
				"members", len(q.Members), "valid", q.Commitment.ValidMembers.Count(), "signers", q.Commitment.Signers.Count())
		}
		for _, t := range c.Null {
			m.mined.WithLabelValues(typeLabel(t), minedNull).Inc()
			n.config.Log.Debug("null commitment", "type", t, "height", c.Tip.Height)
		}
		for _, p := range c.Punishments {
			m.punishments.Inc()
			if p.Bans {
				m.poseBans.Inc()
			}
			n.config.Log.Info("member punished", "node", p.ProTxHash, "height", p.Height, "score", p.After, "of", p.Maximum, "banned", p.Bans)
		}
	}
}

// phases shows where the session of each type stands.
type phases struct {
	node *Node
	desc *prometheus.Desc
}

func newPhases(n *Node) prometheus.Collector {
	return phases{n, prometheus.NewDesc(metrics.Namespace+"_dkg_phase",
		"Phase of the present session, by type: 0 none that this node follows, 1 initialized, 2 contribute, 3 complain, 4 justify, 5 commit, 6 finalize, 7 idle.", []string{"type"}, nil)}
}

func (c phases) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c phases) Collect(ch chan<- prometheus.Metric) {
	s := c.node.Snapshot()
	for _, q := range s.State.LLMQs() {
		var newest dkg.Status
		for _, d := range s.DKG {
			if d.Type == q.Type && d.Height >= newest.Height {
				newest = d
			}
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(newest.Phase), typeLabel(q.Type))
	}
}
