package engine

// Attempt is one probe of a platform endpoint.
type Attempt struct {
	Height   int32  `json:"height"`
	Endpoint string `json:"endpoint"`
	Failed   string `json:"failed"` // why; empty if it answered
}

// Endpoint is what we know of an evonode's platform endpoint.
type Endpoint struct {
	Attempts []Attempt // the newest, oldest first
}
