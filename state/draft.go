package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// draft is the state inside a block that is being applied. Its root is that
// of the state before until finish.
type draft struct {
	State
	height   int32
	removals int // by certificates so far
	diff     Diff
	touched  map[recordKey]bool
}

type recordKey struct {
	kind Kind
	key  wire.Hash
}

func (s State) draft(height int32) *draft {
	return &draft{State: s, height: height, diff: Diff{Height: height}, touched: make(map[recordKey]bool)}
}

// touch keeps a record as it was before the block.
func (d *draft) touch(kind Kind, key wire.Hash) {
	if k := (recordKey{kind, key}); !d.touched[k] {
		d.touched[k] = true
		d.diff.Before = append(d.diff.Before, Record{kind, key[:], d.value(kind, key)})
	}
}

func (d *draft) putNode(n Node) {
	d.touch(KindNode, n.ProTxHash)
	d.replaceNode(n.ProTxHash, &n)
}

func (d *draft) putStaker(v Staker) {
	v = v.unlocked(d.height)
	d.touch(KindStaker, wire.Hash(v.Key))
	d.replaceStaker(wire.Hash(v.Key), &v)
}

// update puts n in the place of its old record, if there is one, and at its
// place in the array.
func (d *draft) update(n Node) {
	n.Position = d.moved(n.ProTxHash, zoneOf(n))
	d.putNode(n)
}

// bury takes a node out of the registry.
func (d *draft) bury(t Tombstone) {
	d.moved(t.ProTxHash, unlisted)
	d.touch(KindNode, t.ProTxHash)
	d.replaceNode(t.ProTxHash, nil)
	d.touch(KindTombstone, t.ProTxHash)
	d.replaceTombstone(t.ProTxHash, &t)
}

// zone is a part of the array of funded nodes.
type zone int

const (
	testers  zone = iota // positions below State.Testers
	rest                 // positions below State.Listed
	unlisted             // awaiting or not registered
)

func zoneOf(n Node) zone {
	switch {
	case n.Tester():
		return testers
	case n.Service() != Awaiting:
		return rest
	default:
		return unlisted
	}
}

// moved makes room for a node in another zone of the array and returns its
// position there, -1 in none. It crosses one border at a time: it changes
// places with the node at the border, which then moves over it. So at most
// two others move, and everybody's position is a function of the blocks.
func (d *draft) moved(proTx wire.Hash, to zone) int32 {
	ends := [...]int{testers: d.Testers(), rest: d.Listed()}
	from, p := unlisted, d.Listed()
	if old, ok := d.Node(proTx); ok && zoneOf(old) != unlisted {
		from, p = zoneOf(old), int(old.Position)
	}
	for from < to {
		ends[from]--
		d.swap(ends[from], p)
		p = ends[from]
		from++
	}
	for from > to {
		from--
		d.swap(ends[from], p)
		p = ends[from]
		ends[from]++
	}
	if to == unlisted {
		return -1
	}
	return int32(p)
}

// swap gives the node at a position another one. The mover, which has no
// record of its own place yet, stands where the two are equal.
func (d *draft) swap(from, to int) {
	if from == to {
		return
	}
	n, _ := d.Node(d.At(from))
	n.Position = int32(to)
	d.putNode(n)
}

// finish brings the root up to date and returns the state after the block.
func (d *draft) finish() (State, Diff) {
	before := d.diff.Before
	slices.SortFunc(before, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Key, b.Key))
	})
	sum, check := *d.sum, newCheck(d.height)
	d.diff.Before = before[:0]
	for _, old := range before {
		now := Record{old.Kind, old.Key, d.value(old.Kind, wire.Hash(old.Key))}
		if bytes.Equal(old.Value, now.Value) {
			continue
		}
		sum.swap(old.Kind, old.Value, now.Value)
		check.add(old, now.Value)
		d.diff.Before = append(d.diff.Before, old)
		d.diff.After = append(d.diff.After, now)
	}
	d.sum = &sum
	d.diff.check = check.sum(d.Root())
	d.index.array = d.index.array.Truncate(d.Listed())
	return d.State, d.diff
}

// swap puts one record in the place of another; nil stands for none.
func (a *accumulator) swap(kind Kind, old, new []byte) {
	if old != nil {
		a.remove(kind, old)
	}
	if new != nil {
		a.add(kind, new)
	}
}

// check binds the records that a block replaced to the state it made, so that
// only that state is undone, and only to what it was made from.
type check struct{ hash.Hash }

func newCheck(height int32) check {
	c := check{sha256.New()}
	c.Write(binary.BigEndian.AppendUint32([]byte("proctor/undo/1"), uint32(height)))
	return c
}

func (c check) add(before Record, after []byte) {
	c.Write(append([]byte{byte(before.Kind)}, before.Key...))
	for _, value := range [][]byte{before.Value, after} {
		c.Write(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) // a record is never empty: 0 stands for none
		c.Write(value)
	}
}

func (c check) sum(after wire.Hash) wire.Hash {
	c.Write(after[:])
	return wire.Hash(c.Sum(nil))
}
