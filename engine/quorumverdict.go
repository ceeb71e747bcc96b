package engine

import (
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/validation"
)

// DKGVerdict returns what becomes of a message of a session that package dkg
// has judged; reason 0 means that nothing is wrong so far.
func DKGVerdict(r dkg.Reason) validation.Verdict {
	switch r {
	case 0, dkg.ReasonAccepted:
		return validation.Valid.Verdict()
	case dkg.ReasonMalformed:
		return validation.Malformed.Verdict()
	case dkg.ReasonDuplicate:
		return validation.Duplicate.Verdict()
	default:
		return validation.Reason("dkg-" + r.String()).Verdict()
	}
}

// CommitmentVerdict returns what becomes of a final commitment that package
// dkg has judged.
func CommitmentVerdict(r dkg.CommitmentReason) validation.Verdict {
	switch r {
	case dkg.CommitmentGood:
		return validation.Valid.Verdict()
	case dkg.CommitmentNull:
		return validation.CommitmentNull.Verdict()
	case dkg.CommitmentQuorumSignature, dkg.CommitmentMembersSignature:
		return validation.CommitmentSignature.Verdict()
	default:
		return validation.CommitmentInvalid.Verdict()
	}
}

// shareReasons and recoveredReasons translate those of package signing.
var shareReasons = map[signing.Reason]validation.Reason{
	signing.Taken:         validation.Valid,
	signing.UnknownQuorum: validation.ShareUnknownQuorum,
	signing.NotOurs:       validation.ShareNotOurs,
	signing.Recovered:     validation.ShareDecided,
	signing.Duplicate:     validation.Duplicate,
	signing.Full:          validation.ShareFull,
	signing.MemberUnknown: validation.ShareMember,
	signing.MemberInvalid: validation.ShareMember,
	signing.Malformed:     validation.ShareSignature,
	signing.WrongShare:    validation.ShareSignature,
}

var recoveredReasons = map[signing.Reason]validation.Reason{
	signing.Taken:          validation.Valid,
	signing.UnknownQuorum:  validation.RecoveredUnknownQuorum,
	signing.Recovered:      validation.Duplicate,
	signing.Duplicate:      validation.Duplicate,
	signing.Conflict:       validation.RecoveredConflict,
	signing.WrongSignature: validation.RecoveredSignature,
}

// ShareVerdict returns what becomes of a share.
func ShareVerdict(r signing.Reason) validation.Verdict { return shareReasons[r].Verdict() }

// RecoveredVerdict returns what becomes of a quorum's signature.
func RecoveredVerdict(r signing.Reason) validation.Verdict { return recoveredReasons[r].Verdict() }
