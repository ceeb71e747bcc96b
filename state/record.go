package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/proctornet/proctor/wire"
)

// ErrRecord means that a stored record does not decode or does not fit the others.
var ErrRecord = errors.New("state: broken record")

// Kind tells what a record is about.
type Kind uint8

// The kinds of records.
const (
	KindNode      Kind = 1 // key: ProTxHash; value: Node.Bytes
	KindStaker    Kind = 2 // key: StakerKey; value: Staker.Bytes
	KindTombstone Kind = 3 // key: ProTxHash; value: Tombstone.Bytes
	KindQuorum    Kind = 4 // key: see QuorumKey; value: Quorum.Bytes
)

func (k Kind) String() string {
	switch k {
	case KindNode:
		return "node"
	case KindStaker:
		return "staker"
	case KindTombstone:
		return "tombstone"
	case KindQuorum:
		return "quorum"
	default:
		return fmt.Sprintf("kind-%d", uint8(k))
	}
}

// Record is one piece of the agreed state. The state root covers kind and
// value of every record; every value begins with its key.
type Record struct {
	Kind  Kind
	Key   []byte // of wire.HashSize
	Value []byte // nil: there is no such record
}

// Records walks all records in ascending order of kind and key.
func (s State) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for key, n := range s.nodes.All() {
			if !yield(Record{KindNode, key[:], n.Bytes()}) {
				return
			}
		}
		for key, v := range s.stakers.All() {
			if !yield(Record{KindStaker, key[:], v.Bytes()}) {
				return
			}
		}
		for key, t := range s.tombstones.All() {
			if !yield(Record{KindTombstone, key[:], t.Bytes()}) {
				return
			}
		}
		for key, q := range s.quorums.All() {
			if !yield(Record{KindQuorum, key[:], q.Bytes()}) {
				return
			}
		}
	}
}

// value returns the bytes of a record, nil if there is none.
func (s State) value(kind Kind, key wire.Hash) []byte {
	switch kind {
	case KindNode:
		if n, ok := s.nodes.Get(key); ok {
			return n.Bytes()
		}
	case KindStaker:
		if v, ok := s.stakers.Get(key); ok {
			return v.Bytes()
		}
	case KindTombstone:
		if t, ok := s.tombstones.Get(key); ok {
			return t.Bytes()
		}
	case KindQuorum:
		if q, ok := s.quorums.Get(key); ok {
			return q.Bytes()
		}
	}
	return nil
}

// replace puts a record in the place of the one with its kind and key, or
// takes that out. The root and the length of the array are left to settle.
func (s *State) replace(kind Kind, key wire.Hash, value []byte) error {
	switch kind {
	case KindNode:
		n, err := parsed(value, key, ParseNode, func(n Node) wire.Hash { return n.ProTxHash })
		if err == nil {
			s.replaceNode(key, n)
		}
		return err
	case KindStaker:
		v, err := parsed(value, key, ParseStaker, func(v Staker) wire.Hash { return wire.Hash(v.Key) })
		if err == nil {
			s.replaceStaker(key, v)
		}
		return err
	case KindTombstone:
		t, err := parsed(value, key, ParseTombstone, func(t Tombstone) wire.Hash { return t.ProTxHash })
		if err == nil {
			s.replaceTombstone(key, t)
		}
		return err
	case KindQuorum:
		q, err := parsed(value, key, ParseQuorum, func(q Quorum) wire.Hash { return QuorumKey(q.Type(), q.Hash()) })
		if err == nil {
			s.replaceQuorum(key, q)
		}
		return err
	default:
		return fmt.Errorf("%w: kind %d is unknown", ErrRecord, uint8(kind))
	}
}

// parsed decodes a value that must be of the record with that key.
func parsed[V any](value []byte, key wire.Hash, parse func([]byte) (V, error), keyOf func(V) wire.Hash) (*V, error) {
	if value == nil {
		return nil, nil
	}
	v, err := parse(value)
	if err != nil {
		return nil, err
	}
	if keyOf(v) != key {
		return nil, fmt.Errorf("%w: the record of %s has the key %s", ErrRecord, keyOf(v), key)
	}
	return &v, nil
}

func (s *State) replaceNode(key wire.Hash, n *Node) {
	old, _ := s.nodes.Get(key)
	if n == nil {
		s.nodes = s.nodes.Delete(key)
	} else {
		s.nodes = s.nodes.Set(key, n)
	}
	s.index = s.index.replaced(old, n)
}

func (s *State) replaceStaker(key wire.Hash, v *Staker) {
	if v == nil {
		s.stakers = s.stakers.Delete(key)
	} else {
		s.stakers = s.stakers.Set(key, v)
	}
}

func (s *State) replaceTombstone(key wire.Hash, t *Tombstone) {
	if t == nil {
		s.tombstones = s.tombstones.Delete(key)
	} else {
		s.tombstones = s.tombstones.Set(key, t)
	}
}

// reader takes fields off the front of a record. After the first failure it
// hands out zeros, so a decoder reads straight on and asks once.
type reader struct {
	rest []byte
	bad  string // first failure
}

func (r *reader) fail(why string) {
	if r.bad == "" {
		r.bad = why
	}
}

func (r *reader) bytes(n int) []byte {
	if len(r.rest) < n {
		r.fail("it is too short")
	}
	if r.bad != "" {
		return make([]byte, n) // n is a constant or at most 255
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) hash() wire.Hash { return wire.Hash(r.bytes(wire.HashSize)) }
func (r *reader) uint16() uint16  { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) uint32() uint32  { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64  { return binary.BigEndian.Uint64(r.bytes(8)) }

// count reads how many of something follow.
func (r *reader) count() int { return int(r.bytes(1)[0]) }

func (r *reader) bool() bool {
	v := r.bytes(1)[0]
	if v > 1 {
		r.fail("a flag is neither 0 nor 1")
	}
	return v == 1
}

// answer reads an answer, or 0 for none.
func (r *reader) answer() wire.Answer {
	a := wire.Answer(r.bytes(1)[0])
	if a > wire.Passes {
		r.fail("an answer is unknown")
	}
	return a
}

func (r *reader) end(what string) error {
	if len(r.rest) > 0 {
		r.fail(fmt.Sprintf("%d bytes are left over", len(r.rest)))
	}
	if r.bad != "" {
		return fmt.Errorf("%w: %s: %s", ErrRecord, what, r.bad)
	}
	return nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
