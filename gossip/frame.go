package gossip

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/proctornet/proctor/wire"
)

// A frame is 4 length bytes, big endian, and as many bytes of a message: how
// messages stand on our streams.

func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// readFrame reads one message. A length over limit is wire.ErrSize, before
// anything is allocated.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("frame of %d bytes, at most %d: %w", n, limit, wire.ErrSize)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}
