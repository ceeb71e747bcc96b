package wire

// RecoveredSigSize is the length of an encoded RecoveredSig, in bytes.
const RecoveredSigSize = 1 + 3*HashSize + SignatureSize

// RecoveredSig is Dash's qsigrec: the signature of a whole quorum, which any
// threshold of its members made. Source: spec/dash.md 7.5.
//
//	offset  size  field
//	     0     1  Type
//	     1    32  QuorumHash
//	    33    32  ID
//	    65    32  MessageHash
//	    97    96  Signature    by the quorum's key over SignHash
type RecoveredSig struct {
	Type        LLMQType
	QuorumHash  Hash
	ID          Hash
	MessageHash Hash
	Signature   Signature // unverified: see package quorum/signing
}

// Bytes returns the encoding of m, RecoveredSigSize bytes.
func (m RecoveredSig) Bytes() []byte {
	b := append(make([]byte, 0, RecoveredSigSize), byte(m.Type))
	b = append(b, m.QuorumHash[:]...)
	b = append(b, m.ID[:]...)
	b = append(b, m.MessageHash[:]...)
	return append(b, m.Signature[:]...)
}

// ParseRecoveredSig decodes b, which must hold one message and nothing after it.
func ParseRecoveredSig(b []byte) (RecoveredSig, error) {
	r := &reader{rest: b}
	m := RecoveredSig{Type: LLMQType(r.uint8()), QuorumHash: r.hash(), ID: r.hash(), MessageHash: r.hash(), Signature: r.signature()}
	return m, r.end("recovered signature")
}

// SignHash is what the quorum signed.
func (m RecoveredSig) SignHash() Hash { return SignHash(m.Type, m.QuorumHash, m.ID, m.MessageHash) }

// InventoryHash identifies m byte for byte: a forgery has another one.
func (m RecoveredSig) InventoryHash() Hash { return DoubleHash(m.Bytes()) }
