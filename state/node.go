// Package state holds what nodes know about service nodes: the registry,
// which all nodes agree on because it is a function of the blocks and of
// nothing else, and each node's own platform-ban flags. Everything here is a
// value: a change answers with a new one and leaves the old one valid.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// NoHeight stands where something has never happened.
const NoHeight int32 = -1

// ErrRecord means that a stored record does not decode.
var ErrRecord = errors.New("state: broken record")

// Node is one registered service node.
type Node struct {
	ProTxHash   wire.Hash
	Evo         bool // evonode, not regular masternode
	OperatorKey wire.OperatorKey
	ServiceKey  wire.ServiceKey
	Sequence    uint64   // of the last accepted event
	Addresses   []string // multiaddresses; none while it never announced one

	RegisteredHeight int32
	PoSeBanHeight    int32 // NoHeight unless PoSe-banned
	RevivedHeight    int32 // NoHeight unless it was ever revived
}

// PoSeBanned reports whether n is PoSe-banned. A banned node stays in the
// registry.
func (n Node) PoSeBanned() bool { return n.PoSeBanHeight != NoHeight }

// Bytes returns the one encoding of n, which is also what the state root covers.
func (n Node) Bytes() []byte {
	b := append([]byte(nil), n.ProTxHash[:]...)
	if n.Evo {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = append(b, n.OperatorKey[:]...)
	b = append(b, n.ServiceKey[:]...)
	b = binary.BigEndian.AppendUint64(b, n.Sequence)
	for _, h := range []int32{n.RegisteredHeight, n.PoSeBanHeight, n.RevivedHeight} {
		b = binary.BigEndian.AppendUint32(b, uint32(h))
	}
	b = append(b, byte(len(n.Addresses)))
	for _, a := range n.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

const nodeFixedSize = 32 + 1 + 48 + 32 + 8 + 3*4 + 1

// ParseNode decodes what Bytes returns. The error wraps ErrRecord.
func ParseNode(b []byte) (Node, error) {
	if len(b) < nodeFixedSize {
		return Node{}, fmt.Errorf("%w: node of %d bytes, want at least %d", ErrRecord, len(b), nodeFixedSize)
	}
	n := Node{
		ProTxHash:        wire.Hash(b[0:32]),
		Evo:              b[32] == 1,
		OperatorKey:      wire.OperatorKey(b[33:81]),
		ServiceKey:       wire.ServiceKey(b[81:113]),
		Sequence:         binary.BigEndian.Uint64(b[113:121]),
		RegisteredHeight: int32(binary.BigEndian.Uint32(b[121:125])),
		PoSeBanHeight:    int32(binary.BigEndian.Uint32(b[125:129])),
		RevivedHeight:    int32(binary.BigEndian.Uint32(b[129:133])),
	}
	rest := b[nodeFixedSize:]
	for range b[nodeFixedSize-1] {
		if len(rest) < 1 || len(rest) < 1+int(rest[0]) {
			return Node{}, fmt.Errorf("%w: node %s ends inside an address", ErrRecord, n.ProTxHash)
		}
		end := 1 + int(rest[0]) // int: a length of 255 must not wrap
		n.Addresses = append(n.Addresses, string(rest[1:end]))
		rest = rest[end:]
	}
	if b[32] > 1 || len(rest) > 0 {
		return Node{}, fmt.Errorf("%w: node %s has a wrong type or %d bytes too many", ErrRecord, n.ProTxHash, len(rest))
	}
	return n, nil
}
