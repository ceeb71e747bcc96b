package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// ErrUndo means that a Diff was not made by the block that made the state it
// is to undo, or is damaged.
var ErrUndo = errors.New("state: nothing that this undoes")

// Diff is what a block changed. Apply makes it; ParseUndo makes one that only
// has what Undo needs.
type Diff struct {
	Height int32

	// Before and After are the records that differ, in the same ascending order
	// of kind and key.
	Before, After []Record

	Changes     []Change     // of update-service events, in order
	Transitions []Transition // in the order they happened
	Punishments []Punishment // the same
	Paid        wire.Hash    // zero if there was nobody to pay

	check wire.Hash // over Height, Before, After and the root after
}

// Undo returns the state before the block that made s; d is what that block
// changed.
func (s State) Undo(d Diff) (State, error) {
	check := newCheck(d.Height)
	now := make([][]byte, len(d.Before))
	for i, r := range d.Before {
		if len(r.Key) != wire.HashSize {
			return s, fmt.Errorf("%w: a key of %d bytes", ErrUndo, len(r.Key))
		}
		now[i] = s.value(r.Kind, wire.Hash(r.Key))
		check.add(r, now[i])
	}
	if check.sum(s.Root()) != d.check {
		return s, fmt.Errorf("undo block %d: %w", d.Height, ErrUndo)
	}
	before, sum := s, *s.sum
	for i, r := range d.Before {
		if err := before.replace(r.Kind, wire.Hash(r.Key), r.Value); err != nil {
			return s, fmt.Errorf("undo block %d: %w", d.Height, err)
		}
		sum.swap(r.Kind, now[i], r.Value)
	}
	before.sum = &sum
	before.index.array = before.index.array.Truncate(before.Listed())
	return before, nil
}

// UndoBytes returns what must be stored to undo the block.
//
//	size  field
//	   4  Height
//	  32  check over height, records before and after the block, and the root after
//	   4  number of records, ascending by kind and key, then each as
//	      1 byte kind, 32 bytes key, 4 bytes length, the value before; length 0 for none
func (d Diff) UndoBytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(d.Height))
	b = append(b, d.check[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Before)))
	for _, r := range d.Before {
		b = append(append(b, byte(r.Kind)), r.Key...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.Value)))
		b = append(b, r.Value...)
	}
	return b
}

// ParseUndo decodes what UndoBytes returns. The result does not alias b. The
// error wraps ErrRecord. Whether the records decode is seen by Undo.
func ParseUndo(b []byte) (Diff, error) {
	r := &reader{rest: b}
	d := Diff{Height: int32(r.uint32()), check: r.hash()}
	var last []byte
	for range r.uint32() {
		head := r.bytes(1 + wire.HashSize)
		size := r.uint32()
		if uint64(size) > uint64(len(r.rest)) {
			r.fail("it is too short")
		}
		if bytes.Compare(head, last) <= 0 {
			r.fail("its records do not ascend")
		}
		if r.bad != "" {
			break // the count is the writer's word only
		}
		last = head
		before := Record{Kind: Kind(head[0]), Key: bytes.Clone(head[1:])}
		if size > 0 {
			before.Value = bytes.Clone(r.bytes(int(size)))
		}
		d.Before = append(d.Before, before)
	}
	if err := r.end("undo"); err != nil {
		return Diff{}, err
	}
	return d, nil
}
