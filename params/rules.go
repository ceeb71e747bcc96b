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

// Peers. Source: DESIGN.md section 7, spec/gossip.md 1.6.
const (
	BanDuration  = 24 * time.Hour
	PointDecay   = 10 * time.Minute // one point is forgiven in this time
	SyncedWithin = 3                // slots the tip may be behind the clock
	SyncedPeers  = 3                // peers asked, none higher: synced whatever the clock says
)
