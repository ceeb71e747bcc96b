package validation

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// CheckpointView is what a checkpoint is judged by.
type CheckpointView interface {
	Branch
	// HeldCheckpoints are those held of a voter for one block, at most two.
	HeldCheckpoints(block, voter wire.Hash) []wire.Checkpoint
	// Publishes reports whether voter is a tester of the draw at the block of
	// our branch at height, or was decommissioned there and so is on
	// probation. It must follow from that block alone and from no later one:
	// peers are banned for passing on a checkpoint that is refused here.
	Publishes(height int32, voter wire.Hash) bool
}

// checkpointRules are cheap ones. A checkpoint of another branch's block is
// not charged but not passed on either: those who have that block may see that
// its voter has no duty there, and would charge us.
var checkpointRules = []rule[wire.Checkpoint, CheckpointView]{onDuty, checkpointHeld, synced[wire.Checkpoint, CheckpointView], checkpointAge, onBranch, publishes}

// Checkpoint judges all of m but its seal: the rules in order, the first that
// objects decides. What it says of the state is not judged: a root unlike ours
// is an alarm, not a fault of the messenger.
func Checkpoint(m wire.Checkpoint, v CheckpointView) Verdict {
	return putOff(firstObjection(checkpointRules, m, v), v).Verdict()
}

// CheckpointChecked is the verdict on a checkpoint that passed Checkpoint, by
// whether its seal is the service key's of the voter.
func CheckpointChecked(m wire.Checkpoint, sealed bool, v CheckpointView) Verdict {
	switch {
	case !sealed:
		return CheckpointSeal.Verdict()
	case len(v.HeldCheckpoints(m.BlockHash, m.Voter)) > 0: // another root: checkpointHeld let it pass
		return CheckpointConflict.Verdict()
	default:
		return Valid.Verdict()
	}
}

// onDuty: only every fourth block has checkpoints, whoever the voter is.
func onDuty(m wire.Checkpoint, _ CheckpointView) Reason {
	if m.Height%params.CheckpointEvery != 0 {
		return CheckpointMember
	}
	return Valid
}

// checkpointHeld takes one checkpoint of a voter and block, and a second one
// if it contradicts the first.
func checkpointHeld(m wire.Checkpoint, v CheckpointView) Reason {
	held := v.HeldCheckpoints(m.BlockHash, m.Voter)
	for _, h := range held {
		switch {
		case h == m:
			return Duplicate
		case h.StateRoot == m.StateRoot: // another seal
			return CheckpointRepeated
		}
	}
	if len(held) > 1 {
		return CheckpointRepeated
	}
	return Valid
}

// checkpointAge: testers publish once they see the next block, and are judged
// by what was heard 12 blocks above.
func checkpointAge(m wire.Checkpoint, v CheckpointView) Reason {
	switch age := below(m.Height, v); {
	case age < -params.BanHeightSlack:
		return CheckpointBranch
	case age < 0:
		return CheckpointEarly
	case age <= params.VoteDelay:
		return Valid
	case age <= params.VoteDelay+params.BanHeightSlack:
		return CheckpointLate
	default:
		return CheckpointExpired
	}
}

func onBranch(m wire.Checkpoint, v CheckpointView) Reason {
	if hash, ok := v.BlockAt(m.Height); !ok || hash != m.BlockHash {
		return CheckpointBranch
	}
	return Valid
}

func publishes(m wire.Checkpoint, v CheckpointView) Reason {
	if !v.Publishes(m.Height, m.Voter) {
		return CheckpointMember
	}
	return Valid
}
