package validation

import "github.com/proctornet/proctor/params"

// Long-living quorums. Packages quorum/dkg and quorum/signing judge their
// messages; these rows say what becomes of them. Source: spec/dash.md 5.3, 5.6
// and 7.4.

// dkgRows are of messages of sessions.
var dkgRows = []Row{
	{DKGType, Reject, params.PointsBan, OfMessage, "message of a session of a quorum type that does not run here, or of another topic's"},
	{DKGBase, Reject, params.PointsBan, OfMessage, "message of a session that begins at a block where none does"},
	{DKGUnknownBlock, Ignore, params.PointsMedium, OfView, "message of a session that begins at a block we do not know"},
	{DKGOutsider, Ignore, params.PointsMedium, OfMessage, "message of a session to one who takes no part in any"},
	{DKGSession, Ignore, 0, OfUs, "message of another session than the present one"},
	{DKGMember, Reject, params.PointsBan, OfMessage, "message of a session from one who is no member: that follows from the chain alone"},
	{DKGEarly, Ignore, 0, OfUs, "message of a phase more than one ahead: held until the phase comes"},
	{DKGLate, Ignore, 0, OfMessage, "message of a phase that is over"},
	{DKGSignature, Reject, params.PointsBan, OfMessage, "message of a session not signed by its member's operator key"},
	{DKGPoint, Reject, params.PointsBan, OfMessage, "message of a session with a point that is none"},
	{DKGThird, Ignore, 0, OfMessage, "third message of a kind from one member: two are enough to see that it says two things"},
	{DKGTooMany, Ignore, 0, OfMessage, "message of a peer that has sent twice as many of the kind as the session has members"},
	{DKGResult, Ignore, 0, OfMessage, "premature commitment to another result of the valid members that it names"},
	{DKGEquivocation, Accept, 0, OfMessage, "second, different message of a kind from one member: kept and forwarded as evidence"},
}

// commitmentRows are of final commitments that wait for a block.
var commitmentRows = []Row{
	{CommitmentType, Reject, params.PointsBan, OfMessage, "final commitment of a quorum type that does not run here"},
	{CommitmentBase, Reject, params.PointsBan, OfMessage, "final commitment of a session that begins at a block where none does"},
	{CommitmentUnknownBlock, Ignore, 0, OfUs, "final commitment of a session that begins at a block we do not know: held for a few slots"},
	{CommitmentEarly, Ignore, 0, OfUs, "final commitment of a session that takes those of its members still: held for a few slots"},
	{CommitmentStale, Reject, params.PointsBan, OfView, "final commitment of a session more than an interval below our tip"},
	{CommitmentLate, Ignore, 0, OfMessage, "final commitment of a session whose mining window is over"},
	{CommitmentMined, Ignore, 0, OfMessage, "final commitment of a quorum that a block has made"},
	{CommitmentNull, Reject, params.PointsBan, OfMessage, "final commitment to nothing: only blocks carry those"},
	{CommitmentInvalid, Reject, params.PointsBan, OfMessage, "final commitment that does not fit its session: members, signers, version"},
	{CommitmentSignature, Reject, params.PointsBan, OfMessage, "final commitment not signed by its quorum's key or by its signers"},
	{CommitmentWorse, Ignore, 0, OfMessage, "final commitment with no more signers than the one we have, nor as many and more valid members"},
}

// signingRows are of shares, of quorums' signatures, and of what our own
// operator asks for.
var signingRows = []Row{
	{ShareUnknownQuorum, Ignore, 0, OfMessage, "share of a quorum that is not among the newest we know"},
	{ShareNotOurs, Ignore, 0, OfMessage, "share of a quorum whose shares we cannot check"},
	{ShareDecided, Ignore, 0, OfMessage, "share for a request that was signed before"},
	{ShareFull, Ignore, 0, OfMessage, "share while as many wait as may"},
	{ShareMember, Reject, params.PointsBan, OfView, "share of a member that there is not, or that has none, by the commitment that our branch has"},
	{ShareSignature, Reject, params.PointsBan, OfView, "share not made with its member's part of the key that our branch has of the quorum"},
	{RecoveredUnknownQuorum, Ignore, 0, OfMessage, "signature of a quorum that is not among the newest we know"},
	{RecoveredSignature, Reject, params.PointsBan, OfMessage, "signature not by its quorum"},
	{RecoveredConflict, Accept, 0, OfMessage, "good signature of a quorum against another one for the same request: an alarm, kept and forwarded as evidence"},
	{RequestRefused, Ignore, 0, OfMessage, "no message: a ban that may not be asked for, of no evonode, of ourselves or of one that is flagged or PoSe-banned, or one too many; or a request for a signature too many"},
	{RequestNoMember, Ignore, 0, OfMessage, "no message: a ban or a signature asked for by a node that has no share of the quorum's key"},
	{RequestNoQuorum, Ignore, 0, OfMessage, "no message: a signature of a quorum that is not among the newest, or of a type of which none signs yet"},
	{RequestOther, Ignore, 0, OfMessage, "no message: a signature asked for although this node or the quorum has signed another message for that request"},
}
