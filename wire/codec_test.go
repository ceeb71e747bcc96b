package wire

import (
	"bytes"
	"errors"
	"slices"
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
	header := Header{Height: 5, Slot: 9}
	block := Block{header, Content{[]Event{sampleUpdate(), sampleRegister()}, []FinalCommitment{layoutIndexed(), layoutFinal}, []Certificate{{Ballot: sampleBallot(), Voters: 7}, {Ballot: sampleBallot()}}}}
	block.Header.Content = block.Content.Hash()
	empty := Block{Header: Header{Content: Content{}.Hash()}}
	return slices.Concat(dkgCodecs(), signingCodecs(), []codec{
		codecOf("PlatformBan", ParsePlatformBan, PlatformBan{SignedHeight: -1}),
		codecOf("Register", ParseEvent, Event(sampleRegister())),
		codecOf("UpdateService", ParseEvent, Event(sampleUpdate())),
		codecOf("Revoke", ParseEvent, Event(Revoke{EventHead: EventHead{Hash{1}, 2}, ProTxHash: Hash{3}, Reason: MaxRevokeReason})),
		codecOf("Contribute", ParseEvent, Event(Contribute{EventHead: EventHead{Hash{1}, 2}, Staker: StakerKey{3}, ProTxHash: Hash{4}, Amount: 1})),
		codecOf("Exit", ParseEvent, Event(Exit{EventHead: EventHead{Hash{1}, 2}, Staker: StakerKey{3}, ProTxHash: Hash{4}})),
		codecOf("Vote", ParseVote, Vote{Ballot: sampleBallot(), Voter: Hash{5}, Evidence: Evidence{Hash{6}, -1, 7}}),
		codecOf("Certificate", ParseCertificate, Certificate{Ballot: sampleBallot(), Voters: 0x3ff}),
		codecOf("Checkpoint", ParseCheckpoint, Checkpoint{Height: -8, BlockHash: Hash{1}, StateRoot: Hash{2}, Voter: Hash{3}}),
		codecOf("UptimeProof", ParseUptimeProof, sampleProof()),
		codecOf("Block", ParseBlock, block),
		codecOf("EmptyBlock", ParseBlock, empty),
		codecOf("Status", ParseStatus, Status{Version: 1, Height: 3, Synced: true, Agent: "proctor"}),
		codecOf("BlockRange", ParseBlockRange, BlockRange{1, MaxRangeBlocks}),
	})
}

func sampleRegister() Register {
	return Register{EventHead: EventHead{Hash{1}, 2}, Staker: StakerKey{3}, Evo: true, Addresses: []string{"/dns4/a/tcp/1"}, Platform: "http://a:1/", Amount: 1}
}

func sampleUpdate() UpdateService {
	return UpdateService{EventHead: EventHead{Hash{1}, 7}, ProTxHash: Hash{2}, Addresses: []string{"/ip4/127.0.0.1/tcp/1", "/dns4/a/tcp/2"}, Platform: "tcp://[::1]:443"}
}

func sampleBallot() Ballot { return Ballot{-3, Hash{1}, Hash{2}, TwoAddresses} }

func sampleProof() UptimeProof {
	return UptimeProof{ProTxHash: Hash{1}, Sequence: 2, AnchorHeight: -3, AnchorHash: Hash{4}, Protocol: 5, Agent: "proctor", Addresses: []string{"/dns4/a/tcp/2"}}
}

// codecOf also decodes from a buffer that is then overwritten: what comes out
// must not alias it.
func codecOf[M interface{ Bytes() []byte }](name string, parse func([]byte) (M, error), sample M) codec {
	return codec{name, func(b []byte) ([]byte, error) {
		buffer := bytes.Clone(b)
		m, err := parse(buffer)
		clear(buffer)
		if err != nil {
			return nil, err
		}
		return m.Bytes(), nil
	}, sample.Bytes()}
}

func TestDecoders_TakeExactlyOneMessage(t *testing.T) {
	for _, c := range codecs() {
		got, err := c.again(c.sample)
		if err != nil || !bytes.Equal(got, c.sample) {
			t.Errorf("%s: %x becomes %x, %v", c.name, c.sample, got, err)
		}
		for n := range len(c.sample) {
			if _, err := c.again(c.sample[:n]); !errors.Is(err, ErrSize) {
				t.Errorf("%s: %d of %d bytes give %v, want ErrSize", c.name, n, len(c.sample), err)
			}
		}
		if _, err := c.again(append(bytes.Clone(c.sample), 0)); !errors.Is(err, ErrSize) {
			t.Errorf("%s: one byte too many gives %v, want ErrSize", c.name, err)
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

// fuzz holds: what decodes is the one encoding of what was decoded.
func fuzz(f *testing.F, names ...string) {
	var again func([]byte) ([]byte, error)
	for _, c := range codecs() {
		if slices.Contains(names, c.name) {
			f.Add(c.sample)
			again = c.again
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := again(b); err == nil && !bytes.Equal(got, b) {
			t.Errorf("%x decodes and encodes to %x", b, got)
		}
	})
}

func FuzzParsePlatformBan(f *testing.F) { fuzz(f, "PlatformBan") }
func FuzzParseEvent(f *testing.F) {
	fuzz(f, "Register", "UpdateService", "Revoke", "Contribute", "Exit")
}
func FuzzParseVote(f *testing.F)        { fuzz(f, "Vote") }
func FuzzParseCertificate(f *testing.F) { fuzz(f, "Certificate") }
func FuzzParseCheckpoint(f *testing.F)  { fuzz(f, "Checkpoint") }
func FuzzParseUptimeProof(f *testing.F) { fuzz(f, "UptimeProof") }
func FuzzParseBlock(f *testing.F)       { fuzz(f, "Block", "EmptyBlock") }
func FuzzParseStatus(f *testing.F)      { fuzz(f, "Status") }
func FuzzParseBlockRange(f *testing.F)  { fuzz(f, "BlockRange") }

func FuzzParseHash(f *testing.F) {
	f.Add(Hash{1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := ParseHash(s); err == nil && h.String() != strings.ToLower(s) {
			t.Errorf("%q decodes and encodes to %s", s, h)
		}
	})
}
