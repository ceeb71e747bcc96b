package state

import (
	"encoding/binary"

	"github.com/proctornet/proctor/wire"
)

// Tombstone stays of a service node that is gone.
type Tombstone struct {
	ProTxHash        wire.Hash       `json:"protx_hash"`
	Evo              bool            `json:"evo"`
	Deregistered     bool            `json:"deregistered"` // by a certificate; false: it left in good order
	ServiceKey       wire.ServiceKey `json:"service_key"`
	RegisteredHeight int32           `json:"registered_height"`
	Height           int32           `json:"height"`        // of the block it left in
	UnlockHeight     int32           `json:"unlock_height"` // from when on its stake is free; Height if it left in good order
	Cause            wire.Answer     `json:"cause"`         // of the deregistration; 0 for none
}

// Bytes returns the one encoding of t.
//
//	size  field
//	  32  ProTxHash
//	   1  Evo, 0 or 1
//	   1  Deregistered, 0 or 1
//	  32  ServiceKey
//	   4  RegisteredHeight
//	   4  Height
//	   4  UnlockHeight
//	   1  Cause
func (t Tombstone) Bytes() []byte {
	b := append(make([]byte, 0, 79), t.ProTxHash[:]...)
	b = appendBool(appendBool(b, t.Evo), t.Deregistered)
	b = append(b, t.ServiceKey[:]...)
	for _, h := range []int32{t.RegisteredHeight, t.Height, t.UnlockHeight} {
		b = binary.BigEndian.AppendUint32(b, uint32(h))
	}
	return append(b, byte(t.Cause))
}

// ParseTombstone decodes what Bytes returns. The error wraps ErrRecord.
func ParseTombstone(b []byte) (Tombstone, error) {
	r := &reader{rest: b}
	t := Tombstone{
		ProTxHash:        r.hash(),
		Evo:              r.bool(),
		Deregistered:     r.bool(),
		ServiceKey:       wire.ServiceKey(r.bytes(wire.ServiceKeySize)),
		RegisteredHeight: int32(r.uint32()),
		Height:           int32(r.uint32()),
		UnlockHeight:     int32(r.uint32()),
		Cause:            r.answer(),
	}
	return t, r.end("tombstone")
}
