package wire

import "encoding/binary"

// CheckpointSize is the length of an encoded Checkpoint, in bytes.
const CheckpointSize = 4 + 3*HashSize + ServiceSignatureSize

// Checkpoint is a tester's word on which block stands at a height: the seed's
// third task. Source: DESIGN.md section 6, rule 11.
//
//	size  field
//	   4  Height     int32, of the block
//	  32  BlockHash
//	  32  StateRoot  after the block 12 below it
//	  32  Voter      ProTxHash
//	  64  Seal       Ed25519 by the voter's service key over SealedBytes
type Checkpoint struct {
	Height    int32
	BlockHash Hash
	StateRoot Hash
	Voter     Hash
	Seal      ServiceSignature
}

// Bytes returns the encoding of c, CheckpointSize bytes.
func (c Checkpoint) Bytes() []byte { return append(c.body(), c.Seal[:]...) }

func (c Checkpoint) body() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Height))
	b = append(b, c.BlockHash[:]...)
	b = append(b, c.StateRoot[:]...)
	return append(b, c.Voter[:]...)
}

// SealedBytes is what the voter's service key signs.
func (c Checkpoint) SealedBytes(network Hash) []byte {
	return sealed("proctor/checkpoint/1", network, c.body())
}

// ParseCheckpoint decodes b, which must hold one checkpoint and nothing after
// it.
func ParseCheckpoint(b []byte) (Checkpoint, error) {
	r := &reader{rest: b}
	c := Checkpoint{Height: r.int32(), BlockHash: r.hash(), StateRoot: r.hash(), Voter: r.hash(), Seal: r.serviceSignature()}
	return c, r.end("checkpoint")
}
