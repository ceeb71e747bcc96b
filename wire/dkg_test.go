package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func operatorKey(first byte) (k OperatorKey) { seq(k[:], first); return k }

func bitset(digits string) (s Bitset) {
	for _, d := range digits {
		s = append(s, d == '1')
	}
	return s
}

// The messages of testdata/dkg.txt.
var (
	layoutDKG          = DKGHead{106, from[Hash](0x10), from[Hash](0x40)}
	layoutContribution = Contribution{
		layoutDKG, []OperatorKey{operatorKey(0x20), operatorKey(0x21)}, operatorKey(0x22), from[Hash](0x80),
		[]EncryptedShare{EncryptedShare(from[Hash](0xa0)), EncryptedShare(from[Hash](0xa1)), EncryptedShare(from[Hash](0xa2))}, blsSignature(0x60),
	}
	layoutComplaint     = Complaint{layoutDKG, bitset("1000000001"), bitset("0100000000"), blsSignature(0x60)}
	layoutJustification = Justification{layoutDKG, []RevealedShare{{1, from[Hash](0x30)}, {0x01020304, from[Hash](0x31)}}, blsSignature(0x60)}
	layoutPremature     = PrematureCommitment{layoutDKG, bitset("1000000001"), operatorKey(0x20), from[Hash](0x80), blsSignature(0x61), blsSignature(0x60)}
	layoutFinal         = FinalCommitment{
		3, 106, from[Hash](0x10), 0, bitset("0100000000"), bitset("1000000001"), operatorKey(0x20), from[Hash](0x80), blsSignature(0x61), blsSignature(0x60),
	}
)

func layoutIndexed() FinalCommitment {
	c := layoutFinal
	c.Version, c.QuorumIndex = CommitmentIndexed, -2
	return c
}

func TestDKG_Layouts(t *testing.T) {
	v := vectors(t, "testdata/dkg.txt")
	null := NullCommitment(CommitmentBasic, 106, from[Hash](0x10), 0, 12)
	raw, err := hex.DecodeString(v["real"])
	if err != nil {
		t.Fatal(err)
	}
	published, err := ParseFinalCommitment(raw)
	if err != nil || published.Null() || published.Signers.String() != "111" || published.ValidMembers.String() != "111" {
		t.Errorf("the published commitment is %+v, %v", published, err)
	}
	cases := []struct{ name, got string }{
		{"contribution", hex.EncodeToString(layoutContribution.Bytes())},
		{"contribution_sign_hash", internal(layoutContribution.SignHash())},
		{"contribution_id", internal(layoutContribution.ID())},
		{"complaint", hex.EncodeToString(layoutComplaint.Bytes())},
		{"complaint_sign_hash", internal(layoutComplaint.SignHash())},
		{"justification", hex.EncodeToString(layoutJustification.Bytes())},
		{"justification_sign_hash", internal(layoutJustification.SignHash())},
		{"premature", hex.EncodeToString(layoutPremature.Bytes())},
		{"commitment_hash", internal(layoutPremature.SignHash())},
		{"commitment_hash", internal(layoutFinal.CommitmentHash())},
		{"commitment_hash", internal(layoutIndexed().CommitmentHash())},
		{"vector_hash", internal(VectorHash(layoutContribution.Vector))},
		{"final3", hex.EncodeToString(layoutFinal.Bytes())},
		{"final4", hex.EncodeToString(layoutIndexed().Bytes())},
		{"null", hex.EncodeToString(null.Bytes())},
		{"real", hex.EncodeToString(published.Bytes())},
		{"real_commitment_hash_display", published.CommitmentHash().String()},
		{"real_id_display", published.ID().String()},
	}
	checked := make(map[string]bool)
	for _, c := range cases {
		checked[c.name] = true
		if want := v[c.name]; c.got != want || want == "" {
			t.Errorf("%s is\n%s, want\n%s", c.name, c.got, want)
		}
	}
	if len(checked) != len(v) {
		t.Errorf("%d values checked, %d in the file", len(checked), len(v))
	}
}

// Source: spec/dash.md 5.2, sizes for 100_67.
func TestDKG_Sizes(t *testing.T) {
	contribution := Contribution{Vector: make([]OperatorKey, 67), Shares: make([]EncryptedShare, 100)}
	complaint := Complaint{BadMembers: make(Bitset, 100), ComplainFor: make(Bitset, 100)}
	if got := len(contribution.Bytes()); got != 6759 {
		t.Errorf("a contribution has %d bytes, want 6759", got)
	}
	if got := len(complaint.Bytes()); got != 189 {
		t.Errorf("a complaint has %d bytes, want 189", got)
	}
	longest := Contribution{Vector: make([]OperatorKey, MaxQuorumMembers), Shares: make([]EncryptedShare, MaxQuorumMembers)}
	if got := len(longest.Bytes()); got != MaxDKGMessageSize {
		t.Errorf("the longest contribution has %d bytes, the constant is %d", got, MaxDKGMessageSize)
	}
	if got := len(NullCommitment(CommitmentIndexed, 1, Hash{}, 0, MaxQuorumMembers).Bytes()); got != MaxFinalCommitmentSize {
		t.Errorf("the longest final commitment has %d bytes, the constant is %d", got, MaxFinalCommitmentSize)
	}
}

func dkgCodecs() []codec {
	return []codec{
		codecOf("Contribution", ParseContribution, layoutContribution),
		codecOf("EmptyContribution", ParseContribution, Contribution{}),
		codecOf("Complaint", ParseComplaint, layoutComplaint),
		codecOf("LongComplaint", ParseComplaint, Complaint{BadMembers: make(Bitset, MaxQuorumMembers), ComplainFor: make(Bitset, 253)}),
		codecOf("Justification", ParseJustification, layoutJustification),
		codecOf("PrematureCommitment", ParsePrematureCommitment, layoutPremature),
		codecOf("FinalCommitment", ParseFinalCommitment, layoutFinal),
		codecOf("IndexedCommitment", ParseFinalCommitment, layoutIndexed()),
	}
}

func TestDKG_DecodersRefuse(t *testing.T) {
	head := layoutDKG.append(nil)
	with := func(more ...byte) []byte { return append(bytes.Clone(head), more...) }
	long := func(b []byte) []byte { return append(b, make([]byte, 2*MaxDKGMessageSize)...) }
	final := func(at int, v byte) []byte {
		b := bytes.Clone(layoutFinal.Bytes())
		b[at] = v
		return b
	}
	shares := len(head) + 1 + 2*48 + 48 + 32
	blob := bytes.Clone(layoutContribution.Bytes())
	blob[shares+1] = 0x1f
	for _, c := range []struct {
		name string
		kind DKGKind // 0 is a final commitment
		b    []byte
		want error
	}{
		{"401 coefficients", KindContribution, long(with(0xfd, 0x91, 0x01)), ErrSize},
		{"count in three bytes for one", KindContribution, long(with(0xfd, 0xfc, 0x00)), ErrValue},
		{"count in five bytes for three", KindJustification, long(with(0xfe, 0xff, 0xff, 0, 0)), ErrValue},
		{"count in nine bytes for five", KindJustification, long(with(0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)), ErrValue},
		{"count of 65536", KindJustification, long(with(0xfe, 0, 0, 1, 0)), ErrSize},
		{"largest count", KindJustification, long(with(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), ErrSize},
		{"share of 31 bytes", KindContribution, blob, ErrValue},
		{"set padding", KindComplaint, long(with(3, 0x08)), ErrValue},
		{"set padding in the second set", KindComplaint, long(with(3, 7, 1, 2)), ErrValue},
		{"401 bits", KindPrematureCommitment, long(with(0xfd, 0x91, 0x01)), ErrSize},
		{"final commitment of version 2", 0, final(0, 2), ErrValue},
		{"final commitment of version 5", 0, final(0, 5), ErrValue},
		{"final commitment of version 0x0103", 0, final(1, 1), ErrValue},
		{"no kind of DKG", 21, nil, ErrValue},
	} {
		err := error(nil)
		if c.kind == 0 {
			_, err = ParseFinalCommitment(c.b)
		} else {
			var m DKGMessage
			if m, err = ParseDKG(c.kind, c.b); m != nil {
				t.Errorf("%s: a message beside the error", c.name)
			}
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDKG_DecodersAllocateNothingForHostileCounts(t *testing.T) {
	head := layoutDKG.append(nil)
	for kind, count := range map[DKGKind][]byte{
		KindContribution: {0xfd, 0x90, 0x01}, KindJustification: {0xfd, 0x90, 0x01}, KindComplaint: {0xfd, 0x90, 0x01}, KindPrematureCommitment: {0xfd, 0x90, 0x01},
	} {
		b := append(bytes.Clone(head), count...)
		const runs = 1000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := ParseDKG(kind, b); !errors.Is(err, ErrSize) {
				t.Fatalf("%s: %v, want ErrSize", kind, err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 4096 {
			t.Errorf("%s: %d bytes allocated, want at most 4096", kind, got)
		}
	}
}

// Every field but the signature is signed, and every field is in the id.
func TestDKG_SignHashCoversAllButTheSignature(t *testing.T) {
	for _, m := range []DKGMessage{layoutContribution, layoutComplaint, layoutJustification, layoutPremature} {
		b := m.Bytes()
		for i := range b {
			changed := bytes.Clone(b)
			changed[i] ^= 1
			other, err := ParseDKG(m.Kind(), changed)
			if err != nil {
				continue // lengths and padding
			}
			// A premature commitment's hash names neither the sender nor the
			// share's signature, so that members sign the same one.
			premature := m.Kind() == KindPrematureCommitment && (i >= 33 && i < 65 || i >= len(b)-2*SignatureSize)
			want := i >= len(b)-SignatureSize || premature
			if same := other.SignHash() == m.SignHash(); same != want || other.ID() == m.ID() {
				t.Errorf("%s, byte %d of %d changed: same sign hash %t, want %t", m.Kind(), i, len(b), same, want)
			}
		}
		if s := m.Signed(Signature{1}); s.OperatorSignature() != (Signature{1}) || s.SignHash() != m.SignHash() || s.Head() != m.Head() || s.Kind() != m.Kind() {
			t.Errorf("%s signed anew is %+v", m.Kind(), s)
		}
	}
}

func TestFinalCommitment_NullIsAllZero(t *testing.T) {
	null := NullCommitment(CommitmentBasic, 106, Hash{1}, 0, 3)
	if !null.Null() {
		t.Error("a null commitment is not null")
	}
	for name, change := range map[string]func(*FinalCommitment){
		"signer":            func(c *FinalCommitment) { c.Signers[2] = true },
		"valid member":      func(c *FinalCommitment) { c.ValidMembers[0] = true },
		"key":               func(c *FinalCommitment) { c.PublicKey[47] = 1 },
		"vector hash":       func(c *FinalCommitment) { c.VectorHash[0] = 1 },
		"quorum signature":  func(c *FinalCommitment) { c.QuorumSignature[0] = 1 },
		"members signature": func(c *FinalCommitment) { c.MembersSignature[95] = 1 },
	} {
		c := NullCommitment(CommitmentBasic, 106, Hash{1}, 0, 3)
		change(&c)
		if c.Null() {
			t.Errorf("null with a %s", name)
		}
	}
}

var (
	dkgHeads = rapid.Custom(func(t *rapid.T) DKGHead {
		return DKGHead{LLMQType(rapid.Uint8().Draw(t, "type")), hashes.Draw(t, "quorum"), hashes.Draw(t, "protx")}
	})
	operatorKeys = fixed[OperatorKey](OperatorKeySize)
	bitsets      = rapid.Map(rapid.SliceOfN(rapid.Bool(), 0, MaxQuorumMembers), func(s []bool) Bitset { return Bitset(noneIsNil(s)) })

	finalCommitments = rapid.Custom(func(t *rapid.T) FinalCommitment {
		c := FinalCommitment{
			CommitmentBasic, LLMQType(rapid.Uint8().Draw(t, "type")), hashes.Draw(t, "quorum"), 0, bitsets.Draw(t, "signers"), bitsets.Draw(t, "valid"),
			operatorKeys.Draw(t, "key"), hashes.Draw(t, "vector"), signatures.Draw(t, "quorum"), signatures.Draw(t, "members"),
		}
		if rapid.Bool().Draw(t, "indexed") {
			c.Version, c.QuorumIndex = CommitmentIndexed, rapid.Int16().Draw(t, "index")
		}
		return c
	})
)

func TestDKG_RoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares := rapid.Custom(func(t *rapid.T) EncryptedShare { return EncryptedShare(hashes.Draw(t, "share")) })
		revealed := rapid.Custom(func(t *rapid.T) RevealedShare {
			return RevealedShare{rapid.Uint32().Draw(t, "member"), hashes.Draw(t, "share")}
		})
		messages := []DKGMessage{
			Contribution{
				dkgHeads.Draw(t, "head"), noneIsNil(rapid.SliceOfN(operatorKeys, 0, 5).Draw(t, "vector")), operatorKeys.Draw(t, "ephemeral"),
				hashes.Draw(t, "iv"), noneIsNil(rapid.SliceOfN(shares, 0, 5).Draw(t, "shares")), signatures.Draw(t, "signature"),
			},
			Complaint{dkgHeads.Draw(t, "head"), bitsets.Draw(t, "bad"), bitsets.Draw(t, "complaints"), signatures.Draw(t, "signature")},
			Justification{dkgHeads.Draw(t, "head"), noneIsNil(rapid.SliceOfN(revealed, 0, 5).Draw(t, "shares")), signatures.Draw(t, "signature")},
			PrematureCommitment{
				dkgHeads.Draw(t, "head"), bitsets.Draw(t, "valid"), operatorKeys.Draw(t, "key"), hashes.Draw(t, "vector"),
				signatures.Draw(t, "quorum"), signatures.Draw(t, "signature"),
			},
		}
		for _, m := range messages {
			if got, err := ParseDKG(m.Kind(), m.Bytes()); err != nil || !reflect.DeepEqual(got, m) {
				t.Fatalf("%+v comes back as %+v, %v", m, got, err)
			}
		}
		roundTrip(t, finalCommitments.Draw(t, "final commitment"), ParseFinalCommitment)
	})
}

func FuzzParseContribution(f *testing.F)        { fuzz(f, "Contribution", "EmptyContribution") }
func FuzzParseComplaint(f *testing.F)           { fuzz(f, "Complaint", "LongComplaint") }
func FuzzParseJustification(f *testing.F)       { fuzz(f, "Justification") }
func FuzzParsePrematureCommitment(f *testing.F) { fuzz(f, "PrematureCommitment") }
func FuzzParseFinalCommitment(f *testing.F)     { fuzz(f, "FinalCommitment", "IndexedCommitment") }
