package wire

import (
	"encoding/binary"
	"fmt"
)

// PlatformBanSize is the length of an encoded PlatformBan, in bytes.
const PlatformBanSize = HashSize + 4 + HashSize + SignatureSize

// platformBanTag names the kind of request in a ban's request id. Dash writes
// strings with their length in front.
const platformBanTag = "\x0fPlatformPoSeBan"

// PlatformBan asks service nodes to vote against one evonode in DKG.
// Source: DIP-0031, "PlatformBan P2P Message"; spec/dash.md 1.1.
//
//	offset  size  field
//	     0    32  ProTxHash     internal order
//	    32     4  SignedHeight  int32, little endian
//	    36    32  QuorumHash    internal order
//	    68    96  Signature     BLS12-381 G2, compressed, basic scheme
type PlatformBan struct {
	ProTxHash    Hash      // registration of the evonode to ban
	SignedHeight int32     // block height the quorum signed at; any value until validated
	QuorumHash   Hash      // platform quorum that signed
	Signature    Signature // unverified: see package validation
}

// Bytes returns the encoding of m, PlatformBanSize bytes.
func (m PlatformBan) Bytes() []byte {
	b := make([]byte, 0, PlatformBanSize)
	b = append(b, m.ProTxHash[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.SignedHeight))
	b = append(b, m.QuorumHash[:]...)
	return append(b, m.Signature[:]...)
}

// ParsePlatformBan decodes b, which must hold one message and nothing after
// it; otherwise the error is ErrSize.
func ParsePlatformBan(b []byte) (PlatformBan, error) {
	if len(b) != PlatformBanSize {
		return PlatformBan{}, fmt.Errorf("platformban of %d bytes, want %d: %w", len(b), PlatformBanSize, ErrSize)
	}
	return PlatformBan{
		ProTxHash:    Hash(b[0:32]),
		SignedHeight: int32(binary.LittleEndian.Uint32(b[32:36])),
		QuorumHash:   Hash(b[36:68]),
		Signature:    Signature(b[68:164]),
	}, nil
}

// InventoryHash identifies the fact that m states. It leaves the signature
// out, so a forgery has the inventory hash of the genuine message: never use
// it to decide that bytes were seen before (spec/dash.md 1.2).
func (m PlatformBan) InventoryHash() Hash {
	return DoubleHash(m.ProTxHash[:], le32(m.SignedHeight), m.QuorumHash[:])
}

// ID identifies the message byte for byte, signature included.
func (m PlatformBan) ID() Hash { return DoubleHash(m.Bytes()) }

// RequestID is the DIP-7 id of the signing request: what is to be decided.
// Source: DIP-0031, "Signing Process".
func (m PlatformBan) RequestID() Hash {
	return DoubleHash([]byte(platformBanTag), m.ProTxHash[:], le32(m.SignedHeight))
}

// MessageHash is the DIP-7 message hash: the decision itself.
// Source: DIP-0031, "Signing Process".
func (m PlatformBan) MessageHash() Hash {
	return DoubleHash(m.ProTxHash[:], le32(m.SignedHeight))
}

// SignHash is what the quorum of type t signs for m.
func (m PlatformBan) SignHash(t LLMQType) Hash {
	return SignHash(t, m.QuorumHash, m.RequestID(), m.MessageHash())
}

// LLMQType numbers a kind of long-living masternode quorum; package params
// holds the table.
type LLMQType uint8

// SignHash is what the members of a long-living quorum sign to answer request
// id with message. Source: DIP-0007 with the leading type byte of Dash Core,
// spec/dash.md 7.1.
func SignHash(t LLMQType, quorum, id, message Hash) Hash {
	return DoubleHash([]byte{byte(t)}, quorum[:], id[:], message[:])
}

func le32(v int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
