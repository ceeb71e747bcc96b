// Package chain judges the headers of a signed-slot chain: authorities listed
// in the genesis take turns, one slot each; a block is valid only in its slot
// and from its authority; the slot of a dead authority stays empty. It is a
// test network's clock, registry and log, not a currency (DESIGN.md section 4).
//
// What the blocks hold is judged by packages state and engine.
package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Limits of a genesis file.
const (
	MaxGenesisSize  = 64 << 20 // bytes
	MaxGenesisNodes = 100_000
	MaxGrants       = 100_000
	MinSlot         = 50 * time.Millisecond
	MaxSlot         = time.Hour

	minYear, maxYear = 1970, 2200 // of Genesis.Time
)

// ErrGenesis means that a genesis file cannot be used; the text says why.
var ErrGenesis = errors.New("genesis")

// Genesis is all that the nodes of a network must agree on before they meet.
// Its hash is the parent of the first block and the network's identity.
type Genesis struct {
	Network     string        `json:"network"` // name in params
	Profile     string        `json:"profile"` // name in params
	Time        time.Time     `json:"time"`    // start of slot 0
	SlotMillis  int64         `json:"slot_ms"` // length of a slot, milliseconds
	Authorities []wire.Hash   `json:"authorities"`
	Nodes       []GenesisNode `json:"nodes"`
	LLMQs       []GenesisLLMQ `json:"llmqs,omitempty"` // types of quorums that make themselves

	// StakingRequirement is what a service node must have staked to be active;
	// 0 needs no stake. Grants are all the stake there is.
	StakingRequirement uint64  `json:"staking_requirement,omitempty"`
	Grants             []Grant `json:"grants,omitempty"`

	// NoBrake lets any number of nodes be decommissioned at once, as in the
	// published rules, which know no brake (DESIGN.md section 6, rule 8).
	NoBrake bool `json:"no_brake,omitempty"`

	// NoQuorumPoSe keeps members of quorums from voting out others for anything
	// but what they do in the session itself: Dash's SPORK_23 when it is off
	// (spec/dash.md 2.6).
	NoQuorumPoSe bool `json:"no_quorum_pose,omitempty"`
}

// Grant is stake that a staker owns from the start.
type Grant struct {
	Staker wire.StakerKey `json:"staker"`
	Amount uint64         `json:"amount"` // units of stake
}

// GenesisNode registers one service node at height 0.
type GenesisNode struct {
	Name        string           `json:"name"` // for people; not part of any rule
	ProTxHash   wire.Hash        `json:"protx_hash"`
	Evo         bool             `json:"evo"`
	OperatorKey wire.OperatorKey `json:"operator_key"`
	ServiceKey  wire.ServiceKey  `json:"service_key"`

	// Addresses are multiaddresses. A node registered without any is
	// PoSe-banned until an update-service names one (spec/dash.md 2.3).
	Addresses []string `json:"addresses"`

	// Platform is the endpoint of an evonode's platform service, see
	// wire.CheckEndpoint.
	Platform string `json:"platform,omitempty"`

	// Stakes are taken out of the stakers' grants. A node with less than the
	// requirement awaits the rest.
	Stakes []Grant `json:"stakes,omitempty"`
}

// GenesisLLMQ is a type of long-living quorum that runs on the network. Test
// networks may shape it to their size, as Dash's regtest does; 0 leaves what
// params says. Source: spec/dash.md 3.1.
type GenesisLLMQ struct {
	Type      wire.LLMQType `json:"type"`
	Size      int           `json:"size,omitempty"`
	Threshold int           `json:"threshold,omitempty"` // also the least members and the bad votes
}

// Params returns the type in its shape on this network.
func (l GenesisLLMQ) Params() (params.LLMQ, error) {
	q, err := params.LLMQByType(l.Type)
	if err != nil || l.Size == 0 && l.Threshold == 0 {
		return q, err
	}
	return q.Shaped(l.Size, l.Threshold)
}

// ParseGenesis reads a genesis file and checks everything but the curve
// points. Every error wraps ErrGenesis.
func ParseGenesis(b []byte) (Genesis, error) {
	var g Genesis
	if len(b) > MaxGenesisSize {
		return g, fmt.Errorf("%w: file of %d bytes, at most %d", ErrGenesis, len(b), MaxGenesisSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&g); err != nil {
		return g, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return g, fmt.Errorf("%w: something follows the closing brace", ErrGenesis)
	}
	if err := g.check(); err != nil {
		return g, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return g, nil
}

func (g Genesis) check() error {
	if _, err := params.NetworkByName(g.Network); err != nil {
		return err
	}
	if _, err := params.ProfileByName(g.Profile); err != nil {
		return err
	}
	// Not by Slot, which may wrap.
	if ms := g.SlotMillis; ms < MinSlot.Milliseconds() || ms > MaxSlot.Milliseconds() {
		return fmt.Errorf("slot_ms is %d, want %d to %d", g.SlotMillis, MinSlot.Milliseconds(), MaxSlot.Milliseconds())
	}
	// SlotAt counts in a Duration, which spans 292 years, and Hash needs a year
	// of four digits in UTC.
	if y := g.Time.UTC().Year(); y < minYear || y > maxYear {
		return fmt.Errorf("time is %s, want a year from %d to %d", g.Time, minYear, maxYear)
	}
	if n := len(g.Nodes); n < 1 || n > MaxGenesisNodes {
		return fmt.Errorf("%d nodes, want 1 to %d", n, MaxGenesisNodes)
	}
	known := make(map[wire.Hash]GenesisNode, len(g.Nodes))
	services := make(map[wire.ServiceKey]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		if _, twice := known[n.ProTxHash]; twice || n.ProTxHash.IsZero() {
			return fmt.Errorf("node %q: protx_hash %s is zero or stands twice", n.Name, n.ProTxHash)
		}
		// Under the all-zero key, a point of order 4, anybody can sign.
		if n.ServiceKey == (wire.ServiceKey{}) || services[n.ServiceKey] {
			return fmt.Errorf("node %q: service_key %s is zero or stands twice", n.Name, n.ServiceKey)
		}
		if len(n.Addresses) > wire.MaxAddresses {
			return fmt.Errorf("node %q has %d addresses, at most %d", n.Name, len(n.Addresses), wire.MaxAddresses)
		}
		for _, a := range n.Addresses {
			if err := wire.CheckAddress(a); err != nil {
				return fmt.Errorf("node %q: %w", n.Name, err)
			}
		}
		if err := wire.CheckEndpoint(n.Platform); err != nil {
			return fmt.Errorf("node %q: %w", n.Name, err)
		}
		if n.Platform != "" && !n.Evo {
			return fmt.Errorf("node %q has a platform endpoint, which only evonodes have", n.Name)
		}
		known[n.ProTxHash] = n
		services[n.ServiceKey] = true
	}
	if err := g.checkStakes(); err != nil {
		return err
	}
	if len(g.Authorities) < 1 {
		return errors.New("no authority: nobody could make a block")
	}
	for _, a := range g.Authorities {
		if _, ok := known[a]; !ok {
			return fmt.Errorf("authority %s is not among the nodes", a)
		}
	}
	return g.checkLLMQs()
}

// checkStakes takes the nodes' stakes out of the grants.
func (g Genesis) checkStakes() error {
	if n := len(g.Grants); n > MaxGrants {
		return fmt.Errorf("%d grants, at most %d", n, MaxGrants)
	}
	left := make(map[wire.StakerKey]uint64, len(g.Grants))
	var total uint64
	for _, s := range g.Grants {
		if _, twice := left[s.Staker]; twice || s.Staker == (wire.StakerKey{}) || s.Amount == 0 {
			return fmt.Errorf("grant of %d to %s: the staker is zero or stands twice, or the amount is zero", s.Amount, s.Staker)
		}
		if total+s.Amount < total {
			return errors.New("the grants together exceed 64 bits")
		}
		total += s.Amount
		left[s.Staker] = s.Amount
	}
	pledges := make(map[wire.StakerKey]int)
	for _, n := range g.Nodes {
		if len(n.Stakes) > params.MaxStakers {
			return fmt.Errorf("node %q has %d stakers, at most %d", n.Name, len(n.Stakes), params.MaxStakers)
		}
		var staked uint64
		seen := make(map[wire.StakerKey]bool)
		for _, s := range n.Stakes {
			if seen[s.Staker] || s.Amount == 0 || s.Amount > left[s.Staker] {
				return fmt.Errorf("node %q: stake of %d by %s: it stands twice, is zero, or more than the %d left of the grant", n.Name, s.Amount, s.Staker, left[s.Staker])
			}
			if pledges[s.Staker]++; pledges[s.Staker] > params.MaxStakerPledges {
				return fmt.Errorf("staker %s has stakes in more than %d nodes", s.Staker, params.MaxStakerPledges)
			}
			seen[s.Staker] = true
			left[s.Staker] -= s.Amount
			staked += s.Amount
		}
		if staked > g.StakingRequirement {
			return fmt.Errorf("node %q has a stake of %d, the requirement is %d", n.Name, staked, g.StakingRequirement)
		}
	}
	return nil
}

// checkLLMQs reports what is wrong with the quorum types.
func (g Genesis) checkLLMQs() error {
	network, err := params.NetworkByName(g.Network)
	if err != nil {
		return err
	}
	if n := len(g.LLMQs); n > wire.MaxBlockCommitments {
		return fmt.Errorf("%d llmqs, at most %d", n, wire.MaxBlockCommitments)
	}
	seen := make(map[wire.LLMQType]bool)
	for _, l := range g.LLMQs {
		q, err := l.Params()
		switch {
		case err != nil:
			return fmt.Errorf("llmqs: %w", err)
		case q.Rotated:
			return fmt.Errorf("llmqs: type %d (%s) is rotated, which is not supported", q.Type, q.Name)
		case seen[l.Type]:
			return fmt.Errorf("llmqs: type %d stands twice", l.Type)
		case !network.TestKeys && (l.Size != 0 || l.Threshold != 0):
			return fmt.Errorf("llmqs: type %d has a size or threshold of its own, which only test networks may", l.Type)
		}
		seen[l.Type] = true
	}
	return nil
}

// Slot returns the length of a slot.
func (g Genesis) Slot() time.Duration { return time.Duration(g.SlotMillis) * time.Millisecond }

// SlotAt returns the slot that t lies in; slot 0 before the genesis.
func (g Genesis) SlotAt(t time.Time) uint64 {
	since := t.Sub(g.Time)
	if since < 0 {
		return 0
	}
	return uint64(since / g.Slot())
}

// SlotStart returns when a slot begins.
func (g Genesis) SlotStart(slot uint64) time.Time {
	return g.Time.Add(time.Duration(slot) * g.Slot())
}

// Authority returns the node whose turn a slot is.
func (g Genesis) Authority(slot uint64) wire.Hash {
	return g.Authorities[slot%uint64(len(g.Authorities))]
}

// Hash identifies the network.
func (g Genesis) Hash() wire.Hash {
	g.Time = g.Time.UTC()
	b, err := json.Marshal(g)
	if err != nil {
		panic(err) // every field encodes: only a time beyond year 9999 does not, and ParseGenesis has read it
	}
	return wire.DoubleHash([]byte("proctor/genesis/1"), b)
}
