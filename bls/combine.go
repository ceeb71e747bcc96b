package bls

import (
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// SumVectors adds up verification vectors, coefficient by coefficient: it
// commits to the sum of their polynomials. Lists that are empty or differ in
// length are ErrLength; a zero entry, or a sum of infinity, is ErrInfinity.
func SumVectors(vectors []VerificationVector) (VerificationVector, error) {
	if len(vectors) == 0 || len(vectors[0]) == 0 {
		return nil, fmt.Errorf("bls: sum of vectors: %w", ErrLength)
	}
	sums := make([]blst.P1, len(vectors[0]))
	for i, v := range vectors {
		if len(v) != len(sums) {
			return nil, fmt.Errorf("bls: sum of vectors: vector %d: %w", i, ErrLength)
		}
		for k := range v {
			if v[k].isZero() {
				return nil, fmt.Errorf("bls: sum of vectors: vector %d, coefficient %d: %w", i, k, ErrInfinity)
			}
			sums[k].AddAssign(&v[k].point)
		}
	}
	sum := make(VerificationVector, len(sums))
	for k, p := range blst.P1s(sums).ToAffine() {
		sum[k] = PublicKey{p}
		if sum[k].isZero() {
			return nil, fmt.Errorf("bls: sum of vectors: coefficient %d: %w", k, ErrInfinity)
		}
	}
	return sum, nil
}

// SumSecretKeys adds up secret keys: shares of one member add up to its share
// of the sum of the polynomials. No keys are ErrLength; a zero key, or a sum of
// zero, is ErrInfinity.
func SumSecretKeys(keys []SecretKey) (SecretKey, error) {
	if len(keys) == 0 {
		return SecretKey{}, fmt.Errorf("bls: sum of secret keys: %w", ErrLength)
	}
	var sum blst.Scalar
	for i := range keys {
		if keys[i].scalar == (blst.Scalar{}) {
			return SecretKey{}, fmt.Errorf("bls: sum of secret keys: key %d: %w", i, ErrInfinity)
		}
		sum.AddAssign(&keys[i].scalar)
	}
	if sum == (blst.Scalar{}) {
		return SecretKey{}, fmt.Errorf("bls: sum of secret keys: %w", ErrInfinity)
	}
	return SecretKey{sum}, nil
}
