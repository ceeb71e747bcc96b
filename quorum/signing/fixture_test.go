package signing

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

const tip = 1000

// fixture is a quorum whose every share is known.
type fixture struct {
	llmq    params.LLMQ
	mined   Mined
	members []wire.Hash
	secrets []bls.SecretKey
	vector  bls.VerificationVector
	valid   []bool
}

var fixtures = map[string]*fixture{}

func fixtureOf(t testing.TB, size, threshold int, name string) *fixture {
	t.Helper()
	key := fmt.Sprint(size, threshold, name)
	if f := fixtures[key]; f != nil {
		return f
	}
	p, err := params.LLMQByType(params.TestPlatform)
	if err != nil {
		t.Fatal(err)
	}
	p.Size, p.Threshold, p.RecoveryMembers = size, threshold, min(size, 3)
	polynomial, err := bls.NewPolynomial(threshold, [32]byte(wire.DoubleHash([]byte(key))))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{llmq: p, mined: Mined{wire.DoubleHash([]byte("quorum" + name)), tip - 100}, vector: polynomial.Commit()}
	for i := range size {
		proTx := wire.DoubleHash([]byte{byte(i)}) // of every fixture
		id, err := bls.NewID(proTx)
		if err != nil {
			t.Fatal(err)
		}
		sk, err := polynomial.Share(id)
		if err != nil {
			t.Fatal(err)
		}
		f.members, f.secrets, f.valid = append(f.members, proTx), append(f.secrets, sk), append(f.valid, true)
	}
	fixtures[key] = f
	return f
}

func (f *fixture) quorum(t testing.TB) *Quorum {
	t.Helper()
	q, err := NewQuorum(f.llmq, f.mined, f.vector.PublicKey(), f.members, f.valid, f.vector)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func (f *fixture) pool(t testing.TB, self int) *Pool {
	t.Helper()
	p := NewPool(f.llmq, f.members[self])
	p.Advance(tip, []*Quorum{f.quorum(t)})
	return p
}

func (f *fixture) sign(member int) func(wire.Hash) wire.Signature {
	return func(h wire.Hash) wire.Signature { return f.secrets[member].Sign(h).Bytes() }
}

func (f *fixture) share(member int, r Request) wire.SigShare {
	x := wire.SigShare{Type: f.llmq.Type, QuorumHash: f.mined.Hash, Member: uint16(member), ID: r.ID, MessageHash: r.MessageHash}
	x.Signature = f.sign(member)(x.SignHash())
	return x
}

// wrong is a share in a member's name that another key made.
func (f *fixture) wrong(member int, r Request, salt byte) wire.SigShare {
	x := f.share(member, r)
	x.Signature = f.secrets[member].Sign(wire.DoubleHash([]byte{salt})).Bytes()
	return x
}

func request(id, message byte) Request {
	return Request{wire.DoubleHash([]byte{id}), wire.DoubleHash([]byte("message"), []byte{message}), tip}
}

func peer(i int) Source { return Source{Peer: fmt.Sprint("peer ", i)} }

var seeds uint64

func seed() (s [32]byte) {
	seeds++
	binary.BigEndian.PutUint64(s[:], seeds)
	return s
}

// settle checks until nothing is due.
func settle(p *Pool) (all Checked) {
	for p.Due() {
		c := p.Check(seed())
		all.Recovered = append(all.Recovered, c.Recovered...)
		all.Blamed = append(all.Blamed, c.Blamed...)
		all.Faults = append(all.Faults, c.Faults...)
	}
	return all
}

func want(t *testing.T, what string, got Verdict, reason Reason) {
	t.Helper()
	if got != reason.Verdict() {
		t.Fatalf("%s: %+v, want %+v", what, got, reason.Verdict())
	}
}

// expected is the quorum's signature, which does not depend on who signs.
func (f *fixture) expected(t *testing.T, r Request) wire.RecoveredSig {
	t.Helper()
	rec := wire.RecoveredSig{Type: f.llmq.Type, QuorumHash: f.mined.Hash, ID: r.ID, MessageHash: r.MessageHash}
	var shares []bls.SignatureShare
	for i := range f.llmq.Threshold {
		id, _ := bls.NewID(f.members[i])
		shares = append(shares, bls.SignatureShare{ID: id, Signature: f.secrets[i].Sign(rec.SignHash())})
	}
	sig, err := bls.Recover(f.llmq.Threshold, shares, f.vector.PublicKey(), rec.SignHash())
	if err != nil {
		t.Fatal(err)
	}
	rec.Signature = sig.Bytes()
	return rec
}

// cached is a quorum that keeps the keys of shares between pools.
func (f *fixture) cached() *Quorum {
	if cachedQuorum == nil {
		cachedQuorum, _ = NewQuorum(f.llmq, f.mined, f.vector.PublicKey(), f.members, f.valid, f.vector)
	}
	return cachedQuorum
}

var cachedQuorum *Quorum
