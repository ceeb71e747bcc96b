package wire

// PrematureCommitment is what one member found a session to have resulted in.
// Source: DIP-0006; spec/dash.md 5.2 and 5.5.
//
//	size  field
//	  65  DKGHead
//	   n  ValidMembers     bit set
//	  48  PublicKey        of the quorum
//	  32  VectorHash       of the quorum's verification vector
//	  96  QuorumSignature  by the member's share of the quorum's key over SignHash
//	  96  Signature        by the operator key over SignHash
type PrematureCommitment struct {
	DKGHead
	ValidMembers    Bitset
	PublicKey       OperatorKey
	VectorHash      Hash
	QuorumSignature Signature
	Signature       Signature
}

// Kind is KindPrematureCommitment.
func (m PrematureCommitment) Kind() DKGKind { return KindPrematureCommitment }

// Bytes returns the encoding of m.
func (m PrematureCommitment) Bytes() []byte {
	b := appendBitset(m.DKGHead.append(nil), m.ValidMembers)
	b = append(b, m.PublicKey[:]...)
	b = append(b, m.VectorHash[:]...)
	b = append(b, m.QuorumSignature[:]...)
	return append(b, m.Signature[:]...)
}

// ID identifies the message byte for byte.
func (m PrematureCommitment) ID() Hash { return DoubleHash(m.Bytes()) }

// SignHash is the commitment hash: equal for members who found the same.
func (m PrematureCommitment) SignHash() Hash {
	return CommitmentHash(m.Type, m.QuorumHash, m.ValidMembers, m.PublicKey, m.VectorHash)
}

// OperatorSignature returns the signature.
func (m PrematureCommitment) OperatorSignature() Signature { return m.Signature }

// Signed returns m with the signature s.
func (m PrematureCommitment) Signed(s Signature) DKGMessage {
	m.Signature = s
	return m
}

// ParsePrematureCommitment decodes b, which must hold one premature commitment
// and nothing after it.
func ParsePrematureCommitment(b []byte) (PrematureCommitment, error) {
	r := &reader{rest: b}
	m := PrematureCommitment{
		DKGHead:         readDKGHead(r),
		ValidMembers:    r.bitset("valid members"),
		PublicKey:       r.operatorKey(),
		VectorHash:      r.hash(),
		QuorumSignature: r.signature(),
		Signature:       r.signature(),
	}
	return m, r.end("premature commitment")
}

// CommitmentHash is what the members of a session sign, with their operator
// keys and with their shares of the quorum's key. Source: spec/dash.md 5.5.
func CommitmentHash(t LLMQType, quorum Hash, valid Bitset, key OperatorKey, vectorHash Hash) Hash {
	return DoubleHash([]byte{byte(t)}, quorum[:], appendBitset(nil, valid), key[:], vectorHash[:])
}
