package wire

import (
	"encoding/binary"
	"fmt"
)

// MaxRangeBlocks is the most blocks one BlockRange may ask for.
const MaxRangeBlocks = 256

// BlockRangeSize is the length of an encoded BlockRange, in bytes.
const BlockRangeSize = 4 + 2

// BlockRange asks a peer for the blocks of its branch at From, From+1, and so
// on. The answer is a sequence of blocks, each behind 4 length bytes; it ends
// early where the peer's branch ends.
type BlockRange struct {
	From  int32  // height, at least 1
	Count uint16 // 1..MaxRangeBlocks
}

// Bytes returns the encoding of q, BlockRangeSize bytes.
func (q BlockRange) Bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(q.From))
	return binary.BigEndian.AppendUint16(b, q.Count)
}

// ParseBlockRange decodes b and checks the limits.
func ParseBlockRange(b []byte) (BlockRange, error) {
	r := &reader{rest: b}
	q := BlockRange{From: r.int32(), Count: r.uint16()}
	switch {
	case r.err != nil:
	case q.From < 1:
		r.err = fmt.Errorf("from height %d, want 1 or more: %w", q.From, ErrValue)
	case q.Count < 1 || q.Count > MaxRangeBlocks:
		r.err = fmt.Errorf("%d blocks, want 1 to %d: %w", q.Count, MaxRangeBlocks, ErrValue)
	}
	return q, r.end("block range")
}
