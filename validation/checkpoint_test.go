package validation

import (
	"math"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func (d draw) HeldCheckpoints(block, v wire.Hash) (held []wire.Checkpoint) {
	d.note("held")
	for _, c := range d.checkpoints {
		if c.BlockHash == block && c.Voter == v {
			held = append(held, c)
		}
	}
	return held
}

func (d draw) Publishes(_ int32, v wire.Hash) bool {
	d.note("draw")
	return !d.noMember && v == voter
}

func checkpointAt(height int32) wire.Checkpoint {
	return wire.Checkpoint{Height: height, BlockHash: blockHash, StateRoot: wire.Hash{8}, Voter: voter, Seal: wire.ServiceSignature{1}}
}

func TestCheckpoint_Rules(t *testing.T) {
	const tip = 10_000 // divides by 4
	at := func(tip int32) draw { return draw{synced: true, tip: tip} }
	good := checkpointAt(tip)
	foreign := changed(good, func(m *wire.Checkpoint) { m.BlockHash = wire.Hash{9} })
	stranger := changed(good, func(m *wire.Checkpoint) { m.Voter = wire.Hash{9} })
	root := changed(good, func(m *wire.Checkpoint) { m.StateRoot = wire.Hash{9} })
	third := changed(good, func(m *wire.Checkpoint) { m.StateRoot = wire.Hash{10} })
	seal := changed(good, func(m *wire.Checkpoint) { m.Seal[0]++ })
	holding := func(held ...wire.Checkpoint) draw { return draw{synced: true, tip: tip, checkpoints: held} }
	for _, c := range []struct {
		name string
		m    wire.Checkpoint
		view draw
		want Verdict
	}{
		{"valid", good, at(tip), Verdict{Accept, 0, Valid}},
		{"valid on probation or drawn", good, at(tip + 1), Verdict{Accept, 0, Valid}},
		{"a root unlike ours", root, at(tip), Verdict{Accept, 0, Valid}},
		{"between two duties", checkpointAt(tip - 1), at(tip), Verdict{Reject, 100, CheckpointMember}},
		{"between two duties, not synced", checkpointAt(tip - 2), draw{}, Verdict{Reject, 100, CheckpointMember}},
		{"between two duties, below zero", checkpointAt(-3), draw{}, Verdict{Reject, 100, CheckpointMember}},
		{"not synced", stranger, draw{tip: tip}, Verdict{Ignore, 0, NotSynced}},
		{"one block early", good, at(tip - 1), Verdict{Ignore, 0, CheckpointEarly}},
		{"five blocks early", good, at(tip - 5), Verdict{Ignore, 0, CheckpointEarly}},
		{"six blocks early", good, at(tip - 6), Verdict{Ignore, 0, CheckpointBranch}},
		{"highest height, no wrap", checkpointAt(math.MaxInt32 - 3), at(0), Verdict{Ignore, 0, CheckpointBranch}},
		{"last in time", good, at(tip + 12), Verdict{Accept, 0, Valid}},
		{"one block late", good, at(tip + 13), Verdict{Ignore, 0, CheckpointLate}},
		{"five blocks late", good, at(tip + 17), Verdict{Ignore, 0, CheckpointLate}},
		{"six blocks late", good, at(tip + 18), Verdict{Ignore, 10, CheckpointExpired}},
		{"six blocks late, our view shaky", good, draw{synced: true, unsure: true, tip: tip + 18}, Verdict{Ignore, 0, Unsure}},
		{"lowest height, no wrap", checkpointAt(math.MinInt32), at(math.MaxInt32), Verdict{Ignore, 10, CheckpointExpired}},
		{"another branch", foreign, at(tip), Verdict{Ignore, 0, CheckpointBranch}},
		{"another branch before voter", changed(stranger, func(m *wire.Checkpoint) { m.BlockHash = wire.Hash{9} }), at(tip), Verdict{Ignore, 0, CheckpointBranch}},
		{"no duty", stranger, at(tip), Verdict{Reject, 100, CheckpointMember}},
		{"held", good, holding(good), Verdict{Ignore, 0, Duplicate}},
		{"held, not synced", good, draw{checkpoints: []wire.Checkpoint{good}}, Verdict{Ignore, 0, Duplicate}},
		{"held with another seal", seal, holding(good), Verdict{Ignore, 0, CheckpointRepeated}},
		{"held with another root", root, holding(good), Verdict{Accept, 0, Valid}},
		{"the second root again", root, holding(good, root), Verdict{Ignore, 0, Duplicate}},
		{"a third root", third, holding(good, root), Verdict{Ignore, 0, CheckpointRepeated}},
		{"of another block held, as after a reorganisation", good, holding(foreign), Verdict{Accept, 0, Valid}},
	} {
		if got := Checkpoint(c.m, c.view); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCheckpointChecked(t *testing.T) {
	good := checkpointAt(tip)
	root := changed(good, func(m *wire.Checkpoint) { m.StateRoot = wire.Hash{9} })
	foreign := changed(good, func(m *wire.Checkpoint) { m.BlockHash = wire.Hash{9} })
	stranger := changed(good, func(m *wire.Checkpoint) { m.Voter = wire.Hash{9} })
	for _, c := range []struct {
		name   string
		held   []wire.Checkpoint
		sealed bool
		want   Verdict
	}{
		{"first", nil, true, Verdict{Accept, 0, Valid}},
		{"forged", nil, false, Verdict{Reject, 100, CheckpointSeal}},
		{"another root", []wire.Checkpoint{root}, true, Verdict{Accept, 0, CheckpointConflict}},
		{"another root, forged", []wire.Checkpoint{root}, false, Verdict{Reject, 100, CheckpointSeal}},
		{"another block held", []wire.Checkpoint{foreign}, true, Verdict{Accept, 0, Valid}},
		{"another voter's held", []wire.Checkpoint{stranger}, true, Verdict{Accept, 0, Valid}},
	} {
		if got := CheckpointChecked(good, c.sealed, draw{checkpoints: c.held}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCheckpoint_AsksInOrder(t *testing.T) {
	var log []string
	Checkpoint(checkpointAt(tip), draw{synced: true, tip: tip, log: &log})
	if want := []string{"held", "synced", "tip", "block", "draw"}; !slices.Equal(log, want) {
		t.Errorf("asked %s, want %s", log, want)
	}
}
