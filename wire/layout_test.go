package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// seq fills dst with first, first+1 and so on.
func seq(dst []byte, first byte) {
	for i := range dst {
		dst[i] = first + byte(i)
	}
}

// layoutEvent and layoutBlock are the messages of testdata/messages.txt.
func layoutEvent() (e UpdateService) {
	seq(e.Network[:], 0x10)
	seq(e.ProTxHash[:], 0x40)
	seq(e.Signature[:], 0x60)
	e.Sequence, e.Addresses = 0x0102030405060708, []string{"/ip4/127.0.0.1/tcp/1", "x"}
	return e
}

func layoutBlock() (b Block) {
	second := layoutEvent()
	seq(second.Signature[:], 0x61)
	second.Sequence++
	second.Addresses = []string{"y"}
	b.Events = []UpdateService{layoutEvent(), second}
	b.Header = Header{Height: -2, Slot: 0xfffefdfcfbfaf9f8, Content: ContentHash(b.Events)}
	seq(b.Header.Parent[:], 0x80)
	seq(b.Header.StateRoot[:], 0xa0)
	seq(b.Header.Signature[:], 0xe0)
	return b
}

// A codec that changes on both sides still agrees with itself; these bytes
// were computed elsewhere.
func TestLayouts(t *testing.T) {
	v := vectors(t, "testdata/messages.txt")
	event, block := layoutEvent(), layoutBlock()
	status := Status{Version: 0x0102, Network: event.Network, ProTxHash: event.ProTxHash, Height: 0x01020304, Synced: true, Agent: "proctor/1.2"}
	seq(status.Tip[:], 0xc0)
	for _, c := range []struct{ name, got string }{
		{"event", hex.EncodeToString(event.Bytes())},
		{"event_sign_hash", internal(event.SignHash())},
		{"content_hash", internal(ContentHash(block.Events))},
		{"empty_content_hash", internal(ContentHash(nil))},
		{"header_hash", internal(block.Header.Hash())},
		{"header_signed", hex.EncodeToString(block.Header.SignedBytes())},
		{"block", hex.EncodeToString(block.Bytes())},
		{"status", hex.EncodeToString(status.Bytes())},
		{"block_range", hex.EncodeToString(BlockRange{0x01020304, 256}.Bytes())},
	} {
		if want := v[c.name]; c.got != want || want == "" {
			t.Errorf("%s is\n%s, want\n%s", c.name, c.got, want)
		}
	}
}

var (
	hashes     = fixed[Hash](HashSize)
	signatures = fixed[Signature](SignatureSize)
	events     = rapid.Custom(func(t *rapid.T) UpdateService {
		return UpdateService{
			hashes.Draw(t, "network"), hashes.Draw(t, "protx"), rapid.Uint64().Draw(t, "sequence"),
			rapid.SliceOfN(texts(1, MaxAddressLength), 1, MaxAddresses).Draw(t, "addresses"), signatures.Draw(t, "signature"),
		}
	})
)

func fixed[T Hash | Signature | ServiceSignature](size int) *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T { return T(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes")) })
}

func texts(shortest, longest int) *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom(printable), shortest, longest, -1)
}

func roundTrip[T any](t *rapid.T, want T, encoded []byte, parse func([]byte) (T, error)) {
	t.Helper()
	if got, err := parse(encoded); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v comes back as %+v, %v", want, got, err)
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ban := PlatformBan{hashes.Draw(t, "protx"), rapid.Int32().Draw(t, "height"), hashes.Draw(t, "quorum"), signatures.Draw(t, "signature")}
		roundTrip(t, ban, ban.Bytes(), ParsePlatformBan)

		event := events.Draw(t, "event")
		roundTrip(t, event, event.Bytes(), ParseUpdateService)

		block := Block{Events: rapid.SliceOfN(events, 0, 3).Draw(t, "events")}
		if len(block.Events) == 0 {
			block.Events = nil
		}
		block.Header = Header{
			rapid.Int32().Draw(t, "height"), rapid.Uint64().Draw(t, "slot"), hashes.Draw(t, "parent"), hashes.Draw(t, "root"),
			ContentHash(block.Events), fixed[ServiceSignature](ServiceSignatureSize).Draw(t, "signature"),
		}
		roundTrip(t, block, block.Bytes(), ParseBlock)

		status := Status{
			rapid.Uint16().Draw(t, "version"), hashes.Draw(t, "network"), hashes.Draw(t, "protx"), rapid.Int32().Draw(t, "height"),
			hashes.Draw(t, "tip"), rapid.Bool().Draw(t, "synced"), texts(0, MaxAgentLength).Draw(t, "agent"),
		}
		roundTrip(t, status, status.Bytes(), ParseStatus)

		blocks := BlockRange{rapid.Int32Min(1).Draw(t, "from"), rapid.Uint16Range(1, MaxRangeBlocks).Draw(t, "count")}
		roundTrip(t, blocks, blocks.Bytes(), ParseBlockRange)
	})
}

// What keeps every limit must fit: a block that an honest author fills with
// the longest events must not be over MaxBlockSize.
func TestLimits_FitTogether(t *testing.T) {
	longest := UpdateService{Addresses: make([]string, MaxAddresses)}
	for i := range longest.Addresses {
		longest.Addresses[i] = strings.Repeat("~", MaxAddressLength)
	}
	var b Block
	for range MaxBlockEvents {
		b.Events = append(b.Events, longest)
	}
	b.Header.Content = ContentHash(b.Events)
	if got, err := ParseBlock(b.Bytes()); err != nil || len(got.Events) != MaxBlockEvents {
		t.Errorf("a full block of %d bytes: %d events, %v", len(b.Bytes()), len(got.Events), err)
	}
	b.Events = nil
	for range MaxBlockEvents + 1 { // short ones: well below MaxBlockSize
		b.Events = append(b.Events, UpdateService{Addresses: []string{"a"}})
	}
	b.Header.Content = ContentHash(b.Events)
	if _, err := ParseBlock(b.Bytes()); !errors.Is(err, ErrSize) {
		t.Errorf("a block of %d events: error %v, want ErrSize", len(b.Events), err)
	}
	s := Status{Agent: strings.Repeat("~", MaxAgentLength)}
	if _, err := ParseStatus(s.Bytes()); err != nil {
		t.Errorf("a status of %d bytes: %v", len(s.Bytes()), err)
	}
}

func TestTruncation_IsASizeError(t *testing.T) {
	for _, c := range codecs() {
		for n := range len(c.sample) {
			if _, err := c.again(c.sample[:n]); !errors.Is(err, ErrSize) {
				t.Errorf("%s: %d of %d bytes: error %v, want ErrSize", c.name, n, len(c.sample), err)
			}
		}
	}
}

// printable are the characters of texts: all of ASCII that leaves ink.
var printable = func() []rune {
	var all []rune
	for c := rune(0x21); c <= 0x7e; c++ {
		all = append(all, c)
	}
	return all
}()

func TestText_IsPrintableASCII(t *testing.T) {
	for c := range 256 {
		want := c >= 0x21 && c <= 0x7e
		text := "a" + string([]byte{byte(c)})
		_, event := ParseUpdateService(UpdateService{Addresses: []string{text}}.Bytes())
		_, status := ParseStatus(Status{Agent: text}.Bytes())
		for name, err := range map[string]error{"an event": event, "a status": status, "CheckAddress": CheckAddress(text)} {
			if (err == nil) != want || err != nil && !errors.Is(err, ErrValue) {
				t.Errorf("byte %#02x in %s: error %v, want taken %t", c, name, err, want)
			}
		}
	}
}

// CheckAddress lets through what a decoder does, no more and no less.
func TestCheckAddress_AgreesWithTheDecoder(t *testing.T) {
	for _, n := range []int{0, 1, MaxAddressLength, MaxAddressLength + 1, 255} {
		a := strings.Repeat("a", n)
		_, decoded := ParseUpdateService(UpdateService{Addresses: []string{a}}.Bytes())
		if checked := CheckAddress(a); (checked == nil) != (decoded == nil) {
			t.Errorf("address of %d bytes: CheckAddress %v, ParseUpdateService %v", n, checked, decoded)
		}
	}
	if err := CheckAddress(strings.Repeat("a", 256)); !errors.Is(err, ErrSize) { // its length fits no byte
		t.Errorf("address of 256 bytes: %v, want ErrSize", err)
	}
}

// A count or a length that promises more than the message holds, or than the
// limit, must cost nothing.
func TestDecoders_AllocateNothingForHostileCounts(t *testing.T) {
	head := Header{}.Bytes()
	manyEvents := binary.BigEndian.AppendUint16(bytes.Clone(head), 0xffff)
	longEvent := append(bytes.Clone(head), 0, MaxBlockEvents, 0xff, 0xff)
	beforeAddresses := UpdateService{}.Bytes()[:1+HashSize+HashSize+8]
	manyAddresses := append(bytes.Clone(beforeAddresses), 0xff)
	longAddress := append(bytes.Clone(beforeAddresses), MaxAddresses, 0xff)
	for _, c := range []struct {
		name  string
		parse func() error
	}{
		{"65535 events", func() error { _, err := ParseBlock(manyEvents); return err }},
		{"an event of 65535 bytes", func() error { _, err := ParseBlock(longEvent); return err }},
		{"255 addresses", func() error { _, err := ParseUpdateService(manyAddresses); return err }},
		{"an address of 255 bytes", func() error { _, err := ParseUpdateService(longAddress); return err }},
	} {
		if err := c.parse(); !errors.Is(err, ErrSize) {
			t.Errorf("%s: error %v, want ErrSize", c.name, err)
		}
		const runs = 1000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_ = c.parse()
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 4096 {
			t.Errorf("%s: %d bytes allocated, want at most 4096", c.name, got)
		}
	}
}

func TestKeys_Text(t *testing.T) {
	var operator, operatorBack OperatorKey
	var service, serviceBack ServiceKey
	seq(operator[:], 0xf0)
	seq(service[:], 0xf0)
	for _, c := range []struct {
		name string
		text string
		back func([]byte) error
		same func() bool
	}{
		{"operator key", operator.String(), operatorBack.UnmarshalText, func() bool { return operatorBack == operator }},
		{"service key", service.String(), serviceBack.UnmarshalText, func() bool { return serviceBack == service }},
	} {
		if !strings.HasPrefix(c.text, "f0f1f2") { // unlike hashes, not reversed
			t.Errorf("%s is %s, want the first byte first", c.name, c.text)
		}
		if err := c.back([]byte(c.text)); err != nil || !c.same() {
			t.Errorf("%s %s does not come back: %v", c.name, c.text, err)
		}
		for text, want := range map[string]error{"": ErrSize, c.text[2:]: ErrSize, c.text + "00": ErrSize, "zz" + c.text[2:]: ErrValue} {
			if err := c.back([]byte(text)); !errors.Is(err, want) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s of text %q: error %v, want %v", c.name, text, err, want)
			}
		}
	}
}
