package engine

import (
	"fmt"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// Doubtful says why our view of the chain is not settled; empty if it is.
type Doubtful string

// Why nobody is blamed for contradicting our view.
const (
	Settled      Doubtful = ""
	NotSynced    Doubtful = "not-synced"
	JustSynced   Doubtful = "just-synced" // for a few slots after catching up
	TipOld       Doubtful = "tip-old"     // a block is overdue: we may have missed it
	Behind       Doubtful = "behind"      // a service node claims a higher tip
	BranchNear   Doubtful = "branch-near" // a second branch was seen at our tip
	SelfDoubting Doubtful = "self-doubt"  // too many peers contradict us
)

// confidence is what the engine remembers to know how settled its view is.
type confidence struct {
	wasSynced bool  // at the last tick
	lost      int32 // our height when we fell behind the network; state.NoHeight while we have not

	// While blocks passed we could not hear what belongs to them.
	missed    int32     // how many did, when it last happened
	since     int32     // our height then
	synced    time.Time // when we caught up; zero if we never had to
	contested int32     // our height when a second branch was last seen at the tip
}

func newConfidence() confidence { return confidence{lost: state.NoHeight} }

// watchSync notes when we fall behind the network and when we catch up. A node
// that starts with a current tip has nothing to catch up with, unless it was
// catching up when it stopped.
func (e *Engine) watchSync() {
	tip, c := e.tree.Tip().Height, &e.confidence
	c.wasSynced = e.synced()
	switch behind := c.lost != state.NoHeight; {
	case !c.wasSynced && !behind:
		c.lost = tip
	case c.wasSynced && behind:
		c.synced = e.now
		e.missed(tip - c.lost)
		c.lost = state.NoHeight
	}
}

// sawBranch notes a properly signed block of another branch.
func (e *Engine) sawBranch(height int32) {
	if tip := e.tree.Tip().Height; height > tip-params.SteadyBlocks {
		e.confidence.contested = tip
	}
}

// missed notes that so many blocks passed while we heard nothing else.
func (e *Engine) missed(blocks int32) {
	tip, c := e.tree.Tip().Height, &e.confidence
	if left := min(params.WarmUp, c.missed) - (tip - c.since); blocks > 0 && blocks >= left {
		c.missed, c.since = blocks, tip
	}
}

// reorganised notes that blocks were undone and others applied.
func (e *Engine) reorganised(undone, applied int, out *Effects) {
	e.confidence.contested = e.tree.Tip().Height
	out.Alarms = append(out.Alarms, Alarm{AlarmReorg, fmt.Sprintf("%d blocks below height %d were replaced by %d others", undone, e.tree.Tip().Height, applied)})
	e.missed(int32(applied))
}

// doubtful says why nobody should be blamed for contradicting our view now.
func (e *Engine) doubtful() Doubtful {
	tip := e.tree.Tip()
	_, claimed := e.sync.serviceNodes()
	settle := min(params.SettledSlots*e.config.Genesis.Slot(), params.SettledTime)
	switch c := e.confidence; {
	case !e.synced():
		return NotSynced
	case !c.wasSynced: // until the next tick tells since when
		return JustSynced
	case !c.synced.IsZero() && e.now.Sub(c.synced) < settle:
		return JustSynced
	case claimed > tip.Height:
		return Behind
	case e.slot() > tip.Slot+params.FreshSlots:
		return TipOld
	case c.contested > 0 && tip.Height <= c.contested+params.SteadyBlocks:
		return BranchNear
	case e.doubt.stands(e.now):
		return SelfDoubting
	default:
		return Settled
	}
}
