package testnet

import (
	"crypto/ed25519"

	"github.com/proctornet/proctor/wire"
)

// StakingRequirement is what a service node of a test network must have
// staked. Every member has twice as much.
const StakingRequirement = 1000

func (m Member) stakerKey() wire.StakerKey {
	return wire.StakerKey(m.Staker.Public().(ed25519.PublicKey))
}

func (n *Network) head(last uint64) wire.EventHead {
	return wire.EventHead{Network: n.Genesis.Hash(), Sequence: last + 1}
}

func (m Member) stakerSigns(hash wire.Hash) wire.ServiceSignature {
	return wire.ServiceSignature(ed25519.Sign(m.Staker, hash[:]))
}

func (m Member) operatorSigns(hash wire.Hash) wire.Signature {
	return wire.Signature(m.Operator.Sign(hash).Bytes())
}

// Announce signs the update-service event that follows the member's event
// with number last (0 before the first).
func (n *Network) Announce(m Member, last uint64) wire.UpdateService {
	e := wire.UpdateService{EventHead: n.head(last), ProTxHash: m.ProTxHash, Addresses: m.Addresses(), Platform: m.Platform}
	e.Signature = m.operatorSigns(e.SignHash())
	return e
}

// Revoke signs the event by which the member's operator gives it up.
func (n *Network) Revoke(m Member, last uint64) wire.Revoke {
	e := wire.Revoke{EventHead: n.head(last), ProTxHash: m.ProTxHash}
	e.Signature = m.operatorSigns(e.SignHash())
	return e
}

// Register signs a new registration of the member's keys with a stake of
// amount, after its staker's event with number last.
func (n *Network) Register(m Member, amount, last uint64) wire.Register {
	e := wire.Register{
		EventHead: n.head(last), Staker: m.stakerKey(), Evo: m.Evo,
		OperatorKey: wire.OperatorKey(m.Operator.PublicKey().Bytes()), ServiceKey: m.serviceKey(),
		Addresses: m.Addresses(), Platform: m.Platform, Amount: amount,
	}
	hash := e.SignHash()
	e.OperatorProof, e.Signature = m.operatorSigns(hash), m.stakerSigns(hash)
	e.ServiceProof = wire.ServiceSignature(ed25519.Sign(m.Service, hash[:]))
	return e
}

// JoiningStake is what an unregistered member puts into its registration: it
// awaits the rest.
const JoiningStake = StakingRequirement * 6 / 10

// Joining is the registration of an unregistered member.
func (n *Network) Joining(m Member) wire.Register { return n.Register(m, JoiningStake, 0) }

// Contribute signs a contribution of the staker of m to a node.
func (n *Network) Contribute(m Member, to wire.Hash, amount, last uint64) wire.Contribute {
	e := wire.Contribute{EventHead: n.head(last), Staker: m.stakerKey(), ProTxHash: to, Amount: amount}
	e.Signature = m.stakerSigns(e.SignHash())
	return e
}

// Exit signs the request of the staker of m that a node may leave.
func (n *Network) Exit(m Member, node wire.Hash, last uint64) wire.Exit {
	e := wire.Exit{EventHead: n.head(last), Staker: m.stakerKey(), ProTxHash: node}
	e.Signature = m.stakerSigns(e.SignHash())
	return e
}

// Vote signs a vote of the member, whatever the truth.
func (n *Network) Vote(m Member, b wire.Ballot, why wire.Evidence) wire.Vote {
	v := wire.Vote{Ballot: b, Voter: m.ProTxHash, Evidence: why}
	v.Signature = m.operatorSigns(b.SignHash(n.Genesis.Hash()))
	v.Seal = wire.ServiceSignature(ed25519.Sign(m.Service, v.SealedBytes(n.Genesis.Hash())))
	return v
}
