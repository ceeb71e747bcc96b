package bls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// testSeed stands for fresh randomness.
var testSeed = sha256.Sum256([]byte("batch"))

func testKey(t testing.TB, i int) SecretKey { return scalar(t, fmt.Sprint("batch key ", i)) }

func testHash(i int) [32]byte { return sha256.Sum256([]byte(fmt.Sprint("batch hash ", i))) }

// goodItems returns n good items; item i has key i%keys and hash i%hashes.
func goodItems(t testing.TB, n, keys, hashes int) []Item {
	t.Helper()
	items := make([]Item, n)
	for i := range items {
		sk, hash := testKey(t, i%keys), testHash(i%hashes)
		items[i] = Item{sk.PublicKey(), hash, sk.Sign(hash)}
	}
	return items
}

// spoil makes an item bad without making its signature special.
func spoil(it Item) Item {
	it.Signature = plus(it.Signature, it.Signature)
	return it
}

// oneByOne is what VerifyBatch must equal.
func oneByOne(items []Item) []bool {
	good := make([]bool, len(items))
	for i, it := range items {
		good[i] = Verify(it.Key, it.Hash, it.Signature)
	}
	return good
}

// shapes are the ways in which items can share keys and hashes.
var shapes = []struct {
	name         string
	keys, hashes func(n int) int
}{
	{"one key", func(int) int { return 1 }, func(n int) int { return n }},
	{"one hash", func(n int) int { return n }, func(int) int { return 1 }},
	{"one of both", func(int) int { return 1 }, func(int) int { return 1 }},
	{"few keys", func(int) int { return 3 }, func(n int) int { return n }},
	{"few hashes", func(n int) int { return n }, func(int) int { return 3 }},
	{"distinct", func(n int) int { return n }, func(n int) int { return n }},
}

func TestVerifyBatch_Small(t *testing.T) {
	good := goodItems(t, 1, 1, 1)[0]
	noKey, noSignature := good, good
	noKey.Key, noSignature.Signature = PublicKey{}, Signature{}
	for _, c := range []struct {
		name  string
		items []Item
		want  []bool
	}{
		{"nil", nil, []bool{}},
		{"empty", []Item{}, []bool{}},
		{"one good", []Item{good}, []bool{true}},
		{"one bad", []Item{spoil(good)}, []bool{false}},
		{"one zero", []Item{{}}, []bool{false}},
		{"all zero", []Item{{}, {}, {}}, []bool{false, false, false}},
		{"good among zero", []Item{noKey, good, noSignature}, []bool{false, true, false}},
		{"good ones among zero", []Item{good, noKey, good, noSignature, {}}, []bool{true, false, true, false, false}},
		{"same thrice", []Item{good, good, good}, []bool{true, true, true}},
		{"same bad thrice", []Item{spoil(good), spoil(good), spoil(good)}, []bool{false, false, false}},
	} {
		if got := VerifyBatch(c.items, testSeed); !slices.Equal(got, c.want) || got == nil {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// Every pattern of good and bad among up to five items, in every shape.
func TestVerifyBatch_EveryPattern(t *testing.T) {
	for _, shape := range shapes {
		for n := 2; n <= 5; n++ {
			items := goodItems(t, n, shape.keys(n), shape.hashes(n))
			for pattern := range 1 << n {
				mixed, want := slices.Clone(items), make([]bool, n)
				for i := range mixed {
					if want[i] = pattern>>i&1 == 1; !want[i] {
						mixed[i] = spoil(mixed[i])
					}
				}
				if got := VerifyBatch(mixed, testSeed); !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", shape.name, got, want)
				}
			}
		}
	}
}

// Random mixes of all kinds of badness against one by one verification.
func TestVerifyBatch_EqualsOneByOne(t *testing.T) {
	type pair struct{ key, hash int }
	signed := make(map[pair]Signature)
	sign := func(key, hash int) Signature {
		p := pair{key, hash}
		if _, ok := signed[p]; !ok {
			signed[p] = testKey(t, key).Sign(testHash(hash))
		}
		return signed[p]
	}
	var public []PublicKey
	for i := range 12 {
		public = append(public, testKey(t, i).PublicKey())
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		keys := rapid.SampledFrom([]int{1, 2, 3, 12}).Draw(t, "keys")
		hashes := rapid.SampledFrom([]int{1, 2, 3, 12}).Draw(t, "hashes")
		badness := rapid.SampledFrom([]int{1, 3, 9}).Draw(t, "badness") // of 10
		items := make([]Item, n)
		for i := range items {
			key := rapid.IntRange(0, keys-1).Draw(t, "key")
			hash := rapid.IntRange(0, hashes-1).Draw(t, "hash")
			items[i] = Item{public[key], testHash(hash), sign(key, hash)}
			if rapid.IntRange(0, 9).Draw(t, "bad") >= badness {
				continue
			}
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				items[i].Key = negatedKey(items[i].Key)
			case 1:
				items[i].Hash = sha256.Sum256(items[i].Hash[:])
			case 2:
				items[i].Key = PublicKey{}
			case 3:
				items[i].Signature = Signature{}
			case 4:
				items[i].Signature = sign((key+1)%12, hash) // good if the key is never used
			case 5:
				items[i].Signature = minus(sign(key, (hash+1)%12), items[i].Signature)
			case 6: // what one gains, an earlier one loses
				if i > 0 {
					d := sign(11, 11)
					items[i].Signature = plus(items[i].Signature, d)
					items[i-1].Signature = minus(items[i-1].Signature, d)
				}
			}
		}
		seed := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		if got, want := VerifyBatch(items, seed), oneByOne(items); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// Changes that cancel out over the batch are what the coefficients are for:
// with equal ones the batch would pass.
func TestVerifyBatch_Cancellation(t *testing.T) {
	const n = 8
	d := testKey(t, 99).Sign(testHash(99))
	for _, shape := range shapes {
		for _, at := range [][2]int{{0, 1}, {3, 4}, {1, 6}, {7, 0}} {
			items := goodItems(t, n, shape.keys(n), shape.hashes(n))
			a, b := &items[at[0]].Signature, &items[at[1]].Signature
			*a, *b = plus(*a, d), minus(*b, d)
			want := oneByOne(items)
			if want[at[0]] || want[at[1]] {
				t.Fatalf("%s: changed items are good", shape.name)
			}
			if got := VerifyBatch(items, testSeed); !slices.Equal(got, want) {
				t.Errorf("%s, changed %v: got %v, want %v", shape.name, at, got, want)
			}
			equal := bytes.Repeat([]byte{7, 0, 0, 0, 0, 0, 0, 0}, n)
			if !newBatch(items, indices(n), equal).verdicts()[at[0]] {
				t.Errorf("%s, changed %v: does not cancel with equal coefficients", shape.name, at)
			}
		}
	}
}

// Signatures exchanged between items of one hash have the right sum, and so do
// items of one key; the coefficients must be tied to items, not to groups.
func TestVerifyBatch_Exchanged(t *testing.T) {
	for _, shape := range shapes[:2] {
		items := goodItems(t, 5, shape.keys(5), shape.hashes(5))
		items[1].Signature, items[3].Signature = items[3].Signature, items[1].Signature
		want := []bool{true, false, true, false, true}
		if got := VerifyBatch(items, testSeed); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", shape.name, got, want)
		}
	}
}

// Sums that are infinity, which an attacker gets only by guessing coefficients,
// change no verdict.
func TestBatch_SumOfInfinity(t *testing.T) {
	sk, hash := testKey(t, 0), testHash(0)
	good := Item{sk.PublicKey(), hash, sk.Sign(hash)}
	opposite := good // good too: key and signature negated
	opposite.Key = negatedKey(good.Key)
	opposite.Signature = minus(minus(good.Signature, good.Signature), good.Signature)
	halfBad := opposite
	halfBad.Signature = good.Signature
	equal := bytes.Repeat([]byte{7, 0, 0, 0, 0, 0, 0, 0}, 2)
	for _, c := range []struct {
		name  string
		items []Item
		want  []bool
	}{
		{"keys and signatures cancel", []Item{good, opposite}, []bool{true, true}},
		{"keys cancel", []Item{good, halfBad}, []bool{true, false}},
		{"signatures cancel", []Item{good, {good.Key, hash, opposite.Signature}}, []bool{true, false}},
	} {
		if got := newBatch(c.items, indices(2), equal).verdicts(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRandomCoefficients(t *testing.T) {
	const n = 1000
	b := randomCoefficients(n, testSeed)
	if len(b) != n*coefficientSize {
		t.Fatalf("%d bytes, want %d", len(b), n*coefficientSize)
	}
	seen := map[uint64]bool{0: true}
	var or uint64
	for i := range n {
		r := binary.LittleEndian.Uint64(b[i*coefficientSize:])
		if seen[r] {
			t.Errorf("coefficient %d is zero or repeated: %x", i, r)
		}
		seen[r] = true
		or |= r
	}
	if or != 1<<64-1 {
		t.Errorf("only bits %x are used", or)
	}
	if other := randomCoefficients(n, [32]byte{}); bytes.Equal(other[:coefficientSize], b[:coefficientSize]) {
		t.Error("coefficients do not depend on the seed")
	}
}

// No call may start a goroutine, at any size and however many cores there are.
func TestVerifyBatch_StartsNoGoroutine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	items := goodItems(t, 80, 1, 80)
	byHash := goodItems(t, 40, 40, 1)
	var keys []PublicKey
	var sigs []Signature
	for _, it := range byHash {
		keys, sigs = append(keys, it.Key), append(sigs, it.Signature)
	}
	commitment, shares := testQuorum(t, 40, 40, testHash(0))

	created := func() uint64 {
		sample := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC() // starts the collector's own goroutines
	// Those the runtime starts are few and rare, so the smallest of a few counts.
	least := ^uint64(0)
	for range 3 {
		before := created()
		VerifyBatch(items, testSeed)
		VerifyBatch(byHash, testSeed)
		VerifyBatch(items[:3], testSeed)
		if sig, err := AggregateSecure(keys, sigs); err != nil || !VerifySecure(keys, testHash(0), sig) {
			t.Fatal("secure aggregate", err)
		}
		if _, err := Recover(40, shares, commitment.PublicKey(), testHash(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := commitment.Share(shares[0].ID); err != nil {
			t.Fatal(err)
		}
		least = min(least, created()-before)
	}
	if least != 0 {
		t.Errorf("%d goroutines started, want none", least)
	}
}

// benchBatch measures VerifyBatch on items, taking turns with a single Verify
// and, if clean is given, with VerifyBatch on that. It reports the cost per item
// in single verifications, x-single, and the cost in clean batches, x-clean.
func benchBatch(b *testing.B, items, clean []Item) {
	var single, batch, cleanBatch time.Duration
	want := oneByOne(items)
	one := goodItems(b, 1, 1, 1)[0]
	measure := func(total *time.Duration, f func()) {
		start := time.Now()
		f()
		*total += time.Since(start)
	}
	for b.Loop() {
		measure(&batch, func() {
			if !slices.Equal(VerifyBatch(items, testSeed), want) {
				b.Fatal("wrong verdicts")
			}
		})
		b.StopTimer()
		for range 4 {
			measure(&single, func() { Verify(one.Key, one.Hash, one.Signature) })
		}
		if clean != nil {
			measure(&cleanBatch, func() { VerifyBatch(clean, testSeed) })
		}
		b.StartTimer()
	}
	b.ReportMetric(4*float64(batch)/float64(single)/float64(len(items)), "x-single")
	if clean != nil {
		b.ReportMetric(float64(batch)/float64(cleanBatch), "x-clean")
	}
}

func BenchmarkVerifyBatch(b *testing.B) {
	for _, shape := range shapes {
		for _, n := range []int{1, 4, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				benchBatch(b, goodItems(b, n, shape.keys(n), shape.hashes(n)), nil)
			})
		}
	}
}

func BenchmarkVerifyBatch_Bad(b *testing.B) {
	const n = 64
	for _, shape := range shapes {
		for _, bad := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d of 64", shape.name, bad), func(b *testing.B) {
				clean := goodItems(b, n, shape.keys(n), shape.hashes(n))
				items := slices.Clone(clean)
				for i := range bad { // evenly spread, not on the halves
					at := (i*n/bad + 5) % n
					items[at] = spoil(items[at])
				}
				benchBatch(b, items, clean)
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	it := goodItems(b, 1, 1, 1)[0]
	for b.Loop() {
		Verify(it.Key, it.Hash, it.Signature)
	}
}

func BenchmarkParseSignature(b *testing.B) {
	s := goodItems(b, 1, 1, 1)[0].Signature.Bytes()
	for b.Loop() {
		if _, err := ParseSignature(s); err != nil {
			b.Fatal(err)
		}
	}
}
