package dkg

// Fault is why a member is not valid in our view. The set is closed.
// Source: spec/dash.md 5.4.
type Fault uint8

// The faults; the first one found stays.
const (
	NoContribution    Fault = iota + 1 // by Complain
	TwoContributions                   // that differ
	TwoComplaints                      // that differ
	VotedOut                           // by as many members as the type's BadVotes
	TwoJustifications                  // that differ
	WrongShare                         // revealed a share that does not fit its vector, asked for or not
	Unanswered                         // left a complaint without answer
)

var faultNames = [...]string{
	"none", "no-contribution", "two-contributions", "two-complaints", "voted-out", "two-justifications", "wrong-share", "unanswered",
}

func (f Fault) String() string {
	if int(f) >= len(faultNames) {
		return faultNames[0]
	}
	return faultNames[f]
}

// MarshalText encodes f as String does.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// blame finds a member at fault, unless it is already.
func (s *Session) blame(member int, f Fault) {
	if s.faults[member] == 0 {
		s.faults[member] = f
	}
}
