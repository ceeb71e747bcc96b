package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Snapshots tell of exactly what the sessions keep, whether it is our own,
// others', or of an earlier run.
func TestSpoken_IsWhatSessionsKeep(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.eventful()
	most := 0
	for h.height() < 80 {
		h.step()
		if h.height()%5 == 0 {
			h.again(1)
		}
		for i, r := range h.rigs {
			spoken, kept := r.Snapshot().Spoken, 0
			for _, s := range r.sessions {
				for _, o := range s.Kept() {
					kept++
					if ids, _ := spoken.Get(spokenKey(o.Message)); !slices.Contains(ids, o.Message.ID()) {
						t.Fatalf("node %d at %d: a message that is kept is not told", i, h.height())
					}
				}
			}
			told := 0
			for _, ids := range spoken.All() {
				told += len(ids)
			}
			if told != kept {
				t.Fatalf("node %d at %d: %d messages told, %d kept", i, h.height(), told, kept)
			}
			most = max(most, told)
		}
	}
	if most == 0 {
		t.Error("nothing was ever said")
	}
}

func TestSnapshot_HeardDKG(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(26)
	r := h.rigs[0]
	before, roster := r.Snapshot(), r.Snapshot().Sessions[0]
	message := func(member int, seed byte) wire.DKGMessage {
		return h.contribution(member, roster, seed).Message.Message
	}
	r.want(h.contribution(1, roster, 1), validation.DKGEquivocation)
	for _, c := range []struct {
		name    string
		view    *Snapshot
		message wire.DKGMessage
		want    validation.Reason
	}{
		{"heard", before, message(1, 0), validation.Duplicate},
		{"another one", before, message(1, 1), validation.Valid},
		{"the other one heard", r.Snapshot(), message(1, 1), validation.Duplicate},
		{"still the first", r.Snapshot(), message(1, 0), validation.Duplicate},
		{"a third", r.Snapshot(), message(1, 2), validation.DKGThird},
		{"heard with another signature", r.Snapshot(), message(1, 0).Signed(wire.Signature{1}), validation.DKGThird},
		{"of another kind", r.Snapshot(), wire.Complaint{DKGHead: message(1, 0).Head()}, validation.Valid},
		{"of another member", r.Snapshot(), message(2, 2), validation.Valid},
		{"in another session", r.Snapshot(), wire.Contribution{DKGHead: wire.DKGHead{Type: roster.LLMQ().Type, ProTxHash: proTx(1)}}, validation.Valid},
	} {
		if got := c.view.HeardDKG(c.message); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
