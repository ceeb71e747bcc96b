package engine

import (
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// checkCommitments holds the commitments of b, a block on the end of branch,
// to spec/dash.md 5.7 and returns the sessions that they end.
func (e *Engine) checkCommitments(branch Branch, b wire.Block) ([]state.Session, error) {
	return nil, nil
}

func (e *Engine) finalCommitment(in Commitment, out *Effects) validation.Verdict {
	return validation.Internal.Verdict()
}
