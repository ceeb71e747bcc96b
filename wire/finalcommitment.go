package wire

import (
	"encoding/binary"
	"fmt"
)

// Versions of a FinalCommitment in the basic scheme. Older ones carry keys and
// signatures in the legacy encoding and are not decoded.
const (
	CommitmentBasic   uint16 = 3
	CommitmentIndexed uint16 = 4 // of a rotated quorum
)

// FinalCommitment is the result of a session, signed by enough of its members;
// by being in a block it makes a quorum. Source: spec/dash.md 5.6.
//
//	size  field
//	   2  Version           little endian
//	   1  Type
//	  32  QuorumHash
//	   2  QuorumIndex       int16, little endian; in version 4 only
//	   n  Signers           bit set
//	   n  ValidMembers      bit set
//	  48  PublicKey
//	  32  VectorHash
//	  96  QuorumSignature   by the quorum's key over CommitmentHash
//	  96  MembersSignature  secure aggregate of the signers' operator signatures over the same
type FinalCommitment struct {
	Version          uint16
	Type             LLMQType
	QuorumHash       Hash
	QuorumIndex      int16 // 0 in version 3
	Signers          Bitset
	ValidMembers     Bitset
	PublicKey        OperatorKey
	VectorHash       Hash
	QuorumSignature  Signature
	MembersSignature Signature
}

// NullCommitment stands in a block for a session that resulted in nothing.
// size is that of the quorum type. Source: spec/dash.md 5.7.
func NullCommitment(version uint16, t LLMQType, quorum Hash, index int16, size int) FinalCommitment {
	return FinalCommitment{Version: version, Type: t, QuorumHash: quorum, QuorumIndex: index, Signers: make(Bitset, size), ValidMembers: make(Bitset, size)}
}

// Null reports whether c says that there is no quorum: no member is a signer
// or valid, and there are no keys, hashes and signatures.
func (c FinalCommitment) Null() bool {
	return c.Signers.Count() == 0 && c.ValidMembers.Count() == 0 && c.PublicKey == OperatorKey{} && c.VectorHash.IsZero() &&
		c.QuorumSignature == Signature{} && c.MembersSignature == Signature{}
}

// CommitmentHash is what both signatures of c cover. The signers, the version
// and the index are not in it.
func (c FinalCommitment) CommitmentHash() Hash {
	return CommitmentHash(c.Type, c.QuorumHash, c.ValidMembers, c.PublicKey, c.VectorHash)
}

// Bytes returns the encoding of c. QuorumIndex is left out in version 3.
func (c FinalCommitment) Bytes() []byte {
	b := binary.LittleEndian.AppendUint16(nil, c.Version)
	b = append(b, byte(c.Type))
	b = append(b, c.QuorumHash[:]...)
	if c.Version == CommitmentIndexed {
		b = binary.LittleEndian.AppendUint16(b, uint16(c.QuorumIndex))
	}
	b = appendBitset(b, c.Signers)
	b = appendBitset(b, c.ValidMembers)
	b = append(b, c.PublicKey[:]...)
	b = append(b, c.VectorHash[:]...)
	b = append(b, c.QuorumSignature[:]...)
	return append(b, c.MembersSignature[:]...)
}

// ID identifies the commitment byte for byte.
func (c FinalCommitment) ID() Hash { return DoubleHash(c.Bytes()) }

// MaxFinalCommitmentSize is the length of the longest FinalCommitment, in bytes.
const MaxFinalCommitmentSize = 2 + 1 + HashSize + 2 + 2*(3+MaxQuorumMembers/8) + OperatorKeySize + HashSize + 2*SignatureSize

// ParseFinalCommitment decodes b, which must hold one final commitment and
// nothing after it.
func ParseFinalCommitment(b []byte) (FinalCommitment, error) {
	r := &reader{rest: b}
	c := readFinalCommitment(r)
	return c, r.end("final commitment")
}

func readFinalCommitment(r *reader) FinalCommitment {
	c := FinalCommitment{Version: binary.LittleEndian.Uint16(r.bytes(2)), Type: LLMQType(r.uint8()), QuorumHash: r.hash()}
	if r.err == nil && c.Version != CommitmentBasic && c.Version != CommitmentIndexed {
		r.err = fmt.Errorf("version %d, want %d or %d: %w", c.Version, CommitmentBasic, CommitmentIndexed, ErrValue)
	}
	if c.Version == CommitmentIndexed {
		c.QuorumIndex = int16(binary.LittleEndian.Uint16(r.bytes(2)))
	}
	c.Signers = r.bitset("signers")
	c.ValidMembers = r.bitset("valid members")
	c.PublicKey = r.operatorKey()
	c.VectorHash = r.hash()
	c.QuorumSignature = r.signature()
	c.MembersSignature = r.signature()
	return c
}
