package node_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkBan measures the CPU that an accepted ban costs a node from its
// bytes to the disk, without transport: decode, look-ups, batch verification,
// engine, commit. 64 are offered at once. The references check the same
// signatures in the same run: all in one batch, and one by one.
func BenchmarkBan(b *testing.B) {
	const offered = 64
	past, dir := frozenNetwork(b, offered, "core")
	n, _ := startNode(b, past.Network, dir)
	signers := signersAt(b, past, n.Snapshot().TipHeight()) // profile core takes them at any height
	n.Trust("somebody")
	var toRaw, toSingle []float64
	height := n.Snapshot().TipHeight() - 500
	for b.Loop() {
		height++
		bans := sign(b, past.Members, signers, offered, height)
		raw := measure.CPU(func() { checkTogether(b, signers, bans) })
		judged := measure.CPU(func() { offer(b, n, bans) })
		single := measure.CPU(func() { checkOneByOne(b, signers, bans) })
		toRaw = append(toRaw, judged.Seconds()/raw.Seconds())
		toSingle = append(toSingle, judged.Seconds()/single.Seconds())
	}
	b.ReportMetric(measure.Median(toRaw), "x-raw-batch(aim:1.15)")
	b.ReportMetric(measure.Median(toSingle), "x-one-by-one(aim:0.40)")
}

// BenchmarkDuplicate measures what an item costs that was judged before:
// accepted, or refused for its signature.
func BenchmarkDuplicate(b *testing.B) {
	const offered, times = 64, 200
	past, dir := frozenNetwork(b, offered, "spec")
	n, _ := startNode(b, past.Network, dir)
	n.Trust("somebody")
	tip := n.Snapshot().TipHeight()
	signers := signersAt(b, past, tip)
	accepted, refused := sign(b, past.Members, signers, offered, tip), sign(b, past.Members, signers, offered, tip-1)
	for i, ban := range refused {
		copy(ban[68:], accepted[(i+1)%offered][68:]) // the signature of another
	}
	offer(b, n, accepted)
	for _, ban := range refused {
		n.JudgeFrom(b.Context(), "", ban)
	}
	for _, c := range []struct {
		name string
		bans [][]byte
		want validation.Reason
	}{{"accepted", accepted, validation.Duplicate}, {"refused", refused, validation.Signature}} {
		b.Run(c.name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				single := measure.CPU(func() { checkOneByOne(b, signers, accepted) })
				again := measure.CPU(func() {
					for range times {
						for _, ban := range c.bans {
							if v := n.JudgeFrom(b.Context(), "", ban); v.Reason != c.want {
								b.Fatalf("judged %s, want %s", v.Reason, c.want)
							}
						}
					}
				})
				ratios = append(ratios, again.Seconds()/times/single.Seconds())
			}
			b.ReportMetric(measure.Median(ratios), "x-signature-check")
		})
	}
}

func sign(b testing.TB, members []testnet.Member, signers testnet.Signers, count int, height int32) (bans [][]byte) {
	for _, m := range members[1 : 1+count] {
		ban, err := signers.Ban(m.ProTxHash, height, signers.Threshold)
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
func items(b *testing.B, signers testnet.Signers, bans [][]byte) (items []bls.Item) {
	key, err := bls.ParsePublicKey(signers.PublicKey)
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
		items = append(items, bls.Item{Key: key, Hash: m.SignHash(signers.Type), Signature: sig})
	}
	return items
}

func checkTogether(b *testing.B, signers testnet.Signers, bans [][]byte) {
	if slices.Contains(bls.VerifyBatch(items(b, signers, bans), [32]byte{1}), false) {
		b.Fatal("a signature is wrong")
	}
}

func checkOneByOne(b *testing.B, signers testnet.Signers, bans [][]byte) {
	for _, i := range items(b, signers, bans) {
		if !bls.Verify(i.Key, i.Hash, i.Signature) {
			b.Fatal("a signature is wrong")
		}
	}
}
