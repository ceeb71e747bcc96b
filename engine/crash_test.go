package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// cuts returns how far the writes of out may be stored when a stop comes: up
// to each seam, and all of them.
func cuts(out *Effects) []int { return append(slices.Clone(out.seams), len(out.Writes)) }

// crash returns a database that holds what was there before and the first
// writes of an effect.
func crash(before records, out *Effects, cut int) records {
	r := before.clone()
	r.apply(out.Writes[:cut])
	return r
}

// wantSound restores an engine from a database cut off anywhere, and hands it
// what it has missed.
func (r rig) wantSound(cut int, disk records, missed []wire.Block, want rig) {
	r.t.Helper()
	r.disk = disk
	r = r.again(-1) // Restore checks the root and that every block can be taken back
	s := r.Snapshot()
	if len(disk[KindBlock]) != int(s.Tip.Height) {
		r.t.Fatalf("cut at %d: %d blocks are stored, the tip is at %d", cut, len(disk[KindBlock]), s.Tip.Height)
	}
	if s.Final.Height > s.Tip.Height {
		r.t.Fatalf("cut at %d: final at %d above the tip at %d", cut, s.Final.Height, s.Tip.Height)
	}
	r.at(missed[len(missed)-1].Header.Slot)
	for _, b := range missed {
		r.feed(Block{"p", b})
	}
	sameAgreed(r.t, r, want)
	if r.t.Failed() {
		r.t.Fatalf("cut at %d of the writes", cut)
	}
}

// A stop in the middle of a reorganisation of thirty blocks, between any two
// parts that are stored one by one.
func TestCrash_AtAnySeamOfAReorganisation(t *testing.T) {
	n := networkOf("core", forkNodes)
	trunk, a, b := two(n)
	as := a.grow(30, 0, a.busy(bob, cleo))
	bs := b.grow(31, 4, b.busy(alice, rupert))
	r := stored(t, n, -1)
	r.at(max(a.tip.Slot, b.tip.Slot))
	r.offer("p", trunk...)
	r.offer("p", as...)
	r.offer("p", bs[:30]...)
	first := a // if a tie was won by the other, the next block undoes nothing
	if r.Snapshot().Tip != a.tip {
		first = b
	}
	if first == b { // go back, so that the last block of b undoes thirty
		r = stored(t, n, -1)
		r.at(max(a.tip.Slot, b.tip.Slot))
		r.offer("p", trunk...)
		r.offer("p", bs[:30]...)
		more := a.grow(1, 0, nil)
		r.offer("p", as...)
		bs = append(as, more...)
	}
	before := r.disk.clone()
	_, out := r.feed(Block{"p", bs[30]})
	if out.Undone != 30 {
		t.Fatalf("%d blocks undone, want 30", out.Undone)
	}
	for i, cut := range cuts(out) {
		if testing.Short() && i%7 > 0 {
			continue
		}
		r.wantSound(cut, crash(before, out, cut), slices.Concat(trunk, bs), r)
	}
	// Parts of any size are cut at seams only, and leave nothing out.
	for _, limit := range []int{0, 1000, 50_000, 1 << 30} {
		var total, largest int
		for _, part := range out.Commits(limit) {
			total += len(part)
			largest = max(largest, len(part))
			if !slices.Contains(cuts(out), total) {
				t.Errorf("limit %d: a part ends at write %d, where there is no seam", limit, total)
			}
		}
		if total != len(out.Writes) || limit == 1<<30 && largest != total {
			t.Errorf("limit %d: %d of %d writes, at most %d at once", limit, total, len(out.Writes), largest)
		}
	}
}

// The same for blocks that are fetched, many in one answer, among them some
// that become final and so make others forgotten.
func TestCrash_AtAnySeamOfAFetch(t *testing.T) {
	n := networkOf("core", forkNodes)
	a := n.author()
	trunk := a.grow(4, 0, nil)
	content := a.busy(bob, cleo)
	blocks := trunk
	for len(blocks) < wire.MaxRangeBlocks {
		blocks = append(blocks, a.nextOf(a.tip.Slot+1, content(a.tip.Height+1)))
	}
	r := stored(t, n, -1)
	r.at(a.tip.Slot)
	_, out := r.feed(PeerTip{Peer: "p", Height: a.tip.Height})
	wantFetches(t, "claim", out, fetchOf("p", 1, wire.MaxRangeBlocks))
	before := r.disk.clone()
	_, out = r.feed(Fetched{Peer: "p", Blocks: blocks})
	r.wantTip("fetched", a)
	all := cuts(out)
	if len(all) < len(blocks) {
		t.Fatalf("%d seams for %d blocks", len(all), len(blocks))
	}
	for i, cut := range all {
		if i%37 == 0 || i > len(all)-4 {
			r.wantSound(cut, crash(before, out, cut), blocks, r)
		}
	}
}
