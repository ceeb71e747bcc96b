package chain

import (
	"errors"
	"math"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// run is a tree with length blocks of our branch, every slot used, and all
// its headers.
func run(authorities, length int) (*Tree, []wire.Header) {
	tree := trusting(authorities)
	var headers []wire.Header
	for range length {
		h := block(tree.Tip(), tree.Tip().Slot+1)
		headers = append(headers, h)
		if _, err := tree.Add(h); err != nil {
			panic(err)
		}
		tree.Move(tipOf(h).Hash)
	}
	return tree, headers
}

// A tree that was restored judges like the one that was stored, and goes on
// like it.
func TestTree_RestoredJudgesAlike(t *testing.T) {
	for _, c := range []struct {
		name                string
		authorities, length int
	}{
		{"nothing", 4, 0}, {"one block", 4, 1}, {"one final block", 1, 1}, {"short", 4, 20},
		{"all but one remembered", 4, RecentBlocks - 1}, {"all remembered", 4, RecentBlocks},
		{"genesis forgotten", 4, RecentBlocks + 1}, {"long", 4, 3000}, {"nothing final", 5000, 3000},
	} {
		before, headers := run(c.authorities, c.length)
		after := trusting(c.authorities)
		stored := headers[max(0, len(headers)-RecentBlocks-1):]
		if err := after.Restore(before.Final(), before.Tip(), stored); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		check(t, after)
		tip := before.Tip()
		candidates := append(headers, block(tip, tip.Slot+1, 9), block(tip, tip.Slot, 9), block(tip, 1e6, 9), block(Tip{tip.Height, tip.Slot, wire.Hash{9}}, tip.Slot+1))
		for _, h := range headers {
			candidates = append(candidates, block(tipOf(h), h.Slot+1, 9), block(Tip{h.Height, h.Slot, wire.Hash{9}}, h.Slot+1))
		}
		for range 2 {
			for _, h := range candidates {
				wantPlace, wantErr := before.Judge(h, tip.Slot+1, true)
				place, err := after.Judge(h, tip.Slot+1, true)
				if place != wantPlace || (err == nil) != (wantErr == nil) {
					t.Errorf("%s: height %d: %s, %v; before the restart %s, %v", c.name, h.Height, place, err, wantPlace, wantErr)
				}
			}
			for range 10 {
				h := block(before.Tip(), before.Tip().Slot+1)
				for _, tree := range []*Tree{before, after} {
					tree.Add(h)
					tree.Move(tipOf(h).Hash)
				}
			}
			check(t, after)
			signed, _ := after.Finality()
			if want, _ := before.Finality(); after.Final() != before.Final() || after.Tip() != before.Tip() || signed != want {
				t.Errorf("%s: tip %v, final %v, %d signed; want %v, %v, %d", c.name, after.Tip(), after.Final(), signed, before.Tip(), before.Final(), want)
			}
		}
	}
}

// What votes from lost branches had made final stays so; what the stored
// votes make final is so at once.
func TestTree_RestoreKeepsFinal(t *testing.T) {
	_, headers := run(4, 20)
	tip := tipOf(headers[19])
	for _, c := range []struct{ stored, want Tip }{
		{tipOf(headers[18]), tipOf(headers[18])},
		{tipOf(headers[9]), tipOf(headers[17])},
		{trusting(4).Tip(), tipOf(headers[17])},
	} {
		tree := trusting(4)
		if err := tree.Restore(c.stored, tip, headers); err != nil || tree.Final() != c.want {
			t.Errorf("final at %d stored: %v, final at %d, want %d", c.stored.Height, err, tree.Final().Height, c.want.Height)
		}
		check(t, tree)
	}
	short := trusting(4)
	if err := short.Restore(trusting(4).Tip(), tip, headers[18:]); err != nil || short.Final().Height != 0 || short.Tip() != tip {
		t.Errorf("two headers: %v, final %v", err, short.Final())
	}
	check(t, short)
	if place, _ := short.Judge(block(tipOf(headers[10]), 30), 40, true); place != Deep {
		t.Errorf("a fork below what was stored: %s, want %s", place, Deep)
	}
}

func TestTree_RestoreRefuses(t *testing.T) {
	_, headers := run(4, 20)
	genesis, tip := trusting(4).Tip(), tipOf(headers[19])
	other := Tip{5, 5, wire.Hash{9}}
	sameSlot := block(tipOf(headers[18]), 19)
	for _, c := range []struct {
		name       string
		final, tip Tip
		headers    []wire.Header
	}{
		{"a gap", genesis, tip, append(headers[:10:10], headers[11:]...)},
		{"a block twice", genesis, tip, append(headers[:10:10], headers[9:]...)},
		{"two blocks in one slot", genesis, tipOf(sameSlot), append(headers[:19:19], sameSlot)},
		{"another network's", genesis, tip, append([]wire.Header{block(other, 6)}, headers[1:]...)},
		{"first block on no genesis", genesis, tip, append([]wire.Header{{Height: 1, Slot: 1, Parent: wire.Hash{9}}}, headers[1:]...)},
		{"height below 1", genesis, tip, append([]wire.Header{{Height: -3, Slot: 1}}, headers...)},
		{"a tip above them", genesis, tip, headers[:19]},
		{"a tip and no headers", genesis, tip, nil},
		{"another tip", genesis, Tip{20, 20, wire.Hash{9}}, headers},
		{"another slot of the tip", genesis, Tip{20, 21, tip.Hash}, headers},
		{"another final block", other, tip, headers},
		{"a final block above the tip", Tip{21, 21, wire.Hash{9}}, tip, headers},
		{"a final block below the genesis", Tip{-1, 0, wire.Hash{9}}, tip, headers},
	} {
		if err := trusting(4).Restore(c.final, c.tip, c.headers); !errors.Is(err, ErrRestore) {
			t.Errorf("%s: %v, want ErrRestore", c.name, err)
		}
	}
}

func TestFetchFrom(t *testing.T) {
	for _, c := range []struct {
		name       string
		tip, final int32
		want       []int32 // by the number of answers that did not connect
	}{
		{"at the genesis", 0, 0, []int32{1, 1, 1}},
		{"short chain", 10, 0, []int32{11, 3, 1, 1}},
		{"nothing final", 5000, 0, []int32{5001, 4993, 4985, 4969, 4937, 4873, 4745, 4489, 3977, 3977}},
		{"stops above the final block, then looks for a conflict", 5000, 4980, []int32{5001, 4993, 4985, 4981, 4969, 4937}},
		{"tip after the final block", 5000, 4999, []int32{5001, 5000, 4993, 4985}},
		{"tip is final", 5000, 5000, []int32{5001, 4993, 4985}},
		{"steps onto it", 5000, 4984, []int32{5001, 4993, 4985, 4969}},
		{"final and the start are near", 12, 2, []int32{13, 5, 3, 1, 1}},
		{"the highest there is", math.MaxInt32 - 1, 0, []int32{math.MaxInt32, math.MaxInt32 - 8}},
	} {
		for i, want := range c.want {
			if got := FetchFrom(c.tip, c.final, i); got != want {
				t.Errorf("%s: tip %d, final %d, %d unconnected: from %d, want %d", c.name, c.tip, c.final, i, got, want)
			}
		}
		if got, want := FetchFrom(c.tip, c.final, math.MaxInt), max(1, c.tip+1-RecentBlocks); got != want {
			t.Errorf("%s: at last from %d, want %d", c.name, got, want)
		}
	}
}
