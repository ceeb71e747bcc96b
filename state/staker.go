package state

import (
	"encoding/binary"

	"github.com/proctornet/proctor/wire"
)

// Lock is stake of a deregistered node that its staker does not have back yet.
type Lock struct {
	ProTxHash    wire.Hash
	Amount       uint64
	UnlockHeight int32 // free in this block and above
}

// Staker is one owner of stake. There are no transfers: what the genesis
// granted is free, pledged to a node or locked.
type Staker struct {
	Key      wire.StakerKey
	Granted  uint64
	Sequence uint64 // of the last accepted event
	Pledged  uint64 // in living nodes
	Pledges  uint16 // number of those nodes
	Locks    []Lock // in the order they were made; expired ones go when the record is next touched
}

// Free returns the stake that may be pledged in a block at height.
func (v Staker) Free(height int32) uint64 {
	free := v.Granted
	take := func(amount uint64) { free -= min(free, amount) }
	take(v.Pledged)
	for _, l := range v.Locks {
		if l.UnlockHeight > height {
			take(l.Amount)
		}
	}
	return free
}

// unlocked returns v without the locks that have expired at height.
func (v Staker) unlocked(height int32) Staker {
	var locks []Lock // a new one: the old belongs to the states before
	for _, l := range v.Locks {
		if l.UnlockHeight > height {
			locks = append(locks, l)
		}
	}
	v.Locks = locks
	return v
}

// Bytes returns the one encoding of v.
//
//	size  field
//	  32  Key
//	   8  Granted
//	   8  Sequence
//	   8  Pledged
//	   2  Pledges
//	   1  number of locks, then each as 32 bytes ProTxHash, 8 bytes Amount, 4 bytes UnlockHeight
func (v Staker) Bytes() []byte {
	b := append(make([]byte, 0, 59+44*len(v.Locks)), v.Key[:]...)
	for _, amount := range []uint64{v.Granted, v.Sequence, v.Pledged} {
		b = binary.BigEndian.AppendUint64(b, amount)
	}
	b = binary.BigEndian.AppendUint16(b, v.Pledges)
	b = append(b, byte(len(v.Locks))) // pledges and locks are at most params.MaxStakerPledges
	for _, l := range v.Locks {
		b = binary.BigEndian.AppendUint64(append(b, l.ProTxHash[:]...), l.Amount)
		b = binary.BigEndian.AppendUint32(b, uint32(l.UnlockHeight))
	}
	return b
}

// ParseStaker decodes what Bytes returns. The error wraps ErrRecord.
func ParseStaker(b []byte) (Staker, error) {
	r := &reader{rest: b}
	v := Staker{Key: wire.StakerKey(r.hash()), Granted: r.uint64(), Sequence: r.uint64(), Pledged: r.uint64(), Pledges: r.uint16()}
	for range r.count() {
		v.Locks = append(v.Locks, Lock{r.hash(), r.uint64(), int32(r.uint32())})
	}
	return v, r.end("staker")
}
