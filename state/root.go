package state

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"

	"github.com/proctornet/proctor/wire"
)

// rootLanes is the number of 16-bit lanes of an accumulator.
const rootLanes = 1024

// accumulator is LtHash: the lane-wise sum of an expansion of every record.
// A record that changes is taken out and put in again, so the cost of a root
// follows the change and not the size of the registry, and the order of
// changes cannot matter. Source: Bellare and Micciancio 1997, with the
// parameters of DESIGN.md section 5.
type accumulator [rootLanes]uint16

func (a *accumulator) add(kind Kind, value []byte) {
	expansion := expand(kind, value)
	for i := range a {
		a[i] += binary.LittleEndian.Uint16(expansion[2*i:])
	}
}

func (a *accumulator) remove(kind Kind, value []byte) {
	expansion := expand(kind, value)
	for i := range a {
		a[i] -= binary.LittleEndian.Uint16(expansion[2*i:])
	}
}

func (a *accumulator) root() wire.Hash {
	b := make([]byte, 0, 2*rootLanes)
	for _, v := range a {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return sha256.Sum256(b)
}

// expand covers the kind, so that a record never passes for one of another kind.
func expand(kind Kind, value []byte) (b [2 * rootLanes]byte) {
	h := sha3.NewSHAKE128()
	h.Write([]byte{byte(kind)})
	h.Write(value)
	h.Read(b[:])
	return b
}
