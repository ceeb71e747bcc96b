package bls

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

// vectors reads testdata/<name>.hex: lines of a name and a value in hex, and
// comments after #.
func vectors(t testing.TB, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	values := make(map[string][]byte)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 || values[fields[0]] != nil {
			t.Fatalf("%s: bad line %q", name, lines.Text())
		}
		if values[fields[0]], err = hex.DecodeString(fields[1]); err != nil {
			t.Fatalf("%s: %q: %v", name, lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// order is r, the order of the groups.
var order, _ = new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)

// scalar is the secret key SHA256(label) mod r, as the vectors use it.
func scalar(t testing.TB, label string) SecretKey {
	t.Helper()
	digest := sha256.Sum256([]byte(label))
	var b [SecretKeySize]byte
	n := new(big.Int).SetBytes(digest[:])
	n.Mod(n, order).FillBytes(b[:])
	return mustSecretKey(t, b[:])
}

func mustSecretKey(t testing.TB, b []byte) SecretKey {
	t.Helper()
	sk, err := ParseSecretKey([SecretKeySize]byte(b))
	if err != nil {
		t.Fatalf("secret key %x: %v", b, err)
	}
	return sk
}

func mustPublicKey(t testing.TB, b []byte) PublicKey {
	t.Helper()
	k, err := ParsePublicKey([PublicKeySize]byte(b))
	if err != nil {
		t.Fatalf("public key %x: %v", b, err)
	}
	return k
}

func mustSignature(t testing.TB, b []byte) Signature {
	t.Helper()
	s, err := ParseSignature([SignatureSize]byte(b))
	if err != nil {
		t.Fatalf("signature %x: %v", b, err)
	}
	return s
}

func mustID(t testing.TB, proTxHash []byte) ID {
	t.Helper()
	id, err := NewID([32]byte(proTxHash))
	if err != nil {
		t.Fatalf("id %x: %v", proTxHash, err)
	}
	return id
}

// reversed turns display order into internal bytes.
func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

// plus and minus do arithmetic on signatures, as a forger would.
func plus(a, b Signature) Signature {
	var sum blst.P2
	sum.FromAffine(&a.point)
	return Signature{*sum.AddAssign(&b.point).ToAffine()}
}

func minus(a, b Signature) Signature {
	var sum blst.P2
	sum.FromAffine(&a.point)
	return Signature{*sum.SubAssign(&b.point).ToAffine()}
}

func negatedKey(k PublicKey) PublicKey {
	return PublicKey{*new(blst.P1).SubAssign(&k.point).ToAffine()}
}
