package chain

import (
	"crypto/ed25519"
	"testing"

	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/wire"
)

// BenchmarkBlock measures what the tree adds to the check of a block's
// signature, at the end of a branch that is longer than what is remembered:
// with 12 authorities in turn, and with so few of them alive that nothing has
// been final for as long as is remembered.
func BenchmarkBlock(b *testing.B) {
	for _, c := range []struct {
		name  string
		alive uint64
	}{{"final", 12}, {"nothing-final", 8}} {
		b.Run(c.name, func(b *testing.B) {
			const blocks = 1000 // in one measurement
			g, keys := many(12)
			tree := New(g)
			made := Tip{Hash: g.Hash()}
			next := func() wire.Header {
				slot := made.Slot + 1
				for slot%12 >= c.alive {
					slot++
				}
				h := signed(block(made, slot), keys[slot%12])
				made = tipOf(h)
				return h
			}
			extend := func(h wire.Header) {
				if _, err := tree.Add(h); err != nil {
					b.Fatal(err)
				}
				if _, ok := tree.Better(); !ok {
					b.Fatal("a block on our tip is not better")
				}
				tree.Move(h.Hash())
			}
			for range 2 * RecentBlocks {
				extend(next())
			}
			var all, kept []float64
			for b.Loop() {
				var headers []wire.Header
				for range blocks {
					headers = append(headers, next())
				}
				raw := measure.CPU(func() {
					for _, h := range headers {
						if slot := h.Slot % 12; !ed25519.Verify(keys[slot].Public().(ed25519.PublicKey), h.SignedBytes(), h.Signature[:]) {
							b.Fatal("not signed")
						}
					}
				})
				keep := measure.CPU(func() {
					for _, h := range headers {
						extend(h)
					}
				})
				judge := measure.CPU(func() {
					for _, h := range headers {
						if place, err := tree.Judge(h, h.Slot, false); place != Known || err != nil {
							b.Fatal(place, err)
						}
					}
				})
				all = append(all, (judge+keep).Seconds()/raw.Seconds())
				kept = append(kept, keep.Seconds()/raw.Seconds())
			}
			b.ReportMetric(measure.Median(all), "x-ed25519(aim:1.2)")
			b.ReportMetric(measure.Median(kept), "x-ed25519-without-judging(aim:0.2)")
		})
	}
}
