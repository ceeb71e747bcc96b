package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
)

func TestSession_MembersMakeAQuorum(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(44)
	q, ok := h.quorumOf(0, params.TestPlatform)
	if !ok {
		t.Fatal("no quorum")
	}
	if q.Base != 24 || q.Mined != 35 || q.Commitment.ValidMembers.Count() != 4 || q.Commitment.Signers.Count() != 4 {
		t.Errorf("quorum of %d mined at %d, valid %s, signed by %s", q.Base, q.Mined, q.Commitment.ValidMembers, q.Commitment.Signers)
	}
	h.wantSigns(q, 4)
}
