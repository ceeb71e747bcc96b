package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/engine"
)

// disk records the batches committed to it. Commit waits for gate when there
// is one, and fails from batch failAt on, counted from 1.
type disk struct {
	gate    chan struct{}
	failAt  int
	calls   int
	batches [][]engine.Write
}

var errDisk = errors.New("disk is full")

func (d *disk) Commit(w []engine.Write) error {
	if d.gate != nil {
		<-d.gate
	}
	if d.calls++; d.calls == d.failAt {
		return errDisk
	}
	d.batches = append(d.batches, w)
	return nil
}

// numbered is a batch that is told apart by its one record and appends its
// number to done.
func numbered(i byte, done *[]byte) Batch {
	return Batch{
		Commits: [][]engine.Write{{{Kind: engine.KindMeta, Value: []byte{i}}}},
		Done:    func() { *done = append(*done, i) },
	}
}

// started runs c in the bubble and returns where Run's result will be.
func started(ctx context.Context, c *Committer) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.Run(ctx) }()
	return result
}

func TestCommitter_CommitsInOrderAndSaysSoAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{gate: make(chan struct{})}
		c := NewCommitter(d, prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		run := started(ctx, c)
		var done []byte
		go func() {
			for i := range byte(5) {
				if err := c.Submit(ctx, numbered(i, &done)); err != nil {
					t.Error(err)
				}
			}
		}()
		for i := range byte(5) {
			synctest.Wait()
			if len(done) != int(i) {
				t.Errorf("commit %d is under way, done are %v", i, done)
			}
			d.gate <- struct{}{}
		}
		synctest.Wait()
		if want := []byte{0, 1, 2, 3, 4}; !slices.Equal(done, want) {
			t.Errorf("done %v, want %v", done, want)
		}
		for i, b := range d.batches {
			if b[0].Value[0] != byte(i) {
				t.Errorf("batch %d on disk is %v", i, b)
			}
		}
		cancel()
		if err := <-run; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

func TestCommitter_StopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{failAt: 2, gate: make(chan struct{}, 10)}
		reg := prometheus.NewRegistry()
		c := NewCommitter(d, reg)
		ctx, cancel := context.WithCancel(t.Context())
		run := started(ctx, c)
		var done []byte
		go func() {
			for i := range byte(4) {
				c.Submit(ctx, numbered(i, &done))
			}
		}()
		for range 4 {
			d.gate <- struct{}{}
		}
		if err := <-run; !errors.Is(err, errDisk) {
			t.Errorf("stopped with %v, want %v", err, errDisk)
		}
		synctest.Wait()
		if want := []byte{0}; !slices.Equal(done, want) || d.calls != 2 {
			t.Errorf("done %v after %d commits, want %v after 2", done, d.calls, want)
		}
		if n := gather(t, reg)["proctor_store_commit_failures_total"]; n != 1 {
			t.Errorf("%v failures counted, want 1", n)
		}
		cancel()
	})
}

// inParts is a batch of four transactions.
func inParts(done *int) Batch {
	b := Batch{Done: func() { *done++ }}
	for i := range byte(4) {
		b.Commits = append(b.Commits, []engine.Write{{Kind: engine.KindBlock, Key: []byte{i}, Value: []byte{i}}})
	}
	return b
}

func TestCommitter_PartsOfABatchAreCommittedInOrderAndAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{gate: make(chan struct{})}
		reg := prometheus.NewRegistry()
		c := NewCommitter(d, reg)
		ctx, cancel := context.WithCancel(t.Context())
		run := started(ctx, c)
		done := 0
		if err := c.Submit(ctx, inParts(&done)); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			synctest.Wait()
			if done != 0 || len(d.batches) != i {
				t.Errorf("part %d is under way: done %d times, %d parts on disk; want 0 and %d", i, done, len(d.batches), i)
			}
			d.gate <- struct{}{}
		}
		synctest.Wait()
		if done != 1 {
			t.Errorf("done %d times, want 1", done)
		}
		for i, part := range d.batches {
			if part[0].Key[0] != byte(i) {
				t.Errorf("part %d on disk is %v", i, part)
			}
		}
		if n := gather(t, reg)["proctor_store_commit_records_count"]; n != 4 {
			t.Errorf("%v transactions counted, want 4", n)
		}
		cancel()
		if err := <-run; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

// A batch is split where the database is in good order, so what lies before
// the failure stays; nobody is told that the batch is stored.
func TestCommitter_FailureBetweenPartsKeepsTheEarlierOnesAndIsNeverDone(t *testing.T) {
	for failAt := 1; failAt <= 4; failAt++ {
		dir := t.TempDir()
		s := opened(t, dir)
		c := NewCommitter(&failing{Store: s, failAt: failAt}, prometheus.NewRegistry())
		done := 0
		if err := c.Submit(t.Context(), inParts(&done)); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); !errors.Is(err, errDisk) || done != 0 {
			t.Errorf("failure at part %d: stopped with %v, done %d times; want %v and 0", failAt, err, done, errDisk)
		}
		closed(t, s)
		s = opened(t, dir)
		for i := range byte(4) {
			got, err := s.Get(engine.KindBlock, []byte{i})
			if want := int(i) < failAt-1; err != nil || (got != nil) != want {
				t.Errorf("failure at part %d: part %d on disk is %v, %v; want it there: %v", failAt, i+1, got, err, want)
			}
		}
		closed(t, s)
	}
}

// failing is a store whose commit number failAt writes nothing.
type failing struct {
	*Store
	failAt, calls int
}

func (f *failing) Commit(w []engine.Write) error {
	if f.calls++; f.calls == f.failAt {
		return errDisk
	}
	return f.Store.Commit(w)
}

// Run and the node's loop stop together: what the loop has handed in by then
// is committed, and the answer goes out.
func TestCommitter_CommitsWhatWasHandedInBeforeTheStop(t *testing.T) {
	for range 20 { // which of two ready cases Run takes first is chance
		d := &disk{}
		c := NewCommitter(d, prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		var done []byte
		if err := c.Submit(ctx, numbered(7, &done)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := c.Run(ctx); err != nil || !slices.Equal(done, []byte{7}) {
			t.Fatalf("stopped with %v, done %v; want nil and [7]", err, done)
		}
	}
}

func TestCommitter_FailureWhileStoppingIsReported(t *testing.T) {
	d := &disk{failAt: 1}
	c := NewCommitter(d, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	var done []byte
	if err := c.Submit(ctx, numbered(7, &done)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Run(ctx); !errors.Is(err, errDisk) || len(done) > 0 {
		t.Errorf("stopped with %v, done %v; want %v and none", err, done, errDisk)
	}
}

func TestCommitter_SubmitEndsWithItsContext(t *testing.T) {
	c := NewCommitter(&disk{}, prometheus.NewRegistry())
	var done []byte
	if err := c.Submit(t.Context(), numbered(0, &done)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Submit(ctx, numbered(1, &done)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestCommitter_BatchWithoutRecordsNeedsNoDisk(t *testing.T) {
	d := &disk{failAt: 1}
	c := NewCommitter(d, prometheus.NewRegistry())
	called := false
	if err := c.commit(Batch{Done: func() { called = true }}); err != nil || !called || d.calls != 0 {
		t.Errorf("error %v, done %v, %d commits; want nil, true and 0", err, called, d.calls)
	}
}

func TestCommitter_Metrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := NewCommitter(inMemory(t), reg)
	for range 3 {
		if err := c.commit(Batch{Commits: [][]engine.Write{batchOf(1)}, Done: func() {}}); err != nil {
			t.Fatal(err)
		}
	}
	got := gather(t, reg)
	for name, want := range map[string]float64{
		"proctor_store_commit_duration_seconds_count": 3,
		"proctor_store_commit_records_count":          3,
		"proctor_store_commit_records_sum":            float64(3 * len(batchOf(1))),
		"proctor_store_commit_failures_total":         0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (present: %v), want %v", name, v, ok, want)
		}
	}
}

// gather returns the values of all metrics; of a histogram its count and sum.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		if h := m.GetHistogram(); h != nil {
			values[f.GetName()+"_count"] = float64(h.GetSampleCount())
			values[f.GetName()+"_sum"] = h.GetSampleSum()
		} else {
			values[f.GetName()] = m.GetCounter().GetValue()
		}
	}
	return values
}
