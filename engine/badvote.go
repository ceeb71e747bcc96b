package engine

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// BadVote is a vote of ours to put a member out of a session for something
// else than what it did there.
type BadVote struct {
	Type      wire.LLMQType `json:"llmq_type"`
	Quorum    wire.Hash     `json:"quorum_hash"`
	ProTxHash wire.Hash     `json:"protx_hash"`
	Reason    BadVoteReason `json:"reason"`
}

// BadVoteReason is why, a closed set. Source: spec/dash.md 5.4, "Complain
// start"; DIP-0031.
type BadVoteReason string

// The reasons, in the order they are looked for.
const (
	VoteFlagged     BadVoteReason = "platform-ban"
	VoteUnreachable BadVoteReason = "unreachable"
	VoteProtocol    BadVoteReason = "protocol"
)

// BadVoteReasons lists every reason.
func BadVoteReasons() []BadVoteReason {
	return []BadVoteReason{VoteFlagged, VoteUnreachable, VoteProtocol}
}

// voteBad says whom to vote out of a session, and keeps why. It is asked once,
// when Complain begins.
func (e *Engine) voteBad(s *session) func(wire.Hash) bool {
	if e.config.Genesis.NoQuorumPoSe {
		return nil
	}
	var required, sound, looked bool
	return func(proTx wire.Hash) bool {
		if !looked { // both look at every node
			looked, required, sound = true, e.protocolRequired(), e.ailment() == quorum.Sound
		}
		reason, bad := e.badVote(proTx, required, sound)
		if bad {
			_, hash := s.Base()
			s.badVotes = append(s.badVotes, BadVote{s.LLMQ().Type, hash, proTx, reason})
		}
		return bad
	}
}

// badVote returns why a member is to be voted out. That we could not reach it
// counts only while we are sound: it may be us who are cut off.
func (e *Engine) badVote(proTx wire.Hash, required, sound bool) (BadVoteReason, bool) {
	last, heard := e.proofs.Get(proTx)
	switch {
	case e.flag(proTx).Set():
		return VoteFlagged, true
	case sound && e.unreached[proTx] > params.MaxFailedProbes:
		return VoteUnreachable, true
	case required && heard && last.Proof.Protocol < params.MinProtocol:
		return VoteProtocol, true
	}
	return "", false
}

// protocolRequired reports whether so many active nodes speak the least
// protocol that those below it are voted out.
func (e *Engine) protocolRequired() bool {
	var fresh, speak int
	tip, rules := e.tree.Tip().Height, e.state.Rules()
	for proTx, n := range e.state.Nodes() {
		if n.Service() != state.Active || !e.proofs.Fresh(proTx, tip, rules) {
			continue
		}
		fresh++
		if last, _ := e.proofs.Get(proTx); last.Proof.Protocol >= params.MinProtocol {
			speak++
		}
	}
	return enoughSpeak(speak, fresh)
}

// enoughSpeak reports whether that many of the nodes heard of are the share
// that makes a protocol the rule.
func enoughSpeak(speak, fresh int) bool {
	return fresh > 0 && 100*speak >= params.MinProtocolShare*fresh
}
