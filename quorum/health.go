package quorum

import "github.com/proctornet/proctor/params"

// Ailment is why a node gives no negative answers: the same word in metric and
// explanation.
type Ailment string

// The ailments, in the order they are looked for.
const (
	Sound     Ailment = "" // none
	TipOld    Ailment = "tip-old"
	FewPeers  Ailment = "few-peers"
	FewProofs Ailment = "few-proofs"
	WarmingUp Ailment = "warming-up"
)

// Ailments lists every one but Sound.
func Ailments() []Ailment { return []Ailment{TipOld, FewPeers, FewProofs, WarmingUp} }

// Vitals is what tells whether a node may trust its ears. A process that runs
// for long is not healthy by that: it may be cut off.
type Vitals struct {
	SlotsBehind int64 // slots the tip is older than the clock
	Peers       int   // connected
	Others      int   // service nodes in the registry beside ourselves
	Active      int   // those of them that are active
	Fresh       int   // and have a fresh proof
	Missed      int32 // blocks made while we were down before the last start
	Since       int32 // blocks heard live since
}

// Ailment returns the first thing wrong with a node, Sound if it may give
// negative answers. Source: DESIGN.md section 6, rule 4.
func (v Vitals) Ailment() Ailment {
	switch {
	case v.SlotsBehind > params.SyncedWithin:
		return TipOld
	case v.Peers < min(params.LeastPeers, v.Others):
		return FewPeers
	case v.Others > 0 && 2*v.Fresh <= v.Active:
		return FewProofs
	case v.Since < min(params.WarmUp, v.Missed):
		return WarmingUp
	}
	return Sound
}
