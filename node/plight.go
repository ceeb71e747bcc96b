package node

import (
	"fmt"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// plight is what stands against this node, as far as its operator can mend it.
type plight struct {
	health   []string // problems of following the network
	observer bool

	// Of a service node.
	name       string // or its hash, as commands take it
	registered bool
	node       state.Node
	tombstone  *state.Tombstone
	flag       bool  // of a platform ban
	signs      bool  // it has its operator key
	silence    int32 // blocks since its last uptime proof, or its registration
	down       *forecast.Outage
	rules      params.Service
	wanted     uint64 // stake
	clears     bool   // any update of the service clears the flag
}

func (p *plight) service(n *Node, s *engine.Snapshot, f forecast.Forecast) {
	p.name = n.names[f.ProTxHash]
	if p.name == "" {
		p.name = f.ProTxHash.String()
	}
	p.node, p.registered = s.State.Node(f.ProTxHash)
	if t, gone := s.State.Tombstone(f.ProTxHash); gone && !p.registered {
		p.tombstone = &t
	}
	p.flag, p.signs, p.down = s.Flag(f.ProTxHash).Set(), n.config.OperatorKey != nil, f.IfDown
	if p.silence = f.ProofAge; p.silence == state.NoHeight {
		p.silence = f.Height - p.node.RegisteredHeight
	}
	p.rules, p.wanted, p.clears = s.State.Rules(), s.State.StakingRequirement(), s.State.Profile().ServiceUpdateClearsBan
}

// unregistered stands for the state of a node that is not registered yet.
const unregistered = "unregistered"

func (p plight) state() string {
	switch {
	case p.registered:
		return p.node.Service().String()
	case p.tombstone != nil:
		return gone
	default:
		return unregistered
	}
}

// why tells since when the node is in its state, and for what.
func (p plight) why() string {
	switch t := p.tombstone; {
	case t != nil && t.Deregistered:
		return fmt.Sprintf("deregistered in block %d for %s", t.Height, t.Cause)
	case t != nil:
		return fmt.Sprintf("left in good order in block %d", t.Height)
	case !p.registered:
		return "no block has registered it"
	case p.node.Service() == state.Awaiting:
		return fmt.Sprintf("%d of %d staked since block %d", p.node.Staked(), p.wanted, p.node.RegisteredHeight)
	case p.node.Service() == state.Decommissioned:
		return fmt.Sprintf("since block %d for %s", p.node.DecommissionedHeight, p.node.Cause)
	case p.node.PoSeBanned():
		return fmt.Sprintf("since block %d, but PoSe-banned since block %d", p.node.ActiveSince, p.node.PoSe.BanHeight)
	default:
		return fmt.Sprintf("since block %d", p.node.ActiveSince)
	}
}

// proofSlack is by how many blocks an uptime proof may be late: it goes out
// once the block that makes it due is here, and there is a peer to hear it.
const proofSlack = 2

// toDo lists what the operator should do, a sentence each, the most urgent
// first.
func (p plight) toDo() []string {
	list := append([]string{}, p.health...)
	switch {
	case p.observer:
		return list
	case !p.registered:
		return append(list, p.register())
	}
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	n := p.node
	update := fmt.Sprintf("`proctor event update-service --node %s --operator-key FILE --address MULTIADDRESS --submit`", p.name)
	if n.Revoked {
		say("Its operator has given it up: let its staker leave with `proctor event exit --node %s`, or take protx_hash out of the configuration.", p.name)
		return list
	}
	switch n.Service() {
	case state.Awaiting:
		say("It awaits %d more of its stake: `proctor event contribute --node %s`.", p.wanted-min(p.wanted, n.Staked()), p.name)
	case state.Decommissioned:
		say("It is decommissioned for %s, and deregistered from block %d on unless it passes: %s; `proctor explain %s` tells who saw what.",
			n.Cause, p.down.Deregistered, remedy(n.Cause), p.name)
	}
	if n.PoSeBanned() {
		say("It is PoSe-banned since block %d: see with `proctor explain %s` why, mend it, then revive it: %s.", n.PoSe.BanHeight, p.name, update)
	}
	switch {
	case p.flag && (p.clears || n.PoSeBanned()):
		say("Its platform-ban flag is set: mend its Platform service, then clear the flag: %s.", update)
	case p.flag:
		say("Its platform-ban flag is set: mend its Platform service; members of new quorums vote it out until a revival from a PoSe ban clears the flag.")
	}
	if !p.signs {
		say("It has no operator key, so that it answers for nobody and makes no quorums: set operator_key.")
	}
	if n.Service() != state.Awaiting && len(p.health) == 0 && p.silence > p.rules.ProofEvery+proofSlack {
		say("It sends no uptime proofs, and fails its tests once the last is %d blocks old: name where it is reached in p2p.announce, or register an address: %s.", p.rules.ProofValidity, update)
	}
	return list
}

func (p plight) register() string {
	again := "register it anew: `proctor event register --help`"
	switch t := p.tombstone; {
	case t == nil:
		return "It is not registered: `proctor event register --help` shows how, or check protx_hash."
	case t.Deregistered:
		return fmt.Sprintf("It was deregistered in block %d for %s, its stake is free from block %d on: find out why, then %s.", t.Height, t.Cause, t.UnlockHeight, again)
	default:
		return fmt.Sprintf("It has left in block %d: take protx_hash out of the configuration, or %s.", t.Height, again)
	}
}

// remedy is what a decommissioned node has to do to pass again.
func remedy(cause wire.Answer) string {
	if cause == wire.FailsCheckpoint {
		return fmt.Sprintf("let it follow the chain until it has published the last %d block hashes due", params.ProbationHashes)
	}
	return "see that its uptime proofs reach the others"
}
