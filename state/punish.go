package state

import "github.com/proctornet/proctor/wire"

// Punishment is what one failed DKG session did to one node, with the
// arithmetic behind it: After = Before + Increase, at most Maximum in profiles
// that cap.
type Punishment struct {
	ProTxHash  wire.Hash `json:"protx_hash"`
	Height     int32     `json:"height"`     // of the block
	Registered int       `json:"registered"` // nodes then
	Before     int32     `json:"before"`     // this block's fall included
	Increase   int32     `json:"increase"`
	After      int32     `json:"after"`
	Maximum    int32     `json:"maximum"` // the score that bans
	Bans       bool      `json:"bans"`    // this failure banned it
}

// punish carries out one mined commitment that found these members not valid.
// Who left the registry meanwhile is beyond punishment. Source: spec/dash.md
// 2.1 and 2.4.
func (d *draft) punish(invalid []wire.Hash) {
	for _, proTx := range invalid {
		n, ok := d.Node(proTx)
		if !ok {
			continue
		}
		before, registered := n.PoSe, d.NodeCount()
		n.PoSe = before.Punish(d.height, registered, d.profile)
		d.diff.Punishments = append(d.diff.Punishments, Punishment{
			ProTxHash: proTx, Height: d.height, Registered: registered,
			Before: before.At(d.height), Increase: PoSeIncrease(registered, d.profile), After: n.PoSe.Score,
			Maximum: PoSeMaximum(registered), Bans: n.PoSe.Banned() && !before.Banned(),
		})
		d.update(n)
	}
}
