package bls

import (
	"fmt"
	"io"

	blst "github.com/supranational/blst/bindings/go"
)

// SecretKey signs. It is a scalar 0 < sk < r, where r is the order of the
// groups. The zero value is no key: its public key and its signatures are
// zero values.
type SecretKey struct{ scalar blst.Scalar }

// ParseSecretKey decodes a big-endian integer 0 < sk < r; anything else is
// ErrEncoding.
func ParseSecretKey(b [SecretKeySize]byte) (SecretKey, error) {
	var sk SecretKey
	if sk.scalar.Deserialize(b[:]) == nil {
		return SecretKey{}, fmt.Errorf("bls: secret key: %w", ErrEncoding)
	}
	return sk, nil
}

// GenerateSecretKey derives a key from a seed, which must be secret and
// uniformly random.
// Source: draft-irtf-cfrg-bls-signature-05, section 2.3, without key_info.
func GenerateSecretKey(seed [32]byte) SecretKey {
	return SecretKey{*blst.KeyGen(seed[:])}
}

// Bytes encodes sk as a big-endian integer.
func (sk SecretKey) Bytes() [SecretKeySize]byte {
	return [SecretKeySize]byte(sk.scalar.Serialize())
}

// PublicKey returns the key that verifies what sk signs.
func (sk SecretKey) PublicKey() PublicKey {
	var k PublicKey
	k.point.From(&sk.scalar) // infinity, and so the zero value, for a zero key
	return k
}

// Sign signs a hash. There is one signature for a key and a hash.
func (sk SecretKey) Sign(hash [32]byte) Signature {
	var s Signature
	s.point.Sign(&sk.scalar, hash[:], []byte(hashSuite)) // as in PublicKey for a zero key
	return s
}

// Format keeps the key out of logs and error texts, whatever the verb.
func (sk SecretKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "bls.SecretKey(hidden)")
}
