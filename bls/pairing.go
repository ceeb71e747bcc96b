package bls

import blst "github.com/supranational/blst/bindings/go"

// minusG1 is the generator of G1, negated. A signature is right when
// e(key, H(hash)) * e(minusG1, signature) is one.
var minusG1 = *new(blst.P1).Sub(blst.P1Generator()).ToAffine()

// one is the neutral element of the target group.
var one = blst.Fp12One()

// hashToCurve maps a hash to G2.
func hashToCurve(hash [32]byte) *blst.P2Affine {
	return blst.HashToG2(hash[:], []byte(hashSuite)).ToAffine()
}

// pairing is a product of pairings under construction. The final
// exponentiation, the dearest single step, happens once for all of them.
type pairing struct {
	ctx   blst.Pairing
	empty bool
}

func newPairing() *pairing { return &pairing{blst.PairingCtx(true, nil), true} }

// add multiplies e(p, q) into the product. A pairing with infinity is one by
// bilinearity; it is left out here, as the binding would compute something else.
func (m *pairing) add(p *blst.P1Affine, q *blst.P2Affine) {
	if *p == (blst.P1Affine{}) || *q == (blst.P2Affine{}) {
		return
	}
	blst.PairingRawAggregate(m.ctx, q, p)
	m.empty = false
}

// value returns the product as an element of the target group. Its coordinates
// are fully reduced, so equal elements are equal under ==.
func (m *pairing) value() blst.Fp12 {
	if m.empty {
		return one
	}
	v := blst.PairingAsFp12(m.ctx)
	v.FinalExp()
	return *v
}

func (m *pairing) isOne() bool { return m.value() == one }
