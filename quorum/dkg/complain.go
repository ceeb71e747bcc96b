package dkg

import "github.com/proctornet/proctor/wire"

// complaint votes against members at fault and those that bad names; of the
// others it names those whose share did not fit. There is none if all is well.
// Source: spec/dash.md 5.4, "Complain start".
func (s *Session) complaint(bad func(proTx wire.Hash) bool) (Opened, bool) {
	m := wire.Complaint{DKGHead: s.head(), BadMembers: make(wire.Bitset, s.llmq.Size), ComplainFor: make(wire.Bitset, s.llmq.Size)}
	for i, member := range s.members {
		switch {
		case s.faults[i] != 0 || bad != nil && i != s.self && bad(member.ProTxHash):
			m.BadMembers[i] = true
		case s.lacked[i]:
			m.ComplainFor[i] = true
		}
	}
	if m.BadMembers.Count()+m.ComplainFor.Count() == 0 {
		return Opened{}, false
	}
	return s.open(m), true
}

// closeComplaints counts votes and complaints. A member that sent two different
// ones is blamed, and what it says counts for nothing: it could send a third,
// and which two of them are kept would depend on who is asked. That a member is
// at fault otherwise does not take its vote away, for in that views may differ.
// Source: spec/dash.md 5.4, "Justify start"; 10.2.
func (s *Session) closeComplaints() {
	for v := range s.members {
		if len(s.of(wire.KindComplaint, v)) > 1 {
			s.blame(v, TwoComplaints)
		}
		m, _, ok := only[wire.Complaint](s, v)
		if !ok {
			continue
		}
		for i := range s.members {
			if m.BadMembers.Has(i) {
				s.votes[i]++
			}
			if m.ComplainFor.Has(i) {
				s.accusers[i] = append(s.accusers[i], v)
			}
		}
	}
	for i, votes := range s.votes {
		if votes >= s.llmq.BadVotes {
			s.blame(i, VotedOut)
		}
	}
}
