package validation

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// voteLifetime is how far below the tip a draw may be that is voted on: no
// block above carries its certificates. Source: spec/oxen.md 1.3.
const voteLifetime = params.CertificateLast + 1

// VoteView is what a vote is judged by.
type VoteView interface {
	Branch
	// HeldVote is the vote held of a voter with exactly that ballot.
	HeldVote(b wire.Ballot, voter wire.Hash) (wire.Vote, bool)
	// Answerable reports whether voter is a tester of the draw at b.BlockHash,
	// a block of our branch, and whether that draw lets it give b.Answer about
	// b.ProTxHash. Both must follow from that block alone and from no later
	// one: peers are banned for passing on a vote that is refused here.
	Answerable(b wire.Ballot, voter wire.Hash) (member, target bool)
}

// voteRules are cheap ones. Once the block that drew the testers is on our
// branch, all that have it see the same testers and targets.
var voteRules = []rule[wire.Vote, VoteView]{voteHeld, synced[wire.Vote, VoteView], voteAge, drawn, answerable}

// Vote judges all of m but its seal and signature: the rules in order, the
// first that objects decides.
func Vote(m wire.Vote, v VoteView) Verdict {
	return putOff(firstObjection(voteRules, m, v), v).Verdict()
}

// VoteChecked is the verdict on a vote that passed Vote, by whether its seal
// is the voter's service key's and its signature the operator key's, both as
// registered at the block that drew. The seal is the cheap one: no signature
// need be checked where it is wrong.
func VoteChecked(m wire.Vote, sealed, signed bool, v VoteView) Verdict {
	switch {
	case !sealed || !signed:
		return VoteSignature.Verdict()
	case contradicts(m, v):
		return VoteConflict.Verdict()
	default:
		return Valid.Verdict()
	}
}

// voteHeld takes one vote of a voter and ballot: evidence is free text to a
// voter, and each text would make another vote. A BLS signature over a ballot
// is unique, so another one is forged; no pairing is needed to see it.
func voteHeld(m wire.Vote, v VoteView) Reason {
	switch held, ok := v.HeldVote(m.Ballot, m.Voter); {
	case !ok:
		return Valid
	case held == m:
		return Duplicate
	case held.Signature != m.Signature:
		return VoteSignature
	default:
		return VoteRepeated
	}
}

func voteAge(m wire.Vote, v VoteView) Reason {
	switch age := below(m.Height, v); {
	case age < params.VoteDelay-params.BanHeightSlack: // whoever votes so early could fill our room for votes before others may
		return VoteEarly
	case age <= voteLifetime:
		return Valid
	case age <= voteLifetime+params.BanHeightSlack:
		return VoteLate
	default:
		return VoteExpired
	}
}

func drawn(m wire.Vote, v VoteView) Reason {
	if hash, ok := v.BlockAt(m.Height); !ok || hash != m.BlockHash {
		return VoteUnknownQuorum
	}
	return Valid
}

func answerable(m wire.Vote, v VoteView) Reason {
	switch member, target := v.Answerable(m.Ballot, m.Voter); {
	case !member:
		return VoteMember
	case !target:
		return VoteTarget
	default:
		return Valid
	}
}

// contradicts reports whether the voter has said that the node passes and
// that it fails, for one draw. An honest tester judges each draw once.
// Source: DESIGN.md section 6, rule 5.
func contradicts(m wire.Vote, v VoteView) bool {
	for _, a := range wire.Answers() {
		opposed := a == wire.Passes && m.Answer.Fails() || a.Fails() && m.Answer == wire.Passes
		other := m.Ballot
		other.Answer = a
		if _, held := v.HeldVote(other, m.Voter); opposed && held {
			return true
		}
	}
	return false
}
