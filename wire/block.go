package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of a block.
const (
	MaxBlockEvents = 64       // events in one block
	MaxBlockSize   = 64 << 10 // bytes of one encoded block
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
//	  32  Content    hash of the events
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
		Height:    int32(r.uint32()),
		Slot:      r.uint64(),
		Parent:    r.hash(),
		StateRoot: r.hash(),
		Content:   r.hash(),
		Signature: ServiceSignature(r.bytes(ServiceSignatureSize)),
	}
}

// Block is a header and the events it commits to.
//
//	size  field
//	 172  Header
//	   2  number of events, then each as 2 length bytes and the event
type Block struct {
	Header Header
	Events []UpdateService
}

// Bytes returns the encoding of b.
func (b Block) Bytes() []byte { return append(b.Header.Bytes(), eventBytes(b.Events)...) }

// ContentHash is what Header.Content must be for events.
func ContentHash(events []UpdateService) Hash { return DoubleHash(eventBytes(events)) }

func eventBytes(events []UpdateService) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(events)))
	for _, e := range events {
		eb := e.Bytes()
		b = binary.BigEndian.AppendUint16(b, uint16(len(eb)))
		b = append(b, eb...)
	}
	return b
}

// ParseBlock decodes raw, which must hold one block whose events hash to
// Header.Content, and nothing after it.
func ParseBlock(raw []byte) (Block, error) {
	if len(raw) > MaxBlockSize {
		return Block{}, fmt.Errorf("block of %d bytes, at most %d: %w", len(raw), MaxBlockSize, ErrSize)
	}
	r := &reader{rest: raw}
	b := Block{Header: parseHeader(r)}
	n := r.limited("events", int(r.uint16()), MaxBlockEvents)
	for range n {
		size := r.limited("bytes of event", int(r.uint16()), len(r.rest))
		e, err := ParseUpdateService(r.bytes(size))
		if r.err == nil {
			r.err = err
		}
		if r.err != nil {
			break
		}
		b.Events = append(b.Events, e)
	}
	if r.err == nil && ContentHash(b.Events) != b.Header.Content {
		r.err = fmt.Errorf("content does not hash to the header's: %w", ErrValue)
	}
	return b, r.end("block")
}
