package node_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
)

// frozenNetwork is a network with that many evonodes, one regular node and a
// history, whose chain stands still, and a directory with that history.
func frozenNetwork(t testing.TB, evonodes int, profile string) (past *testnet.Simulation, dir string) {
	network, err := testnet.NewNetwork(testnet.Options{
		Nodes: evonodes + 1, Regular: 1, Profile: profile, Slot: time.Hour, History: 620, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if past, err = network.History(); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := past.Save(0, dir); err != nil {
		t.Fatal(err)
	}
	return past, dir
}

// startNode runs an observer of the network and waits until it is synced.
// stop, which the end of the test calls too, stops it.
func startNode(t testing.TB, network *testnet.Network, dir string, change ...func(*node.Config)) (n *node.Node, stop func()) {
	t.Helper()
	n, stop = startNodeOf(t, network, dir, change...)
	await(t, "the node to know where it stands", func() bool { return n.Snapshot().Confident() })
	return n, stop
}

// startNodeOf runs an observer of the network.
func startNodeOf(t testing.TB, network *testnet.Network, dir string, change ...func(*node.Config)) (n *node.Node, stop func()) {
	c := node.Config{
		Genesis:  network.Genesis,
		Identity: network.Members[0].Service,
		DataDir:  dir,
		Listen:   []string{"/ip4/127.0.0.1/tcp/0"},
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	n, err := node.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20s for %s", what)
		}
	}
}

// value sums the samples of a metric of n whose labels match; of a histogram
// its sum.
func value(t testing.TB, n *node.Node, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	samples:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if len(labels) == 2 && l.GetName() == labels[0] && l.GetValue() != labels[1] {
					continue samples
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}
