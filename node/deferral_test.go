package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

func TestDeferral_IsBounded(t *testing.T) {
	d := newDeferral()
	now := time.Now()
	add := func(from string, i int) bool { return d.add(engine.Peer(from), fmt.Append(nil, from, i), now) }
	for i := range maxDeferredPerPeer {
		if !add("greedy", i) {
			t.Fatalf("ban %d of a peer refused, at most %d are kept", i, maxDeferredPerPeer)
		}
	}
	if add("greedy", maxDeferredPerPeer) || !add("greedy", 0) {
		t.Error("one peer has more than its share, or what is kept counts twice")
	}
	for i := 0; d.len() < maxDeferred; i++ {
		if !add(fmt.Sprint("peer", i), 0) {
			t.Fatalf("refused with %d of %d kept", d.len(), maxDeferred)
		}
	}
	if add("late", 0) {
		t.Error("more kept than the limit")
	}
	if got := len(d.take()); got != maxDeferred || d.len() != 0 {
		t.Errorf("took %d, left %d; want %d and 0", got, d.len(), maxDeferred)
	}
	if !add("greedy", 0) {
		t.Error("no room after all was taken")
	}
}

func TestDeferrable_IsWhatIsAboutUs(t *testing.T) {
	for _, row := range validation.Table() {
		want := row.Reason == validation.NotSynced || row.Reason == validation.Overload
		if got := deferrable(row.Reason.Verdict()); got != want || got && row.Points != 0 {
			t.Errorf("%s deferrable: %t, want %t and no points", row.Reason, got, want)
		}
	}
}
