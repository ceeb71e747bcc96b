package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestKeys_Text(t *testing.T) {
	var operator, operatorBack OperatorKey
	var service, serviceBack ServiceKey
	var staker, stakerBack StakerKey
	seq(operator[:], 0xf0)
	seq(service[:], 0xf0)
	seq(staker[:], 0xf0)
	for _, c := range []struct {
		name string
		text string
		back func([]byte) error
		same func() bool
	}{
		{"operator key", operator.String(), operatorBack.UnmarshalText, func() bool { return operatorBack == operator }},
		{"service key", service.String(), serviceBack.UnmarshalText, func() bool { return serviceBack == service }},
		{"staker key", staker.String(), stakerBack.UnmarshalText, func() bool { return stakerBack == staker }},
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

// Text encodings of answers, as state files and interfaces hold them.
func TestAnswer_Text(t *testing.T) {
	for a, want := range map[Answer]string{FailsUptime: "fails-uptime", FailsCheckpoint: "fails-checkpoint", TwoAddresses: "two-addresses", Passes: "passes"} {
		text, err := a.MarshalText()
		var back Answer
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != a {
			t.Errorf("answer %d is %s, %v and comes back as %s; want %s", a, text, err, back, want)
		}
		if a.Negative() != (a != Passes) || a.Fails() != strings.HasPrefix(want, "fails-") {
			t.Errorf("%s: negative %t, fails %t", a, a.Negative(), a.Fails())
		}
	}
	if len(Answers()) != 4 {
		t.Errorf("%d answers, want 4", len(Answers()))
	}
	none := Passes // no answer, as of a node that was never decommissioned
	if text, err := Answer(0).MarshalText(); err != nil || len(text) != 0 || none.UnmarshalText(text) != nil || none != 0 {
		t.Errorf("no answer is %q, %v and comes back as %s", text, err, none)
	}
	for _, text := range []string{"answer-0", "answer-5", "Passes", "passes ", strings.Repeat("x", 10_000)} {
		a := Passes
		if err := a.UnmarshalText([]byte(text)); !errors.Is(err, ErrValue) || len(err.Error()) > 100 || a != Passes {
			t.Errorf("%.20q becomes %s, error %.200v; want ErrValue", text, a, err)
		}
	}
	if Answer(0).String() != "answer-0" || EventKind(3).String() != "kind-3" {
		t.Errorf("unknown numbers are %s and %s", Answer(0), EventKind(3))
	}
}

func TestEventKind_Numbers(t *testing.T) { // those of Dash are Dash's
	for kind, want := range map[EventKind]string{1: "register", 2: "update-service", 4: "revoke", 16: "contribute", 17: "exit"} {
		if kind.String() != want {
			t.Errorf("kind %d is %s, want %s", uint8(kind), kind, want)
		}
	}
}
