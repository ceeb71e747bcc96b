package chain

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/wire"
)

// many is a genesis with n authorities, and their keys in turn order.
func many(n int) (Genesis, []ed25519.PrivateKey) {
	g := nameless(n)
	var keys []ed25519.PrivateKey
	for i := range g.Nodes {
		keys = append(keys, ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+i)), 32))))
		g.Nodes[i].ServiceKey = wire.ServiceKey(keys[i].Public().(ed25519.PublicKey))
	}
	return g, keys
}

// nameless is a genesis with n authorities without keys.
func nameless(n int) Genesis {
	g := Genesis{Network: "devnet", Profile: "spec", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), SlotMillis: 1000}
	for i := range n {
		proTx := wire.Hash{byte(i + 1), byte((i + 1) >> 8)}
		g.Nodes = append(g.Nodes, GenesisNode{Name: fmt.Sprint("node-", i), ProTxHash: proTx, Evo: true, Addresses: []string{"/ip4/127.0.0.1/tcp/1"}})
		g.Authorities = append(g.Authorities, proTx)
	}
	return g
}

func two() (Genesis, []ed25519.PrivateKey) { return many(2) }

// trusting is a tree of n authorities that takes every signature for good.
func trusting(n int) *Tree {
	return New(nameless(n), WithVerifier(func(ed25519.PublicKey, []byte, []byte) bool { return true }))
}

// block is an unsigned header on parent; salts tell blocks of a slot apart.
func block(parent Tip, slot uint64, salt ...byte) wire.Header {
	h := wire.Header{Height: parent.Height + 1, Slot: slot, Parent: parent.Hash}
	copy(h.StateRoot[:], salt)
	return h
}

func tipOf(h wire.Header) Tip { return Tip{h.Height, h.Slot, h.Hash()} }

// signed is h with a signature.
func signed(h wire.Header, key ed25519.PrivateKey) wire.Header {
	h.Signature = wire.ServiceSignature(ed25519.Sign(key, h.SignedBytes()))
	return h
}

// grow adds a branch on parent with a block in each slot, and returns its
// blocks. It does not move the tip.
func grow(t *testing.T, tree *Tree, parent Tip, salt byte, slots ...uint64) []Tip {
	t.Helper()
	var branch []Tip
	for _, slot := range slots {
		h := block(parent, slot, salt)
		if _, err := tree.Add(h); err != nil {
			t.Fatalf("slot %d: %v", slot, err)
		}
		parent = tipOf(h)
		branch = append(branch, parent)
	}
	if tree.side < 100 { // it looks at everything
		check(t, tree)
	}
	return branch
}

// follow moves to what is better until nothing is.
func follow(tree *Tree) (forgotten []wire.Hash) {
	for tip, ok := tree.Better(); ok; tip, ok = tree.Better() {
		forgotten = append(forgotten, tree.Move(tip.Hash)...)
	}
	return forgotten
}

func TestTree_Judge(t *testing.T) {
	g, keys := many(7)
	tree := New(g)
	genesis := tree.Tip()
	add := func(parent Tip, slot uint64, salt ...byte) Tip {
		t.Helper()
		h := signed(block(parent, slot, salt...), keys[slot%7])
		if _, err := tree.Add(h); err != nil {
			t.Fatal(err)
		}
		return tipOf(h)
	}
	// Ours: slots 1 to 6 and 9; height 3 is final by the authors of 3, 4, 5, 6 and 2.
	ours := []Tip{genesis}
	for _, slot := range []uint64{1, 2, 3, 4, 5, 6, 9} {
		tip := add(ours[len(ours)-1], slot)
		tree.Move(tip.Hash)
		ours = append(ours, tip)
	}
	if tree.Final() != ours[3] {
		t.Fatalf("final at %d, want 3", tree.Final().Height)
	}
	tip := tree.Tip()
	side := add(ours[5], 7)
	twin := add(tip, 13, 1)
	add(tip, 13, 2)
	dead := add(tip, 11, 1)
	tree.Kill(dead.Hash)
	add(dead, 12) // dead too
	barred := add(ours[1], 8)
	const clock = 20
	header := func(parent Tip, slot uint64, salt ...byte) wire.Header {
		return signed(block(parent, slot, salt...), keys[slot%7])
	}
	height := func(height int32, parent wire.Hash, slot uint64) wire.Header {
		return signed(wire.Header{Height: height, Slot: slot, Parent: parent}, keys[slot%7])
	}
	known, _ := tree.Header(ours[7].Hash)
	unknown := Tip{9, 9, wire.Hash{9}}
	for _, c := range []struct {
		name   string
		header wire.Header
		place  Place
		err    error
	}{
		{"extends the tip", header(tip, 10), Extends, nil},
		{"extends it after empty slots", header(tip, 19), Extends, nil},
		{"in the present slot", header(tip, 20), Extends, nil},
		{"one slot early: a clock may be ahead", header(tip, 21), Extends, nil},
		{"two slots early", header(tip, 22), Early, nil},
		{"early orphan", header(unknown, 22), Early, nil},
		{"the last slot there is", header(tip, 1<<64-1), Early, nil},
		{"known", known, Known, nil},
		{"known on another branch", header(ours[5], 7), Known, nil},
		{"on our branch", header(ours[5], 8, 1), Side, nil},
		{"on another branch", header(side, 10), Side, nil},
		{"in a slot of our branch", header(ours[5], 6, 1), Side, nil},
		{"forks off at the final block", header(ours[3], 10), Side, nil},
		{"forks off below it", header(ours[2], 10), Deep, nil},
		{"forks off at the genesis", header(genesis, 10), Deep, nil},
		{"on a branch that forks off below it", header(barred, 10), Deep, nil},
		{"parent unknown, one above the final block", header(Tip{3, 3, wire.Hash{9}}, 4), Orphan, nil},
		{"parent unknown, at the final block's height", header(Tip{2, 3, wire.Hash{9}}, 4), Deep, nil},
		{"parent unknown, above our tip", header(unknown, 10), Orphan, nil},
		{"third in a slot", header(tip, 13, 3), Twin, nil},
		{"third in a slot, on another parent", header(side, 13, 3), Twin, nil},
		{"third in a slot, on no known parent", header(unknown, 13), Twin, nil},
		{"second in a slot with a dead one", header(tip, 11, 2), Extends, nil},
		{"one of the two", header(tip, 13, 1), Known, nil},
		{"on one of the two", header(twin, 14), Side, nil},
		{"dead", header(tip, 11, 1), Dead, nil},
		{"child of a dead one", header(dead, 14), Dead, nil},
		{"grandchild of a dead one", header(tipOf(header(dead, 12)), 14), Dead, nil},
		{"of another authority", signed(block(tip, 10), keys[4]), 0, ErrAuthor},
		{"unsigned", block(tip, 10), 0, ErrAuthor},
		{"altered after signing", func() wire.Header { h := header(tip, 10); h.StateRoot[0]++; return h }(), 0, ErrAuthor},
		{"variant of a known header", func() wire.Header { h := known; h.Signature[0] ^= 1; return h }(), 0, ErrAuthor},
		{"in its parent's slot", header(tip, 9), 0, ErrSlot},
		{"before its parent's slot", header(tip, 8), 0, ErrSlot},
		{"above its own slot: some block had none", height(15, wire.Hash{9}, 14), 0, ErrSlot},
		{"highest there is", height(1<<31-1, wire.Hash{9}, 14), 0, ErrSlot},
		{"too high", height(9, tip.Hash, 10), 0, ErrHeight},
		{"too low", height(7, tip.Hash, 10), 0, ErrHeight},
		{"too high on another branch", height(8, side.Hash, 10), 0, ErrHeight},
		{"height 0", height(0, wire.Hash{9}, 10), 0, ErrHeight},
		{"negative height", height(-1<<31, wire.Hash{9}, 10), 0, ErrHeight},
	} {
		for range 2 { // the second time to show that the first changed nothing
			place, err := tree.Judge(c.header, clock, false)
			if place != c.place || !errors.Is(err, c.err) {
				t.Errorf("%s: %s, %v; want %s, %v", c.name, place, err, c.place, c.err)
			}
		}
	}
	if place, err := tree.Judge(header(tip, 13, 3), clock, true); place != Extends || err != nil {
		t.Errorf("third in a slot, but asked for: %s, %v; want %s", place, err, Extends)
	}
	if tree.Tip() != tip {
		t.Error("judging moved the tip")
	}
	check(t, tree)
}

// A simulator's verifier is asked what Ed25519 would be asked.
func TestTree_VerifierGetsTheSlotsKey(t *testing.T) {
	g, keys := many(3)
	calls := 0
	tree := New(g, WithVerifier(func(key ed25519.PublicKey, message, sig []byte) bool {
		calls++
		return key.Equal(keys[2].Public()) && ed25519.Verify(key, message, sig)
	}))
	if place, err := tree.Judge(signed(block(tree.Tip(), 5), keys[2]), 5, false); place != Extends || err != nil || calls != 1 {
		t.Errorf("%s, %v after %d calls", place, err, calls)
	}
}

func TestTree_LongestWinsThenLowestHash(t *testing.T) {
	tree := trusting(7)
	genesis := tree.Tip()
	var tips []Tip
	for salt := range byte(5) {
		tips = append(tips, grow(t, tree, genesis, salt, 1)...)
	}
	lowest := slices.MinFunc(tips, func(a, b Tip) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	if best, ok := tree.Better(); !ok || best != lowest {
		t.Fatalf("of five at height 1: %s, %t; want %s", best.Hash, ok, lowest.Hash)
	}
	for _, tip := range tips { // from any of them, the lowest or nothing is better
		tree.Move(tip.Hash)
		best, ok := tree.Better()
		if ok != (tip != lowest) || ok && best != lowest {
			t.Errorf("from %s: %s, %t; want %s", tip.Hash, best.Hash, ok, lowest.Hash)
		}
		check(t, tree)
	}
	highest := slices.MaxFunc(tips, func(a, b Tip) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	longer := grow(t, tree, highest, 0, 2)[0]
	if best, ok := tree.Better(); !ok || best != longer {
		t.Errorf("a longer branch does not beat a lower hash: %v, %t", best, ok)
	}
	follow(tree)
	if _, ok := tree.Better(); ok || tree.Tip() != longer {
		t.Errorf("tip %v, want %v and nothing better", tree.Tip(), longer)
	}
}

func TestTree_Path(t *testing.T) {
	tree := trusting(12)
	genesis := tree.Tip()
	a := grow(t, tree, genesis, 'a', 1, 2, 3, 4)
	b := grow(t, tree, a[1], 'b', 5, 6, 7)
	follow(tree)
	if tree.Tip() != b[2] {
		t.Fatalf("tip %v, want %v", tree.Tip(), b[2])
	}
	list := func(tips ...Tip) (l []wire.Hash) {
		for _, tip := range tips {
			l = append(l, tip.Hash)
		}
		return l
	}
	for _, c := range []struct {
		name        string
		to          Tip
		undo, apply []wire.Hash
	}{
		{"to where we are", b[2], nil, nil},
		{"back on our branch", b[0], list(b[2], b[1]), nil},
		{"to the genesis", genesis, list(b[2], b[1], b[0], a[1], a[0]), nil},
		{"to another branch", a[3], list(b[2], b[1], b[0]), list(a[2], a[3])},
		{"into the middle of it", a[2], list(b[2], b[1], b[0]), list(a[2])},
	} {
		undo, apply, err := tree.Path(c.to.Hash)
		if err != nil || !slices.Equal(undo, c.undo) || !slices.Equal(apply, c.apply) {
			t.Errorf("%s: undo %v, apply %v, %v; want %v, %v", c.name, undo, apply, err, c.undo, c.apply)
		}
		tree.Move(c.to.Hash) // there
		if tree.Tip() != c.to {
			t.Errorf("%s: tip %v", c.name, tree.Tip())
		}
		check(t, tree)
		tree.Move(b[2].Hash) // and back
		check(t, tree)
	}
	if _, _, err := tree.Path(wire.Hash{9}); !errors.Is(err, ErrPath) {
		t.Errorf("to an unknown block: %v, want ErrPath", err)
	}
}

func TestTree_KnowsBlocksByHeightAndHash(t *testing.T) {
	tree := trusting(12)
	genesis := tree.Tip()
	a := grow(t, tree, genesis, 'a', 1, 2, 3)
	b := grow(t, tree, a[0], 'b', 4)
	follow(tree)
	for _, c := range []struct {
		of     Tip
		height int32
		want   Tip
	}{
		{a[2], 3, a[2]}, {a[2], 1, a[0]}, {a[2], 0, genesis}, {b[0], 2, b[0]}, {b[0], 1, a[0]}, {b[0], 0, genesis},
		{a[2], 4, Tip{}}, {b[0], 3, Tip{}}, {b[0], -1, Tip{}}, {a[0], 2, Tip{}}, {Tip{Hash: wire.Hash{9}}, 0, Tip{}},
	} {
		if got, ok := tree.Ancestor(c.of.Hash, c.height); got != c.want.Hash || ok != (c.want != Tip{}) {
			t.Errorf("ancestor of %d at %d: %s, %t; want %s", c.of.Height, c.height, got, ok, c.want.Hash)
		}
	}
	for height, want := range map[int32]Tip{-1: {}, 0: genesis, 1: a[0], 2: a[1], 3: a[2], 4: {}} {
		if got, ok := tree.OnBranch(height); got != want.Hash || ok != (want != Tip{}) {
			t.Errorf("on branch at %d: %s, %t; want %s", height, got, ok, want.Hash)
		}
	}
	if !tree.Contains(a[1].Hash) || !tree.Contains(genesis.Hash) || tree.Contains(b[0].Hash) || tree.Contains(wire.Hash{9}) {
		t.Error("Contains does not tell our branch from others")
	}
	if h, ok := tree.Header(b[0].Hash); !ok || h != block(a[0], 4, 'b') {
		t.Errorf("header of a side block: %v, %t", h, ok)
	}
	if _, ok := tree.Header(genesis.Hash); ok {
		t.Error("the genesis has a header")
	}
}

// check compares everything that is kept up to date with what it stands for.
func check(t *testing.T, tree *Tree) {
	t.Helper()
	var ends []*node
	slots := make(map[uint64]int)
	side := 0
	for hash, n := range tree.nodes {
		if n.Hash != hash || n.Height > 0 && tipOf(n.header) != n.Tip {
			t.Errorf("node %v stands under %s", n.Tip, hash)
		}
		if n.Height > 0 {
			slots[n.Slot]++
		}
		for _, c := range n.children {
			if c.parent != n || tree.nodes[c.Hash] != c {
				t.Errorf("child %v of %v is not tied to it", c.Tip, n.Tip)
			}
		}
		if n.ours {
			if tree.at(n.Height) != n || n.parent != tree.at(n.Height-1) || n.barred {
				t.Errorf("block %v of our branch is not in its place", n.Tip)
			}
			continue
		}
		side++
		if len(n.children) == 0 {
			ends = append(ends, n)
		}
		fork := n
		for !fork.ours {
			fork = fork.parent
		}
		if want := fork.Height < tree.final.Height; n.barred != want {
			t.Errorf("block %v, forked at %d with %d final: barred is %t", n.Tip, fork.Height, tree.final.Height, n.barred)
		}
	}
	for _, g := range tree.graves.order {
		slots[g.slot]++
		if tree.nodes[g.hash] != nil || !tree.graves.has(g.hash) {
			t.Errorf("dead block %s is alive or forgotten", g.hash)
		}
	}
	slices.SortFunc(ends, order)
	if !slices.Equal(ends, []*node(tree.leaves)) {
		t.Errorf("%d leaves, want %d, or in another order", len(tree.leaves), len(ends))
	}
	for slot, n := range slots {
		if tree.slots[slot] != n {
			t.Errorf("slot %d counts %d blocks, has %d", slot, tree.slots[slot], n)
		}
	}
	if len(slots) != len(tree.slots) {
		t.Errorf("%d slots are counted, %d have blocks", len(tree.slots), len(slots))
	}
	ours := int(tree.tip.Height-tree.oldest) + 1
	if side != tree.side || side+ours != len(tree.nodes) || ours > RecentBlocks+1 || side > MaxSide || len(tree.graves.set) != len(tree.graves.order) || len(tree.graves.order) > MaxDead {
		t.Errorf("%d nodes: %d ours, %d of others, counted as %d; %d dead in %d graves", len(tree.nodes), ours, side, tree.side, len(tree.graves.set), len(tree.graves.order))
	}
	if c := tree.claim; c != nil && (tree.nodes[c.Hash] != c || c.ours || c.barred) {
		t.Errorf("claim %v is ours, barred or gone", c.Tip)
	}
	if tree.forgotten != nil {
		t.Error("forgotten blocks were not reported")
	}
}
