package bls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	blst "github.com/supranational/blst/bindings/go"
)

// Secure aggregation adds up signatures of one message, each times a factor
// that depends on all keys. Without the factors, a key made up from the others
// could sign for them; there is no proof of possession to prevent that.
// Source: spec/dash.md 6.4.

// AggregateSecure adds up signatures of one message; sigs[i] is by keys[i], and
// the order of the pairs does not matter. The signatures are not verified: use
// VerifySecure on the result. Lists that are empty or differ in length are
// ErrLength; a zero key or signature, or a sum of infinity, is ErrInfinity.
func AggregateSecure(keys []PublicKey, sigs []Signature) (Signature, error) {
	if len(keys) != len(sigs) {
		return Signature{}, fmt.Errorf("bls: aggregate %d signatures of %d keys: %w", len(sigs), len(keys), ErrLength)
	}
	factors, err := secureFactors(keys)
	if err != nil {
		return Signature{}, fmt.Errorf("bls: aggregate: %w", err)
	}
	points := make([]blst.P2Affine, len(sigs))
	for i, s := range sigs {
		if s.isZero() {
			return Signature{}, fmt.Errorf("bls: aggregate: signature %d: %w", i, ErrInfinity)
		}
		points[i] = s.point
	}
	sum := sumSignatures(points, factors)
	if sum.isZero() {
		return Signature{}, fmt.Errorf("bls: aggregate: %w", ErrInfinity)
	}
	return sum, nil
}

// VerifySecure reports whether sig is the secure aggregate of signatures of
// hash by exactly the given keys, in any order. It is false for no keys.
func VerifySecure(keys []PublicKey, hash [32]byte, sig Signature) bool {
	factors, err := secureFactors(keys)
	if err != nil {
		return false
	}
	points := make([]blst.P1Affine, len(keys))
	for i, k := range keys {
		points[i] = k.point
	}
	return Verify(sumKeys(points, factors), hash, sig) // false if the sum is infinity
}

// secureFactors returns the factor of each key, mod r: SHA256(i | SHA256(all
// keys in ascending order of their bytes)), both as big endian, where i is the
// position of the key in that order, in 4 bytes.
func secureFactors(keys []PublicKey) ([]blst.Scalar, error) {
	if len(keys) == 0 {
		return nil, ErrLength
	}
	type entry struct {
		key   [PublicKeySize]byte
		index int // in keys
	}
	sorted := make([]entry, len(keys))
	for i, k := range keys {
		if k.isZero() {
			return nil, fmt.Errorf("key %d: %w", i, ErrInfinity)
		}
		sorted[i] = entry{k.Bytes(), i}
	}
	slices.SortStableFunc(sorted, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })

	all := sha256.New()
	for _, e := range sorted {
		all.Write(e.key[:])
	}
	var preimage [4 + sha256.Size]byte
	all.Sum(preimage[:4])

	factors := make([]blst.Scalar, len(keys))
	for i, e := range sorted {
		binary.BigEndian.PutUint32(preimage[:4], uint32(i))
		digest := sha256.Sum256(preimage[:])
		if factors[e.index].FromBEndian(digest[:]) == nil {
			return nil, fmt.Errorf("factor of key %d: %w", e.index, ErrInfinity)
		}
	}
	return factors, nil
}
