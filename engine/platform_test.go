package engine

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/proctornet/proctor/params"
)

// attempts makes an endpoint's attempts: from height 10 on one a step, x for a
// failed one.
func attempts(step int32, text string) (p Endpoint) {
	for i, c := range text {
		a := Attempt{Height: 10 + step*int32(i), Endpoint: "tcp://a:1"}
		if c == 'x' {
			a.Failed = "refused"
		}
		p = p.tried(a)
	}
	return p
}

func TestEndpoint_Dead(t *testing.T) {
	for _, x := range []struct {
		step int32
		text string
		dead bool
	}{
		{2, "", false},
		{2, "xxx", false},
		{2, "xxxx", true},
		{2, "xxxx.", false},
		{2, "xxxx.xxx", false},
		{2, "xxxx.xxxx", true},
		{2, ".x.x.xxx", false},
		{1, "xxxx", false}, // over three blocks only
		{1, "xxxxxx", false},
		{1, "xxxxxxx", true},
		{6, "xx", false},
		{40, "xxxx", true},
	} {
		if got := attempts(x.step, x.text).dead(); got != x.dead {
			t.Errorf("%q, one each %d blocks: dead is %v, want %v", x.text, x.step, got, x.dead)
		}
	}
}

func TestEndpoint_Tried(t *testing.T) {
	p := attempts(2, "x.x.x.x.x.")
	if n := len(p.Attempts); n != params.MonitorAttempts || p.Attempts[0].Height != 14 || p.fails() {
		t.Errorf("%d attempts from height %d on, fails: %v", n, p.Attempts[0].Height, p.fails())
	}
	before := slices.Clone(p.Attempts)
	p.tried(Attempt{Height: 99, Endpoint: "tcp://a:1"})
	if !slices.Equal(before, p.Attempts) {
		t.Error("an older version changed: readers hold it")
	}
	other := p.tried(Attempt{Height: 99, Endpoint: "tcp://b:1", Failed: "x"})
	if len(other.Attempts) != 1 || other.url() != "tcp://b:1" || !other.fails() {
		t.Errorf("after another URL: %+v", other)
	}
	for _, text := range []string{strings.Repeat("ä", maxFailure+1), "\xff" + strings.Repeat("x", 3*maxFailure)} {
		got := (Endpoint{}).tried(Attempt{Failed: text}).Attempts[0].Failed
		if n := utf8.RuneCountInString(got); n != maxFailure || !utf8.ValidString(got) {
			t.Errorf("a reason of %d characters is kept, %q", n, got)
		}
	}
}

func TestOthersAnswer(t *testing.T) {
	for _, x := range []struct {
		failing, watched int
		want             bool
	}{
		{0, 0, true}, {1, 1, true}, {1, 2, true}, {2, 2, false}, {1, 3, true}, {2, 5, false}, {2, 6, true}, {3, 6, false}, {33, 100, true}, {34, 100, false},
	} {
		if got := othersAnswer(x.failing, x.watched); got != x.want {
			t.Errorf("%d of %d fail: %v, want %v", x.failing, x.watched, got, x.want)
		}
	}
}
