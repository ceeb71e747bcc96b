package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/wire"
)

// digestOf makes a summary of pairs of a height and a word for what is there.
func digestOf(pairs ...any) (s wire.BanSummary) {
	for i := 0; i < len(pairs); i += 2 {
		d := wire.HeightDigest{Height: int32(pairs[i].(int)), Count: 1}
		copy(d.Digest[:], pairs[i+1].(string))
		s = append(s, d)
	}
	return s
}

func TestMissing(t *testing.T) {
	more := digestOf(5, "a")
	more[0].Count = 2
	for _, c := range []struct {
		name         string
		ours, theirs wire.BanSummary
		want         string // ranges
	}{
		{"both empty", nil, nil, ""},
		{"they have nothing", digestOf(5, "a"), nil, ""},
		{"equal", digestOf(5, "a", 9, "b"), digestOf(5, "a", 9, "b"), ""},
		{"we have nothing", nil, digestOf(5, "a"), "5-5"},
		{"we have more", digestOf(4, "x", 5, "a", 6, "y"), digestOf(5, "a"), ""},
		{"other bans at a height", digestOf(5, "a"), digestOf(5, "b"), "5-5"},
		{"another count", digestOf(5, "a"), more, "5-5"},
		{"adjacent heights", nil, digestOf(5, "a", 6, "b", 7, "c"), "5-7"},
		{"with a gap in theirs", nil, digestOf(5, "a", 90, "b"), "5-90"},
		{"around a height that is equal", digestOf(6, "b"), digestOf(5, "a", 6, "b", 7, "c"), "5-5 7-7"},
		{"around a height that only we have", digestOf(6, "b"), digestOf(5, "a", 7, "c"), "5-7"},
		{"first and last", digestOf(6, "b", 7, "c"), digestOf(1, "a", 6, "b", 7, "c", 8, "d"), "1-1 8-8"},
		{"negative heights", nil, digestOf(-3, "a", 2, "b"), "-3-2"},
	} {
		var got []string
		for _, q := range missing(c.ours, c.theirs) {
			got = append(got, fmt.Sprintf("%d-%d", q.From, q.To))
			if back, err := wire.ParseBanRange(q.Bytes()); err != nil || back != q {
				t.Errorf("%s: asks %+v, which is not well formed: %v", c.name, q, err)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

func TestAgenda_NewContacts(t *testing.T) {
	r := fixedRandom()
	a := newAgenda(dayOne, r)
	a.next = dayOne.Add(time.Hour)
	contacts := []peer.ID{"p", "q"}
	a.meet("p", dayOne, r)
	a.meet("gone", dayOne, r)
	if w := a.wait(dayOne); w > reconcileSoon {
		t.Errorf("waits %s for a new contact, at most %s", w, reconcileSoon)
	}
	first := a.due["p"]
	a.meet("p", dayOne.Add(time.Minute), r)
	if a.due["p"] != first {
		t.Error("meeting again puts it off")
	}
	if got := a.take(contacts, first.Add(-1), r); len(got) != 0 {
		t.Errorf("%v too early", got)
	}
	a.due["gone"] = dayOne
	if got := a.take(contacts, dayOne.Add(reconcileSoon), r); !slices.Equal(got, []peer.ID{"p"}) {
		t.Errorf("compares with %v, want the contact", got)
	}
	if got := a.take(contacts, dayOne.Add(time.Minute), r); len(got) != 0 || len(a.due) != 0 {
		t.Errorf("compares with %v again, %d on the agenda", got, len(a.due))
	}
}

// Both sides meet at the same moment; their dates differ.
func TestAgenda_Jitter(t *testing.T) {
	dates := make(map[time.Time]bool)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		a := newAgenda(dayOne, r)
		a.meet("p", dayOne, r)
		dates[a.due["p"]] = true
		if d := a.next.Sub(dayOne); d < reconcileEvery/2 || d > reconcileEvery*3/2 {
			t.Errorf("the first round after %s", d)
		}
	}
	if len(dates) < 45 {
		t.Errorf("50 nodes chose %d moments", len(dates))
	}
}

func TestAgenda_Asked(t *testing.T) {
	r := fixedRandom()
	a := newAgenda(dayOne, r)
	a.ask([]peer.ID{"p", "q", "r", "s", "t"}, dayOne, r)
	if got := a.take([]peer.ID{"p", "q", "r", "s", "t"}, dayOne, r); len(got) != reconcileAtMet {
		t.Errorf("compares with %v, want %d", got, reconcileAtMet)
	}
	a.ask([]peer.ID{"p"}, dayOne, r)
	if a.wait(dayOne) != 0 {
		t.Error("waits although it was asked")
	}
	if got := a.take([]peer.ID{"p"}, dayOne, r); !slices.Equal(got, []peer.ID{"p"}) {
		t.Errorf("compares with %v, want the only contact", got)
	}
}

func TestAgenda_Rounds(t *testing.T) {
	r := fixedRandom()
	a := newAgenda(dayOne, r)
	now, met := dayOne, make(map[peer.ID]int)
	for range 100 {
		wait := a.wait(now)
		if wait < reconcileEvery/2 || wait > reconcileEvery*3/2 {
			t.Fatalf("a round after %s", wait)
		}
		now = now.Add(wait)
		got := a.take([]peer.ID{"p", "q"}, now, r)
		if len(got) != 1 {
			t.Fatalf("a round with %v", got)
		}
		met[got[0]]++
	}
	if met["p"] < 25 || met["q"] < 25 {
		t.Errorf("rounds with %v, want both about as often", met)
	}
	a.meet("p", now, r)
	if got := a.take([]peer.ID{"p"}, now.Add(2*reconcileEvery), r); !slices.Equal(got, []peer.ID{"p"}) {
		t.Errorf("compares with %v, want once with the one that is due twice", got)
	}
}
