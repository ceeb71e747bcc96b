package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/wire"
)

// file is the genesis of two as a file, with each of pairs replaced by its
// successor.
func file(t *testing.T, pairs ...string) []byte {
	t.Helper()
	g, _ := two()
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		changed := bytes.Replace(b, []byte(pairs[i]), []byte(pairs[i+1]), 1)
		if bytes.Equal(changed, b) {
			t.Fatalf("the file has no %s", pairs[i])
		}
		b = changed
	}
	return b
}

// Values that decode, but would break something later.
func TestParseGenesis_RefusesWhatWouldFailLater(t *testing.T) {
	const (
		start   = `"time":"2026-01-01T00:00:00Z"`
		address = "/ip4/127.0.0.1/tcp/1"
	)
	g, _ := two()
	key, other := g.Nodes[0].ServiceKey.String(), g.Nodes[1].ServiceKey.String()
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", file(t), ""},
		{"first year", file(t, start, `"time":"1970-01-01T00:00:00Z"`), ""},
		{"last year", file(t, start, `"time":"2200-12-31T23:59:59.999Z"`), ""},
		{"no time: slots would stand still", file(t, start+",", ""), "time is 0001-01-01"},
		{"year too early", file(t, start, `"time":"1969-12-31T23:59:59Z"`), "want a year from 1970 to 2200"},
		{"year too late", file(t, start, `"time":"2201-01-01T00:00:00Z"`), "want a year from 1970 to 2200"},
		{"year 10000 in UTC: no hash", file(t, start, `"time":"9999-12-31T23:30:00-01:00"`), "want a year"},
		{"year -1 in UTC: no hash", file(t, start, `"time":"0000-01-01T00:30:00+01:00"`), "want a year"},
		{"slot of 1 s and 2^58 ms, which wraps to 1 s", file(t, `"slot_ms":1000`, `"slot_ms":288230376151712744`), "slot_ms is 288230376151712744"},
		{"negative slot", file(t, `"slot_ms":1000`, `"slot_ms":-1000`), "slot_ms is -1000"},
		{"no service key: anybody could sign", file(t, key, strings.Repeat("0", 64)), "is zero or stands twice"},
		{"one service key for two nodes", file(t, other, key), "is zero or stands twice"},
		{"empty address", file(t, address, ""), "empty address"},
		{"long address: its record would not load", file(t, address, strings.Repeat("a", 300)), "address of 300 bytes, at most 128"},
		{"address with a space", file(t, address, "a b"), "holds byte 0x20"},
		{"address with a control character", file(t, address, `a\u0000`), "holds byte 0x00"},
		{"hash of other digits", file(t, g.Nodes[0].ProTxHash.String(), strings.Repeat("z", 64)), "not hex"},
		{"short key", file(t, key, key[2:]), "want 64 hex digits"},
		{"unknown key in a node", file(t, `"evo":true`, `"evil":true`), `unknown field "evil"`},
		{"number for a name", file(t, `"network":"devnet"`, `"network":1`), "cannot unmarshal"},
		{"second value", append(file(t), "null"...), "follows the closing brace"},
		{"stray brace", append(file(t), '}'), "follows the closing brace"},
		{"white space after it", append(file(t), " \n\t"...), ""},
		{"cut short", file(t)[:100], "unexpected EOF"},
		{"empty", nil, "EOF"},
	} {
		checkGenesis(t, c.name, c.file, c.want)
	}
	quorum := g
	quorum.PlatformQuorum = &GenesisQuorum{MadeBy: TrustedDealer, Threshold: 2, Members: []wire.Hash{{1}, {2}}}
	for name, members := range map[string][]wire.Hash{"": {{1}, {2}}, "stands twice": {{2}, {2}}} {
		quorum.PlatformQuorum.Members = members
		b, err := json.Marshal(quorum)
		if err != nil {
			t.Fatal(err)
		}
		checkGenesis(t, "quorum with a member that "+name, b, name)
	}
}

// Why a genesis without a service key is refused: all zeros are a point of
// order 4, under which a made-up signature holds for every fourth message.
func TestZeroServiceKey_IsForgeable(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1 // R is the identity, S is 0
	for i := range 1000 {
		if ed25519.Verify(make([]byte, ed25519.PublicKeySize), []byte{byte(i), byte(i >> 8)}, forged) {
			return
		}
	}
	t.Error("no forgery in 1000: the check in ParseGenesis may go")
}

// The hash is the network's identity, so a release must not change it.
func TestGenesis_HashIsStable(t *testing.T) {
	g := Genesis{
		Network: "devnet", Profile: "spec", Time: time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", -5*3600)), SlotMillis: 1000,
		Authorities:    []wire.Hash{{1}},
		Nodes:          []GenesisNode{{Name: "a<b", ProTxHash: wire.Hash{1}, Evo: true, Addresses: []string{"x"}}},
		PlatformQuorum: &GenesisQuorum{MadeBy: TrustedDealer, QuorumHash: wire.Hash{2}, Threshold: 1, Members: []wire.Hash{{1}}},
	}
	text := func(h string, zeros int) string { return strings.Repeat("0", zeros) + h }
	want := wire.DoubleHash([]byte("proctor/genesis/1"), []byte(`{"network":"devnet","profile":"spec","time":"2026-01-02T08:04:05.0000006Z","slot_ms":1000,`+
		`"authorities":["`+text("01", 62)+`"],"nodes":[{"name":"a\u003cb","protx_hash":"`+text("01", 62)+`","evo":true,`+
		`"operator_key":"`+text("", 96)+`","service_key":"`+text("", 64)+`","addresses":["x"]}],`+
		`"platform_quorum":{"made_by":"trusted-dealer","quorum_hash":"`+text("02", 62)+`","mined_height":0,"threshold":1,`+
		`"public_key":"`+text("", 96)+`","members":["`+text("01", 62)+`"]}}`))
	if got := g.Hash(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// A chain that was restored judges like the one that was stored.
func TestChain_RestoredJudgesAlike(t *testing.T) {
	g, keys := two()
	before := New(g)
	var stored []wire.Hash
	headers := []wire.Header{}
	for slot := uint64(1); slot <= 5; slot++ {
		h := next(before.Tip(), slot, keys[slot%2])
		before.Extend(h)
		headers, stored = append(headers, h), append(stored, h.Hash())
	}
	after := New(g)
	after.Restore(before.Tip(), stored)
	candidates := append(headers,
		next(before.Tip(), 6, keys[0]), next(before.Tip(), 6, keys[1]), next(before.Tip(), 5, keys[1]), next(before.Tip(), 90, keys[0]),
		next(Tip{4, 4, stored[3]}, 6, keys[0]), next(Tip{0, 0, g.Hash()}, 6, keys[0]), next(Tip{9, 5, wire.Hash{7}}, 6, keys[0]))
	for i, h := range candidates {
		wantPlace, wantErr := before.Judge(h, 6)
		place, err := after.Judge(h, 6)
		if place != wantPlace || (err == nil) != (wantErr == nil) {
			t.Errorf("header %d: place %d, %v; before the restart %d, %v", i, place, err, wantPlace, wantErr)
		}
	}
}

// The hash leaves the signature out, so anybody can make variants of a known
// header. They are not known: each would cost its maker nothing.
func TestChain_VariantsOfAKnownHeaderAreForged(t *testing.T) {
	g, keys := two()
	c := New(g)
	h := next(c.Tip(), 1, keys[1])
	c.Extend(h)
	if place, err := c.Judge(h, 1); place != Known || err != nil {
		t.Errorf("place %d, %v; want %d", place, err, Known)
	}
	h.Signature[0] ^= 1
	if _, err := c.Judge(h, 1); !errors.Is(err, ErrAuthor) {
		t.Errorf("with another signature: %v, want ErrAuthor", err)
	}
}

// A header of any kind makes no panic and, when judged twice, no difference.
func TestChain_JudgeIsARead(t *testing.T) {
	g, keys := two()
	c := New(g)
	for i := range 64 {
		h := wire.Header{Height: int32(i%4 - 1), Slot: uint64(i % 8), Parent: []wire.Hash{g.Hash(), {9}}[i%2]}
		if i%3 > 0 {
			h = signed(h, keys[i%2])
		}
		place, err := c.Judge(h, 3)
		again, errAgain := c.Judge(h, 3)
		if place != again || (err == nil) != (errAgain == nil) {
			t.Errorf("%+v: %d, %v and then %d, %v", h, place, err, again, errAgain)
		}
		if known := errors.Is(err, ErrAuthor) || errors.Is(err, ErrSlot) || errors.Is(err, ErrHeight); err != nil && !known || (err == nil) != (place > 0) {
			t.Errorf("%+v: place %d and error %v", h, place, err)
		}
	}
}

func TestGenesis_SlotsMeetWithoutGaps(t *testing.T) {
	g, _ := two()
	for _, g.SlotMillis = range []int64{50, 1000, 3_600_000} {
		for slot := range uint64(50) {
			begin, end := g.SlotStart(slot), g.SlotStart(slot+1)
			if g.SlotAt(begin) != slot || g.SlotAt(end.Add(-1)) != slot || g.SlotAt(end) != slot+1 {
				t.Errorf("slot %d of %d ms does not reach from %s to %s", slot, g.SlotMillis, begin, end)
			}
		}
	}
}
