package node

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/validation"
)

// Whatever is about us waits, but for a fault that would come again; nothing
// else does, and nobody is charged for what waits. Some of the reasons
// are of other messages than bans.
func TestWaitsFor_IsWhatIsAboutUs(t *testing.T) {
	others := []validation.Reason{
		validation.ProofAnchorAhead, validation.CheckpointEarly, validation.DKGSession, validation.DKGEarly, validation.CommitmentUnknownBlock,
		validation.CommitmentEarly,
	}
	for _, row := range validation.Table() {
		want := row.Nature == validation.OfUs && row.Reason != validation.Internal && !slices.Contains(others, row.Reason)
		if _, waits := waitsFor(row.Reason); waits != want || waits && row.Points != 0 {
			t.Errorf("%s waits: %t, want %t and no points", row.Reason, waits, want)
		}
	}
}
