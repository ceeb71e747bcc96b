package wire

import (
	"encoding/binary"
	"fmt"
)

// MaxUptimeProofSize is the most bytes of one encoded UptimeProof.
const MaxUptimeProofSize = 1024

// UptimeProof says that a service node is up and where it is reached. The
// block it names was made shortly before, so it cannot have been made long
// ago; the sequence number keeps it from being replayed.
//
//	size  field
//	  32  ProTxHash
//	   8  Sequence      above that of the node's last proof
//	   4  AnchorHeight  int32, of a recent block
//	  32  AnchorHash    of that block
//	   2  Protocol      ProtocolVersion of the node
//	 1+n  Agent         software and version, ASCII
//	   1  number of addresses, then each as 1 length byte and ASCII
//	  64  Seal          Ed25519 by the service key over SealedBytes
type UptimeProof struct {
	ProTxHash    Hash
	Sequence     uint64
	AnchorHeight int32
	AnchorHash   Hash
	Protocol     uint16
	Agent        string   // at most MaxAgentLength characters
	Addresses    []string // 1..MaxAddresses multiaddresses, the first one counts
	Seal         ServiceSignature
}

// Bytes returns the encoding of p.
func (p UptimeProof) Bytes() []byte { return append(p.body(), p.Seal[:]...) }

func (p UptimeProof) body() []byte {
	b := append([]byte(nil), p.ProTxHash[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(p.AnchorHeight))
	b = append(b, p.AnchorHash[:]...)
	b = binary.BigEndian.AppendUint16(b, p.Protocol)
	b = appendText(b, p.Agent)
	return appendAddresses(b, p.Addresses)
}

// SealedBytes is what the service key signs.
func (p UptimeProof) SealedBytes(network Hash) []byte {
	return sealed("proctor/uptime/1", network, p.body())
}

// Digest names the proof: the double hash of all its bytes.
func (p UptimeProof) Digest() Hash { return DoubleHash(p.Bytes()) }

// ParseUptimeProof decodes b, which must hold one proof and nothing after it.
func ParseUptimeProof(b []byte) (UptimeProof, error) {
	if len(b) > MaxUptimeProofSize {
		return UptimeProof{}, fmt.Errorf("uptime proof of %d bytes, at most %d: %w", len(b), MaxUptimeProofSize, ErrSize)
	}
	r := &reader{rest: b}
	p := UptimeProof{
		ProTxHash:    r.hash(),
		Sequence:     r.uint64(),
		AnchorHeight: r.int32(),
		AnchorHash:   r.hash(),
		Protocol:     r.uint16(),
		Agent:        r.text("agent", MaxAgentLength),
		Addresses:    r.addresses(1, MaxAddresses, MaxAddressLength),
		Seal:         r.serviceSignature(),
	}
	return p, r.end("uptime proof")
}
