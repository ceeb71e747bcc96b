package verify

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

func alone(j Job) Job {
	j.Alone = true
	return j
}

// Neither with one another nor with those of the main lane; so a wrong one
// makes no batch cost more, and its result is what it would be anywhere.
func TestPool_AloneSharesNoBatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		jobs    []Job
		batches float64
		split   float64
		valid   int
	}{
		{"good ones", repeat(alone(good(1, 0)), 10), 10, 0, 10},
		{"wrong ones", repeat(alone(samples()[3].job), 10), 10, 0, 0},
		{"wrong ones beside a batch", append(repeat(good(1, 0), 9), repeat(alone(samples()[3].job), 5)...), 6, 0, 9},
		{"a wrong one in the batch", append(repeat(alone(good(1, 0)), 5), good(1, 0), samples()[3].job), 6, 1, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				p := New(Config{Registerer: reg, Workers: 1})
				results := offer(t, p, c.jobs)
				if depth := gather(t, reg)["proctor_verify_queue_depth"]; int(depth) != len(c.jobs) {
					t.Errorf("queue depth %v, want %d: both lanes wait", depth, len(c.jobs))
				}
				stop := run(t, p)
				valid := 0
				for i, r := range results() {
					if r.Valid {
						valid++
					}
					if !r.Encoded {
						t.Errorf("job %d: %+v, want encoded", i, r)
					}
				}
				stop()
				m := gather(t, reg)
				if valid != c.valid || m["proctor_verify_batch_size_count"] != c.batches || m["proctor_verify_batch_splits_total"] != c.split ||
					m["proctor_verify_batch_size_sum"] != float64(len(c.jobs)) {
					t.Errorf("%d valid, %v batches of %v in all, %v split; want %d, %v of %d, %v", valid, m["proctor_verify_batch_size_count"],
						m["proctor_verify_batch_size_sum"], m["proctor_verify_batch_splits_total"], c.valid, c.batches, len(c.jobs), c.split)
				}
			})
		})
	}
}

// A worker that was idle when a suspect's job came has others waiting by the
// time it looks for more.
func TestPool_AloneEvenWhenOthersComeBehindIt(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // or the worker would look before they come
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registerer: prometheus.NewRegistry()})
		batch := make(chan []ticket, 1)
		go func() {
			b, _ := p.take(t.Context())
			batch <- b
		}()
		synctest.Wait() // it is idle
		p.alone <- ticket{job: Job{Alone: true}}
		for range 3 {
			p.queue <- ticket{}
		}
		if b := <-batch; len(b) != 1 || !b[0].job.Alone || len(p.queue) != 3 {
			t.Errorf("a batch of %d, %d wait behind it; want the suspect's job alone", len(b), len(p.queue))
		}
	})
}

// order fills both lanes, runs one worker and returns in which order the
// lanes got their results: m and a. Results without a buffer make the worker
// wait until each is seen.
func order(t *testing.T, main, suspect int) string {
	t.Helper()
	p := New(Config{Registerer: prometheus.NewRegistry(), Workers: 1})
	mains, suspects := make(chan Result), make(chan Result)
	for range main {
		p.queue <- ticket{Job{}, mains}
	}
	for range suspect {
		p.alone <- ticket{Job{Alone: true}, suspects}
	}
	defer run(t, p)()
	var b strings.Builder
	for range main + suspect {
		select {
		case <-mains:
			b.WriteByte('m')
		case <-suspects:
			b.WriteByte('a')
		}
	}
	return b.String()
}

// A flood in one lane takes of the other's time what its share is, however
// many wait: one behind each batch.
func TestPool_LanesDoNotStarveOneAnother(t *testing.T) {
	batch := strings.Repeat("m", MaxBatch) + "a"
	for _, c := range []struct {
		name          string
		main, suspect int
		want          string
	}{
		{"flood of suspects", 2 * MaxBatch, AloneSize, strings.Repeat(batch, 2) + strings.Repeat("a", AloneSize-2)},
		{"flood of the others", QueueSize, 3, strings.Repeat(batch, 3) + strings.Repeat("m", QueueSize-3*MaxBatch)},
		{"both", QueueSize, AloneSize, strings.Repeat(batch, QueueSize/MaxBatch) + strings.Repeat("a", AloneSize-QueueSize/MaxBatch)},
		{"suspects only", 0, 5, "aaaaa"},
	} {
		if got := order(t, c.main, c.suspect); got != c.want {
			t.Errorf("%s: order of results %s, want %s", c.name, runs(got), runs(c.want))
		}
	}
}

// runs shortens a string of two letters for people.
func runs(s string) (short string) {
	const most = 60
	return s[:min(most, len(s))] + map[bool]string{true: "..."}[len(s) > most]
}

func TestPool_FullSuspectLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		p := New(Config{Registerer: reg, Workers: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range AloneSize {
			callers.Go(func() {
				if _, err := p.Verify(ctx, Job{Alone: true}); !errors.Is(err, context.Canceled) {
					t.Errorf("waiting caller got %v, want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		if _, err := p.Verify(ctx, Job{Alone: true}); !errors.Is(err, ErrFull) {
			t.Errorf("got %v, want %v", err, ErrFull)
		}
		if n := gather(t, reg)["proctor_verify_queue_drops_total"]; n != 1 {
			t.Errorf("%v drops counted, want 1", n)
		}
		// The main lane has its own room.
		callers.Go(func() {
			if _, err := p.Verify(ctx, Job{}); !errors.Is(err, context.Canceled) {
				t.Errorf("main lane got %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		if n := len(p.queue); n != 1 {
			t.Errorf("%d wait in the main lane, want 1", n)
		}
		cancel()
		callers.Wait()
	})
}

// A stop must not wait for the lanes to be empty: in a flood they never are.
func TestPool_StopsInAFlood(t *testing.T) {
	p := New(Config{Registerer: prometheus.NewRegistry(), Workers: 2})
	for range 4 * MaxBatch {
		p.queue <- ticket{Job{}, make(chan Result, 1)}
		p.alone <- ticket{Job{Alone: true}, make(chan Result, 1)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if len(p.queue) != 4*MaxBatch || len(p.alone) != 4*MaxBatch {
		t.Errorf("%d and %d wait, want all %d: none is checked after the stop", len(p.queue), len(p.alone), 4*MaxBatch)
	}
}
