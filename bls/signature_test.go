package bls

import (
	"crypto/sha256"
	"slices"
	"testing"
)

func TestVerify_RealCommitment(t *testing.T) {
	v := vectors(t, "commitment")
	key, sig := mustPublicKey(t, v["quorumPublicKey"]), mustSignature(t, v["quorumSig"])
	hash := [32]byte(reversed(v["commitmentHash"]))
	if !Verify(key, hash, sig) {
		t.Error("quorumSig does not verify")
	}
	if Verify(key, [32]byte(v["commitmentHash"]), sig) {
		t.Error("quorumSig verifies over the display order")
	}
	if Verify(key, hash, mustSignature(t, v["membersSig"])) {
		t.Error("membersSig verifies as quorumSig")
	}
}

func TestVerify_Refuses(t *testing.T) {
	sk, other := scalar(t, "a"), scalar(t, "b")
	hash := sha256.Sum256([]byte("hash"))
	key, sig := sk.PublicKey(), sk.Sign(hash)
	if !Verify(key, hash, sig) {
		t.Fatal("own signature does not verify")
	}
	for _, c := range []struct {
		name string
		key  PublicKey
		hash [32]byte
		sig  Signature
	}{
		{"other key", other.PublicKey(), hash, sig},
		{"negated key", negatedKey(key), hash, sig},
		{"other hash", key, sha256.Sum256(hash[:]), sig},
		{"other signer", key, hash, other.Sign(hash)},
		{"negated signature", key, hash, minus(minus(sig, sig), sig)},
		{"signature twice", key, hash, plus(sig, sig)},
		{"zero key", PublicKey{}, hash, sig},
		{"zero signature", key, hash, Signature{}},
		{"both zero", PublicKey{}, hash, Signature{}},
		{"key and signature of the zero secret key", SecretKey{}.PublicKey(), hash, SecretKey{}.Sign(hash)},
	} {
		if Verify(c.key, c.hash, c.sig) {
			t.Errorf("%s: verifies", c.name)
		}
	}
}

// The legacy scheme hashes to the curve differently, so its signatures do not
// verify even when put into the basic encoding, whatever the sign.
func TestVerify_RefusesLegacyScheme(t *testing.T) {
	v := vectors(t, "shares")
	key, hash := mustPublicKey(t, v["vvec0"]), [32]byte(v["hash"])
	exchange := func(b []byte) []byte { return slices.Concat(b[48:], withFlags(b[:48], 0)) }

	verifies := 0
	for _, flags := range []byte{0x80, 0xa0} {
		if Verify(key, hash, mustSignature(t, withFlags(exchange(v["legacyScheme"]), flags))) {
			t.Errorf("legacy scheme verifies with flags %x", flags)
		}
		// The same re-encoding makes the legacy form of a good signature good.
		if Verify(key, hash, mustSignature(t, withFlags(exchange(v["legacyEncoding"]), flags))) {
			verifies++
		}
	}
	if verifies != 1 {
		t.Errorf("re-encoded good signature: %d signs verify, want 1", verifies)
	}
}

func TestZeroValues(t *testing.T) {
	if b := (PublicKey{}).Bytes(); b != [PublicKeySize]byte{} {
		t.Errorf("zero key encodes to %x", b)
	}
	if b := (Signature{}).Bytes(); b != [SignatureSize]byte{} {
		t.Errorf("zero signature encodes to %x", b)
	}
	if k := (SecretKey{}).PublicKey(); k != (PublicKey{}) {
		t.Errorf("public key of the zero secret key: %x", k.Bytes())
	}
	if s := (SecretKey{}).Sign([32]byte{1}); s != (Signature{}) {
		t.Errorf("signature of the zero secret key: %x", s.Bytes())
	}
	key := scalar(t, "a").PublicKey()
	if key.Equal(PublicKey{}) || !key.Equal(mustPublicKey(t, encoded(key))) || !(PublicKey{}).Equal(PublicKey{}) {
		t.Error("Equal is wrong")
	}
}

func encoded(k PublicKey) []byte {
	b := k.Bytes()
	return b[:]
}
