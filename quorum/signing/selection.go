package signing

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Signing. Source: spec/dash.md 7.2, 7.4; delays are Proctor's, in blocks.
const (
	SignHeightOffset = 8 // blocks below a request's height at which its quorum is taken
	RetryBlocks      = 1 // from one recovery member to the next
)

// Active returns the quorums that sign at height, newest first. Commitments
// are mined in windows only, so the set changes in no other block. Of two
// mined in one block the lower hash is the newer. Source: spec/dash.md 3.3.
func Active(p params.LLMQ, mined []Mined, height int32) []Mined {
	return newest(mined, int64(height), p.SigningActive)
}

// Acceptable returns the quorums whose shares and signatures are taken at tip,
// newest first. Source: spec/dash.md 3.3.
func Acceptable(p params.LLMQ, mined []Mined, tip int32) []Mined {
	return newest(mined, int64(tip), p.KeepOldConnections)
}

func newest(mined []Mined, height int64, count int) []Mined {
	list := slices.DeleteFunc(slices.Clone(mined), func(m Mined) bool { return int64(m.Height) > height })
	slices.SortFunc(list, func(a, b Mined) int {
		return cmp.Or(cmp.Compare(b.Height, a.Height), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return list[:min(len(list), count)]
}

// Select returns the quorum that signs request id at height; ok is false if
// there is none yet. Quorums of rotated types choose by another rule, which is
// not here: none is ever selected. Source: spec/dash.md 7.2.
func Select(p params.LLMQ, mined []Mined, id wire.Hash, height int32) (quorum Mined, ok bool) {
	pool := newest(mined, int64(height)-SignHeightOffset, p.SigningActive)
	if len(pool) == 0 || p.Rotated {
		return Mined{}, false
	}
	return slices.MinFunc(pool, func(a, b Mined) int {
		x, y := selectionHash(p.Type, a.Hash, id), selectionHash(p.Type, b.Hash, id)
		return bytes.Compare(x[:], y[:])
	}), true
}

func selectionHash(t wire.LLMQType, quorum, id wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte{byte(t)}, quorum[:], id[:])
}

// RecoveryMembers returns the members that collect shares of request id, in
// the order in which they are tried. Source: spec/dash.md 7.4.
func (q *Quorum) RecoveryMembers(id wire.Hash) []wire.Hash {
	list := slices.Clone(q.members)
	slices.SortFunc(list, func(a, b wire.Hash) int {
		x, y := wire.DoubleHash(a[:], id[:]), wire.DoubleHash(b[:], id[:])
		return bytes.Compare(x[:], y[:])
	})
	return list[:min(len(list), q.params.RecoveryMembers)]
}
