package gossip

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/wire"
)

// When inventories are compared. Source: spec/gossip.md 3.4.
const (
	reconcileSoon  = 2 * time.Second // within it after a handshake: both sides meet at once, and so do many peers after a cut
	reconcileEvery = 5 * time.Minute // give or take half, with one contact
	reconcileAtMet = 3               // contacts, when it is asked for
)

// agenda says with whom to compare inventories and when. It has no lock and
// no clock; keepAgenda owns it.
type agenda struct {
	due  map[peer.ID]time.Time // contacts
	next time.Time             // one contact by chance
}

func newAgenda(now time.Time, r *rand.Rand) *agenda {
	a := &agenda{due: make(map[peer.ID]time.Time)}
	a.round(now, r)
	return a
}

func (a *agenda) round(now time.Time, r *rand.Rand) {
	a.next = now.Add(reconcileEvery/2 + time.Duration(r.Int64N(int64(reconcileEvery))))
}

// meet puts a new contact down for a moment that both sides and other nodes
// are unlikely to choose as well.
func (a *agenda) meet(p peer.ID, now time.Time, r *rand.Rand) {
	if _, ok := a.due[p]; !ok {
		a.due[p] = now.Add(time.Duration(r.Int64N(int64(reconcileSoon))))
	}
}

// ask puts a few contacts down for now.
func (a *agenda) ask(contacts []peer.ID, now time.Time, r *rand.Rand) {
	for _, p := range pick(contacts, reconcileAtMet, r) {
		a.due[p] = now
	}
}

// take returns the contacts whose time has come, and forgets those and who
// is gone.
func (a *agenda) take(contacts []peer.ID, now time.Time, r *rand.Rand) (ripe []peer.ID) {
	maps.DeleteFunc(a.due, func(p peer.ID, at time.Time) bool {
		here := slices.Contains(contacts, p)
		if here && !now.Before(at) {
			ripe = append(ripe, p)
		}
		return !here || !now.Before(at)
	})
	if !now.Before(a.next) {
		a.round(now, r)
		for _, p := range pick(contacts, 1, r) {
			if !slices.Contains(ripe, p) {
				ripe = append(ripe, p)
			}
		}
	}
	slices.Sort(ripe)
	return ripe
}

// wait is how long until there is something to take.
func (a *agenda) wait(now time.Time) time.Duration {
	earliest := a.next
	for _, at := range a.due {
		if at.Before(earliest) {
			earliest = at
		}
	}
	return max(0, earliest.Sub(now))
}

func pick(from []peer.ID, n int, r *rand.Rand) []peer.ID {
	all := slices.Sorted(slices.Values(from))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// missing compares two summaries and returns the ranges of heights at which
// theirs has bans and differs from ours. What one range spans is asked for as
// a whole, so heights are in one only if theirs has no others between them.
func missing(ours, theirs wire.BanSummary) (ranges []wire.BanRange) {
	mine := make(map[int32]wire.HeightDigest, len(ours))
	for _, d := range ours {
		mine[d.Height] = d
	}
	adjacent := false
	for _, d := range theirs {
		switch {
		case mine[d.Height] == d:
			adjacent = false
			continue
		case adjacent:
			ranges[len(ranges)-1].To = d.Height
		default:
			ranges = append(ranges, wire.BanRange{From: d.Height, To: d.Height, Count: wire.MaxListedBans})
		}
		adjacent = true
	}
	return ranges
}
