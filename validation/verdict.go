// Package validation judges messages from peers: a message and a view of the
// chain go in, a verdict comes out. The rules are small functions in the
// order of the document they come from, cheap ones first, the signature last.
package validation

import (
	"slices"

	"github.com/proctornet/proctor/params"
)

// Outcome is what happens to a message.
type Outcome uint8

// The outcomes.
const (
	Accept Outcome = iota + 1 // store and forward
	Ignore                    // neither; the mesh is not blamed beyond the points
	Reject                    // neither; whoever passed it on should have known
)

func (o Outcome) String() string {
	switch o {
	case Accept:
		return "accept"
	case Ignore:
		return "ignore"
	case Reject:
		return "reject"
	default:
		return "none"
	}
}

// Reason names the rule that decided. It is the same word in logs, metrics,
// interfaces and documentation, and never carries data from a message.
type Reason string

// The reasons a message can be judged by.
const (
	Valid Reason = "valid"

	Malformed Reason = "malformed"
	Duplicate Reason = "duplicate"

	ForgedTwin        Reason = "forged-twin"
	NotSynced         Reason = "not-synced"
	Unsure            Reason = "unsure"
	Ahead             Reason = "ahead"
	UnknownNode       Reason = "unknown-node"
	RegularNode       Reason = "regular-node"
	HeightNear        Reason = "height-near"
	HeightFar         Reason = "height-far"
	UnknownQuorum     Reason = "unknown-quorum"
	SignatureEncoding Reason = "signature-encoding"
	Signature         Reason = "signature"
	Stale             Reason = "stale"

	BlockAuthor  Reason = "block-author"
	BlockLink    Reason = "block-link"
	BlockContent Reason = "block-content"
	BlockServed  Reason = "block-served"
	BlockEarly   Reason = "block-early"
	BlockOrphan  Reason = "block-orphan"
	BlockTwin    Reason = "block-twin"
	BlockDeep    Reason = "block-deep"
	BlockDead    Reason = "block-dead"

	EventNetwork   Reason = "event-network"
	EventSequence  Reason = "event-sequence"
	EventRefused   Reason = "event-refused"
	EventWaiting   Reason = "event-waiting"
	PoolFull       Reason = "pool-full"
	EventSignature Reason = "event-signature"

	ProofUnregistered  Reason = "proof-unregistered"
	ProofSequence      Reason = "proof-sequence"
	ProofEarly         Reason = "proof-early"
	ProofAnchorAhead   Reason = "proof-anchor-ahead"
	ProofAnchorNear    Reason = "proof-anchor-near"
	ProofAnchorFar     Reason = "proof-anchor-far"
	ProofAnchorUnknown Reason = "proof-anchor-unknown"
	ProofAddress       Reason = "proof-address"
	ProofSeal          Reason = "proof-seal"

	VoteRepeated      Reason = "vote-repeated"
	VoteEarly         Reason = "vote-early"
	VoteLate          Reason = "vote-late"
	VoteExpired       Reason = "vote-expired"
	VoteUnknownQuorum Reason = "vote-unknown-quorum"
	VoteMember        Reason = "vote-member"
	VoteTarget        Reason = "vote-target"
	VoteSignature     Reason = "vote-signature"
	VoteConflict      Reason = "vote-conflict"

	CheckpointRepeated Reason = "checkpoint-repeated"
	CheckpointEarly    Reason = "checkpoint-early"
	CheckpointLate     Reason = "checkpoint-late"
	CheckpointExpired  Reason = "checkpoint-expired"
	CheckpointBranch   Reason = "checkpoint-branch"
	CheckpointMember   Reason = "checkpoint-member"
	CheckpointSeal     Reason = "checkpoint-seal"
	CheckpointConflict Reason = "checkpoint-conflict"

	DKGType         Reason = "dkg-quorum-type"
	DKGBase         Reason = "dkg-not-a-base"
	DKGUnknownBlock Reason = "dkg-unknown-block"
	DKGOutsider     Reason = "dkg-outsider"
	DKGSession      Reason = "dkg-other-session"
	DKGMember       Reason = "dkg-not-a-member"
	DKGEarly        Reason = "dkg-early"
	DKGLate         Reason = "dkg-late"
	DKGSignature    Reason = "dkg-signature"
	DKGPoint        Reason = "dkg-point"
	DKGThird        Reason = "dkg-third"
	DKGTooMany      Reason = "dkg-too-many"
	DKGResult       Reason = "dkg-other-result"
	DKGEquivocation Reason = "dkg-equivocation"

	CommitmentType         Reason = "commitment-quorum-type"
	CommitmentBase         Reason = "commitment-not-a-base"
	CommitmentUnknownBlock Reason = "commitment-unknown-block"
	CommitmentEarly        Reason = "commitment-early"
	CommitmentStale        Reason = "commitment-stale"
	CommitmentLate         Reason = "commitment-late"
	CommitmentMined        Reason = "commitment-mined"
	CommitmentNull         Reason = "commitment-null"
	CommitmentInvalid      Reason = "commitment-invalid"
	CommitmentSignature    Reason = "commitment-signature"
	CommitmentWorse        Reason = "commitment-worse"

	ShareUnknownQuorum Reason = "share-unknown-quorum"
	ShareNotOurs       Reason = "share-not-ours"
	ShareDecided       Reason = "share-decided"
	ShareFull          Reason = "share-full"
	ShareMember        Reason = "share-member"
	ShareSignature     Reason = "share-signature"

	RecoveredUnknownQuorum Reason = "recovered-unknown-quorum"
	RecoveredSignature     Reason = "recovered-signature"
	RecoveredConflict      Reason = "recovered-conflict"

	RequestRefused  Reason = "request-refused"
	RequestNoMember Reason = "request-no-member"
	RequestNoQuorum Reason = "request-no-quorum"
	RequestOther    Reason = "request-signed-other"

	Handshake Reason = "handshake"
	Rate      Reason = "rate"
	Overload  Reason = "overload"
	Internal  Reason = "internal"
	Operator  Reason = "operator"
)

// Verdict is the whole result of judging one message. Its reason determines
// the rest, see Reason.Verdict.
type Verdict struct {
	Outcome Outcome
	Points  int    // for the sender's account, 0..100
	Reason  Reason // the rule that decided
}

// OK reports whether every rule passed.
func (v Verdict) OK() bool { return v.Reason == Valid }

// Taken reports whether the message is stored and forwarded: it is OK, or it
// is evidence of its sender's own misconduct, which all must see.
func (v Verdict) Taken() bool { return v.Outcome == Accept }

// Nature says what a reason follows from, and so what becomes of a message.
type Nature uint8

// The natures of reasons.
const (
	OfMessage   Nature = iota // plain to see at any time; judged anew each time
	OfView                    // from our view of the chain, which may be the one that is wrong: of a ban steps 2 to 5
	OfSignature               // found after the signature check; remembered, so that it is not made twice
	OfUs                      // about us: not received; all but an internal fault are kept and judged again
)

// Row is one line of the table of verdicts.
type Row struct {
	Reason  Reason
	Outcome Outcome
	Points  int
	Nature  Nature
	When    string // the condition, for people
}

// table is the one home of what each reason leads to. Points of the six steps
// are DIP-0031's, those of a ban's other rows are from spec/gossip.md 1.5. The
// rest follows one idea: what every honest node sees to be wrong, whatever its
// tip, costs 100 points, as whoever passes it on has not looked; what two
// honest nodes may see differently costs nothing, unless they would have to be
// further apart than honest nodes are.
var table = slices.Concat(anyRows, banRows, blockRows, eventRows, proofRows, voteRows, checkpointRows, dkgRows, commitmentRows, signingRows, peerRows)

// anyRows are of all topics.
var anyRows = []Row{
	{Valid, Accept, 0, OfMessage, "every rule passed"},
	{Malformed, Reject, params.PointsBan, OfMessage, "not the one encoding of a message of this topic"},
	{Duplicate, Ignore, 0, OfMessage, "had before, byte for byte"},
	{NotSynced, Ignore, 0, OfUs, "step 1: we are not synced and cannot judge"},
	{Unsure, Ignore, 0, OfUs, "the rules that follow from our view of the chain object, of a ban steps 2 to 5, but that view is shaky"},
}

// banRows are of platform bans: only these may be remembered.
var banRows = []Row{
	{ForgedTwin, Reject, params.PointsBan, OfMessage, "an accepted ban with another signature: a quorum's is unique"},
	{Ahead, Ignore, 0, OfUs, "step 4: up to 5 blocks above our tip; held until the tip gets there or two whole slots pass"},
	{UnknownNode, Ignore, params.PointsSmall, OfView, "step 2: the node is not registered"},
	{RegularNode, Reject, params.PointsBan, OfView, "step 3: the node is not an evonode"},
	{HeightNear, Ignore, params.PointsSmall, OfView, "step 4: outside the window by 5 blocks or less"},
	{HeightFar, Ignore, params.PointsMedium, OfView, "step 4: outside the window by more"},
	{UnknownQuorum, Reject, params.PointsBan, OfView, "step 5: no such platform quorum at the signed height"},
	{SignatureEncoding, Reject, params.PointsBan, OfSignature, "step 6: the bytes encode no signature"},
	{Signature, Reject, params.PointsBan, OfSignature, "step 6: not the quorum's signature"},
	{Stale, Ignore, 0, OfSignature, "a valid ban older than the last change of the node's flag"},
}

// blockRows are of blocks. One of another branch that is properly signed is
// valid: it is kept and forwarded, as it may win.
var blockRows = []Row{
	{BlockAuthor, Reject, params.PointsBan, OfMessage, "block not signed by its slot's authority"},
	{BlockLink, Reject, params.PointsBan, OfMessage, "block whose height or slot does not follow its parent's"},
	{BlockContent, Ignore, 0, OfMessage, "block with a wrong event, certificate or state root: on another branch nobody looks into it before passing it on"},
	{BlockServed, Reject, params.PointsBan, OfMessage, "such a block sent on request, as one of the sender's own branch"},
	{BlockEarly, Ignore, 0, OfMessage, "properly signed block whose slot has not come: our clock may be slow"},
	{BlockOrphan, Ignore, 0, OfMessage, "block whose parent we do not have: it is asked for"},
	{BlockTwin, Ignore, 0, OfMessage, "third block of one slot: two are enough to see that its authority signs two"},
	{BlockDeep, Ignore, 0, OfMessage, "block that forks off below what is final, or too far below our tip"},
	{BlockDead, Ignore, 0, OfMessage, "block on a branch found invalid, which its sender may not have looked into"},
}

// eventRows are of events that wait for a block.
var eventRows = []Row{
	{EventNetwork, Reject, params.PointsBan, OfMessage, "event of another network"},
	{EventSequence, Ignore, 0, OfMessage, "event whose sequence number is not the next one of its record: old, or not yet possible"},
	{EventRefused, Ignore, 0, OfMessage, "event that could not stand in the next block, for its node, stake, keys or state"},
	{EventWaiting, Ignore, 0, OfMessage, "event while another of the same record waits"},
	{PoolFull, Ignore, 0, OfMessage, "event while as many wait as may"},
	{EventSignature, Reject, params.PointsBan, OfMessage, "event not signed by all whom it needs"},
}

// proofRows are of uptime proofs; package uptime decides between them.
var proofRows = []Row{
	{ProofUnregistered, Ignore, params.PointsSmall, OfView, "uptime proof of a node that is not registered"},
	{ProofSequence, Ignore, 0, OfMessage, "uptime proof whose sequence number is not above the last one's, also with other content"},
	{ProofEarly, Ignore, 0, OfMessage, "uptime proof sooner after the node's last than proofs are taken"},
	{ProofAnchorAhead, Ignore, 0, OfUs, "uptime proof anchored up to 5 blocks above our tip: held until the tip gets there"},
	{ProofAnchorNear, Ignore, 0, OfMessage, "uptime proof whose anchor is too old by 5 blocks or less"},
	{ProofAnchorFar, Ignore, params.PointsMedium, OfView, "uptime proof whose anchor is too old by more"},
	{ProofAnchorUnknown, Ignore, 0, OfMessage, "uptime proof whose anchor is not on our branch, or further above our tip"},
	{ProofAddress, Reject, params.PointsMedium, OfMessage, "uptime proof with an address that nobody on this network can reach, such as a private one"},
	{ProofSeal, Reject, params.PointsBan, OfMessage, "uptime proof not sealed by the node's service key"},
}

// voteRows are of testers' votes.
var voteRows = []Row{
	{VoteRepeated, Ignore, 0, OfMessage, "vote of a voter whose same answer is held, with other evidence or another seal"},
	{VoteEarly, Ignore, 0, OfMessage, "vote on a draw less than 7 blocks below our tip: honest testers wait 12"},
	{VoteLate, Ignore, 0, OfMessage, "vote on a draw more than 60 blocks below our tip by 5 or less"},
	{VoteExpired, Ignore, params.PointsMedium, OfView, "vote on a draw further below our tip"},
	{VoteUnknownQuorum, Ignore, 0, OfMessage, "vote on the draw of a block that is not on our branch"},
	{VoteMember, Reject, params.PointsBan, OfMessage, "voter is no tester of that draw: the draw follows from the block alone"},
	{VoteTarget, Reject, params.PointsBan, OfMessage, "that draw lets the voter give no such answer about that node"},
	{VoteSignature, Reject, params.PointsBan, OfMessage, "vote not sealed by the voter's service key, or ballot not signed by its operator key"},
	{VoteConflict, Accept, 0, OfMessage, "properly signed vote against the voter's own other vote: kept and forwarded as evidence; both count, as anybody can put them into certificates"},
}

// checkpointRows are of testers' checkpoints.
var checkpointRows = []Row{
	{CheckpointRepeated, Ignore, 0, OfMessage, "checkpoint of a voter of whom the same or two for that block are held"},
	{CheckpointEarly, Ignore, 0, OfUs, "checkpoint of up to 5 blocks above our tip: held until the tip gets there"},
	{CheckpointLate, Ignore, 0, OfMessage, "checkpoint more than 12 blocks below our tip by 5 or less"},
	{CheckpointExpired, Ignore, params.PointsMedium, OfView, "checkpoint further below our tip"},
	{CheckpointBranch, Ignore, 0, OfMessage, "checkpoint of a block that is not on our branch, or further above our tip"},
	{CheckpointMember, Reject, params.PointsBan, OfMessage, "no such duty of the voter: it follows from the block alone"},
	{CheckpointSeal, Reject, params.PointsBan, OfMessage, "checkpoint not sealed by the voter's service key"},
	{CheckpointConflict, Accept, 0, OfMessage, "properly sealed checkpoint with another state root than the voter's own other one for that block: kept and forwarded as evidence"},
}

// peerRows are of what is no message, and of our own faults.
var peerRows = []Row{
	{Handshake, Reject, params.PointsMedium, OfMessage, "stream message that no honest peer sends"},
	{Rate, Ignore, 0, OfUs, "as many signatures of this peer are being checked as may be"},
	{Overload, Ignore, 0, OfUs, "our own queue was full or our own time was up"},
	{Internal, Ignore, 0, OfUs, "a fault of our own"},
	{Operator, Reject, params.PointsBan, OfMessage, "no message: this node's operator bans the peer"},
}

var byReason = func() map[Reason]Row {
	m := make(map[Reason]Row, len(table))
	for _, row := range table {
		m[row.Reason] = row
	}
	return m
}()

// Table returns the table of verdicts, which holds every reason once.
func Table() []Row { return table }

// Verdict returns what r leads to.
func (r Reason) Verdict() Verdict {
	row := byReason[r]
	return Verdict{row.Outcome, row.Points, row.Reason}
}

// Nature returns what r follows from.
func (r Reason) Nature() Nature { return byReason[r].Nature }

// Received reports whether a platform ban judged so counts as received: under
// the one reading whatever the verdict, unless it is about us; under the other
// only when it is accepted. Source: DIP-0031, Validation; params.Profile.
func (r Reason) Received(p params.Profile) bool {
	return r == Valid || p.ReceivesRefused && r.Nature() != OfUs
}

// Remembered reports whether an item judged so is known again by all its
// bytes. What follows from a signature check is remembered under every
// reading, or each repetition would cost another check; what is plain to see
// needs no memory. Only bans are known again: they outlive the caches of
// gossip by hours.
func (r Reason) Remembered(p params.Profile) bool {
	if !slices.ContainsFunc(banRows, func(row Row) bool { return row.Reason == r }) {
		return false
	}
	return r.Nature() == OfSignature || r.Nature() == OfView && r.Received(p)
}

// Known reports whether r belongs to the closed set.
func (r Reason) Known() bool {
	_, ok := byReason[r]
	return ok
}

// Describe says in words when a message is judged so; empty if r is unknown.
func Describe(r Reason) string { return byReason[r].When }
