package engine

import (
	"slices"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of a ledger. Beyond them the smallest account, or the ban that can
// best be spared, goes.
const (
	maxAccounts = 4096
	maxPeerBans = 4096
	maxRefunds  = 1024 // of one doubt: a commit has its limit
)

// Accounts and PeerBans are versions of the ledger's two books, by peerKey.
type (
	Accounts = trie.Map[Account]
	PeerBans = trie.Map[PeerBan]
)

// peerKey is where a peer stands in a book.
func peerKey(p Peer) wire.Hash { return wire.DoubleHash([]byte(p)) }

// ledger keeps the penalty accounts and the bans of peers.
type ledger struct {
	accounts Accounts
	bans     PeerBans
	dryRun   bool // bans are written down and not carried out
}

// charge adds a verdict's points to a peer's account, and bans the peer when
// they reach the limit.
func (l *ledger) charge(p Peer, bound bool, v validation.Verdict, evidence wire.Hash, now time.Time, out *Effects) {
	key := peerKey(p)
	if _, banned := l.bans.Get(key); banned {
		return // what was still under way when the ban fell
	}
	a, _ := l.accounts.Get(key)
	a.Peer = p
	a = a.charged(v, evidence, now)
	out.Charges = append(out.Charges, Charge{p, v.Points, a.Points, v.Reason, evidence})
	if a.Points < params.PointsBan {
		l.keep(a, out)
		l.trimAccounts(now, out)
		return
	}
	l.drop(p, out)
	l.ban(PeerBan{Peer: p, From: now, Until: now.Add(params.BanDuration), Bound: bound, DryRun: l.dryRun, Entries: a.Entries}, out)
}

// ban puts a ban in force, in place of one that may stand.
func (l *ledger) ban(b PeerBan, out *Effects) {
	l.bans = l.bans.Set(peerKey(b.Peer), b)
	out.Unbans = slices.DeleteFunc(out.Unbans, func(p Peer) bool { return p == b.Peer })
	out.Bans = append(out.Bans, b)
	out.put(KindPeerBan, []byte(b.Peer), b.bytes())
	l.trimBans(out)
}

// keep stores an account.
func (l *ledger) keep(a Account, out *Effects) {
	l.accounts = l.accounts.Set(peerKey(a.Peer), a)
	out.put(KindAccount, []byte(a.Peer), a.bytes())
}

// drop forgets an account.
func (l *ledger) drop(p Peer, out *Effects) {
	if _, ok := l.accounts.Get(peerKey(p)); ok {
		l.accounts = l.accounts.Delete(peerKey(p))
		out.delete(KindAccount, []byte(p))
	}
}

func (l *ledger) trimAccounts(now time.Time, out *Effects) {
	if l.accounts.Len() <= maxAccounts {
		return
	}
	var smallest *Account
	for _, a := range l.accounts.All() {
		if a = a.At(now); smallest == nil || a.Points < smallest.Points {
			smallest = &a
		}
	}
	l.drop(smallest.Peer, out)
	out.Evicted++
}

// trimBans gives up a ban of an identity that costs nothing before one of a
// service node, or thousands of the former would push out the latter; among
// equals the one that ends first.
func (l *ledger) trimBans(out *Effects) {
	if l.bans.Len() <= maxPeerBans {
		return
	}
	var least *PeerBan
	for _, b := range l.bans.All() {
		if least == nil || b.spared(*least) {
			least = &b
		}
	}
	l.lift(least.Peer, out)
	out.Evicted++
}

// spared reports whether b can be given up rather than other.
func (b PeerBan) spared(other PeerBan) bool {
	if worth := b.worth() - other.worth(); worth != 0 {
		return worth < 0
	}
	return b.Until.Before(other.Until)
}

func (b PeerBan) worth() int {
	switch {
	case b.Cause().Reason == validation.Operator:
		return 2
	case b.Bound:
		return 1
	default:
		return 0
	}
}

// lift ends a ban; false when there was none.
func (l *ledger) lift(p Peer, out *Effects) bool {
	if _, ok := l.bans.Get(peerKey(p)); !ok {
		return false
	}
	l.bans = l.bans.Delete(peerKey(p))
	out.Bans = slices.DeleteFunc(out.Bans, func(b PeerBan) bool { return b.Peer == p }) // in the same batch; the later word counts
	out.Unbans = append(out.Unbans, p)
	out.delete(KindPeerBan, []byte(p))
	return true
}

// forgive ends a peer's ban and forgets its points.
func (l *ledger) forgive(p Peer, now time.Time, out *Effects) {
	l.lift(p, out)
	if a, ok := l.accounts.Get(peerKey(p)); ok {
		l.drop(p, out)
		out.Charges = append(out.Charges, Charge{Peer: p, Points: -a.At(now).Points, Reason: validation.Operator})
	}
}

// expire lifts the bans whose time is up and drops accounts that have decayed.
func (l *ledger) expire(now time.Time, out *Effects) {
	for _, b := range l.bans.All() {
		if !now.Before(b.Until) {
			l.lift(b.Peer, out)
		}
	}
	for _, a := range l.accounts.All() {
		if a.At(now).Points == 0 {
			l.drop(a.Peer, out)
		}
	}
}

// refund takes back what peers were charged for our view of the chain since a
// time: our view was wrong, or may have been.
func (l *ledger) refund(since time.Time, out *Effects) {
	before := len(out.Charges)
	for _, b := range l.bans.All() {
		if len(out.Charges)-before < maxRefunds {
			l.refundBan(b, since, out)
		}
	}
	for _, a := range l.accounts.All() {
		if len(out.Charges)-before < maxRefunds {
			l.refundAccount(a, since, out)
		}
	}
}

func (l *ledger) refundBan(b PeerBan, since time.Time, out *Effects) {
	rest, points := Account{Peer: b.Peer, Entries: b.Entries}.refunded(since)
	if points == 0 || rest.Points >= params.PointsBan {
		return
	}
	l.lift(b.Peer, out)
	if rest.Points > 0 {
		l.keep(rest, out)
	}
	out.Charges = append(out.Charges, Charge{Peer: b.Peer, Points: -points, Total: rest.Points, Reason: b.Cause().Reason})
}

func (l *ledger) refundAccount(a Account, since time.Time, out *Effects) {
	rest, points := a.refunded(since)
	if points == 0 {
		return
	}
	if rest.Points > 0 {
		l.keep(rest, out)
	} else {
		l.drop(a.Peer, out)
	}
	out.Charges = append(out.Charges, Charge{Peer: a.Peer, Points: -points, Total: rest.Points, Reason: a.Entries[len(a.Entries)-1].Reason})
}

// standing lists the bans that are carried out.
func (l *ledger) standing() (bans []PeerBan) {
	for _, b := range l.bans.All() {
		if !b.DryRun && (!l.dryRun || b.Cause().Reason == validation.Operator) {
			bans = append(bans, b)
		}
	}
	return bans
}

// enforce drops what an earlier dry run wrote down: whoever it would have
// banned begins anew.
func (l *ledger) enforce(out *Effects) {
	for _, b := range l.bans.All() {
		if b.DryRun && !l.dryRun {
			l.bans = l.bans.Delete(peerKey(b.Peer))
			out.delete(KindPeerBan, []byte(b.Peer))
		}
	}
}
