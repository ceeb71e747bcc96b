package dkg

import (
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

func (s *Session) polynomial() (bls.Polynomial, bool) {
	p, err := bls.NewPolynomial(s.llmq.Threshold, secret(s.who.Operator, s.llmq.Type, s.hash, labelPolynomial))
	return p, err == nil
}

// contribution deals a share of our secret to every member, ourselves too.
func (s *Session) contribution() (Opened, bool) {
	p, ok := s.polynomial()
	if !ok {
		return Opened{}, false
	}
	ephemeral := bls.GenerateSecretKey(secret(s.who.Operator, s.llmq.Type, s.hash, labelEphemeral))
	public, vector := ephemeral.PublicKey(), p.Commit()
	m := wire.Contribution{
		DKGHead: s.head(), Vector: encoded(vector), Ephemeral: public.Bytes(),
		IVSeed: secret(s.who.Operator, s.llmq.Type, s.hash, labelIVSeed), Shares: make([]wire.EncryptedShare, len(s.members)),
	}
	iv := m.IVSeed
	for i := range m.Shares {
		share, err := p.Share(s.ids[i])
		if err != nil {
			return Opened{}, false
		}
		if s.keys[i] != (bls.PublicKey{}) {
			m.Shares[i] = encryptShare(ephemeral, s.keys[i], iv, share.Bytes())
		}
		iv = nextIV(iv)
	}
	o := s.open(m)
	o.vector, o.ephemeral = vector, public
	return o, true
}

// closeContributions blames who sent none or two, and looks for our share in
// the others.
func (s *Session) closeContributions() {
	var from []int
	var items []bls.DealtShare
	var ids []wire.Hash
	for i := range s.members {
		m, o, ok := only[wire.Contribution](s, i)
		switch {
		case len(s.of(wire.KindContribution, i)) == 0:
			s.blame(i, NoContribution)
			continue
		case !ok:
			s.blame(i, TwoContributions)
			continue
		case s.self < 0:
			continue
		}
		s.lacked[i] = true // until a share fits
		iv := m.IVSeed
		for range s.self {
			iv = nextIV(iv)
		}
		share, err := bls.ParseSecretKey(decryptShare(s.who.Operator, o.ephemeral, iv, m.Shares[s.self]))
		if err == nil {
			from, ids = append(from, i), append(ids, o.id)
			items = append(items, bls.DealtShare{Vector: o.vector, Share: share})
		}
	}
	if s.self < 0 {
		return
	}
	for n, ok := range bls.VerifyShares(s.ids[s.self], items, s.weights("shares", ids)) {
		if ok {
			s.shares[from[n]], s.lacked[from[n]] = items[n].Share, false
		}
	}
}

func encoded(v bls.VerificationVector) []wire.OperatorKey {
	b := make([]wire.OperatorKey, len(v))
	for k, c := range v {
		b[k] = c.Bytes()
	}
	return b
}
