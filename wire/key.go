package wire

import (
	"encoding/hex"
	"fmt"
)

// Sizes of keys and signatures, in bytes.
const (
	OperatorKeySize      = 48 // BLS12-381 public key, G1 compressed
	SignatureSize        = 96 // BLS12-381 signature, G2 compressed
	ServiceKeySize       = 32 // Ed25519 public key
	StakerKeySize        = 32 // Ed25519 public key
	ServiceSignatureSize = 64 // Ed25519 signature
)

// The bytes of keys and signatures as messages carry them. None of them is
// checked until somebody parses it: see packages bls and crypto/ed25519.
type (
	OperatorKey      [OperatorKeySize]byte
	Signature        [SignatureSize]byte
	ServiceKey       [ServiceKeySize]byte
	StakerKey        [StakerKeySize]byte // whom stake belongs to
	ServiceSignature [ServiceSignatureSize]byte
)

func (k OperatorKey) String() string      { return hex.EncodeToString(k[:]) }
func (s Signature) String() string        { return hex.EncodeToString(s[:]) }
func (k ServiceKey) String() string       { return hex.EncodeToString(k[:]) }
func (k StakerKey) String() string        { return hex.EncodeToString(k[:]) }
func (s ServiceSignature) String() string { return hex.EncodeToString(s[:]) }

// Text encodings are lower-case hex in the order of the bytes.
func (k OperatorKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k ServiceKey) MarshalText() ([]byte, error)  { return []byte(k.String()), nil }
func (k StakerKey) MarshalText() ([]byte, error)   { return []byte(k.String()), nil }

// UnmarshalText decodes 96 hex digits.
func (k *OperatorKey) UnmarshalText(text []byte) error { return DecodeHex(k[:], "operator key", text) }

// UnmarshalText decodes 64 hex digits.
func (k *ServiceKey) UnmarshalText(text []byte) error { return DecodeHex(k[:], "service key", text) }

// UnmarshalText decodes 64 hex digits.
func (k *StakerKey) UnmarshalText(text []byte) error { return DecodeHex(k[:], "staker key", text) }

// DecodeHex fills dst from hex digits, two for each byte. The error names
// what was being read, but never its value: what may be a secret.
func DecodeHex(dst []byte, what string, text []byte) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s has %d characters, want %d hex digits: %w", what, len(text), 2*len(dst), ErrSize)
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return fmt.Errorf("%s is not hex: %w", what, ErrValue)
	}
	return nil
}
