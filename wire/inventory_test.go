package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// inventoryCodecs are the messages of an exchange of inventories.
func inventoryCodecs() []codec {
	return []codec{
		{"BanSummary", func(b []byte) ([]byte, error) { m, err := ParseBanSummary(b); return m.Bytes(), err },
			BanSummary{{-7, 1, [16]byte{1}}, {0, 65535, [16]byte{15: 2}}, {math.MaxInt32, 3, [16]byte{}}}.Bytes()},
		{"BanRange", func(b []byte) ([]byte, error) { m, err := ParseBanRange(b); return m.Bytes(), err },
			BanRange{-1, 5, Hash{3, 31: 4}, MaxListedBans}.Bytes()},
		{"BanHashes", func(b []byte) ([]byte, error) { m, err := ParseBanHashes(b); return m.Bytes(), err },
			BanHashes{{1}, {2}, {31: 3}}.Bytes()},
	}
}

func TestInventoryDecoders_TakeExactlyOneMessage(t *testing.T) {
	whole := map[string]int{"BanSummary": heightEntrySize, "BanHashes": HashSize} // lists may end between entries
	for _, c := range inventoryCodecs() {
		got, err := c.again(c.sample)
		if err != nil || !bytes.Equal(got, c.sample) {
			t.Errorf("%s: %x becomes %x, %v", c.name, c.sample, got, err)
		}
		for n := range len(c.sample) {
			if entry := whole[c.name]; entry > 0 && n%entry == 0 && (n > 0 || c.name == "BanSummary") {
				continue
			}
			if _, err := c.again(c.sample[:n]); !errors.Is(err, ErrSize) {
				t.Errorf("%s: %d of %d bytes give %v, want ErrSize", c.name, n, len(c.sample), err)
			}
		}
		if _, err := c.again(append(bytes.Clone(c.sample), 0)); !errors.Is(err, ErrSize) {
			t.Errorf("%s: one byte too many gives %v, want ErrSize", c.name, err)
		}
	}
}

// The layout, byte by byte.
func TestInventory_Layout(t *testing.T) {
	for want, got := range map[string][]byte{
		"fffffff9" + "0102" + "aa" + strings.Repeat("00", 14) + "bb":       BanSummary{{-7, 0x0102, [16]byte{0: 0xaa, 15: 0xbb}}}.Bytes(),
		"00000001" + "00000203" + "cc" + strings.Repeat("00", 31) + "0100": BanRange{1, 0x203, Hash{0xcc}, 256}.Bytes(),
		"dd" + strings.Repeat("00", 31) + strings.Repeat("00", 31) + "ee":  BanHashes{{0xdd}, {31: 0xee}}.Bytes(),
	} {
		if hex.EncodeToString(got) != want {
			t.Errorf("encoded %x, want %s", got, want)
		}
	}
	if len(BanRange{}.Bytes()) != BanRangeSize {
		t.Errorf("a range of %d bytes, want %d", len(BanRange{}.Bytes()), BanRangeSize)
	}
}

func TestInventoryDecoders_RefuseBadValues(t *testing.T) {
	summary := func(heights ...int32) (s BanSummary) {
		for _, h := range heights {
			s = append(s, HeightDigest{Height: h, Count: 1})
		}
		return s
	}
	long := make([]int32, MaxDigests+1)
	for i := range long {
		long[i] = int32(i)
	}
	parseSummary := func(s BanSummary) error { _, err := ParseBanSummary(s.Bytes()); return err }
	parseRange := func(q BanRange) error { _, err := ParseBanRange(q.Bytes()); return err }
	parseHashes := func(n int) error { _, err := ParseBanHashes(make(BanHashes, n).Bytes()); return err }
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"summary of nothing", parseSummary(nil), nil},
		{"longest summary", parseSummary(summary(long[1:]...)), nil},
		{"summary too long", parseSummary(summary(long...)), ErrSize},
		{"height twice", parseSummary(summary(1, 1)), ErrValue},
		{"heights that fall", parseSummary(summary(1, 2, 1)), ErrValue},
		{"heights across zero", parseSummary(summary(math.MinInt32, -1, 0, math.MaxInt32)), nil},
		{"height without bans", parseSummary(BanSummary{{Height: 1}}), ErrValue},
		{"range of one height", parseRange(BanRange{From: 3, To: 3, Count: 1}), nil},
		{"range of all heights", parseRange(BanRange{From: math.MinInt32, To: math.MaxInt32, Count: MaxListedBans}), nil},
		{"range that ends before it begins", parseRange(BanRange{From: 3, To: 2, Count: 1}), ErrValue},
		{"range of no bans", parseRange(BanRange{From: 3, To: 3}), ErrValue},
		{"range of too many bans", parseRange(BanRange{From: 3, To: 3, Count: MaxListedBans + 1}), ErrValue},
		{"no hashes", parseHashes(0), ErrSize},
		{"one hash", parseHashes(1), nil},
		{"as many hashes as may be", parseHashes(MaxListedBans), nil},
		{"a hash too many", parseHashes(MaxListedBans + 1), ErrSize},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, c.err, c.want)
		}
	}
}

func TestBanSummary_DigestCoversEverything(t *testing.T) {
	s := BanSummary{{1, 2, [16]byte{3}}, {4, 5, [16]byte{6}}}
	for name, change := range map[string]func(BanSummary){
		"height": func(s BanSummary) { s[1].Height++ },
		"count":  func(s BanSummary) { s[0].Count++ },
		"digest": func(s BanSummary) { s[1].Digest[15]++ },
	} {
		other := slices.Clone(s)
		if change(other); other.Digest() == s.Digest() {
			t.Errorf("the digest of a summary does not cover the %s", name)
		}
	}
	if s.Digest() != slices.Clone(s).Digest() || s[:1].Digest() == s.Digest() || BanSummary(nil).Digest() == s.Digest() {
		t.Error("equal summaries must have equal digests, and a part another one")
	}
}

// Whatever is encoded within the limits comes back, and does not change with
// the bytes it came from.
func TestInventory_RoundTrip(t *testing.T) {
	hashes := rapid.Custom(func(t *rapid.T) Hash {
		return Hash(rapid.SliceOfN(rapid.Byte(), HashSize, HashSize).Draw(t, "hash"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var s BanSummary
		for _, h := range slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.Int32(), 0, 20, rapid.ID).Draw(t, "heights"))) {
			h := HeightDigest{Height: h, Count: rapid.Uint16Range(1, math.MaxUint16).Draw(t, "count")}
			copy(h.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))
			s = append(s, h)
		}
		b := s.Bytes()
		back, err := ParseBanSummary(b)
		clear(b)
		if err != nil || !slices.Equal(back, s) {
			t.Fatalf("summary %v comes back as %v, %v", s, back, err)
		}
		q := BanRange{From: rapid.Int32().Draw(t, "from"), After: hashes.Draw(t, "after"), Count: rapid.Uint16Range(1, MaxListedBans).Draw(t, "n")}
		q.To = rapid.Int32Range(q.From, math.MaxInt32).Draw(t, "to")
		if back, err := ParseBanRange(q.Bytes()); err != nil || back != q {
			t.Fatalf("range %v comes back as %v, %v", q, back, err)
		}
		list := BanHashes(rapid.SliceOfN(hashes, 1, 10).Draw(t, "hashes"))
		b = list.Bytes()
		again, err := ParseBanHashes(b)
		clear(b)
		if err != nil || !slices.Equal(again, list) {
			t.Fatalf("hashes %v come back as %v, %v", list, again, err)
		}
	})
}

// fuzzInventory holds: what decodes is the one encoding of what was decoded,
// and what does not is of the wrong size or holds a wrong value.
func fuzzInventory(f *testing.F, name string) {
	for _, c := range inventoryCodecs() {
		if c.name != name {
			continue
		}
		f.Add(c.sample)
		f.Add([]byte{})
		f.Fuzz(func(t *testing.T, b []byte) {
			got, err := c.again(b)
			switch {
			case err == nil && !bytes.Equal(got, b):
				t.Errorf("%x decodes and encodes to %x", b, got)
			case err != nil && !errors.Is(err, ErrSize) && !errors.Is(err, ErrValue):
				t.Errorf("%x: error %v, want ErrSize or ErrValue", b, err)
			}
		})
	}
}

func FuzzParseBanSummary(f *testing.F) { fuzzInventory(f, "BanSummary") }
func FuzzParseBanRange(f *testing.F)   { fuzzInventory(f, "BanRange") }
func FuzzParseBanHashes(f *testing.F)  { fuzzInventory(f, "BanHashes") }
