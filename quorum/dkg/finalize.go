package dkg

import (
	"bytes"
	"maps"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// closeCommitments makes a final commitment of each result that at least
// MinSize members found. Results are told apart by all that is signed, so a
// member that names our valid members and another key spoils nothing.
// Source: spec/dash.md 5.6.
func (s *Session) closeCommitments() {
	groups := make(map[wire.Hash][]Opened)
	for i := range s.members {
		for _, o := range s.of(wire.KindPrematureCommitment, i) {
			groups[o.hash()] = append(groups[o.hash()], o)
		}
	}
	for _, hash := range slices.SortedFunc(maps.Keys(groups), compareHashes) {
		if len(groups[hash]) < s.llmq.MinSize {
			continue
		}
		c, ok := s.finalize(hash, groups[hash])
		if !ok {
			s.unknown++
			continue
		}
		s.final = append(s.final, c)
	}
	slices.SortStableFunc(s.final, func(a, b wire.FinalCommitment) int {
		if Better(a, b) {
			return -1
		}
		return 1
	})
}

func compareHashes(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) }

// finalize puts together the commitments to one result.
func (s *Session) finalize(hash wire.Hash, group []Opened) (wire.FinalCommitment, bool) {
	found := s.result
	if found == nil || found.Hash != hash {
		m, ok := group[0].Message.(wire.PrematureCommitment)
		if !ok {
			return wire.FinalCommitment{}, false
		}
		// Without all its vectors we cannot tell good shares from bad; others can.
		if found, ok = s.resultOf(m.ValidMembers); !ok || found.Hash != hash {
			return wire.FinalCommitment{}, false
		}
	}
	shares := make([]bls.SignatureShare, len(group))
	ids := make([]wire.Hash, len(group))
	for n, o := range group {
		shares[n], ids[n] = bls.SignatureShare{ID: s.ids[o.sender], Signature: o.quorum}, o.id
	}
	c := wire.FinalCommitment{
		Version: wire.CommitmentBasic, Type: s.llmq.Type, QuorumHash: s.hash, Signers: make(wire.Bitset, s.llmq.Size), ValidMembers: found.Valid,
		PublicKey: found.PublicKey().Bytes(), VectorHash: found.VectorHash,
	}
	var good []bls.SignatureShare
	var keys []bls.PublicKey
	var sigs []bls.Signature
	// Of two by one member at most one is good: a key and a hash have one signature.
	for n, ok := range bls.VerifySignatureShares(found.Vector, hash, shares, s.weights("commitments", ids)) {
		if !ok {
			continue
		}
		c.Signers[group[n].sender] = true
		good, keys, sigs = append(good, shares[n]), append(keys, s.keys[group[n].sender]), append(sigs, group[n].operator)
	}
	if len(good) < s.llmq.MinSize {
		return wire.FinalCommitment{}, false
	}
	quorum, err := bls.Recover(s.llmq.Threshold, good, found.PublicKey(), hash)
	if err != nil {
		return wire.FinalCommitment{}, false
	}
	members, err := bls.AggregateSecure(keys, sigs)
	// Checked here although each signature was: who announces a bad commitment is banned.
	if err != nil || !bls.VerifySecure(keys, hash, members) {
		return wire.FinalCommitment{}, false
	}
	c.QuorumSignature, c.MembersSignature = quorum.Bytes(), members.Bytes()
	return c, true
}

// Commitments returns the final commitments, the best first, from Finalize on.
// There may be none, and then a null commitment is what a block can carry.
func (s *Session) Commitments() []wire.FinalCommitment { return slices.Clone(s.final) }

// Better reports whether a block should rather carry a than b, both of one
// session and both good: more signers, then more valid members, then the lower
// id, so that any two nodes choose the same.
func Better(a, b wire.FinalCommitment) bool {
	if n, m := a.Signers.Count(), b.Signers.Count(); n != m {
		return n > m
	}
	if n, m := a.ValidMembers.Count(), b.ValidMembers.Count(); n != m {
		return n > m
	}
	return compareHashes(a.ID(), b.ID()) < 0
}
