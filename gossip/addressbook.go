package gossip

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/proctornet/proctor/wire"
)

// Limits of the address book.
const (
	maxCandidates = 1024 // peers that could be dialled
	wantContacts  = 16   // below it peers are dialled that nobody told us to
	dialsPerRound = 4
	maxToldFails  = 4 // failed dials after which a peer known by hearsay is forgotten

	firstRetry   = time.Second     // after a failed dial, doubled by each further one
	longestRetry = 5 * time.Minute // up to this
	closeRetry   = 5 * time.Second // or this, for peers that we are to be connected to
)

// origin is how we came to know an address, the most trusted first. An
// address of one origin never replaces one of another.
type origin int

const (
	configured origin = iota // a bootstrap peer
	registered               // the registry says so
	reached                  // met there, in this run or an earlier one
	told                     // hearsay
	origins
)

// candidate is a peer that could be dialled.
type candidate struct {
	addresses [origins][]multiaddr.Multiaddr // up to wire.MaxListedAddresses of each
	from      [origins]bool                  // a bootstrap peer without an address is one
	met       bool                           // answered a dial in this run
	fails     int                            // dials since it was last met
	next      time.Time                      // not to be dialled before
}

// origin is the best of a candidate's.
func (c *candidate) origin() origin {
	for o := range origins {
		if c.from[o] {
			return o
		}
	}
	return origins
}

// known lists the candidate's addresses, those of the best origin first.
func (c *candidate) known() []multiaddr.Multiaddr {
	return distinct(slices.Concat(c.addresses[:]...))
}

// distinct leaves out what came before; the order stays.
func distinct(all []multiaddr.Multiaddr) (kept []multiaddr.Multiaddr) {
	for _, a := range all {
		if !slices.ContainsFunc(kept, a.Equal) {
			kept = append(kept, a)
		}
	}
	return kept
}

// retry is how long a candidate is left alone after a dial.
func (c *candidate) retry() time.Duration {
	longest := longestRetry
	if c.origin() <= registered {
		longest = closeRetry
	}
	return min(longest, firstRetry<<min(c.fails-1, 20))
}

// addressBook is whom we could dial. It has no lock and no clock: the dialer
// owns it and passes the time in.
type addressBook struct {
	self       peer.ID
	candidates map[peer.ID]*candidate
}

func newAddressBook(self peer.ID, bootstrap, known []peer.AddrInfo) *addressBook {
	b := &addressBook{self: self, candidates: make(map[peer.ID]*candidate)}
	for _, i := range bootstrap {
		b.note(i, configured)
	}
	for _, i := range known {
		b.note(i, reached)
	}
	return b
}

// note writes down where a peer is said to be, and reports false when there
// is no room.
func (b *addressBook) note(i peer.AddrInfo, o origin) bool {
	if i.ID == b.self || i.ID == "" || len(i.Addrs) == 0 && o != configured {
		return true
	}
	c := b.candidates[i.ID]
	switch {
	case c != nil && o == told && len(c.addresses[configured])+len(c.addresses[registered]) > 0:
		// Such a peer is dialled every few seconds while it is away, and with it
		// whatever address a stranger names.
		return true
	case c == nil:
		if len(b.candidates) >= maxCandidates && !b.makeRoom(o) {
			return false
		}
		c = &candidate{}
		b.candidates[i.ID] = c
	}
	addresses := i.Addrs
	if o == told && c.fails == 0 {
		addresses = slices.Concat(c.addresses[o], addresses) // what has not failed yet stays
	}
	addresses = distinct(addresses)
	c.addresses[o] = addresses[:min(len(addresses), wire.MaxListedAddresses)]
	c.from[o] = true
	return true
}

// makeRoom forgets the candidate that is worth least, unless it is worth as
// much as one of origin o that has never failed.
func (b *addressBook) makeRoom(o origin) bool {
	if o == configured {
		return true // as many as are configured
	}
	worth := func(p, q peer.ID) int {
		c, d := b.candidates[p], b.candidates[q]
		return cmp.Or(cmp.Compare(c.origin(), d.origin()), cmp.Compare(c.fails, d.fails), cmp.Compare(p, q))
	}
	worst := slices.MaxFunc(slices.Collect(maps.Keys(b.candidates)), worth)
	if c := b.candidates[worst]; c.origin() < o || c.origin() == o && c.fails == 0 {
		return false
	}
	delete(b.candidates, worst)
	return true
}

// register makes nodes the registry's, and no others. It returns how many
// found no room.
func (b *addressBook) register(nodes []peer.AddrInfo) (dropped int) {
	for _, c := range b.candidates {
		c.addresses[registered], c.from[registered] = nil, false
	}
	full := false // and nobody in it is worth less: looking at all for each of a large registry would take seconds
	for _, i := range nodes {
		if full && b.candidates[i.ID] == nil || !b.note(i, registered) {
			full = true
			dropped++
		}
	}
	maps.DeleteFunc(b.candidates, func(_ peer.ID, c *candidate) bool { return c.origin() == origins })
	return dropped
}

// reach notes that a dialled peer has been met at an address.
func (b *addressBook) reach(p peer.ID, a multiaddr.Multiaddr) bool {
	at := []multiaddr.Multiaddr{a}
	if c := b.candidates[p]; c != nil {
		at = append(at, c.addresses[reached]...)
	}
	if !b.note(peer.AddrInfo{ID: p, Addrs: at}, reached) {
		return false
	}
	if c := b.candidates[p]; c != nil { // not ourselves
		c.met, c.fails, c.next = true, 0, time.Time{}
	}
	return true
}

// choose picks whom to dial now and counts that as a failure until the peer is
// met. Bootstrap peers are always wanted, others up to the number missing. No
// more than room are chosen, and neither kind takes more than half of that
// from the other: dead bootstrap peers do not keep us alone. Among
// equals chance decides, or all nodes would dial the same ones.
func (b *addressBook) choose(now time.Time, missing, room int, skip func(peer.ID) bool, r *rand.Rand) []peer.AddrInfo {
	var boot, rest []peer.ID
	for _, p := range b.shuffled(r) {
		c := b.candidates[p]
		switch {
		case now.Before(c.next) || len(c.known()) == 0 || skip(p):
		case c.from[configured]:
			boot = append(boot, p)
		default:
			rest = append(rest, p)
		}
	}
	better := func(p, q peer.ID) int {
		c, d := b.candidates[p], b.candidates[q]
		return cmp.Or(cmp.Compare(c.origin(), d.origin()), c.next.Compare(d.next))
	}
	slices.SortStableFunc(boot, better)
	slices.SortStableFunc(rest, better)
	n := max(0, min(len(rest), missing, max(room/2, room-len(boot))))
	var chosen []peer.AddrInfo
	for _, p := range slices.Concat(rest[:n], boot[:max(0, min(len(boot), room-n))]) {
		c := b.candidates[p]
		chosen = append(chosen, peer.AddrInfo{ID: p, Addrs: c.known()})
		c.fails++
		c.next = now.Add(c.retry())
		if c.origin() == told && c.fails >= maxToldFails {
			delete(b.candidates, p)
		}
	}
	return chosen
}

func (b *addressBook) shuffled(r *rand.Rand) []peer.ID {
	all := slices.Sorted(maps.Keys(b.candidates))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// share picks peers that may be told to others: those we have met ourselves
// and the registry's, with the addresses that anybody could dial.
func (b *addressBook) share(shared bool, skip func(peer.ID) bool, r *rand.Rand) (l wire.PeerList) {
	for _, p := range b.shuffled(r) {
		c := b.candidates[p]
		if !c.met && !c.from[registered] || skip(p) {
			continue
		}
		e := wire.PeerEntry{ID: string(p)}
		for _, a := range slices.Concat(c.addresses[registered], c.addresses[reached]) {
			text := a.String()
			if len(e.Addresses) < wire.MaxListedAddresses && dialable(a, shared) &&
				wire.CheckListedAddress(text) == nil && !slices.Contains(e.Addresses, text) {
				e.Addresses = append(e.Addresses, text)
			}
		}
		if len(e.Addresses) > 0 && len(p) <= wire.MaxPeerIDSize {
			l = append(l, e)
		}
		if len(l) == wire.MaxListedPeers {
			break
		}
	}
	return l.Cut()
}

// dialable reports whether an address may be dialled because others say so. It
// must not lead into a network that is nobody's business, nor to a name
// server, a relay or another peer.
func dialable(a multiaddr.Multiaddr, shared bool) bool {
	ip, err := manet.ToIP(a)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
		return false
	}
	for _, code := range []int{multiaddr.P_CIRCUIT, multiaddr.P_P2P} {
		if _, err := a.ValueForProtocol(code); err == nil {
			return false
		}
	}
	return shared || manet.IsPublicAddr(a)
}
