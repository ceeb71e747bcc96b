package uptime

import (
	"testing"

	"github.com/proctornet/proctor/measure"
)

// BenchmarkAdmit measures the admission of a good proof against the raw
// verification of its seal, in turns of the same run.
func BenchmarkAdmit(b *testing.B) {
	v, r := view(), rules(b)
	p := Compose(network, Own{nodeID(1), "proctor/1", []string{at("1.2.3.4")}}, 8, Anchor{98, blockHash(98)}, seal)
	message := p.SealedBytes(network)
	const times = 200
	var ratios, each []float64
	for b.Loop() {
		raw := measure.CPU(func() {
			for range times {
				if !verify(v.key, message, p.Seal) {
					b.Fatal("the seal does not verify")
				}
			}
		})
		whole := measure.CPU(func() {
			for range times {
				if o := Admit(p, r, v, verify); o != Admitted {
					b.Fatal(o)
				}
			}
		})
		ratios = append(ratios, float64(whole)/float64(raw))
		each = append(each, float64(whole.Microseconds())/times)
	}
	b.ReportMetric(measure.Median(ratios), "x-ed25519-verify(aim:1.3)")
	b.ReportMetric(measure.Median(each), "us-each")
}
