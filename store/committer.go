package store

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
)

// Batch is what the engine wants stored in one piece, and what waits for it.
type Batch struct {
	Commits [][]engine.Write // one transaction each, in order; usually one
	Done    func()           // called once all are on disk, never otherwise
}

// Committer makes a synced commit of each batch, in order. While it waits
// for the disk the next batch gathers.
type Committer struct {
	store   Committing
	batches chan Batch
	metrics committerMetrics
}

// Committing is what a Committer needs of a Store. Tests put faults in between.
type Committing interface {
	Commit([]engine.Write) error
}

// NewCommitter returns a committer; nothing is written until Run.
func NewCommitter(s Committing, r prometheus.Registerer) *Committer {
	return &Committer{s, make(chan Batch, 1), newMetrics(r)}
}

// Submit hands in a batch. It waits while an earlier one is waiting; the
// error is ctx's.
func (c *Committer) Submit(ctx context.Context, b Batch) error {
	select {
	case c.batches <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run commits until ctx ends, then commits what was handed in and returns
// nil. It returns the first commit's error: a node that cannot store must not
// go on as if it had.
func (c *Committer) Run(ctx context.Context) error {
	for {
		select {
		case b := <-c.batches:
			if err := c.commit(b); err != nil {
				return err
			}
		case <-ctx.Done():
			select {
			case b := <-c.batches:
				return c.commit(b)
			default:
				return nil
			}
		}
	}
}

func (c *Committer) commit(b Batch) error {
	for _, writes := range b.Commits {
		start := time.Now()
		if err := c.store.Commit(writes); err != nil {
			c.metrics.failures.Inc()
			return err
		}
		c.metrics.latency.Observe(time.Since(start).Seconds())
		c.metrics.records.Observe(float64(len(writes)))
	}
	b.Done()
	return nil
}

type committerMetrics struct {
	latency  prometheus.Histogram
	records  prometheus.Histogram
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) committerMetrics {
	const subsystem = "store"
	m := committerMetrics{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "commit_duration_seconds",
			Help: "Time of one synced commit.", Buckets: metrics.LatencyBuckets(),
		}),
		records: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "commit_records",
			Help: "Records in one commit.", Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "commit_failures_total",
			Help: "Commits that failed; the first one stops the node.",
		}),
	}
	r.MustRegister(m.latency, m.records, m.failures)
	return m
}
