// Package bls implements the BLS signatures the host chain's quorums use:
// curve BLS12-381, public keys in G1, signatures in G2, basic scheme, no
// message augmentation and no proof of possession. On top of single
// signatures it has threshold shares and their recovery, secure aggregation,
// and verification of many signatures at once.
//
// Every PublicKey and Signature that a function of this package returns
// without an error is a point of the prime-order subgroup other than
// infinity. The zero value of either stands for "none": it verifies nothing
// and nothing verifies under it.
//
// A message is always the 32 internal bytes of a hash, not its display order.
//
// The package is pure. It reads no clock and no source of randomness, and no
// call of it starts a goroutine; use of several cores is up to the caller. All
// functions may be called concurrently. Values are small arrays, may be copied,
// and may be compared with == or used as map keys.
//
// Sources: draft-irtf-cfrg-bls-signature-05 (scheme, KeyGen), its appendix on
// the ZCash point format (encodings), RFC 9380 (hash to curve), spec/dash.md
// section 6 (ids, shares, secure aggregation).
package bls

import (
	"errors"

	blst "github.com/supranational/blst/bindings/go"
)

// Sizes of encodings, in bytes.
const (
	SecretKeySize = 32 // big-endian integer
	PublicKeySize = 48 // compressed point of G1
	SignatureSize = 96 // compressed point of G2
)

// hashSuite is the domain separation tag of the basic scheme.
// Source: draft-irtf-cfrg-bls-signature-05, section 4.2.1; spec/dash.md 6.1.
const hashSuite = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"

// All errors of this package wrap one of these.
var (
	// ErrEncoding means bytes are not the one encoding of any value. All-zero
	// bytes, which the host chain uses for "no value", are among them.
	ErrEncoding = errors.New("not a canonical encoding")

	// ErrInfinity means a point is infinity, or a scalar is zero, where a real
	// key or signature is needed. The zero values of the types count as that.
	ErrInfinity = errors.New("point at infinity")

	// ErrSubgroup means a point is on the curve but not in the prime-order
	// subgroup.
	ErrSubgroup = errors.New("point outside the subgroup")

	// ErrZeroID means a member id is zero, where a share would be the secret.
	ErrZeroID = errors.New("zero id")

	// ErrThreshold means a threshold, or the number of coefficients of a
	// verification vector, is outside 1..MaxThreshold.
	ErrThreshold = errors.New("threshold out of range")

	// ErrTooFewShares means there are fewer shares than the threshold.
	ErrTooFewShares = errors.New("too few shares")

	// ErrDuplicateID means two of the shares used have the same id.
	ErrDuplicateID = errors.New("duplicate id")

	// ErrWrongShare means the signature recovered from the shares does not
	// verify: a share is wrong, or key, hash or threshold do not belong to them.
	ErrWrongShare = errors.New("wrong share")

	// ErrLength means lists that must match in length do not, or are empty.
	ErrLength = errors.New("lists empty or of different length")
)

// The binding's multi-scalar multiplication starts goroutines unless its
// thread limit is 1, in which case it makes one call into C and nothing else;
// the other calls used by this package never start any. The limit is a
// variable of the binding, so this holds for the whole process: whoever else
// in it uses the binding gets one thread per call too. It is set here, before
// main, because the binding reads it without a lock. Raising it later costs
// purity, not correctness.
func init() { blst.SetMaxProcs(1) }
