package signing

import (
	"errors"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func lasting(id, message byte) Request {
	r := request(id, message)
	r.Height = Lasting
	return r
}

// However many blocks pass, and over restarts: one message for one request.
func TestLasting_IsNeverForgotten(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	p, r := f.pool(t, 0), lasting(1, 1)
	first, err := p.Sign(f.mined.Hash, r, f.sign(0))
	if err != nil || !first.Fresh || first.Vote.Height != Lasting || first.Share != f.share(0, r) {
		t.Fatalf("%+v, %v", first, err)
	}
	for _, height := range []int32{0, tip, tip + VoteBlocks, tip + VoteBlocks + 1, 100 * VoteBlocks, Lasting - 1, Lasting} {
		if a := p.Advance(height, quorums); len(a.Votes) != 0 {
			t.Fatalf("at %d it forgot %+v", height, a.Votes)
		}
		stored, err := ParseVote(first.Vote.Bytes())
		if err != nil || stored != first.Vote {
			t.Fatalf("the record comes back as %+v, %v", stored, err)
		}
		restarted := NewPool(f.llmq, f.members[0])
		if err := restarted.Restore(stored); err != nil {
			t.Fatal(err)
		}
		if a := restarted.Advance(height, quorums); len(a.Votes) != 0 {
			t.Fatalf("at %d after a restart it forgot %+v", height, a.Votes)
		}
		for name, p := range map[string]*Pool{"running": p, "restarted": restarted} {
			never := func(wire.Hash) wire.Signature {
				t.Errorf("%s at %d: another message was signed", name, height)
				return wire.Signature{}
			}
			for what, sign := range map[string]func(wire.Hash, Request, func(wire.Hash) wire.Signature) (Signed, error){"sign": p.Sign, "share": p.Share} {
				if _, err := sign(f.mined.Hash, lasting(1, 2), never); !errors.Is(err, ErrVoted) {
					t.Errorf("%s at %d, %s: another message: %v, want ErrVoted", name, height, what, err)
				}
				if again, err := sign(f.mined.Hash, r, f.sign(0)); err != nil || again.Fresh || again.Share != first.Share {
					t.Errorf("%s at %d, %s: the same again: %+v, %v", name, height, what, again, err)
				}
			}
		}
	}
}

// The id of a ban may be asked for raw, too: then what was signed for its
// height is not forgotten with it.
func TestLasting_TakesUpAVoteOfAHeight(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	p := f.pool(t, 0)
	if _, err := p.Sign(f.mined.Hash, request(1, 1), f.sign(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Share(f.mined.Hash, lasting(1, 2), f.sign(0)); !errors.Is(err, ErrVoted) {
		t.Errorf("another message than for the height: %v", err)
	}
	raw, err := p.Share(f.mined.Hash, lasting(1, 1), f.sign(0))
	if err != nil || !raw.Fresh || raw.Vote.Height != Lasting {
		t.Errorf("the same message: %+v, %v; want it stored as lasting", raw, err)
	}
	if again, err := p.Sign(f.mined.Hash, request(1, 1), f.sign(0)); err != nil || again.Fresh || again.Vote != raw.Vote {
		t.Errorf("for the height again: %+v, %v; want the vote to last", again, err)
	}
	p.Advance(tip+VoteBlocks+1, quorums)
	if _, err := p.Share(f.mined.Hash, lasting(1, 2), f.sign(0)); !errors.Is(err, ErrVoted) {
		t.Errorf("long after the height: %v, want ErrVoted", err)
	}
}

// What is not submitted goes nowhere, at no block.
func TestPool_ShareIsNotSent(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	p, r := f.pool(t, 0), lasting(1, 1)
	made, err := p.Share(f.mined.Hash, r, f.sign(0))
	if err != nil || made.Share != f.share(0, r) || len(made.Sends) != 0 || !made.Fresh {
		t.Fatalf("%+v, %v", made, err)
	}
	for h := range int32(4) {
		if a := p.Advance(tip+1+h, []*Quorum{f.quorum(t)}); len(a.Sends) != 0 || len(p.all()) != 0 {
			t.Errorf("%d blocks later: sent %+v, %d sessions", h+1, a.Sends, len(p.all()))
		}
	}
	want(t, "recovered", p.AddRecovered(f.expected(t, r)), Taken)
	if again, err := p.Share(f.mined.Hash, r, f.sign(0)); err != nil || again.Share != made.Share {
		t.Errorf("once it is signed: %+v, %v; want the share all the same", again, err)
	}
	if sent, err := p.Sign(f.mined.Hash, r, f.sign(0)); err != nil || sent.Share != made.Share || len(sent.Sends) != 0 || len(p.all()) != 0 {
		t.Errorf("submitted once it is signed: %+v, %v; want nothing to be sent", sent, err)
	}
	want(t, "recovered, of nobody's vote", p.AddRecovered(f.expected(t, lasting(2, 1))), Taken)
	if _, err := p.Share(f.mined.Hash, lasting(2, 2), f.sign(0)); !errors.Is(err, ErrDecided) {
		t.Errorf("against the quorum: %v, want ErrDecided", err)
	}
	if _, err := p.Share(wire.Hash{1}, lasting(3, 1), f.sign(0)); !errors.Is(err, ErrUnknownQuorum) {
		t.Errorf("unknown quorum: %v", err)
	}
	outsider := NewPool(f.llmq, wire.Hash{1})
	outsider.Advance(tip, []*Quorum{f.quorum(t)})
	if _, err := outsider.Share(f.mined.Hash, r, f.sign(0)); !errors.Is(err, ErrNotMember) {
		t.Errorf("no member: %v", err)
	}
}

// Bans are signed however many lasting requests there are.
func TestLasting_LeavesRoomForBans(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	wide := limits{100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100}
	full := func(p *Pool, id byte) {
		t.Helper()
		p.Advance(tip, []*Quorum{f.quorum(t)})
		if _, err := p.Sign(f.mined.Hash, lasting(id, 1), f.sign(0)); !errors.Is(err, ErrFull) {
			t.Errorf("a lasting one too many: %v, want ErrFull", err)
		}
		if _, voted := p.votes[lasting(id, 1).ID]; voted {
			t.Error("what was refused is remembered")
		}
		if _, err := p.Sign(f.mined.Hash, request(id, 1), f.sign(0)); err != nil {
			t.Errorf("a ban beside it: %v", err)
		}
	}

	l := wide
	l.lasting = 2
	p := newPool(f.llmq, f.members[0], l)
	p.Advance(tip, []*Quorum{f.quorum(t)})
	for i := range byte(2) {
		if _, err := p.Share(f.mined.Hash, lasting(i, 1), f.sign(0)); err != nil {
			t.Fatal(err)
		}
	}
	full(p, 9)
	if _, err := p.Share(f.mined.Hash, lasting(9, 1), f.sign(0)); !errors.Is(err, ErrFull) || p.votes[request(9, 1).ID].Height == Lasting {
		t.Errorf("a ban's vote that is to last: %v, want ErrFull", err)
	}
	if _, err := p.Sign(f.mined.Hash, lasting(0, 1), f.sign(0)); err != nil {
		t.Errorf("one of those there are, again: %v", err)
	}

	l = wide
	l.lastingSessions = 1
	p = newPool(f.llmq, f.members[0], l)
	p.Advance(tip, []*Quorum{f.quorum(t)})
	if _, err := p.Sign(f.mined.Hash, lasting(0, 1), f.sign(0)); err != nil {
		t.Fatal(err)
	}
	want(t, "others sign, too", p.AddShare(f.share(1, lasting(9, 1)), peer(1)), Taken)
	full(p, 9)
	if _, err := p.Sign(f.mined.Hash, lasting(0, 1), f.sign(0)); err != nil {
		t.Errorf("the one that is open, again: %v", err)
	}
	p.Advance(tip+100, []*Quorum{f.quorum(t)})
	if _, err := p.Sign(f.mined.Hash, lasting(8, 1), f.sign(0)); err != nil {
		t.Errorf("when it is over: %v", err)
	}
	if MaxLasting > MaxVotes/2 || MaxLastingSessions > MaxSessions/2 {
		t.Errorf("lasting requests may take %d of %d votes and %d of %d sessions", MaxLasting, MaxVotes, MaxLastingSessions, MaxSessions)
	}
}
