package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// codec decodes and encodes again; every message has one.
type codec struct {
	name   string
	again  func([]byte) ([]byte, error)
	sample []byte
}

func codecs() []codec {
	event := UpdateService{Sequence: 7, Addresses: []string{"/ip4/127.0.0.1/tcp/1", "/dns4/a/tcp/2"}}
	header := Header{Height: 5, Slot: 9, Content: ContentHash([]UpdateService{event, event})}
	return []codec{
		{"PlatformBan", func(b []byte) ([]byte, error) { m, err := ParsePlatformBan(b); return m.Bytes(), err }, PlatformBan{SignedHeight: -1}.Bytes()},
		{"UpdateService", func(b []byte) ([]byte, error) { m, err := ParseUpdateService(b); return m.Bytes(), err }, event.Bytes()},
		{"Block", func(b []byte) ([]byte, error) { m, err := ParseBlock(b); return m.Bytes(), err }, Block{header, []UpdateService{event, event}}.Bytes()},
		{"Status", func(b []byte) ([]byte, error) { m, err := ParseStatus(b); return m.Bytes(), err }, Status{Version: 1, Height: 3, Synced: true, Agent: "proctor"}.Bytes()},
		{"BlockRange", func(b []byte) ([]byte, error) { m, err := ParseBlockRange(b); return m.Bytes(), err }, BlockRange{1, MaxRangeBlocks}.Bytes()},
	}
}

func TestDecoders_TakeExactlyOneMessage(t *testing.T) {
	for _, c := range codecs() {
		got, err := c.again(c.sample)
		if err != nil || !bytes.Equal(got, c.sample) {
			t.Errorf("%s: %x becomes %x, %v", c.name, c.sample, got, err)
		}
		for n := range len(c.sample) {
			if _, err := c.again(c.sample[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes decode", c.name, n, len(c.sample))
			}
		}
		if _, err := c.again(append(bytes.Clone(c.sample), 0)); !errors.Is(err, ErrSize) {
			t.Errorf("%s: one byte too many gives %v, want ErrSize", c.name, err)
		}
	}
}

func TestDecoders_DoNotAliasTheirInput(t *testing.T) {
	for _, c := range codecs() {
		input := bytes.Clone(c.sample)
		var out []byte
		switch c.name {
		case "UpdateService":
			m, _ := ParseUpdateService(input)
			clear(input)
			out = m.Bytes()
		case "Block":
			m, _ := ParseBlock(input)
			clear(input)
			out = m.Bytes()
		case "Status":
			m, _ := ParseStatus(input)
			clear(input)
			out = m.Bytes()
		default:
			continue // arrays only
		}
		if !bytes.Equal(out, c.sample) {
			t.Errorf("%s changes with its input", c.name)
		}
	}
}

func TestDecoders_RefuseBadValues(t *testing.T) {
	long := strings.Repeat("a", MaxAddressLength+1)
	many := UpdateService{Addresses: []string{"a", "b", "c", "d", "e"}}
	oversized := Block{Header: Header{Content: ContentHash(nil)}}.Bytes()
	events := bytes.Clone(oversized)
	binary.BigEndian.PutUint16(events[HeaderSize:], MaxBlockEvents+1)
	content := Block{Header: Header{Content: Hash{1}}}.Bytes()
	synced := Status{Agent: "x"}.Bytes()
	synced[2+32+32+4+32] = 2
	for _, c := range []struct {
		name  string
		parse func() error
		want  error
	}{
		{"event of another kind", func() error { _, err := ParseUpdateService([]byte{1}); return err }, ErrValue},
		{"event without address", func() error { _, err := ParseUpdateService(UpdateService{}.Bytes()); return err }, ErrValue},
		{"event with an empty address", func() error { _, err := ParseUpdateService(UpdateService{Addresses: []string{""}}.Bytes()); return err }, ErrValue},
		{"event with too many addresses", func() error { _, err := ParseUpdateService(many.Bytes()); return err }, ErrSize},
		{"event with a long address", func() error {
			_, err := ParseUpdateService(UpdateService{Addresses: []string{long}}.Bytes())
			return err
		}, ErrSize},
		{"event with a control character", func() error {
			_, err := ParseUpdateService(UpdateService{Addresses: []string{"a\nb"}}.Bytes())
			return err
		}, ErrValue},
		{"block over the limit", func() error { _, err := ParseBlock(make([]byte, MaxBlockSize+1)); return err }, ErrSize},
		{"block with too many events", func() error { _, err := ParseBlock(events); return err }, ErrSize},
		{"block with other content than its header's", func() error { _, err := ParseBlock(content); return err }, ErrValue},
		{"status over the limit", func() error { _, err := ParseStatus(make([]byte, MaxStatusSize+1)); return err }, ErrSize},
		{"status half synced", func() error { _, err := ParseStatus(synced); return err }, ErrValue},
		{"status with a long agent", func() error { _, err := ParseStatus(Status{Agent: long[:MaxAgentLength+1]}.Bytes()); return err }, ErrSize},
		{"range from genesis", func() error { _, err := ParseBlockRange(BlockRange{0, 1}.Bytes()); return err }, ErrValue},
		{"range of nothing", func() error { _, err := ParseBlockRange(BlockRange{1, 0}.Bytes()); return err }, ErrValue},
		{"range too long", func() error { _, err := ParseBlockRange(BlockRange{1, MaxRangeBlocks + 1}.Bytes()); return err }, ErrValue},
		{"hash too short", func() error { _, err := ParseHash("00"); return err }, ErrSize},
		{"hash not hex", func() error { _, err := ParseHash(strings.Repeat("z", 64)); return err }, ErrValue},
	} {
		if err := c.parse(); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDecodeHex_NeverShowsTheValue(t *testing.T) {
	var key [4]byte
	err := DecodeHex(key[:], "service key", []byte("5ecre7xx"))
	if err == nil || strings.Contains(err.Error(), "5ecre7") {
		t.Errorf("error %v must not hold the value", err)
	}
}

func TestHash_DisplayOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Hash(rapid.SliceOfN(rapid.Byte(), HashSize, HashSize).Draw(t, "hash"))
		back, err := ParseHash(h.String())
		if err != nil || back != h {
			t.Fatalf("%s comes back as %s, %v", h, back, err)
		}
	})
	if h := (Hash{0: 0xaa, 31: 0xbb}).String(); !strings.HasPrefix(h, "bb") || !strings.HasSuffix(h, "aa") {
		t.Errorf("display order of a hash is %s, want the last byte first", h)
	}
}

func TestHeader_HashLeavesTheSignatureOut(t *testing.T) {
	h := Header{Height: 1, Slot: 2}
	signed := h
	signed.Signature[0] = 1
	if signed.Hash() != h.Hash() {
		t.Error("the hash of a header depends on its signature")
	}
	for name, other := range map[string]Header{
		"height": {Height: 2, Slot: 2}, "slot": {Height: 1, Slot: 3}, "parent": {Height: 1, Slot: 2, Parent: Hash{1}},
		"root": {Height: 1, Slot: 2, StateRoot: Hash{1}}, "content": {Height: 1, Slot: 2, Content: Hash{1}},
	} {
		if other.Hash() == h.Hash() {
			t.Errorf("the hash of a header does not cover its %s", name)
		}
	}
}

func TestUpdateService_SignHashCoversEverythingElse(t *testing.T) {
	e := UpdateService{Sequence: 1, Addresses: []string{"a"}}
	signed := e
	signed.Signature[0] = 1
	if signed.SignHash() != e.SignHash() {
		t.Error("the sign hash covers the signature")
	}
	for name, other := range map[string]UpdateService{
		"network": {Network: Hash{1}, Sequence: 1, Addresses: []string{"a"}}, "node": {ProTxHash: Hash{1}, Sequence: 1, Addresses: []string{"a"}},
		"sequence": {Sequence: 2, Addresses: []string{"a"}}, "addresses": {Sequence: 1, Addresses: []string{"b"}},
	} {
		if other.SignHash() == e.SignHash() {
			t.Errorf("the sign hash does not cover the %s", name)
		}
	}
}

// fuzz holds: what decodes is the one encoding of what was decoded.
func fuzz(f *testing.F, name string) {
	for _, c := range codecs() {
		if c.name != name {
			continue
		}
		f.Add(c.sample)
		f.Fuzz(func(t *testing.T, b []byte) {
			if got, err := c.again(b); err == nil && !bytes.Equal(got, b) {
				t.Errorf("%x decodes and encodes to %x", b, got)
			}
		})
	}
}

func FuzzParsePlatformBan(f *testing.F)   { fuzz(f, "PlatformBan") }
func FuzzParseUpdateService(f *testing.F) { fuzz(f, "UpdateService") }
func FuzzParseBlock(f *testing.F)         { fuzz(f, "Block") }
func FuzzParseStatus(f *testing.F)        { fuzz(f, "Status") }
func FuzzParseBlockRange(f *testing.F)    { fuzz(f, "BlockRange") }

func FuzzParseHash(f *testing.F) {
	f.Add(Hash{1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := ParseHash(s); err == nil && h.String() != strings.ToLower(s) {
			t.Errorf("%q decodes and encodes to %s", s, h)
		}
	})
}
