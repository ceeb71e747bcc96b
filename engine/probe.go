package engine

func (e *Engine) probed(in Probed, out *Effects) {}
