package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// A block carries no certificate before or after its time, however good it is.
func TestBlock_CertificateOutOfItsTime(t *testing.T) {
	n := networkOf("spec", forkNodes)
	for age, want := range map[int32]validation.Reason{
		params.CertificateFirst - 1: validation.BlockContent, params.CertificateFirst: validation.Valid,
		params.CertificateLast: validation.Valid, params.CertificateLast + 1: validation.BlockContent,
	} {
		a := n.author()
		r := stored(t, n, -1)
		r.connect(a.blocks(3)...)
		draw := a.draw()
		r.connect(a.blocks(int(age) - 1)...)
		b := a.nextOf(a.tip.Slot+1, wire.Content{Certificates: []wire.Certificate{n.certificate(draw, cleo, wire.FailsUptime, 0)}})
		r.at(b.Header.Slot)
		if v, _ := r.feed(Block{"p", b}); v.Reason != want {
			t.Errorf("%d blocks after the draw: %s, want %s", age, v.Reason, want)
		}
	}
}
