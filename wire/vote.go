package wire

import (
	"encoding/binary"
	"fmt"
)

// Answer is what a tester found about one service node. It never says which
// punishment follows: credit, state and brake are recomputed by everyone.
// Source: DESIGN.md section 6, rule 3.
type Answer uint8

// The answers.
const (
	FailsUptime     Answer = 1 // no fresh uptime proof was heard
	FailsCheckpoint Answer = 2 // a due checkpoint hash was not published
	TwoAddresses    Answer = 3 // it advertised more than one address within a day
	Passes          Answer = 4 // decommissioned, and the tests pass again
)

// Answers lists every answer.
func Answers() []Answer { return []Answer{FailsUptime, FailsCheckpoint, TwoAddresses, Passes} }

func (a Answer) String() string {
	switch a {
	case FailsUptime:
		return "fails-uptime"
	case FailsCheckpoint:
		return "fails-checkpoint"
	case TwoAddresses:
		return "two-addresses"
	case Passes:
		return "passes"
	default:
		return fmt.Sprintf("answer-%d", uint8(a))
	}
}

// MarshalText encodes a as String does; 0, no answer, is empty.
func (a Answer) MarshalText() ([]byte, error) {
	if a == 0 {
		return nil, nil
	}
	return []byte(a.String()), nil
}

// UnmarshalText decodes what MarshalText returns.
func (a *Answer) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = 0
		return nil
	}
	for _, known := range Answers() {
		if known.String() == string(text) {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("answer %.40q is unknown: %w", text, ErrValue)
}

// Negative reports whether a speaks against the node.
func (a Answer) Negative() bool { return a != Passes }

// Fails reports whether a says that a test was failed.
func (a Answer) Fails() bool { return a == FailsUptime || a == FailsCheckpoint }

// BallotSize is the length of an encoded Ballot, in bytes.
const BallotSize = 4 + 2*HashSize + 1

// Ballot is one question and one answer to it, equal for all who agree.
//
//	size  field
//	   4  Height     int32, of the block that drew the testers: q
//	  32  BlockHash  of that block
//	  32  ProTxHash  the node tested
//	   1  Answer
type Ballot struct {
	Height    int32
	BlockHash Hash
	ProTxHash Hash
	Answer    Answer
}

// SignHash is what testers sign with their operator keys.
func (b Ballot) SignHash(network Hash) Hash {
	return DoubleHash([]byte("proctor/ballot/1"), network[:], b.append(nil))
}

func (b Ballot) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(b.Height))
	to = append(to, b.BlockHash[:]...)
	to = append(to, b.ProTxHash[:]...)
	return append(to, byte(b.Answer))
}

func readBallot(r *reader) Ballot {
	b := Ballot{Height: r.int32(), BlockHash: r.hash(), ProTxHash: r.hash(), Answer: Answer(r.uint8())}
	if r.err == nil && (b.Answer < FailsUptime || b.Answer > Passes) {
		r.err = fmt.Errorf("answer %d is unknown: %w", uint8(b.Answer), ErrValue)
	}
	return b
}

// Evidence is what a voter saw. It explains a vote and decides nothing.
//
//	size  field
//	  32  Digest  of the last uptime proof heard of the node; of both addresses; zero if there is none
//	   4  First   uptime, passes: height the last proof was heard at; checkpoint: height not published; addresses: height the first was last seen at; -1 for none
//	   4  Second  addresses: height the second was last seen at; otherwise -1
type Evidence struct {
	Digest        Hash
	First, Second int32
}

// VoteSize is the length of an encoded Vote, in bytes.
const VoteSize = BallotSize + HashSize + SignatureSize + HashSize + 2*4 + ServiceSignatureSize

// Vote is one tester's answer and why it gave it.
//
//	size  field
//	  69  Ballot
//	  32  Voter      ProTxHash of the tester
//	  96  Signature  by the voter's operator key over Ballot.SignHash
//	  40  Evidence
//	  64  Seal       Ed25519 by the voter's service key over all of the above, see SealedBytes
type Vote struct {
	Ballot
	Voter     Hash
	Signature Signature
	Evidence  Evidence
	Seal      ServiceSignature
}

// Bytes returns the encoding of v, VoteSize bytes.
func (v Vote) Bytes() []byte { return append(v.body(), v.Seal[:]...) }

func (v Vote) body() []byte {
	b := v.Ballot.append(nil)
	b = append(b, v.Voter[:]...)
	b = append(b, v.Signature[:]...)
	b = append(b, v.Evidence.Digest[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Evidence.First))
	return binary.BigEndian.AppendUint32(b, uint32(v.Evidence.Second))
}

// SealedBytes is what the voter's service key signs.
func (v Vote) SealedBytes(network Hash) []byte { return sealed("proctor/vote/1", network, v.body()) }

// ParseVote decodes b, which must hold one vote and nothing after it.
func ParseVote(b []byte) (Vote, error) {
	r := &reader{rest: b}
	v := Vote{
		Ballot:    readBallot(r),
		Voter:     r.hash(),
		Signature: r.signature(),
		Evidence:  Evidence{Digest: r.hash(), First: r.int32(), Second: r.int32()},
		Seal:      r.serviceSignature(),
	}
	return v, r.end("vote")
}

// CertificateSize is the length of an encoded Certificate, in bytes.
const CertificateSize = BallotSize + 2 + SignatureSize

// Certificate is the agreement of a supermajority of testers on one ballot.
// It acts only by being in a block. Source: seed "Deregistration Rules",
// State Change Transactions; DESIGN.md section 6.
//
//	size  field
//	  69  Ballot
//	   2  Voters     bit i (1<<i) stands for tester i of the draw at Height
//	  96  Signature  secure aggregate of the voters' signatures, ascending by index
type Certificate struct {
	Ballot
	Voters    uint16
	Signature Signature
}

// Bytes returns the encoding of c, CertificateSize bytes.
func (c Certificate) Bytes() []byte {
	b := binary.BigEndian.AppendUint16(c.Ballot.append(nil), c.Voters)
	return append(b, c.Signature[:]...)
}

func readCertificate(r *reader) Certificate {
	return Certificate{Ballot: readBallot(r), Voters: r.uint16(), Signature: r.signature()}
}

// ParseCertificate decodes b, which must hold one certificate and nothing
// after it.
func ParseCertificate(b []byte) (Certificate, error) {
	r := &reader{rest: b}
	c := readCertificate(r)
	return c, r.end("certificate")
}

// sealed is what a service key signs: a tag, the network, a body.
func sealed(tag string, network Hash, body []byte) []byte {
	hash := DoubleHash([]byte(tag), network[:], body)
	return hash[:]
}
