package signing

import (
	"fmt"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
)

// BenchmarkCheck measures what a recovery costs once the shares are there,
// against bls.Recover of them: one multi-scalar multiplication in blst and one
// verification. The points are decoded before either; the keys of shares are
// known, as they are after a quorum's first recovery. "one-wrong" has a wrong
// share in place of a good one, so that all are checked in batches; "checked"
// checks all of them first, as in a session where a wrong one was seen.
func BenchmarkCheck(b *testing.B) {
	for _, threshold := range []int{17, 67} {
		f := fixtureOf(b, threshold+1, threshold, "bench")
		q, r := f.quorum(b), request(1, 1)
		var raw []bls.SignatureShare
		for i := range threshold {
			sig, err := bls.ParseSignature(f.share(i, r).Signature)
			if err != nil {
				b.Fatal(err)
			}
			raw = append(raw, bls.SignatureShare{ID: q.ids[i], Signature: sig})
			q.keyShare(uint16(i))
		}
		q.keyShare(uint16(threshold))
		hash := f.share(0, r).SignHash()
		for _, c := range []struct {
			name    string
			unit    string
			wrong   bool
			spoiled bool
		}{
			{"good", "x-msm-and-verify(aim:1.5)", false, false},
			{"checked", "x-msm-and-verify", false, true},
			{"one-wrong", "x-msm-and-verify", true, false},
		} {
			b.Run(fmt.Sprintf("%d/%s", threshold, c.name), func(b *testing.B) {
				var ratios, each []float64
				for b.Loop() {
					p := NewPool(f.llmq, f.members[0])
					p.Advance(tip, []*Quorum{q})
					for i := range threshold {
						p.AddShare(f.share(i, r), peer(i))
					}
					if c.wrong {
						s := p.all()[0]
						s.pending = s.pending[:0]
						for i := range threshold + 1 {
							x := f.share(i, r)
							if i == threshold/2 {
								x = f.wrong(i, r, 1)
							}
							p.AddShare(x, peer(i))
						}
					}
					p.all()[0].spoiled = c.spoiled
					whole := measure.CPU(func() {
						if got := p.Check(seed()); len(got.Recovered) != 1 {
							b.Fatal("nothing recovered")
						}
					})
					direct := measure.CPU(func() {
						if _, err := bls.Recover(threshold, raw, f.vector.PublicKey(), hash); err != nil {
							b.Fatal(err)
						}
					})
					ratios = append(ratios, float64(whole)/float64(direct))
					each = append(each, float64(whole.Microseconds()))
				}
				b.ReportMetric(measure.Median(ratios), c.unit)
				b.ReportMetric(measure.Median(each), "us-each")
			})
		}
	}
}

// BenchmarkAddShare measures a share from its bytes, decoding included, into a
// pool full of others.
func BenchmarkAddShare(b *testing.B) {
	f := fixtureOf(b, 7, 4, "order")
	q := f.quorum(b)
	x := f.share(1, request(1, 1))
	sessions := make([]*Pool, 0, 8)
	for range 8 {
		p := NewPool(f.llmq, f.members[0])
		p.Advance(tip, []*Quorum{q})
		for i := range 200 {
			y := f.wrong(i%7, request(byte(i%40+2), 1), byte(i))
			p.AddShare(y, peer(i))
		}
		sessions = append(sessions, p)
	}
	var each []float64
	for b.Loop() {
		took := measure.CPU(func() {
			for _, p := range sessions {
				if v := p.AddShare(x, peer(1000)); v.Reason != Taken {
					b.Fatal(v)
				}
			}
		})
		each = append(each, float64(took.Microseconds())/float64(len(sessions)))
		for _, p := range sessions {
			p.close(p.sessions[x.ID][x.QuorumHash])
		}
	}
	b.ReportMetric(measure.Median(each), "us-each")
}
