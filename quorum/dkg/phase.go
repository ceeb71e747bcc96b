package dkg

import "github.com/proctornet/proctor/params"

// Phase is a stretch of blocks of a session. Source: spec/dash.md 5.1.
type Phase uint8

// The phases, in order.
const (
	Initialized Phase = iota + 1
	Contribute
	Complain
	Justify
	Commit
	Finalize
	Idle
)

var phaseNames = [...]string{"none", "initialized", "contribute", "complain", "justify", "commit", "finalize", "idle"}

func (p Phase) String() string {
	if int(p) >= len(phaseNames) {
		return phaseNames[0]
	}
	return phaseNames[p]
}

// MarshalText encodes p as String does.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// PhaseAt returns the phase, at a height, of the session with base block at
// base; 0 below the base. Idle never ends.
func PhaseAt(q params.LLMQ, base, height int32) Phase {
	if height < base {
		return 0
	}
	return Phase(min(int64(Idle), (int64(height)-int64(base))/int64(q.DKGPhaseBlocks)+1))
}

// BaseAt returns the height of the last base block at or below a height.
func BaseAt(q params.LLMQ, height int32) int32 { return height - height%q.DKGInterval }

// IsBase reports whether a session starts at a height. None does where there
// are no blocks to draw its members from.
func IsBase(q params.LLMQ, height int32) bool {
	return height >= SelectionDepth && height%q.DKGInterval == 0
}

// MiningBase returns the base height of the session whose commitment a block
// at that height must carry, real or null, unless a real one is already in a
// block below; ok is false outside of every mining window. Source: spec/dash.md 5.7.
func MiningBase(q params.LLMQ, height int32) (base int32, ok bool) {
	base = BaseAt(q, height)
	offset := height - base
	return base, IsBase(q, base) && q.MiningStart <= offset && offset <= q.MiningEnd
}

// Stale reports whether a final commitment is of no use any more, so that a
// peer that still sends it is charged like for a bad one. Source: spec/dash.md 5.6.
func Stale(q params.LLMQ, base, tip int32) bool {
	return int64(base) < int64(tip)-int64(q.DKGInterval)
}
