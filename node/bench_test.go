package node_test

import (
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkBan measures the CPU that an accepted ban costs a node from its
// bytes to the disk, without transport: decode, look-ups, batch verification,
// engine, commit. 64 are offered at once. The references check the same
// signatures in the same run: all in one batch, and one by one.
func BenchmarkBan(b *testing.B) {
	const offered = 64
	network, n := startNode(b, offered)
	n.Trust("somebody")
	var toRaw, toSingle []float64
	height := n.Snapshot().TipHeight() - 500
	for b.Loop() {
		height++
		bans := sign(b, network, offered, height)
		raw := measure.CPU(func() { checkTogether(b, network, bans) })
		judged := measure.CPU(func() { offer(b, n, bans) })
		single := measure.CPU(func() { checkOneByOne(b, network, bans) })
		toRaw = append(toRaw, judged.Seconds()/raw.Seconds())
		toSingle = append(toSingle, judged.Seconds()/single.Seconds())
	}
	b.ReportMetric(measure.Median(toRaw), "x-raw-batch(aim:1.15)")
	b.ReportMetric(measure.Median(toSingle), "x-one-by-one(aim:0.40)")
}

// startNode runs a node of a network with that many evonodes whose chain
// stands still.
func startNode(b *testing.B, evonodes int) (*testnet.Network, *node.Node) {
	network, err := testnet.NewNetwork(testnet.Options{
		Nodes: evonodes + 1, Regular: 1, Profile: "core", Slot: time.Hour, History: 620, Now: time.Now(),
	})
	if err != nil {
		b.Fatal(err)
	}
	blocks, err := network.History()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := network.Replay(dir, blocks); err != nil {
		b.Fatal(err)
	}
	n, err := node.New(node.Config{
		Genesis:  network.Genesis,
		Identity: network.Members[10].Service,
		DataDir:  dir,
		Listen:   []string{"/ip4/127.0.0.1/tcp/0"},
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(b.Context()) }()
	b.Cleanup(func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	for !n.Snapshot().Synced() {
		time.Sleep(time.Millisecond)
	}
	return network, n
}

func sign(b *testing.B, network *testnet.Network, count int, height int32) (bans [][]byte) {
	for _, m := range network.Members[1 : 1+count] {
		ban, err := network.Dealer.Ban(m.ProTxHash, height, network.Dealer.Threshold)
		if err != nil {
			b.Fatal(err)
		}
		bans = append(bans, ban.Bytes())
	}
	return bans
}

func offer(b *testing.B, n *node.Node, bans [][]byte) {
	var callers sync.WaitGroup
	for _, ban := range bans {
		callers.Go(func() {
			if v := n.JudgeFrom(b.Context(), "somebody", ban); !v.OK() {
				b.Errorf("judged %s", v.Reason)
			}
		})
	}
	callers.Wait()
}

// items parses what the references check, keys included once.
func items(b *testing.B, network *testnet.Network, bans [][]byte) (items []bls.Item) {
	key, err := bls.ParsePublicKey(network.Dealer.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	for _, raw := range bans {
		m, err := wire.ParsePlatformBan(raw)
		if err != nil {
			b.Fatal(err)
		}
		sig, err := bls.ParseSignature(m.Signature)
		if err != nil {
			b.Fatal(err)
		}
		items = append(items, bls.Item{Key: key, Hash: m.SignHash(network.Dealer.LLMQType), Signature: sig})
	}
	return items
}

func checkTogether(b *testing.B, network *testnet.Network, bans [][]byte) {
	if slices.Contains(bls.VerifyBatch(items(b, network, bans), [32]byte{1}), false) {
		b.Fatal("a signature is wrong")
	}
}

func checkOneByOne(b *testing.B, network *testnet.Network, bans [][]byte) {
	for _, i := range items(b, network, bans) {
		if !bls.Verify(i.Key, i.Hash, i.Signature) {
			b.Fatal("a signature is wrong")
		}
	}
}
