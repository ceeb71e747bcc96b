// Package quorum has what testing quorums do: who tests whom after a block,
// what a tester answers, how answers are collected, and when they make a
// certificate. It decides nothing about the registry: certificates act by
// being in a block.
package quorum

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Array is the agreed array of funded service nodes after a block, without
// repetitions. Positions below Testers are of those that may test; the others
// up to Listed are of those that may only be tested.
type Array interface {
	Testers() int
	Listed() int
	At(position int) wire.Hash
}

// Draw says who tests whom after one block. It is undone with the block, and
// nothing of it may be changed.
type Draw struct {
	Height  int32
	Hash    wire.Hash   // of the block
	Testers []wire.Hash // at most params.Testers; tester i is bit i of a certificate
	targets []wire.Hash
	table   hashTable // of targets
}

// NewDraw draws after the block with that height and hash:
//
//  1. Words are the 64-bit outputs of chacha8rand (C2SP) with the seed
//     SHA-256("proctor/draw/1" | network | hash), in their order.
//  2. An index below n takes the next word w until w < 2^64 - (2^64 mod n); it is
//     w mod n.
//  3. The testers are k = min(10, Testers) distinct positions: indices below
//     Testers, those drawn before skipped. If k = Testers, they are positions
//     0..k-1 in order, and no word is taken.
//  4. The rest are the R = Listed - k other positions. The targets are
//     W = min(R, max(50, R/100 rounded down)) of them: indices below Listed, testers
//     and those drawn before skipped. If W = R, they are all of the rest in order
//     of position, and no word is taken.
//  5. If R < 10, the testers are targets too.
//
// Source: seed "Deregistration Rules", Testing Quorum; DESIGN.md section 6, rule 1.
func NewDraw(network wire.Hash, height int32, hash wire.Hash, a Array) Draw {
	seed := sha256.Sum256(slices.Concat([]byte("proctor/draw/1"), network[:], hash[:]))
	d := Draw{Height: height, Hash: hash}
	p := picker{stream: rand.NewChaCha8(seed), taken: make([]uint64, (a.Listed()+63)/64), array: a}

	d.Testers = p.pick(0, a.Testers(), min(params.Testers, a.Testers()))
	rest := a.Listed() - len(d.Testers)
	wanted := min(rest, max(params.MinTargets, rest/params.TargetsShare))
	d.targets = p.pick(len(d.Testers), a.Listed(), wanted)
	if rest < params.Testers {
		d.targets = append(d.targets, d.Testers...)
	}
	d.table = newHashTable(d.targets, binary.LittleEndian.Uint64(seed[:]))
	return d
}

// picker picks positions of an array, none twice.
type picker struct {
	stream *rand.ChaCha8
	taken  []uint64 // bit set of positions
	array  Array
}

// pick returns the hashes at wanted positions below n, of which the given
// number is taken.
func (p *picker) pick(taken, n, wanted int) []wire.Hash {
	picked := make([]wire.Hash, 0, wanted+params.Testers) // room for the members
	if wanted == n-taken {
		for i := range n {
			if p.take(i) {
				picked = append(picked, p.array.At(i))
			}
		}
		return picked
	}
	last := -(-uint64(n) % uint64(n)) - 1 // -n%n is 2^64 mod n
	for len(picked) < wanted {
		w := p.stream.Uint64()
		if i := int(w % uint64(n)); w <= last && p.take(i) {
			picked = append(picked, p.array.At(i))
		}
	}
	return picked
}

// take marks a position and reports whether it was free.
func (p *picker) take(i int) bool {
	word, bit := &p.taken[i/64], uint64(1)<<(i%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// Index returns the position of a tester, which is its bit in certificates.
func (d Draw) Index(proTx wire.Hash) (int, bool) {
	i := slices.Index(d.Testers, proTx)
	return i, i >= 0
}

// Target reports whether a node is to be tested.
func (d Draw) Target(proTx wire.Hash) bool { return d.table.has(d.targets, proTx) }

// Targets returns the nodes to be tested, in the order they were drawn.
func (d Draw) Targets() []wire.Hash { return slices.Clip(d.targets) }

// Answerable reports whether a node may be the subject of an answer of d. That
// a due checkpoint hash is missing can be said of the testers too, whose duty
// it is.
func (d Draw) Answerable(proTx wire.Hash, answer wire.Answer) bool {
	if answer == wire.FailsCheckpoint && Due(d.Height) {
		if _, member := d.Index(proTx); member {
			return true
		}
	}
	return d.Target(proTx)
}

// Voters returns the testers that may answer about a node: all but itself.
func (d Draw) Voters(target wire.Hash) []wire.Hash {
	i, member := d.Index(target)
	if !member {
		return slices.Clip(d.Testers)
	}
	return slices.Concat(d.Testers[:i], d.Testers[i+1:])
}

// Threshold returns how many of m voters make a certificate: seven tenths,
// rounded up.
func Threshold(m int) int {
	return (params.SuperMajorityOf10*m + params.Testers - 1) / params.Testers
}

// Needed returns how many of the voters of a node it takes for an answer about
// it; ok is false if no number will do.
func (d Draw) Needed(proTx wire.Hash, answer wire.Answer) (votes int, ok bool) {
	m := len(d.Testers)
	if _, member := d.Index(proTx); member {
		m--
	}
	return Threshold(m), m >= 1 && (m >= params.MinAccusers || !answer.Negative())
}

// hashTable finds hashes in a list: open addressing, at most half full. A map
// would take longer to fill than the draw itself.
type hashTable struct {
	slots  []int32 // position in the list + 1; a power of two of them
	factor uint64  // nobody who makes hashes knows it before the block
	shift  int
}

func newHashTable(list []wire.Hash, secret uint64) hashTable {
	size := bits.Len(uint(2*len(list) + 1))
	t := hashTable{slots: make([]int32, 1<<size), factor: secret | 1, shift: 64 - size}
	for i, h := range list {
		s := t.slot(h)
		for t.slots[s] != 0 {
			s = (s + 1) % len(t.slots)
		}
		t.slots[s] = int32(i + 1)
	}
	return t
}

func (t hashTable) slot(h wire.Hash) int {
	return int(binary.LittleEndian.Uint64(h[:]) * t.factor >> t.shift)
}

func (t hashTable) has(list []wire.Hash, h wire.Hash) bool {
	if len(list) == 0 {
		return false // also the zero table
	}
	for s := t.slot(h); t.slots[s] != 0; s = (s + 1) % len(t.slots) {
		if list[t.slots[s]-1] == h {
			return true
		}
	}
	return false
}
