package signing

import (
	"errors"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestPool_JudgesShares(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	g := *f
	g.valid = []bool{true, true, false, true, true}
	r := request(1, 1)
	with := func(change func(*wire.SigShare)) wire.SigShare {
		x := f.share(1, r)
		change(&x)
		return x
	}
	for _, c := range []struct {
		name  string
		pool  *Pool
		share wire.SigShare
		want  Reason
	}{
		{"good", f.pool(t, 0), f.share(1, r), Taken},
		{"another type", f.pool(t, 0), with(func(x *wire.SigShare) { x.Type = 4 }), UnknownQuorum},
		{"another quorum", f.pool(t, 0), with(func(x *wire.SigShare) { x.QuorumHash[0] ^= 1 }), UnknownQuorum},
		{"index beyond the members", f.pool(t, 0), with(func(x *wire.SigShare) { x.Member = 5 }), MemberUnknown},
		{"highest index", f.pool(t, 0), with(func(x *wire.SigShare) { x.Member = 65535 }), MemberUnknown},
		{"put out in DKG", g.pool(t, 0), f.share(2, r), MemberInvalid},
		{"zeros", f.pool(t, 0), with(func(x *wire.SigShare) { x.Signature = wire.Signature{} }), Malformed},
		{"infinity", f.pool(t, 0), with(func(x *wire.SigShare) { x.Signature = wire.Signature{0: 0xc0} }), Malformed},
	} {
		want(t, c.name, c.pool.AddShare(c.share, peer(1)), c.want)
	}
	stranger := NewPool(f.llmq, wire.Hash{9})
	stranger.Advance(tip, []*Quorum{f.quorum(t)})
	want(t, "to a stranger", stranger.AddShare(f.share(1, r), peer(1)), NotOurs)
	blind, err := NewQuorum(f.llmq, f.mined, f.vector.PublicKey(), f.members, f.valid, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool(f.llmq, f.members[0])
	p.Advance(tip, []*Quorum{blind})
	want(t, "to who lost the vector", p.AddShare(f.share(1, r), peer(1)), NotOurs)
	if _, err := p.Sign(f.mined.Hash, r, f.sign(0)); !errors.Is(err, ErrNotMember) {
		t.Errorf("who lost the vector signs: %v", err)
	}
	for _, reason := range Reasons() {
		v := reason.Verdict()
		if v.Reason != reason || (v.Outcome == Reject) != (v.Points == 100) || v.Points != 0 && v.Points != 100 {
			t.Errorf("%+v", v)
		}
	}
}
