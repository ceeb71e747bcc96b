package state

import "github.com/proctornet/proctor/wire"

// Cause is what made a transition: an event, or else a certificate.
type Cause struct {
	Event  string      `json:"event,omitempty"`  // name of a wire.EventKind: register, contribute or exit
	Answer wire.Answer `json:"answer,omitempty"` // of the certificate; 0 for an event

	// Of a certificate.
	QuorumHeight int32     `json:"quorum_height,omitempty"` // block that drew the testers
	QuorumHash   wire.Hash `json:"quorum_hash,omitzero"`
	Voters       uint16    `json:"voters,omitempty"` // bit i stands for tester i of the draw
}

// Transition is one change of a node's service, with the arithmetic behind
// it: Credit = CreditBase + Earned - DownBlocks. The numbers of the network
// are those just before it.
type Transition struct {
	ProTxHash wire.Hash `json:"protx_hash"`
	Height    int32     `json:"height"`         // of the block
	From      Service   `json:"from,omitempty"` // 0: it was not registered
	To        Service   `json:"to,omitempty"`   // 0: it is gone
	Cause     Cause     `json:"cause"`

	CreditBase   int32 `json:"credit_base"`
	ActiveBlocks int32 `json:"active_blocks"`
	Earned       int32 `json:"earned"` // in them, as far as the cap let it
	DownBlocks   int32 `json:"down_blocks"`
	Credit       int32 `json:"credit"`
	NewCredit    int32 `json:"new_credit"` // just after it; 0 of a node that is gone

	Active         int   `json:"active"`
	Decommissioned int   `json:"decommissioned"`
	Brake          int   `json:"brake"` // nodes that may be decommissioned at once
	MinimumCredit  int32 `json:"minimum_credit"`
	UnlockHeight   int32 `json:"unlock_height"` // from when on the stake is free; NoHeight unless it is gone
}

// transition notes what happens to a node; before has no hash if it is new,
// after has none if it is gone. It is called before the records change.
func (d *draft) transition(before, after Node, cause Cause, unlock int32) {
	t := Transition{
		ProTxHash: before.ProTxHash, Height: d.height, Cause: cause,
		Active: d.index.active, Decommissioned: d.index.decommissioned, Brake: d.Brake(),
		MinimumCredit: d.rules.MinimumCredit, UnlockHeight: unlock,
	}
	if before.ProTxHash.IsZero() {
		t.ProTxHash = after.ProTxHash
	} else {
		c := before.CreditParts(d.height, d.rules)
		t.From = before.Service()
		t.CreditBase, t.ActiveBlocks, t.Earned, t.DownBlocks, t.Credit = c.Base, c.Active, c.Earned, c.Down, c.Total()
	}
	if !after.ProTxHash.IsZero() {
		t.To, t.NewCredit = after.Service(), after.Credit(d.height, d.rules)
	}
	d.diff.Transitions = append(d.diff.Transitions, t)
}
