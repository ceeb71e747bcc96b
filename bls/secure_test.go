package bls

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

func TestAggregateSecure_Vectors(t *testing.T) {
	v := vectors(t, "secure")
	hash := [32]byte(vectors(t, "shares")["hash"])
	var keys []PublicKey
	var sigs []Signature
	for i := 1; i <= 3; i++ {
		name := fmt.Sprint("op-", i)
		sk := scalar(t, name)
		if got := sk.PublicKey().Bytes(); got != [PublicKeySize]byte(v[name]) {
			t.Errorf("%s: got %x", name, got)
		}
		keys = append(keys, sk.PublicKey())
		sigs = append(sigs, sk.Sign(hash))
	}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {2, 1, 0}, {1, 2, 0}} {
		var ks []PublicKey
		var ss []Signature
		for _, i := range order {
			ks, ss = append(ks, keys[i]), append(ss, sigs[i])
		}
		sig, err := AggregateSecure(ks, ss)
		if got := sig.Bytes(); err != nil || got != [SignatureSize]byte(v["aggregate"]) {
			t.Errorf("order %v: got %x, %v", order, got, err)
		}
		if !VerifySecure(ks, hash, sig) {
			t.Errorf("order %v: does not verify", order)
		}
	}
}

func TestVerifySecure_Refuses(t *testing.T) {
	hash := [32]byte{1}
	var keys []PublicKey
	var sigs []Signature
	for i := range 3 {
		sk := scalar(t, fmt.Sprint("member", i))
		keys, sigs = append(keys, sk.PublicKey()), append(sigs, sk.Sign(hash))
	}
	sig, err := AggregateSecure(keys, sigs)
	if err != nil || !VerifySecure(keys, hash, sig) {
		t.Fatalf("good aggregate: %v", err)
	}
	stranger := scalar(t, "stranger").PublicKey()
	plain := plus(plus(sigs[0], sigs[1]), sigs[2])
	for _, c := range []struct {
		name string
		keys []PublicKey
		hash [32]byte
		sig  Signature
	}{
		{"no keys", nil, hash, sig},
		{"a signer missing", keys[:2], hash, sig},
		{"a stranger more", append(slices.Clone(keys), stranger), hash, sig},
		{"a signer twice", append(slices.Clone(keys), keys[0]), hash, sig},
		{"a zero key more", append(slices.Clone(keys), PublicKey{}), hash, sig},
		{"other hash", keys, [32]byte{2}, sig},
		{"plain sum", keys, hash, plain},
		{"zero signature", keys, hash, Signature{}},
		{"zero key and signature", []PublicKey{{}}, hash, Signature{}},
	} {
		if VerifySecure(c.keys, c.hash, c.sig) {
			t.Errorf("%s: verifies", c.name)
		}
	}
	// A key made of the others' does not let its owner sign for all.
	own := scalar(t, "rogue")
	k := own.PublicKey()
	var rogue blst.P1
	rogue.FromAffine(&k.point)
	rogue.SubAssign(&keys[0].point)
	attack := []PublicKey{keys[0], {*rogue.ToAffine()}}
	if VerifySecure(attack, hash, own.Sign(hash)) {
		t.Error("rogue key: verifies")
	}
}

func TestAggregateSecure_Refuses(t *testing.T) {
	hash := [32]byte{1}
	sk := scalar(t, "member")
	key, sig := sk.PublicKey(), sk.Sign(hash)
	keys := []PublicKey{key, scalar(t, "other").PublicKey()}

	// Signatures whose factors make them cancel: s*f1 and -s*f0.
	factors, err := secureFactors(keys)
	if err != nil {
		t.Fatal(err)
	}
	times := func(f blst.Scalar) Signature {
		return sumSignatures([]blst.P2Affine{sig.point}, []blst.Scalar{f})
	}
	cancelling := []Signature{times(factors[1]), minus(minus(sig, sig), times(factors[0]))}

	for _, c := range []struct {
		name string
		keys []PublicKey
		sigs []Signature
		want error
	}{
		{"empty", nil, nil, ErrLength},
		{"a signature short", keys, []Signature{sig}, ErrLength},
		{"a key short", keys[:1], []Signature{sig, sig}, ErrLength},
		{"zero key", []PublicKey{key, {}}, []Signature{sig, sig}, ErrInfinity},
		{"zero signature", keys, []Signature{sig, {}}, ErrInfinity},
		{"cancelling", keys, cancelling, ErrInfinity},
	} {
		if got, err := AggregateSecure(c.keys, c.sigs); !errors.Is(err, c.want) || got != (Signature{}) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}
