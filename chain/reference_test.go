package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// reference is the slow, obvious twin of a Tree: it keeps every header and
// computes everything from scratch.
type reference struct {
	genesis     Tip
	authorities int
	headers     map[wire.Hash]wire.Header
	invalid     map[wire.Hash]bool
}

// branch returns a block and its ancestors, newest first and without the
// genesis; ok is false if one is missing or invalid.
func (r *reference) branch(h wire.Hash) (blocks []wire.Header, ok bool) {
	for h != r.genesis.Hash {
		header, known := r.headers[h]
		if !known || r.invalid[h] {
			return nil, false
		}
		blocks = append(blocks, header)
		h = header.Parent
	}
	return blocks, true
}

// finals returns the block that each block makes final, lowest first.
func (r *reference) finals() []Tip {
	finals := []Tip{r.genesis}
	for h := range r.headers {
		blocks, _ := r.branch(h)
		signers := make(map[uint64]bool)
		for _, b := range blocks {
			signers[b.Slot%uint64(r.authorities)] = true
			if 3*len(signers) > 2*r.authorities {
				finals = append(finals, tipOf(b))
				break
			}
		}
	}
	slices.SortFunc(finals, func(a, b Tip) int { return int(a.Height - b.Height) })
	return finals
}

// descends reports whether of is a block or descends from it.
func (r *reference) descends(of, from Tip) bool {
	blocks, ok := r.branch(of.Hash)
	return ok && (from == r.genesis || slices.ContainsFunc(blocks, func(h wire.Header) bool { return h.Hash() == from.Hash }))
}

// best returns the tip and the final block of who knows everything.
func (r *reference) best() (tip, final Tip, conflict bool) {
	finals := r.finals()
	final = finals[len(finals)-1]
	for _, f := range finals {
		if !r.descends(final, f) {
			return Tip{}, Tip{}, true
		}
	}
	tip = final
	for hash, header := range r.headers {
		if !r.descends(tipOf(header), final) {
			continue
		}
		if header.Height > tip.Height || header.Height == tip.Height && string(hash[:]) < string(tip.Hash[:]) {
			tip = tipOf(header)
		}
	}
	return tip, final, false
}

// history is how one network made its blocks.
type history struct {
	authorities int
	slots       int
	alive       float64 // share of the slots that have a block
	fork        float64 // share of the blocks that are not on the best branch
	depth       int     // how far back those fork
	twins       float64 // share of the slots with two blocks
	invalid     float64 // share of invalid contents
}

func (h history) make(rng *rand.Rand, genesis Tip) (blocks []wire.Header, invalid map[wire.Hash]bool) {
	invalid = make(map[wire.Hash]bool)
	tips := []Tip{genesis}
	for slot := uint64(1); slot <= uint64(h.slots); slot++ {
		if rng.Float64() >= h.alive {
			continue
		}
		made := 1
		if rng.Float64() < h.twins {
			made = 1 + rng.IntN(3)
		}
		var fresh []Tip
		for range made {
			parent := slices.MaxFunc(tips, func(a, b Tip) int { return int(a.Height - b.Height) })
			if rng.Float64() < h.fork {
				parent = tips[max(0, len(tips)-1-rng.IntN(h.depth))]
			}
			b := block(parent, slot, byte(rng.Uint32()), byte(rng.Uint32()))
			blocks = append(blocks, b)
			fresh = append(fresh, tipOf(b))
			invalid[tipOf(b).Hash] = rng.Float64() < h.invalid
		}
		tips = append(tips, fresh...)
	}
	return blocks, invalid
}

// listener feeds a tree as the engine would.
type listener struct {
	tree    *Tree
	rng     *rand.Rand
	lazy    bool // takes its time to move
	invalid map[wire.Hash]bool
	waiting []wire.Header
	all     *reference // to know who descends from whom
	stopped bool       // by a conflict
}

// hear takes a header, and those that waited for it.
func (l *listener) hear(h wire.Header) error {
	l.waiting = append(l.waiting, h)
	for again := true; again; {
		again = false
		for i, h := range l.waiting {
			place, err := l.tree.Judge(h, math.MaxUint64, true)
			if err != nil {
				return err
			}
			_, parentKnown := l.tree.Header(h.Parent)
			if place == Orphan || place == Deep && !parentKnown && h.Height > 1 {
				continue
			}
			l.waiting = slices.Delete(l.waiting, i, i+1)
			again = true
			if _, err := l.tree.Add(h); err != nil {
				l.stopped = true
				return nil
			}
			if !l.lazy || l.rng.IntN(4) == 0 {
				if err := l.follow(); err != nil {
					return err
				}
			}
			break
		}
	}
	return nil
}

// follow moves to what is better, block by block, and finds the invalid ones.
func (l *listener) follow() error {
	for best, ok := l.tree.Better(); ok; best, ok = l.tree.Better() {
		undo, apply, err := l.tree.Path(best.Hash)
		if err != nil {
			return err
		}
		before := l.tree.Final()
		for _, h := range undo {
			if u, _ := l.tree.Header(h); u.Height <= before.Height {
				return fmt.Errorf("block %d is undone, %d was final", u.Height, before.Height)
			}
		}
		if i := slices.IndexFunc(apply, func(h wire.Hash) bool { return l.invalid[h] }); i >= 0 {
			l.tree.Kill(apply[i])
			continue
		}
		l.tree.Move(best.Hash)
		if l.tree.Tip() != best {
			return fmt.Errorf("moved to %v, the tip is %v", best, l.tree.Tip())
		}
		if f := l.tree.Final(); !l.all.descends(f, before) || !l.all.descends(best, f) {
			return fmt.Errorf("final was %v and is %v, the tip %v", before, f, best)
		}
	}
	return nil
}

// Whoever got the same headers, in whatever order, often or late, has the same
// tip and the same final block, or the same conflict; and nobody ever undoes
// what was final.
func TestTree_AgreesWithReference(t *testing.T) {
	kinds := []history{
		{authorities: 1, slots: 20, alive: 1},
		{authorities: 2, slots: 30, alive: .8, fork: .1, depth: 4},
		{authorities: 3, slots: 40, alive: .9, fork: .3, depth: 6},
		{authorities: 4, slots: 40, alive: .9, fork: .2, depth: 5},
		{authorities: 4, slots: 40, alive: .7, fork: .5, depth: 9, twins: .2},
		{authorities: 7, slots: 50, alive: .8, fork: .3, depth: 8, twins: .1},
		{authorities: 12, slots: 60, alive: .9, fork: .4, depth: 12},
		{authorities: 100, slots: 60, alive: .9, fork: .6, depth: 20, twins: .3, invalid: .2}, // nothing is ever final
	}
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	var conflicts, forks, finals, kills int
	for k, kind := range kinds {
		for round := range rounds {
			seed := uint64(k*1_000_000 + round)
			rng := rand.New(rand.NewPCG(seed, 1))
			genesis := trusting(kind.authorities).Tip()
			blocks, invalid := kind.make(rng, genesis)
			lost := rng.IntN(4)
			blocks = slices.DeleteFunc(blocks, func(wire.Header) bool { return rng.IntN(40) < lost })
			all := &reference{genesis, kind.authorities, make(map[wire.Hash]wire.Header), nil}
			for _, b := range blocks {
				all.headers[b.Hash()] = b
			}
			valid := &reference{genesis, kind.authorities, all.headers, invalid}
			tip, final, conflict := valid.best()
			for listeners := range 4 {
				l := listener{tree: trusting(kind.authorities), rng: rng, lazy: listeners%2 == 1, invalid: invalid, all: all}
				order := delivery(rng, blocks, listeners)
				for _, b := range order {
					if err := l.hear(b); err != nil {
						t.Fatalf("seed %d, listener %d: %v", seed, listeners, err)
					}
					if l.stopped {
						break
					}
					check(t, l.tree)
				}
				if err := l.follow(); err != nil {
					t.Fatalf("seed %d, listener %d: %v", seed, listeners, err)
				}
				kills += len(l.tree.graves.order)
				if l.stopped != conflict || !conflict && (l.tree.Tip() != tip || l.tree.Final() != final) {
					t.Fatalf("seed %d (%+v), listener %d: tip %v, final %v, conflict %t; want %v, %v, %t",
						seed, kind, listeners, l.tree.Tip(), l.tree.Final(), l.stopped, tip, final, conflict)
				}
				forks += l.tree.side
			}
			if conflict {
				conflicts++
			} else if final.Height > 0 {
				finals++
			}
		}
	}
	t.Logf("%d histories: %d with a conflict, %d with something final, %d blocks of other branches, %d dead", len(kinds)*rounds, conflicts, finals, forks, kills)
	if !testing.Short() && (conflicts < 20 || finals < 100 || forks < 1000 || kills < 1000) {
		t.Error("the histories miss what they are for")
	}
}

// delivery is an order in which a listener gets the blocks: as they were made,
// somewhat mixed, or not in order at all; some of them twice.
func delivery(rng *rand.Rand, blocks []wire.Header, mix int) []wire.Header {
	order := slices.Clone(blocks)
	for range len(blocks) / 5 {
		order = append(order, blocks[rng.IntN(len(blocks))])
	}
	switch mix {
	case 0:
		order = append(slices.Clone(blocks), order[len(blocks):]...)
	case 1, 2:
		for i := range order {
			j := min(len(order)-1, i+rng.IntN(6))
			order[i], order[j] = order[j], order[i]
		}
	default:
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}

// With everything at once, finality and invalid blocks and the bounds of
// memory, trees may differ in what they have seen, but never break.
func TestTree_HoldsTogether(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		kind := history{authorities: 4 + rng.IntN(9), slots: 2500, alive: .9, fork: .1 + .5*rng.Float64(), depth: 1 + rng.IntN(40), twins: .3, invalid: .1 * rng.Float64()}
		tree := trusting(kind.authorities)
		blocks, invalid := kind.make(rng, tree.Tip())
		for i, b := range blocks {
			if _, err := tree.Judge(b, b.Slot, rng.IntN(2) == 0); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			before := tree.Final()
			if _, err := tree.Add(b); err != nil {
				break
			}
			for best, ok := tree.Better(); ok; best, ok = tree.Better() {
				_, apply, err := tree.Path(best.Hash)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if bad := slices.IndexFunc(apply, func(h wire.Hash) bool { return invalid[h] }); bad >= 0 {
					tree.Kill(apply[bad])
				} else {
					tree.Move(best.Hash)
				}
			}
			if tree.Final().Height < before.Height {
				t.Fatalf("seed %d: final went from %d to %d", seed, before.Height, tree.Final().Height)
			}
			if i%50 == 0 {
				if check(t, tree); t.Failed() {
					t.Fatalf("seed %d, block %d", seed, i)
				}
			}
		}
	}
}

// A header of any kind makes no panic, and nothing stays behind of what was
// not kept.
func FuzzTree(f *testing.F) {
	f.Add([]byte("some bytes that choose parents, slots and what to do with them"))
	sum := sha256.Sum256([]byte("seed"))
	f.Add(sum[:])
	f.Fuzz(func(t *testing.T, choices []byte) {
		tree := trusting(3)
		known := []Tip{tree.Tip(), {3, 3, wire.Hash{9}}}
		for len(choices) >= 4 {
			parent := known[int(choices[0])%len(known)]
			h := block(parent, parent.Slot+uint64(choices[1]%8), choices[2])
			h.Height += int32(choices[1]>>3) % 2 * int32(binary.BigEndian.Uint16(choices[1:3]))
			place, err := tree.Judge(h, parent.Slot+6, choices[3]%2 == 0)
			if (err == nil) != (place > 0) {
				t.Fatalf("%s and %v", place, err)
			}
			if err == nil {
				if _, err := tree.Add(h); err != nil {
					return // a conflict
				}
				known = append(known, tipOf(h))
			}
			if best, ok := tree.Better(); ok && choices[3]%4 == 0 {
				tree.Move(best.Hash)
			} else if ok && choices[3]%16 == 1 {
				tree.Kill(best.Hash)
			}
			check(t, tree)
			choices = choices[4:]
		}
	})
}
