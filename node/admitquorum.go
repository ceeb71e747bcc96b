package node

import (
	"context"
	"runtime"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/validation/verify"
	"github.com/proctornet/proctor/wire"
)

// admitCommitment judges a final commitment. Source: spec/dash.md 5.6.
func (n *Node) admitCommitment(ctx context.Context, from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	c, err := wire.ParseFinalCommitment(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	roster, v := n.Snapshot().JudgeCommitment(c)
	if !v.OK() {
		return nil, v
	}
	good, err := n.verifyCommitment(ctx, from, c, roster)
	switch {
	case err != nil:
		return nil, unchecked(err)
	case !good:
		return nil, validation.CommitmentSignature.Verdict()
	}
	return engine.Commitment{From: from, Commitment: c}, validation.Valid.Verdict()
}

// banDelay is within what a peer that was found out is banned.
const banDelay = 5 * time.Second

// commitmentSlots bounds the final commitments that are verified at once: one
// of a large quorum takes as long as dozens of signatures.
func commitmentSlots() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// verifyCommitment verifies the signatures of a final commitment, within the
// limits of one peer. Until who was found out is banned the rest of its waits:
// a wrong one costs the peer, and us not much more than one.
func (n *Node) verifyCommitment(ctx context.Context, from engine.Peer, c wire.FinalCommitment, r *dkg.Roster) (good bool, err error) {
	if _, err := n.admission.begin(ctx, from); err != nil {
		return false, err
	}
	defer n.admission.end(from, false)
	select {
	case n.commitments <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-n.commitments }()
	if _, banned := n.Snapshot().PeerBan(from); banned || n.admission.punishedSince(from, time.Now().Add(-banDelay)) {
		return false, errRate
	}
	base, hash := r.Base()
	good = dkg.Verify(c, dkg.Quorum{LLMQ: r.LLMQ(), Base: base, Hash: hash}, r.Keys()) == dkg.CommitmentGood
	if !good {
		n.admission.charged(from, time.Now()) // before the next one of the peer's has its turn
	}
	return good, nil
}

// admitRecovered judges a quorum's signature. Source: spec/dash.md 7.5.
func (n *Node) admitRecovered(ctx context.Context, from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	m, err := wire.ParseRecoveredSig(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	key, reason := recovered(view, m)
	if reason != validation.Valid {
		return nil, reason.Verdict()
	}
	r, err := n.check(ctx, from, verify.Job{Key: key, Hash: m.SignHash(), Signature: m.Signature})
	switch {
	case err != nil:
		return nil, unchecked(err)
	case !r.Valid:
		return nil, validation.RecoveredSignature.Verdict()
	}
	return engine.Recovered{From: from, Signature: m, Key: key}, validation.Valid.Verdict()
}

// recovered finds the key of the quorum that a signature is of.
func recovered(view *engine.Snapshot, m wire.RecoveredSig) (wire.OperatorKey, validation.Reason) {
	if !view.IsSynced {
		return wire.OperatorKey{}, validation.NotSynced
	}
	q, runs := view.State.LLMQ(m.Type)
	if !runs {
		return wire.OperatorKey{}, validation.RecoveredUnknownQuorum
	}
	if had, ok := view.Signature(m.Type, m.ID); ok && had.QuorumHash == m.QuorumHash && had.MessageHash == m.MessageHash {
		if had == m {
			return wire.OperatorKey{}, validation.Duplicate
		}
		return wire.OperatorKey{}, validation.RecoveredSignature // a quorum's signature is unique
	}
	newer := 0
	for other := range view.State.Quorums(m.Type) {
		if newer++; newer > q.KeepOldConnections {
			break
		}
		if other.Hash() == m.QuorumHash {
			return other.Key(), validation.Valid
		}
	}
	return wire.OperatorKey{}, validation.RecoveredUnknownQuorum
}
