package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of a block.
const (
	MaxBlockEvents       = 64        // events in one block
	MaxBlockCommitments  = 16        // final commitments in one block: one of each quorum type that runs
	MaxBlockCertificates = 128       // certificates in one block
	MaxBlockSize         = 128 << 10 // bytes of one encoded block
)

// HeaderSize is the length of an encoded Header, in bytes.
const HeaderSize = 4 + 8 + 3*HashSize + ServiceSignatureSize

const blockTag = "proctor/block/1"

// Header is the signed head of a block. Who may sign it follows from Slot.
//
//	size  field
//	   4  Height     int32
//	   8  Slot       slots since genesis
//	  32  Parent     hash of the parent; of the genesis below height 1
//	  32  StateRoot  root of the agreed state before this block
//	  32  Content    hash of the content
//	  64  Signature  Ed25519 by the slot's authority over SignedBytes
type Header struct {
	Height    int32
	Slot      uint64
	Parent    Hash
	StateRoot Hash
	Content   Hash
	Signature ServiceSignature
}

// Bytes returns the encoding of h, HeaderSize bytes.
func (h Header) Bytes() []byte { return append(h.body(), h.Signature[:]...) }

func (h Header) body() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(h.Height))
	b = binary.BigEndian.AppendUint64(b, h.Slot)
	b = append(b, h.Parent[:]...)
	b = append(b, h.StateRoot[:]...)
	return append(b, h.Content[:]...)
}

// Hash identifies the block. It leaves the signature out: an authority may
// sign the same block twice without making two blocks.
func (h Header) Hash() Hash { return DoubleHash(h.body()) }

// SignedBytes is what the authority signs. The genesis hash at the root of
// every branch binds it to one network.
func (h Header) SignedBytes() []byte {
	hash := h.Hash()
	return append([]byte(blockTag), hash[:]...)
}

func parseHeader(r *reader) Header {
	return Header{
		Height:    r.int32(),
		Slot:      r.uint64(),
		Parent:    r.hash(),
		StateRoot: r.hash(),
		Content:   r.hash(),
		Signature: r.serviceSignature(),
	}
}

// Content is what a block carries. Commitments act first, then events, then
// certificates (spec/dash.md 2.2).
//
//	size  field
//	   2  number of events, then each as 2 length bytes and the event
//	   2  number of final commitments, then each as 2 length bytes and the commitment
//	   2  number of certificates, then each of CertificateSize bytes
type Content struct {
	Events       []Event
	Commitments  []FinalCommitment // null ones stand for sessions that resulted in nothing
	Certificates []Certificate
}

// Bytes returns the encoding of c.
func (c Content) Bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(c.Events)))
	for _, e := range c.Events {
		eb := e.Bytes()
		b = binary.BigEndian.AppendUint16(b, uint16(len(eb)))
		b = append(b, eb...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Commitments)))
	for _, commitment := range c.Commitments {
		cb := commitment.Bytes()
		b = binary.BigEndian.AppendUint16(b, uint16(len(cb)))
		b = append(b, cb...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Certificates)))
	for _, cert := range c.Certificates {
		b = append(b, cert.Bytes()...)
	}
	return b
}

// Hash is what Header.Content must be for c.
func (c Content) Hash() Hash { return DoubleHash(c.Bytes()) }

// Block is a header and the content it commits to.
type Block struct {
	Header Header
	Content
}

// Bytes returns the encoding of b.
func (b Block) Bytes() []byte { return append(b.Header.Bytes(), b.Content.Bytes()...) }

// ParseBlock decodes raw, which must hold one block whose content hashes to
// Header.Content, and nothing after it.
func ParseBlock(raw []byte) (Block, error) {
	if len(raw) > MaxBlockSize {
		return Block{}, fmt.Errorf("block of %d bytes, at most %d: %w", len(raw), MaxBlockSize, ErrSize)
	}
	r := &reader{rest: raw}
	b := Block{Header: parseHeader(r)}
	for range r.limited("events", int(r.uint16()), MaxBlockEvents) {
		e := readBlockEvent(r)
		if r.err != nil {
			break
		}
		b.Events = append(b.Events, e)
	}
	for range r.limited("commitments", int(r.uint16()), MaxBlockCommitments) {
		c := readBlockCommitment(r)
		if r.err != nil {
			break
		}
		b.Commitments = append(b.Commitments, c)
	}
	for range r.limited("certificates", int(r.uint16()), MaxBlockCertificates) {
		c := readCertificate(r)
		if r.err != nil {
			break
		}
		b.Certificates = append(b.Certificates, c)
	}
	if r.err == nil && b.Content.Hash() != b.Header.Content {
		r.err = fmt.Errorf("content does not hash to the header's: %w", ErrValue)
	}
	return b, r.end("block")
}

func readBlockEvent(r *reader) (e Event) {
	b := r.bytes(r.limited("bytes of event", int(r.uint16()), MaxEventSize))
	if r.err == nil {
		e, r.err = ParseEvent(b)
	}
	return e
}

func readBlockCommitment(r *reader) (c FinalCommitment) {
	b := r.bytes(r.limited("bytes of commitment", int(r.uint16()), MaxFinalCommitmentSize))
	if r.err == nil {
		c, r.err = ParseFinalCommitment(b)
	}
	return c
}
