package bls

import (
	"encoding/binary"
	"math/rand/v2"

	blst "github.com/supranational/blst/bindings/go"
)

// Item is one signature to verify.
type Item struct {
	Key       PublicKey
	Hash      [32]byte
	Signature Signature
}

// VerifyBatch verifies many signatures together and returns, for each item,
// what Verify would, save for a chance below len(items)/2^63. The seed must be
// secret, uniformly random, fresh for each call, and drawn after the items are
// fixed: who can predict it can make bad signatures cancel out.
//
// Cost, in single verifications: about n/2 for n good items of different keys,
// n/4 if they share one key, n/20 if they share one message, at n = 64. With bad
// ones among them it is at most about 2n at 64 and 2.5n at 1024, so larger
// batches win little and can lose more.
func VerifyBatch(items []Item, seed [32]byte) []bool {
	good := make([]bool, len(items))
	usable := make([]int, 0, len(items))
	for i, it := range items {
		if !it.Key.isZero() && !it.Signature.isZero() {
			usable = append(usable, i)
		}
	}
	switch len(usable) {
	case 0:
		return good
	case 1:
		i := usable[0]
		good[i] = Verify(items[i].Key, items[i].Hash, items[i].Signature)
		return good
	}
	b := newBatch(items, usable, randomCoefficients(len(usable), seed))
	for i, ok := range b.verdicts() {
		good[usable[i]] = ok
	}
	return good
}

// coefficientSize is the size of a random coefficient, in bytes. 64 bits leave
// an attacker one chance in 2^64 per batch and halve the cost of 128.
const coefficientSize = 8

// randomCoefficients returns n non-zero coefficients, little endian, one after
// another.
func randomCoefficients(n int, seed [32]byte) []byte {
	stream := rand.NewChaCha8(seed)
	b := make([]byte, 0, n*coefficientSize)
	for len(b) < n*coefficientSize {
		if r := stream.Uint64(); r != 0 {
			b = binary.LittleEndian.AppendUint64(b, r)
		}
	}
	return b
}

// batch finds the bad ones among items.
//
// The value of item i is v_i = e(key, H(hash)) * e(-G1, signature), which is
// one exactly when the item is good. The value of a range of items is the
// product of v_i^r_i over it, r_i being the item's coefficient. A range whose
// items are all good has value one, always; and because v_i lives in a group of
// prime order above 2^64, a range with a bad item has value one for at most one
// choice of that item's r_i, the others given: one chance in 2^64-1.
//
// The coefficients are drawn once and used again for each part of a split
// range. That stays sound: which ranges can ever be looked at is fixed by n
// alone, at most 2n-1 of them, so the chance that any with a bad item has value
// one is below 2n/2^64 by the union bound. It matters not that the ranges
// depend on one another, nor which of them the search visits. It would matter if
// verdicts of one call could shape the items of another with the same
// coefficients; hence a fresh seed per call.
//
// Values are exact elements of the target group and do not depend on how a
// range is grouped for computing it. So the value of the right half of a range
// is that of the whole divided by that of the left half, at no pairing at all.
type batch struct {
	coeffs []byte          // coefficientSize bytes per item, see randomCoefficients
	keys   []blst.P1Affine // per item
	sigs   []blst.P2Affine // per item
	hashes []blst.P2Affine // per item: its hash mapped to the curve
	keyOf  []int           // per item: equal for equal keys
	hashOf []int           // per item: equal for equal hashes
}

// newBatch takes the items listed in usable. Each distinct hash is mapped to
// the curve once, which is the largest part of the cost of a batch.
func newBatch(items []Item, usable []int, coeffs []byte) *batch {
	b := &batch{coeffs: coeffs}
	firstKey := make(map[PublicKey]int)
	firstHash := make(map[[32]byte]int)
	for n, i := range usable {
		it := items[i]
		if _, ok := firstKey[it.Key]; !ok {
			firstKey[it.Key] = n
		}
		first, ok := firstHash[it.Hash]
		if ok {
			b.hashes = append(b.hashes, b.hashes[first])
		} else {
			first = n
			firstHash[it.Hash] = n
			b.hashes = append(b.hashes, *hashToCurve(it.Hash))
		}
		b.keys = append(b.keys, it.Key.point)
		b.sigs = append(b.sigs, it.Signature.point)
		b.keyOf = append(b.keyOf, firstKey[it.Key])
		b.hashOf = append(b.hashOf, first)
	}
	return b
}

// verdicts reports for each item whether it is good.
func (b *batch) verdicts() []bool {
	good := make([]bool, len(b.keys))
	b.search(0, len(good), b.value(0, len(good)), one, good)
	return good
}

// search sets the verdicts of items lo..hi-1, a range whose value is num/den.
// It computes one value per split, the left half's, and so at most one per item
// over the whole search. If the left half is good, the division leaves the right
// half with the value of the whole, and it is known bad.
func (b *batch) search(lo, hi int, num, den blst.Fp12, good []bool) {
	if num == den {
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
	b.search(lo, mid, left, one, good)
	den.MulAssign(&left)
	b.search(mid, hi, num, den, good)
}

// value computes the value of items lo..hi-1. Pairings are bilinear, so the
// items of one key need one pairing, of the key with the sum of r_i*H(hash_i),
// and the items of one hash need one, of the sum of r_i*key_i with H(hash); it
// takes whichever gives fewer. Signatures are always one sum and one pairing.
func (b *batch) value(lo, hi int) blst.Fp12 {
	p := newPairing()
	p.add(&minusG1, blst.P2AffinesMult(b.sigs[lo:hi], b.coeffs[lo*coefficientSize:], coefficientSize*8).ToAffine())

	byKey, byHash := groups(b.keyOf[lo:hi]), groups(b.hashOf[lo:hi])
	if len(byKey) < len(byHash) {
		for _, group := range byKey {
			points, coeffs := gather(b.hashes[lo:hi], b.coeffs[lo*coefficientSize:], group)
			p.add(&b.keys[lo+group[0]], blst.P2AffinesMult(points, coeffs, coefficientSize*8).ToAffine())
		}
	} else { // on a tie too: multiplying in G1 is cheaper
		for _, group := range byHash {
			points, coeffs := gather(b.keys[lo:hi], b.coeffs[lo*coefficientSize:], group)
			p.add(blst.P1AffinesMult(points, coeffs, coefficientSize*8).ToAffine(), &b.hashes[lo+group[0]])
		}
	}
	return p.value()
}

// groups returns the positions of equal labels together, in order of their
// first appearance.
func groups(labels []int) [][]int {
	var all [][]int
	at := make(map[int]int, len(labels)) // label to position in all
	for i, label := range labels {
		g, ok := at[label]
		if !ok {
			g = len(all)
			at[label] = g
			all = append(all, nil)
		}
		all[g] = append(all[g], i)
	}
	return all
}

// gather copies the points and coefficients of a group next to each other.
func gather[P any](points []P, coeffs []byte, group []int) ([]P, []byte) {
	ps := make([]P, 0, len(group))
	cs := make([]byte, 0, len(group)*coefficientSize)
	for _, i := range group {
		ps = append(ps, points[i])
		cs = append(cs, coeffs[i*coefficientSize:(i+1)*coefficientSize]...)
	}
	return ps, cs
}
