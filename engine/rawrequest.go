package engine

import (
	"errors"

	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// signRaw signs what our operator asks for. Who is not synced does not: it knows
// neither the quorum that is selected nor what was signed meanwhile.
func (e *Engine) signRaw(in SignRequest, out *Effects) (validation.Verdict, *wire.SigShare) {
	s := e.signerOf(in.Type)
	switch {
	case s == nil:
		return validation.RequestNoQuorum.Verdict(), nil
	case !e.synced():
		return validation.NotSynced.Verdict(), nil
	}
	e.followTip(out)
	quorum, ok := in.Quorum, true
	if quorum.IsZero() {
		quorum, ok = e.selected(s, in.ID, e.tree.Tip().Height)
	}
	if !ok {
		return validation.RequestNoQuorum.Verdict(), nil
	}
	sign := s.pool.Share
	if in.Submit {
		sign = s.pool.Sign
	}
	made, err := sign(quorum, signing.Request{ID: in.ID, MessageHash: in.MessageHash, Height: signing.Lasting}, e.signIn(in.Type, quorum))
	if err != nil {
		return requestVerdict(err), nil
	}
	out.keepSigned(made)
	return validation.Valid.Verdict(), &made.Share
}

// requestVerdict says to our operator why package signing does not sign.
func requestVerdict(err error) validation.Verdict {
	switch {
	case errors.Is(err, signing.ErrVoted), errors.Is(err, signing.ErrDecided):
		return validation.RequestOther.Verdict()
	case errors.Is(err, signing.ErrNotMember):
		return validation.RequestNoMember.Verdict()
	case errors.Is(err, signing.ErrUnknownQuorum):
		return validation.RequestNoQuorum.Verdict()
	default:
		return validation.RequestRefused.Verdict() // ErrFull
	}
}
