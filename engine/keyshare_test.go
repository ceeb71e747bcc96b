package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// Who holds a share of another key than the one that is mined, and cannot
// compute one of that, holds none.
func TestKeyShare_OfAnotherKeyGoes(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.pass = func(from, to int, p Publication) bool { // member 3 misses what member 0 deals
		_, deals := speaks(p).(wire.Contribution)
		return !deals || from != 0 || to != 3
	}
	h.until(34)
	r := h.rigs[3]
	_, base := r.sessions[0].Base()
	key := state.QuorumKey(params.TestPlatform, base)
	result, _ := h.rigs[0].sessions[0].Result()
	other := keyShare{h.operator[3], result.Vector[1:]}
	r.keepShare(key, other, new(Effects)) // as if another commitment had been mined before a reorganisation
	r.disk.apply([]Write{{KindShare, key[:], other.bytes()}})
	h.until(37)
	q, mined := h.quorumOf(3, params.TestPlatform)
	i, _ := q.Index(proTx(0))
	if !mined || !q.Commitment.ValidMembers.Has(i) {
		t.Fatalf("mined %t, valid %s", mined, q.Commitment.ValidMembers)
	}
	if _, has := r.keyShares[key]; has || len(r.disk[KindShare]) > 0 {
		t.Errorf("it has a share: %t, %d stored", has, len(r.disk[KindShare]))
	}
	h.wantSigns(q, 4)
}

// A running session keeps its share, whether its quorum is mined or not: a
// block may have been undone, and the share is needed as soon as it is mined
// again.
func TestKeyShare_OfARunningSessionStays(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(33)
	r := h.rigs[0]
	_, base := r.sessions[0].Base()
	running, gone := state.QuorumKey(params.TestPlatform, base), wire.Hash{1}
	for _, key := range []wire.Hash{running, gone} {
		r.keepShare(key, keyShare{secret: h.operator[0]}, new(Effects))
	}
	r.dropOldShares(new(Effects))
	if _, has := r.keyShares[running]; !has || len(r.keyShares) != 1 {
		t.Errorf("%d shares, that of the running session among them: %t", len(r.keyShares), has)
	}
}
