package engine

import (
	"iter"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// maxRosters bounds the rosters that are remembered: the last two sessions of
// every type on two branches.
const maxRosters = 4 * wire.MaxBlockCommitments

// roster returns who takes part in the session that begins at base, a block of
// branch; nil if there are too few for one. A base block fixes all below it,
// so each roster is drawn once. Source: spec/dash.md 4.
func (e *Engine) roster(branch Branch, q params.LLMQ, base *Link) *dkg.Roster {
	key := state.QuorumKey(q.Type, base.Tip.Hash)
	if r, known := e.rosters.get(key); known {
		return r
	}
	members, known := branch.Members(q, base.Tip.Height)
	if !known {
		return nil // so deep below the tip that nobody needs it any more
	}
	r, err := dkg.NewRoster(q, base.Tip.Height, base.Tip.Hash, members)
	if err != nil {
		r = nil
	}
	e.rosters.put(key, r)
	return r
}

// Members returns who is drawn for the session that begins at a height, if the
// block that draws them is on the branch: that is so some blocks before the
// session begins. They may be too few.
func (b Branch) Members(q params.LLMQ, base int32) ([]dkg.Member, bool) {
	from := b.At(base - dkg.SelectionDepth)
	if from == nil {
		return nil, false
	}
	evoOnly := q.Type == from.State.PlatformType()
	return dkg.Select(q, evoOnly, dkg.BlockModifier(q.Type, from.Tip.Hash), candidates(from.State)), true
}

// candidates walks the registry as package dkg sees it.
func candidates(s state.State) iter.Seq[dkg.Candidate] {
	return func(yield func(dkg.Candidate) bool) {
		for _, n := range s.Nodes() {
			if !yield(dkg.Candidate{ProTxHash: n.ProTxHash, ConfirmedHash: n.ConfirmedHash, OperatorKey: n.OperatorKey, Evo: n.Evo, Banned: !n.Tester()}) {
				return
			}
		}
	}
}

// lastRosters lists the rosters of sessions whose final commitments are still
// taken, of each type the newest first.
func (e *Engine) lastRosters() (rosters []*dkg.Roster) {
	tip := e.tree.Tip().Height
	for _, q := range e.state.LLMQs() {
		for base := dkg.BaseAt(q, tip); dkg.IsBase(q, base) && !dkg.Stale(q, base, tip); base -= q.DKGInterval {
			l := e.branch.At(base)
			if l == nil {
				break
			}
			if r := e.roster(e.branch, q, l); r != nil {
				rosters = append(rosters, r)
			}
		}
	}
	return rosters
}
