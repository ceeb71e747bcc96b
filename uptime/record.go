package uptime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// NoHeight stands where something has never happened.
const NoHeight int32 = -1

// ErrRecord means that a stored record does not decode.
var ErrRecord = errors.New("uptime: broken record")

// Seen is a host that a node advertised and the height of our tip when it
// last did. The zero value is an empty slot.
type Seen struct {
	Host   string // at most wire.MaxAddressLength characters
	Height int32
}

// Record is what we heard of one node. It is never changed: hear answers with
// another.
type Record struct {
	Proof wire.UptimeProof // the last one accepted
	Heard int32            // height of our tip when it was
	Hosts [2]Seen          // the hosts it advertised last
}

// hear returns r after p. A host that is known keeps its slot; a new one takes
// the slot that was not seen for longer, the first if neither was.
// Source: spec/oxen.md 7.
func (r Record) hear(p wire.UptimeProof, heard int32) Record {
	r.Proof, r.Heard = p, heard
	host := ""
	if len(p.Addresses) > 0 {
		host = Host(p.Addresses[0])
	}
	if host == "" {
		return r // admission lets none such through
	}
	slot := slices.IndexFunc(r.Hosts[:], func(s Seen) bool { return s.Host == host })
	if slot < 0 {
		slot = 0
		if r.Hosts[1].lastSeen() < r.Hosts[0].lastSeen() {
			slot = 1
		}
	}
	r.Hosts[slot] = Seen{host, heard}
	return r
}

func (s Seen) lastSeen() int32 {
	if s.Host == "" {
		return NoHeight
	}
	return s.Height
}

// Fresh reports whether the proof was heard at most ProofValidity blocks ago.
func (r Record) Fresh(tip int32, rules params.Service) bool {
	return int64(tip)-int64(r.Heard) <= int64(rules.ProofValidity)
}

// TwoAddresses reports whether both hosts were seen within AddressWindow and
// more than AddressGrace after lastPenalty, which is the height of the node's
// last address penalty or, without one, of its registration.
func (r Record) TwoAddresses(lastPenalty, tip int32, rules params.Service) bool {
	after := max(int64(tip)-int64(rules.AddressWindow), int64(lastPenalty)+int64(rules.AddressGrace))
	for _, s := range r.Hosts {
		if s.Host == "" || int64(s.Height) <= after {
			return false
		}
	}
	return true
}

// ByName returns the hosts in ascending order, so that nodes which saw them in
// another order name the same evidence.
func (r Record) ByName() [2]Seen {
	if h := r.Hosts; strings.Compare(h[0].Host, h[1].Host) > 0 {
		return [2]Seen{h[1], h[0]}
	}
	return r.Hosts
}

// MaxRecordSize is the most bytes of one encoded Record.
const MaxRecordSize = 4 + 2*(4+1+wire.MaxAddressLength) + wire.MaxUptimeProofSize

// Bytes returns the encoding of r.
//
//	size  field
//	   4  Heard   int32, big endian like all of it
//	 4+1+n  for each of two slots: height, length of the host, host; all zero if empty
//	 rest  Proof
func (r Record) Bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(r.Heard))
	for _, s := range r.Hosts {
		b = binary.BigEndian.AppendUint32(b, uint32(s.Height))
		b = append(append(b, byte(len(s.Host))), s.Host...)
	}
	return append(b, r.Proof.Bytes()...)
}

// ParseRecord decodes what Bytes returns. The error wraps ErrRecord.
func ParseRecord(b []byte) (Record, error) {
	if len(b) < 4 || len(b) > MaxRecordSize {
		return Record{}, fmt.Errorf("%w: %d bytes, want 4 to %d", ErrRecord, len(b), MaxRecordSize)
	}
	r := Record{Heard: int32(binary.BigEndian.Uint32(b))}
	b = b[4:]
	for i := range r.Hosts {
		if len(b) < 5 || len(b) < 5+int(b[4]) {
			return Record{}, fmt.Errorf("%w: ends in slot %d", ErrRecord, i)
		}
		end := 5 + int(b[4]) // int: a length of 255 must not wrap
		s := Seen{Host: string(b[5:end]), Height: int32(binary.BigEndian.Uint32(b))}
		if len(s.Host) > wire.MaxAddressLength || s.Host == "" && s.Height != 0 {
			return Record{}, fmt.Errorf("%w: host of %d characters at height %d", ErrRecord, len(s.Host), s.Height)
		}
		r.Hosts[i], b = s, b[end:]
	}
	var err error
	if r.Proof, err = wire.ParseUptimeProof(b); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}
