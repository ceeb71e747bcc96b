package bls

import (
	"encoding/binary"
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// MaxThreshold is the largest threshold accepted, in shares. The largest quorum
// of the host chain has 400 members.
const MaxThreshold = 400

// ID is the point at which a member's share evaluates the quorum's polynomial.
// The zero value is no id.
type ID struct{ scalar blst.Scalar }

// NewID derives a member's id: the internal bytes of its proTxHash as a
// big-endian integer mod r. A result of zero is ErrZeroID.
// Source: spec/dash.md 6.2.
func NewID(proTxHash [32]byte) (ID, error) {
	var id ID
	if id.scalar.FromBEndian(proTxHash[:]) == nil {
		return ID{}, fmt.Errorf("bls: member id: %w", ErrZeroID)
	}
	return id, nil
}

// Polynomial is a secret sharing polynomial over the scalars: coefficients with
// the constant one, the shared secret key, first. Its length is the threshold.
type Polynomial []SecretKey

// polynomialInfo separates coefficients from other keys made from a seed. The
// threshold and the index, 4 bytes big endian each, follow it.
const polynomialInfo = "proctor/bls/polynomial"

// NewPolynomial derives a polynomial from a seed, which must be secret,
// uniformly random and used for nothing else. A threshold outside
// 1..MaxThreshold is ErrThreshold.
func NewPolynomial(threshold int, seed [32]byte) (Polynomial, error) {
	if threshold < 1 || threshold > MaxThreshold {
		return nil, fmt.Errorf("bls: polynomial for threshold %d: %w", threshold, ErrThreshold)
	}
	p := make(Polynomial, threshold)
	for i := range p {
		// With the threshold in it, polynomials of different degree from one
		// seed share no coefficients, whose differences could leak.
		info := binary.BigEndian.AppendUint32([]byte(polynomialInfo), uint32(threshold))
		info = binary.BigEndian.AppendUint32(info, uint32(i))
		p[i] = SecretKey{*blst.KeyGen(seed[:], info)}
	}
	return p, nil
}

// Share returns the secret key share of a member. An empty polynomial is
// ErrThreshold, the zero id ErrZeroID, and a share of zero, which no seed gives
// except by a chance of 1/r, ErrInfinity.
func (p Polynomial) Share(id ID) (SecretKey, error) {
	if len(p) == 0 {
		return SecretKey{}, fmt.Errorf("bls: secret share: %w", ErrThreshold)
	}
	if id == (ID{}) {
		return SecretKey{}, fmt.Errorf("bls: secret share: %w", ErrZeroID)
	}
	// Horner. The flags of the arithmetic only report zero results, which are
	// fine on the way.
	sum := p[len(p)-1].scalar
	for i := len(p) - 2; i >= 0; i-- {
		sum.MulAssign(&id.scalar)
		sum.AddAssign(&p[i].scalar)
	}
	if sum == (blst.Scalar{}) {
		return SecretKey{}, fmt.Errorf("bls: secret share: %w", ErrInfinity)
	}
	return SecretKey{sum}, nil
}

// Commit returns the public keys of the coefficients, which show what anybody's
// share must be without showing the shares.
func (p Polynomial) Commit() VerificationVector {
	v := make(VerificationVector, len(p))
	for i := range p {
		v[i] = p[i].PublicKey()
	}
	return v
}

// VerificationVector commits to a Polynomial, coefficient by coefficient.
type VerificationVector []PublicKey

// PublicKey returns the key of the shared secret, the quorum's key; for an
// empty vector the zero value.
func (v VerificationVector) PublicKey() PublicKey {
	if len(v) == 0 {
		return PublicKey{}
	}
	return v[0]
}

// Share returns the public key of a member's share. A vector whose length is
// outside 1..MaxThreshold is ErrThreshold, the zero id ErrZeroID; a zero entry,
// or a result of infinity, is ErrInfinity.
func (v VerificationVector) Share(id ID) (PublicKey, error) {
	if len(v) < 1 || len(v) > MaxThreshold {
		return PublicKey{}, fmt.Errorf("bls: public share of %d coefficients: %w", len(v), ErrThreshold)
	}
	if id == (ID{}) {
		return PublicKey{}, fmt.Errorf("bls: public share: %w", ErrZeroID)
	}
	points := make([]blst.P1Affine, len(v))
	powers := make([]blst.Scalar, len(v))
	power := scalarOne
	for i, k := range v {
		if k.isZero() {
			return PublicKey{}, fmt.Errorf("bls: public share: coefficient %d: %w", i, ErrInfinity)
		}
		points[i] = k.point
		powers[i] = power
		power.MulAssign(&id.scalar)
	}
	sum := sumKeys(points, powers)
	if sum.isZero() {
		return PublicKey{}, fmt.Errorf("bls: public share: %w", ErrInfinity)
	}
	return sum, nil
}

// SignatureShare is one member's part of a threshold signature.
type SignatureShare struct {
	ID        ID
	Signature Signature // by the member's secret key share; need not be verified
}

// Recover combines exactly the first threshold shares into the quorum's
// signature of hash, and returns it only if it verifies under key, the quorum's
// key. So shares may be passed unverified: one that is wrong gives
// ErrWrongShare, never a wrong signature. Other errors are ErrThreshold,
// ErrTooFewShares, ErrDuplicateID, ErrZeroID, and ErrInfinity for a zero key or
// a zero signature in a share.
// Source: spec/dash.md 6.3.
func Recover(threshold int, shares []SignatureShare, key PublicKey, hash [32]byte) (Signature, error) {
	switch {
	case threshold < 1 || threshold > MaxThreshold:
		return Signature{}, fmt.Errorf("bls: recover with threshold %d: %w", threshold, ErrThreshold)
	case len(shares) < threshold:
		return Signature{}, fmt.Errorf("bls: recover from %d of %d shares: %w", len(shares), threshold, ErrTooFewShares)
	case key.isZero():
		return Signature{}, fmt.Errorf("bls: recover: key: %w", ErrInfinity)
	}
	ids := make([]ID, threshold)
	points := make([]blst.P2Affine, threshold)
	seen := make(map[ID]bool, threshold)
	for i, s := range shares[:threshold] {
		switch {
		case s.ID == ID{}:
			return Signature{}, fmt.Errorf("bls: recover: share %d: %w", i, ErrZeroID)
		case seen[s.ID]:
			return Signature{}, fmt.Errorf("bls: recover: share %d: %w", i, ErrDuplicateID)
		case s.Signature.isZero():
			return Signature{}, fmt.Errorf("bls: recover: share %d: %w", i, ErrInfinity)
		}
		seen[s.ID] = true
		ids[i] = s.ID
		points[i] = s.Signature.point
	}
	sig := sumSignatures(points, lagrangeAtZero(ids))
	if !Verify(key, hash, sig) { // also when the sum is infinity
		return Signature{}, fmt.Errorf("bls: recover: %w", ErrWrongShare)
	}
	return sig, nil
}

// lagrangeAtZero returns, for polynomials of degree below len(ids), the factors
// by which values at ids add up to the value at zero: the product over all
// other j of id_j/(id_j - id_i). The ids must be distinct and not zero.
func lagrangeAtZero(ids []ID) []blst.Scalar {
	product := scalarOne
	for i := range ids {
		product.MulAssign(&ids[i].scalar)
	}
	factors := make([]blst.Scalar, len(ids))
	var diff, divisor blst.Scalar
	for i := range ids {
		divisor = ids[i].scalar // takes id_i back out of the product
		for j := range ids {
			if j == i {
				continue
			}
			diff = ids[j].scalar
			diff.SubAssign(&ids[i].scalar)
			divisor.MulAssign(&diff)
		}
		factors[i] = *divisor.Inverse()
		factors[i].MulAssign(&product)
	}
	return factors
}
