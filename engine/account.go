package engine

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// maxEntries is how many charges an account remembers one by one; older ones
// remain in the points.
const maxEntries = 16

// Entry is one charge of a peer's account.
type Entry struct {
	Time     time.Time
	Reason   validation.Reason
	Points   int
	Total    int       // after the charge, decay counted
	Evidence wire.Hash // id of the message
}

// Account is what a peer has been charged. Points decay by one each
// params.PointDecay, counted from the charge that found it empty.
type Account struct {
	Peer    Peer
	Points  int
	AsOf    time.Time // when the points stood so
	Entries []Entry   // the newest charges, oldest first
}

// At returns the account as it has decayed by now. Whole points decay only,
// so AsOf moves by whole steps and no fraction is lost.
func (a Account) At(now time.Time) Account {
	steps := int(now.Sub(a.AsOf) / params.PointDecay)
	if steps <= 0 {
		return a
	}
	if steps >= a.Points {
		a.Points, a.AsOf = 0, now
		return a
	}
	a.Points, a.AsOf = a.Points-steps, a.AsOf.Add(time.Duration(steps)*params.PointDecay)
	return a
}

// charged returns the account after a charge.
func (a Account) charged(v validation.Verdict, evidence wire.Hash, now time.Time) Account {
	a = a.At(now)
	if a.Points == 0 {
		a.AsOf, a.Entries = now, nil
	}
	a.Points = min(a.Points+v.Points, params.PointsBan)
	kept := a.Entries[max(0, len(a.Entries)+1-maxEntries):]
	a.Entries = append(append([]Entry(nil), kept...), Entry{now, v.Reason, v.Points, a.Points, evidence}) // a copy: readers hold the old one
	return a
}

// refunded returns the account as it would be without what it was charged for
// our view of the chain since a time, and how much that was. The other charges
// are added up anew: what the limit swallowed then may count now.
func (a Account) refunded(since time.Time) (Account, int) {
	rest, points := Account{Peer: a.Peer}, 0
	for i, e := range a.Entries {
		if i == 0 { // what is left of charges that are not remembered one by one
			rest.Points, rest.AsOf = max(0, e.Total-e.Points), e.Time
		}
		if e.Reason.Nature() == validation.OfView && !e.Time.Before(since) {
			points += e.Points
			continue
		}
		rest = rest.charged(validation.Verdict{Reason: e.Reason, Points: e.Points}, e.Evidence, e.Time)
	}
	if points == 0 {
		return a, 0
	}
	return rest, points
}

// The record of an account: points, as of, entries. An entry: time, points,
// total, evidence, length of the reason and the reason.
func (a Account) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(a.Points))
	return appendEntries(appendTime(b, a.AsOf), a.Entries)
}

func parseAccount(p Peer, b []byte) (Account, error) {
	const fixed = 4 + 8
	if len(b) < fixed {
		return Account{}, fmt.Errorf("%w: account of %d bytes, want at least %d", state.ErrRecord, len(b), fixed)
	}
	a := Account{Peer: p, Points: int(binary.BigEndian.Uint32(b)), AsOf: readTime(b[4:])}
	var err error
	a.Entries, err = parseEntries(b[fixed:])
	return a, err
}

func appendEntries(b []byte, entries []Entry) []byte {
	for _, e := range entries {
		b = appendTime(b, e.Time)
		b = binary.BigEndian.AppendUint32(b, uint32(e.Points))
		b = binary.BigEndian.AppendUint32(b, uint32(e.Total))
		b = append(b, e.Evidence[:]...)
		b = append(append(b, byte(len(e.Reason))), e.Reason...)
	}
	return b
}

func parseEntries(b []byte) (entries []Entry, err error) {
	const fixed = 8 + 4 + 4 + 32 + 1
	for len(b) > 0 {
		if len(entries) == maxEntries || len(b) < fixed || len(b) < fixed+int(b[fixed-1]) {
			return nil, fmt.Errorf("%w: charges end in %d bytes too few or too many", state.ErrRecord, len(b))
		}
		end := fixed + int(b[fixed-1])
		e := Entry{
			Time:     readTime(b),
			Points:   int(binary.BigEndian.Uint32(b[8:])),
			Total:    int(binary.BigEndian.Uint32(b[12:])),
			Evidence: wire.Hash(b[16:48]),
			Reason:   validation.Reason(b[fixed:end]),
		}
		if !e.Reason.Known() {
			return nil, fmt.Errorf("%w: charge for unknown reason %q", state.ErrRecord, e.Reason)
		}
		entries, b = append(entries, e), b[end:]
	}
	return entries, nil
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

func readTime(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}
