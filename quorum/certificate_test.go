package quorum

import (
	"errors"
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

func secret(x wire.Hash) bls.SecretKey { return bls.GenerateSecretKey(x) }

// fixture is a draw whose nodes have keys.
type fixture struct {
	list
	draw  Draw
	known map[wire.Hash]bls.PublicKey
}

func newFixture(t testing.TB, testers, listed int) fixture {
	t.Helper()
	f := fixture{list: nodes(testers, listed), known: map[wire.Hash]bls.PublicKey{}}
	f.draw = NewDraw(network, 100, blockHash, f.list)
	for _, x := range f.draw.Testers {
		f.known[x] = secret(x).PublicKey()
	}
	return f
}

func (f fixture) keys(x wire.Hash) (bls.PublicKey, bool) {
	k, ok := f.known[x]
	return k, ok
}

// target is a target that is no tester.
func (f fixture) target() wire.Hash {
	for _, x := range f.draw.Targets() {
		if _, member := f.draw.Index(x); !member {
			return x
		}
	}
	panic("every target is a tester")
}

func (f fixture) ballot(a wire.Answer, x wire.Hash) wire.Ballot {
	return wire.Ballot{Height: f.draw.Height, BlockHash: f.draw.Hash, ProTxHash: x, Answer: a}
}

// votes are signed votes of the first n voters of x.
func (f fixture) votes(a wire.Answer, x wire.Hash, n int) (votes []wire.Vote) {
	b := f.ballot(a, x)
	for _, voter := range f.draw.Voters(x)[:n] {
		votes = append(votes, wire.Vote{Ballot: b, Voter: voter, Signature: secret(voter).Sign(b.SignHash(network)).Bytes()})
	}
	return votes
}

func (f fixture) certify(t testing.TB, a wire.Answer, x wire.Hash, n int) wire.Certificate {
	t.Helper()
	c, err := Certify(network, f.draw, f.ballot(a, x), f.votes(a, x, n), f.keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// aggregateOf signs for exactly these tester bits, whatever they are.
func (f fixture) aggregateOf(t testing.TB, b wire.Ballot, voters uint16) wire.Certificate {
	t.Helper()
	var keys []bls.PublicKey
	var sigs []bls.Signature
	for i, x := range f.draw.Testers {
		if voters&(1<<i) != 0 {
			keys = append(keys, secret(x).PublicKey())
			sigs = append(sigs, secret(x).Sign(b.SignHash(network)))
		}
	}
	sum, err := bls.AggregateSecure(keys, sigs)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Certificate{Ballot: b, Voters: voters, Signature: sum.Bytes()}
}

// On every size of quorum and for every number of votes: fewer than needed
// never verify, as many do. Source: DESIGN.md section 6, rule 2; spec/oxen.md
// 10.4 number 8.
func TestCertificate_NeedsTheThreshold(t *testing.T) {
	for _, testers := range []int{1, 2, 3, 4, 5, 7, 10} {
		f := newFixture(t, testers, testers+3)
		for _, x := range []wire.Hash{nodeID(testers), f.draw.Testers[0]} {
			for _, a := range []wire.Answer{wire.Passes, wire.FailsUptime} {
				m := len(f.draw.Voters(x))
				if !f.draw.Target(x) || m == 0 {
					continue
				}
				for n := 1; n <= m; n++ {
					want := n >= Threshold(m) && (m >= 3 || a == wire.Passes)
					c, err := Certify(network, f.draw, f.ballot(a, x), f.votes(a, x, n), f.keys)
					if (err == nil) != want {
						t.Errorf("%s by %d of %d voters: %v", a, n, m, err)
					}
					var bitsOf uint16
					for _, v := range f.draw.Voters(x)[:n] {
						i, _ := f.draw.Index(v)
						bitsOf |= 1 << i
					}
					made := f.aggregateOf(t, f.ballot(a, x), bitsOf)
					if err := Verify(network, f.draw, made, f.keys); (err == nil) != want {
						t.Errorf("certificate of %s by %d of %d voters: %v", a, n, m, err)
					}
					if want && c != made {
						t.Errorf("%s by %d of %d voters: certificates differ", a, n, m)
					}
				}
			}
		}
	}
}

func TestVerify_Refuses(t *testing.T) {
	f := newFixture(t, 10, 70)
	member := f.draw.Testers[2]
	x := f.target()
	all := uint16(1<<10 - 1)
	good := f.certify(t, wire.FailsUptime, x, 7)
	if err := Verify(network, f.draw, good, f.keys); err != nil {
		t.Fatal(err)
	}
	outsider := wire.Hash{}
	for _, h := range f.nodes {
		if _, tester := f.draw.Index(h); !f.draw.Target(h) && !tester {
			outsider = h
		}
	}
	bad := func(change func(c *wire.Certificate)) wire.Certificate {
		c := good
		change(&c)
		return c
	}
	small := newFixture(t, 2, 9)
	three := newFixture(t, 3, 9)
	for _, tc := range []struct {
		name string
		f    fixture
		c    wire.Certificate
		want error
	}{
		{"another height", f, bad(func(c *wire.Certificate) { c.Height++ }), ErrDraw},
		{"another block", f, bad(func(c *wire.Certificate) { c.BlockHash[0] ^= 1 }), ErrDraw},
		{"a node that was not drawn", f, f.aggregateOf(t, f.ballot(wire.FailsUptime, outsider), all), ErrTarget},
		{"a node that does not exist", f, bad(func(c *wire.Certificate) { c.ProTxHash[0] ^= 1 }), ErrTarget},
		{"uptime of a tester", f, f.aggregateOf(t, f.ballot(wire.FailsUptime, member), all&^4), ErrTarget},
		{"a foreign bit", f, bad(func(c *wire.Certificate) { c.Voters |= 1 << 10 }), ErrVoters},
		{"the highest bit", f, bad(func(c *wire.Certificate) { c.Voters |= 1 << 15 }), ErrVoters},
		{"the node itself", f, f.aggregateOf(t, f.ballot(wire.FailsCheckpoint, member), all), ErrSelf},
		{"six votes", f, f.aggregateOf(t, good.Ballot, 0x3f), ErrTooFew},
		{"no votes", f, bad(func(c *wire.Certificate) { c.Voters = 0 }), ErrTooFew},
		{"two accusers", small, small.aggregateOf(t, small.ballot(wire.FailsUptime, small.target()), 3), ErrAccusers},
		{"two accusers of a tester", three, three.aggregateOf(t, three.ballot(wire.FailsUptime, three.draw.Testers[0]), 6), ErrAccusers},
		{"six signatures under seven bits", f, bad(func(c *wire.Certificate) { c.Signature = f.aggregateOf(t, good.Ballot, 0x3f).Signature }), ErrSignature},
		{"seven signatures under eight bits", f, bad(func(c *wire.Certificate) { c.Voters |= 1 << 7 }), ErrSignature},
		{"other seven bits", f, bad(func(c *wire.Certificate) { c.Voters <<= 1 }), ErrSignature},
		{"a swapped answer", f, bad(func(c *wire.Certificate) { c.Answer = wire.TwoAddresses }), ErrSignature},
		{"a swapped target", f, bad(func(c *wire.Certificate) { c.ProTxHash = f.draw.Targets()[1] }), ErrSignature},
		{"no signature", f, bad(func(c *wire.Certificate) { c.Signature = wire.Signature{} }), ErrSignature},
		{"one bit of the signature", f, bad(func(c *wire.Certificate) { c.Signature[50] ^= 1 }), ErrSignature},
	} {
		calls := 0
		err := Verify(network, tc.f.draw, tc.c, func(x wire.Hash) (bls.PublicKey, bool) {
			calls++
			return tc.f.keys(x)
		})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if tc.want != ErrSignature && calls > 0 {
			t.Errorf("%s: %d keys were asked for", tc.name, calls)
		}
	}
	if err := Verify(nodeID(1), f.draw, good, f.keys); !errors.Is(err, ErrSignature) {
		t.Errorf("another network: %v, want %v", err, ErrSignature)
	}
	for name, keys := range map[string]Keys{
		"no key":     func(wire.Hash) (bls.PublicKey, bool) { return bls.PublicKey{}, false },
		"broken key": DecodedKeys(func(wire.Hash) (wire.OperatorKey, bool) { return wire.OperatorKey{}, true }),
		"no bytes":   DecodedKeys(func(wire.Hash) (wire.OperatorKey, bool) { return wire.OperatorKey{}, false }),
	} {
		if err := Verify(network, f.draw, good, keys); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want %v", name, err, ErrKey)
		}
	}
	decoded := DecodedKeys(func(x wire.Hash) (wire.OperatorKey, bool) { k, ok := f.known[x]; return k.Bytes(), ok })
	if err := Verify(network, f.draw, good, decoded); err != nil {
		t.Errorf("keys as bytes: %v", err)
	}
	missed := f.aggregateOf(t, f.ballot(wire.FailsCheckpoint, member), all&^4)
	if err := Verify(network, f.draw, missed, f.keys); err != nil {
		t.Errorf("a missing checkpoint hash of a tester, said by the others: %v", err)
	}
}

func TestCertify_PassesOverWhatDoesNotCount(t *testing.T) {
	f := newFixture(t, 7, 7) // all are targets and testers
	x := f.draw.Testers[3]
	a := wire.FailsUptime
	votes := f.votes(a, x, 6)
	self := wire.Vote{Ballot: f.ballot(a, x), Voter: x, Signature: secret(x).Sign(f.ballot(a, x).SignHash(network)).Bytes()}
	stranger := votes[0]
	stranger.Voter = nodeID(99)
	other := votes[5]
	other.Answer = wire.TwoAddresses
	forged := votes[5]
	forged.Signature = votes[4].Signature
	broken := votes[5]
	broken.Signature = wire.Signature{}

	four := votes[:4] // one short of 5 of 6
	for name, extra := range map[string]wire.Vote{"a vote twice": four[0], "its own vote": self, "a stranger": stranger, "another answer": other, "a forged vote": forged, "no signature": broken} {
		if _, err := Certify(network, f.draw, f.ballot(a, x), append(slices.Clone(four), extra), f.keys); !errors.Is(err, ErrTooFew) {
			t.Errorf("four votes and %s: %v, want %v", name, err, ErrTooFew)
		}
		c, err := Certify(network, f.draw, f.ballot(a, x), append(slices.Clone(votes[:5]), extra), f.keys)
		if err == nil {
			err = Verify(network, f.draw, c, f.keys)
		}
		if err != nil || bits.OnesCount16(c.Voters) != 5 {
			t.Errorf("five votes and %s: %v, %d voters", name, err, bits.OnesCount16(c.Voters))
		}
	}
}

// Whatever bits and signers: it verifies exactly if the bits are the signers,
// none is foreign, and there are enough of them.
func TestVerify_BitsAreTheSigners(t *testing.T) {
	f := newFixture(t, 4, 4)
	rapid.Check(t, func(t *rapid.T) {
		x := f.draw.Testers[rapid.IntRange(0, 3).Draw(t, "target")]
		i, _ := f.draw.Index(x)
		signers := rapid.Uint16Range(1, 15).Draw(t, "signers")
		claimed := signers
		if rapid.Bool().Draw(t, "lie") {
			claimed = rapid.Uint16Range(0, 31).Draw(t, "claimed")
		}
		b := f.ballot(wire.FailsUptime, x)
		var keys []bls.PublicKey
		var sigs []bls.Signature
		for j, tester := range f.draw.Testers {
			if signers&(1<<j) != 0 {
				keys = append(keys, secret(tester).PublicKey())
				sigs = append(sigs, secret(tester).Sign(b.SignHash(network)))
			}
		}
		sum, err := bls.AggregateSecure(keys, sigs)
		if err != nil {
			t.Fatal(err)
		}
		c := wire.Certificate{Ballot: b, Voters: claimed, Signature: sum.Bytes()}
		want := claimed == signers && signers&(1<<i) == 0 && bits.OnesCount16(signers) >= 3
		if err := Verify(network, f.draw, c, f.keys); (err == nil) != want {
			t.Fatalf("signers %04b, bits %05b, target %d: %v", signers, claimed, i, err)
		}
	})
}

// Source: DESIGN.md section 6, rule 7; spec/oxen.md 10.4 number 6.
func TestAge(t *testing.T) {
	for _, tc := range []struct {
		height, carried int32
		ok              bool
	}{
		{100, 112, false}, {100, 113, true}, {100, 159, true}, {100, 160, false}, {100, 99, false}, {100, 100, false},
		{math.MinInt32, math.MaxInt32, false}, {math.MaxInt32, math.MinInt32, false}, {math.MaxInt32 - 13, math.MaxInt32, true},
	} {
		if err := Age(tc.height, tc.carried); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrAge) {
			t.Errorf("draw at %d in block %d: %v", tc.height, tc.carried, err)
		}
	}
}
