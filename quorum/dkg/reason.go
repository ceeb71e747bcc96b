package dkg

import "github.com/proctornet/proctor/params"

// Outcome is what becomes of a message.
type Outcome uint8

// The outcomes.
const (
	Accept Outcome = iota + 1 // take it and pass it on
	Ignore                    // neither; it may be our view that is wrong
	Reject                    // neither; whoever sent it could know
)

// Reason is the verdict on one message of a session; it decides everything
// else. The set is closed. Points are for the peer that sent the message, who
// need not be the member that made it. Source: spec/dash.md 5.3.
type Reason uint8

// The reasons, in the order of the checks. Those before ReasonAccepted are
// found without the session; the first five by whoever knows the chain.
const (
	ReasonMalformed    Reason = iota + 1 // not one message of its kind, or not in the shape the session demands
	ReasonType                           // no quorum type that makes keys here
	ReasonBase                           // quorum hash of a block that starts no session
	ReasonUnknownBlock                   // quorum hash of no block we know
	ReasonOutsider                       // we are neither member nor watcher
	ReasonSession                        // another session's
	ReasonMember                         // from no member
	ReasonEarly                          // of a phase that is more than one ahead
	ReasonLate                           // of a phase that is over
	ReasonSignature                      // operator signature does not verify
	ReasonPoint                          // a point or scalar in it is none
	ReasonDuplicate                      // had it
	ReasonThird                          // two others of this kind from this member are kept
	ReasonResult                         // commitment to another result of the valid members it names
	ReasonAccepted
	ReasonEquivocation // taken: the second of its kind, which proves its member false
)

var reasons = [...]struct {
	name    string
	outcome Outcome
	points  int
	forget  bool
}{
	ReasonMalformed:    {"malformed", Reject, params.PointsBan, false},
	ReasonType:         {"quorum-type", Reject, params.PointsBan, false},
	ReasonBase:         {"not-a-base", Reject, params.PointsBan, false},
	ReasonUnknownBlock: {"unknown-block", Ignore, params.PointsMedium, true},
	ReasonOutsider:     {"outsider", Ignore, params.PointsMedium, false},
	ReasonSession:      {"other-session", Ignore, 0, true},
	ReasonMember:       {"not-a-member", Reject, params.PointsBan, false},
	ReasonEarly:        {"early", Ignore, 0, true},
	ReasonLate:         {"late", Ignore, 0, false},
	ReasonSignature:    {"signature", Reject, params.PointsBan, false},
	ReasonPoint:        {"point", Reject, params.PointsBan, false},
	ReasonDuplicate:    {"duplicate", Ignore, 0, false},
	ReasonThird:        {"third", Ignore, 0, false},
	ReasonResult:       {"other-result", Ignore, 0, false},
	ReasonAccepted:     {"accepted", Accept, 0, false},
	ReasonEquivocation: {"equivocation", Accept, 0, false},
}

// Reasons returns all reasons in order.
func Reasons() (all []Reason) {
	for r := ReasonMalformed; int(r) < len(reasons); r++ {
		all = append(all, r)
	}
	return all
}

func (r Reason) String() string {
	if r == 0 || int(r) >= len(reasons) {
		return "none"
	}
	return reasons[r].name
}

// MarshalText encodes r as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Outcome returns what becomes of the message.
func (r Reason) Outcome() Outcome { return reasons[r].outcome }

// Points returns what the peer that sent the message is charged.
func (r Reason) Points() int { return reasons[r].points }

// Forget reports whether the message may be judged better later, and so must
// not be remembered as seen.
func (r Reason) Forget() bool { return reasons[r].forget }
