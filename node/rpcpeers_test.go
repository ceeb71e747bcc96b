package node

import (
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// What is shown adds up: the total before, less what was forgiven, plus the
// points, is the total after, but for a sum over the limit.
func TestCharges_AddUp(t *testing.T) {
	at := func(m int, r validation.Reason, points, total int) engine.Entry {
		return engine.Entry{Time: t0.Add(time.Duration(m) * time.Minute), Reason: r, Points: points, Total: total, Evidence: wire.Hash{byte(m)}}
	}
	got := charges([]engine.Entry{
		at(0, validation.HeightFar, 10, 10),
		at(25, validation.HeightNear, 1, 9),
		at(26, validation.HeightFar, 10, 19),
		at(27, validation.Signature, 100, 100),
	})
	for i, forgiven := range []int{0, 2, 0, 0} {
		if got[i].Forgiven != forgiven || got[i].When == "" {
			t.Errorf("charge %d: %+v, want %d forgiven and the rule in words", i, got[i], forgiven)
		}
	}
	if got[0].MessageID != "" || got[1].MessageID == "" {
		t.Errorf("message ids %q and %q, want one only where there is a message", got[0].MessageID, got[1].MessageID)
	}
}
