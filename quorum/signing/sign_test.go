package signing

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Restarted with what was stored, we say the same or nothing.
func TestPool_SignsOnce(t *testing.T) {
	f, g := fixtureOf(t, 5, 3, "a"), fixtureOf(t, 5, 3, "b")
	quorums := []*Quorum{f.quorum(t), g.quorum(t)}
	p, r := f.pool(t, 0), request(1, 1)
	first, err := p.Sign(f.mined.Hash, r, f.sign(0))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := ParseVote(first.Vote.Bytes())
	if err != nil || stored != first.Vote {
		t.Fatalf("the record comes back as %+v, %v", stored, err)
	}
	restarted := NewPool(f.llmq, f.members[0])
	if err := restarted.Restore(stored); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Pool{"running": p, "restarted": restarted} {
		p.Advance(tip, quorums)
		never := func(wire.Hash) wire.Signature { t.Errorf("%s: something was signed", name); return wire.Signature{} }
		for _, q := range quorums {
			if _, err := p.Sign(q.Hash, request(1, 2), never); !errors.Is(err, ErrVoted) {
				t.Errorf("%s: another message: %v, want ErrVoted", name, err)
			}
		}
		again, err := p.Sign(f.mined.Hash, r, f.sign(0))
		if err != nil || again.Fresh || again.Share != first.Share || again.Vote != first.Vote {
			t.Errorf("%s: the same again: %+v, %v", name, again, err)
		}
		other, err := p.Sign(g.mined.Hash, r, g.sign(0))
		if err != nil || other.Fresh || other.Vote != first.Vote || other.Share != g.share(0, r) {
			t.Errorf("%s: the same in another quorum: %+v, %v", name, other, err)
		}
	}
	contrary := stored
	contrary.MessageHash[0] ^= 1
	if err := restarted.Restore(contrary); !errors.Is(err, ErrVoted) {
		t.Errorf("two records for one request: %v", err)
	}
	contrary.Type++
	if err := restarted.Restore(contrary); !errors.Is(err, ErrRecord) {
		t.Errorf("a record of another type: %v", err)
	}
	for _, n := range []int{0, VoteSize - 1, VoteSize + 1} {
		if _, err := ParseVote(make([]byte, n)); !errors.Is(err, ErrRecord) {
			t.Errorf("a record of %d bytes: %v", n, err)
		}
	}
}

// A vote is forgotten only when its request can no longer be signed.
func TestPool_ForgottenVotesAreNeverSignedAgain(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	p, r := f.pool(t, 0), request(1, 1)
	if _, err := p.Sign(f.mined.Hash, r, f.sign(0)); err != nil {
		t.Fatal(err)
	}
	if a := p.Advance(tip+VoteBlocks, quorums); len(a.Votes) != 0 {
		t.Errorf("forgot %+v a block early", a.Votes)
	}
	if a := p.Advance(tip+VoteBlocks+1, quorums); !slices.Equal(a.Votes, []Vote{{106, f.mined.Hash, r}}) {
		t.Errorf("forgot %+v", a.Votes)
	}
	for back := int32(0); back <= VoteBlocks-params.BanWindow; back += 16 { // as if so many blocks were undone
		p.Advance(tip+VoteBlocks+1-back, quorums)
		if _, err := p.Sign(f.mined.Hash, request(1, 2), f.sign(0)); !errors.Is(err, ErrHeight) {
			t.Fatalf("%d blocks back: %v, want ErrHeight", back, err)
		}
	}
	p = f.pool(t, 0)
	for height, want := range map[int32]error{tip: nil, tip + 1: ErrHeight, tip - params.BanWindow: nil, tip - params.BanWindow - 1: ErrHeight, -1 << 31: ErrHeight} {
		r := request(byte(height), 1)
		r.Height = height
		if _, err := p.Sign(f.mined.Hash, r, f.sign(0)); !errors.Is(err, want) {
			t.Errorf("request of height %d at %d: %v, want %v", height, tip, err, want)
		}
	}
	if _, err := p.Sign(wire.Hash{1}, request(9, 1), f.sign(0)); !errors.Is(err, ErrUnknownQuorum) {
		t.Errorf("unknown quorum: %v", err)
	}
}

// Our share goes to one recovery member after the other, one block apart.
func TestPool_FallsBack(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	r := request(1, 1)
	order := quorums[0].RecoveryMembers(r.ID)
	if len(order) != 3 {
		t.Fatalf("%d recovery members, want 3", len(order))
	}
	for self := range 5 {
		p := f.pool(t, self)
		signed, err := p.Sign(f.mined.Hash, r, f.sign(self))
		if err != nil {
			t.Fatal(err)
		}
		got := [][]Send{signed.Sends}
		for h := int32(1); h <= 4; h++ {
			got = append(got, p.Advance(tip+h, quorums).Sends)
		}
		for turn, sends := range got {
			var to []Send
			if turn < len(order) && order[turn] != f.members[self] {
				to = []Send{{order[turn], f.share(self, r)}}
			}
			if !slices.Equal(sends, to) {
				t.Errorf("member %d, turn %d: sent to %v, want %v", self, turn, sends, to)
			}
		}
		if pr, ok := p.Progress(f.mined.Hash, r.ID); !ok || !pr.Own || !slices.Equal(pr.Tried, order) || pr.Threshold != 3 {
			t.Errorf("progress %+v, %t", pr, ok)
		}
	}
	// Blocks that come at once make up for the turns.
	p := f.pool(t, slices.Index(f.members, order[2]))
	if _, err := p.Sign(f.mined.Hash, r, f.sign(slices.Index(f.members, order[2]))); err != nil {
		t.Fatal(err)
	}
	if a := p.Advance(tip+9, quorums); len(a.Sends) != 1 || a.Sends[0].To != order[1] {
		t.Errorf("after nine blocks %+v", a.Sends)
	}
	// Once it is recovered nothing is sent.
	p = f.pool(t, slices.Index(f.members, order[2]))
	if _, err := p.Sign(f.mined.Hash, r, f.sign(slices.Index(f.members, order[2]))); err != nil {
		t.Fatal(err)
	}
	want(t, "recovered elsewhere", p.AddRecovered(f.expected(t, r)), Taken)
	if a := p.Advance(tip+1, quorums); len(a.Sends) != 0 {
		t.Errorf("sent %+v of what is decided", a.Sends)
	}
}

func TestPool_RetireStopsOurShare(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	p, r := f.pool(t, 0), request(1, 1)
	first, err := p.Sign(f.mined.Hash, r, f.sign(0))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "a share of another", p.AddShare(f.share(1, request(2, 1)), peer(1)), Taken)
	p.Retire(r.ID)
	p.Retire(request(3, 1).ID) // unknown
	for h := range int32(3) {
		if a := p.Advance(tip+1+h, quorums); len(a.Sends) != 0 {
			t.Errorf("%d blocks later our share goes to %d more", h+1, len(a.Sends))
		}
	}
	if got := len(p.all()); got != 1 {
		t.Errorf("%d sessions, want only the other request's", got)
	}
	again, err := p.Sign(f.mined.Hash, r, f.sign(0))
	if err != nil || again.Fresh || again.Share != first.Share {
		t.Errorf("taken up again: %+v, %v; want the same share by the same vote", again, err)
	}
	if _, err := p.Sign(f.mined.Hash, request(1, 2), f.sign(0)); !errors.Is(err, ErrVoted) {
		t.Errorf("another message after it: %v, want %v", err, ErrVoted)
	}
}
