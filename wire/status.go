package wire

import (
	"encoding/binary"
	"fmt"
)

// ProtocolVersion is the version of the stream protocols and topics spoken.
const ProtocolVersion = 1

// Limits of a Status.
const (
	MaxAgentLength = 64  // characters of a software name
	MaxStatusSize  = 256 // bytes of an encoded Status
)

// Status is the first thing two peers tell each other. Nothing else is
// spoken until both have agreed that they belong together.
//
//	size  field
//	   2  Version    ProtocolVersion
//	  32  Network    hash of the genesis
//	  32  ProTxHash  service node that speaks; zero for an observer
//	   4  Height     int32, tip
//	  32  Tip        hash of the tip
//	   1  Synced     0 or 1
//	 1+n  Agent      software and version, ASCII
type Status struct {
	Version   uint16
	Network   Hash
	ProTxHash Hash // proven by the peer's identity being that node's service key
	Height    int32
	Tip       Hash
	Synced    bool
	Agent     string
}

// Bytes returns the encoding of s.
func (s Status) Bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.Version)
	b = append(b, s.Network[:]...)
	b = append(b, s.ProTxHash[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Height))
	b = append(b, s.Tip[:]...)
	return appendText(appendBool(b, s.Synced), s.Agent)
}

// ParseStatus decodes b, which must hold one status and nothing after it.
func ParseStatus(b []byte) (Status, error) {
	if len(b) > MaxStatusSize {
		return Status{}, fmt.Errorf("status of %d bytes, at most %d: %w", len(b), MaxStatusSize, ErrSize)
	}
	r := &reader{rest: b}
	s := Status{
		Version:   r.uint16(),
		Network:   r.hash(),
		ProTxHash: r.hash(),
		Height:    r.int32(),
		Tip:       r.hash(),
	}
	s.Synced = r.bool("synced")
	s.Agent = r.text("agent", MaxAgentLength)
	return s, r.end("status")
}
