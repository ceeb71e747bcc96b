package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key returns the i-th test key.
func key(i byte) bls.SecretKey { return bls.GenerateSecretKey([32]byte{'k', 'e', 'y', i}) }

func hash(i int) (h wire.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(i)+1)
	return h
}

// good is a job whose signature is right.
func good(k byte, i int) Job {
	sk := key(k)
	return Job{
		Key:       wire.OperatorKey(sk.PublicKey().Bytes()),
		Hash:      hash(i),
		Signature: wire.Signature(sk.Sign(hash(i)).Bytes()),
	}
}

// sample is a job and what its result must be.
type sample struct {
	name string
	job  Job
	want Result
}

func samples() []sample {
	right := sample{"right", good(1, 0), Result{true, true}}
	all := []sample{right, {"right, other key", good(2, 0), Result{true, true}}, {"right, other hash", good(1, 1), Result{true, true}}}
	add := func(name string, want Result, change func(*Job)) {
		j := right.job
		change(&j)
		all = append(all, sample{name, j, want})
	}
	encoded := Result{Encoded: true}
	add("of another hash", encoded, func(j *Job) { j.Hash = hash(1) })
	add("by another key", encoded, func(j *Job) { j.Key = good(2, 0).Key })
	add("zeros", Result{}, func(j *Job) { j.Signature = wire.Signature{} })
	add("infinity", Result{}, func(j *Job) { j.Signature = wire.Signature{0xc0} })
	add("no point", Result{}, func(j *Job) { j.Signature[50] ^= 1 })
	add("no flag of compression", Result{}, func(j *Job) { j.Signature[0] &^= 0x80 })
	add("key of zeros", encoded, func(j *Job) { j.Key = wire.OperatorKey{} })
	add("key at infinity", encoded, func(j *Job) { j.Key = wire.OperatorKey{0xc0} })
	add("key and signature malformed", Result{}, func(j *Job) { j.Key, j.Signature = wire.OperatorKey{}, wire.Signature{} })
	return all
}

// running is a pool that works until the test ends.
func running(t testing.TB, c Config) *Pool {
	p := New(c)
	stop := run(t, p)
	t.Cleanup(stop)
	return p
}

// run starts p and returns what stops it and waits.
func run(t testing.TB, p *Pool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("pool stopped with %v", err)
		}
	}
}

func TestPool_JudgesOneByOne(t *testing.T) {
	p := running(t, Config{Registerer: prometheus.NewRegistry()})
	for _, s := range samples() {
		if got, err := p.Verify(t.Context(), s.job); err != nil || got != s.want {
			t.Errorf("%s: got %+v, %v; want %+v", s.name, got, err, s.want)
		}
	}
}

// Whatever a job shares its batch with, its result is the same.
func TestPool_JudgesMixes(t *testing.T) {
	all := samples()
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		tickets := make([]ticket, 40)
		want := make([]sample, len(tickets))
		for i := range tickets {
			want[i] = all[r.IntN(len(all))]
			if r.IntN(3) > 0 {
				want[i] = all[0]
			}
			tickets[i] = ticket{want[i].job, make(chan Result, 1)}
		}
		w := worker{keys: make(map[wire.OperatorKey]bls.PublicKey)}
		w.check(tickets)
		for i, tk := range tickets {
			if got := <-tk.result; got != want[i].want {
				t.Errorf("seed %d, job %d, %s: got %+v, want %+v", seed, i, want[i].name, got, want[i].want)
			}
		}
	}
}

// offer hands in jobs from as many callers and returns, once all of them
// wait, what gives the results. It is for a pool in a synctest bubble that
// does not run yet.
func offer(t *testing.T, p *Pool, jobs []Job) (results func() []Result) {
	got := make([]Result, len(jobs))
	var callers sync.WaitGroup
	for i, j := range jobs {
		callers.Go(func() {
			r, err := p.Verify(t.Context(), j)
			if err != nil {
				t.Errorf("job %d: %v", i, err)
			}
			got[i] = r
		})
	}
	synctest.Wait()
	return func() []Result {
		callers.Wait()
		return got
	}
}

func TestPool_TakesAllThatWaitIntoOneBatch(t *testing.T) {
	for _, c := range []struct {
		name           string
		jobs           []Job
		batches, split float64
		valid          int
	}{
		{"a full batch", repeat(good(1, 0), MaxBatch), 1, 0, MaxBatch},
		{"one more than a batch holds", repeat(good(1, 0), MaxBatch+1), 2, 0, MaxBatch + 1},
		{"a wrong one among them", append(repeat(good(1, 0), 7), samples()[3].job), 1, 1, 7},
		{"a malformed one among them", append(repeat(good(1, 0), 7), Job{Key: good(1, 0).Key}), 1, 0, 7},
		{"a wrong one alone", []Job{samples()[3].job}, 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				p := New(Config{Registerer: reg, Workers: 1})
				results := offer(t, p, c.jobs)
				if depth := gather(t, reg)["proctor_verify_queue_depth"]; int(depth) != len(c.jobs) {
					t.Errorf("queue depth %v, want %d", depth, len(c.jobs))
				}
				stop := run(t, p)
				valid := 0
				for _, r := range results() {
					if r.Valid {
						valid++
					}
				}
				stop()
				if valid != c.valid {
					t.Errorf("%d valid, want %d", valid, c.valid)
				}
				for name, want := range map[string]float64{
					"proctor_verify_batch_size_count":       c.batches,
					"proctor_verify_batch_size_sum":         float64(len(c.jobs)),
					"proctor_verify_batch_splits_total":     c.split,
					"proctor_verify_duration_seconds_count": float64(len(c.jobs)),
					"proctor_verify_queue_depth":            0,
					"proctor_verify_queue_drops_total":      0,
				} {
					if got, ok := gather(t, reg)[name]; !ok || got != want {
						t.Errorf("%s is %v, want %v", name, got, want)
					}
				}
			})
		})
	}
}

func repeat(j Job, n int) []Job { return slices.Repeat([]Job{j}, n) }

// While a worker is busy the next batch gathers.
func TestPool_BatchesGrowUnderLoad(t *testing.T) {
	reg := prometheus.NewRegistry()
	p := running(t, Config{Registerer: reg, Workers: 1})
	jobs := []Job{good(1, 0), good(1, 1), good(2, 0)}
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			if r, err := p.Verify(t.Context(), jobs[i%len(jobs)]); err != nil || !r.Valid {
				t.Errorf("job %d: %+v, %v", i, r, err)
			}
		})
	}
	callers.Wait()
	m := gather(t, reg)
	if m["proctor_verify_batch_size_sum"] != 200 || m["proctor_verify_batch_size_count"] > 100 {
		t.Errorf("%v signatures in %v batches, want 200 in 100 or fewer",
			m["proctor_verify_batch_size_sum"], m["proctor_verify_batch_size_count"])
	}
}

func TestPool_FullQueueIsAnErrorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		p := New(Config{Registerer: reg})
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range QueueSize {
			callers.Go(func() {
				if _, err := p.Verify(ctx, Job{}); !errors.Is(err, context.Canceled) {
					t.Errorf("waiting caller got %v, want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		if _, err := p.Verify(ctx, Job{}); !errors.Is(err, ErrFull) {
			t.Errorf("got %v, want %v", err, ErrFull)
		}
		if n := gather(t, reg)["proctor_verify_queue_drops_total"]; n != 1 {
			t.Errorf("%v drops counted, want 1", n)
		}
		cancel()
		callers.Wait()
	})
}

// Callers that left have their tickets in the queue still: the worker must
// get past them to those who wait.
func TestPool_AbandonedTicketsBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registerer: prometheus.NewRegistry(), Workers: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var left sync.WaitGroup
		for range 3 * MaxBatch {
			left.Go(func() {
				if _, err := p.Verify(ctx, good(1, 0)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
				}
			})
		}
		left.Wait() // the bubble's clock moves on, as nobody runs
		results := offer(t, p, []Job{good(1, 1)})
		stop := run(t, p)
		if got, want := results()[0], (Result{true, true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		stop()
	})
}

func TestPool_StopLeavesCallersToTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registerer: prometheus.NewRegistry(), Workers: 2})
		run(t, p)() // started and stopped
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := p.Verify(ctx, good(1, 0))
			result <- err
		}()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("a stopped pool answered: %v", err)
		default:
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

func TestPool_Defaults(t *testing.T) {
	if p := New(Config{Registerer: prometheus.NewRegistry()}); p.workers < 1 {
		t.Errorf("%d workers by default", p.workers)
	}
}

func TestWorker_KeepsFewKeys(t *testing.T) {
	w := worker{keys: make(map[wire.OperatorKey]bls.PublicKey)}
	for i := range byte(cacheSize + 3) {
		k := key(i).PublicKey()
		got, err := w.key(wire.OperatorKey(k.Bytes()))
		if err != nil || !got.Equal(k) {
			t.Fatalf("key %d: %v", i, err)
		}
		if len(w.keys) > cacheSize {
			t.Fatalf("%d keys are kept, want at most %d", len(w.keys), cacheSize)
		}
	}
	if _, err := w.key(wire.OperatorKey{}); err == nil {
		t.Error("zeros are a key")
	}
}

// gather returns the values of all metrics; of a histogram its count and sum.
func gather(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		switch {
		case m.GetHistogram() != nil:
			values[f.GetName()+"_count"] = float64(m.GetHistogram().GetSampleCount())
			values[f.GetName()+"_sum"] = m.GetHistogram().GetSampleSum()
		case m.GetGauge() != nil:
			values[f.GetName()] = m.GetGauge().GetValue()
		default:
			values[f.GetName()] = m.GetCounter().GetValue()
		}
	}
	return values
}

// BenchmarkPool offers a full batch at once, all under one quorum's key. Its
// x-raw is the CPU time against verifying the same jobs as one batch without
// a pool, x-single that of verifying them one by one against the pool's.
func BenchmarkPool(b *testing.B) {
	jobs := make([]Job, MaxBatch)
	for i := range jobs {
		jobs[i] = good(1, i)
	}
	p := running(b, Config{Registerer: prometheus.NewRegistry()})
	variants := []func(){
		func() { // pool
			var callers sync.WaitGroup
			for _, j := range jobs {
				callers.Go(func() {
					if r, err := p.Verify(context.Background(), j); err != nil || !r.Valid {
						b.Errorf("%+v, %v", r, err)
					}
				})
			}
			callers.Wait()
		},
		func() { // raw
			pk, _ := bls.ParsePublicKey(jobs[0].Key)
			items := make([]bls.Item, len(jobs))
			for i, j := range jobs {
				sig, err := bls.ParseSignature(j.Signature)
				if err != nil {
					b.Error(err)
				}
				items[i] = bls.Item{Key: pk, Hash: j.Hash, Signature: sig}
			}
			if slices.Contains(bls.VerifyBatch(items, [32]byte{1}), false) {
				b.Error("a good signature is bad")
			}
		},
		func() { // single
			pk, _ := bls.ParsePublicKey(jobs[0].Key)
			for _, j := range jobs {
				if sig, err := bls.ParseSignature(j.Signature); err != nil || !bls.Verify(pk, j.Hash, sig) {
					b.Error("a good signature is bad")
				}
			}
		},
	}
	cpu := make([][]float64, len(variants))
	for b.Loop() {
		for i, f := range variants { // interleaved: what else runs here hits all alike
			start := cpuTime()
			f()
			cpu[i] = append(cpu[i], float64(cpuTime()-start))
		}
	}
	pool, raw, single := median(cpu[0]), median(cpu[1]), median(cpu[2])
	b.ReportMetric(pool/raw, "x-raw")
	b.ReportMetric(single/pool, "x-single")
	b.ReportMetric(pool/float64(MaxBatch)/1e3, "cpu-us/sig")
	b.ReportMetric(0, "ns/op") // all three variants together: of no use
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
