package state

import (
	"fmt"
	"math"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// lastIndex is the place in a block of what comes after its events.
const lastIndex = math.MaxUint32

// Apply returns the state after b and what b changed. The header has been
// judged by package chain; signatures, and of certificates age, testers and
// targets, by package engine. State judges the rest. On error s is still the
// state.
//
// The order: who asked to leave leaves, the next in the reward order is paid,
// nodes are confirmed, commitments, events, certificates.
//
// sessions are those that the commitments of b end, in their order; whether
// they are the ones that b must carry, and their signatures, is for package
// engine. Commitments come before the events, where Dash's blocks have them:
// an update-service of the same block lifts a ban, and a registration does
// not raise the bar. Source: spec/dash.md 2.2.
func (s State) Apply(b wire.Block, sessions ...Session) (State, Diff, error) {
	height := b.Header.Height
	if root := s.Root(); b.Header.StateRoot != root {
		return s, Diff{}, fmt.Errorf("block %d says %s, we have %s: %w", height, b.Header.StateRoot.Short(), root.Short(), ErrRoot)
	}
	d := s.draft(height)
	payee, anyone := s.NextPaid() // of the state before: it can be known ahead
	d.leave()
	if anyone {
		d.pay(payee)
	}
	d.confirm(b.Header.Parent)
	if err := d.form(b.Commitments, sessions); err != nil {
		return s, Diff{}, fmt.Errorf("block %d: %w", height, err)
	}
	for i, e := range b.Events {
		if err := d.event(e, uint32(i)); err != nil {
			return s, Diff{}, fmt.Errorf("block %d, %s of %s: %w", height, e.Kind(), e.Record().Short(), err)
		}
	}
	if err := checkOrder(b.Certificates); err != nil {
		return s, Diff{}, fmt.Errorf("block %d: %w", height, err)
	}
	for _, c := range b.Certificates {
		if err := d.certificate(c); err != nil {
			return s, Diff{}, fmt.Errorf("block %d, %s of %s by the testers of %d: %w", height, c.Answer, c.ProTxHash.Short(), c.Height, err)
		}
	}
	next, diff := d.finish()
	return next, diff, nil
}

// CheckEvent reports why e could not stand in a block at height on top of s;
// nil if it could.
func (s State) CheckEvent(height int32, e wire.Event) error {
	d := s.draft(height)
	d.leave()
	return d.event(e, 0)
}

// CheckResult reports why a certificate with that ballot would not be legal
// in a block at height on top of s; nil if it would. Whether it is of the
// right age and about a target is for the caller to know.
func (s State) CheckResult(height int32, b wire.Ballot) error {
	d := s.draft(height)
	d.leave()
	_, _, err := d.judge(b)
	return err
}

// leave lets nodes go whose time to leave has come. Their stake is free at once.
func (d *draft) leave() {
	for key, proTx := range d.index.exits.all() { // of the version at the start
		if key >= rank(d.height, 0) {
			break
		}
		n, _ := d.Node(proTx)
		d.transition(n, Node{}, Cause{Event: wire.KindExit.String()}, d.height)
		d.release(n, NoHeight)
		d.bury(Tombstone{
			ProTxHash: n.ProTxHash, Evo: n.Evo, ServiceKey: n.ServiceKey,
			RegisteredHeight: n.RegisteredHeight, Height: d.height, UnlockHeight: d.height,
		})
	}
}

// pay moves the payee to the end of the reward order. One that left in this
// very block is paid too: it was due before.
func (d *draft) pay(payee wire.Hash) {
	d.diff.Paid = payee
	if n, ok := d.Node(payee); ok {
		d.putNode(n.behind(d.height, lastIndex))
	}
}

// confirm gives nodes that are registered long enough the hash of the block
// before, from which their places in the draws of quorums follow.
// Source: spec/dash.md 2.2, step 3.
func (d *draft) confirm(parent wire.Hash) {
	last := rank(later(d.height, -1-d.confirmations), 0)
	for registered, proTx := range d.index.unconfirmed.all() { // of the version at the start
		if registered > last {
			break
		}
		n, _ := d.Node(proTx)
		n.ConfirmedHash = parent
		d.putNode(n)
	}
}

// release gives the stakes of a node that is gone back to their owners, from
// unlock on unless that is NoHeight.
func (d *draft) release(n Node, unlock int32) {
	for _, p := range n.Stakes {
		staker, _ := d.Staker(p.Staker)
		staker = staker.unlocked(d.height)
		staker.Pledged -= p.Amount
		staker.Pledges--
		if unlock != NoHeight {
			staker.Locks = append(staker.Locks, Lock{n.ProTxHash, p.Amount, unlock})
		}
		d.putStaker(staker)
	}
}

// newNode returns a node that awaits its stake.
func newNode(proTx wire.Hash, evo bool, operator wire.OperatorKey, service wire.ServiceKey, addresses []string, platform string, height int32, r params.Service) Node {
	n := Node{
		ProTxHash: proTx, Evo: evo, OperatorKey: operator, ServiceKey: service, Addresses: addresses, Platform: platform,
		PoSe: NoPoSe(), RegisteredHeight: height, RevivedHeight: NoHeight, UpdatedHeight: NoHeight,
		ActiveSince: NoHeight, DecommissionedHeight: NoHeight, LastDecommission: NoHeight,
		CreditBase: r.InitialCredit, PenaltyHeight: NoHeight, RewardHeight: NoHeight, ExitHeight: NoHeight, Position: -1,
	}
	if len(addresses) == 0 {
		n.PoSe = n.PoSe.Ban(height) // spec/dash.md 2.3
	}
	return n
}

// activated returns n, whose active run begins.
func (n Node) activated(height int32, index uint32) Node {
	n.ActiveSince = height
	return n.behind(height, index)
}

// behind returns n at a place at the bottom of the reward order.
func (n Node) behind(height int32, index uint32) Node {
	n.RewardHeight, n.RewardIndex = height, index
	return n
}

// later returns height + blocks without wrapping.
func later(height, blocks int32) int32 { return clamp(int64(height) + int64(blocks)) }
