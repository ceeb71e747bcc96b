package chain

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestTree_Final(t *testing.T) {
	for _, c := range []struct {
		name        string
		authorities int
		slots       []uint64 // of one branch, from height 1
		final       int32
		signed      int // above it
		needed      int
	}{
		{"nothing yet", 4, nil, 0, 0, 3},
		{"1: at once", 1, []uint64{1, 2, 7}, 3, 0, 1},
		{"2: one is not enough", 2, []uint64{1, 3, 5}, 0, 1, 2},
		{"2: both", 2, []uint64{1, 3, 4}, 2, 1, 2},
		{"3: two are not enough", 3, []uint64{1, 2, 4, 5}, 0, 2, 3},
		{"3: all", 3, []uint64{1, 2, 3}, 1, 2, 3},
		{"4: two of four alive", 4, []uint64{1, 2, 5, 6, 9, 10}, 0, 2, 3},
		{"4: three", 4, []uint64{1, 2, 3}, 1, 2, 3},
		{"4: three after empty slots", 4, []uint64{1, 6, 15}, 1, 2, 3},
		{"4: all in turn", 4, []uint64{1, 2, 3, 4, 5, 6, 7, 8}, 6, 2, 3},
		{"4: one author many times counts once", 4, []uint64{1, 5, 9, 13, 17}, 0, 1, 3},
		{"4: one author many times, then two others", 4, []uint64{1, 5, 9, 13, 14, 15}, 4, 2, 3},
		{"4: two others, then one many times", 4, []uint64{2, 3, 5, 9, 13}, 1, 2, 3},
		{"4: the third comes back late", 4, []uint64{1, 2, 5, 6, 9, 10, 11}, 5, 2, 3},
		{"7: four", 7, []uint64{1, 2, 3, 4, 8, 9}, 0, 4, 5},
		{"7: five", 7, []uint64{1, 2, 3, 4, 5}, 1, 4, 5},
		{"12: eight", 12, []uint64{1, 2, 3, 4, 5, 6, 7, 8}, 0, 8, 9},
		{"12: nine", 12, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 8, 9},
		{"12: nine every other slot", 12, []uint64{0 + 1, 3, 5, 7, 9, 11, 14, 16, 18, 20}, 2, 8, 9},
	} {
		tree := trusting(c.authorities)
		tips := []Tip{tree.Tip()}
		for _, slot := range c.slots {
			h := block(tips[len(tips)-1], slot)
			if _, err := tree.Add(h); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			tips = append(tips, tipOf(h))
			tree.Move(tipOf(h).Hash)
			check(t, tree)
		}
		signed, needed := tree.Finality()
		if tree.Final() != tips[c.final] || signed != c.signed || needed != c.needed {
			t.Errorf("%s: final at %d, above it %d of %d; want %d, %d of %d", c.name, tree.Final().Height, signed, needed, c.final, c.signed, c.needed)
		}
	}
}

// Authorities that come back after more blocks than are remembered.
func TestTree_FinalAgainAfterALongTime(t *testing.T) {
	tree := trusting(4)
	extend := func(slot uint64) {
		h := block(tree.Tip(), slot)
		tree.Add(h)
		tree.Move(tipOf(h).Hash)
	}
	for i := range uint64(RecentBlocks) {
		extend(4*i + 1)
		extend(4*i + 2)
	}
	before := tree.Final()
	extend(4*RecentBlocks + 3)
	check(t, tree)
	if before.Height != 0 || tree.Final().Height != tree.Tip().Height-2 {
		t.Errorf("final at %d and then %d, tip %d", before.Height, tree.Final().Height, tree.Tip().Height)
	}
}

// One with two turns is one authority.
func TestTree_AuthorityWithTwoTurnsCountsOnce(t *testing.T) {
	g, _ := many(3)
	g.Authorities = append(g.Authorities, g.Authorities[0])
	tree := New(g)
	grow(t, tree, tree.Tip(), 0, 3, 4, 5) // 3 and 4 are the same one's
	follow(tree)
	if signed, needed := tree.Finality(); signed != 2 || needed != 3 || tree.Final().Height != 0 {
		t.Errorf("%d of %d, final at %d; want 2 of 3 and nothing final", signed, needed, tree.Final().Height)
	}
}

// Others see the final block on their branch and cannot leave it, so we leave
// ours, which is longer. And once there, never come back.
func TestTree_FinalOutweighsLength(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	base := grow(t, tree, genesis, 0, 1)[0]
	long := grow(t, tree, base, 'l', 4, 5, 8, 9, 12, 13)
	follow(tree)
	short := grow(t, tree, base, 's', 6, 7)
	if tree.Final() != base || tree.Tip() != long[5] { // the votes for base are from both
		t.Fatalf("tip %v, final %v", tree.Tip(), tree.Final())
	}
	if _, ok := tree.Better(); ok {
		t.Error("a branch without anything final above the fork beats a longer one")
	}
	short = append(short, grow(t, tree, short[1], 's', 16)...)
	best, ok := tree.Better()
	if !ok || best != short[2] {
		t.Fatalf("better is %v, %t; want the branch with a final block %v", best, ok, short[2])
	}
	forgotten := tree.Move(best.Hash)
	check(t, tree)
	if tree.Final() != short[0] {
		t.Errorf("final at %v, want %v", tree.Final(), short[0])
	}
	if want := hashes(long); !sameSet(forgotten, want) {
		t.Errorf("forgotten %v, want %v", forgotten, want)
	}
	grow(t, tree, long[5], 'l', 17, 20, 21)
	if _, ok := tree.Better(); ok {
		t.Error("a branch that forks off below the final block is better")
	}
	for _, to := range []Tip{long[5], base, genesis} {
		if _, _, err := tree.Path(to.Hash); !errors.Is(err, ErrPath) {
			t.Errorf("path below the final block to %d: %v, want ErrPath", to.Height, err)
		}
	}
}

// A vote for a common ancestor counts on whatever branch it was cast.
func TestTree_VotesOfOtherBranchesCountBelowTheFork(t *testing.T) {
	tree := trusting(4)
	base := grow(t, tree, tree.Tip(), 0, 1, 2)
	grow(t, tree, base[1], 'a', 5, 6)
	follow(tree)
	ours := tree.Tip()
	before := tree.Final().Height
	grow(t, tree, base[1], 'b', 7) // shorter, but the third author
	if before != 0 || tree.Final() != base[0] || tree.Tip() != ours {
		t.Errorf("final at %d and then %d, want 0 and 1", before, tree.Final().Height)
	}
}

func TestTree_Conflict(t *testing.T) {
	// Of 4 authorities 0 and 1 sign both branches: a from slot 1, b from 5.
	for _, c := range []struct {
		name  string
		build func(t *testing.T, tree *Tree, genesis Tip) (last wire.Header)
	}{
		{"a branch that was barred becomes final", func(t *testing.T, tree *Tree, genesis Tip) wire.Header {
			b := grow(t, tree, genesis, 'b', 5, 8)
			grow(t, tree, genesis, 'a', 9, 12, 14)
			follow(tree)
			return block(b[1], 15)
		}},
		{"a branch that was barred when it came", func(t *testing.T, tree *Tree, genesis Tip) wire.Header {
			grow(t, tree, genesis, 'a', 1, 2, 4)
			follow(tree)
			b := grow(t, tree, genesis, 'b', 5, 8)
			return block(b[1], 11)
		}},
		{"ours becomes final after another has", func(t *testing.T, tree *Tree, genesis Tip) wire.Header {
			a := grow(t, tree, genesis, 'a', 1, 4)
			tree.Move(a[1].Hash)
			grow(t, tree, genesis, 'b', 5, 8, 11)
			return block(a[1], 14)
		}},
		{"two others become final", func(t *testing.T, tree *Tree, genesis Tip) wire.Header {
			a := grow(t, tree, genesis, 'a', 1, 4)
			grow(t, tree, genesis, 'b', 5, 8, 11)
			return block(a[1], 14)
		}},
	} {
		tree := trusting(4)
		last := c.build(t, tree, tree.Tip())
		if _, err := tree.Add(last); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", c.name, err)
		}
	}
	// Its own author can make the only authority's final block doubtful.
	tree := trusting(1)
	tree.Add(block(tree.Tip(), 1, 1))
	if _, err := tree.Add(block(tree.Tip(), 1, 2)); !errors.Is(err, ErrConflict) {
		t.Errorf("two blocks by the only authority: %v, want ErrConflict", err)
	}
}

// What is final on another branch and what descends from it agree.
func TestTree_NoConflictOnOneBranch(t *testing.T) {
	tree := trusting(4)
	a := grow(t, tree, tree.Tip(), 'a', 1, 2, 3, 4, 5, 6)
	// The same votes from another branch for a lower block, and for one between.
	grow(t, tree, a[0], 'b', 7, 8)
	grow(t, tree, a[3], 'c', 7)
	follow(tree)
	if tree.Tip() != a[5] || tree.Final() != a[3] {
		t.Errorf("tip %d, final %d; want 6 and 4", tree.Tip().Height, tree.Final().Height)
	}
}

func hashes(tips []Tip) (l []wire.Hash) {
	for _, tip := range tips {
		l = append(l, tip.Hash)
	}
	return l
}

func sameSet(a, b []wire.Hash) bool {
	compare := func(x, y wire.Hash) int { return slices.Compare(x[:], y[:]) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}
