package validation_test

import (
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/validation"
)

// What packages dkg and signing find becomes a verdict of the one table, with
// the outcome and the points that they state.

func TestQuorum_EveryDKGReasonIsARow(t *testing.T) {
	outcomes := map[dkg.Outcome]validation.Outcome{dkg.Accept: validation.Accept, dkg.Ignore: validation.Ignore, dkg.Reject: validation.Reject}
	for _, r := range dkg.Reasons() {
		v := engine.DKGVerdict(r)
		if !v.Reason.Known() {
			t.Errorf("%s becomes %q, which is no reason", r, v.Reason)
			continue
		}
		if v.Outcome != outcomes[r.Outcome()] || v.Points != r.Points() {
			t.Errorf("%s becomes %+v, want outcome %s and %d points", r, v, outcomes[r.Outcome()], r.Points())
		}
		// Whatever may be judged better later must not be blamed on the message.
		if nature := v.Reason.Nature(); r.Forget() != (nature == validation.OfUs || nature == validation.OfView) {
			t.Errorf("%s: to be judged again %t, of nature %d", r, r.Forget(), nature)
		}
	}
	if v := engine.DKGVerdict(0); !v.OK() {
		t.Errorf("nothing wrong becomes %+v", v)
	}
}

func TestQuorum_EveryCommitmentReasonIsARow(t *testing.T) {
	for r := dkg.CommitmentVersion; r <= dkg.CommitmentGood; r++ {
		v := engine.CommitmentVerdict(r)
		if !v.Reason.Known() || v.Points != r.Points() || v.OK() != (r == dkg.CommitmentGood) {
			t.Errorf("%s becomes %+v, want %d points", r, v, r.Points())
		}
		if !v.OK() && v.Outcome != validation.Reject {
			t.Errorf("%s is %s", r, v.Outcome)
		}
	}
	if s := (dkg.CommitmentGood + 1).String(); s != "none" {
		t.Errorf("there is a reason after the last one: %s", s)
	}
}

func TestQuorum_EverySigningReasonIsARow(t *testing.T) {
	outcomes := map[signing.Outcome]validation.Outcome{signing.Accept: validation.Accept, signing.Ignore: validation.Ignore, signing.Reject: validation.Reject}
	of := map[string]func(signing.Reason) validation.Verdict{"share": engine.ShareVerdict, "recovered signature": engine.RecoveredVerdict}
	other := map[string][]signing.Reason{ // never the verdict on one
		"share":               {signing.Conflict, signing.WrongSignature},
		"recovered signature": {signing.NotOurs, signing.Full, signing.MemberUnknown, signing.MemberInvalid, signing.Malformed, signing.WrongShare},
	}
	for what, verdict := range of {
	reasons:
		for _, r := range signing.Reasons() {
			for _, o := range other[what] {
				if r == o {
					continue reasons
				}
			}
			got, want := verdict(r), r.Verdict()
			outcome := outcomes[want.Outcome]
			if r == signing.Conflict { // for the signer nothing to use; for the network evidence
				outcome = validation.Accept
			}
			if !got.Reason.Known() || got.Outcome != outcome || got.Points != want.Points {
				t.Errorf("%s: %s becomes %+v, want outcome %s and %d points", what, r, got, outcome, want.Points)
			}
		}
	}
}
