package signing

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func TestPool_RecoversAtTheThreshold(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	p, r := f.pool(t, 0), request(1, 1)
	signed, err := p.Sign(f.mined.Hash, r, f.sign(0))
	if err != nil || !signed.Fresh || signed.Vote != (Vote{106, f.mined.Hash, r}) || signed.Share != f.share(0, r) {
		t.Fatalf("signed %+v, %v", signed, err)
	}
	want(t, "second share", p.AddShare(f.share(1, r), peer(1)), Taken)
	if p.Due() {
		t.Error("two of three shares are worth a look")
	}
	want(t, "the same again", p.AddShare(f.share(1, r), peer(2)), Duplicate)
	if p.Due() {
		t.Error("a share counts twice")
	}
	want(t, "another in the same name", p.AddShare(f.wrong(1, r, 1), peer(9)), Taken)
	if p.Due() {
		t.Error("a member counts twice")
	}
	want(t, "third share", p.AddShare(f.share(4, r), peer(4)), Taken)
	if got := settle(p); len(got.Recovered) != 1 || got.Recovered[0] != f.expected(t, r) || len(got.Blamed) != 1 || got.Blamed[0].From != peer(9) {
		t.Errorf("three shares and a wrong one give %+v", got)
	}
	want(t, "fourth share", p.AddShare(f.share(2, r), peer(2)), Recovered)
	if rec, ok := p.Recovered(r.ID); !ok || !f.quorum(t).Verify(rec) || p.Conflicting(r.ID, r.MessageHash) || !p.Conflicting(r.ID, wire.Hash{}) {
		t.Errorf("recovered %+v, %t", rec, ok)
	}
	if signed, err = p.Sign(f.mined.Hash, r, f.sign(0)); err != nil || signed.Recovered == nil || signed.Fresh || len(signed.Sends) > 0 {
		t.Errorf("signed when it was done: %+v, %v", signed, err)
	}
	if _, err := p.Sign(f.mined.Hash, request(1, 2), f.sign(0)); !errors.Is(err, ErrDecided) {
		t.Errorf("signed against what is decided: %v", err)
	}
}

// delivery is one message of a property test.
type delivery struct {
	share wire.SigShare
	from  Source
}

// Any order and duplication, checks at any time, wrong shares in between: the
// same signature; wrong shares are blamed on whoever sent them, and nobody else.
func TestPool_OrderDoesNotMatter(t *testing.T) {
	f := fixtureOf(t, 7, 4, "order")
	r := request(1, 1)
	expected := f.expected(t, r)
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 6, rapid.ID).Draw(t, "members")
		var list []delivery
		for _, m := range members {
			list = append(list, delivery{f.share(m, r), peer(m)})
			if rapid.Bool().Draw(t, "twice") {
				list = append(list, delivery{f.share(m, r), peer(m + 1)})
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "wrong") {
			list = append(list, delivery{f.wrong(rapid.IntRange(0, 6).Draw(t, "in the name of"), r, byte(i)), Source{Peer: "liar"}})
		}
		if rapid.Bool().Draw(t, "equivocates") {
			list = append(list, delivery{f.share(1, request(1, 2)), peer(1)})
		}
		list = rapid.Permutation(list).Draw(t, "order")
		p := NewPool(f.llmq, f.members[0])
		p.Advance(tip, []*Quorum{f.cached()})
		var got Checked
		collect := func() {
			c := settle(p)
			got.Recovered, got.Blamed = append(got.Recovered, c.Recovered...), append(got.Blamed, c.Blamed...)
		}
		eager := rapid.Bool().Draw(t, "eager")
		for _, d := range list {
			v := p.AddShare(d.share, d.from)
			if v.Outcome == Reject && d.from.Peer != "liar" {
				t.Fatalf("%+v of a good share", v)
			}
			if eager {
				collect()
			}
		}
		p.Advance(tip+1, []*Quorum{f.cached()}) // whatever waits is due
		collect()
		for _, b := range got.Blamed {
			if b.From.Peer != "liar" || b.Verdict != WrongShare.Verdict() {
				t.Fatalf("blamed: %+v", b)
			}
		}
		if len(members) < 4 {
			if len(got.Recovered) > 0 {
				t.Fatalf("%d members make a signature of threshold 4", len(members))
			}
			return
		}
		if len(got.Recovered) != 1 || got.Recovered[0] != expected {
			t.Fatalf("%d members: %+v, want %+v", len(members), got.Recovered, expected)
		}
	})
}

// A recorded run gives the same again.
func TestPool_Replays(t *testing.T) {
	f := fixtureOf(t, 7, 4, "order")
	run := func() (log []any) {
		random := rand.New(rand.NewChaCha8([32]byte{1}))
		p := NewPool(f.llmq, f.members[0])
		for h := range int32(6) {
			log = append(log, p.Advance(tip+h, []*Quorum{f.cached()}))
			for range 12 {
				r, m := request(byte(random.IntN(4)), byte(random.IntN(5)/4)), random.IntN(7)
				x := f.share(m, r)
				if random.IntN(4) == 0 {
					x = f.wrong(m, r, byte(random.IntN(3)))
				}
				log = append(log, p.AddShare(x, peer(random.IntN(3))))
			}
			log = append(log, p.Check([32]byte{byte(h)}), p.Faults())
		}
		return log
	}
	first := run()
	for range 3 {
		if again := run(); !reflect.DeepEqual(again, first) {
			t.Fatal("the same inputs give other outputs")
		}
	}
}

// After a reorganisation another commitment may have made the quorum: what was
// collected for the old key is worth nothing, and nobody is to blame for it.
func TestPool_AQuorumWithAnotherKey(t *testing.T) {
	f, g := fixtureOf(t, 5, 3, "a"), *fixtureOf(t, 5, 3, "b")
	g.mined = f.mined
	p, r := f.pool(t, 0), request(1, 1)
	for i := range 2 {
		want(t, "a share of the old key", p.AddShare(f.share(1+i, r), peer(i)), Taken)
	}
	p.Advance(tip+1, []*Quorum{g.quorum(t)})
	if _, open := p.Progress(f.mined.Hash, r.ID); open || p.Due() {
		t.Error("the session goes on under another key")
	}
	for i := range 3 {
		want(t, "a share of the new key", p.AddShare(g.share(1+i, r), peer(i)), Taken)
	}
	if got := settle(p); len(got.Recovered) != 1 || got.Recovered[0] != g.expected(t, r) || len(got.Blamed) != 0 {
		t.Errorf("%d recovered, %d blamed", len(got.Recovered), len(got.Blamed))
	}
}
