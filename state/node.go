// Package state holds what nodes know about service nodes: the registry,
// which all nodes agree on because it is a function of the blocks and of
// nothing else, and each node's own platform-ban flags. Everything here is a
// value: a change answers with a new one and leaves the old one valid.
//
// What is agreed is a set of records, see Record. All else in a State is
// derived from them in one place, the index.
package state

import (
	"encoding/binary"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// NoHeight stands where something has never happened.
const NoHeight int32 = -1

// Service is the service state of a registered node. A node that left or was
// deregistered has no record. Source: seed "Deregistration Rules".
type Service uint8

// The service states.
const (
	Awaiting       Service = 1 // the staking requirement is not met yet
	Active         Service = 2
	Decommissioned Service = 3 // listed and tested, but without duties and rewards
)

func (s Service) String() string {
	switch s {
	case Awaiting:
		return "awaiting"
	case Active:
		return "active"
	case Decommissioned:
		return "decommissioned"
	default:
		return fmt.Sprintf("service-%d", uint8(s))
	}
}

// MarshalText encodes s as String does.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText decodes what MarshalText returns.
func (s *Service) UnmarshalText(text []byte) error {
	for _, known := range []Service{Awaiting, Active, Decommissioned} {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("service state %.40q is unknown: %w", text, wire.ErrValue)
}

// Pledge is stake of one staker that is locked in one service node.
type Pledge struct {
	Staker wire.StakerKey `json:"staker"`
	Amount uint64         `json:"amount"`
}

// Node is one registered service node.
type Node struct {
	ProTxHash     wire.Hash        `json:"protx_hash"`
	Evo           bool             `json:"evo"`          // evonode, not regular masternode
	Revoked       bool             `json:"revoked"`      // given up by its operator: PoSe-banned for good
	OperatorKey   wire.OperatorKey `json:"operator_key"` // zero once revoked
	ServiceKey    wire.ServiceKey  `json:"service_key"`
	ConfirmedHash wire.Hash        `json:"confirmed_hash"`     // of the block before the one that confirmed it, see draft.confirm; zero until then
	Sequence      uint64           `json:"sequence"`           // of the last accepted event
	Addresses     []string         `json:"addresses"`          // multiaddresses; none while it never announced one
	Platform      string           `json:"platform,omitempty"` // endpoint of an evonode's platform service
	Stakes        []Pledge         `json:"stakes"`             // in the order they were made, the owner's first

	PoSe

	RegisteredHeight     int32       `json:"registered_height"`
	RevivedHeight        int32       `json:"revived_height"`        // NoHeight unless it was ever revived
	UpdatedHeight        int32       `json:"updated_height"`        // of the last update-service; NoHeight if none
	ActiveSince          int32       `json:"active_since"`          // block in which the present or last active run began; NoHeight while awaiting
	DecommissionedHeight int32       `json:"decommissioned_height"` // NoHeight unless decommissioned now
	LastDecommission     int32       `json:"last_decommission"`     // NoHeight unless ever decommissioned
	Decommissions        uint16      `json:"decommissions"`         // how often, at most the largest uint16
	Cause                wire.Answer `json:"cause"`                 // of the last decommission
	CreditBase           int32       `json:"credit_base"`           // credit at ActiveSince
	PenaltyHeight        int32       `json:"penalty_height"`        // of the last address penalty; NoHeight if none
	RewardHeight         int32       `json:"reward_height"`         // place in the reward order; NoHeight while awaiting
	RewardIndex          uint32      `json:"reward_index"`
	ExitHeight           int32       `json:"exit_height"` // leaves in the first block above; NoHeight if nobody asked
	Position             int32       `json:"position"`    // in the array of funded nodes, see State.At; -1 while awaiting
}

// Service returns the service state of n. It is independent of PoSe.
func (n Node) Service() Service {
	switch {
	case n.ActiveSince == NoHeight:
		return Awaiting
	case n.DecommissionedHeight != NoHeight:
		return Decommissioned
	default:
		return Active
	}
}

// PoSeBanned reports whether n is PoSe-banned. A banned node stays in the
// registry.
func (n Node) PoSeBanned() bool { return n.PoSe.Banned() }

// Tester reports whether n may be drawn to test others and be rewarded.
func (n Node) Tester() bool { return n.Service() == Active && !n.PoSeBanned() }

// Staked returns the stake locked in n.
func (n Node) Staked() (sum uint64) {
	for _, p := range n.Stakes {
		sum += p.Amount
	}
	return sum
}

// PledgeOf returns the index of a staker's pledge in n.Stakes, -1 if it has none.
func (n Node) PledgeOf(staker wire.StakerKey) int {
	for i, p := range n.Stakes {
		if p.Staker == staker {
			return i
		}
	}
	return -1
}

// heights are the fields of n that are four bytes long, in the order of the record.
func (n *Node) heights() [14]*int32 {
	return [14]*int32{
		&n.PoSe.Score, &n.PoSe.Height, &n.PoSe.BanHeight, &n.RegisteredHeight, &n.RevivedHeight, &n.UpdatedHeight, &n.ActiveSince, &n.DecommissionedHeight, &n.LastDecommission,
		&n.CreditBase, &n.PenaltyHeight, &n.RewardHeight, &n.ExitHeight, &n.Position,
	}
}

// Bytes returns the one encoding of n, which is also what the state root covers.
//
//	size  field
//	  32  ProTxHash
//	   1  Evo, 0 or 1
//	   1  Revoked, 0 or 1
//	  48  OperatorKey
//	  32  ServiceKey
//	  32  ConfirmedHash, zero until confirmed
//	   8  Sequence
//	14*4  PoSe.Score, PoSe.Height, PoSe.BanHeight, RegisteredHeight, RevivedHeight, UpdatedHeight, ActiveSince, DecommissionedHeight, LastDecommission,
//	      CreditBase, PenaltyHeight, RewardHeight, ExitHeight, Position
//	   4  RewardIndex
//	   2  Decommissions
//	   1  Cause
//	   1  number of addresses, then each as 1 length byte and its bytes
//	   1  length of Platform, then its bytes
//	   1  number of stakes, then each as 32 bytes Staker and 8 bytes Amount
func (n Node) Bytes() []byte {
	b := append(make([]byte, 0, 384), n.ProTxHash[:]...)
	b = appendBool(appendBool(b, n.Evo), n.Revoked)
	b = append(b, n.OperatorKey[:]...)
	b = append(b, n.ServiceKey[:]...)
	b = append(b, n.ConfirmedHash[:]...)
	b = binary.BigEndian.AppendUint64(b, n.Sequence)
	for _, h := range n.heights() {
		b = binary.BigEndian.AppendUint32(b, uint32(*h))
	}
	b = binary.BigEndian.AppendUint32(b, n.RewardIndex)
	b = binary.BigEndian.AppendUint16(b, n.Decommissions)
	b = append(b, byte(n.Cause), byte(len(n.Addresses)))
	for _, a := range n.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	b = append(append(b, byte(len(n.Platform))), n.Platform...)
	b = append(b, byte(len(n.Stakes)))
	for _, p := range n.Stakes {
		b = binary.BigEndian.AppendUint64(append(b, p.Staker[:]...), p.Amount)
	}
	return b
}

// ParseNode decodes what Bytes returns. The error wraps ErrRecord.
func ParseNode(b []byte) (Node, error) {
	r := &reader{rest: b}
	n := Node{
		ProTxHash:     r.hash(),
		Evo:           r.bool(),
		Revoked:       r.bool(),
		OperatorKey:   wire.OperatorKey(r.bytes(wire.OperatorKeySize)),
		ServiceKey:    wire.ServiceKey(r.bytes(wire.ServiceKeySize)),
		ConfirmedHash: r.hash(),
		Sequence:      r.uint64(),
	}
	for _, h := range n.heights() {
		*h = int32(r.uint32())
	}
	n.RewardIndex = r.uint32()
	n.Decommissions = r.uint16()
	n.Cause = r.answer()
	for range r.count() {
		n.Addresses = append(n.Addresses, string(r.bytes(r.count())))
	}
	n.Platform = string(r.bytes(r.count()))
	for range r.count() {
		n.Stakes = append(n.Stakes, Pledge{wire.StakerKey(r.hash()), r.uint64()})
	}
	return n, r.end("node")
}
