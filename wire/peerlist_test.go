package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func peerList(n int, address string) (l PeerList) {
	for i := range n {
		l = append(l, PeerEntry{ID: string([]byte{0, byte(i)}), Addresses: []string{address}})
	}
	return l
}

func TestPeerList_Layout(t *testing.T) {
	for _, c := range []struct {
		name string
		l    PeerList
		want string
	}{
		{"empty", PeerList{}, "00"},
		{"two", PeerList{{"\x00\x24", []string{"/a", "/b"}}, {"\xff", []string{"/c"}}}, "02" + "020024" + "02" + "022f61" + "022f62" + "01ff" + "01" + "022f63"},
	} {
		if got := hex.EncodeToString(c.l.Bytes()); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
		if back, err := ParsePeerList(c.l.Bytes()); err != nil || !reflect.DeepEqual(back, c.l) {
			t.Errorf("%s comes back as %+v, %v", c.name, back, err)
		}
	}
}

func TestPeerList_Limits(t *testing.T) {
	long := strings.Repeat("a", MaxListedAddressLength)
	full := peerList(MaxListedPeers, long)
	for i := range full {
		full[i].ID = strings.Repeat("i", MaxPeerIDSize-1) + string(rune('A'+i))
	}
	if back, err := ParsePeerList(full.Bytes()); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("the most peers come back as %d, %v", len(back), err)
	}
	id := func(n int) PeerList { return PeerList{{ID: strings.Repeat("i", n), Addresses: []string{"a"}}} }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrSize},
		{"a byte too many", append(PeerList{}.Bytes(), 0), ErrSize},
		{"too many peers", peerList(MaxListedPeers+1, "a").Bytes(), ErrSize},
		{"too many bytes", make([]byte, MaxPeerListSize+1), ErrSize},
		{"an identity too long", id(MaxPeerIDSize + 1).Bytes(), ErrSize},
		{"no identity", id(0).Bytes(), ErrValue},
		{"no address", PeerList{{ID: "i"}}.Bytes(), ErrValue},
		{"an empty address", PeerList{{"i", []string{""}}}.Bytes(), ErrValue},
		{"an address with a blank", PeerList{{"i", []string{"a b"}}}.Bytes(), ErrValue},
		{"too many addresses", PeerList{{"i", []string{"a", "b", "c", "d", "e"}}}.Bytes(), ErrSize},
		{"a peer twice", append(id(3), id(3)...).Bytes(), ErrValue},
	} {
		if _, err := ParsePeerList(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	sample := peerList(2, "/x").Bytes()
	for n := range len(sample) {
		if _, err := ParsePeerList(sample[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(sample))
		}
	}
}

func TestPeerList_Cut(t *testing.T) {
	long := strings.Repeat("a", MaxListedAddressLength)
	wide := PeerEntry{Addresses: []string{long, long, long, long}}
	var heavy PeerList
	for i := range MaxListedPeers {
		wide.ID = string(rune('A' + i))
		heavy = append(heavy, wide)
	}
	for _, c := range []struct {
		name string
		l    PeerList
		want int
	}{
		{"empty", nil, 0},
		{"as many as may be", peerList(MaxListedPeers, "a"), MaxListedPeers},
		{"more", peerList(40, "a"), MaxListedPeers},
		{"too many bytes", heavy, 15}, // 1027 bytes each
	} {
		got := c.l.Cut()
		if len(got) != c.want {
			t.Errorf("%s: %d left, want %d", c.name, len(got), c.want)
		}
		if _, err := ParsePeerList(got.Bytes()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCheckListedAddress(t *testing.T) {
	for a, want := range map[string]error{
		"/ip4/1.2.3.4/tcp/1": nil, strings.Repeat("a", 255): nil,
		"": ErrValue, "a\nb": ErrValue, strings.Repeat("a", 256): ErrSize,
	} {
		if err := CheckListedAddress(a); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", a, err, want)
		}
	}
}

func FuzzParsePeerList(f *testing.F) {
	f.Add(PeerList{}.Bytes())
	f.Add(peerList(3, "/ip4/127.0.0.1/tcp/1").Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := ParsePeerList(b); err == nil && !bytes.Equal(l.Bytes(), b) {
			t.Errorf("%x decodes and encodes to %x", b, l.Bytes())
		}
	})
}
