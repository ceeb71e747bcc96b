package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// split keeps everything from crossing between a side and the others.
func split(side ...int) func(from, to int, p Publication) bool {
	return func(from, to int, p Publication) bool {
		return slices.Contains(side, from) == slices.Contains(side, to)
	}
}

// heal ends a split: each side hears the other's blocks.
func (h *hall) heal() {
	h.t.Helper()
	h.pass = nil
	for i := range h.rigs {
		h.meet(i)
	}
	apart := func(r rig) bool { return r.tree.Tip() != h.rigs[0].tree.Tip() }
	for limit := h.slot + 20; slices.ContainsFunc(h.rigs, apart); h.step() {
		if h.slot > limit {
			h.t.Fatal("the sides do not come together")
		}
	}
}

// The base block of a session is undone: members leave it and go on with the
// one of the branch that wins.
func TestSession_ReorganisationAcrossTheBase(t *testing.T) {
	h := newHall(t, hallNetwork(7, platform(7, 4)))
	h.until(23)
	h.pass = split(1, 2, 3) // of whom one has the next slot, and the others the two after it
	h.step()
	h.step()
	h.step()
	lost, won := h.rigs[1].branch.At(24), h.rigs[0].branch.At(24)
	if lost == nil || won == nil || lost.Tip.Hash == won.Tip.Hash || h.height() != 25 || h.rigs[1].sessionOf(params.TestPlatform, lost.Tip.Hash) == nil {
		t.Fatal("the sides have no base blocks of their own")
	}
	h.heal()
	for i, r := range h.rigs {
		if r.sessionOf(params.TestPlatform, lost.Tip.Hash) != nil || r.sessionOf(params.TestPlatform, won.Tip.Hash) == nil {
			t.Errorf("node %d is in the session of the branch that lost", i)
		}
		for _, b := range r.disk[KindDKG] {
			if m := must(ParseDKGBytes(b)); m.Head().QuorumHash != won.Tip.Hash {
				t.Errorf("node %d: a message of the session that was left is stored", i)
			}
		}
	}
	h.until(45)
	q, ok := h.quorumOf(0, params.TestPlatform)
	if !ok || q.Hash() != won.Tip.Hash {
		t.Fatalf("quorum %s, want %s", q.Hash().Short(), won.Tip.Hash.Short())
	}
	h.wantSigns(q, 7)
	for i, r := range h.rigs {
		sameAgreed(t, r.again(i), h.rigs[0])
	}
}

// The block with the commitment is undone: the commitment waits for a block
// again, everybody gets its share of whatever is mined, and a share of another
// key is replaced.
func TestSession_ReorganisationAcrossTheMining(t *testing.T) {
	h := newHall(t, hallNetwork(7, platform(7, 4)))
	h.until(31)
	// Of the result nodes 3 to 6 hear nothing, and they make the longer branch.
	h.pass = func(from, to int, p Publication) bool {
		m := speaks(p)
		return to < 3 || p.Topic != TopicCommitment && (m == nil || m.Kind() != wire.KindPrematureCommitment)
	}
	h.until(34)
	both := split(0, 1, 2)
	earlier := h.pass
	h.pass = func(from, to int, p Publication) bool { return both(from, to, p) && earlier(from, to, p) }
	here, there := h.rigs[0], h.rigs[3]
	for here.tree.Tip().Height < 35 || there.tree.Tip().Height <= here.tree.Tip().Height {
		h.step()
	}
	key := state.QuorumKey(params.TestPlatform, h.rigs[0].branch.At(24).Tip.Hash)
	q, mined := h.quorumOf(0, params.TestPlatform)
	if _, other := h.quorumOf(3, params.TestPlatform); !mined || other || here.tree.Tip().Height >= there.tree.Tip().Height || here.minable.Len() != 0 {
		t.Fatalf("mined: %v and %v, tips at %d and %d", mined, other, here.tree.Tip().Height, there.tree.Tip().Height)
	}
	share, had := here.keyShares[key]
	if !had {
		t.Fatal("no share of the quorum that was mined")
	}
	for i := range 3 { // as if another commitment had been mined first
		h.rigs[i].keepShare(key, keyShare{h.operator[0], share.vector[1:]}, new(Effects))
	}
	h.heal()
	for i, r := range h.rigs { // the authors of the side that lost are silent for a turn; the others have it now
		if c, waits := r.minable.Get(key); here.tree.Tip().Height < 42 && (!waits || c.ID() != q.Commitment.ID()) {
			t.Fatalf("at %d node %d does not have the commitment of a block that was undone", here.tree.Tip().Height, i)
		}
	}
	h.until(43)
	now, ok := h.quorumOf(0, params.TestPlatform)
	if !ok || now.Mined <= q.Mined || now.Key() != q.Key() {
		t.Fatalf("mined at %d first, then at %d", q.Mined, now.Mined)
	}
	h.wantSigns(now, 7)
	if got := here.keyShares[key]; got.secret != share.secret || !slices.Equal(got.vector, share.vector) {
		t.Error("the share is not that of the quorum that is mined now")
	}
	for i, r := range h.rigs {
		sameAgreed(t, r.again(i), h.rigs[0])
	}
}

// A quorum whose block may be undone keeps its session, and the messages that
// its share comes from; once the block is final they go.
func TestSession_LastsUntilItsQuorumIsFinal(t *testing.T) {
	h := newHall(t, hallNetwork(7, platform(7, 4)))
	h.until(33)
	for i := range 3 { // the others are too few to make a block final
		h.down(i)
	}
	h.until(55)
	q, mined := h.quorumOf(3, params.TestPlatform)
	final := h.rigs[3].tree.Final().Height
	if !mined || q.Base != 24 || q.Mined <= final {
		t.Fatalf("quorum of %d mined at %d, final is %d", q.Base, q.Mined, final)
	}
	held := func(when string, want bool) {
		t.Helper()
		r := h.rigs[3]
		stored := 0
		for _, b := range r.disk[KindDKG] {
			if must(ParseDKGBytes(b)).Head().QuorumHash == q.Hash() {
				stored++
			}
		}
		if got := r.sessionOf(params.TestPlatform, q.Hash()) != nil; got != want || stored > 0 != want {
			t.Errorf("%s: in the session %t, %d messages stored; want %t", when, got, stored, want)
		}
	}
	held("not final", true)
	for i := range 3 {
		h.up(i)
	}
	for limit := h.slot + 20; h.rigs[3].tree.Final().Height < q.Mined && h.slot < limit; {
		h.step()
	}
	held("final", false)
}
