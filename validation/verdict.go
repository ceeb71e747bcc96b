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
	Overload  Reason = "overload"
	Internal  Reason = "internal"
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

// Row is one line of the table of verdicts.
type Row struct {
	Reason  Reason
	Outcome Outcome
	Points  int
	When    string // the condition, for people
}

// table is the one home of what each reason leads to. Points of the six steps
// are DIP-0031's; the other rows are from spec/gossip.md 1.5.
var table = []Row{
	{Valid, Accept, 0, "every rule passed"},
	{Malformed, Reject, params.PointsBan, "not the one encoding of a message of this topic"},
	{Duplicate, Ignore, 0, "had before, byte for byte"},
	{ForgedTwin, Reject, params.PointsBan, "an accepted ban with another signature: a quorum's is unique"},
	{NotSynced, Ignore, 0, "step 1: we are not synced and cannot judge"},
	{UnknownNode, Ignore, params.PointsSmall, "step 2: the node is not registered"},
	{RegularNode, Reject, params.PointsBan, "step 3: the node is not an evonode"},
	{HeightNear, Ignore, params.PointsSmall, "step 4: outside the window by 5 blocks or less"},
	{HeightFar, Ignore, params.PointsMedium, "step 4: outside the window by more"},
	{UnknownQuorum, Reject, params.PointsBan, "step 5: no such platform quorum at the signed height"},
	{SignatureEncoding, Reject, params.PointsBan, "step 6: the bytes encode no signature"},
	{Signature, Reject, params.PointsBan, "step 6: not the quorum's signature"},
	{Stale, Ignore, 0, "a valid ban older than the last change of the node's flag"},
	{BlockAuthor, Reject, params.PointsBan, "block not signed by its slot's authority"},
	{BlockLink, Reject, params.PointsBan, "block whose height or slot does not follow its parent's"},
	{BlockContent, Reject, params.PointsBan, "block with a wrong event or state root"},
	{BlockEarly, Ignore, 0, "properly signed block whose slot has not come: our clock may be slow"},
	{BlockOrphan, Ignore, 0, "block whose parent we do not have: it is asked for"},
	{BlockSide, Ignore, 0, "block of a second branch"},
	{Event, Reject, 0, "event that could not stand in the next block"},
	{PoolFull, Ignore, 0, "event while as many wait as may"},
	{Handshake, Reject, params.PointsMedium, "stream message that no honest peer sends"},
	{Overload, Ignore, 0, "our own queue was full or our own time was up"},
	{Internal, Ignore, 0, "a fault of our own"},
}

var byReason = func() map[Reason]Verdict {
	m := make(map[Reason]Verdict, len(table))
	for _, row := range table {
		m[row.Reason] = Verdict{row.Outcome, row.Points, row.Reason}
	}
	return m
}()

// Table returns the table of verdicts, which holds every reason once.
func Table() []Row { return table }

// Verdict returns what r leads to.
func (r Reason) Verdict() Verdict { return byReason[r] }

// Known reports whether r belongs to the closed set.
func (r Reason) Known() bool {
	_, ok := byReason[r]
	return ok
}
