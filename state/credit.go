package state

import (
	"math"

	"github.com/proctornet/proctor/params"
)

// Credit is how the credit of a node comes about, in blocks. Source:
// spec/oxen.md 2.3.
type Credit struct {
	Base   int32 // at the beginning of the active run
	Active int32 // blocks of that run
	Earned int32 // in it, as far as the cap lets it
	Down   int32 // blocks decommissioned since
}

// Total is Base + Earned - Down.
func (c Credit) Total() int32 { return clamp(int64(c.Base) + int64(c.Earned) - int64(c.Down)) }

// CreditParts returns how the credit of n comes about, as of a block at height.
func (n Node) CreditParts(height int32, r params.Service) Credit {
	c := Credit{Base: n.CreditBase}
	switch n.Service() {
	case Active:
		c.Active = clamp(int64(height) - int64(n.ActiveSince))
	case Decommissioned:
		c.Active = clamp(int64(n.DecommissionedHeight) - int64(n.ActiveSince))
		c.Down = clamp(int64(height) - int64(n.DecommissionedHeight))
	}
	earned := int64(max(c.Active, 0)) * int64(r.CreditPerDay) / int64(r.BlocksPerDay)
	// The cap comes before the downtime: a node at the cap loses from it at once.
	c.Earned = clamp(min(int64(c.Base)+earned, int64(r.MaxCredit)) - int64(c.Base))
	return c
}

// Credit returns for how many blocks n may be decommissioned before it is
// deregistered, as of a block at height; below zero it has been too long.
func (n Node) Credit(height int32, r params.Service) int32 { return n.CreditParts(height, r).Total() }

// Recommissioned returns the credit of a node after it came back: credit is
// what it had when it was decommissioned, down the blocks since.
// Source: DESIGN.md section 8.
func Recommissioned(credit, down int32, r params.Service) int32 {
	if !r.KeepsCredit {
		return 0
	}
	return clamp(max(0, int64(credit)-params.RecommissionPrice*int64(down)))
}

func clamp(v int64) int32 { return int32(min(max(v, math.MinInt32), math.MaxInt32)) }
