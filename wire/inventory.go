package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of an exchange of inventories. Source: spec/gossip.md 3.4.
const (
	MaxListedBans   = 256  // bans asked for at once, by hash or by range
	MaxDigests      = 1024 // heights in a summary; the window of heights has fewer
	BanDigestSize   = 16   // bytes of a digest
	BanRangeSize    = 4 + 4 + HashSize + 2
	heightEntrySize = 4 + 2 + BanDigestSize
)

// HeightDigest stands for all accepted bans signed at one height: two nodes
// that have the same bans there have the same digest.
type HeightDigest struct {
	Height int32
	Count  uint16
	Digest [BanDigestSize]byte
}

// BanSummary digests an inventory, in ascending order of heights.
type BanSummary []HeightDigest

// Bytes returns the encoding of s: for each height 4 bytes of it, 2 of the
// count, 16 of the digest.
func (s BanSummary) Bytes() []byte {
	b := make([]byte, 0, len(s)*heightEntrySize)
	for _, d := range s {
		b = binary.BigEndian.AppendUint32(b, uint32(d.Height))
		b = binary.BigEndian.AppendUint16(b, d.Count)
		b = append(b, d.Digest[:]...)
	}
	return b
}

// Digest stands for the whole summary.
func (s BanSummary) Digest() [BanDigestSize]byte {
	h := DoubleHash(s.Bytes())
	return [BanDigestSize]byte(h[:])
}

// ParseBanSummary decodes b and checks the order of heights and the limits.
func ParseBanSummary(b []byte) (BanSummary, error) {
	if len(b)%heightEntrySize != 0 || len(b) > MaxDigests*heightEntrySize {
		return nil, fmt.Errorf("ban summary of %d bytes, want a multiple of %d up to %d: %w", len(b), heightEntrySize, MaxDigests*heightEntrySize, ErrSize)
	}
	r := &reader{rest: b}
	s := make(BanSummary, 0, len(b)/heightEntrySize)
	for len(r.rest) > 0 {
		d := HeightDigest{Height: r.int32(), Count: r.uint16(), Digest: [BanDigestSize]byte(r.bytes(BanDigestSize))}
		switch {
		case d.Count == 0:
			return nil, fmt.Errorf("ban summary: no bans at height %d: %w", d.Height, ErrValue)
		case len(s) > 0 && d.Height <= s[len(s)-1].Height:
			return nil, fmt.Errorf("ban summary: height %d after %d: %w", d.Height, s[len(s)-1].Height, ErrValue)
		}
		s = append(s, d)
	}
	return s, r.end("ban summary")
}

// BanRange asks for accepted bans in ascending order of (signed height,
// inventory hash), those at From only if their hash is greater than After.
// The last ban of an answer is where the next range begins.
type BanRange struct {
	From, To int32 // signed heights, both included
	After    Hash
	Count    uint16 // 1..MaxListedBans
}

// Bytes returns the encoding of q, BanRangeSize bytes.
func (q BanRange) Bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(q.From))
	b = binary.BigEndian.AppendUint32(b, uint32(q.To))
	b = append(b, q.After[:]...)
	return binary.BigEndian.AppendUint16(b, q.Count)
}

// ParseBanRange decodes b and checks the limits.
func ParseBanRange(b []byte) (BanRange, error) {
	r := &reader{rest: b}
	q := BanRange{From: r.int32(), To: r.int32(), After: r.hash(), Count: r.uint16()}
	switch {
	case r.err != nil:
	case q.From > q.To:
		r.err = fmt.Errorf("heights %d to %d: %w", q.From, q.To, ErrValue)
	case q.Count < 1 || q.Count > MaxListedBans:
		r.err = fmt.Errorf("%d bans, want 1 to %d: %w", q.Count, MaxListedBans, ErrValue)
	}
	return q, r.end("ban range")
}

// BanHashes asks for accepted bans by inventory hash, 1..MaxListedBans of them.
type BanHashes []Hash

// Bytes returns the encoding of q: the hashes one after the other.
func (q BanHashes) Bytes() []byte {
	b := make([]byte, 0, len(q)*HashSize)
	for _, h := range q {
		b = append(b, h[:]...)
	}
	return b
}

// ParseBanHashes decodes b and checks the limits.
func ParseBanHashes(b []byte) (BanHashes, error) {
	if len(b) == 0 || len(b)%HashSize != 0 || len(b) > MaxListedBans*HashSize {
		return nil, fmt.Errorf("list of hashes of %d bytes, want a multiple of %d from %d to %d: %w", len(b), HashSize, HashSize, MaxListedBans*HashSize, ErrSize)
	}
	q := make(BanHashes, 0, len(b)/HashSize)
	for ; len(b) > 0; b = b[HashSize:] {
		q = append(q, Hash(b[:HashSize]))
	}
	return q, nil
}
