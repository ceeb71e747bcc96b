package bls

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// dealers returns polynomials of different dealers and one member's id.
func dealers(t testing.TB, n, threshold int) (polynomials []Polynomial, id ID) {
	t.Helper()
	for i := range n {
		p, err := NewPolynomial(threshold, sha256.Sum256(fmt.Append(nil, "dealer", i)))
		if err != nil {
			t.Fatal(err)
		}
		polynomials = append(polynomials, p)
	}
	member := sha256.Sum256([]byte("member"))
	return polynomials, mustID(t, member[:])
}

func dealt(t testing.TB, polynomials []Polynomial, id ID) (items []DealtShare) {
	t.Helper()
	for _, p := range polynomials {
		share, err := p.Share(id)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, DealtShare{p.Commit(), share})
	}
	return items
}

func negated(sk SecretKey) SecretKey {
	var n SecretKey
	n.scalar.SubAssign(&sk.scalar)
	return n
}

func sum(t testing.TB, keys ...SecretKey) SecretKey {
	t.Helper()
	s, err := SumSecretKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each subset of bad shares must be found as such, nothing else.
func TestVerifyShares_FindsTheBadOnes(t *testing.T) {
	const n = 6
	for _, threshold := range []int{1, 2, 4} {
		polynomials, id := dealers(t, n, threshold)
		honest := dealt(t, polynomials, id)
		for bad := range 1 << n {
			items := slices.Clone(honest)
			want := make([]bool, n)
			for i := range items {
				want[i] = bad>>i&1 == 0
				if !want[i] {
					items[i].Share = sum(t, items[i].Share, scalar(t, fmt.Sprint("error", i)))
				}
			}
			if got := VerifyShares(id, items, [32]byte{byte(bad)}); !slices.Equal(got, want) {
				t.Errorf("threshold %d, bad %06b: %v, want %v", threshold, bad, got, want)
			}
		}
	}
}

// Two dealers with opposite errors pass a plain sum; see spec/dash.md 10.2.
func TestVerifyShares_OppositeErrorsDoNotCancel(t *testing.T) {
	polynomials, id := dealers(t, 4, 2)
	items := dealt(t, polynomials, id)
	wrong := scalar(t, "error")
	items[1].Share = sum(t, items[1].Share, wrong)
	items[2].Share = sum(t, items[2].Share, negated(wrong))
	for seed := range byte(20) {
		if got := VerifyShares(id, items, [32]byte{seed}); !slices.Equal(got, []bool{true, false, false, true}) {
			t.Fatalf("seed %d: %v, want only the first and the last", seed, got)
		}
	}
}

// Vectors that are sums or negations of one another must not upset the sums.
func TestVerifyShares_RelatedVectors(t *testing.T) {
	polynomials, id := dealers(t, 1, 3)
	minus := make(Polynomial, 3)
	for k, c := range polynomials[0] {
		minus[k] = negated(c)
	}
	items := dealt(t, []Polynomial{polynomials[0], polynomials[0], minus, minus}, id)
	if got := VerifyShares(id, items, [32]byte{1}); slices.Contains(got, false) {
		t.Errorf("good shares of equal and opposite vectors: %v", got)
	}
}

func TestVerifyShares_RefusesWhatIsNoShare(t *testing.T) {
	polynomials, id := dealers(t, 5, 3)
	items := dealt(t, polynomials, id)
	items[1].Vector = items[1].Vector[:2]
	items[2].Vector = slices.Clone(items[2].Vector)
	items[2].Vector[1] = PublicKey{}
	items[3].Share = SecretKey{}
	if got := VerifyShares(id, items, [32]byte{1}); !slices.Equal(got, []bool{true, false, false, false, true}) {
		t.Errorf("%v, want the first and the last", got)
	}
	if got := VerifyShares(ID{}, items, [32]byte{1}); slices.Contains(got, true) {
		t.Errorf("the zero id: %v", got)
	}
	if got := VerifyShares(id, nil, [32]byte{1}); len(got) != 0 {
		t.Errorf("no shares: %v", got)
	}
	if got := VerifyShares(id, []DealtShare{{}}, [32]byte{1}); got[0] {
		t.Error("an empty vector has a good share")
	}
}

func TestVerifySignatureShares_FindsTheBadOnes(t *testing.T) {
	polynomials, _ := dealers(t, 1, 3)
	p, hash := polynomials[0], sha256.Sum256([]byte("message"))
	const n = 5
	var honest []SignatureShare
	for i := range n {
		member := sha256.Sum256(fmt.Append(nil, "member", i))
		id := mustID(t, member[:])
		share, err := p.Share(id)
		if err != nil {
			t.Fatal(err)
		}
		honest = append(honest, SignatureShare{id, share.Sign(hash)})
	}
	for bad := range 1 << n {
		shares := slices.Clone(honest)
		want := make([]bool, n)
		for i := range shares {
			want[i] = bad>>i&1 == 0
			if !want[i] {
				shares[i].Signature = honest[(i+1)%n].Signature
			}
		}
		if got := VerifySignatureShares(p.Commit(), hash, shares, [32]byte{byte(bad)}); !slices.Equal(got, want) {
			t.Errorf("bad %05b: %v, want %v", bad, got, want)
		}
	}
	opposite := slices.Clone(honest)
	wrong := scalar(t, "error").Sign(hash)
	opposite[0].Signature, opposite[1].Signature = plus(opposite[0].Signature, wrong), minus(opposite[1].Signature, wrong)
	opposite[2], opposite[3].Signature = SignatureShare{Signature: honest[2].Signature}, Signature{}
	if got := VerifySignatureShares(p.Commit(), hash, opposite, [32]byte{7}); !slices.Equal(got, []bool{false, false, false, false, true}) {
		t.Errorf("opposite errors, no id, no signature: %v, want only the last", got)
	}
	if got := VerifySignatureShares(nil, hash, honest, [32]byte{}); slices.Contains(got, true) {
		t.Errorf("an empty vector: %v", got)
	}
}

// The sum of the polynomials is what the sum of vectors and of shares belong to.
func TestSums_AgreeWithOneAnother(t *testing.T) {
	polynomials, id := dealers(t, 5, 3)
	items := dealt(t, polynomials, id)
	var vectors []VerificationVector
	var shares []SecretKey
	for _, it := range items {
		vectors, shares = append(vectors, it.Vector), append(shares, it.Share)
	}
	vector, err := SumVectors(vectors)
	if err != nil {
		t.Fatal(err)
	}
	if got := VerifyShares(id, []DealtShare{{vector, sum(t, shares...)}}, [32]byte{}); !got[0] {
		t.Error("the sum of the shares is no share of the sum of the vectors")
	}
	minus := make(Polynomial, 3)
	for k, c := range polynomials[0] {
		minus[k] = negated(c)
	}
	for name, c := range map[string]struct {
		vectors []VerificationVector
		want    error
	}{
		"none":             {nil, ErrLength},
		"an empty one":     {[]VerificationVector{{}}, ErrLength},
		"different length": {[]VerificationVector{vectors[0], vectors[1][:2]}, ErrLength},
		"a zero key":       {[]VerificationVector{vectors[0], make(VerificationVector, 3)}, ErrInfinity},
		"opposites":        {[]VerificationVector{vectors[0], minus.Commit()}, ErrInfinity},
	} {
		if v, err := SumVectors(c.vectors); !errors.Is(err, c.want) || v != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		keys []SecretKey
		want error
	}{
		"none":      {nil, ErrLength},
		"zero":      {[]SecretKey{shares[0], {}}, ErrInfinity},
		"opposites": {[]SecretKey{shares[0], negated(shares[0])}, ErrInfinity},
	} {
		if sk, err := SumSecretKeys(c.keys); !errors.Is(err, c.want) || sk != (SecretKey{}) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Source: spec/dash.md 11.4.
func TestAgree_Vector(t *testing.T) {
	const want = "a7cc8b017e37138ab612e616b235c88044fb07efceffa37b681aeccde128371247fcfce10bc0b838dd0a42bc1450d711"
	e, operator := scalar(t, "eph"), scalar(t, "op-1")
	for name, got := range map[string]PublicKey{"sender": e.Agree(operator.PublicKey()), "recipient": operator.Agree(e.PublicKey())} {
		if b := got.Bytes(); fmt.Sprintf("%x", b) != want {
			t.Errorf("%s agrees on %x, want %s", name, b, want)
		}
	}
	if e.Agree(PublicKey{}) != (PublicKey{}) || (SecretKey{}).Agree(operator.PublicKey()) != (PublicKey{}) {
		t.Error("a zero key agrees on something")
	}
}
