package engine

import (
	"fmt"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/wire"
)

// The first block of another branch may carry a certificate of the oldest draw
// there may be, however deep the fork is and whether or not we started since.
func TestFork_OldCertificateAboveADeepFork(t *testing.T) {
	n := networkOf("spec", forkNodes)
	for _, c := range []struct{ trunk, ours int }{{100, 1}, {100, 13}, {100, 14}, {100, 20}, {100, 40}, {100, 90}, {200, 100}, {1100, chain.MaxReorg}} {
		if c.trunk > 200 && testing.Short() {
			continue
		}
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d above %d, restart %t", c.ours, c.trunk, restart), func(t *testing.T) {
				a := n.author()
				var draw quorum.Draw
				var trunk []wire.Block
				for a.tip.Height < int32(c.trunk) {
					trunk = append(trunk, a.blocks(1)...) // by all in turn, so all but the newest are final
					if a.tip.Height == int32(c.trunk)+1-params.CertificateLast {
						draw = a.draw()
					}
				}
				b := a.fork()
				as := a.grow(c.ours, 0, nil)
				bs := b.grow(c.ours+1, 4, func(height int32) (content wire.Content) {
					if height == int32(c.trunk)+1 {
						content.Certificates = []wire.Certificate{n.certificate(draw, cleo, wire.FailsUptime, 0)}
					}
					return content
				})
				r := stored(t, n, -1)
				r.at(max(a.tip.Slot, b.tip.Slot))
				r.offer("p", trunk...)
				r.offer("p", as...)
				if restart {
					r = r.again(-1)
					r.at(max(a.tip.Slot, b.tip.Slot))
				}
				r.offer("q", bs...)
				r.wantTip("the longer branch", b)
				sameAgreed(t, r.again(-1), r)
			})
		}
	}
}
