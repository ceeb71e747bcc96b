package engine

func (e *Engine) probed(in Probed, out *Effects) {
	if in.Probe.Service == Transport {
		e.transportProbed(in)
	}
}
