package bls

import blst "github.com/supranational/blst/bindings/go"

// scalarBits is the length of r, and so of any scalar, in bits.
const scalarBits = 255

var scalarOne = *new(blst.Scalar).Deserialize([]byte{SecretKeySize - 1: 1})

// sumKeys returns the sum of factors[i]*points[i], the zero value if that is
// infinity. Timing depends on the factors, which must be public. There must be
// at least one point, and as many factors; none of the points is infinity.
func sumKeys(points []blst.P1Affine, factors []blst.Scalar) PublicKey {
	return PublicKey{*blst.P1AffinesMult(points, factors, scalarBits).ToAffine()}
}

// sumSignatures is sumKeys for signatures.
func sumSignatures(points []blst.P2Affine, factors []blst.Scalar) Signature {
	return Signature{*blst.P2AffinesMult(points, factors, scalarBits).ToAffine()}
}
