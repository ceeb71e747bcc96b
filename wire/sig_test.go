package wire

import (
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	layoutShare  = SigShare{106, from[Hash](0x10), 0x0102, from[Hash](0x40), from[Hash](0x80), blsSignature(0x60)}
	layoutShares = SigShares{layoutShare, {106, from[Hash](0x10), 3, from[Hash](0x40), from[Hash](0x80), blsSignature(0x61)}}
	layoutRec    = RecoveredSig{106, from[Hash](0x10), from[Hash](0x40), from[Hash](0x80), blsSignature(0x60)}
)

func signingCodecs() []codec {
	full := make(SigShares, MaxSigShares)
	return []codec{
		codecOf("SigShare", ParseSigShare, layoutShare),
		codecOf("SigShares", ParseSigShares, layoutShares),
		codecOf("FullSigShares", ParseSigShares, full),
		codecOf("RecoveredSig", ParseRecoveredSig, layoutRec),
	}
}

func TestSigning_Layouts(t *testing.T) {
	v := vectors(t, "testdata/signing.txt")
	for name, got := range map[string]string{
		"share":          hex.EncodeToString(layoutShare.Bytes()),
		"shares":         hex.EncodeToString(layoutShares.Bytes()),
		"sign_hash":      internal(layoutShare.SignHash()),
		"recovered":      hex.EncodeToString(layoutRec.Bytes()),
		"recovered_hash": internal(layoutRec.InventoryHash()),
	} {
		if want := v[name]; got != want || want == "" {
			t.Errorf("%s is\n%s, want\n%s", name, got, want)
		}
	}
	if layoutRec.SignHash() != layoutShare.SignHash() {
		t.Error("a share and the recovered signature sign different hashes")
	}
	for name, c := range map[string]struct{ got, want, documented int }{
		"share":     {len(layoutShare.Bytes()), SigShareSize, 195},
		"recovered": {len(layoutRec.Bytes()), RecoveredSigSize, 193},
		"shares":    {len(make(SigShares, MaxSigShares).Bytes()), MaxSigSharesSize, 6241},
	} {
		if c.got != c.want || c.want != c.documented {
			t.Errorf("%s of %d bytes, constant %d, documented %d", name, c.got, c.want, c.documented)
		}
	}
}

func TestParseSigShares_Limits(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"no shares":               {[]byte{0}, ErrValue},
		"no shares, bytes after":  {[]byte{0, 0}, ErrValue},
		"33 shares":               {make(SigShares, MaxSigShares+1).Bytes(), ErrSize},
		"a count of three bytes":  {append([]byte{0xfd, 1, 0}, layoutShare.Bytes()...), ErrSize},
		"32 promised, none there": {[]byte{MaxSigShares}, ErrSize},
		"one promised, two there": {append([]byte{1}, layoutShares.Bytes()[1:]...), ErrSize},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, err := ParseSigShares(c.b); !errors.Is(err, c.want) {
				t.Fatalf("%s: %v, want %v", name, err, c.want)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / 100; got > 2048 {
			t.Errorf("%s: %d bytes allocated, want at most 2048", name, got)
		}
	}
}

func TestSigning_RoundTrips(t *testing.T) {
	share := rapid.Custom(func(t *rapid.T) SigShare {
		return SigShare{LLMQType(rapid.Byte().Draw(t, "type")), hashes.Draw(t, "quorum"), rapid.Uint16().Draw(t, "member"), hashes.Draw(t, "id"), hashes.Draw(t, "message"), signatures.Draw(t, "signature")}
	})
	rapid.Check(t, func(t *rapid.T) {
		s := share.Draw(t, "share")
		roundTrip(t, s, ParseSigShare)
		roundTrip(t, RecoveredSig{s.Type, s.QuorumHash, s.ID, s.MessageHash, s.Signature}, ParseRecoveredSig)
		want := SigShares(rapid.SliceOfN(share, 1, 3).Draw(t, "shares"))
		if got, err := ParseSigShares(want.Bytes()); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v comes back as %+v, %v", want, got, err)
		}
	})
}

// Every field of a message is covered by what is signed, but the signer's
// index and signature are not.
func TestSigShare_SignHash(t *testing.T) {
	for name, change := range map[string]func(*SigShare){
		"type":    func(s *SigShare) { s.Type++ },
		"quorum":  func(s *SigShare) { s.QuorumHash[31]++ },
		"id":      func(s *SigShare) { s.ID[0]++ },
		"message": func(s *SigShare) { s.MessageHash[0]++ },
	} {
		other := layoutShare
		if change(&other); other.SignHash() == layoutShare.SignHash() {
			t.Errorf("another %s has the same sign hash", name)
		}
	}
	other := layoutShare
	other.Member, other.Signature = 9, Signature{}
	if other.SignHash() != layoutShare.SignHash() {
		t.Error("the sign hash depends on who signs")
	}
}

// Source: spec/dash.md 11.1 and 11.6.
func TestRequestID_Vectors(t *testing.T) {
	m, v := vectorBan(t)
	if got := RequestID("PlatformPoSeBan", m.ProTxHash[:], le32(m.SignedHeight)); got != m.RequestID() || internal(got) != v["request_id"] {
		t.Errorf("the id of a ban is %s, want %s", got, m.RequestID())
	}
	v = vectors(t, "testdata/signhash.txt")
	tx := mustHash(t, v["islock_input_txid"])
	s := SigShare{Type: 5, QuorumHash: mustHash(t, v["islock_quorum"]), ID: RequestID("islock", []byte{1}, tx[:], []byte{1, 0, 0, 0}), MessageHash: mustHash(t, v["islock_txid"])}
	if got := s.SignHash().String(); got != v["islock_sign_hash"] {
		t.Errorf("sign hash %s, want %s", got, v["islock_sign_hash"])
	}
	s = SigShare{Type: 100, QuorumHash: mustHash(t, v["tenderdash_quorum"]), ID: mustHash(t, v["tenderdash_id"]), MessageHash: mustHash(t, v["tenderdash_message"])}
	if got := s.SignHash().String(); got != v["tenderdash_sign_hash"] {
		t.Errorf("sign hash %s, want %s", got, v["tenderdash_sign_hash"])
	}
	defer func() {
		if recover() == nil {
			t.Error("a kind of 253 bytes has an id")
		}
	}()
	RequestID(strings.Repeat("x", 252))
	RequestID(strings.Repeat("x", 253))
}

func FuzzParseSigShare(f *testing.F)     { fuzz(f, "SigShare") }
func FuzzParseSigShares(f *testing.F)    { fuzz(f, "SigShares", "FullSigShares") }
func FuzzParseRecoveredSig(f *testing.F) { fuzz(f, "RecoveredSig") }
