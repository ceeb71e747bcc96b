package state

import "errors"

// Why a block's contents, an event or a certificate are refused: a closed
// set. Errors wrap one of them.
var (
	ErrRoot     = errors.New("state root differs from ours")
	ErrNetwork  = errors.New("event is for another network")
	ErrUnknown  = errors.New("node is not registered")
	ErrSequence = errors.New("event sequence is not the last + 1")
	ErrKind     = errors.New("event or answer is of an unknown kind")

	// Of events.
	ErrKey       = errors.New("operator or service key is zero or in use")
	ErrHash      = errors.New("a node of this hash is or was registered")
	ErrStaker    = errors.New("staker was granted nothing")
	ErrNotStaker = errors.New("staker has no stake in the node")
	ErrStake     = errors.New("staker has not so much free stake")
	ErrAmount    = errors.New("amount is below the least contribution or above what the node awaits")
	ErrStakers   = errors.New("node has the most stakers it may have")
	ErrPledges   = errors.New("staker has the most pledges it may have")
	ErrFunded    = errors.New("node awaits no stake")
	ErrExiting   = errors.New("node was asked to leave before")
	ErrRevoked   = errors.New("node was revoked")
	ErrPlatform  = errors.New("regular masternode with a platform endpoint")

	// Of commitments.
	ErrCommitment = errors.New("commitments do not fit the sessions they end")

	// Of certificates.
	ErrOrder    = errors.New("certificates do not ascend by height and node")
	ErrTarget   = errors.New("two certificates about one node")
	ErrService  = errors.New("answer does not fit the node's service state")
	ErrStale    = errors.New("drawn at or below the node's last change")
	ErrCredit   = errors.New("decommissioned node still has credit")
	ErrBrake    = errors.New("as many nodes are decommissioned as the brake allows")
	ErrRemovals = errors.New("block removes as many nodes as it may")
)
