package params

import "time"

// The window of DIP-0031, Validation, step 4, in blocks.
const (
	BanWindow      = 576 // a ban may have been signed this far below the tip
	BanHeightSlack = 5   // two honest nodes may differ by this much
)

// Points of DIP-0031, Validation, and what they add up to.
const (
	PointsSmall  = 1
	PointsMedium = 10
	PointsBan    = 100 // one such offence bans; so does any sum that reaches it
)

// Votes against members of a session. Source: spec/dash.md 5.4, "Complain
// start".
const (
	MaxFailedProbes  = 5  // attempts in a row to connect; one more and a member is voted out
	MinProtocol      = 1  // least version that nodes speak
	MinProtocolShare = 80 // percent of the nodes heard of that must speak it first
)

// Peers. Source: DESIGN.md section 7, spec/gossip.md 1.6.
const (
	BanDuration  = 24 * time.Hour
	PointDecay   = 10 * time.Minute // one point is forgiven in this time
	HoldSlots    = 2                // a ban ahead of our tip waits at most so long
	SyncedWithin = 3                // slots the tip may be behind the clock
	SyncedPeers  = 3                // peers asked, none higher: synced whatever the clock says
)

// Confidence. A verdict that depends on our view of the chain is given only
// while that view is settled. Source: DESIGN.md section 7.
const (
	SettledSlots = 2                // since we caught up with the network
	SettledTime  = 60 * time.Second // or this, if it is less
	FreshSlots   = 1                // the tip is of this slot or of one so far back
	SteadyBlocks = 2                // since a second branch was last seen at the tip
)

// Self-doubt: so many peers cannot all be wrong.
const (
	DoubtPeers  = 3                // at least; and a third of our contacts
	DoubtWindow = 10 * time.Minute // within which they contradict us
	DoubtTime   = 10 * time.Minute // how long nobody is blamed then
)
