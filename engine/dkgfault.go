package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// MaxDKGFaults bounds the proofs kept of members that said two things in a
// session; those of the lowest base blocks go first. Two contributions to a
// session of 400 take 48 kB.
const MaxDKGFaults = 128

// DKGFault is proof that a member signed two different messages of one kind in
// one session, ascending by id. It outlasts the session.
type DKGFault struct {
	Height int32 // of the base block
	dkg.Equivocation
}

// keepDKGFault keeps the proof that the second message of its kind completes. No
// rule punishes it beyond the session: it is shown.
func (e *Engine) keepDKGFault(s *session, second wire.DKGMessage, out *Effects) {
	height, _ := s.Base()
	head, kind := second.Head(), second.Kind()
	for _, proof := range s.Equivocations() {
		if proof.First.Kind() != kind || proof.First.Head().ProTxHash != head.ProTxHash {
			continue
		}
		f := DKGFault{height, proof}
		if slices.ContainsFunc(e.dkgFaults, func(o DKGFault) bool { return bytes.Equal(o.key(), f.key()) }) {
			return // of a session that we left and came back to
		}
		e.dkgFaults = slices.SortedFunc(slices.Values(append(slices.Clone(e.dkgFaults), f)), compareDKGFaults) // readers may hold the old one
		out.put(KindDKGFault, f.key(), f.bytes())
		out.Alarms = append(out.Alarms, Alarm{AlarmDKG, fmt.Sprintf("node %s sent two different %s in the session of quorum %s, type %d", head.ProTxHash, kind, head.QuorumHash, head.Type)})
	}
	for len(e.dkgFaults) > MaxDKGFaults {
		out.delete(KindDKGFault, e.dkgFaults[0].key())
		out.Evicted++
		e.dkgFaults = e.dkgFaults[1:]
	}
}

func compareDKGFaults(a, b DKGFault) int {
	return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.key(), b.key()))
}

// key: type, quorum, member, kind.
func (f DKGFault) key() []byte {
	head := f.First.Head()
	return append(slices.Concat([]byte{byte(head.Type)}, head.QuorumHash[:], head.ProTxHash[:]), byte(f.First.Kind()))
}

// bytes returns the record: height, kind, length of the first message, both.
func (f DKGFault) bytes() []byte {
	first := f.First.Bytes()
	b := binary.BigEndian.AppendUint32(nil, uint32(f.Height))
	b = append(b, byte(f.First.Kind()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(first)))
	return slices.Concat(b, first, f.Second.Bytes())
}

func parseDKGFault(b []byte) (f DKGFault, err error) {
	const fixed = 4 + 1 + 4
	if len(b) < fixed {
		return f, fmt.Errorf("%w: fault in a session of %d bytes, want at least %d", state.ErrRecord, len(b), fixed)
	}
	f.Height = heightOf(b)
	kind, length, both := wire.DKGKind(b[4]), binary.BigEndian.Uint32(b[5:fixed]), b[fixed:]
	if uint64(length) > uint64(len(both)) {
		return f, fmt.Errorf("%w: fault in a session with a message of %d bytes, %d are left", state.ErrRecord, length, len(both))
	}
	if f.First, err = wire.ParseDKG(kind, both[:length]); err == nil {
		f.Second, err = wire.ParseDKG(kind, both[length:])
	}
	if err != nil {
		return f, fmt.Errorf("%w: fault in a session: %w", state.ErrRecord, err)
	}
	if first, second := f.First.ID(), f.Second.ID(); f.First.Head() != f.Second.Head() || bytes.Compare(first[:], second[:]) >= 0 {
		return f, fmt.Errorf("%w: fault in a session with messages that prove nothing", state.ErrRecord)
	}
	return f, nil
}

func (e *Engine) loadDKGFaults(r Records, _ meta) error {
	err := r.Walk(KindDKGFault, nil, func(key, value []byte) error {
		f, err := parseDKGFault(value)
		if err != nil {
			return err
		}
		e.dkgFaults = append(e.dkgFaults, f)
		return misplaced("fault in a session", key, f.key())
	})
	slices.SortFunc(e.dkgFaults, compareDKGFaults)
	return corrupt(err)
}
