package state

import (
	"math"

	"github.com/proctornet/proctor/params"
)

// PoSe is the Proof of Service score of one node. It falls by one per block
// unless the node is banned; the fall is computed when the score is read, so
// that a block does not touch every node. Source: seed "Dash Proof of
// Service"; spec/dash.md 2.1.
type PoSe struct {
	Score     int32 `json:"pose_score"`
	Height    int32 `json:"pose_score_height"` // of the block after which Score was true
	BanHeight int32 `json:"pose_ban_height"`   // NoHeight unless banned
}

// NoPoSe is the score of a node that never failed.
func NoPoSe() PoSe { return PoSe{BanHeight: NoHeight} }

// PoSeMaximum returns the score that bans when so many nodes are registered.
func PoSeMaximum(registered int) int32 {
	return clamp(max(params.PoSeFloor, int64(registered)))
}

// PoSeIncrease returns what one failed DKG session costs.
func PoSeIncrease(registered int, p params.Profile) int32 {
	return clamp(int64(PoSeMaximum(registered)) * int64(p.PoSeNumerator) / int64(p.PoSeDenominator))
}

// Banned reports whether the node is banned.
func (p PoSe) Banned() bool { return p.BanHeight != NoHeight }

// At returns the score after the block at height.
func (p PoSe) At(height int32) int32 {
	if p.Banned() || height <= p.Height {
		return p.Score
	}
	return clamp(max(0, int64(p.Score)-(int64(height)-int64(p.Height))))
}

// Punish returns p after a failed session that the block at height reports.
// That block's own fall comes first.
func (p PoSe) Punish(height int32, registered int, profile params.Profile) PoSe {
	limit := PoSeMaximum(registered)
	highest := int32(math.MaxInt32)
	if profile.PoSeCapped {
		highest = limit
	}
	p.Score, p.Height = clamp(min(int64(p.At(height))+int64(PoSeIncrease(registered, profile)), int64(highest))), height
	if !p.Banned() && p.Score >= limit {
		p.BanHeight = height
	}
	return p
}

// Ban returns p after the block at height banned the node for another reason
// than its score, which stays what it was. Source: spec/dash.md 2.3.
func (p PoSe) Ban(height int32) PoSe {
	if p.Banned() {
		return p
	}
	return PoSe{Score: p.At(height), Height: height, BanHeight: height}
}

// Revive returns p after the block at height lifted a ban.
func (p PoSe) Revive(height int32) PoSe { return PoSe{Height: height, BanHeight: NoHeight} }
