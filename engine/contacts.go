package engine

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of what is remembered of peers; the oldest goes.
const (
	maxContacts         = 1024
	maxContactAddresses = 8
	maxFarewells        = 256
)

// rewriteContactAfter spares the disk a write for each reconnection.
const rewriteContactAfter = time.Hour

// Contact is where a peer was reached.
type Contact struct {
	Peer      Peer
	Addresses []string // multiaddresses without the identity
	Last      time.Time
}

// Farewells are the reasons that peers gave for leaving us, by peerKey.
type Farewells = trie.Map[GivenFarewell]

// GivenFarewell is a Farewell and when it was given.
type GivenFarewell struct {
	Farewell
	Time time.Time
}

// contacts is the address book and the farewells.
type contacts struct {
	reached   map[Peer]Contact
	farewells Farewells
}

func newContacts() contacts { return contacts{reached: make(map[Peer]Contact)} }

// reach notes addresses at which a peer was met, before those known of it.
func (c *contacts) reach(in Reached, now time.Time, out *Effects) {
	for _, a := range in.Addresses {
		if wire.CheckAddress(a) != nil {
			return
		}
	}
	old, known := c.reached[in.Peer]
	met := Contact{Peer: in.Peer, Last: now}
	for _, a := range slices.Concat(in.Addresses, old.Addresses) {
		if !slices.Contains(met.Addresses, a) && len(met.Addresses) < maxContactAddresses {
			met.Addresses = append(met.Addresses, a)
		}
	}
	fresh := func(a string) bool { return !slices.Contains(old.Addresses, a) }
	due := !known || now.Sub(old.Last) >= rewriteContactAfter || slices.ContainsFunc(in.Addresses, fresh)
	if in.Peer == "" || len(in.Addresses) == 0 || !due {
		return
	}
	c.reached[in.Peer] = met
	out.put(KindContact, []byte(in.Peer), met.bytes())
	if len(c.reached) <= maxContacts {
		return
	}
	oldest := slices.MinFunc(slices.Sorted(maps.Keys(c.reached)), func(a, b Peer) int {
		return c.reached[a].Last.Compare(c.reached[b].Last)
	})
	delete(c.reached, oldest)
	out.delete(KindContact, []byte(oldest))
	out.Evicted++
}

func (c *contacts) part(in Farewell, now time.Time, out *Effects) {
	if in.Peer == "" || in.Reason != "" && !in.Reason.Known() {
		return
	}
	in.Until = time.UnixMilli(in.Until.UnixMilli()).UTC()
	given := GivenFarewell{in, now}
	c.farewells = c.farewells.Set(peerKey(in.Peer), given)
	out.put(KindFarewell, []byte(in.Peer), given.bytes())
	if c.farewells.Len() <= maxFarewells {
		return
	}
	var oldest *GivenFarewell
	for _, f := range c.farewells.All() {
		if oldest == nil || f.Time.Before(oldest.Time) {
			oldest = &f
		}
	}
	c.farewells = c.farewells.Delete(peerKey(oldest.Peer))
	out.delete(KindFarewell, []byte(oldest.Peer))
	out.Evicted++
}

// The record of a contact: last, then each address behind its length.
func (c Contact) bytes() []byte {
	b := appendTime(nil, c.Last)
	for _, a := range c.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

func parseContact(p Peer, b []byte) (Contact, error) {
	if len(b) < 8 {
		return Contact{}, fmt.Errorf("%w: contact of %d bytes, want at least 8", state.ErrRecord, len(b))
	}
	c := Contact{Peer: p, Last: readTime(b)}
	for b = b[8:]; len(b) > 0; {
		end := 1 + int(b[0])
		if len(b) < end || len(c.Addresses) == maxContactAddresses {
			return Contact{}, fmt.Errorf("%w: addresses of a contact end in %d bytes too few or too many", state.ErrRecord, len(b))
		}
		c.Addresses, b = append(c.Addresses, string(b[1:end])), b[end:]
		if err := wire.CheckAddress(c.Addresses[len(c.Addresses)-1]); err != nil {
			return Contact{}, fmt.Errorf("%w: contact: %w", state.ErrRecord, err)
		}
	}
	return c, nil
}

// The record of a farewell: time, until in milliseconds or the least there
// is, code, reason.
func (f GivenFarewell) bytes() []byte {
	b := binary.BigEndian.AppendUint64(appendTime(nil, f.Time), uint64(f.Until.UnixMilli()))
	return append(append(b, f.Code), f.Reason...)
}

func parseFarewell(p Peer, b []byte) (GivenFarewell, error) {
	const fixed = 8 + 8 + 1
	if len(b) < fixed {
		return GivenFarewell{}, fmt.Errorf("%w: farewell of %d bytes, want at least %d", state.ErrRecord, len(b), fixed)
	}
	f := GivenFarewell{Farewell{p, b[16], validation.Reason(b[fixed:]), readTime(b[8:])}, readTime(b)}
	if f.Reason != "" && !f.Reason.Known() {
		return GivenFarewell{}, fmt.Errorf("%w: farewell for unknown reason %q", state.ErrRecord, f.Reason)
	}
	return f, nil
}
