package forecast

import (
	"math"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// Outage is what comes of it if a node falls silent now and never comes back:
// the earliest blocks that the rules allow. Testers that are few, or the brake
// on decommissions, may delay it.
type Outage struct {
	FailsAt        int32 `json:"fails_at"`          // height at which testers first see its proof too old
	Decommissioned int32 `json:"decommissioned_at"` // NoHeight if it is decommissioned already, or never is
	Deregistered   int32 `json:"deregistered_at"`
	Unlocked       int32 `json:"stake_unlocked_at"`
	Left           int32 `json:"blocks_left"` // until it is deregistered
}

// OutageOf tells of a node that is funded, after the block at height. Its last
// uptime proof was heard at lastProof, or never. Source: seed "Deregistration
// Rules"; DESIGN.md section 6, rules 2 to 9.
func OutageOf(n state.Node, lastProof, height int32, r params.Service) Outage {
	out := Outage{Decommissioned: state.NoHeight}
	out.FailsAt = height
	if lastProof != state.NoHeight {
		out.FailsAt = max(height, later(lastProof, r.ProofValidity+1))
	}
	first := answered(max(n.RegisteredHeight, n.ActiveSince, n.LastDecommission), out.FailsAt)
	credit := n.Credit(first, r)
	switch {
	case n.Service() == state.Decommissioned:
		out.Deregistered = max(first, overdrawn(n.Credit(height, r), height))
	case credit < r.MinimumCredit:
		out.Deregistered = first
	default:
		out.Decommissioned = first
		out.Deregistered = answered(first, overdrawn(credit, first)-1)
	}
	out.Unlocked = later(out.Deregistered, r.StakeLock)
	out.Left = out.Deregistered - height
	return out
}

// answered is the first block that may carry a certificate of what testers see
// from a height on: of a draw above the last change of the node, and one block
// above the height at which they answer.
func answered(changed, seen int32) int32 {
	return later(max(seen, later(changed, 1+params.VoteDelay)), 1)
}

// overdrawn is the height at which a credit is below zero.
func overdrawn(credit, height int32) int32 { return later(height, max(credit, -1)+1) }

func later(height, blocks int32) int32 {
	return int32(min(int64(height)+int64(blocks), math.MaxInt32))
}
