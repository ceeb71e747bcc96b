package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// signatureKey is where the signature of a request stands in a Snapshot.
func signatureKey(t wire.LLMQType, id wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte{byte(t)}, id[:])
}

// Signature returns the quorum's signature of a request.
func (s *Snapshot) Signature(t wire.LLMQType, id wire.Hash) (wire.RecoveredSig, bool) {
	return s.Signatures.Get(signatureKey(t, id))
}

// recovered judges a quorum's signature once more and keeps it.
func (e *Engine) recovered(in Recovered, out *Effects) validation.Verdict {
	e.followTip(out)
	r := in.Signature
	s := e.signerOf(r.Type)
	if s == nil {
		return RecoveredVerdict(signing.UnknownQuorum)
	}
	if v := s.pool.JudgeRecovered(r); v.Reason != signing.Taken {
		return RecoveredVerdict(v.Reason)
	}
	if q, _ := e.state.Quorum(r.Type, r.QuorumHash); q.Key() != in.Key {
		return validation.Internal.Verdict() // checked under the key of a quorum that is gone: let it come again
	}
	v := s.pool.KeepRecovered(r)
	switch v.Reason {
	case signing.Taken:
		e.keepSignature(r, out)
	case signing.Conflict:
		e.keepContradiction(s, r, out)
	}
	return RecoveredVerdict(v.Reason)
}

// keepSignature keeps a signature that is new to the pool, and uses it.
func (e *Engine) keepSignature(r wire.RecoveredSig, out *Effects) {
	e.signatures = e.signatures.Set(signatureKey(r.Type, r.ID), r)
	out.put(KindRecovered, requestKey(r.Type, r.ID), signatureRecord{Height: e.tree.Tip().Height, First: r}.bytes())
	e.useSignature(r, out)
}

func publishSignature(r wire.RecoveredSig, out *Effects) {
	out.Publications = append(out.Publications, Publication{TopicRecovered, r.Bytes()})
}

func (e *Engine) forgetSignature(t wire.LLMQType, id wire.Hash, out *Effects) {
	e.signatures = e.signatures.Delete(signatureKey(t, id))
	e.contradictions = e.contradictions.Delete(signatureKey(t, id))
	out.delete(KindRecovered, requestKey(t, id))
}

// keepContradiction keeps the second good signature of a request.
func (e *Engine) keepContradiction(s *signer, r wire.RecoveredSig, out *Effects) {
	first, _ := s.pool.Recovered(r.ID)
	e.contradictions = e.contradictions.Set(signatureKey(r.Type, r.ID), signing.Contradiction{First: first, Second: r})
	out.put(KindRecovered, requestKey(r.Type, r.ID), signatureRecord{e.tree.Tip().Height, first, &r}.bytes())
	out.Alarms = append(out.Alarms, Alarm{AlarmContradiction, fmt.Sprintf("quorums %s and %s of type %d signed the messages %s and %s for request %s",
		first.QuorumHash, r.QuorumHash, r.Type, first.MessageHash, r.MessageHash, r.ID)})
}

// signatureRecord is the record of a quorum's signature: height, the signature, and the
// one that contradicts it if there is one.
type signatureRecord struct {
	Height int32 // of our tip when the newer came
	First  wire.RecoveredSig
	Second *wire.RecoveredSig
}

func (s signatureRecord) bytes() []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(s.Height)), s.First.Bytes()...)
	if s.Second != nil {
		b = append(b, s.Second.Bytes()...)
	}
	return b
}

func parseSignatureRecord(b []byte) (s signatureRecord, err error) {
	const one = 4 + wire.RecoveredSigSize
	if len(b) != one && len(b) != one+wire.RecoveredSigSize {
		return s, fmt.Errorf("%w: signature of a quorum of %d bytes, want %d or %d", state.ErrRecord, len(b), one, one+wire.RecoveredSigSize)
	}
	s.Height = heightOf(b)
	if s.First, err = wire.ParseRecoveredSig(b[4:one]); err == nil && len(b) > one {
		s.Second = new(wire.RecoveredSig)
		*s.Second, err = wire.ParseRecoveredSig(b[one:])
	}
	if err == nil && s.Second != nil && (s.Second.Type != s.First.Type || s.Second.ID != s.First.ID || s.Second.MessageHash == s.First.MessageHash) {
		err = fmt.Errorf("%w: signatures of quorums that do not contradict each other", state.ErrRecord)
	}
	return s, err
}

// loadRecovered puts back the signatures that we know.
func (e *Engine) loadRecovered(r Records, _ meta) error {
	return corrupt(r.Walk(KindRecovered, nil, func(key, value []byte) error {
		kept, err := parseSignatureRecord(value)
		if err != nil {
			return err
		}
		first := kept.First
		s := e.signerOf(first.Type)
		if s == nil {
			return fmt.Errorf("%w: signature of a quorum of type %d, which does not run here", state.ErrRecord, first.Type)
		}
		s.pool.RestoreRecovered(first, kept.Height)
		e.signatures = e.signatures.Set(signatureKey(first.Type, first.ID), first)
		if kept.Second != nil {
			s.pool.RestoreRecovered(*kept.Second, kept.Height)
			e.contradictions = e.contradictions.Set(signatureKey(first.Type, first.ID), signing.Contradiction{First: first, Second: *kept.Second})
		}
		return misplaced("signature of a quorum", key, requestKey(first.Type, first.ID))
	}))
}
