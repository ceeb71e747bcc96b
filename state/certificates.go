package state

import (
	"bytes"
	"cmp"
	"math"

	"github.com/proctornet/proctor/wire"
)

// effect is what a certificate does to its target.
type effect uint8

const (
	decommissions effect = iota
	deregisters
	recommissions
	demotes // to the bottom of the reward order
)

// removes reports whether the effect counts towards the removals of a block.
func (e effect) removes() bool { return e == decommissions || e == deregisters }

// checkOrder holds certificates to one order, so that a set of them makes one
// block.
func checkOrder(list []wire.Certificate) error {
	targets := make(map[wire.Hash]bool, len(list))
	for i, c := range list {
		if i > 0 {
			last := list[i-1]
			if cmp.Or(cmp.Compare(last.Height, c.Height), bytes.Compare(last.ProTxHash[:], c.ProTxHash[:])) >= 0 {
				return ErrOrder
			}
		}
		if targets[c.ProTxHash] {
			return ErrTarget
		}
		targets[c.ProTxHash] = true
	}
	return nil
}

// judge returns what a certificate with that ballot does. The voters only say
// what they saw; the punishment follows from the state alone. Source:
// DESIGN.md section 6, rules 7 to 9.
func (d *draft) judge(b wire.Ballot) (Node, effect, error) {
	n, ok := d.Node(b.ProTxHash)
	if !ok {
		return n, 0, ErrUnknown
	}
	e, err := d.effect(n, b.Answer)
	switch {
	case err != nil:
		return n, 0, err
	// A quorum knows nothing about a node that changed since it was drawn.
	case b.Height <= max(n.RegisteredHeight, n.ActiveSince, n.LastDecommission) || e == demotes && b.Height <= n.PenaltyHeight:
		return n, 0, ErrStale
	case e.removes() && d.removals >= d.removalLimit():
		return n, 0, ErrRemovals
	}
	return n, e, nil
}

func (d *draft) effect(n Node, a wire.Answer) (effect, error) {
	service, credit := n.Service(), n.Credit(d.height, d.rules)
	braked := d.index.decommissioned >= d.Brake()
	switch {
	case !a.Fails() && a != wire.Passes && a != wire.TwoAddresses:
		return 0, ErrKind
	case a == wire.Passes && service == Decommissioned:
		return recommissions, nil
	case a == wire.TwoAddresses && service == Active:
		return demotes, nil
	case a.Fails() && service == Active && braked:
		return 0, ErrBrake
	case a.Fails() && service == Active && credit >= d.rules.MinimumCredit:
		return decommissions, nil
	case a.Fails() && service == Active:
		return deregisters, nil
	case a.Fails() && service == Decommissioned && credit >= 0:
		return 0, ErrCredit
	case a.Fails() && service == Decommissioned && braked && credit >= -d.rules.MaxCredit:
		return 0, ErrBrake
	case a.Fails() && service == Decommissioned:
		return deregisters, nil
	default:
		return 0, ErrService
	}
}

// certificate carries out c.
func (d *draft) certificate(c wire.Certificate) error {
	before, e, err := d.judge(c.Ballot)
	if err != nil {
		return err
	}
	if e.removes() {
		d.removals++
	}
	cause := Cause{Answer: c.Answer, QuorumHeight: c.Height, QuorumHash: c.BlockHash, Voters: c.Voters}
	if e == deregisters {
		d.deregister(before, cause)
		return nil
	}
	n := before
	switch e {
	case decommissions:
		n.DecommissionedHeight, n.LastDecommission = d.height, d.height
		n.Decommissions = min(n.Decommissions, math.MaxUint16-1) + 1
		n.Cause = c.Answer
	case recommissions:
		down := n.CreditParts(d.height, d.rules).Down
		n.CreditBase = Recommissioned(n.Credit(n.DecommissionedHeight, d.rules), down, d.rules)
		n.DecommissionedHeight = NoHeight
		n = n.activated(d.height, lastIndex)
	case demotes:
		n.PenaltyHeight = d.height
		n = n.behind(d.height, lastIndex)
	}
	d.transition(before, n, cause, NoHeight)
	d.update(n)
	return nil
}

func (d *draft) deregister(n Node, cause Cause) {
	unlock := later(d.height, d.rules.StakeLock)
	d.transition(n, Node{}, cause, unlock)
	d.release(n, unlock)
	d.bury(Tombstone{
		ProTxHash: n.ProTxHash, Evo: n.Evo, Deregistered: true, ServiceKey: n.ServiceKey,
		RegisteredHeight: n.RegisteredHeight, Height: d.height, UnlockHeight: unlock, Cause: cause.Answer,
	})
}
