package signing

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Outcome says what becomes of a message.
type Outcome string

// The outcomes.
const (
	Accept Outcome = "accept"
	Ignore Outcome = "ignore" // nobody is blamed
	Reject Outcome = "reject" // the sender is blamed
)

// Reason names the rule that decided: a closed set.
type Reason string

// The reasons.
const (
	Taken          Reason = "taken"           // a share, to be checked; or a recovered signature, kept
	UnknownQuorum  Reason = "unknown-quorum"  // not among the newest we know
	NotOurs        Reason = "not-ours"        // we are no member, or cannot check shares
	Recovered      Reason = "recovered"       // the request is decided
	Duplicate      Reason = "duplicate"       // had it
	Full           Reason = "full"            // a limit
	Conflict       Reason = "conflict"        // good, and contradicts one we have
	MemberUnknown  Reason = "member-unknown"  // no such index in the quorum
	MemberInvalid  Reason = "member-invalid"  // put out in DKG: it has no share
	Malformed      Reason = "malformed"       // a signature that is no point of the group
	WrongShare     Reason = "wrong-share"     // not by the member's share
	WrongSignature Reason = "wrong-signature" // not by the quorum
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{Taken, UnknownQuorum, NotOurs, Recovered, Duplicate, Full, Conflict, MemberUnknown, MemberInvalid, Malformed, WrongShare, WrongSignature}
}

// Verdict is the whole result of judging one share or recovered signature.
type Verdict struct {
	Outcome Outcome
	Points  int // for the sender's account
	Reason  Reason
}

// Verdict returns what a reason leads to. What is charged can be told from the
// mined commitment alone; two honest nodes that know the quorum have the same
// one, unless a reorganisation brought one of them another.
// Source: spec/dash.md 7.4, 7.5; it names no points for a member that cannot
// sign, who are those of a wrong share here.
func (r Reason) Verdict() Verdict {
	switch r {
	case Taken:
		return Verdict{Accept, 0, r}
	case MemberUnknown, MemberInvalid, Malformed, WrongShare, WrongSignature:
		return Verdict{Reject, params.PointsBan, r}
	default:
		return Verdict{Ignore, 0, r}
	}
}

// Source is who handed a share to us; the zero value is ourselves.
type Source struct {
	Peer  string
	ProTx wire.Hash // the node that the transport proved the peer to be; zero if none
}

// Blame is a verdict on a share that was taken before.
type Blame struct {
	From    Source
	Share   wire.SigShare
	Verdict Verdict
}
