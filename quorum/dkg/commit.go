package dkg

import (
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Result is what a session comes to with one set of valid members.
type Result struct {
	Valid      wire.Bitset
	Vector     bls.VerificationVector // of the quorum; public
	VectorHash wire.Hash
	Hash       wire.Hash // commitment hash
}

// PublicKey returns the quorum's key.
func (r *Result) PublicKey() bls.PublicKey { return r.Vector.PublicKey() }

// find returns the result of the members that are not at fault, nil if they
// are too few.
func (s *Session) find() *Result {
	valid := make(wire.Bitset, s.llmq.Size)
	for i, f := range s.faults {
		valid[i] = f == 0
	}
	if valid.Count() < s.llmq.MinSize {
		return nil
	}
	r, ok := s.resultOf(valid)
	if !ok {
		return nil
	}
	return r
}

// resultOf adds up the vectors of the valid members; ok is false if we do not
// hold exactly one of each.
func (s *Session) resultOf(valid wire.Bitset) (*Result, bool) {
	var vectors []bls.VerificationVector
	for i := range s.members {
		if !valid.Has(i) {
			continue
		}
		_, o, ok := only[wire.Contribution](s, i)
		if !ok {
			return nil, false
		}
		vectors = append(vectors, o.vector)
	}
	sum, err := bls.SumVectors(vectors)
	if err != nil {
		return nil, false
	}
	keys := encoded(sum)
	r := &Result{Valid: valid, Vector: sum, VectorHash: wire.VectorHash(keys)}
	r.Hash = wire.CommitmentHash(s.llmq.Type, s.hash, valid, keys[0], r.VectorHash)
	return r, true
}

// Result returns what we found, from Commit on. ok is false if too few members
// are valid in our view; the session then makes no quorum as far as we see.
func (s *Session) Result() (r Result, ok bool) {
	if s.result == nil {
		return Result{}, false
	}
	return *s.result, true
}

// Share returns our share of the key of the quorum with those valid members, to
// sign with, and its verification vector: for the final commitment that was
// mined, which need not be ours. ok is false if a contribution or a share of it
// is missing; we then cannot sign for that quorum. From Commit on.
func (s *Session) Share(valid wire.Bitset) (share bls.SecretKey, r Result, ok bool) {
	if s.self < 0 || s.phase < Commit || len(valid) != s.llmq.Size {
		return bls.SecretKey{}, Result{}, false
	}
	found := s.result
	if found == nil || found.Valid.String() != valid.String() {
		if found, ok = s.resultOf(valid); !ok {
			return bls.SecretKey{}, Result{}, false
		}
	}
	var shares []bls.SecretKey
	for i := range s.members {
		if valid.Has(i) {
			shares = append(shares, s.shares[i]) // a zero one is refused by the sum
		}
	}
	share, err := bls.SumSecretKeys(shares)
	return share, *found, err == nil
}

// commitment says what we found. A member at fault says it too: it can sign
// though it is not valid. Source: spec/dash.md 5.5.
func (s *Session) commitment() (Opened, bool) {
	if s.result == nil {
		return Opened{}, false
	}
	share, r, ok := s.Share(s.result.Valid)
	if !ok {
		return Opened{}, false
	}
	sig := share.Sign(r.Hash)
	o := s.open(wire.PrematureCommitment{
		DKGHead: s.head(), ValidMembers: r.Valid, PublicKey: r.PublicKey().Bytes(), VectorHash: r.VectorHash, QuorumSignature: sig.Bytes(),
	})
	o.quorum = sig
	return o, true
}

// differs reports whether a premature commitment agrees with us on who is
// valid, but not on the result. Such are dropped without blame.
// Source: spec/dash.md 5.5.
func (s *Session) differs(o Opened) bool {
	m, ok := o.Message.(wire.PrematureCommitment)
	return ok && s.result != nil && m.ValidMembers.String() == s.result.Valid.String() && o.hash() != s.result.Hash
}

// hash is what the member signed.
func (o Opened) hash() wire.Hash { return o.Message.SignHash() }
