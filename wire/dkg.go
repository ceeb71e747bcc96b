package wire

import "fmt"

// DKGKind numbers the messages of distributed key generation as Dash's
// inventory does (spec/dash.md 5.2).
type DKGKind uint8

// The kinds that members of a session send.
const (
	KindContribution        DKGKind = 23
	KindComplaint           DKGKind = 24
	KindJustification       DKGKind = 25
	KindPrematureCommitment DKGKind = 26
)

// String returns Dash's name of the message.
func (k DKGKind) String() string {
	switch k {
	case KindContribution:
		return "qcontrib"
	case KindComplaint:
		return "qcomplaint"
	case KindJustification:
		return "qjustify"
	case KindPrematureCommitment:
		return "qpcommit"
	default:
		return fmt.Sprintf("dkg-%d", uint8(k))
	}
}

// DKGHead begins every message of a session.
//
//	size  field
//	   1  Type
//	  32  QuorumHash  hash of the session's base block
//	  32  ProTxHash   sending member
type DKGHead struct {
	Type       LLMQType
	QuorumHash Hash
	ProTxHash  Hash
}

// Head returns h; messages embed it.
func (h DKGHead) Head() DKGHead { return h }

func (h DKGHead) append(b []byte) []byte {
	b = append(b, byte(h.Type))
	b = append(b, h.QuorumHash[:]...)
	return append(b, h.ProTxHash[:]...)
}

func readDKGHead(r *reader) DKGHead {
	return DKGHead{LLMQType(r.uint8()), r.hash(), r.hash()}
}

// DKGMessage is a Contribution, Complaint, Justification or
// PrematureCommitment.
type DKGMessage interface {
	Kind() DKGKind
	Head() DKGHead
	Bytes() []byte
	ID() Hash       // of all bytes
	SignHash() Hash // what the member's operator key signs
	OperatorSignature() Signature
	Signed(s Signature) DKGMessage // with another operator signature
}

// MaxDKGMessageSize is the length of the longest message of a session, in bytes.
const MaxDKGMessageSize = dkgHeadSize + 3 + MaxQuorumMembers*OperatorKeySize + OperatorKeySize + HashSize +
	3 + MaxQuorumMembers*(1+EncryptedShareSize) + SignatureSize

const dkgHeadSize = 1 + 2*HashSize

// ParseDKG decodes b, which must hold one message of that kind and nothing
// after it.
func ParseDKG(kind DKGKind, b []byte) (DKGMessage, error) {
	switch kind {
	case KindContribution:
		return asMessage(ParseContribution(b))
	case KindComplaint:
		return asMessage(ParseComplaint(b))
	case KindJustification:
		return asMessage(ParseJustification(b))
	case KindPrematureCommitment:
		return asMessage(ParsePrematureCommitment(b))
	default:
		return nil, fmt.Errorf("message of kind %d in DKG: %w", uint8(kind), ErrValue)
	}
}

func asMessage[M DKGMessage](m M, err error) (DKGMessage, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
