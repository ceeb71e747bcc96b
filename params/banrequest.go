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
