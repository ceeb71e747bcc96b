package engine

// Endpoint is what we know of an evonode's platform endpoint.
type Endpoint struct {
	Attempts []Attempt // the newest, oldest first
}

func (e *Engine) probed(in Probed, out *Effects) {
	if in.Probe.Service == Transport {
		e.transportProbed(in)
	}
}
