package engine

import (
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkRequestToSignature measures a ban by a quorum of 25 of which 17
// sign, all members in one process and no network between them: from the
// operators' requests until every member has the flag set. "x-raw" is the
// processor time of all members together against the curve operations that
// there must be: each of those who sign signs once; who collects decodes their
// shares, recovers and verifies the result; the signature and the ban are
// verified once. "us-each" is the time of one member.
func BenchmarkRequestToSignature(b *testing.B) {
	const size, threshold = 25, 17
	var ratios, each []float64
	for b.Loop() {
		b.StopTimer()
		c := newCouncil(b, size, threshold)
		c.until(12)
		node := c.node(victim)
		request := banOf(node, 8)
		b.StartTimer()
		whole := measure.CPU(func() {
			for i := range threshold {
				c.ask(i, node)
			}
			c.deliver()
		})
		c.wantFlags("measured", node, 8)
		hash := wire.SignHash(params.TestPlatform, testQuorum, request.ID, request.MessageHash)
		raw := measure.CPU(func() { c.raw(b, threshold, hash) })
		ratios = append(ratios, float64(whole)/float64(raw))
		each = append(each, float64(whole.Microseconds())/size)
	}
	b.ReportMetric(measure.Median(ratios), "x-raw")
	b.ReportMetric(measure.Median(each), "us-each")
}

// raw is the curve operations behind one signature of the quorum.
func (c *council) raw(b *testing.B, threshold int, hash wire.Hash) {
	var shares []bls.SignatureShare
	for i := range threshold {
		sig, err := bls.ParseSignature(c.shares[i].Sign(hash).Bytes())
		if err != nil {
			b.Fatal(err)
		}
		shares = append(shares, bls.SignatureShare{ID: c.members[i], Signature: sig})
	}
	sig, err := bls.Recover(threshold, shares, c.quorum, hash)
	if err != nil {
		b.Fatal(err)
	}
	for range 2 {
		if !bls.Verify(c.quorum, hash, sig) {
			b.Fatal("the signature is wrong")
		}
	}
}

// BenchmarkShares measures the collecting member alone: messages of shares in,
// a signature out, stored and ready to leave, against decoding the shares and
// bls.Recover of them.
func BenchmarkShares(b *testing.B) {
	const size, threshold = 25, 17
	c := newCouncil(b, size, threshold)
	c.until(12)
	node, height := c.node(victim), int32(0)
	var ratios, each []float64
	for b.Loop() {
		b.StopTimer()
		height++
		request := banOf(node, height)
		collector := c.rigs[0]
		var inputs []Shares
		for i := range threshold {
			inputs = append(inputs, Shares{From: "p", Shares: wire.SigShares{c.share(i, request)}})
		}
		hash := inputs[0].Shares[0].SignHash()
		var raw []bls.SignatureShare
		b.StartTimer()
		out := new(Effects)
		whole := measure.CPU(func() {
			for _, in := range inputs {
				collector.Step(in, 0, out)
			}
		})
		if len(out.Publications) != 1 {
			b.Fatalf("%d publications, want the signature", len(out.Publications))
		}
		direct := measure.CPU(func() {
			for i, in := range inputs {
				sig, err := bls.ParseSignature(in.Shares[0].Signature)
				if err != nil {
					b.Fatal(err)
				}
				raw = append(raw, bls.SignatureShare{ID: c.members[i], Signature: sig})
			}
			if _, err := bls.Recover(threshold, raw, c.quorum, hash); err != nil {
				b.Fatal(err)
			}
		})
		ratios = append(ratios, float64(whole)/float64(direct))
		each = append(each, float64(whole.Microseconds()))
	}
	b.ReportMetric(measure.Median(ratios), "x-decode-and-recover(aim:1.5)")
	b.ReportMetric(measure.Median(each), "us-each")
}
