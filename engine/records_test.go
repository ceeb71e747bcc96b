package engine

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func sampleEntries(n int) (entries []Entry) {
	table := validation.Table()
	for i := range n {
		row := table[i%len(table)]
		at := t0.Add(time.Duration(i) * 1234 * time.Millisecond)
		entries = append(entries, Entry{at, row.Reason, row.Points, i, wire.Hash{byte(i), 31: 9}})
	}
	return entries
}

func sampleFarewell() GivenFarewell {
	return GivenFarewell{Farewell{"p", 7, validation.Signature, t0.Add(params.BanDuration)}, t0}
}

// decoders are those of the records that hold something of peers.
var decoders = map[string]func([]byte) (interface{ bytes() []byte }, error){
	"account":  func(b []byte) (interface{ bytes() []byte }, error) { return parseAccount("p", b) },
	"peer ban": func(b []byte) (interface{ bytes() []byte }, error) { return parsePeerBan("p", b) },
	"contact":  func(b []byte) (interface{ bytes() []byte }, error) { return parseContact("p", b) },
	"farewell": func(b []byte) (interface{ bytes() []byte }, error) { return parseFarewell("p", b) },
	"refusal": func(b []byte) (interface{ bytes() []byte }, error) {
		r, err := parseRefusal(b)
		return refusalRecord(r), err
	},
}

type refusalRecord inventory.Refusal

func (r refusalRecord) bytes() []byte { return refusalBytes(inventory.Refusal(r)) }

func TestRecords_RoundTrip(t *testing.T) {
	samples := map[string][]interface{ bytes() []byte }{
		"contact": {
			Contact{Peer: "p", Last: t0.Add(time.Millisecond)},
			Contact{"p", []string{"/ip4/1.2.3.4/udp/1/quic-v1", strings.Repeat("a", wire.MaxAddressLength)}, t0},
			Contact{"p", slices.Repeat([]string{"/x"}, maxContactAddresses), t0},
		},
		"farewell": {
			sampleFarewell(),
			GivenFarewell{Farewell{Peer: "p"}, t0}, // no ban, no reason
		},
	}
	for _, n := range []int{0, 1, maxEntries} {
		samples["account"] = append(samples["account"], Account{"p", 41, t0.Add(1234 * time.Millisecond), sampleEntries(n)})
	}
	for flags := range 4 {
		b := PeerBan{Peer: "p", From: t0, Until: t0.Add(params.BanDuration), Bound: flags&1 != 0, DryRun: flags&2 != 0}
		for _, n := range []int{1, maxEntries} {
			b.Entries = sampleEntries(n)
			samples["peer ban"] = append(samples["peer ban"], b)
		}
	}
	for _, row := range validation.Table() {
		samples["refusal"] = append(samples["refusal"], refusalRecord{Verdict: string(row.Reason), Height: -7})
	}
	for kind, all := range samples {
		for _, want := range all {
			if got, err := decoders[kind](want.bytes()); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v; want %+v", kind, got, err, want)
			}
		}
	}
}

func TestRecords_Refused(t *testing.T) {
	ban := PeerBan{Peer: "p", From: t0, Until: t0, Entries: sampleEntries(1)}.bytes()
	unknownFlag := bytes.Clone(ban)
	unknownFlag[16] = 4
	unknownReason := bytes.Clone(ban)
	unknownReason[len(unknownReason)-1] ^= 1
	contact := Contact{"p", []string{"/a"}, t0}.bytes()
	control := bytes.Clone(contact)
	control[len(control)-1] = '\n'
	for name, c := range map[string]struct {
		kind  string
		bytes []byte
	}{
		"account cut in its points":         {"account", make([]byte, 11)},
		"account with a charge too many":    {"account", Account{"p", 1, t0, sampleEntries(maxEntries + 1)}.bytes()},
		"account with half a charge":        {"account", Account{"p", 1, t0, sampleEntries(1)}.bytes()[:12+48]},
		"account with a reason cut short":   {"account", Account{"p", 1, t0, sampleEntries(1)}.bytes()[:12+50]},
		"peer ban without a cause":          {"peer ban", ban[:17]},
		"peer ban with an unknown flag":     {"peer ban", unknownFlag},
		"peer ban for an unknown reason":    {"peer ban", unknownReason},
		"refusal without a reason":          {"refusal", make([]byte, 4)},
		"refusal cut in its height":         {"refusal", make([]byte, 3)},
		"refusal for an unknown reason":     {"refusal", append(make([]byte, 4), "gossip"...)},
		"contact cut in its time":           {"contact", contact[:7]},
		"contact with an address cut short": {"contact", contact[:len(contact)-1]},
		"contact with an empty address":     {"contact", append(bytes.Clone(contact), 0)},
		"contact with a control character":  {"contact", control},
		"contact with a long address":       {"contact", Contact{"p", []string{strings.Repeat("a", wire.MaxAddressLength+1)}, t0}.bytes()},
		"contact with too many addresses":   {"contact", Contact{"p", slices.Repeat([]string{"/x"}, maxContactAddresses+1), t0}.bytes()},
		"farewell without a code":           {"farewell", sampleFarewell().bytes()[:16]},
		"farewell for an unknown reason":    {"farewell", append(sampleFarewell().bytes(), '!')},
	} {
		if got, err := decoders[c.kind](c.bytes); !errors.Is(err, state.ErrRecord) {
			t.Errorf("%s: got %+v, %v; want %v", name, got, err, state.ErrRecord)
		}
	}
}

// fuzzRecord holds: what decodes is the one encoding of what was decoded, and
// what does not is named a bad record.
func fuzzRecord(f *testing.F, kind string, samples ...[]byte) {
	for _, s := range append(samples, nil, bytes.Repeat([]byte{0xff}, 60)) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decoders[kind](b)
		if err != nil {
			if !errors.Is(err, state.ErrRecord) {
				t.Errorf("%x: error %v, want %v", b, err, state.ErrRecord)
			}
			return
		}
		if got := r.bytes(); !bytes.Equal(got, b) {
			t.Errorf("%x encodes back to %x", b, got)
		}
		switch r := r.(type) { // what the ledger does with records must not fail later
		case Account:
			r.At(t0)
			r.charged(small, wire.Hash{}, t0)
			r.refunded(t0)
		case PeerBan:
			r.Cause()
			r.worth()
		}
	})
}

func FuzzParseAccount(f *testing.F) {
	fuzzRecord(f, "account", Account{"p", 41, t0, nil}.bytes(), Account{"p", 41, t0, sampleEntries(3)}.bytes(),
		Account{"p", 100, t0, sampleEntries(maxEntries)}.bytes())
}

func FuzzParsePeerBan(f *testing.F) {
	fuzzRecord(f, "peer ban", PeerBan{"p", t0, t0, true, true, sampleEntries(2)}.bytes())
}

func FuzzParseContact(f *testing.F) {
	fuzzRecord(f, "contact", Contact{"p", []string{"/ip4/1.2.3.4/tcp/1", "/dns4/a/tcp/2"}, t0}.bytes())
}

func FuzzParseFarewell(f *testing.F) { fuzzRecord(f, "farewell", sampleFarewell().bytes()) }

func FuzzParseRefusal(f *testing.F) {
	fuzzRecord(f, "refusal", refusalBytes(inventory.Refusal{Verdict: string(validation.Signature), Height: 5}))
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 108))
	f.Add(bytes.Repeat([]byte{0xff}, 108))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseMeta(b); err != nil && !errors.Is(err, state.ErrRecord) {
			t.Errorf("%x: error %v, want %v", b, err, state.ErrRecord)
		}
	})
}
