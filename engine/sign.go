package engine

import "github.com/proctornet/proctor/validation"

func (e *Engine) sigShares(in Shares, out *Effects) {}

func (e *Engine) recovered(in Recovered, out *Effects) validation.Verdict {
	return validation.Internal.Verdict()
}
