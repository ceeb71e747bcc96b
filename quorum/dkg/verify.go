package dkg

import (
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// CommitmentReason is the verdict on a final commitment. The set is closed.
// Source: spec/dash.md 5.6 and 5.7.
type CommitmentReason uint8

// The reasons, in the order of the checks: what costs nothing first, pairings
// last.
const (
	CommitmentVersion          CommitmentReason = iota + 1 // not the version of its quorum type
	CommitmentType                                         // of another quorum type
	CommitmentQuorum                                       // of another base block
	CommitmentIndex                                        // index does not fit the base block
	CommitmentSize                                         // bit sets of another length than the type's size
	CommitmentNull                                         // null where a real one must be, or the reverse
	CommitmentFewValid                                     // fewer valid members than the type needs
	CommitmentFewSigners                                   // fewer signers
	CommitmentBeyond                                       // bits above the number of members
	CommitmentKey                                          // quorum key is none
	CommitmentVectorHash                                   // vector hash is zero
	CommitmentOperatorKey                                  // a signer's operator key is none
	CommitmentQuorumSignature                              // does not verify under the quorum key
	CommitmentMembersSignature                             // does not verify under the signers' keys
	CommitmentGood
)

var commitmentReasons = [...]string{
	"none", "version", "quorum-type", "quorum-hash", "quorum-index", "size", "null", "too-few-valid", "too-few-signers", "beyond-members", "quorum-key",
	"vector-hash", "operator-key", "quorum-signature", "members-signature", "good",
}

func (r CommitmentReason) String() string {
	if int(r) >= len(commitmentReasons) {
		return commitmentReasons[0]
	}
	return commitmentReasons[r]
}

// MarshalText encodes r as String does.
func (r CommitmentReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Points returns what a peer is charged that sent such a commitment. Source:
// spec/dash.md 5.6.
func (r CommitmentReason) Points() int {
	if r == CommitmentGood {
		return 0
	}
	return params.PointsBan
}

// Quorum is what a final commitment must belong to.
type Quorum struct {
	LLMQ params.LLMQ
	Base int32 // height of the base block
	Hash wire.Hash
}

// Version returns which version commitments of the quorum have.
func (q Quorum) Version() uint16 {
	if q.LLMQ.Rotated {
		return wire.CommitmentIndexed
	}
	return wire.CommitmentBasic
}

// CheckNull judges a commitment that should be null.
func CheckNull(c wire.FinalCommitment, q Quorum) CommitmentReason {
	switch reason := checkHead(c, q); {
	case reason != CommitmentGood:
		return reason
	case !c.Null():
		return CommitmentNull
	}
	return CommitmentGood
}

// Check judges a real commitment by all but its signatures.
func Check(c wire.FinalCommitment, q Quorum, members int) CommitmentReason {
	if reason := checkHead(c, q); reason != CommitmentGood {
		return reason
	}
	switch {
	case c.Null():
		return CommitmentNull
	case c.ValidMembers.Count() < q.LLMQ.MinSize:
		return CommitmentFewValid
	case c.Signers.Count() < q.LLMQ.MinSize:
		return CommitmentFewSigners
	case members < q.LLMQ.Size && c.ValidMembers[members:].Count()+c.Signers[members:].Count() > 0:
		return CommitmentBeyond
	case c.VectorHash.IsZero():
		return CommitmentVectorHash
	}
	return CommitmentGood
}

func checkHead(c wire.FinalCommitment, q Quorum) CommitmentReason {
	switch {
	case c.Version != q.Version():
		return CommitmentVersion
	case c.Type != q.LLMQ.Type:
		return CommitmentType
	case c.QuorumHash != q.Hash:
		return CommitmentQuorum
	case int32(c.QuorumIndex) != q.Base%q.LLMQ.DKGInterval:
		return CommitmentIndex
	case len(c.Signers) != q.LLMQ.Size || len(c.ValidMembers) != q.LLMQ.Size:
		return CommitmentSize
	}
	return CommitmentGood
}

// Verify judges a real commitment by everything that it shows. keys are the
// operator keys of all members in order of their index; see Roster.Keys.
func Verify(c wire.FinalCommitment, q Quorum, keys []bls.PublicKey) CommitmentReason {
	if reason := Check(c, q, len(keys)); reason != CommitmentGood {
		return reason
	}
	s := VerifySignatures(c, keys)
	switch {
	case !s.KeyGood:
		return CommitmentKey
	case !s.SignersGood:
		return CommitmentOperatorKey
	case !s.Quorum:
		return CommitmentQuorumSignature
	case !s.Members:
		return CommitmentMembersSignature
	}
	return CommitmentGood
}

// Signatures says which parts of a commitment hold, each for itself.
type Signatures struct {
	KeyGood     bool // the quorum key is a key
	SignersGood bool // so is the operator key of every signer
	Quorum      bool // QuorumSignature
	Members     bool // MembersSignature
}

// VerifySignatures verifies the signatures of a commitment and nothing else.
func VerifySignatures(c wire.FinalCommitment, keys []bls.PublicKey) (s Signatures) {
	hash := c.CommitmentHash()
	key, err := bls.ParsePublicKey(c.PublicKey)
	s.KeyGood = err == nil
	if sig, err := bls.ParseSignature(c.QuorumSignature); err == nil {
		s.Quorum = bls.Verify(key, hash, sig) // false for the zero key
	}
	var signers []bls.PublicKey
	s.SignersGood = true
	for i, signed := range c.Signers {
		if !signed {
			continue
		}
		if i >= len(keys) || keys[i] == (bls.PublicKey{}) {
			s.SignersGood = false
			return s
		}
		signers = append(signers, keys[i])
	}
	if sig, err := bls.ParseSignature(c.MembersSignature); err == nil {
		s.Members = bls.VerifySecure(signers, hash, sig)
	}
	return s
}
