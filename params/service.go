package params

import "time"

// Testing quorums. Source: seed "Deregistration Rules", Testing Quorum;
// DESIGN.md section 6.
const (
	Testers      = 10  // drawn at each block
	MinTargets   = 50  // nodes they test, at least
	TargetsShare = 100 // or one in so many of those they may test

	SuperMajorityOf10 = 7 // votes of 10 voters that make a certificate; of fewer voters the same share, rounded up
	MinAccusers       = 3 // voters below which nobody is judged negatively

	VoteDelay         = 12 // blocks above the draw at which testers answer: a reorganisation seldom reaches so deep
	CertificateFirst  = 13 // a block this far above the draw may carry its certificates
	CertificateLast   = 59 // and the last that may
	CheckpointEvery   = 4  // draws whose testers publish the block's hash
	CheckpointDepth   = 12 // the state root published with it is of this far below
	ProbationHashes   = 2  // checkpoint hashes a node that missed one must publish to come back
	BrakeFloor        = 2  // nodes that may be decommissioned at once, at least
	BrakeShare        = 4  // or one in so many
	RemovalFloor      = 2  // nodes that one block may remove, at least
	RemovalShare      = 100
	RecommissionPrice = 2 // credits a block of decommission costs, where a node keeps its credit

	WarmUp     = 60 // blocks after a start in which a node speaks against nobody; fewer if it missed fewer
	LeastPeers = 3  // of a node that may speak against others, or all there are

	MaxStakers       = 10 // of one service node
	MaxStakerPledges = 64 // service nodes of one staker and its stakes still locked, together
)

// PoSeFloor is the least maximum of the PoSe score (spec/dash.md 2.1).
const PoSeFloor = 100

// Service are the rules of service states that are given in hours, counted
// in nominal blocks of a network.
type Service struct {
	InitialCredit int32 // of a new node
	CreditPerDay  int32 // earned in BlocksPerDay active blocks
	BlocksPerDay  int32
	MaxCredit     int32
	MinimumCredit int32 // a failing node that has as much is decommissioned, not deregistered
	KeepsCredit   bool  // see Profile

	ProofEvery    int32 // blocks between a node's uptime proofs
	ProofSpacing  int32 // a second proof is taken when more than so many have passed
	ProofValidity int32 // a proof heard longer ago is stale
	AnchorWindow  int32 // the block that a proof names is at most so far below the tip
	AddressWindow int32 // two addresses heard within it are one too many
	AddressGrace  int32 // blocks after a registration or penalty in which addresses do not count

	StakeLock int32 // of a deregistered node's stake
	ExitDelay int32 // a node serves on for so long after its staker asked to leave
}

// leastAnchorWindow is what a proof needs on its way over forks and slow
// links, however often proofs are sent.
const leastAnchorWindow = 10

// Service returns the rules of service states on a network. Sources: the seed
// for profile spec; spec/oxen.md 1.2, 1.5 and 1.6 for profile core.
func (n Network) Service(p Profile) Service {
	blocks := func(d time.Duration) int32 { return int32(d / n.BlockTime) }
	s := Service{
		InitialCredit: blocks(2 * time.Hour),
		CreditPerDay:  blocks(48 * time.Minute),
		BlocksPerDay:  blocks(24 * time.Hour),
		MaxCredit:     blocks(48 * time.Hour),
		MinimumCredit: blocks(2 * time.Hour),
		KeepsCredit:   p.KeepsCredit,

		ProofEvery:    blocks(time.Hour),
		ProofValidity: blocks(2 * time.Hour),
		AddressWindow: blocks(24 * time.Hour),
		AddressGrace:  blocks(2 * time.Hour),

		StakeLock: blocks(30 * 24 * time.Hour),
		ExitDelay: blocks(15 * 24 * time.Hour),
	}
	switch {
	case p.Name != "core":
	case n.TestKeys:
		s.ProofEvery, s.ProofValidity = blocks(10*time.Minute), blocks(21*time.Minute)
		s.StakeLock, s.ExitDelay = blocks(48*time.Hour), blocks(24*time.Hour)
	default:
		s.ProofValidity = blocks(2*time.Hour + 5*time.Minute)
	}
	s.ProofSpacing = s.ProofEvery / 2
	s.AnchorWindow = max(s.ProofEvery/2, min(leastAnchorWindow, s.ProofValidity))
	return s
}
