package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestGoodbye_Layout(t *testing.T) {
	for _, c := range []struct {
		name string
		g    Goodbye
		want string
	}{
		{"shortest", Goodbye{}, "00" + "00" + "0000000000000000"},
		{"ban", Goodbye{5, "signature", 0x01020304}, "05" + "09" + hex.EncodeToString([]byte("signature")) + "0000000001020304"},
		{"unknown code", Goodbye{Code: 255}, "ff" + "00" + "0000000000000000"},
		{"longest", Goodbye{1, strings.Repeat("r", MaxGoodbyeReason), MaxGoodbyeUntil}, "01" + "20" + strings.Repeat("72", 32) + "0000003afff4417f"},
	} {
		if got := hex.EncodeToString(c.g.Bytes()); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
		if back, err := ParseGoodbye(c.g.Bytes()); err != nil || back != c.g {
			t.Errorf("%s comes back as %+v, %v", c.name, back, err)
		}
	}
}

func TestParseGoodbye_Refuses(t *testing.T) {
	late := Goodbye{Until: MaxGoodbyeUntil + 1}
	negative := Goodbye{Until: -1}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrSize},
		{"a byte too few", Goodbye{}.Bytes()[:9], ErrSize},
		{"a byte too many", append(Goodbye{}.Bytes(), 0), ErrSize},
		{"over the limit", make([]byte, MaxGoodbyeSize+1), ErrSize},
		{"a long reason", Goodbye{Reason: strings.Repeat("r", MaxGoodbyeReason+1)}.Bytes(), ErrSize},
		{"a reason with a blank", Goodbye{Reason: "so long"}.Bytes(), ErrValue},
		{"a reason with a line end", Goodbye{Reason: "a\nb"}.Bytes(), ErrValue},
		{"until the year 10000", late.Bytes(), ErrValue},
		{"until before 1970", negative.Bytes(), ErrValue},
	} {
		if g, err := ParseGoodbye(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, error %v, want %v", c.name, g, err, c.want)
		}
	}
}

func FuzzParseGoodbye(f *testing.F) {
	f.Add(Goodbye{}.Bytes())
	f.Add(Goodbye{5, "signature", 1_700_000_000}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseGoodbye(b); err == nil && !bytes.Equal(g.Bytes(), b) {
			t.Errorf("%x decodes and encodes to %x", b, g.Bytes())
		}
	})
}
