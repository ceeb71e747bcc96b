package wire

import "encoding/binary"

// SecretShareSize is the length of a secret key share, in bytes.
const SecretShareSize = 32

const revealedShareSize = 4 + SecretShareSize

// Justification answers complaints by showing the shares in question to
// everybody. Source: DIP-0006; spec/dash.md 5.2.
//
//	size  field
//	  65  DKGHead
//	   n  Shares     compact size, then for each 4 bytes Member, little endian, and 32 bytes Share
//	  96  Signature  by the operator key over SignHash
type Justification struct {
	DKGHead
	Shares    []RevealedShare
	Signature Signature
}

// RevealedShare is the share that the sender dealt to one member.
type RevealedShare struct {
	Member uint32                // index
	Share  [SecretShareSize]byte // big-endian integer
}

// Kind is KindJustification.
func (m Justification) Kind() DKGKind { return KindJustification }

// Bytes returns the encoding of m.
func (m Justification) Bytes() []byte {
	b := appendCompact(m.DKGHead.append(nil), len(m.Shares))
	for _, s := range m.Shares {
		b = append(binary.LittleEndian.AppendUint32(b, s.Member), s.Share[:]...)
	}
	return append(b, m.Signature[:]...)
}

// ID identifies the message byte for byte.
func (m Justification) ID() Hash { return DoubleHash(m.Bytes()) }

// SignHash covers the encoding with zeros for the signature.
func (m Justification) SignHash() Hash {
	m.Signature = Signature{}
	return m.ID()
}

// OperatorSignature returns the signature.
func (m Justification) OperatorSignature() Signature { return m.Signature }

// Signed returns m with the signature s.
func (m Justification) Signed(s Signature) DKGMessage {
	m.Signature = s
	return m
}

// ParseJustification decodes b, which must hold one justification and nothing
// after it.
func ParseJustification(b []byte) (Justification, error) {
	r := &reader{rest: b}
	m := Justification{DKGHead: readDKGHead(r)}
	shares := r.array("shares", r.compact("shares", MaxQuorumMembers), revealedShareSize)
	for ; len(shares) > 0; shares = shares[revealedShareSize:] {
		m.Shares = append(m.Shares, RevealedShare{binary.LittleEndian.Uint32(shares), [SecretShareSize]byte(shares[4:])})
	}
	m.Signature = r.signature()
	return m, r.end("justification")
}
