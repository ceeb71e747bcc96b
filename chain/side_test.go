package chain

import (
	"runtime"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestTree_DeadBranches(t *testing.T) {
	tree := trusting(12)
	genesis := tree.Tip()
	good := grow(t, tree, genesis, 'g', 1, 2)
	bad := grow(t, tree, good[0], 'b', 3, 4, 5)
	bough := grow(t, tree, bad[1], 'c', 6)
	if best, _ := tree.Better(); best.Height != 4 {
		t.Fatalf("better is %v, want height 4", best)
	}
	if dead, want := tree.Kill(bad[1].Hash), hashes([]Tip{bad[1], bad[2], bough[0]}); !sameSet(dead, want) {
		t.Errorf("dead are %v, want %v", dead, want)
	}
	check(t, tree)
	follow(tree)
	if tip := tree.Tip(); tip != good[1] && tip != bad[0] {
		t.Errorf("tip %v, want one at height 2", tip)
	}
	for _, c := range []struct {
		name   string
		header wire.Header
		place  Place
	}{
		{"the invalid block", block(bad[0], 4, 'b'), Dead},
		{"its descendant", block(bad[1], 6, 'c'), Dead},
		{"a new child of it", block(bad[1], 9), Dead},
		{"a new child of a descendant", block(bough[0], 9), Dead},
	} {
		if place, err := tree.Judge(c.header, 20, true); place != c.place || err != nil {
			t.Errorf("%s: %s, %v; want %s", c.name, place, err, c.place)
		}
		if forgotten, err := tree.Add(c.header); forgotten != nil || err != nil {
			t.Errorf("%s: added, %v, %v", c.name, forgotten, err)
		}
		if place, _ := tree.Judge(block(tipOf(c.header), 12), 20, true); place != Dead {
			t.Errorf("a child of %s: %s, want %s", c.name, place, Dead)
		}
		check(t, tree)
	}
	if best, ok := tree.Better(); ok {
		t.Errorf("better is %v after all else is dead", best)
	}
	if tree.Kill(wire.Hash{9}) != nil || tree.Kill(bad[1].Hash) != nil {
		t.Error("something unknown or dead was killed")
	}
}

// After the branch with a final block has died, length decides again.
func TestTree_DeadFinalBlockClaimsNothing(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	long := grow(t, tree, genesis, 'l', 4, 5, 8, 9, 12, 13)
	follow(tree)
	short := grow(t, tree, genesis, 's', 1, 2, 3, 6) // final: 1 and then 2, when 6 has signed
	if best, _ := tree.Better(); best != short[3] || tree.claim.Tip != short[0] {
		t.Fatalf("better %v, claim %v", best, tree.claim)
	}
	short = append(short, grow(t, tree, short[3], 's', 16)...)
	if tree.claim.Tip != short[2] {
		t.Fatalf("claim %v, want %v", tree.claim.Tip, short[2])
	}
	tree.Kill(short[2].Hash) // two are left, by two authors
	check(t, tree)
	if best, ok := tree.Better(); ok || tree.Tip() != long[5] {
		t.Errorf("better is %v", best)
	}
	more := grow(t, tree, short[1], 't', 19, 20)
	if best, ok := tree.Better(); !ok || best != more[1] || tree.claim.Tip != short[1] {
		t.Errorf("better is %v, %t; want %v", best, ok, more[1])
	}
	tree.Kill(more[1].Hash) // what its vote made final stays final
	check(t, tree)
	if best, ok := tree.Better(); !ok || best != more[0] || tree.claim.Tip != short[1] {
		t.Errorf("better is %v, %t; want %v", best, ok, more[0])
	}
	tree.Kill(short[1].Hash)
	check(t, tree)
	if best, ok := tree.Better(); ok {
		t.Errorf("better is %v", best)
	}
}

// Of a claim that died the lower one stays that others vote for.
func TestTree_LowerClaimStays(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	grow(t, tree, genesis, 'l', 4, 5, 8, 9, 12, 13, 16, 17)
	follow(tree)
	short := grow(t, tree, genesis, 's', 1, 2, 3)
	grow(t, tree, short[2], 's', 21, 22, 24)
	dead := tree.claim
	if dead.Height != 4 {
		t.Fatalf("claim at %d, want 4", dead.Height)
	}
	tree.Kill(dead.Hash)
	check(t, tree)
	if best, ok := tree.Better(); !ok || best != short[2] || tree.claim == nil || tree.claim.Tip != short[0] {
		t.Errorf("better is %v, %t, claim %v; want %v and %v", best, ok, tree.claim, short[2], short[0])
	}
}

// Of two claims that are left the higher one counts.
func TestTree_HighestClaimStays(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	grow(t, tree, genesis, 'l', 4, 5, 8, 9, 12, 13, 16, 17)
	follow(tree)
	short := grow(t, tree, genesis, 's', 1, 2, 3)
	grow(t, tree, short[2], 'a', 24) // votes for height 2
	grow(t, tree, short[2], 'b', 27) // for height 1
	dead := grow(t, tree, short[2], 'c', 28, 29, 30)
	tree.Kill(dead[0].Hash)
	check(t, tree)
	if tree.claim == nil || tree.claim.Tip != short[1] {
		t.Errorf("claim %v, want %v", tree.claim, short[1])
	}
}

// A final block on another branch stays however many there are.
func TestTree_ClaimIsNotDropped(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	ours := grow(t, tree, genesis, 'l', 4, 5, 8, 9, 12, 13, 16, 17)
	follow(tree)
	short := grow(t, tree, genesis, 's', 1, 2, 3)
	tree.Kill(short[1].Hash)
	for i := range uint64(MaxSide + 10) {
		grow(t, tree, ours[3], 0, 101+4*i)
	}
	if best, ok := tree.Better(); !ok || best != short[0] {
		t.Errorf("better is %v, %t; want the final block %v", best, ok, short[0])
	}
}

// As long as there are graves, the first invalid block of a branch has one.
func TestTree_RootOfADeadBranchIsForgottenLast(t *testing.T) {
	tree := trusting(5000)
	genesis := tree.Tip()
	kill := func(slots ...uint64) Tip {
		branch := grow(t, tree, genesis, 0, slots...)
		tree.Kill(branch[0].Hash)
		return branch[0]
	}
	root := kill(slots(1, 100)...)
	for i := range uint64(MaxDead - 1) {
		kill(200 + i)
	}
	if place, _ := tree.Judge(block(root, 5000), 9999, true); place != Dead {
		t.Errorf("child of the first invalid block: %s, want %s", place, Dead)
	}
	kill(4000)
	if place, _ := tree.Judge(block(root, 5000), 9999, true); place == Dead {
		t.Errorf("there are more than %d graves", MaxDead)
	}
}

func TestTree_KillOfOurBranchPanics(t *testing.T) {
	tree := trusting(4)
	grow(t, tree, tree.Tip(), 0, 1)
	follow(tree)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	tree.Kill(tree.Tip().Hash)
}

func TestTree_EquivocatorIsBounded(t *testing.T) {
	tree := trusting(7)
	genesis := tree.Tip()
	grow(t, tree, genesis, 0, 1)
	follow(tree)
	places := make(map[Place]int)
	for i := range 10_000 {
		h := block(tree.Tip(), 9, byte(i), byte(i>>8), 1)
		place, err := tree.Judge(h, 10, false)
		if err != nil {
			t.Fatal(err)
		}
		places[place]++
		if place != Twin {
			tree.Add(h)
			if i%2 == 1 {
				tree.Kill(tipOf(h).Hash) // a dead one counts too
			}
		}
	}
	check(t, tree)
	if places[Extends] != MaxPerSlot || places[Twin] != 10_000-MaxPerSlot || len(tree.nodes) != 3 {
		t.Errorf("%v, %d nodes are kept", places, len(tree.nodes))
	}
	// The same when somebody says that we asked for them all.
	for i := range 10_000 {
		tree.Add(block(tree.Tip(), 9, byte(i), byte(i>>8), 2))
	}
	check(t, tree)
	if tree.side != MaxSide {
		t.Errorf("%d blocks of other branches, want %d", tree.side, MaxSide)
	}
	tip, ok := tree.Better()
	for _, n := range tree.leaves {
		if order(n, tree.nodes[tip.Hash]) > 0 || !ok {
			t.Fatal("the best was dropped")
		}
	}
}

func TestTree_DropsTheWorstBranch(t *testing.T) {
	tree := trusting(1000) // so nothing is final
	genesis := tree.Tip()
	ours := grow(t, tree, genesis, 'o', slots(1, 21)...)
	follow(tree)
	high := grow(t, tree, ours[9], 'h', slots(21, 40)...) // to height 29: it will be better
	var low []Tip
	for i := range MaxSide - len(high) {
		low = append(low, grow(t, tree, ours[i%15], byte(i), uint64(100+i))...)
	}
	// Heights 2 to 16 are full of leaves; of the lowest the highest hash goes.
	worst := low[0]
	for _, l := range low {
		if l.Height == 2 && string(l.Hash[:]) > string(worst.Hash[:]) {
			worst = l
		}
	}
	forgotten, err := tree.Add(block(ours[0], 2000))
	if err != nil || len(forgotten) != 1 || forgotten[0] != worst.Hash {
		t.Errorf("forgotten %v, %v; want %v", forgotten, err, worst.Hash)
	}
	check(t, tree)
	// A branch fetched from its fork upwards grows, although it starts lowest.
	branch := grow(t, tree, genesis, 'f', slots(3000, 3041)...)
	if tree.side != MaxSide {
		t.Fatalf("%d blocks of other branches, want %d", tree.side, MaxSide)
	}
	follow(tree)
	check(t, tree)
	if tree.Tip() != branch[40] {
		t.Errorf("tip %v, want %v", tree.Tip(), branch[40])
	}
	if _, _, err := tree.Path(high[18].Hash); err != nil {
		t.Errorf("the second best branch is gone: %v", err)
	}
	if f := tree.Move(genesis.Hash); len(f) == 0 { // what is undone takes places too
		t.Error("nothing is forgotten")
	}
	check(t, tree)
}

// What is barred goes first, however high it is, and is not reported twice.
func TestTree_DropsBarredFirst(t *testing.T) {
	tree := trusting(4)
	genesis := tree.Tip()
	barred := grow(t, tree, genesis, 'b', 4, 8, 12, 16) // of one author
	ours := grow(t, tree, genesis, 'o', 1, 2, 5)
	tree.Move(ours[2].Hash)
	last := block(ours[2], 20)
	forgotten, err := tree.Add(last) // the third author: our height 1 is final
	if err != nil || !sameSet(forgotten, hashes(barred)) {
		t.Fatalf("forgotten %v, %v; want %v", forgotten, err, hashes(barred))
	}
	check(t, tree)
	for i := tree.side; i < MaxSide; i++ {
		grow(t, tree, ours[1], byte(i), uint64(100+4*i+1)) // of our height
	}
	for i := range barred {
		forgotten, err := tree.Add(block(ours[1], 8001+4*uint64(i)))
		_, kept := tree.Header(barred[len(barred)-1-i].Hash)
		if err != nil || forgotten != nil || kept {
			t.Errorf("barred block %d: forgotten %v, %v, kept %t", len(barred)-i, forgotten, err, kept)
		}
		check(t, tree)
	}
	if forgotten, _ := tree.Add(block(ours[1], 9001)); len(forgotten) != 1 {
		t.Errorf("%d blocks forgotten after the barred ones, want 1", len(forgotten))
	}
}

func TestTree_ForgetsWhatForksTooDeep(t *testing.T) {
	tree := trusting(5000)
	ours := grow(t, tree, tree.Tip(), 0, 1, 2, 3)
	side := grow(t, tree, ours[0], 's', 4, 5)
	other := grow(t, tree, ours[1], 's', 6)
	grow(t, tree, ours[2], 0, slots(7, 7+RecentBlocks-3)...)
	if follow(tree) != nil || tree.Tip().Height != RecentBlocks { // the genesis is the one below
		t.Fatalf("tip at %d", tree.Tip().Height)
	}
	step := func() []wire.Hash {
		h := block(tree.Tip(), tree.Tip().Slot+1)
		tree.Add(h)
		defer check(t, tree)
		return tree.Move(tipOf(h).Hash)
	}
	if f := step(); f != nil || !tree.Contains(ours[0].Hash) {
		t.Errorf("forgotten %v while %d blocks could be undone", f, MaxReorg)
	}
	if place, _ := tree.Judge(block(ours[0], 5, 9), 1e6, true); place != Side {
		t.Errorf("a fork %d blocks below the tip: %s, want %s", MaxReorg, place, Side)
	}
	if undo, _, err := tree.Path(side[1].Hash); err != nil || len(undo) != MaxReorg {
		t.Errorf("a path that undoes %d blocks, %v; want %d", len(undo), err, MaxReorg)
	}
	if f := step(); !sameSet(f, hashes(side)) || tree.Contains(ours[0].Hash) {
		t.Errorf("forgotten %v, want %v", f, hashes(side))
	}
	for name, h := range map[string]wire.Header{"a fork one deeper": block(ours[0], 5, 9), "an old block of our own": block(ours[0], 2, 0)} {
		if name == "an old block of our own" {
			h = block(ours[0], 5, 0)
		}
		if place, _ := tree.Judge(h, 1e6, true); place != Deep {
			t.Errorf("%s: %s, want %s", name, place, Deep)
		}
	}
	if f := step(); !sameSet(f, hashes(other)) {
		t.Errorf("forgotten %v, want %v", f, hashes(other))
	}
}

// A whole branch that is as long as may be undone can be fetched and won.
func TestTree_LongestReorgFits(t *testing.T) {
	tree := trusting(5000)
	genesis := tree.Tip()
	ours := grow(t, tree, genesis, 'o', slots(1, MaxReorg+1)...)
	follow(tree)
	theirs := grow(t, tree, genesis, 't', slots(3000, 3000+MaxReorg+1)...)
	undo, apply, err := tree.Path(theirs[MaxReorg].Hash)
	if err != nil || len(undo) != MaxReorg || len(apply) != MaxReorg+1 {
		t.Fatalf("undo %d, apply %d, %v", len(undo), len(apply), err)
	}
	forgotten := follow(tree)
	check(t, tree)
	if tree.Tip() != theirs[MaxReorg] || !sameSet(forgotten, hashes(ours)) { // their fork is now one too deep
		t.Errorf("tip at %d, %d forgotten", tree.Tip().Height, len(forgotten))
	}
}

func TestTree_MemoryIsBounded(t *testing.T) {
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	tree := trusting(12)
	for i := range uint64(100_000) {
		tip := tree.Tip()
		h := block(tip, tip.Slot+1+i%3)
		if i%4 == 3 { // one that loses
			parent, _ := tree.OnBranch(tip.Height - int32(i%7))
			p := tree.nodes[parent]
			tree.Add(block(p.Tip, tip.Slot+1, byte(i)))
		}
		if i%16 == 5 {
			tree.Add(h)
			tree.Kill(tipOf(h).Hash)
			h = block(tip, tip.Slot+5)
		}
		if place, err := tree.Judge(h, h.Slot, false); place != Extends || err != nil {
			t.Fatalf("block %d: %s, %v", i, place, err)
		}
		if _, err := tree.Add(h); err != nil {
			t.Fatal(err)
		}
		tree.Move(tipOf(h).Hash)
	}
	check(t, tree)
	// A header and what ties it in are about 400 bytes, of 1024 + 256 blocks
	// here, and maps have room to spare. All that was seen would be 50 MiB.
	if kept := used() - before; kept > 2<<20 {
		t.Errorf("%d bytes are kept of 100000 blocks", kept)
	}
	runtime.KeepAlive(tree)
}

func slots(from, to uint64) (s []uint64) {
	for ; from < to; from++ {
		s = append(s, from)
	}
	return s
}
