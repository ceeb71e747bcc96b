package engine

import (
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/quorum/dkg"
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
	VoteRecalled    BadVoteReason = "before-restart" // we voted before a restart, and the reason is gone
)

// BadVoteReasons lists every reason.
func BadVoteReasons() []BadVoteReason {
	return []BadVoteReason{VoteFlagged, VoteUnreachable, VoteProtocol, VoteRecalled}
}

// voteBad says whom to vote out of a session, and adds why to votes. It is
// asked once, when Complain begins.
func (e *Engine) voteBad(r *dkg.Roster, votes *[]BadVote) func(wire.Hash) bool {
	if e.config.Genesis.NoQuorumPoSe {
		return nil
	}
	why := e.badVoteReasons()
	return func(proTx wire.Hash) bool {
		reason, bad := why(proTx)
		if bad {
			_, hash := r.Base()
			*votes = append(*votes, BadVote{r.LLMQ().Type, hash, proTx, reason})
		}
		return bad
	}
}

// recallVotes finds our votes in the complaint of an earlier run. It names
// members at fault too, who have none of ours.
func (e *Engine) recallVotes(s *session) (votes []BadVote) {
	self, member := s.Self()
	if !member {
		return nil
	}
	why := e.badVoteReasons()
	_, hash := s.Base()
	for _, m := range s.Status().Members {
		if !slices.Contains(m.Voters, self) || m.Fault == dkg.NoContribution || m.Fault == dkg.TwoContributions {
			continue
		}
		reason, bad := why(m.ProTxHash)
		if !bad {
			reason = VoteRecalled
		}
		votes = append(votes, BadVote{s.LLMQ().Type, hash, m.ProTxHash, reason})
	}
	return votes
}

// badVoteReasons is badVote with what is the same for all members, which is
// found with the first of them: it looks at every node.
func (e *Engine) badVoteReasons() func(wire.Hash) (BadVoteReason, bool) {
	var required, sound, looked bool
	return func(proTx wire.Hash) (BadVoteReason, bool) {
		if !looked {
			looked, required, sound = true, e.protocolRequired(), e.ailment() == quorum.Sound
		}
		return e.badVote(proTx, required, sound)
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
