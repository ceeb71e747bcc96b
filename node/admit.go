package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/validation/verify"
	"github.com/proctornet/proctor/wire"
)

// The rest of what comes by gossip is judged as bans are: the cheap rules on
// the published snapshot, then the signatures, Ed25519 first, as it costs a
// tenth; then the engine repeats the cheap rules on its own state and decides.

func (n *Node) admitEvent(ctx context.Context, from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	event, err := wire.ParseEvent(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	v := validation.Event(event, view)
	if !v.OK() && !(from == operator && v.Reason == validation.EventWaiting) { // our operator may think again
		return nil, v
	}
	if !engine.SignedByStakers(event, ed25519.Verify) {
		return nil, validation.EventSignature.Verdict()
	}
	key, ok := engine.SignerOf(view.State, event)
	if !ok {
		return nil, validation.EventRefused.Verdict()
	}
	if signature, has := engine.OperatorSignature(event); has {
		checked, err := n.check(ctx, from, verify.Job{Key: key, Hash: event.SignHash(), Signature: signature})
		switch {
		case err != nil:
			return nil, unchecked(err)
		case !checked.Valid:
			return nil, validation.EventSignature.Verdict()
		}
	}
	return engine.Event{From: from, Event: event, Key: key}, validation.Valid.Verdict()
}

func (n *Node) admitProof(from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	p, err := wire.ParseUptimeProof(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	if v := view.JudgeProof(p); !v.OK() {
		return nil, v
	}
	node, _ := view.State.Node(p.ProTxHash)
	if !ed25519.Verify(node.ServiceKey[:], p.SealedBytes(n.genesisHash), p.Seal[:]) {
		return nil, validation.ProofSeal.Verdict()
	}
	return engine.Proof{From: from, Proof: p, Key: node.ServiceKey}, validation.Valid.Verdict()
}

func (n *Node) admitVote(ctx context.Context, from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	m, err := wire.ParseVote(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	if v := validation.Vote(m, view); !v.OK() {
		return nil, v
	}
	voter, _ := view.Branch.Of(m.Height, m.BlockHash).State.Node(m.Voter) // its draw is on our branch: it was judged so
	if !ed25519.Verify(voter.ServiceKey[:], m.SealedBytes(n.genesisHash), m.Seal[:]) {
		return nil, validation.VoteSignature.Verdict()
	}
	checked, err := n.check(ctx, from, verify.Job{Key: voter.OperatorKey, Hash: m.SignHash(n.genesisHash), Signature: m.Signature})
	switch {
	case err != nil:
		return nil, unchecked(err)
	case !checked.Valid:
		return nil, validation.VoteSignature.Verdict()
	}
	return engine.Vote{From: from, Vote: m}, validation.Valid.Verdict()
}

func (n *Node) admitCheckpoint(from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	c, err := wire.ParseCheckpoint(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	if v := validation.Checkpoint(c, view); !v.OK() {
		return nil, v
	}
	voter, _ := view.Branch.At(c.Height).State.Node(c.Voter)
	if !ed25519.Verify(voter.ServiceKey[:], c.SealedBytes(n.genesisHash), c.Seal[:]) {
		return nil, validation.CheckpointSeal.Verdict()
	}
	return engine.Checkpoint{From: from, Checkpoint: c}, validation.Valid.Verdict()
}

// Stored reports whether a message of our own has been stored.
func (b *backend) Stored(topic engine.Topic, data []byte) bool {
	if b.node().config.Forge != nil {
		return true // what is forged is not stored
	}
	view := b.node().Snapshot()
	switch topic {
	case engine.TopicPlatformBan:
		m, err := wire.ParsePlatformBan(data)
		accepted, ok := view.AcceptedBan(m.InventoryHash())
		return err == nil && ok && accepted == m
	case engine.TopicBlock:
		block, err := wire.ParseBlock(data)
		return err == nil && view.Branch.Of(block.Header.Height, block.Header.Hash()) != nil
	case engine.TopicEvent:
		event, err := wire.ParseEvent(data)
		if err != nil {
			return false
		}
		waiting, ok := view.Waiting(event)
		return ok && bytes.Equal(waiting.Bytes(), event.Bytes())
	case engine.TopicUptime:
		p, err := wire.ParseUptimeProof(data)
		last, ok := view.Proofs.Get(p.ProTxHash)
		return err == nil && ok && last.Proof.Digest() == p.Digest()
	case engine.TopicVote:
		v, err := wire.ParseVote(data)
		held, ok := view.HeldVote(v.Ballot, v.Voter)
		return err == nil && ok && held == v
	case engine.TopicCheckpoint:
		c, err := wire.ParseCheckpoint(data)
		return err == nil && slices.Contains(view.HeldCheckpoints(c.BlockHash, c.Voter), c)
	case engine.TopicCommitment:
		c, err := wire.ParseFinalCommitment(data)
		kept, ok := view.Minable.Get(state.QuorumKey(c.Type, c.QuorumHash))
		return err == nil && ok && kept.ID() == c.ID()
	case engine.TopicRecovered:
		m, err := wire.ParseRecoveredSig(data)
		kept, ok := view.Signature(m.Type, m.ID)
		return err == nil && ok && kept == m
	default:
		m, err := engine.ParseDKGBytes(data)
		if err != nil {
			return false
		}
		kept, err := b.node().store.Get(engine.KindDKG, engine.DKGKey(m))
		return err == nil && bytes.Equal(kept, data)
	}
}
