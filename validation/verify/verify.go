// Package verify checks quorum signatures in batches. A worker takes what is
// waiting, up to MaxBatch: an idle worker checks a single signature at once,
// a busy one finds the next batch already gathered. There is no timer, so
// batching costs no latency, and batches grow by themselves under load.
package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Limits of a Pool.
const (
	MaxBatch  = 64   // signatures checked together; more gain almost nothing
	QueueSize = 4096 // jobs waiting
	AloneSize = 1024 // jobs waiting that share no batch
	cacheSize = 64   // parsed keys a worker keeps; a network has few quorums at a time
)

// ErrFull means that as many jobs wait as may.
var ErrFull = errors.New("verify: queue is full")

// Job is one signature to check.
type Job struct {
	Key       wire.OperatorKey // public key of the quorum
	Hash      wire.Hash        // what was signed
	Signature wire.Signature
	Alone     bool // shares no batch: whoever sent it is not trusted yet
}

// Result says whether the signature's bytes encode a signature, and whether
// it is the key's over the hash.
type Result struct{ Encoded, Valid bool }

// Config of a Pool.
type Config struct {
	Registerer prometheus.Registerer
	Workers    int // default: one per core but one, at least one
}

// Pool is a queue of jobs and the workers that empty it.
type Pool struct {
	queue   chan ticket
	alone   chan ticket // the suspect lane
	workers int
	metrics *poolMetrics
}

type ticket struct {
	job    Job
	result chan Result // capacity 1 and one send: a caller that left blocks nobody
}

// New returns a pool; nothing runs until Run.
func New(c Config) *Pool {
	if c.Workers == 0 {
		c.Workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	p := &Pool{queue: make(chan ticket, QueueSize), alone: make(chan ticket, AloneSize), workers: c.Workers}
	p.metrics = newMetrics(c.Registerer, func() float64 { return float64(len(p.queue) + len(p.alone)) })
	return p
}

// Verify waits for the result of job. The error is ErrFull or ctx's.
func (p *Pool) Verify(ctx context.Context, job Job) (Result, error) {
	start := time.Now()
	t := ticket{job, make(chan Result, 1)}
	queue := p.queue
	if job.Alone {
		queue = p.alone
	}
	select {
	case queue <- t:
	default:
		p.metrics.dropped.Inc()
		return Result{}, ErrFull
	}
	select {
	case r := <-t.result:
		p.metrics.latency.Observe(time.Since(start).Seconds())
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Run checks signatures until ctx ends; then it returns nil. Jobs that wait
// at that moment get no result.
func (p *Pool) Run(ctx context.Context) error {
	var g errgroup.Group
	for range p.workers {
		g.Go(func() error {
			w := worker{keys: make(map[wire.OperatorKey]bls.PublicKey)}
			for {
				batch, ok := p.take(ctx)
				if !ok {
					return nil
				}
				p.metrics.batch.Observe(float64(len(batch)))
				if bad := w.check(batch); bad && len(batch) > 1 {
					p.metrics.split.Inc()
				}
				select { // one behind each batch: what shares none is not starved, and starves nobody
				case t := <-p.alone:
					p.metrics.batch.Observe(1)
					w.check([]ticket{t})
				default:
				}
			}
		})
	}
	return g.Wait()
}

// take waits for one job and returns it with all that are waiting behind it.
// Before a batch closes, callers that are about to enqueue get their turn:
// the first of a burst would otherwise be checked alone, at four times the cost.
func (p *Pool) take(ctx context.Context) ([]ticket, bool) {
	if ctx.Err() != nil {
		return nil, false // asked first: in a flood the lanes never run empty
	}
	var batch []ticket
	select {
	case t := <-p.queue:
		batch = append(batch, t)
	default:
	}
	if batch == nil {
		select {
		case t := <-p.queue:
			batch = append(batch, t)
		case t := <-p.alone:
			return []ticket{t}, true
		case <-ctx.Done():
			return nil, false
		}
	}
	for yielded := false; len(batch) < MaxBatch; {
		select {
		case t := <-p.queue:
			batch = append(batch, t)
			yielded = false
		default:
			if yielded {
				return batch, true
			}
			runtime.Gosched()
			yielded = true
		}
	}
	return batch, true
}

// worker owns a cache of parsed keys.
type worker struct {
	keys map[wire.OperatorKey]bls.PublicKey
}

// check answers every ticket and reports whether a signature was wrong.
func (w *worker) check(batch []ticket) (bad bool) {
	items := make([]bls.Item, 0, len(batch))
	waiting := make([]ticket, 0, len(batch))
	for _, t := range batch {
		sig, err := bls.ParseSignature(t.job.Signature)
		if err != nil {
			t.result <- Result{}
			continue
		}
		key, err := w.key(t.job.Key)
		if err != nil {
			t.result <- Result{Encoded: true} // a key that is none verifies nothing
			continue
		}
		items = append(items, bls.Item{Key: key, Hash: t.job.Hash, Signature: sig})
		waiting = append(waiting, t)
	}
	// The coefficients must not be known before the signatures are fixed.
	var seed [32]byte
	rand.Read(seed[:]) // never fails: package crypto/rand ends the process instead
	for i, valid := range bls.VerifyBatch(items, seed) {
		waiting[i].result <- Result{Encoded: true, Valid: valid}
		bad = bad || !valid
	}
	return bad
}

func (w *worker) key(b wire.OperatorKey) (bls.PublicKey, error) {
	if k, ok := w.keys[b]; ok {
		return k, nil
	}
	k, err := bls.ParsePublicKey(b)
	if err != nil {
		return k, err
	}
	if len(w.keys) == cacheSize {
		clear(w.keys) // quorums rotate slowly: starting again is cheaper than bookkeeping
	}
	w.keys[b] = k
	return k, nil
}
