package bls

import (
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// Signature is a signature, a share of one, or an aggregate. The zero value is
// none.
type Signature struct {
	point blst.P2Affine // in the subgroup; infinity only in the zero value
}

// ParseSignature decodes a compressed point of G2. Errors are ErrEncoding,
// ErrInfinity and ErrSubgroup. The subgroup check happens here because random
// linear combinations in VerifyBatch cannot replace it: the cofactor of G2 has
// small prime factors, so a stray part of small order would survive one with
// probability of about 1/13.
func ParseSignature(b [SignatureSize]byte) (Signature, error) {
	var s Signature
	switch {
	case s.point.Uncompress(b[:]) == nil || [SignatureSize]byte(s.point.Compress()) != b:
		return Signature{}, fmt.Errorf("bls: signature: %w", ErrEncoding)
	case s.point == blst.P2Affine{}:
		return Signature{}, fmt.Errorf("bls: signature: %w", ErrInfinity)
	case !s.point.InG2():
		return Signature{}, fmt.Errorf("bls: signature: %w", ErrSubgroup)
	}
	return s, nil
}

// Bytes encodes s. The zero value gives zeros, the host chain's form of "no
// signature", which ParseSignature refuses.
func (s Signature) Bytes() [SignatureSize]byte {
	if s.isZero() {
		return [SignatureSize]byte{}
	}
	return [SignatureSize]byte(s.point.Compress())
}

func (s Signature) isZero() bool { return s == Signature{} }

// Verify reports whether sig is the signature of hash under key.
func Verify(key PublicKey, hash [32]byte, sig Signature) bool {
	if key.isZero() || sig.isZero() {
		return false
	}
	p := newPairing()
	p.add(&key.point, hashToCurve(hash))
	p.add(&minusG1, &sig.point)
	return p.isOne()
}
