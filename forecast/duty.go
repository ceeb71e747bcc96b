package forecast

import (
	"cmp"
	"slices"
	"sort"

	"github.com/proctornet/proctor/wire"
)

// Kind is what a duty is, a closed set.
type Kind string

// The kinds of duties.
const (
	Session    Kind = "dkg-session"  // take part in the making of a quorum; who does not raises its PoSe score
	Checkpoint Kind = "checkpoint"   // publish the hash of a block, as a tester or on probation; who does not is decommissioned
	Answer     Kind = "answer"       // answer as a tester
	Proof      Kind = "uptime-proof" // send one; who does not is decommissioned
)

// Duty is something that a node must be there for, between two heights.
type Duty struct {
	Kind   Kind          `json:"kind"`
	Type   wire.LLMQType `json:"llmq_type,omitempty"` // of a session
	Height int32         `json:"height"`              // of the session's base block, of the draw; of a proof as From
	From   int32         `json:"from"`                // first and last height at which it is done
	Until  int32         `json:"until"`               //
	All    bool          `json:"all"`                 // at all of them; else one is enough
	Chance float64       `json:"chance"`              // that it is this node's at all, 0 to 1; 1 where it is known
}

// MissedBy reports whether a node misses d that goes down after the block at
// height last, and is back only after so many more.
func (d Duty) MissedBy(last, blocks int32) bool {
	back := later(last, blocks) // it does not see this one in time either
	if d.All {
		return d.From <= back && d.Until > last
	}
	return d.From > last && d.Until <= back
}

func sortDuties(duties []Duty) {
	slices.SortStableFunc(duties, func(a, b Duty) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Until, b.Until)) })
}

// MaxRisk is how likely an absence that counts as safe misses a duty that is
// not known yet.
const MaxRisk = 0.01

// risk is how likely an absence misses any of the duties.
func risk(duties []Duty, last, blocks int32) float64 {
	kept := 1.0
	for _, d := range duties {
		if d.MissedBy(last, blocks) {
			kept *= 1 - d.Chance
		}
	}
	return 1 - kept
}

// Window is a stretch of blocks after each of which a node may go down for so
// many blocks.
type Window struct {
	Blocks int32   `json:"blocks"` // of the absence
	From   int32   `json:"from"`   // heights of the tip at which it may begin
	Until  int32   `json:"until"`
	Risk   float64 `json:"risk"` // that it misses a duty which is not known yet, at the worst of them
}

// nextWindow returns the first stretch at or above tip, up to the height end.
func nextWindow(duties []Duty, blocks, tip, end int32) (w Window, ok bool) {
	for last := tip; last <= end; last++ {
		r := risk(duties, last, blocks)
		switch safe := r <= MaxRisk; {
		case safe && !ok:
			w, ok = Window{Blocks: blocks, From: last, Until: last, Risk: r}, true
		case safe:
			w.Until, w.Risk = last, max(w.Risk, r)
		case ok:
			return w, true
		}
	}
	return w, ok
}

// longest returns for how many blocks, at most so many, there is a window at
// all; 0 if for none.
func longest(duties []Duty, most, tip, end int32) int32 {
	// A longer absence misses whatever a shorter one does.
	return int32(sort.Search(int(most), func(i int) bool {
		_, ok := nextWindow(duties, int32(i)+1, tip, end)
		return !ok
	}))
}
