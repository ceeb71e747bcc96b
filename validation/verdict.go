// Package validation judges messages from peers: a message and a view of the
// chain go in, a verdict comes out. The rules are small functions in the
// order of the document they come from, cheap ones first, the signature last.
package validation

import (
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
	BlockEarly   Reason = "block-early"
	BlockOrphan  Reason = "block-orphan"
	BlockSide    Reason = "block-side"

	Event    Reason = "event"
	PoolFull Reason = "pool-full"

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

// Nature says what a reason follows from, and so what becomes of a message.
type Nature uint8

// The natures of reasons.
const (
	OfMessage   Nature = iota // plain to see at any time; judged anew each time
	OfView                    // steps 2 to 5: from our view of the chain, which may be the one that is wrong
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
// are DIP-0031's; the other rows are from spec/gossip.md 1.5.
var table = []Row{
	{Valid, Accept, 0, OfMessage, "every rule passed"},
	{Malformed, Reject, params.PointsBan, OfMessage, "not the one encoding of a message of this topic"},
	{Duplicate, Ignore, 0, OfMessage, "had before, byte for byte"},
	{ForgedTwin, Reject, params.PointsBan, OfMessage, "an accepted ban with another signature: a quorum's is unique"},
	{NotSynced, Ignore, 0, OfUs, "step 1: we are not synced and cannot judge"},
	{Unsure, Ignore, 0, OfUs, "steps 2 to 5 object, but our own view is shaky"},
	{Ahead, Ignore, 0, OfUs, "step 4: up to 5 blocks above our tip; held until the tip gets there or two whole slots pass"},
	{UnknownNode, Ignore, params.PointsSmall, OfView, "step 2: the node is not registered"},
	{RegularNode, Reject, params.PointsBan, OfView, "step 3: the node is not an evonode"},
	{HeightNear, Ignore, params.PointsSmall, OfView, "step 4: outside the window by 5 blocks or less"},
	{HeightFar, Ignore, params.PointsMedium, OfView, "step 4: outside the window by more"},
	{UnknownQuorum, Reject, params.PointsBan, OfView, "step 5: no such platform quorum at the signed height"},
	{SignatureEncoding, Reject, params.PointsBan, OfSignature, "step 6: the bytes encode no signature"},
	{Signature, Reject, params.PointsBan, OfSignature, "step 6: not the quorum's signature"},
	{Stale, Ignore, 0, OfSignature, "a valid ban older than the last change of the node's flag"},
	{BlockAuthor, Reject, params.PointsBan, OfMessage, "block not signed by its slot's authority"},
	{BlockLink, Reject, params.PointsBan, OfMessage, "block whose height or slot does not follow its parent's"},
	{BlockContent, Reject, params.PointsBan, OfMessage, "block with a wrong event or state root"},
	{BlockEarly, Ignore, 0, OfMessage, "properly signed block whose slot has not come: our clock may be slow"},
	{BlockOrphan, Ignore, 0, OfMessage, "block whose parent we do not have: it is asked for"},
	{BlockSide, Ignore, 0, OfMessage, "block of a second branch"},
	{Event, Reject, 0, OfMessage, "event that could not stand in the next block"},
	{PoolFull, Ignore, 0, OfMessage, "event while as many wait as may"},
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
// needs no memory.
func (r Reason) Remembered(p params.Profile) bool {
	return r.Nature() == OfSignature || r.Nature() == OfView && r.Received(p)
}

// Known reports whether r belongs to the closed set.
func (r Reason) Known() bool {
	_, ok := byReason[r]
	return ok
}

// Describe says in words when a message is judged so; empty if r is unknown.
func Describe(r Reason) string { return byReason[r].When }
