package bls

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
	"pgregory.net/rapid"
)

func TestShares_Vectors(t *testing.T) {
	v := vectors(t, "shares")
	hash := [32]byte(v["hash"])
	p := Polynomial{scalar(t, "dash-vec-a0"), scalar(t, "dash-vec-a1")}
	if got := p[0].Bytes(); [32]byte(v["a0"]) != got {
		t.Fatalf("a0: got %x", got)
	}
	commitment := p.Commit()
	if want := (VerificationVector{mustPublicKey(t, v["vvec0"]), mustPublicKey(t, v["vvec1"])}); !slices.Equal(commitment, want) {
		t.Fatalf("commitment: got %x, want %x", commitment, want)
	}
	var shares []SignatureShare
	for i := 1; i <= 3; i++ {
		name := func(s string) string { return fmt.Sprint(s, i) }
		id := mustID(t, v[name("id")])
		sk, err := p.Share(id)
		if got := sk.Bytes(); err != nil || got != [32]byte(v[name("sk")]) {
			t.Errorf("sk%d: got %x, %v", i, got, err)
		}
		key, err := commitment.Share(id)
		if got := key.Bytes(); err != nil || got != [PublicKeySize]byte(v[name("pk")]) || key != sk.PublicKey() {
			t.Errorf("pk%d: got %x, %v", i, got, err)
		}
		sig := sk.Sign(hash)
		if got := sig.Bytes(); got != [SignatureSize]byte(v[name("sig")]) {
			t.Errorf("sig%d: got %x", i, got)
		}
		shares = append(shares, SignatureShare{id, mustSignature(t, v[name("sig")])})
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {2, 0}} {
		sig, err := Recover(2, []SignatureShare{shares[pair[0]], shares[pair[1]]}, commitment.PublicKey(), hash)
		if got := sig.Bytes(); err != nil || got != [SignatureSize]byte(v["recovered"]) {
			t.Errorf("recovered from %v: got %x, %v", pair, got, err)
		}
	}
	if got := p[0].Sign(hash).Bytes(); got != [SignatureSize]byte(v["recovered"]) {
		t.Errorf("signature by a0: got %x", got)
	}
}

func TestRecover_RealQuorum(t *testing.T) {
	v := vectors(t, "recovery")
	key := mustPublicKey(t, v["quorumPublicKey"])
	hash := sha256.Sum256([]byte("anything"))
	var shares []SignatureShare
	for i := 1; i <= 6; i++ {
		id := mustID(t, reversed(v[fmt.Sprint("proTx", i)]))
		shares = append(shares, SignatureShare{id, mustSecretKey(t, v[fmt.Sprint("sk", i)]).Sign(hash)})
	}
	sig, err := Recover(6, shares, key, hash)
	if err != nil || !Verify(key, hash, sig) {
		t.Errorf("six of six: %v", err)
	}
	if _, err := Recover(5, shares, key, hash); !errors.Is(err, ErrWrongShare) {
		t.Errorf("five of six: got %v, want %v", err, ErrWrongShare)
	}
}

func TestNewID(t *testing.T) {
	var zero [32]byte
	var r [32]byte
	order.FillBytes(r[:])
	for _, in := range [][32]byte{zero, r} {
		if id, err := NewID(in); !errors.Is(err, ErrZeroID) || id != (ID{}) {
			t.Errorf("%x: got %v, want %v", in, err, ErrZeroID)
		}
	}
	// 2r+5 fits in 32 bytes and is 5 mod r: ids may collide, which Recover must notice.
	var big5 [32]byte
	n := new(big.Int).Lsh(order, 1)
	n.Add(n, big.NewInt(5)).FillBytes(big5[:])
	if mustID(t, big5[:]) != mustID(t, []byte{31: 5}) {
		t.Error("not reduced mod r")
	}
}

// testQuorum has members whose ids are hashes of their numbers.
func testQuorum(t testing.TB, threshold, size int, hash [32]byte) (VerificationVector, []SignatureShare) {
	t.Helper()
	p, err := NewPolynomial(threshold, sha256.Sum256([]byte("polynomial")))
	if err != nil {
		t.Fatal(err)
	}
	shares := make([]SignatureShare, size)
	for i := range shares {
		proTx := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))
		id := mustID(t, proTx[:])
		sk, err := p.Share(id)
		if err != nil {
			t.Fatal(err)
		}
		shares[i] = SignatureShare{id, sk.Sign(hash)}
	}
	return p.Commit(), shares
}

func TestRecover_Refuses(t *testing.T) {
	hash := sha256.Sum256([]byte("hash"))
	commitment, shares := testQuorum(t, 3, 5, hash)
	key := commitment.PublicKey()
	with := func(i int, s SignatureShare) []SignatureShare {
		c := slices.Clone(shares)
		c[i] = s
		return c
	}
	foreign := scalar(t, "foreign").Sign(hash)
	for _, c := range []struct {
		name      string
		threshold int
		shares    []SignatureShare
		key       PublicKey
		hash      [32]byte
		want      error
	}{
		{"good", 3, shares, key, hash, nil},
		{"good, wrong share past the threshold", 3, with(3, SignatureShare{}), key, hash, nil},
		{"threshold zero", 0, shares, key, hash, ErrThreshold},
		{"threshold negative", -1, shares, key, hash, ErrThreshold},
		{"threshold too large", MaxThreshold + 1, make([]SignatureShare, MaxThreshold+1), key, hash, ErrThreshold},
		{"no shares", 3, nil, key, hash, ErrTooFewShares},
		{"one share short", 3, shares[:2], key, hash, ErrTooFewShares},
		{"same share twice", 3, with(2, shares[0]), key, hash, ErrDuplicateID},
		{"two shares of an id", 3, with(2, SignatureShare{shares[0].ID, shares[2].Signature}), key, hash, ErrDuplicateID},
		{"zero id", 3, with(1, SignatureShare{ID{}, shares[1].Signature}), key, hash, ErrZeroID},
		{"zero signature", 3, with(1, SignatureShare{shares[1].ID, Signature{}}), key, hash, ErrInfinity},
		{"zero key", 3, shares, PublicKey{}, hash, ErrInfinity},
		{"other key", 3, shares, scalar(t, "other").PublicKey(), hash, ErrWrongShare},
		{"other hash", 3, shares, key, [32]byte{1}, ErrWrongShare},
		{"foreign share", 3, with(1, SignatureShare{shares[1].ID, foreign}), key, hash, ErrWrongShare},
		{"shares exchanged", 3, with(0, SignatureShare{shares[0].ID, shares[1].Signature}), key, hash, ErrWrongShare},
		{"threshold below the real one", 2, shares, key, hash, ErrWrongShare},
		{"threshold one, foreign share", 1, with(0, SignatureShare{shares[0].ID, foreign}), key, hash, ErrWrongShare},
	} {
		sig, err := Recover(c.threshold, c.shares, c.key, c.hash)
		if !errors.Is(err, c.want) || (err == nil) != Verify(c.key, c.hash, sig) || (err != nil && sig != Signature{}) {
			t.Errorf("%s: got %x, %v, want %v", c.name, sig.Bytes(), err, c.want)
		}
	}
}

// Shares can be chosen to add up to infinity; that must not pass for a signature.
func TestRecover_RefusesSumOfInfinity(t *testing.T) {
	hash := sha256.Sum256([]byte("hash"))
	commitment, shares := testQuorum(t, 2, 2, hash)
	factors := lagrangeAtZero([]ID{shares[0].ID, shares[1].ID})
	// x0*f0 + x1*f1 = 0 for x0 = f1*s, x1 = -f0*s.
	s := scalar(t, "any").Sign(hash)
	cancelling := func(i int) Signature { return sumSignatures([]blst.P2Affine{s.point}, factors[i:i+1]) }
	shares[0].Signature = cancelling(1)
	shares[1].Signature = minus(minus(s, s), cancelling(0))
	if sum := sumSignatures([]blst.P2Affine{shares[0].Signature.point, shares[1].Signature.point}, factors); !sum.isZero() {
		t.Fatal("does not cancel")
	}
	if _, err := Recover(2, shares, commitment.PublicKey(), hash); !errors.Is(err, ErrWrongShare) {
		t.Errorf("got %v, want %v", err, ErrWrongShare)
	}
}

func TestShare_Refuses(t *testing.T) {
	id := mustID(t, []byte{31: 7})
	a := scalar(t, "a")
	// -7a + a*7 = 0: evaluates to zero at 7.
	var minus7 [32]byte
	b := a.Bytes()
	n := new(big.Int).SetBytes(b[:])
	n.Mul(n, big.NewInt(-7)).Mod(n, order).FillBytes(minus7[:])
	root := Polynomial{mustSecretKey(t, minus7[:]), a}

	for _, c := range []struct {
		name string
		p    Polynomial
		id   ID
		want error
	}{
		{"empty", nil, id, ErrThreshold},
		{"zero id", Polynomial{a, a}, ID{}, ErrZeroID},
		{"root at the id", root, id, ErrInfinity},
	} {
		if sk, err := c.p.Share(c.id); !errors.Is(err, c.want) || sk != (SecretKey{}) {
			t.Errorf("secret, %s: got %v, want %v", c.name, err, c.want)
		}
		if k, err := c.p.Commit().Share(c.id); !errors.Is(err, c.want) || k != (PublicKey{}) {
			t.Errorf("public, %s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := (VerificationVector{a.PublicKey(), PublicKey{}}).Share(id); !errors.Is(err, ErrInfinity) {
		t.Errorf("zero coefficient: got %v, want %v", err, ErrInfinity)
	}
	if _, err := make(VerificationVector, MaxThreshold+1).Share(id); !errors.Is(err, ErrThreshold) {
		t.Errorf("too many coefficients: got %v, want %v", err, ErrThreshold)
	}
	if k := (VerificationVector{}).PublicKey(); k != (PublicKey{}) {
		t.Errorf("key of an empty vector: %x", k.Bytes())
	}
	for _, threshold := range []int{-1, 0, MaxThreshold + 1} {
		if p, err := NewPolynomial(threshold, [32]byte{}); !errors.Is(err, ErrThreshold) || p != nil {
			t.Errorf("polynomial for threshold %d: got %v, want %v", threshold, err, ErrThreshold)
		}
	}
}

func TestNewPolynomial_SharesNothing(t *testing.T) {
	seen := make(map[SecretKey]string)
	for _, seed := range [][32]byte{{1}, {2}} {
		for threshold := 1; threshold <= 5; threshold++ {
			p, err := NewPolynomial(threshold, seed)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range append(p, GenerateSecretKey(seed)) {
				name := fmt.Sprint(seed[0], threshold, i)
				if i == threshold {
					name = fmt.Sprint(seed[0])
				}
				if old, ok := seen[a]; ok && old != name {
					t.Errorf("%s and %s are equal", old, name)
				}
				seen[a] = name
			}
		}
	}
}

// Any threshold of the shares, in any order, recover the one signature; with one
// of them wrong, or one fewer, none do.
func TestRecover_AnyShares(t *testing.T) {
	hash := sha256.Sum256([]byte("hash"))
	rapid.Check(t, func(t *rapid.T) {
		threshold := rapid.IntRange(1, 6).Draw(t, "threshold")
		size := rapid.IntRange(threshold, 9).Draw(t, "size")
		var seed [32]byte
		seed[0] = rapid.Byte().Draw(t, "seed")
		p, err := NewPolynomial(threshold, seed)
		if err != nil {
			t.Fatal(err)
		}
		commitment := p.Commit()
		chosen := rapid.Permutation(indices(size)).Draw(t, "order")[:threshold]
		shares := make([]SignatureShare, threshold)
		for i, member := range chosen {
			id, err := NewID(sha256.Sum256([]byte{byte(member)}))
			if err != nil {
				t.Fatal(err)
			}
			sk, err := p.Share(id)
			if err != nil {
				t.Fatal(err)
			}
			if k, err := commitment.Share(id); err != nil || k != sk.PublicKey() {
				t.Fatalf("public share of %d: %x, %v", member, k.Bytes(), err)
			}
			shares[i] = SignatureShare{id, sk.Sign(hash)}
		}
		key := commitment.PublicKey()
		if sig, err := Recover(threshold, shares, key, hash); err != nil || sig != p[0].Sign(hash) {
			t.Fatalf("recovered %x, %v", sig.Bytes(), err)
		}
		if threshold > 1 {
			if _, err := Recover(threshold-1, shares, key, hash); !errors.Is(err, ErrWrongShare) {
				t.Fatalf("one fewer: got %v, want %v", err, ErrWrongShare)
			}
		}
		if _, err := Recover(threshold, shares[1:], key, hash); !errors.Is(err, ErrTooFewShares) {
			t.Fatalf("one short: got %v, want %v", err, ErrTooFewShares)
		}
		i := rapid.IntRange(0, threshold-1).Draw(t, "wrong")
		shares[i].Signature = plus(shares[i].Signature, shares[i].Signature)
		if _, err := Recover(threshold, shares, key, hash); !errors.Is(err, ErrWrongShare) {
			t.Fatalf("share %d doubled: got %v, want %v", i, err, ErrWrongShare)
		}
	})
}

func TestRecover_MaxThreshold(t *testing.T) {
	hash := sha256.Sum256([]byte("hash"))
	commitment, shares := testQuorum(t, MaxThreshold, MaxThreshold, hash)
	if _, err := Recover(MaxThreshold, shares, commitment.PublicKey(), hash); err != nil {
		t.Error(err)
	}
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func BenchmarkRecover(b *testing.B) {
	for _, threshold := range []int{7, 17, 67} {
		b.Run(fmt.Sprint(threshold), func(b *testing.B) {
			hash := sha256.Sum256([]byte("hash"))
			commitment, shares := testQuorum(b, threshold, threshold, hash)
			for b.Loop() {
				if _, err := Recover(threshold, shares, commitment.PublicKey(), hash); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
