package bls

import (
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// PublicKey verifies signatures. The zero value is no key.
type PublicKey struct {
	point blst.P1Affine // in the subgroup; infinity only in the zero value
}

// ParsePublicKey decodes a compressed point of G1. Errors are ErrEncoding,
// ErrInfinity and ErrSubgroup.
//
// Not every key in the legacy encoding is refused. That has only a sign flag, at
// the place of the compression flag: without it the bytes are ErrEncoding, with
// it they are also the one encoding of the same point or of its negation, and
// parse as such. Nothing in the bytes tells; the context must.
func ParsePublicKey(b [PublicKeySize]byte) (PublicKey, error) {
	var k PublicKey
	switch {
	case k.point.Uncompress(b[:]) == nil || [PublicKeySize]byte(k.point.Compress()) != b:
		return PublicKey{}, fmt.Errorf("bls: public key: %w", ErrEncoding)
	case k.point == blst.P1Affine{}:
		return PublicKey{}, fmt.Errorf("bls: public key: %w", ErrInfinity)
	case !k.point.InG1():
		return PublicKey{}, fmt.Errorf("bls: public key: %w", ErrSubgroup)
	}
	return k, nil
}

// Bytes encodes k. The zero value gives zeros, the host chain's form of "no
// key", which ParsePublicKey refuses.
func (k PublicKey) Bytes() [PublicKeySize]byte {
	if k.isZero() {
		return [PublicKeySize]byte{}
	}
	return [PublicKeySize]byte(k.point.Compress())
}

// Equal reports whether k and o are the same key; the zero value equals only
// itself.
func (k PublicKey) Equal(o PublicKey) bool { return k == o }

func (k PublicKey) isZero() bool { return k == PublicKey{} }
