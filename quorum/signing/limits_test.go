package signing

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestPool_Limits(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	pool := func(l limits) *Pool {
		p := newPool(f.llmq, f.members[0], l)
		p.Advance(tip, quorums)
		return p
	}
	wide := limits{100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100}

	l := wide
	l.sessions = 2
	p := pool(l)
	want(t, "first session", p.AddShare(f.share(1, request(1, 1)), peer(1)), Taken)
	want(t, "second session", p.AddShare(f.share(1, request(2, 1)), peer(1)), Taken)
	want(t, "third session", p.AddShare(f.share(1, request(3, 1)), peer(1)), Full)
	want(t, "another share of the first", p.AddShare(f.share(2, request(1, 1)), peer(1)), Taken)
	for i := range 2 { // ours has room
		if _, err := p.Sign(f.mined.Hash, request(byte(10+i), 1), f.sign(0)); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Sign(f.mined.Hash, request(12, 1), f.sign(0)); !errors.Is(err, ErrFull) || len(p.votes) != 2 {
		t.Errorf("a third of ours: %v, %d votes", err, len(p.votes))
	}

	l = wide
	l.sessions = 6
	p = pool(l)
	want(t, "a good share", p.AddShare(f.share(1, request(1, 1)), peer(1)), Taken)
	p.Advance(tip+1, quorums)
	settle(p)
	want(t, "one that waits beside it", p.AddShare(f.share(2, request(1, 1)), peer(1)), Taken)
	want(t, "second session", p.AddShare(f.wrong(1, request(2, 1), 1), peer(1)), Taken)
	if p.Due() {
		t.Error("a third full, it looks at what need not be looked at")
	}
	want(t, "third session", p.AddShare(f.wrong(1, request(3, 1), 1), peer(1)), Taken)
	if got := settle(p); len(got.Blamed) != 2 || len(p.all()) != 1 || len(p.all()[0].pending) != 1 {
		t.Errorf("half full of sessions: %d blamed, %d sessions; want 2 and 1, whose share waits on", len(got.Blamed), len(p.all()))
	}

	l = wide
	l.sessionsOfPeer = 1
	p = pool(l)
	want(t, "first session of a peer", p.AddShare(f.wrong(1, request(1, 1), 1), peer(1)), Taken)
	want(t, "second session of a peer", p.AddShare(f.wrong(1, request(2, 1), 1), peer(1)), Full)
	want(t, "of another peer", p.AddShare(f.wrong(1, request(2, 1), 1), peer(2)), Taken)
	p.Advance(tip+1, quorums)
	if got := settle(p); len(got.Blamed) != 2 || len(p.all()) != 0 {
		t.Errorf("after a block %d are blamed and %d sessions open, want 2 and 0", len(got.Blamed), len(p.all()))
	}

	l = wide
	l.pendingOfPeer, l.pending = 2, 3
	p = pool(l)
	for i, reason := range []Reason{Taken, Taken, Full} {
		want(t, "shares of one peer", p.AddShare(f.wrong(i, request(1, 1), 1), peer(1)), reason)
	}
	want(t, "of another peer", p.AddShare(f.wrong(3, request(2, 1), 1), peer(2)), Taken)
	want(t, "of a third peer", p.AddShare(f.wrong(4, request(2, 1), 1), peer(3)), Full)
	if got := settle(p); len(got.Blamed) != 3 || len(p.all()) != 0 {
		t.Errorf("a full pool blames %d and keeps %d sessions, want 3 and 0 without a block", len(got.Blamed), len(p.all()))
	}

	l = wide
	l.sessionsOfMember = 1
	p = pool(l)
	for i := range byte(3) {
		want(t, "sessions of a member", p.AddShare(f.share(1, request(i, 1)), peer(1)), Taken)
	}
	p.Advance(tip+1, quorums)
	if settle(p); len(p.all()) != 1 {
		t.Errorf("a member keeps %d sessions open, want 1", len(p.all()))
	}

	l = wide
	l.checked = 1
	p = pool(l)
	for i := range byte(3) {
		want(t, "a share", p.AddShare(f.wrong(1, request(i, 1), 1), peer(1)), Taken)
	}
	p.Advance(tip+1, quorums)
	for range 3 {
		if got := p.Check(seed()); len(got.Blamed) != 1 {
			t.Errorf("a check of one share found %d", len(got.Blamed))
		}
	}
	if p.Due() {
		t.Error("all was checked, and it is due")
	}

	l = wide
	l.votes, l.recovered, l.faults = 1, 1, 1
	p = pool(l)
	if _, err := p.Sign(f.mined.Hash, request(1, 1), f.sign(0)); err != nil {
		t.Error(err)
	}
	if _, err := p.Sign(f.mined.Hash, request(2, 1), f.sign(0)); !errors.Is(err, ErrFull) {
		t.Errorf("a vote over the limit: %v", err)
	}
	if _, err := p.Sign(f.mined.Hash, request(1, 2), f.sign(0)); !errors.Is(err, ErrVoted) {
		t.Errorf("at the limit the rule holds no more: %v", err)
	}
	want(t, "recovered", p.AddRecovered(f.expected(t, request(5, 1))), Taken)
	p.Advance(tip+1, quorums)
	want(t, "recovered, one too many", p.AddRecovered(f.expected(t, request(6, 1))), Taken)
	if _, kept := p.Recovered(request(5, 1).ID); kept || len(p.recovered) != 1 {
		t.Error("the oldest must go")
	}
	if a := p.Advance(tip+2, quorums); !slices.Equal(a.Recovered, []wire.Hash{request(5, 1).ID}) {
		t.Errorf("the next block forgets %v, want what made room", a.Recovered)
	}
	for _, id := range []byte{5, 6} {
		want(t, "recovered once more", p.AddRecovered(f.expected(t, request(id, 1))), Taken)
	}
	if a := p.Advance(tip+3, quorums); !slices.Equal(a.Recovered, []wire.Hash{request(5, 1).ID}) {
		t.Errorf("the next block forgets %v, want only what did not come back", a.Recovered)
	}
	for i := range 3 {
		p.RestoreFault(Fault{Kind: Equivocation, Member: wire.Hash{byte(i)}, Height: int32(i)})
	}
	if kept := p.Faults(); len(kept) != 1 || kept[0].Height != 2 {
		t.Errorf("kept %+v, want the newest", kept)
	}
}

func TestPool_Expiry(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	quorums := []*Quorum{f.quorum(t)}
	life := int32(3*RetryBlocks) + SessionSlack
	p, r := f.pool(t, 0), request(1, 1)
	if _, err := p.Sign(f.mined.Hash, r, f.sign(0)); err != nil {
		t.Fatal(err)
	}
	want(t, "of others", p.AddShare(f.share(1, request(2, 1)), peer(1)), Taken)
	p.Advance(tip+life, quorums)
	settle(p)
	if len(p.all()) != 2 {
		t.Errorf("%d sessions live, want 2", len(p.all()))
	}
	p.Advance(tip+life+1, quorums)
	if len(p.all()) != 0 {
		t.Errorf("%d sessions live, want none", len(p.all()))
	}
	if again, err := p.Sign(f.mined.Hash, r, f.sign(0)); err != nil || again.Fresh || again.Share != f.share(0, r) {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	p.Advance(tip+2*life+1, quorums) // from when we signed
	if len(p.all()) != 1 {
		t.Error("a session of ours dies early")
	}
	p = f.pool(t, 0)
	want(t, "opened by another", p.AddShare(f.share(1, r), peer(1)), Taken)
	p.Advance(tip+life, quorums)
	settle(p)
	if _, err := p.Sign(f.mined.Hash, r, f.sign(0)); err != nil {
		t.Fatal(err)
	}
	p.Advance(tip+life+1, quorums)
	if len(p.all()) != 1 {
		t.Error("ours dies with the age of another's share")
	}
	p.Advance(tip+life+1, nil)
	if len(p.all()) != 0 {
		t.Error("a session outlives its quorum")
	}
}
