package state

import (
	"cmp"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Quorum is a long-living masternode quorum that exists on our branch.
type Quorum struct {
	Type        wire.LLMQType
	Hash        wire.Hash
	MinedHeight int32
	Key         wire.OperatorKey // threshold public key
	Threshold   int
	MadeBy      string // chain.TrustedDealer
	Members     []wire.Hash
}

// Quorums returns the quorums that exist at height tip, oldest first.
func (s State) Quorums(tip int32) []Quorum { return slices.Clone(s.minedBy(tip)) }

// minedBy aliases s.quorums.
func (s State) minedBy(height int32) []Quorum {
	n, _ := slices.BinarySearchFunc(s.quorums, int64(height)+1, func(q Quorum, h int64) int {
		return cmp.Compare(int64(q.MinedHeight), h)
	})
	return s.quorums[:n]
}

// PlatformQuorum returns the platform quorum whose signature at signedHeight
// is taken when the tip is at tip. In profile spec it must have existed at
// signedHeight and been among the newest then; in profile core any quorum on
// the branch will do. Source: DIP-0031, Validation, step 5; spec/dash.md 3.3.
func (s State) PlatformQuorum(hash wire.Hash, signedHeight, tip int32) (Quorum, bool) {
	at := tip
	if !s.profile.AnyMinedQuorum {
		at = min(signedHeight, tip)
	}
	existing := s.minedBy(at)
	if !s.profile.AnyMinedQuorum {
		existing = newest(existing)
	}
	for _, q := range existing {
		if q.Hash == hash {
			return q, true
		}
	}
	return Quorum{}, false
}

// newest keeps the quorums that are still connected.
func newest(quorums []Quorum) []Quorum {
	if len(quorums) == 0 {
		return nil
	}
	llmq, err := params.LLMQByType(quorums[0].Type)
	if err != nil {
		panic(err) // the type comes from params
	}
	return quorums[max(0, len(quorums)-llmq.KeepOldConnections):]
}
