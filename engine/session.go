package engine

import "github.com/proctornet/proctor/validation"

func (e *Engine) dkgMessage(in DKG, out *Effects) validation.Verdict {
	return validation.Internal.Verdict()
}
