package uptime

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

func rules(t testing.TB) params.Service {
	t.Helper()
	network, err := params.NetworkByName("devnet")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := params.ProfileByName("spec")
	if err != nil {
		t.Fatal(err)
	}
	return network.Service(profile)
}

func nodeID(n int) wire.Hash { return wire.DoubleHash([]byte("node"), []byte{byte(n), byte(n >> 8)}) }

func at(host string) string { return "/ip4/" + host + "/udp/9000/quic-v1" }

func proofAt(host string) wire.UptimeProof {
	return wire.UptimeProof{ProTxHash: nodeID(1), Addresses: []string{at(host)}}
}

// history makes a record of proofs: host, height, host, height...
func history(steps ...any) (r Record) {
	for i := 0; i < len(steps); i += 2 {
		r = r.hear(proofAt(steps[i].(string)), int32(steps[i+1].(int)))
	}
	return r
}

// Source: spec/oxen.md 7 and 10.4 number 12, in blocks of 2 minutes: the
// window is 720 blocks, the grace 60.
func TestRecord_TwoAddresses(t *testing.T) {
	const a, b, c = "1.0.0.1", "1.0.0.2", "1.0.0.3"
	for _, tc := range []struct {
		name         string
		r            Record
		penalty, tip int32
		want         bool
	}{
		{"never heard", Record{}, 0, 1000, false},
		{"one host", history(a, 900, a, 930), 0, 1000, false},
		{"moved", history(a, 900, b, 930), 0, 1000, true},
		{"moved, after the penalty", history(a, 900, b, 930, b, 1050), 940, 1060, false},
		{"moved and back", history(a, 900, b, 930, a, 960, b, 990), 0, 1000, true},
		{"flapping, one inside the grace", history(a, 1000, b, 1030), 940, 1031, false},
		{"flapping, both after the grace", history(a, 1001, b, 1030), 940, 1031, true},
		{"grace of the registration", history(a, 60, b, 90), 0, 100, false},
		{"first block after it", history(a, 61, b, 90), 0, 100, true},
		{"a slot as old as the window", history(a, 280, b, 930), 0, 1000, false},
		{"one block younger", history(a, 281, b, 930), 0, 1000, true},
		{"a third host takes the older slot", history(a, 281, b, 900, c, 930), 0, 1100, true},
		{"then the older is forgotten", history(a, 900, b, 281, c, 930), 0, 1100, true},
		{"far heights do not wrap", history(a, math.MaxInt32, b, math.MaxInt32), math.MaxInt32, math.MaxInt32, false},
	} {
		if got := tc.r.TwoAddresses(tc.penalty, tc.tip, rules(t)); got != tc.want {
			t.Errorf("%s: two addresses is %t, want %t; slots %v", tc.name, got, tc.want, tc.r.Hosts)
		}
	}
	if r := history(a, 1, b, 2, c, 3); r.Hosts != [2]Seen{{c, 3}, {b, 2}} {
		t.Errorf("a third host gives %v, want it in the older slot", r.Hosts)
	}
	if r := history(a, 1, b, 1, c, 1); r.Hosts != [2]Seen{{c, 1}, {b, 1}} {
		t.Errorf("a third host after a tie gives %v, want it in the first slot", r.Hosts)
	}
	if r := history(a, 0, b, 0); r.Hosts != [2]Seen{{a, 0}, {b, 0}} {
		t.Errorf("hosts heard at genesis are %v, want both", r.Hosts)
	}
}

func TestRecord_ThePortAndLaterAddressesDoNotCount(t *testing.T) {
	p := proofAt("1.0.0.1")
	r := Record{}.hear(p, 1)
	p.Addresses = []string{"/ip4/1.0.0.1/tcp/1", at("1.0.0.9")}
	if r = r.hear(p, 2); r.Hosts != [2]Seen{{"1.0.0.1", 2}, {}} {
		t.Errorf("slots %v, want one host", r.Hosts)
	}
}

// The twin keeps every proof and, for the slots, replays what the rule says:
// of the hosts seen so far, the two that were seen last. With two hosts only
// the rule is simply whether each was seen after the cut.
func TestRecord_AgainstItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := params.Service{AddressWindow: 20, AddressGrace: 5}
		var r Record
		last := map[string]int32{}
		height := int32(0)
		for range rapid.IntRange(0, 40).Draw(t, "proofs") {
			height += rapid.Int32Range(1, 8).Draw(t, "blocks")
			host := rapid.SampledFrom([]string{"1.0.0.1", "1.0.0.2", "1.0.0.3"}).Draw(t, "host")
			r = r.hear(proofAt(host), height)
			last[host] = height
			penalty := rapid.Int32Range(0, height).Draw(t, "penalty")
			tip := height + rapid.Int32Range(0, 10).Draw(t, "after")
			cut, seen := max(tip-20, penalty+5), 0
			for _, h := range last {
				if h > cut {
					seen++
				}
			}
			if got := r.TwoAddresses(penalty, tip, rules); got != (seen >= 2) {
				t.Fatalf("slots %v at tip %d, penalty %d: two addresses is %t, but %d hosts were seen after %d: %v", r.Hosts, tip, penalty, got, seen, cut, last)
			}
		}
	})
}

// Source: seed, Quorum Tasks: two hours; spec/oxen.md 10.4 number 10.
func TestRecord_Fresh(t *testing.T) {
	for tip, want := range map[int32]bool{99: true, 100: true, 160: true, 161: false, math.MaxInt32: false} {
		if got := (Record{Heard: 100}).Fresh(tip, rules(t)); got != want {
			t.Errorf("heard at 100, tip %d: fresh is %t, want %t", tip, got, want)
		}
	}
}

func TestRecord_EvidenceDoesNotDependOnTheOrderSeen(t *testing.T) {
	x, y := history("1.0.0.1", 5, "1.0.0.2", 9), history("1.0.0.2", 3, "1.0.0.1", 5, "1.0.0.2", 9)
	if x.Hosts == y.Hosts || x.ByName() != y.ByName() || x.ByName()[0].Host != "1.0.0.1" {
		t.Errorf("slots %v and %v by name are %v and %v", x.Hosts, y.Hosts, x.ByName(), y.ByName())
	}
}

func drawRecord(t *rapid.T) (r Record) {
	r.Heard = rapid.Int32().Draw(t, "heard")
	for i := range r.Hosts {
		if host := rapid.StringMatching(`[!-~]{0,128}`).Draw(t, "host"); host != "" {
			r.Hosts[i] = Seen{host, rapid.Int32().Draw(t, "seen")}
		}
	}
	r.Proof = wire.UptimeProof{
		ProTxHash:    nodeID(rapid.IntRange(0, 9).Draw(t, "node")),
		Sequence:     rapid.Uint64().Draw(t, "sequence"),
		AnchorHeight: rapid.Int32().Draw(t, "anchor"),
		Agent:        rapid.StringMatching(`[!-~]{0,64}`).Draw(t, "agent"),
		Addresses:    rapid.SliceOfN(rapid.StringMatching(`[!-~]{1,128}`), 1, wire.MaxAddresses).Draw(t, "addresses"),
	}
	return r
}

func TestRecord_BytesAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		b := r.Bytes()
		if back, err := ParseRecord(b); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v decodes to %+v, %v", r, back, err)
		}
		if _, err := ParseRecord(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); !errors.Is(err, ErrRecord) {
			t.Fatalf("a record cut short: %v, want ErrRecord", err)
		}
		if _, err := ParseRecord(append(b, 0)); !errors.Is(err, ErrRecord) {
			t.Fatalf("a record with a byte more: %v, want ErrRecord", err)
		}
	})
}

func TestParseRecord_OneEncoding(t *testing.T) {
	r := history("1.0.0.1", 7)
	for name, broken := range map[string]Record{
		"an empty slot with a height": {Proof: r.Proof, Hosts: [2]Seen{{"", 1}, {}}},
		"a host too long":             {Proof: r.Proof, Hosts: [2]Seen{{strings.Repeat("x", 129), 1}, {}}},
	} {
		if _, err := ParseRecord(broken.Bytes()); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v, want ErrRecord", name, err)
		}
	}
	if _, err := ParseRecord(make([]byte, MaxRecordSize+1)); !errors.Is(err, ErrRecord) {
		t.Errorf("a record over the limit: %v, want ErrRecord", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(history("1.0.0.1", 7).Bytes())
	f.Add(history("1.0.0.1", 7, "1.0.0.2", 9).Bytes())
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("%x: %v, want ErrRecord", b, err)
			}
			return
		}
		if !bytes.Equal(r.Bytes(), b) {
			t.Fatalf("%x decodes and encodes to %x", b, r.Bytes())
		}
	})
}

func TestBook_VersionsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		type version struct {
			book Book
			want string
		}
		show := func(b Book) (s string) {
			for id, r := range b.All() {
				s += fmt.Sprint(id.Short(), r.Heard, r.Hosts, r.Proof.Sequence, ";")
			}
			return s
		}
		var versions []version
		twin := map[wire.Hash]Record{}
		for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
			id := nodeID(rapid.IntRange(0, 4).Draw(t, "node"))
			if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				b = b.Without(id)
				delete(twin, id)
			} else {
				p := proofAt(rapid.SampledFrom([]string{"1.0.0.1", "1.0.0.2"}).Draw(t, "host"))
				p.ProTxHash, p.Sequence = id, uint64(i)
				b = b.With(p, int32(i))
				twin[id] = twin[id].hear(p, int32(i))
			}
			if b.Len() != len(twin) {
				t.Fatalf("%d records, want %d", b.Len(), len(twin))
			}
			again := Book{}
			for _, r := range twin {
				again = again.Put(r)
			}
			if show(again) != show(b) {
				t.Fatalf("the book holds %s, want %s", show(b), show(again))
			}
			versions = append(versions, version{b, show(b)})
		}
		for i, v := range versions {
			if got := show(v.book); got != v.want {
				t.Fatalf("version %d holds %s, it held %s", i, got, v.want)
			}
		}
	})
}

func TestBook_Fresh(t *testing.T) {
	b := Book{}.With(proofAt("1.0.0.1"), 100)
	if !b.Fresh(nodeID(1), 160, rules(t)) || b.Fresh(nodeID(1), 161, rules(t)) || b.Fresh(nodeID(2), 100, rules(t)) {
		t.Error("fresh means heard at most 60 blocks ago, and never heard is not fresh")
	}
}
