package bls

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

// fieldOrder is p: coordinates are below it.
var fieldOrder, _ = new(big.Int).SetString("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16)

// encoding returns the bytes of a point whose encoding is size bytes: flag bits
// in the first byte and a small number at the end.
func encoding(size int, first, last byte) []byte {
	b := make([]byte, size)
	b[size-1] = last
	b[0] |= first
	return b
}

// unreduced adds p to the coordinate in b[at:at+48], and fails the search by
// returning nil if that does not fit below the flag bits.
func unreduced(b []byte, at int) []byte {
	b = slices.Clone(b)
	flags := byte(0)
	if at == 0 {
		flags = b[0] & 0xe0
		b[0] &= 0x1f
	}
	x := new(big.Int).SetBytes(b[at : at+48])
	if x.Add(x, fieldOrder).BitLen() > 381 {
		return nil
	}
	x.FillBytes(b[at : at+48])
	b[at] |= flags
	return b
}

// unreducedOf tries keys until one has a coordinate at that offset small enough.
func unreducedOf(t *testing.T, at int, encode func(SecretKey) []byte) []byte {
	t.Helper()
	for i := range 1000 {
		if b := unreduced(encode(scalar(t, fmt.Sprint("small", i))), at); b != nil {
			return b
		}
	}
	t.Fatal("no small coordinate")
	return nil
}

// outsideG1 and outsideG2 return encodings of points on the curve that are not
// in the subgroup.
func outsideG1(t testing.TB) []byte {
	t.Helper()
	for x := range 100 {
		b := encoding(PublicKeySize, 0x80, byte(x))
		if p := new(blst.P1Affine).Uncompress(b); p != nil && !p.InG1() {
			return b
		}
	}
	t.Fatal("no such point")
	return nil
}

func outsideG2(t testing.TB) []byte {
	t.Helper()
	for x := range 100 {
		b := encoding(SignatureSize, 0x80, byte(x))
		if p := new(blst.P2Affine).Uncompress(b); p != nil && !p.InG2() {
			return b
		}
	}
	t.Fatal("no such point")
	return nil
}

// notOnCurve returns an encoding whose first coordinate belongs to no point.
func notOnCurve(t *testing.T, size int) []byte {
	t.Helper()
	for x := range 100 {
		b := encoding(size, 0x80, byte(x))
		if size == PublicKeySize && new(blst.P1Affine).Uncompress(b) == nil ||
			size == SignatureSize && new(blst.P2Affine).Uncompress(b) == nil {
			return b
		}
	}
	t.Fatal("no such coordinate")
	return nil
}

// withFlags returns b with the three flag bits replaced.
func withFlags(b []byte, flags byte) []byte {
	b = slices.Clone(b)
	b[0] = b[0]&0x1f | flags
	return b
}

func TestParsePublicKey_Refuses(t *testing.T) {
	v := vectors(t, "shares")
	valid := v["vvec0"]
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"all zero", make([]byte, PublicKeySize), ErrEncoding},
		{"infinity", encoding(PublicKeySize, 0xc0, 0), ErrInfinity},
		{"infinity with sign", encoding(PublicKeySize, 0xe0, 0), ErrEncoding},
		{"infinity with a coordinate", encoding(PublicKeySize, 0xc0, 1), ErrEncoding},
		{"infinity flag on a key", withFlags(valid, 0xe0), ErrEncoding},
		{"no compression flag", withFlags(valid, 0x20), ErrEncoding},
		{"no flags", withFlags(valid, 0), ErrEncoding},
		{"coordinate plus p", unreducedOf(t, 0, func(sk SecretKey) []byte {
			b := sk.PublicKey().Bytes()
			return b[:]
		}), ErrEncoding},
		{"all ones", slices.Repeat([]byte{0xff}, PublicKeySize), ErrEncoding},
		{"not on the curve", notOnCurve(t, PublicKeySize), ErrEncoding},
		{"outside the subgroup", outsideG1(t), ErrSubgroup},
	} {
		k, err := ParsePublicKey([PublicKeySize]byte(c.in))
		if !errors.Is(err, c.want) || k != (PublicKey{}) {
			t.Errorf("%s: %x: got %x, %v, want %v", c.name, c.in, k.Bytes(), err, c.want)
		} else if !strings.HasPrefix(err.Error(), "bls: public key: ") {
			t.Errorf("%s: error %q does not say where", c.name, err)
		}
	}
}

func TestParseSignature_Refuses(t *testing.T) {
	v := vectors(t, "shares")
	valid := v["recovered"]
	encode := func(sk SecretKey) []byte {
		b := sk.Sign([32]byte{}).Bytes()
		return b[:]
	}
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"all zero", make([]byte, SignatureSize), ErrEncoding},
		{"infinity", encoding(SignatureSize, 0xc0, 0), ErrInfinity},
		{"infinity with sign", encoding(SignatureSize, 0xe0, 0), ErrEncoding},
		{"infinity with a coordinate", encoding(SignatureSize, 0xc0, 1), ErrEncoding},
		{"infinity flag on a signature", withFlags(valid, 0xe0), ErrEncoding},
		{"no compression flag", withFlags(valid, 0x20), ErrEncoding},
		{"no flags", withFlags(valid, 0), ErrEncoding},
		{"first coordinate plus p", unreducedOf(t, 0, encode), ErrEncoding},
		{"second coordinate plus p", unreducedOf(t, 48, encode), ErrEncoding},
		{"flags in second coordinate", slices.Concat(valid[:48], withFlags(valid[48:], 0x80)), ErrEncoding},
		{"all ones", slices.Repeat([]byte{0xff}, SignatureSize), ErrEncoding},
		{"not on the curve", notOnCurve(t, SignatureSize), ErrEncoding},
		{"outside the subgroup", outsideG2(t), ErrSubgroup},
		{"legacy scheme and encoding", v["legacyScheme"], ErrEncoding},
	} {
		s, err := ParseSignature([SignatureSize]byte(c.in))
		if !errors.Is(err, c.want) || s != (Signature{}) {
			t.Errorf("%s: %x: got %x, %v, want %v", c.name, c.in, s.Bytes(), err, c.want)
		} else if !strings.HasPrefix(err.Error(), "bls: signature: ") {
			t.Errorf("%s: error %q does not say where", c.name, err)
		}
	}
	// Whether the exchanged halves are on the curve is up to chance; in the
	// subgroup they are not.
	if _, err := ParseSignature([SignatureSize]byte(v["legacyEncoding"])); err == nil {
		t.Error("legacy encoding accepted")
	}
}

func TestParseSecretKey_Refuses(t *testing.T) {
	bytes32 := func(n *big.Int) (b [SecretKeySize]byte) {
		n.FillBytes(b[:])
		return b
	}
	plusOne := new(big.Int).Add(order, big.NewInt(1))
	for _, c := range []struct {
		name string
		in   [SecretKeySize]byte
	}{
		{"zero", [SecretKeySize]byte{}},
		{"r", bytes32(order)},
		{"r plus one", bytes32(plusOne)},
		{"all ones", [SecretKeySize]byte(slices.Repeat([]byte{0xff}, SecretKeySize))},
	} {
		if sk, err := ParseSecretKey(c.in); !errors.Is(err, ErrEncoding) || sk != (SecretKey{}) {
			t.Errorf("%s: got error %v, want %v", c.name, err, ErrEncoding)
		}
	}
	largest := bytes32(new(big.Int).Sub(order, big.NewInt(1)))
	if sk := mustSecretKey(t, largest[:]); sk.Bytes() != largest {
		t.Errorf("r minus one: encodes to %x", sk.Bytes())
	}
}

// The sign flag of the legacy encoding is the compression flag of the basic
// one, so a legacy key that has it parses, here as the negated key.
func TestParsePublicKey_LegacyEncoding(t *testing.T) {
	v := vectors(t, "shares")
	if _, err := ParsePublicKey([PublicKeySize]byte(withFlags(v["vvec0"], 0))); !errors.Is(err, ErrEncoding) {
		t.Errorf("legacy without sign: got %v, want %v", err, ErrEncoding)
	}
	k := mustPublicKey(t, withFlags(v["vvec0"], 0x80))
	if k != negatedKey(mustPublicKey(t, v["vvec0"])) {
		t.Errorf("legacy with sign: got %x", k.Bytes())
	}
	if Verify(k, [32]byte(v["hash"]), mustSignature(t, v["recovered"])) {
		t.Error("verifies under a legacy key")
	}
}

// keyGen is the draft's KeyGen written out. Source:
// draft-irtf-cfrg-bls-signature-05, section 2.3.
func keyGen(t *testing.T, seed [32]byte, info []byte) (b [SecretKeySize]byte) {
	t.Helper()
	salt := sha256.Sum256([]byte("BLS-SIG-KEYGEN-SALT-"))
	prk, err := hkdf.Extract(sha256.New, append(seed[:], 0), salt[:])
	if err != nil {
		t.Fatal(err)
	}
	okm, err := hkdf.Expand(sha256.New, prk, string(append(info, 0, 48)), 48)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).SetBytes(okm)
	n.Mod(n, order).FillBytes(b[:])
	return b
}

func TestGenerateSecretKey_IsKeyGen(t *testing.T) {
	seed := sha256.Sum256([]byte("seed"))
	if got, want := GenerateSecretKey(seed).Bytes(), keyGen(t, seed, nil); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestNewPolynomial_IsKeyGen(t *testing.T) {
	seed := sha256.Sum256([]byte("seed"))
	p, err := NewPolynomial(3, seed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		info := binary.BigEndian.AppendUint32([]byte("proctor/bls/polynomial\x00\x00\x00\x03"), uint32(i))
		if got, want := p[i].Bytes(), keyGen(t, seed, info); got != want {
			t.Errorf("coefficient %d: got %x, want %x", i, got, want)
		}
	}
}

func TestSecretKey_FormatHides(t *testing.T) {
	sk := scalar(t, "hide")
	b := sk.Bytes()
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%x", "%s", "%q"} {
		for _, got := range []string{fmt.Sprintf(verb, sk), fmt.Sprintf(verb, Polynomial{sk})} {
			if !strings.Contains(got, "hidden") || strings.Contains(got, hex.EncodeToString(b[:4])) {
				t.Errorf("%s: got %q", verb, got)
			}
		}
	}
}

func FuzzParseSecretKey(f *testing.F) {
	v := vectors(f, "shares")
	f.Add(v["a0"])
	f.Add(order.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) != SecretKeySize {
			return
		}
		b := [SecretKeySize]byte(in)
		n := new(big.Int).SetBytes(in)
		sk, err := ParseSecretKey(b)
		if valid := n.Sign() > 0 && n.Cmp(order) < 0; valid != (err == nil) {
			t.Fatalf("%x: got %v, valid %v", b, err, valid)
		}
		if err == nil && sk.Bytes() != b {
			t.Fatalf("%x encodes to %x", b, sk.Bytes())
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	v := vectors(f, "shares")
	f.Add(v["vvec0"])
	f.Add(withFlags(v["vvec0"], 0x80))
	f.Add(encoding(PublicKeySize, 0xc0, 0))
	f.Add(outsideG1(f))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) != PublicKeySize {
			return
		}
		b := [PublicKeySize]byte(in)
		k, err := ParsePublicKey(b)
		if err == nil && (k.Bytes() != b || k == PublicKey{}) {
			t.Fatalf("%x encodes to %x", b, k.Bytes())
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	v := vectors(f, "shares")
	f.Add(v["recovered"])
	f.Add(v["legacyEncoding"])
	f.Add(v["legacyScheme"])
	f.Add(encoding(SignatureSize, 0xc0, 0))
	f.Add(outsideG2(f))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) != SignatureSize {
			return
		}
		b := [SignatureSize]byte(in)
		s, err := ParseSignature(b)
		if err == nil && (s.Bytes() != b || s == Signature{}) {
			t.Fatalf("%x encodes to %x", b, s.Bytes())
		}
	})
}
