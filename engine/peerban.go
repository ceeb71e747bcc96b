package engine

import (
	"fmt"
	"time"

	"github.com/proctornet/proctor/state"
)

// PeerBan refuses all contact with a peer for a while.
type PeerBan struct {
	Peer    Peer
	From    time.Time
	Until   time.Time
	Bound   bool    // the peer was a registered service node: its identity is not free
	DryRun  bool    // written down only: contact goes on
	Entries []Entry // the charges that led to it; the last one reached the limit
}

// Cause is the charge that reached the limit, or the operator's word.
func (b PeerBan) Cause() Entry { return b.Entries[len(b.Entries)-1] }

// The record of a ban: from, until, flags, charges.
func (b PeerBan) bytes() []byte {
	var flags byte
	if b.Bound {
		flags |= 1
	}
	if b.DryRun {
		flags |= 2
	}
	v := append(appendTime(appendTime(nil, b.From), b.Until), flags)
	return appendEntries(v, b.Entries)
}

func parsePeerBan(p Peer, v []byte) (PeerBan, error) {
	const fixed = 8 + 8 + 1
	if len(v) <= fixed || v[16] > 3 {
		return PeerBan{}, fmt.Errorf("%w: peer ban of %d bytes, want more than %d, flags 0 to 3", state.ErrRecord, len(v), fixed)
	}
	entries, err := parseEntries(v[fixed:])
	return PeerBan{
		Peer: p, From: readTime(v), Until: readTime(v[8:]), Bound: v[16]&1 != 0, DryRun: v[16]&2 != 0, Entries: entries,
	}, err
}
