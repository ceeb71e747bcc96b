// Package wire holds the messages of Proctor's networks: their bytes, their
// ids, and nothing that judges them. Decoders check lengths before they
// allocate, accept exactly one encoding of a message, and return values that
// do not alias their input.
//
// Integers inside Dash messages are little endian, inside Proctor's own
// messages big endian. Hashes travel as the bytes SHA-256 produced and are
// shown to people in reverse ("display order"), as every Dash tool does.
package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Errors that decoders wrap. Callers ask which with errors.Is.
var (
	ErrSize  = errors.New("wrong size")  // too short, too long, or over a limit
	ErrValue = errors.New("wrong value") // a field holds something no encoder writes
)

// HashSize is the length of a Hash in bytes.
const HashSize = 32

// Hash is a 32-byte identifier in internal order: the order hash functions
// produce and messages carry. String and the text encoding use display order.
type Hash [HashSize]byte

// ParseHash reads 64 hex digits in display order.
func ParseHash(s string) (Hash, error) {
	if len(s) != 2*HashSize {
		return Hash{}, fmt.Errorf("hash %.80q has %d characters, want %d hex digits: %w", s, len(s), 2*HashSize, ErrSize)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return Hash{}, fmt.Errorf("hash %q is not hex: %w", s, ErrValue)
	}
	return Hash(b).reversed(), nil
}

// String returns h in display order, 64 hex digits.
func (h Hash) String() string {
	r := h.reversed()
	return hex.EncodeToString(r[:])
}

// Short returns the first 8 digits of String, for people who compare by eye.
func (h Hash) Short() string { return h.String()[:8] }

// IsZero reports whether h is all zeros, which stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText encodes h as String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText decodes what ParseHash accepts.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

func (h Hash) reversed() (r Hash) {
	for i, b := range h {
		r[HashSize-1-i] = b
	}
	return r
}

// DoubleHash is SHA-256 applied twice to the concatenation of parts, the hash
// behind every id of Dash.
func DoubleHash(parts ...[]byte) Hash {
	d := sha256.New()
	for _, p := range parts {
		d.Write(p)
	}
	return sha256.Sum256(d.Sum(nil))
}
