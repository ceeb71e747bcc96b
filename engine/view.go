package engine

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// What a Snapshot is to the rules of each topic: see package validation for
// what the methods promise.
var (
	_ validation.View           = (*Snapshot)(nil)
	_ validation.EventView      = (*Snapshot)(nil)
	_ validation.VoteView       = (*Snapshot)(nil)
	_ validation.CheckpointView = (*Snapshot)(nil)
)

// Network is the hash of the genesis.
func (s *Snapshot) Network() wire.Hash { return s.State.Network() }

// BlockAt is the block of our branch at a height, as far as it is remembered.
func (s *Snapshot) BlockAt(height int32) (wire.Hash, bool) {
	l := s.Branch.At(height)
	if l == nil {
		return wire.Hash{}, false
	}
	return l.Tip.Hash, true
}

// NextSequence is the number that the next event of e's record must carry.
func (s *Snapshot) NextSequence(e wire.Event) uint64 {
	switch e := e.(type) {
	case wire.UpdateService, wire.Revoke:
		n, _ := s.State.Node(e.Record())
		return n.Sequence + 1
	default:
		v, _ := s.State.Staker(wire.StakerKey(e.Record()))
		return v.Sequence + 1
	}
}

// Stands reports whether e could stand in the next block.
func (s *Snapshot) Stands(e wire.Event) bool {
	return s.State.CheckEvent(s.Tip.Height+1, e) == nil
}

// Waiting is the event in the pool that has e's record.
func (s *Snapshot) Waiting(e wire.Event) (wire.Event, bool) { return s.Events.Get(e.Record()) }

// PoolFull reports whether as many events wait as may.
func (s *Snapshot) PoolFull() bool { return s.Events.Len() >= maxPool }

// HeldVote is the vote held of a voter with exactly that ballot.
func (s *Snapshot) HeldVote(b wire.Ballot, voter wire.Hash) (wire.Vote, bool) {
	return s.Votes.Get(voteID(b, voter))
}

// Answerable reports whether a voter is a tester of the draw that a ballot
// names, and whether the draw lets it answer so about that node.
func (s *Snapshot) Answerable(b wire.Ballot, voter wire.Hash) (member, target bool) {
	l := s.Branch.Of(b.Height, b.BlockHash)
	if l == nil {
		return false, false
	}
	_, member = l.Draw.Index(voter)
	return member, voter != b.ProTxHash && l.Draw.Answerable(b.ProTxHash, b.Answer)
}

// HeldCheckpoints are those held of a voter for one block, at most two.
func (s *Snapshot) HeldCheckpoints(block, voter wire.Hash) []wire.Checkpoint {
	held, _ := s.Checkpoints.Get(checkpointID(block, voter))
	return held
}

// Publishes reports whether a node publishes the hash of our block at a
// height.
func (s *Snapshot) Publishes(height int32, voter wire.Hash) bool {
	l := s.Branch.At(height)
	return l != nil && l.checkpointer(voter)
}

// proofView is a Snapshot as package uptime sees it.
type proofView struct{ *Snapshot }

func (v proofView) Public() bool { return v.State.Public() }
func (v proofView) Tip() int32   { return v.Snapshot.Tip.Height }

func (v proofView) ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) {
	n, ok := v.State.Node(proTx)
	return n.ServiceKey, ok
}

func (v proofView) Known(height int32, hash wire.Hash) bool { return v.Branch.Of(height, hash) != nil }

func (v proofView) Last(proTx wire.Hash) (uptime.Record, bool) { return v.Proofs.Get(proTx) }

// JudgeProof judges all of an uptime proof but its seal.
func (s *Snapshot) JudgeProof(p wire.UptimeProof) validation.Verdict {
	if !s.IsSynced {
		return validation.NotSynced.Verdict()
	}
	reason := proofReason(p, uptime.Check(p, s.State.Rules(), proofView{s}), s)
	if reason.Nature() == validation.OfView && !s.Confident() {
		reason = validation.Unsure
	}
	return reason.Verdict()
}

// proofReason translates what package uptime found.
func proofReason(p wire.UptimeProof, o uptime.Outcome, s *Snapshot) validation.Reason {
	switch o {
	case uptime.Admitted:
		return validation.Valid
	case uptime.UnknownNode:
		return validation.ProofUnregistered
	case uptime.OldSequence:
		if last, _ := s.Proofs.Get(p.ProTxHash); last.Proof.Digest() == p.Digest() {
			return validation.Duplicate
		}
		return validation.ProofSequence
	case uptime.BadAddress, uptime.HiddenAddress:
		return validation.ProofAddress
	case uptime.AnchorTooNew:
		return validation.ProofAnchorUnknown
	case uptime.AnchorTooOld:
		// int64: a peer chooses the height, so the difference must not wrap.
		if age := int64(s.Tip.Height) - int64(p.AnchorHeight); age <= int64(s.State.Rules().AnchorWindow)+params.BanHeightSlack {
			return validation.ProofAnchorNear
		}
		return validation.ProofAnchorFar
	case uptime.AnchorUnknown:
		if p.AnchorHeight > s.Tip.Height {
			return validation.ProofAnchorAhead
		}
		return validation.ProofAnchorUnknown
	case uptime.TooEarly:
		return validation.ProofEarly
	default:
		return validation.ProofSeal
	}
}
