package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func digests(heights ...int32) (s BanSummary) {
	for _, h := range heights {
		s = append(s, HeightDigest{Height: h, Count: 1, Digest: [BanDigestSize]byte{byte(h)}})
	}
	return s
}

func someHashes(n int) (q BanHashes) {
	for i := range n {
		q = append(q, Hash{byte(i), byte(i >> 8)})
	}
	return q
}

func TestBanSummary_Layout(t *testing.T) {
	s := BanSummary{{Height: -2, Count: 0x0102, Digest: [BanDigestSize]byte{0xaa}}, {Height: 0x01020304, Count: 1, Digest: [BanDigestSize]byte{15: 0xbb}}}
	want := "fffffffe" + "0102" + "aa" + strings.Repeat("00", 15) + "01020304" + "0001" + strings.Repeat("00", 15) + "bb"
	if got := hex.EncodeToString(s.Bytes()); got != want {
		t.Errorf("summary is %s, want %s", got, want)
	}
	if back, err := ParseBanSummary(s.Bytes()); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("comes back as %v, %v", back, err)
	}
	if back, err := ParseBanSummary(nil); err != nil || len(back) != 0 {
		t.Errorf("nothing comes back as %v, %v", back, err)
	}
	if digests(1, 2).Digest() == digests(1, 3).Digest() || digests(1).Digest() == (BanSummary{}).Digest() {
		t.Error("the digest does not stand for the summary")
	}
}

func TestBanSummary_Refuses(t *testing.T) {
	var many BanSummary
	for h := range int32(MaxDigests + 1) {
		many = append(many, digests(h)...)
	}
	if _, err := ParseBanSummary(many[:MaxDigests].Bytes()); err != nil {
		t.Errorf("the most heights: %v", err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"a byte too few", digests(1).Bytes()[:21], ErrSize},
		{"a byte too many", append(digests(1).Bytes(), 0), ErrSize},
		{"too many heights", many.Bytes(), ErrSize},
		{"a height twice", digests(1, 1).Bytes(), ErrValue},
		{"descending", digests(2, 1).Bytes(), ErrValue},
		{"no bans at a height", BanSummary{{Height: 1}}.Bytes(), ErrValue},
	} {
		if _, err := ParseBanSummary(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestInventoryRequest_Layout(t *testing.T) {
	zeros := strings.Repeat("00", 31)
	for _, c := range []struct {
		name string
		q    InventoryRequest
		want string
	}{
		{"summary", InventoryRequest{Kind: AskSummary, Digest: [BanDigestSize]byte{0xaa, 15: 0xbb}}, "01" + "aa" + strings.Repeat("00", 14) + "bb"},
		{"range", InventoryRequest{Kind: AskRange, Range: BanRange{From: -1, To: 0x01020304, After: Hash{0xcc}, Count: 0x0100}}, "02" + "ffffffff" + "01020304" + "cc" + zeros + "0100"},
		{"get", InventoryRequest{Kind: AskBans, Hashes: BanHashes{{0x01}, {0x02}}}, "03" + "01" + zeros + "02" + zeros},
	} {
		if got := hex.EncodeToString(c.q.Bytes()); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
		if back, err := ParseInventoryRequest(c.q.Bytes()); err != nil || !reflect.DeepEqual(back, c.q) {
			t.Errorf("%s comes back as %+v, %v", c.name, back, err)
		}
	}
	most := InventoryRequest{Kind: AskBans, Hashes: someHashes(MaxListedBans)}.Bytes()
	if _, err := ParseInventoryRequest(most); err != nil || len(most) != MaxInventoryRequestSize {
		t.Errorf("the longest request has %d bytes, %v", len(most), err)
	}
}

func TestInventoryRequest_Refuses(t *testing.T) {
	bans := func(q BanRange) []byte { return InventoryRequest{Kind: AskRange, Range: q}.Bytes() }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrSize},
		{"kind 0", make([]byte, 17), ErrValue},
		{"kind 4", []byte{4}, ErrValue},
		{"no digest", []byte{1}, ErrSize},
		{"a digest too long", make17(1), ErrSize},
		{"no range", []byte{2}, ErrSize},
		{"a range too long", append(bans(BanRange{Count: 1}), 0), ErrSize},
		{"a range of nothing", bans(BanRange{From: 1, To: 2}), ErrValue},
		{"too many bans", bans(BanRange{From: 1, To: 2, Count: MaxListedBans + 1}), ErrValue},
		{"a range that runs backwards", bans(BanRange{From: 2, To: 1, Count: 1}), ErrValue},
		{"no hashes", []byte{3}, ErrSize},
		{"too many hashes", InventoryRequest{Kind: AskBans, Hashes: someHashes(MaxListedBans + 1)}.Bytes(), ErrSize},
		{"a hash and a half", append([]byte{3}, make([]byte, 48)...), ErrSize},
	} {
		if _, err := ParseInventoryRequest(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

// make17 is a request of the kind with 17 bytes behind it.
func make17(kind InventoryKind) []byte { return append([]byte{byte(kind)}, make([]byte, 17)...) }

func FuzzParseInventoryRequest(f *testing.F) {
	f.Add(make17(AskSummary)[:17])
	f.Add(InventoryRequest{Kind: AskRange, Range: BanRange{From: 1, To: 2, Count: 3}}.Bytes())
	f.Add(InventoryRequest{Kind: AskBans, Hashes: someHashes(2)}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := ParseInventoryRequest(b); err == nil && !bytes.Equal(q.Bytes(), b) {
			t.Errorf("%x decodes and encodes to %x", b, q.Bytes())
		}
	})
}
