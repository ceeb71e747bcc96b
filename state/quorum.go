package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Quorum is a long-living quorum that a mined commitment made. The record is
// kept for ever: what it signed may be asked about later.
type Quorum struct {
	Commitment wire.FinalCommitment
	Base       int32       // height of the base block, whose hash names the quorum
	Mined      int32       // height of the block with the commitment
	Members    []wire.Hash // ProTxHashes in order of the index, not valid ones included
}

// Type returns the quorum's type.
func (q Quorum) Type() wire.LLMQType { return q.Commitment.Type }

// Hash returns the hash of the base block.
func (q Quorum) Hash() wire.Hash { return q.Commitment.QuorumHash }

// Key returns the threshold public key.
func (q Quorum) Key() wire.OperatorKey { return q.Commitment.PublicKey }

// Index returns the index of a member.
func (q Quorum) Index(proTx wire.Hash) (int, bool) {
	i := slices.Index(q.Members, proTx)
	return i, i >= 0
}

// QuorumKey is the key of a quorum's record: sessions of several types begin
// at one block.
func QuorumKey(t wire.LLMQType, hash wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte{byte(t)}, hash[:])
}

// Bytes returns the record.
//
//	size  field
//	  32  key: double SHA-256 of type and quorum hash
//	   4  Base
//	   4  Mined
//	   2  number of Members, then 32 bytes each
//	   n  Commitment
func (q Quorum) Bytes() []byte {
	key := QuorumKey(q.Type(), q.Hash())
	b := binary.BigEndian.AppendUint32(key[:], uint32(q.Base))
	b = binary.BigEndian.AppendUint32(b, uint32(q.Mined))
	b = binary.BigEndian.AppendUint16(b, uint16(len(q.Members)))
	for _, m := range q.Members {
		b = append(b, m[:]...)
	}
	return append(b, q.Commitment.Bytes()...)
}

// ParseQuorum decodes what Bytes returns. The error wraps ErrRecord.
func ParseQuorum(b []byte) (Quorum, error) {
	r := &reader{rest: b}
	key := r.hash()
	q := Quorum{Base: int32(r.uint32()), Mined: int32(r.uint32())}
	n := int(r.uint16())
	if n > wire.MaxQuorumMembers {
		r.fail(fmt.Sprintf("%d members, at most %d", n, wire.MaxQuorumMembers))
		n = 0
	}
	for range n {
		q.Members = append(q.Members, r.hash())
	}
	var err error
	if q.Commitment, err = wire.ParseFinalCommitment(r.rest); err != nil {
		r.fail(err.Error())
	}
	r.rest = nil
	if QuorumKey(q.Type(), q.Hash()) != key {
		r.fail("its key is another's")
	}
	return q, r.end("quorum")
}

// Quorum returns the quorum of that type with that hash.
func (s State) Quorum(t wire.LLMQType, hash wire.Hash) (Quorum, bool) {
	return found(s.quorums, QuorumKey(t, hash))
}

// Quorums walks the quorums of a type, newest first: by the height they were
// mined at, of two mined in one block the one with the lower key.
func (s State) Quorums(t wire.LLMQType) iter.Seq[Quorum] {
	return func(yield func(Quorum) bool) {
		for rank, key := range s.index.mined.all() {
			if uint32(rank) != uint32(t) {
				continue
			}
			if q, ok := s.quorums.Get(key); ok && !yield(*q) {
				return
			}
		}
	}
}

// LLMQs returns the types of quorums that run, in their shapes here.
func (s State) LLMQs() []params.LLMQ { return s.llmqs }

// LLMQ returns a type that runs.
func (s State) LLMQ(t wire.LLMQType) (params.LLMQ, bool) {
	i := slices.IndexFunc(s.llmqs, func(q params.LLMQ) bool { return q.Type == t })
	if i < 0 {
		return params.LLMQ{}, false
	}
	return s.llmqs[i], true
}

// PlatformType returns the type whose quorums sign platform bans.
func (s State) PlatformType() wire.LLMQType { return s.platform }

// PlatformQuorum returns the platform quorum whose signature at signedHeight
// is taken. In profile spec it must have existed at signedHeight and been
// among the newest then; in profile core any quorum on the branch will do.
// Source: DIP-0031, Validation, step 5; spec/dash.md 3.3.
func (s State) PlatformQuorum(hash wire.Hash, signedHeight int32) (Quorum, bool) {
	q, ok := s.Quorum(s.platform, hash)
	if !ok || s.profile.AnyMinedQuorum {
		return q, ok
	}
	if q.Mined > signedHeight {
		return Quorum{}, false
	}
	llmq, err := params.LLMQByType(s.platform)
	if err != nil {
		panic(err) // the type comes from params
	}
	newer := 0
	for other := range s.Quorums(s.platform) {
		if other.Mined > signedHeight {
			continue
		}
		if other.Hash() == hash {
			return q, true
		}
		if newer++; newer >= llmq.KeepOldConnections {
			break
		}
	}
	return Quorum{}, false
}

func (s *State) replaceQuorum(key wire.Hash, q *Quorum) {
	if old, had := s.quorums.Get(key); had {
		s.index.mined = s.index.mined.without(newestFirst(old), key)
	}
	if q == nil {
		s.quorums = s.quorums.Delete(key)
		return
	}
	s.quorums = s.quorums.Set(key, q)
	s.index.mined = s.index.mined.with(newestFirst(q), key)
}

// newestFirst ranks quorums descending by the height they were mined at.
func newestFirst(q *Quorum) uint64 { return rank(^q.Mined, uint32(q.Type())) }

// form carries out the mined commitments of a block: null ones do nothing,
// real ones make quorums and punish members that are not valid. Source:
// spec/dash.md 2.4 and 5.7.
func (d *draft) form(commitments []wire.FinalCommitment, sessions []Session) error {
	if len(commitments) != len(sessions) {
		return fmt.Errorf("%d commitments of %d sessions: %w", len(commitments), len(sessions), ErrCommitment)
	}
	for i, c := range commitments {
		if c.Null() {
			continue
		}
		key := QuorumKey(c.Type, c.QuorumHash)
		if _, had := d.quorums.Get(key); had {
			return fmt.Errorf("quorum %s is mined already: %w", c.QuorumHash.Short(), ErrCommitment)
		}
		q := Quorum{Commitment: c, Base: sessions[i].Base, Mined: d.height, Members: sessions[i].Members}
		d.touch(KindQuorum, key)
		d.replaceQuorum(key, &q)
		var invalid []wire.Hash
		for i, proTx := range q.Members {
			if !c.ValidMembers.Has(i) {
				invalid = append(invalid, proTx)
			}
		}
		d.punish(invalid)
	}
	return nil
}

// Session is what the branch says of the session of a commitment.
type Session struct {
	Base    int32       // height of the base block
	Members []wire.Hash // in order of the index
}
