package state

import (
	"fmt"
	"math"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Change is what an update-service did to one node.
type Change struct {
	Node    Node // as it is just after the event
	Revived bool // it was PoSe-banned before
}

// event carries out e, which stands at index in the block.
func (d *draft) event(e wire.Event, index uint32) error {
	if e.Head().Network != d.network {
		return ErrNetwork
	}
	switch e := e.(type) {
	case wire.Register:
		return d.register(e, index)
	case wire.Contribute:
		return d.contribute(e, index)
	case wire.UpdateService:
		return d.updateService(e, index)
	case wire.Revoke:
		return d.revoke(e)
	case wire.Exit:
		return d.exit(e)
	default:
		return ErrKind
	}
}

// inSequence reports whether got is last + 1. After the highest sequence
// nothing follows: a wrap would let old events be replayed.
func inSequence(last, got uint64) error {
	if last == math.MaxUint64 || got != last+1 {
		return fmt.Errorf("%w: got %d after %d", ErrSequence, got, last)
	}
	return nil
}

func (d *draft) staker(key wire.StakerKey, sequence uint64) (Staker, error) {
	v, ok := d.Staker(key)
	if !ok {
		return v, ErrStaker
	}
	v = v.unlocked(d.height)
	err := inSequence(v.Sequence, sequence)
	v.Sequence = sequence
	return v, err
}

func (d *draft) operated(proTx wire.Hash, sequence uint64) (Node, error) {
	n, ok := d.Node(proTx)
	if !ok {
		return n, ErrUnknown
	}
	if err := inSequence(n.Sequence, sequence); err != nil {
		return n, err
	}
	n.Sequence = sequence
	if n.Revoked {
		return n, ErrRevoked
	}
	return n, nil
}

// Where no stake is required there is nothing to contribute, so every amount
// is too much and only the genesis registers: nodes that cost nothing could
// be made until they are the majority of every quorum.
func (d *draft) register(e wire.Register, index uint32) error {
	staker, err := d.staker(e.Staker, e.Sequence)
	if err != nil {
		return err
	}
	_, serviceUsed := d.index.services.Get(wire.Hash(e.ServiceKey))
	_, operatorUsed := d.index.operators.Get(operatorHash(e.OperatorKey))
	// Under the all-zero service key, a point of order 4, anybody can sign; the
	// all-zero operator key is that of revoked nodes.
	if serviceUsed || operatorUsed || e.ServiceKey == (wire.ServiceKey{}) || e.OperatorKey == (wire.OperatorKey{}) {
		return ErrKey
	}
	proTx := e.ProTxHash()
	_, alive := d.Node(proTx)
	if _, dead := d.Tombstone(proTx); alive || dead || proTx.IsZero() {
		return ErrHash
	}
	if e.Platform != "" && !e.Evo {
		return ErrPlatform
	}
	n := newNode(proTx, e.Evo, e.OperatorKey, e.ServiceKey, e.Addresses, e.Platform, d.height, d.rules)
	n, err = d.pledge(n, staker, e.Amount, index)
	if err != nil {
		return err
	}
	d.transition(Node{}, n, Cause{Event: e.Kind().String()}, NoHeight)
	d.update(n)
	return nil
}

func (d *draft) contribute(e wire.Contribute, index uint32) error {
	staker, err := d.staker(e.Staker, e.Sequence)
	if err != nil {
		return err
	}
	before, ok := d.Node(e.ProTxHash)
	switch {
	case !ok:
		return ErrUnknown
	case before.Service() != Awaiting:
		return ErrFunded
	case before.Revoked: // it could never serve
		return ErrRevoked
	case before.ExitHeight != NoHeight: // it is gone in the next block
		return ErrExiting
	}
	n, err := d.pledge(before, staker, e.Amount, index)
	if err != nil {
		return err
	}
	if n.Service() == Active {
		d.transition(before, n, Cause{Event: e.Kind().String()}, NoHeight)
	}
	d.update(n)
	return nil
}

// pledge takes an amount out of a staker's free stake and returns n with it,
// active if that completes the requirement.
//
// A contribution is at least an even share of what is missing among the
// places left, so that strangers cannot take all places and leave the node
// unfilled (spec/oxen.md 10.1, contribution minima).
func (d *draft) pledge(n Node, staker Staker, amount uint64, index uint32) (Node, error) {
	missing := d.requirement - min(d.requirement, n.Staked())
	places := uint64(max(1, params.MaxStakers-len(n.Stakes))) // a full node awaits the rest of those it has
	least := missing/places + min(1, missing%places)
	own := n.PledgeOf(staker.Key)
	switch {
	case amount == 0 || amount < least || amount > missing:
		return n, fmt.Errorf("%w: %d of %d missing, at least %d", ErrAmount, amount, missing, least)
	case own < 0 && len(n.Stakes) >= params.MaxStakers:
		return n, ErrStakers
	case own < 0 && int(staker.Pledges)+len(staker.Locks) >= params.MaxStakerPledges:
		return n, ErrPledges
	case amount > staker.Free(d.height):
		return n, fmt.Errorf("%w: %d of %d", ErrStake, amount, staker.Free(d.height))
	}
	n.Stakes = slices.Clone(n.Stakes)
	if own < 0 {
		n.Stakes = append(n.Stakes, Pledge{staker.Key, amount})
		staker.Pledges++
	} else {
		n.Stakes[own].Amount += amount
	}
	staker.Pledged += amount
	d.putStaker(staker)
	if amount == missing {
		n = n.activated(d.height, index)
	}
	return n, nil
}

func (d *draft) updateService(e wire.UpdateService, index uint32) error {
	n, err := d.operated(e.ProTxHash, e.Sequence)
	if err != nil {
		return err
	}
	if e.Platform != "" && !n.Evo {
		return ErrPlatform
	}
	change := Change{Revived: n.PoSeBanned()}
	n.Addresses, n.Platform, n.UpdatedHeight = e.Addresses, e.Platform, d.height
	if change.Revived {
		n.PoSe, n.RevivedHeight = n.PoSe.Revive(d.height), d.height
		if n.Service() == Active { // or the time it was banned would count as waiting: spec/dash.md 2.5
			n = n.behind(d.height, index)
		}
	}
	d.update(n)
	change.Node, _ = d.Node(n.ProTxHash)
	d.diff.Changes = append(d.diff.Changes, change)
	return nil
}

// revoke leaves the service key: it still names the node, which is tested and
// can be deregistered until its stakers let it leave.
func (d *draft) revoke(e wire.Revoke) error {
	n, err := d.operated(e.ProTxHash, e.Sequence)
	if err != nil {
		return err
	}
	n.Revoked, n.OperatorKey = true, wire.OperatorKey{}
	n.PoSe = n.PoSe.Ban(d.height)
	d.update(n)
	return nil
}

// exit gives no immunity: until it leaves, the node is tested and judged like
// any other.
func (d *draft) exit(e wire.Exit) error {
	staker, err := d.staker(e.Staker, e.Sequence)
	if err != nil {
		return err
	}
	n, ok := d.Node(e.ProTxHash)
	switch {
	case !ok:
		return ErrUnknown
	case n.PledgeOf(staker.Key) < 0:
		return ErrNotStaker
	case n.ExitHeight != NoHeight:
		return ErrExiting
	}
	n.ExitHeight = d.height
	if n.Service() != Awaiting {
		n.ExitHeight = later(d.height, d.rules.ExitDelay)
	}
	d.putStaker(staker)
	d.putNode(n)
	return nil
}
