package wire

import (
	"encoding/binary"
	"fmt"
)

// MaxQuorumMembers bounds every list in the messages of long-living quorums:
// bits, coefficients, shares. The largest quorum of Dash has as many members.
const MaxQuorumMembers = 400

// Bitset marks members of a quorum, by index. It travels as the compact size
// of its length in bits and the bits in whole bytes, lowest bit first; bits
// that pad the last byte are zero (spec/dash.md 0).
type Bitset []bool

// Has reports whether bit i is set; outside of s none is.
func (s Bitset) Has(i int) bool { return i >= 0 && i < len(s) && s[i] }

// Count returns the number of set bits.
func (s Bitset) Count() (n int) {
	for _, set := range s {
		if set {
			n++
		}
	}
	return n
}

// String shows the bits in order of the index, as 0 and 1.
func (s Bitset) String() string {
	digits := make([]byte, len(s))
	for i, set := range s {
		digits[i] = '0'
		if set {
			digits[i] = '1'
		}
	}
	return string(digits)
}

func appendBitset(b []byte, s Bitset) []byte {
	b = appendCompact(b, len(s))
	start := len(b)
	b = append(b, make([]byte, (len(s)+7)/8)...)
	for i, set := range s {
		if set {
			b[start+i/8] |= 1 << (i % 8)
		}
	}
	return b
}

func (r *reader) bitset(what string) Bitset {
	n := r.compact("bits of "+what, MaxQuorumMembers)
	packed := r.bytes((n + 7) / 8)
	if r.err != nil || n == 0 {
		return nil
	}
	if n%8 != 0 && packed[n/8]>>(n%8) != 0 {
		r.err = fmt.Errorf("padding of %s is not zero: %w", what, ErrValue)
		return nil
	}
	s := make(Bitset, n)
	for i := range s {
		s[i] = packed[i/8]>>(i%8)&1 == 1
	}
	return s
}

// appendCompact writes a length as Dash does, in as few bytes as it takes.
func appendCompact(b []byte, n int) []byte {
	switch {
	case n < 0xfd:
		return append(b, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(n))
	default:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(n))
	}
}

// compact reads the inverse of appendCompact; longer forms of a small length
// are ErrValue.
func (r *reader) compact(what string, limit int) int {
	var n, least uint64
	switch first := r.uint8(); first {
	case 0xfd:
		n, least = uint64(binary.LittleEndian.Uint16(r.bytes(2))), 0xfd
	case 0xfe:
		n, least = uint64(binary.LittleEndian.Uint32(r.bytes(4))), 1<<16
	case 0xff:
		n, least = binary.LittleEndian.Uint64(r.bytes(8)), 1<<32
	default:
		n = uint64(first)
	}
	switch {
	case r.err != nil:
		return 0
	case n < least:
		r.err = fmt.Errorf("number of %s takes more bytes than it needs: %w", what, ErrValue)
		return 0
	case n > uint64(limit):
		r.err = fmt.Errorf("%d %s, at most %d: %w", n, what, limit, ErrSize)
		return 0
	}
	return int(n)
}

// array returns n entries of size bytes each, or fails before anything is
// allocated for them.
func (r *reader) array(what string, n, size int) []byte {
	if r.err == nil && len(r.rest) < n*size {
		r.err = fmt.Errorf("%d bytes left for %d %s: %w", len(r.rest), n, what, ErrSize)
	}
	if r.err != nil {
		return nil
	}
	return r.bytes(n * size)
}

func (r *reader) operatorKey() OperatorKey { return OperatorKey(r.bytes(OperatorKeySize)) }

// fail records an ErrValue, unless something failed before.
func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", what, ErrValue)
	}
}
