package dkg

import (
	"fmt"
	"testing"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/wire"
)

// heard is what one member of an honest session hears from the others, in the
// order it may come.
type heard struct {
	roster        *Roster
	contributions [][]byte
	commitments   [][]byte
	sent          int // bytes of one member
}

func listen(b *testing.B, n int) (h heard) {
	b.Helper()
	h.roster = newRoster(b, shape(b, n), n)
	sessions := make([]*Session, n)
	var contributions, commitments []Opened
	for i := range sessions {
		sessions[i] = NewSession(h.roster, h.roster.who(i))
		contributions = append(contributions, sessions[i].Advance(base+2, nil)...)
	}
	for _, s := range sessions {
		for _, o := range contributions {
			s.Add(o)
		}
		for height := int32(base + 3); height <= base+8; height++ {
			commitments = append(commitments, s.Advance(height, nil)...)
		}
	}
	if len(contributions) != n || len(commitments) != n {
		b.Fatalf("%d contributions and %d commitments", len(contributions), len(commitments))
	}
	for i := range n {
		c, p := contributions[i].Message.Bytes(), commitments[i].Message.Bytes()
		if i == 0 {
			h.sent = len(c) + len(p)
			continue
		}
		h.contributions, h.commitments = append(h.contributions, c), append(h.commitments, p)
	}
	return h
}

// session is all that member 0 does: from bytes to a final commitment.
func (h heard) session(b *testing.B) {
	r, err := NewRoster(h.roster.llmq, base, h.roster.hash, h.roster.members)
	if err != nil {
		b.Fatal(err)
	}
	s := NewSession(r, r.who(0))
	seed := [32]byte{1}
	take := func(kind wire.DKGKind, height int32, raw [][]byte) {
		s.Advance(height, nil)
		checked := make([]Checked, len(raw))
		items := make([]bls.Item, len(raw))
		for i, bytes := range raw {
			m, err := wire.ParseDKG(kind, bytes)
			if err != nil {
				b.Fatal(err)
			}
			var reason Reason
			if checked[i], reason = r.Check(m, height); reason != 0 {
				b.Fatal(reason)
			}
			items[i] = checked[i].Item
		}
		for i, good := range bls.VerifyBatch(items, seed) {
			o, reason := r.Open(checked[i])
			if !good || reason != 0 || s.Add(o) != ReasonAccepted {
				b.Fatal(good, reason)
			}
		}
	}
	take(wire.KindContribution, base+2, h.contributions)
	s.Advance(base+4, nil)
	s.Advance(base+6, nil)
	take(wire.KindPrematureCommitment, base+8, h.commitments)
	s.Advance(base+10, nil)
	if len(s.Commitments()) != 1 {
		b.Fatal("no final commitment")
	}
}

// raw does the curve operations that a member cannot do without, and nothing
// else: no arithmetic of scalars, no hashes, no copies, on points and scalars
// that are ready.
func (h heard) raw(b *testing.B) {
	n, t := len(h.roster.members), h.roster.llmq.Threshold
	var sink blst.P1
	scalars := make([]blst.Scalar, max(n, t))
	short := make([]byte, 8*max(n, t))
	for i := range scalars {
		scalars[i] = *blst.KeyGen([]byte(fmt.Sprintf("thirty-two bytes of seed, and %03d", i)))
	}
	for i := range short {
		short[i] = byte(i*7 + 1)
	}
	key := func(compressed []byte) (p blst.P1Affine) {
		if p.Uncompress(compressed) == nil || !p.InG1() {
			b.Fatal("no key")
		}
		return p
	}
	signature := func(compressed []byte) (p blst.P2Affine) {
		if p.Uncompress(compressed) == nil || !p.InG2() {
			b.Fatal("no signature")
		}
		return p
	}
	suite := []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_")
	hash := func(i int) *blst.P2Affine { return blst.HashToG2([]byte{byte(i)}, suite).ToAffine() }
	verify := func(pairs int, k *blst.P1Affine, s *blst.P2Affine) {
		ctx := blst.PairingCtx(true, nil)
		for range pairs {
			blst.PairingRawAggregate(ctx, s, k)
		}
		blst.PairingAsFp12(ctx).FinalExp()
	}

	// Operator keys, own contribution: vector, ephemeral key, key agreements, signature.
	keys := make([]blst.P1Affine, n)
	for i, m := range h.roster.members {
		keys[i] = key(m.OperatorKey[:])
	}
	own := new(blst.P1Affine)
	for k := range t + 1 {
		own.From(&scalars[k%len(scalars)])
	}
	for i := range keys {
		sink.FromAffine(&keys[i])
		sink.MultAssign(&scalars[i]).ToAffine()
	}
	new(blst.P2Affine).Sign(&scalars[0], short, suite)

	// Others' contributions: points, signatures, key agreements.
	columns := make([][]blst.P1Affine, t)
	var signatures []blst.P2Affine
	var hashes []*blst.P2Affine
	for i, raw := range h.contributions {
		m, err := wire.ParseContribution(raw)
		if err != nil {
			b.Fatal(err)
		}
		for k, c := range m.Vector {
			columns[k] = append(columns[k], key(c[:]))
		}
		ephemeral := key(m.Ephemeral[:])
		sink.FromAffine(&ephemeral)
		sink.MultAssign(&scalars[0]).ToAffine()
		signatures = append(signatures, signature(m.Signature[:]))
		hashes = append(hashes, hash(i))
	}
	blst.P2AffinesMult(signatures, short, 64)
	ctx := blst.PairingCtx(true, nil)
	for i := range hashes {
		blst.PairingRawAggregate(ctx, hashes[i], blst.P1AffinesMult(keys[i:i+1], short[8*i:], 64).ToAffine())
	}
	blst.PairingRawAggregate(ctx, hashes[0], own)
	blst.PairingAsFp12(ctx).FinalExp()

	// All shares together, then the vector of the quorum.
	vector := make(blst.P1s, t)
	for k := range columns {
		columns[k] = append(columns[k], *own)
		vector[k] = *blst.P1AffinesMult(columns[k], short, 64)
	}
	blst.P1AffinesMult(vector.ToAffine(), scalars, 255)
	own.From(&scalars[0])
	for k := range columns {
		for i := range columns[k] {
			vector[k].AddAssign(&columns[k][i])
		}
	}
	sum := vector.ToAffine()

	// Commitments: own signatures, others', all signatures and shares together.
	new(blst.P2Affine).Sign(&scalars[0], short, suite)
	new(blst.P2Affine).Sign(&scalars[1], short, suite)
	operators, shares := signatures[:0:0], signatures[:0:0]
	for _, raw := range h.commitments {
		m, err := wire.ParsePrematureCommitment(raw)
		if err != nil {
			b.Fatal(err)
		}
		operators, shares = append(operators, signature(m.Signature[:])), append(shares, signature(m.QuorumSignature[:]))
	}
	one := hash(0)
	blst.P2AffinesMult(operators, short, 64)
	blst.P1AffinesMult(keys, short, 64)
	verify(2, own, one)
	shares, operators = append(shares, shares[0]), append(operators, operators[0])
	blst.P2AffinesMult(shares, short, 64)
	blst.P1AffinesMult(sum, scalars, 255)
	verify(2, own, hash(1))

	// The final commitment, and its verification.
	blst.P2AffinesMult(shares[:t], scalars, 255)
	verify(2, own, hash(2))
	blst.P2AffinesMult(operators, scalars, 255)
	blst.P1AffinesMult(keys, scalars, 255)
	verify(2, own, hash(3))
}

// BenchmarkSession measures what a session of honest members costs one of
// them, from the bytes it hears to the final commitment, against the curve
// operations that takes, in turns of the same run.
func BenchmarkSession(b *testing.B) {
	for _, n := range []int{3, 12, 25, 50} {
		b.Run(fmt.Sprintf("members-%d", n), func(b *testing.B) {
			h := listen(b, n)
			times := max(1, 24/n)
			var ratios, each []float64
			for b.Loop() {
				raw := measure.CPU(func() {
					for range times {
						h.raw(b)
					}
				})
				whole := measure.CPU(func() {
					for range times {
						h.session(b)
					}
				})
				ratios = append(ratios, float64(whole)/float64(raw))
				each = append(each, float64(whole.Microseconds())/1000/float64(times))
			}
			b.ReportMetric(measure.Median(ratios), "x-curve-operations(aim:1.3)")
			b.ReportMetric(measure.Median(each), "ms-cpu-per-member")
			b.ReportMetric(float64(h.sent), "bytes-sent-per-member")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkVerify measures a final commitment of 25 members, as whoever gets
// it in a block must judge it, against the verification of two signatures.
func BenchmarkVerify(b *testing.B) {
	c := newCluster(b, newRoster(b, shape(b, 25), 25), 1).run()
	final := c.agreed(c.everybody()...)
	keys, quorum := c.roster.Keys(), Quorum{c.roster.llmq, base, c.roster.hash}
	sk := operator(0)
	pk, hash := sk.PublicKey(), hashOf("message")
	sig := sk.Sign(hash)
	var ratios, each []float64
	const times = 20
	for b.Loop() {
		raw := measure.CPU(func() {
			for range 2 * times {
				if !bls.Verify(pk, hash, sig) {
					b.Fatal("signature does not verify")
				}
			}
		})
		whole := measure.CPU(func() {
			for range times {
				if Verify(final, quorum, keys) != CommitmentGood {
					b.Fatal("commitment does not verify")
				}
			}
		})
		ratios = append(ratios, float64(whole)/float64(raw))
		each = append(each, float64(whole.Microseconds())/times)
	}
	b.ReportMetric(measure.Median(ratios), "x-two-verifications")
	b.ReportMetric(measure.Median(each), "us-each")
}
