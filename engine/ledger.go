package engine

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of a ledger. Beyond them the smallest account, or the ban that ends
// first, goes.
const (
	maxAccounts = 4096
	maxPeerBans = 4096
)

// ledger keeps the penalty accounts and the bans of peers. Points decay by
// one each params.PointDecay, counted from the charge that found it empty.
type ledger struct {
	accounts map[Peer]account
	bans     map[Peer]PeerBan
}

type account struct {
	points int
	asOf   time.Time
}

func newLedger() *ledger {
	return &ledger{accounts: make(map[Peer]account), bans: make(map[Peer]PeerBan)}
}

// at returns the account as it has decayed by now. Whole points decay only,
// so asOf moves by whole steps and no fraction is lost.
func (a account) at(now time.Time) account {
	steps := int(now.Sub(a.asOf) / params.PointDecay)
	if steps <= 0 {
		return a
	}
	if steps >= a.points {
		return account{0, now}
	}
	return account{a.points - steps, a.asOf.Add(time.Duration(steps) * params.PointDecay)}
}

func (l *ledger) charge(p Peer, v validation.Verdict, evidence wire.Hash, now time.Time, out *Effects) {
	if _, banned := l.bans[p]; banned {
		return // what was still under way when the ban fell
	}
	a := l.accounts[p].at(now)
	if a.points == 0 {
		a.asOf = now
	}
	a.points = min(a.points+v.Points, params.PointsBan)
	out.Charges = append(out.Charges, Charge{p, v.Points, a.points, v.Reason, evidence})
	if a.points < params.PointsBan {
		l.accounts[p] = a
		out.put(KindAccount, []byte(p), a.bytes())
		l.trimAccounts(now, out)
		return
	}
	if _, ok := l.accounts[p]; ok {
		delete(l.accounts, p)
		out.delete(KindAccount, []byte(p))
	}
	ban := PeerBan{p, v.Reason, evidence, a.points, now, now.Add(params.BanDuration)}
	l.bans[p] = ban
	out.Bans = append(out.Bans, ban)
	out.put(KindPeerBan, []byte(p), ban.bytes())
	l.trimBans(out)
}

func (l *ledger) trimAccounts(now time.Time, out *Effects) {
	if len(l.accounts) <= maxAccounts {
		return
	}
	smallest := slices.MinFunc(slices.Sorted(maps.Keys(l.accounts)), func(a, b Peer) int {
		return l.accounts[a].at(now).points - l.accounts[b].at(now).points
	})
	delete(l.accounts, smallest)
	out.delete(KindAccount, []byte(smallest))
	out.Evicted++
}

func (l *ledger) trimBans(out *Effects) {
	if len(l.bans) <= maxPeerBans {
		return
	}
	first := slices.MinFunc(slices.Sorted(maps.Keys(l.bans)), func(a, b Peer) int {
		return l.bans[a].Until.Compare(l.bans[b].Until)
	})
	l.lift(first, out)
	out.Evicted++
}

func (l *ledger) lift(p Peer, out *Effects) {
	delete(l.bans, p)
	out.Unbans = append(out.Unbans, p)
	out.delete(KindPeerBan, []byte(p))
}

// sortedBans returns the bans that stand, by peer.
func (l *ledger) sortedBans() (bans []PeerBan) {
	for _, p := range slices.Sorted(maps.Keys(l.bans)) {
		bans = append(bans, l.bans[p])
	}
	return bans
}

// expire lifts the bans whose time is up and drops accounts that have decayed.
func (l *ledger) expire(now time.Time, out *Effects) {
	for _, p := range slices.Sorted(maps.Keys(l.bans)) {
		if !now.Before(l.bans[p].Until) {
			l.lift(p, out)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(l.accounts)) {
		if l.accounts[p].at(now).points == 0 {
			delete(l.accounts, p)
			out.delete(KindAccount, []byte(p))
		}
	}
}

func (a account) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(a.points))
	return appendTime(b, a.asOf)
}

func parseAccount(b []byte) (account, error) {
	if len(b) != 4+8 {
		return account{}, fmt.Errorf("%w: account of %d bytes, want 12", state.ErrRecord, len(b))
	}
	return account{int(binary.BigEndian.Uint32(b)), readTime(b[4:])}, nil
}

func (b PeerBan) bytes() []byte {
	v := append([]byte(nil), b.Evidence[:]...)
	v = binary.BigEndian.AppendUint32(v, uint32(b.Points))
	v = appendTime(appendTime(v, b.From), b.Until)
	return append(v, b.Reason...)
}

func parsePeerBan(p Peer, b []byte) (PeerBan, error) {
	const fixed = 32 + 4 + 8 + 8
	if len(b) < fixed {
		return PeerBan{}, fmt.Errorf("%w: peer ban of %d bytes, want at least %d", state.ErrRecord, len(b), fixed)
	}
	ban := PeerBan{
		Peer:     p,
		Evidence: wire.Hash(b[:32]),
		Points:   int(binary.BigEndian.Uint32(b[32:])),
		From:     readTime(b[36:]),
		Until:    readTime(b[44:]),
		Reason:   validation.Reason(b[fixed:]),
	}
	if !ban.Reason.Known() {
		return PeerBan{}, fmt.Errorf("%w: peer ban for unknown reason %q", state.ErrRecord, ban.Reason)
	}
	return ban, nil
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

func readTime(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}
