package engine

import (
	"time"

	"github.com/proctornet/proctor/params"
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
	wasSynced bool
	synced    time.Time // when we caught up; zero if we never had to
	contested int32     // our height when a second branch was last seen at the tip
}

// watchSync notes when we catch up with the network. A node that starts with
// a current tip has nothing to catch up with.
func (e *Engine) watchSync(first bool) {
	synced := e.synced()
	if synced && !e.confidence.wasSynced && !first {
		e.confidence.synced = e.now
	}
	e.confidence.wasSynced = synced
}

// sawBranch notes a properly signed block of another branch.
func (e *Engine) sawBranch(height int32) {
	if tip := e.chain.Tip().Height; height > tip-params.SteadyBlocks {
		e.confidence.contested = tip
	}
}

// doubtful says why nobody should be blamed for contradicting our view now.
func (e *Engine) doubtful() Doubtful {
	tip := e.chain.Tip()
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
