package forecast

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

// PoSe is how far a node is from a PoSe ban. Heights are told as blocks from
// now on. Source: spec/dash.md 2.1.
type PoSe struct {
	Score    int32 `json:"score"`
	Maximum  int32 `json:"maximum"`  // the score that bans
	Increase int32 `json:"increase"` // by one failed session
	Banned   bool  `json:"banned"`

	// Of a node that is not banned.
	Failures     int   `json:"failures_to_ban"`            // failed sessions that would ban it if the next block reported them
	OneBansFor   int32 `json:"one_failure_bans_for"`       // blocks in which one failure would; 0 if none would
	SecondWithin int32 `json:"second_failure_bans_within"` // blocks after a failure in the next block in which another would; 0 if the first does
	ZeroIn       int32 `json:"zero_in"`                    // blocks until nothing is left of the score
}

// PoSeOf tells of a score after the block at height, while so many nodes are
// registered.
func PoSeOf(p state.PoSe, height int32, registered int, profile params.Profile) PoSe {
	out := PoSe{
		Score: p.At(height), Maximum: state.PoSeMaximum(registered), Increase: state.PoSeIncrease(registered, profile), Banned: p.Banned(),
	}
	if out.Banned {
		return out
	}
	out.ZeroIn = out.Score
	out.OneBansFor = max(0, out.Score-(out.Maximum-out.Increase))
	once := p.Punish(height+1, registered, profile)
	if !once.Banned() {
		out.SecondWithin = max(0, once.Score+out.Increase-out.Maximum)
	}
	for next := p; !next.Banned(); out.Failures++ {
		next = next.Punish(height+1, registered, profile)
	}
	return out
}
