package params

// Requests for platform bans. Members of a quorum come to their decisions at
// different times, but a threshold of them must sign the same bytes, the
// height among them. So they sign at common heights.
const (
	BanRequestEvery = 8  // bans are asked for at heights that are multiples of it
	BanRequestDepth = 2  // and at least so far below the tip: nobody who receives the ban is behind it
	BanRequestLife  = 96 // blocks after which a request that came to nothing ends
	MaxBanRequests  = 64 // of one member
)

// Monitoring of platform endpoints by the members of the newest quorum.
const (
	MonitorEvery    = 2  // blocks between two probes of an endpoint
	MonitorAttempts = 8  // probes of one that are remembered
	MonitorFailures = 4  // in a row, after which it is dead
	MonitorSpan     = 6  // blocks that they must lie apart: one short outage is none
	MonitorShare    = 3  // of all endpoints one in so many may fail at most, or we may be cut off ourselves
	MaxProbes       = 32 // asked for at one block
)
