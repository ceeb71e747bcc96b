package engine

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func numbered(i int) Peer { return Peer(fmt.Sprintf("%05d", i)) }

func TestLedger_EvictsTheSmallestAccount(t *testing.T) {
	l := new(ledger)
	var out Effects
	for i := range maxAccounts {
		v := medium
		if i == 1234 || i == 2345 {
			v = small
		}
		l.charge(numbered(i), false, v, wire.Hash{}, t0, &out)
	}
	if out.Evicted != 0 {
		t.Fatalf("%d evicted before the limit", out.Evicted)
	}
	gone, left := numbered(1234), numbered(2345) // of equals the one whose key is lower
	if a, b := peerKey(gone), peerKey(left); bytes.Compare(a[:], b[:]) > 0 {
		gone, left = left, gone
	}
	out = Effects{}
	l.charge("new", false, medium, wire.Hash{}, t0, &out)
	if _, ok := l.accounts.Get(peerKey(gone)); ok || l.accounts.Len() != maxAccounts || out.Evicted != 1 {
		t.Errorf("%d accounts, %d evicted; want %s gone", l.accounts.Len(), out.Evicted, gone)
	}
	puts, deletes := kinds(&out)
	wantKinds(t, "put", puts, map[Kind]int{KindAccount: 1})
	wantKinds(t, "deleted", deletes, map[Kind]int{KindAccount: 1})

	l.expire(t0.Add(params.PointDecay), &out)
	if _, ok := l.accounts.Get(peerKey(left)); ok || l.accounts.Len() != maxAccounts-1 {
		t.Errorf("%d accounts after one step, want the one of 1 point gone", l.accounts.Len())
	}
}

// Points count as they have decayed: a large account of long ago is smaller
// than a small one of now.
func TestLedger_EvictsByWhatIsLeft(t *testing.T) {
	l := new(ledger)
	var out Effects
	l.charge("old", false, medium, wire.Hash{}, t0, &out)
	now := t0.Add(9 * params.PointDecay) // 1 of 10 is left
	for i := range maxAccounts - 1 {
		l.charge(numbered(i), false, small, wire.Hash{}, now, &out)
		l.charge(numbered(i), false, small, wire.Hash{}, now, &out)
	}
	l.charge("new", false, medium, wire.Hash{}, now, &out)
	if _, ok := l.accounts.Get(peerKey("old")); ok || out.Evicted != 1 {
		t.Errorf("the account with 1 point left is there, %d evicted", out.Evicted)
	}
}

// fillBans bans as many free identities as may be banned: the later the peer,
// the earlier its ban ends.
func fillBans(l *ledger, from, to int, bound bool) {
	var out Effects
	for i := from; i < to; i++ {
		l.charge(numbered(i), bound, large, wire.Hash{}, t0.Add(-time.Duration(i)*time.Second), &out)
	}
}

func TestLedger_EvictsTheBanThatEndsFirst(t *testing.T) {
	l := new(ledger)
	fillBans(l, 0, maxPeerBans, false)
	var out Effects
	l.charge("new", false, large, wire.Hash{}, t0, &out)
	want := numbered(maxPeerBans - 1)
	if l.bans.Len() != maxPeerBans || out.Evicted != 1 || len(out.Unbans) != 1 || out.Unbans[0] != want {
		t.Errorf("%d bans, %d evicted, unbans %v; want %q lifted", l.bans.Len(), out.Evicted, out.Unbans, want)
	}
	puts, deletes := kinds(&out)
	wantKinds(t, "put", puts, map[Kind]int{KindPeerBan: 1})
	wantKinds(t, "deleted", deletes, map[Kind]int{KindPeerBan: 1})
}

// Identities that cost nothing go before service nodes, and these before whom
// the operator banned, however soon the bans end.
func TestLedger_EvictsFreeIdentitiesFirst(t *testing.T) {
	word := []Entry{{t0, validation.Operator, 100, 100, wire.Hash{}}}
	l := new(ledger)
	fillBans(l, 0, 10, false)                     // end last but for the operator's
	fillBans(l, 10_000, 10_010, true)             // end before them
	fillBans(l, 20_000, maxPeerBans+19_979, true) // and these first of all
	var out Effects
	l.ban(PeerBan{Peer: "operator's", From: t0, Until: t0.Add(time.Second), Entries: word}, &out)
	if l.bans.Len() != maxPeerBans || out.Evicted != 0 {
		t.Fatalf("%d bans, %d evicted; want a full book", l.bans.Len(), out.Evicted)
	}
	for i := 9; i >= 0; i-- { // the free ones, the first to end first
		var out Effects
		l.charge(Peer(fmt.Sprint("new", i)), true, large, wire.Hash{}, t0, &out)
		if len(out.Unbans) != 1 || out.Unbans[0] != numbered(i) {
			t.Fatalf("unbans %v, want %s: the free identity whose ban ends first", out.Unbans, numbered(i))
		}
	}
	out = Effects{}
	l.charge("flood", false, large, wire.Hash{}, t0.Add(time.Hour), &out)
	if len(out.Unbans) != 1 || out.Unbans[0] != "flood" || len(out.Bans) != 0 {
		t.Errorf("bans %v, unbans %v; want the newcomer, whose identity is free, let go", out.Bans, out.Unbans)
	}
	out = Effects{}
	l.charge("bound", true, large, wire.Hash{}, t0, &out)
	if want := numbered(maxPeerBans + 19_978); len(out.Unbans) != 1 || out.Unbans[0] != want {
		t.Errorf("unbans %v, want %s: the service node whose ban ends first, not the operator's", out.Unbans, want)
	}
	for i := range maxPeerBans {
		l.ban(PeerBan{Peer: Peer(fmt.Sprint("word", i)), From: t0, Until: t0.Add(time.Hour), Entries: word}, &out)
	}
	if _, ok := l.bans.Get(peerKey("operator's")); ok || l.bans.Len() != maxPeerBans {
		t.Errorf("%d bans; where all are the operator's the one that ends first goes", l.bans.Len())
	}
}
