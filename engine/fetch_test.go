package engine

import (
	"fmt"
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// serve answers fetches from one branch until nobody asks any more, and
// returns how many answers it took. all are blocks from height 1 on; each
// answer has at most limit of them.
func (r rig) serve(out *Effects, limit int, branches map[Peer][]wire.Block) (answers int) {
	r.t.Helper()
	for ; len(out.Fetches) > 0; answers++ {
		if answers == 400 {
			r.t.Fatal("asked 400 times")
		}
		f := out.Fetches[0]
		if len(out.Fetches) > 1 || f.Range.Count == 0 || f.Range.Count > wire.MaxRangeBlocks || f.Range.From < 1 {
			r.t.Fatalf("fetches %v", out.Fetches)
		}
		all := branches[f.Peer]
		from := min(int(f.Range.From)-1, len(all))
		to := min(from+min(int(f.Range.Count), limit), len(all))
		_, out = r.feed(Fetched{Peer: f.Peer, Blocks: all[from:to]})
	}
	return answers
}

// A node that was cut off with others follows the longer branch, however long
// it is, in answers of 256 blocks and of fewer.
func TestFetch_CatchesUpOnAnotherBranch(t *testing.T) {
	n := networkOf("spec", forkNodes)
	for _, length := range []int{1, 2, 10, 300, 900} {
		for _, limit := range []int{wire.MaxRangeBlocks, 70} {
			t.Run(fmt.Sprintf("%d blocks, %d an answer", length, limit), func(t *testing.T) {
				if testing.Short() && length > 10 {
					t.Skip("makes many blocks")
				}
				trunk, a, b := two(n)
				as, bs := a.grow(length, 0, nil), b.grow(length+1, 4, nil)
				r := stored(t, n, -1)
				r.at(b.tip.Slot)
				r.offer("p", trunk...)
				r.offer("p", as...)
				_, out := r.feed(PeerTip{Peer: "q", Height: b.tip.Height})
				answers := r.serve(out, limit, map[Peer][]wire.Block{"q": append(trunk, bs...)})
				r.wantTip("fetched", b)
				if most := 12 + 2*length/limit; answers > most {
					t.Errorf("%d answers, want at most %d", answers, most)
				}
				if len(r.bodies) != length {
					t.Errorf("%d bodies are kept, want those of the branch that was left", len(r.bodies))
				}
				sameAgreed(t, r.again(-1), r)
			})
		}
	}
}

// Whatever a peer answers, the asking ends, and the next best is asked.
func TestFetch_LiarsDoNotKeepUsAsking(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	ours := append(trunk, a.grow(80, 0, nil)...)
	other := b.grow(200, 4, nil) // of which the first is never shown
	for name, lie := range map[string]func(f wire.BlockRange) []wire.Block{
		"nothing": func(wire.BlockRange) []wire.Block { return nil },
		"blocks that do not connect": func(f wire.BlockRange) []wire.Block {
			if i := int(f.From) - 5; i > 0 && i < len(other) {
				return other[i : i+1]
			}
			return other[1:2]
		},
		"what we have":             func(f wire.BlockRange) []wire.Block { return ours[min(int(f.From)-1, len(ours)-1):] },
		"what we have, one by one": func(f wire.BlockRange) []wire.Block { return ours[min(int(f.From)-1, len(ours)-1):][:1] },
		"always the same":          func(wire.BlockRange) []wire.Block { return ours[3:4] },
		"lower than asked":         func(f wire.BlockRange) []wire.Block { return ours[max(0, int(f.From)-4):][:2] },
		"first ours, then far above": func(f wire.BlockRange) []wire.Block {
			return []wire.Block{ours[min(int(f.From)-1, len(ours)-1)], other[150]}
		},
		"ours below, nothing above": func(f wire.BlockRange) []wire.Block {
			if int(f.From) > len(ours) {
				return other[100:101]
			}
			return ours[f.From-1:][:1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := stored(t, n, -1)
			r.at(other[199].Header.Slot)
			r.offer("p", ours...)
			_, out := r.feed(PeerTip{Peer: "liar", Height: 204})
			answers := 0
			for ; len(out.Fetches) > 0; answers++ {
				if answers == 200 {
					t.Fatal("asked 200 times")
				}
				_, out = r.feed(Fetched{Peer: "liar", Blocks: lie(out.Fetches[0].Range)})
			}
			if !r.sync.claims["liar"].refuted {
				t.Errorf("after %d answers its claim %+v stands", answers, r.sync.claims["liar"])
			}
			r.wantTip("after the lies", a)
			_, out = r.feed(PeerTip{Peer: "honest", Height: b.tip.Height})
			r.serve(out, 256, map[Peer][]wire.Block{"honest": append(trunk[:4:4], other...)})
			r.wantTip("an honest peer's blocks", b)
		})
	}
}

// One that hands out a block at a time is not asked again before the others.
func TestFetch_SlowPeerDoesNotKeepUsFromOthers(t *testing.T) {
	n := networkOf("spec", forkNodes)
	a := n.author()
	blocks := a.grow(60, 0, nil)
	r := stored(t, n, -1)
	r.at(a.tip.Slot)
	_, out := r.feed(PeerTip{Peer: "drip", Height: 60})
	r.feed(PeerTip{Peer: "full", Height: 59})
	wantFetches(t, "the highest", out, fetchOf("drip", 1, 60))
	_, out = r.feed(Fetched{Peer: "drip", Blocks: blocks[:1]})
	wantFetches(t, "after one block", out, fetchOf("full", 2, 58))
	_, out = r.feed(Fetched{Peer: "full", Blocks: blocks[1:59]})
	wantFetches(t, "after the rest", out, fetchOf("drip", 60, 1))
	r.feed(Fetched{Peer: "drip", Blocks: blocks[59:]})
	r.wantTip("all", a)
}

// A branch with bad contents is charged to whoever sent it, and ends.
func TestFetch_BadBranch(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	as, bs := a.grow(5, 0, nil), b.grow(5, 4, nil)
	bad := b.draft(b.turn(4))
	bad.Header.StateRoot[0] ^= 1
	bs = append(bs, n.sign(bad))
	r := stored(t, n, -1)
	r.at(100)
	r.offer("p", trunk...)
	r.offer("p", as...)
	_, out := r.feed(PeerTip{Peer: "q", Height: 10})
	answers := r.serve(out, 256, map[Peer][]wire.Block{"q": append(trunk, bs...)})
	if r.Snapshot().Tip.Height != 9 || answers > 12 {
		t.Errorf("tip at %d after %d answers, want 9", r.Snapshot().Tip.Height, answers)
	}
	r.want(Block{"q", bs[5]}, validation.BlockDead)
}

// What a peer claims is no more than there can be, and a claim lower than
// what it showed before asks for nothing strange.
func TestFetch_ClaimsThatChange(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	as, bs := a.grow(20, 0, nil), b.grow(30, 4, nil)
	all := append(trunk, bs...)
	r := stored(t, n, -1)
	r.at(b.tip.Slot)
	r.offer("p", trunk...)
	r.offer("p", as...)
	_, out := r.feed(PeerTip{Peer: "q", Height: 34})
	for len(out.Fetches) > 0 && r.sync.claims["q"].next != 15 { // part of the branch is here
		f := out.Fetches[0].Range
		_, out = r.feed(Fetched{Peer: "q", Blocks: all[f.From-1 : max(int(f.From), 14)]})
	}
	r.feed(PeerTip{Peer: "q", Height: 3}) // it says that it has left that branch
	out = r.at(b.tip.Slot + 20)           // and does not answer
	for _, f := range out.Fetches {
		t.Errorf("asked for %+v of a peer that claims less than we have", f)
	}
	_, out = r.feed(PeerTip{Peer: "q", Height: 34})
	r.serve(out, 256, map[Peer][]wire.Block{"q": all})
	r.wantTip("in the end", b)
}
