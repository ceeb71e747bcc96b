package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of a message of shares. Source: spec/dash.md 7.4.
const (
	SigShareSize     = 1 + HashSize + 2 + 2*HashSize + SignatureSize
	MaxSigShares     = 32
	MaxSigSharesSize = 1 + MaxSigShares*SigShareSize
)

// SigShare is one member's part of a quorum's signature.
//
//	offset  size  field
//	     0     1  Type
//	     1    32  QuorumHash
//	    33     2  Member       index in the quorum, little endian
//	    35    32  ID
//	    67    32  MessageHash
//	    99    96  Signature    by the member's key share over SignHash
type SigShare struct {
	Type        LLMQType
	QuorumHash  Hash
	Member      uint16
	ID          Hash
	MessageHash Hash
	Signature   Signature // unverified: see package quorum/signing
}

// Bytes returns the encoding of s, SigShareSize bytes.
func (s SigShare) Bytes() []byte {
	b := append(make([]byte, 0, SigShareSize), byte(s.Type))
	b = append(b, s.QuorumHash[:]...)
	b = binary.LittleEndian.AppendUint16(b, s.Member)
	b = append(b, s.ID[:]...)
	b = append(b, s.MessageHash[:]...)
	return append(b, s.Signature[:]...)
}

func readSigShare(r *reader) SigShare {
	return SigShare{
		Type: LLMQType(r.uint8()), QuorumHash: r.hash(), Member: binary.LittleEndian.Uint16(r.bytes(2)),
		ID: r.hash(), MessageHash: r.hash(), Signature: r.signature(),
	}
}

// ParseSigShare decodes b, which must hold one share and nothing after it.
func ParseSigShare(b []byte) (SigShare, error) {
	r := &reader{rest: b}
	s := readSigShare(r)
	return s, r.end("signature share")
}

// SignHash is what the share signs.
func (s SigShare) SignHash() Hash { return SignHash(s.Type, s.QuorumHash, s.ID, s.MessageHash) }

// SigShares is Dash's qsigshare: 1..MaxSigShares shares behind one byte of
// their number.
type SigShares []SigShare

// Bytes returns the encoding of m; callers keep the limit.
func (m SigShares) Bytes() []byte {
	b := append(make([]byte, 0, 1+len(m)*SigShareSize), byte(len(m)))
	for _, s := range m {
		b = append(b, s.Bytes()...)
	}
	return b
}

// ParseSigShares decodes b, which must hold one message and nothing after it.
// Dash allows a message of no shares, which says nothing; it is ErrValue here.
func ParseSigShares(b []byte) (SigShares, error) {
	r := &reader{rest: b}
	n := r.limited("shares", int(r.uint8()), MaxSigShares)
	switch {
	case r.err != nil:
	case n == 0:
		r.err = fmt.Errorf("0 shares, at least 1: %w", ErrValue)
	case len(r.rest) != n*SigShareSize:
		r.err = fmt.Errorf("%d bytes of %d shares, want %d: %w", len(r.rest), n, n*SigShareSize, ErrSize)
	}
	if r.err != nil {
		return nil, r.end("signature shares")
	}
	m := make(SigShares, n)
	for i := range m {
		m[i] = readSigShare(r)
	}
	return m, r.end("signature shares")
}
