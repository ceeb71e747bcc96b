package verify

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/metrics"
)

type poolMetrics struct {
	latency prometheus.Histogram
	batch   prometheus.Histogram
	split   prometheus.Counter
	dropped prometheus.Counter
}

func newMetrics(r prometheus.Registerer, depth func() float64) *poolMetrics {
	const subsystem = "verify"
	m := &poolMetrics{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "duration_seconds",
			Help: "Time from handing in a signature to its result.", Buckets: metrics.LatencyBuckets(),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "batch_size",
			Help: "Signatures checked together.", Buckets: metrics.SizeBuckets(),
		}),
		split: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "batch_splits_total",
			Help: "Batches of two or more that held a wrong signature and were bisected.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "queue_drops_total",
			Help: "Signatures not checked because the queue was full.",
		}),
	}
	r.MustRegister(m.latency, m.batch, m.split, m.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: metrics.Namespace, Subsystem: subsystem, Name: "queue_depth",
		Help: "Signatures waiting for a worker.",
	}, depth))
	return m
}
