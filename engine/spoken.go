package engine

import (
	"slices"

	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Spoken are the ids of the messages that are kept of sessions by spokenKey:
// of a kind at most two from one member.
type Spoken = trie.Map[[]wire.Hash]

func spokenKey(m wire.DKGMessage) wire.Hash {
	head := m.Head()
	return wire.DoubleHash([]byte{byte(head.Type), byte(m.Kind())}, head.QuorumHash[:], head.ProTxHash[:])
}

// HeardDKG judges a message by those that its member has sent. It need not be
// verified: whoever signed it, it would not be kept. Source: spec/dash.md 5.3.
func (s *Snapshot) HeardDKG(m wire.DKGMessage) validation.Reason {
	switch ids, _ := s.Spoken.Get(spokenKey(m)); {
	case slices.Contains(ids, m.ID()):
		return validation.Duplicate
	case len(ids) == 2:
		return validation.DKGThird
	default:
		return validation.Valid
	}
}

// spoke notes that a message of a session is kept.
func (e *Engine) spoke(m wire.DKGMessage) {
	key, id := spokenKey(m), m.ID()
	if ids, _ := e.spoken.Get(key); !slices.Contains(ids, id) {
		e.spoken = e.spoken.Set(key, append(slices.Clip(ids), id))
	}
}
