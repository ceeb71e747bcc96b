package quorum

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkNewDraw measures a draw from 100,000 nodes against a full
// Fisher-Yates shuffle of as many positions with the same generator, in turns
// of the same run.
func BenchmarkNewDraw(b *testing.B) {
	const listed = 100_000
	l := nodes(90_000, listed)
	order := make([]int32, listed)
	var ratios, each []float64
	for b.Loop() {
		shuffle := measure.CPU(func() {
			stream := rand.NewChaCha8(sha256.Sum256(blockHash[:]))
			for i := range order {
				order[i] = int32(i)
			}
			for i := uint64(1); i < listed; i++ {
				w := stream.Uint64()
				for w > -(-(i+1)%(i+1))-1 {
					w = stream.Uint64()
				}
				j := w % (i + 1)
				order[i], order[j] = order[j], order[i]
			}
		})
		const times = 50
		draws := measure.CPU(func() {
			for i := range times {
				if d := NewDraw(network, int32(i), blockHash, l); len(d.targets) != 999 {
					b.Fatal(len(d.targets))
				}
			}
		})
		each = append(each, float64(draws.Microseconds())/times)
		ratios = append(ratios, float64(draws)/times/float64(shuffle))
	}
	b.ReportMetric(measure.Median(ratios), "x-shuffle(aim:0.03)")
	b.ReportMetric(measure.Median(each), "us-each")
}

// BenchmarkVerify measures the verification of a certificate of seven voters
// against that of one signature, both of points already decoded for the latter.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b, 10, 70)
	x := f.target()
	cert := f.certify(b, wire.FailsUptime, x, 7)
	sk := secret(f.draw.Testers[0])
	pk, hash := sk.PublicKey(), cert.SignHash(network)
	sig := sk.Sign(hash)
	var ratios, each []float64
	const times = 20
	for b.Loop() {
		raw := measure.CPU(func() {
			for range times {
				if !bls.Verify(pk, hash, sig) {
					b.Fatal("signature does not verify")
				}
			}
		})
		whole := measure.CPU(func() {
			for range times {
				if err := Verify(network, f.draw, cert, f.keys); err != nil {
					b.Fatal(err)
				}
			}
		})
		ratios = append(ratios, float64(whole)/float64(raw))
		each = append(each, float64(whole.Microseconds())/times)
	}
	b.ReportMetric(measure.Median(ratios), "x-bls-verify(aim:1.5)")
	b.ReportMetric(measure.Median(each), "us-each")
}

// BenchmarkCheck measures what a certificate without votes enough costs.
func BenchmarkCheck(b *testing.B) {
	f := newFixture(b, 10, 70)
	cert := f.certify(b, wire.FailsUptime, f.target(), 7)
	cert.Voters &= cert.Voters - 1
	for b.Loop() {
		if Verify(network, f.draw, cert, f.keys) == nil {
			b.Fatal("six votes suffice")
		}
	}
}
