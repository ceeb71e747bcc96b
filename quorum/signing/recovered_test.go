package signing

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestPool_Recovered(t *testing.T) {
	f, g := fixtureOf(t, 5, 3, "a"), fixtureOf(t, 5, 3, "b")
	p, a, b := f.pool(t, 0), request(1, 1), request(1, 2)
	p.Advance(tip, []*Quorum{f.quorum(t), g.quorum(t)})
	good, contrary := f.expected(t, a), f.expected(t, b)
	forged := good
	forged.Signature = contrary.Signature
	unknown := good
	unknown.QuorumHash[0] ^= 1
	want(t, "forged", p.AddRecovered(forged), WrongSignature)
	want(t, "zeros", p.AddRecovered(wire.RecoveredSig{Type: 106, QuorumHash: f.mined.Hash}), WrongSignature)
	want(t, "unknown quorum", p.AddRecovered(unknown), UnknownQuorum)
	want(t, "good after a forgery", p.AddRecovered(good), Taken)
	want(t, "again", p.AddRecovered(good), Duplicate)
	want(t, "forged, and we have the good one", p.AddRecovered(forged), WrongSignature)
	want(t, "the same of another quorum", p.AddRecovered(g.expected(t, a)), Recovered)
	forged = contrary
	forged.Signature = good.Signature
	want(t, "forged contradiction", p.AddRecovered(forged), WrongSignature)
	if len(p.Conflicts()) != 0 {
		t.Error("a forgery is a conflict")
	}
	want(t, "contradiction", p.AddRecovered(contrary), Conflict)
	want(t, "contradiction again", p.AddRecovered(contrary), Duplicate)
	if got := p.Conflicts(); !slices.Equal(got, []Contradiction{{good, contrary}}) {
		t.Errorf("conflicts %+v", got)
	}
	if r, _ := p.Recovered(a.ID); r != good {
		t.Errorf("the first must stay, have %+v", r)
	}
	if got := p.Advance(tip+VoteBlocks, nil); len(got.Recovered) != 0 {
		t.Error("forgotten a block early")
	}
	if got := p.Advance(tip+VoteBlocks+1, nil); !slices.Equal(got.Recovered, []wire.Hash{a.ID}) || len(p.Conflicts()) != 0 {
		t.Errorf("forgot %v, conflicts %v", got.Recovered, p.Conflicts())
	}
}

func TestPool_RestoredSignaturesKeepTheirAge(t *testing.T) {
	f := fixtureOf(t, 5, 3, "a")
	p, r := NewPool(f.llmq, f.members[0]), f.expected(t, request(1, 1))
	want(t, "restored", p.RestoreRecovered(r, tip-VoteBlocks), Taken)
	if got := p.Advance(tip, nil); len(got.Recovered) != 0 {
		t.Error("forgotten a block early")
	}
	if got := p.Advance(tip+1, nil); !slices.Equal(got.Recovered, []wire.Hash{r.ID}) {
		t.Errorf("forgotten: %v, want it", got.Recovered)
	}
}
