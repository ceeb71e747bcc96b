package engine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func reachedAt(p Peer, port int) Reached {
	return Reached{p, []string{fmt.Sprintf("/ip4/1.2.3.4/udp/%d/quic-v1", port)}}
}

func TestContacts_RememberWhereAPeerWasReached(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	start := r.now
	_, out := r.feed(reachedAt("p", 1))
	puts, _ := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindContact: 1})
	if len(out.Known) > 0 {
		t.Errorf("known %v: contacts of earlier runs only", out.Known)
	}
	for _, c := range []struct {
		name  string
		after time.Duration
		in    Reached
		put   []int // ports written down, if anything is
	}{
		{"the same, soon", rewriteContactAfter - time.Millisecond, reachedAt("p", 1), nil},
		{"the same, an hour later", rewriteContactAfter, reachedAt("p", 1), []int{1}},
		{"another address, soon", rewriteContactAfter + time.Second, reachedAt("p", 2), []int{2, 1}},
		{"the first address again, soon", rewriteContactAfter + 2*time.Second, reachedAt("p", 1), nil},
		{"the first address again, later", 2*rewriteContactAfter + 2*time.Second, reachedAt("p", 1), []int{1, 2}},
	} {
		r.feed(Tick{start.Add(c.after)})
		_, out := r.feed(c.in)
		if puts, _ := kinds(out); (puts[KindContact] == 1) != (c.put != nil) {
			t.Errorf("%s: written %d times, want it written: %t", c.name, puts[KindContact], c.put != nil)
		}
		want := Contact{Peer: "p", Last: r.now}
		for _, port := range c.put {
			want.Addresses = append(want.Addresses, reachedAt("p", port).Addresses...)
		}
		if got := r.contacts.reached["p"]; c.put != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: contact %+v, want %+v", c.name, got, want)
		}
	}
}

func TestContacts_BadAddressesAreRefused(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	good := "/ip4/1.2.3.4/tcp/1"
	for name, in := range map[string]Reached{
		"nobody":            {"", []string{good}},
		"nowhere":           {"p", nil},
		"empty address":     {"p", []string{good, ""}},
		"control character": {"p", []string{good + "\n"}},
		"too long":          {"p", []string{strings.Repeat("a", wire.MaxAddressLength+1)}},
	} {
		if _, out := r.feed(in); len(out.Writes) > 0 || len(r.contacts.reached) > 0 {
			t.Errorf("%s: writes %v, contacts %v; want neither", name, out.Writes, r.contacts.reached)
		}
	}
	many := make([]string, maxContactAddresses+3)
	for i := range many {
		many[i] = fmt.Sprintf("%s%d", good, i)
	}
	r.feed(Reached{"p", many})
	if got := r.contacts.reached["p"].Addresses; !slices.Equal(got, many[:maxContactAddresses]) {
		t.Errorf("addresses %v, want the first %d", got, maxContactAddresses)
	}
	r.feed(Reached{"p", []string{good}})
	if got := r.contacts.reached["p"].Addresses; len(got) != maxContactAddresses || got[0] != good {
		t.Errorf("addresses %v, want the new one first and %d in all", got, maxContactAddresses)
	}
}

func TestContacts_TheOldestGoes(t *testing.T) {
	r := observer(t, "spec")
	for i := range maxContacts {
		r.feed(Tick{t0.Add(time.Duration(i) * time.Millisecond)})
		if _, out := r.feed(reachedAt(numbered(maxContacts-i), 1)); out.Evicted > 0 {
			t.Fatalf("contact %d evicts another", i)
		}
	}
	r.feed(Tick{t0.Add(2 * time.Hour)})
	r.feed(reachedAt(numbered(maxContacts), 1)) // the first one, met again
	_, out := r.feed(reachedAt("new", 1))
	puts, deletes := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindContact: 1})
	wantKinds(t, "deleted", deletes, map[Kind]int{KindContact: 1})
	gone := numbered(maxContacts - 1) // the second
	if _, ok := r.contacts.reached[gone]; ok || len(r.contacts.reached) != maxContacts || out.Evicted != 1 {
		t.Errorf("%d contacts, %d evicted; want %s gone", len(r.contacts.reached), out.Evicted, gone)
	}
	if last := out.Writes[len(out.Writes)-1]; string(last.Key) != string(gone) {
		t.Errorf("deleted the record of %q, want %q", last.Key, gone)
	}
}

func TestRestore_ReturnsContactsNewestFirst(t *testing.T) {
	n := testNetwork("spec")
	e, first, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(first.Writes)
	r := rig{Engine: e, network: n, t: t}
	var want []Peer
	for i, p := range []Peer{"m", "z", "a", "q"} {
		r.at(uint64(i + 1))
		_, out := r.feed(reachedAt(p, i))
		stored.apply(out.Writes)
		want = append([]Peer{p}, want...)
	}
	_, out := r.feed(reachedAt("b", 9)) // as new as q: then by name
	stored.apply(out.Writes)
	want = append([]Peer{"b"}, want...)
	_, out, err = Restore(n.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	var got []Peer
	for _, c := range out.Known {
		got = append(got, c.Peer)
		if !reflect.DeepEqual(c, r.contacts.reached[c.Peer]) {
			t.Errorf("contact %+v, want %+v", c, r.contacts.reached[c.Peer])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("contacts in order %v, want %v", got, want)
	}
}

func TestFarewells_TheLastWordIsKept(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	for _, c := range []struct {
		name string
		in   Farewell
		kept bool
	}{
		{"left", Farewell{Peer: "p", Code: 1}, true},
		{"banned us", Farewell{Peer: "p", Code: 6, Reason: validation.Signature, Until: t0.Add(1500 * time.Microsecond)}, true},
		{"a reason nobody knows", Farewell{Peer: "p", Code: 9, Reason: "gossip"}, false},
		{"nobody", Farewell{Code: 9}, false},
		{"another peer", Farewell{Peer: "q", Code: 2}, true},
	} {
		before, _ := r.Snapshot().Farewell(c.in.Peer)
		_, out := r.feed(c.in)
		puts, _ := kinds(out)
		got, _ := r.Snapshot().Farewell(c.in.Peer)
		if !c.kept {
			if len(out.Writes) > 0 || got != before {
				t.Errorf("%s: writes %v, farewell %+v; want no change", c.name, out.Writes, got)
			}
			continue
		}
		wantKinds(t, c.name, puts, map[Kind]int{KindFarewell: 1})
		want := GivenFarewell{c.in, r.now}
		want.Until = want.Until.Truncate(time.Millisecond) // as precise as records are
		if got != want {
			t.Errorf("%s: farewell %+v, want %+v", c.name, got, want)
		}
		if back, err := parseFarewell(c.in.Peer, out.Writes[0].Value); err != nil || back != got {
			t.Errorf("%s: stored as %+v, %v; want %+v", c.name, back, err, got)
		}
	}
}

func TestFarewells_TheOldestGoes(t *testing.T) {
	r := observer(t, "spec")
	for i := range maxFarewells {
		r.feed(Tick{t0.Add(time.Duration(i) * time.Second)})
		if _, out := r.feed(Farewell{Peer: numbered(maxFarewells - i)}); out.Evicted > 0 {
			t.Fatalf("farewell %d evicts another", i)
		}
	}
	r.feed(Tick{t0.Add(time.Hour)})
	r.feed(Farewell{Peer: numbered(maxFarewells), Code: 2}) // the first, again
	_, out := r.feed(Farewell{Peer: "new"})
	_, deletes := kinds(out)
	wantKinds(t, "deleted", deletes, map[Kind]int{KindFarewell: 1})
	if _, ok := r.Snapshot().Farewell(numbered(maxFarewells - 1)); ok || out.Evicted != 1 || r.Snapshot().Farewells.Len() != maxFarewells {
		t.Errorf("%d farewells, %d evicted; want that of the second peer gone", r.Snapshot().Farewells.Len(), out.Evicted)
	}
	if f, ok := r.Snapshot().Farewell(numbered(maxFarewells)); !ok || f.Code != 2 {
		t.Errorf("farewell %+v, want the first peer's last word", f)
	}
}
