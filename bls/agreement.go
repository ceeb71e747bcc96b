package bls

import blst "github.com/supranational/blst/bindings/go"

// Agree returns the point that the owners of sk and of k's secret can both
// compute and nobody else: sk times k. It is as secret as the keys. A zero key
// on either side gives the zero value. It takes the same time for all sk.
func (sk SecretKey) Agree(k PublicKey) PublicKey {
	if k.isZero() || sk.scalar == (blst.Scalar{}) {
		return PublicKey{}
	}
	var p blst.P1
	p.FromAffine(&k.point)
	return PublicKey{*p.MultAssign(&sk.scalar).ToAffine()}
}
