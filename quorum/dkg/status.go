package dkg

import (
	"slices"

	"github.com/proctornet/proctor/wire"
)

// MemberStatus is what a session knows of one member, for people.
type MemberStatus struct {
	ProTxHash   wire.Hash `json:"protx_hash"`
	Contributed int       `json:"contributed"` // messages of each kind that are kept, at most two
	Complained  int       `json:"complained"`
	Justified   int       `json:"justified"`
	Committed   int       `json:"committed"`
	Voters      []int     `json:"voters"`     // who voted it out, by index
	Accusers    []int     `json:"accusers"`   // who complained about its share
	Unanswered  []int     `json:"unanswered"` // of them, who got no answer
	Lacked      bool      `json:"lacked"`     // we have no fitting share from it
	Fault       Fault     `json:"fault"`
}

// Status is a session as it stands, for people.
type Status struct {
	Type    wire.LLMQType  `json:"llmq_type"`
	Quorum  wire.Hash      `json:"quorum_hash"`
	Height  int32          `json:"quorum_height"`
	Phase   Phase          `json:"phase"`
	Self    int            `json:"self"` // -1 of a watcher
	Members []MemberStatus `json:"members"`
	Skipped int            `json:"skipped_groups"` // results that enough members signed and we could not finalize
}

// Status returns the session as it stands.
func (s *Session) Status() Status {
	st := Status{Type: s.llmq.Type, Quorum: s.hash, Height: s.base, Phase: s.phase, Self: s.self, Skipped: s.unknown}
	for i, m := range s.members {
		st.Members = append(st.Members, MemberStatus{
			ProTxHash:   m.ProTxHash,
			Contributed: len(s.of(wire.KindContribution, i)),
			Complained:  len(s.of(wire.KindComplaint, i)),
			Justified:   len(s.of(wire.KindJustification, i)),
			Committed:   len(s.of(wire.KindPrematureCommitment, i)),
			Voters:      s.voters(i),
			Accusers:    slices.Clone(s.accusers[i]),
			Unanswered:  slices.Clone(s.unheard[i]),
			Lacked:      s.lacked[i],
			Fault:       s.faults[i],
		})
	}
	return st
}

// voters returns who votes a member out, as far as is known.
func (s *Session) voters(member int) (voters []int) {
	for v := range s.members {
		if m, _, ok := only[wire.Complaint](s, v); ok && m.BadMembers.Has(member) {
			voters = append(voters, v)
		}
	}
	return voters
}

// Kept returns every message that is kept, ours too, in order of kind, member
// and id: what Resume takes, and what others may ask for.
func (s *Session) Kept() (all []Opened) {
	for _, members := range s.kept {
		for _, list := range members {
			all = append(all, list...)
		}
	}
	return all
}

// Equivocation is proof that a member said two different things at once. Two
// premature commitments are kept as proof but no fault.
type Equivocation struct{ First, Second wire.DKGMessage }

// Equivocations returns the proofs, in the order of Kept.
func (s *Session) Equivocations() (proofs []Equivocation) {
	for _, members := range s.kept {
		for _, list := range members {
			if len(list) == 2 {
				proofs = append(proofs, Equivocation{list[0].Message, list[1].Message})
			}
		}
	}
	return proofs
}
