package node

import (
	"testing"

	"github.com/proctornet/proctor/params"
)

// A session every 24 blocks, mined up to 18 above its base.
func TestMissedSessions(t *testing.T) {
	q, err := params.LLMQByType(params.TestPlatform)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		base, tip int32
		want      int32
	}{
		{"genesis", 0, 0, 0},
		{"the first may still be mined", 0, 41, 0},
		{"the first ended", 0, 42, 1},
		{"the second may still be mined", 0, 65, 1},
		{"the second ended", 0, 66, 2},
		{"mined in time", 24, 35, 0},
		{"the next may still be mined", 24, 65, 0},
		{"the next ended", 24, 66, 1},
	} {
		if got := missedSessions(q, c.base, c.tip); got != c.want {
			t.Errorf("%s: %d missed at %d since %d, want %d", c.name, got, c.tip, c.base, c.want)
		}
	}
}
