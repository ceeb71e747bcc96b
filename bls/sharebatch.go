package bls

import (
	"slices"

	blst "github.com/supranational/blst/bindings/go"
)

// DealtShare is a secret key share and the vector it must fit.
type DealtShare struct {
	Vector VerificationVector
	Share  SecretKey
}

// VerifyShares checks shares that different dealers dealt to one member, and
// reports for each whether it is the one its vector commits to, save for a
// chance below len(items)/2^63. The seed must be secret, and drawn after the
// items are fixed or derived from all of them: plain sums, or weights somebody
// can predict, let two dealers cancel out each other's errors.
//
// Vectors have one length; items of another than the first's are false, as are
// zero shares, zero coefficients and the zero id.
//
// With n good items of t coefficients it costs t sums of n points times 64-bit
// weights and one of t points times whole scalars.
func VerifyShares(id ID, items []DealtShare, seed [32]byte) []bool {
	good := make([]bool, len(items))
	b := dealtBatch{}
	var usable []int
	for i, it := range items {
		if id != (ID{}) && it.Share.scalar != (blst.Scalar{}) && len(it.Vector) >= 1 && len(it.Vector) <= MaxThreshold &&
			len(it.Vector) == len(items[0].Vector) && !slices.ContainsFunc(it.Vector, PublicKey.isZero) {
			usable = append(usable, i)
		}
	}
	if len(usable) == 0 {
		return good
	}
	b.coeffs = randomCoefficients(len(usable), seed)
	b.powers = powers(id, len(items[0].Vector))
	b.columns = make([][]blst.P1Affine, len(b.powers))
	for _, i := range usable {
		b.shares = append(b.shares, items[i].Share.scalar)
		for k, c := range items[i].Vector {
			b.columns[k] = append(b.columns[k], c.point)
		}
	}
	verdicts := make([]bool, len(usable))
	b.search(0, len(usable), b.value(0, len(usable)), verdicts)
	for i, ok := range verdicts {
		good[usable[i]] = ok
	}
	return good
}

// dealtBatch finds the bad ones among shares, in the way of batch: the value
// of share i is v_i = share*G1 - vector(id), infinity exactly when the share is
// good, and the value of a range is the sum of r_i*v_i over it. What is said of
// coefficients there holds here.
type dealtBatch struct {
	coeffs  []byte            // coefficientSize bytes per share
	powers  []blst.Scalar     // of the id, per coefficient of a vector
	shares  []blst.Scalar     // per share
	columns [][]blst.P1Affine // per coefficient of a vector: that of each share's vector
}

func (b *dealtBatch) search(lo, hi int, value blst.P1, good []bool) {
	if infinite(&value) {
		for i := lo; i < hi; i++ {
			good[i] = true
		}
		return
	}
	if hi-lo == 1 {
		return
	}
	mid := lo + (hi-lo)/2
	left := b.value(lo, mid)
	b.search(lo, mid, left, good)
	b.search(mid, hi, *value.SubAssign(&left), good)
}

// value adds up each coefficient over the vectors first, with short weights,
// so that the id's long powers multiply the sums only.
func (b *dealtBatch) value(lo, hi int) blst.P1 {
	coeffs := b.coeffs[lo*coefficientSize : hi*coefficientSize]
	sums := make(blst.P1s, len(b.columns))
	for k, column := range b.columns {
		sums[k] = *blst.P1AffinesMult(column[lo:hi], coeffs, coefficientSize*8)
	}
	var secret blst.Scalar
	for i := lo; i < hi; i++ {
		r := weight(b.coeffs, i)
		r.MulAssign(&b.shares[i])
		secret.AddAssign(&r)
	}
	var value blst.P1
	var dealt blst.P1Affine
	value.FromAffine(dealt.From(&secret))
	value.SubAssign(blst.P1AffinesMult(sums.ToAffine(), b.powers, scalarBits))
	return value
}

// VerifySignatureShares reports for each share of a signature of hash whether
// it verifies under its member's public share of v, with the chance and the
// seed of VerifyShares. Good shares cost one evaluation of v and one
// verification, all together.
func VerifySignatureShares(v VerificationVector, hash [32]byte, shares []SignatureShare, seed [32]byte) []bool {
	good := make([]bool, len(shares))
	if len(v) < 1 || len(v) > MaxThreshold || slices.ContainsFunc(v, PublicKey.isZero) {
		return good
	}
	var usable []int
	var sigs []blst.P2Affine
	for i, s := range shares {
		if s.ID != (ID{}) && !s.Signature.isZero() {
			usable = append(usable, i)
			sigs = append(sigs, s.Signature.point)
		}
	}
	if len(usable) == 0 {
		return good
	}
	coeffs := randomCoefficients(len(usable), seed)
	factors := make([]blst.Scalar, len(v)) // of each coefficient: the sum of r_i*id_i^k
	for n, i := range usable {
		r := weight(coeffs, n)
		for k := range factors {
			factors[k].AddAssign(&r)
			r.MulAssign(&shares[i].ID.scalar)
		}
	}
	points := make([]blst.P1Affine, len(v))
	for k := range v {
		points[k] = v[k].point
	}
	sum := Signature{*blst.P2AffinesMult(sigs, coeffs, coefficientSize*8).ToAffine()}
	if Verify(sumKeys(points, factors), hash, sum) {
		for _, i := range usable {
			good[i] = true
		}
		return good
	}
	items := make([]Item, len(shares)) // unusable ones stay zero and so false
	for _, i := range usable {
		if key, err := v.Share(shares[i].ID); err == nil {
			items[i] = Item{key, hash, shares[i].Signature}
		}
	}
	return VerifyBatch(items, seed)
}

// powers returns id^0 to id^(n-1).
func powers(id ID, n int) []blst.Scalar {
	p := make([]blst.Scalar, n)
	p[0] = scalarOne
	for k := 1; k < n; k++ {
		p[k] = p[k-1]
		p[k].MulAssign(&id.scalar)
	}
	return p
}

// weight returns coefficient i of randomCoefficients as a scalar.
func weight(coeffs []byte, i int) (w blst.Scalar) {
	var b [SecretKeySize]byte
	copy(b[:], coeffs[i*coefficientSize:(i+1)*coefficientSize])
	w.FromLEndian(b[:])
	return w
}

func infinite(p *blst.P1) bool { return *p.ToAffine() == blst.P1Affine{} }
