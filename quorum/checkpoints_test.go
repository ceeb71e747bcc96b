package quorum

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func hashBy(height int32, voter int, hash byte) wire.Checkpoint {
	return wire.Checkpoint{Height: height, BlockHash: wire.Hash{hash}, StateRoot: wire.Hash{1}, Voter: nodeID(voter)}
}

func TestDue(t *testing.T) {
	for height, want := range map[int32]bool{-4: false, 0: false, 4: false, 8: false, 11: false, 12: true, 13: false, 14: false, 15: false, 16: true, math.MaxInt32: false, math.MinInt32: false} {
		if Due(height) != want {
			t.Errorf("due at %d is %t, want %t", height, !want, want)
		}
	}
}

func TestCheckpoints_Add(t *testing.T) {
	s := NewCheckpoints()
	ours := Mark{BlockHash: wire.Hash{7}, StateRoot: wire.Hash{1}}
	root := hashBy(16, 3, 7)
	root.StateRoot = wire.Hash{2}
	for _, step := range []struct {
		name string
		c    wire.Checkpoint
		ours Mark
		want Added
	}{
		{"ours", hashBy(16, 1, 7), ours, New},
		{"again", hashBy(16, 1, 7), ours, Duplicate},
		{"another hash", hashBy(16, 2, 8), ours, Alarm},
		{"the same alarm again", hashBy(16, 2, 8), ours, Duplicate},
		{"another root", root, ours, Alarm},
		{"we do not know", hashBy(20, 1, 9), Mark{}, New},
		{"a second one of a voter", hashBy(20, 1, 8), Mark{}, Alarm},
		{"a third", hashBy(20, 1, 6), Mark{}, Duplicate},
	} {
		if got, _ := s.Add(step.c, step.ours); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if !s.Heard(16, nodeID(1)) || !s.Heard(16, nodeID(2)) || s.Heard(20, nodeID(2)) || s.Heard(12, nodeID(1)) {
		t.Error("heard is what was published, whatever the hash")
	}
	if alarms := s.Alarms(); len(alarms) != 4 || alarms[2] != hashBy(20, 1, 9) || alarms[3] != hashBy(20, 1, 8) {
		t.Errorf("alarms %v, want two that are not ours and two that contradict", alarms)
	}
	if expired := s.Expire(20); len(expired) != 3 || s.Len() != 1 || s.Heard(16, nodeID(1)) || !s.Heard(20, nodeID(1)) {
		t.Errorf("%d expired, %d left; want 3, 1", len(expired), s.Len())
	}
	if expired := s.Expire(21); len(expired) != 2 || s.Len() != 0 {
		t.Errorf("%d expired, want both of the contradiction", len(expired))
	}
}

func TestCheckpoints_Bounds(t *testing.T) {
	s := newCheckpoints(limits{ofDraw: 3, total: 5})
	for voter := range 3 {
		s.Add(hashBy(12, voter, 1), Mark{})
	}
	if got, _ := s.Add(hashBy(12, 9, 1), Mark{}); got != Full || s.Dropped() != 1 {
		t.Errorf("the fourth of three: %s, %d dropped", got, s.Dropped())
	}
	s.Add(hashBy(16, 1, 1), Mark{})
	s.Add(hashBy(16, 2, 1), Mark{})
	got, evicted := s.Add(hashBy(20, 1, 1), Mark{})
	if got != New || len(evicted) != 1 || evicted[0].Height != 12 || s.Heard(12, evicted[0].Voter) || s.Len() != 5 || s.Dropped() != 2 {
		t.Errorf("the sixth of five: %s, evicts %v, %d left, %d dropped; want one of the lowest height", got, evicted, s.Len(), s.Dropped())
	}
	if got, evicted := s.Add(hashBy(8, 1, 1), Mark{}); got != Full || len(evicted) > 0 || s.Dropped() != 3 {
		t.Errorf("one below the lowest: %s, evicts %v", got, evicted)
	}
}

// Whatever the order, the same is heard, and a voter of two hashes is found.
func TestCheckpoints_AnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Checkpoint {
			return hashBy(4*rapid.Int32Range(3, 5).Draw(t, "height"), rapid.IntRange(0, 3).Draw(t, "voter"), rapid.ByteRange(1, 2).Draw(t, "hash"))
		}), 0, 30).Draw(t, "all")
		s := NewCheckpoints()
		hashes := map[voterAt]map[wire.Hash]bool{}
		for _, c := range all {
			at := voterAt{c.Height, c.Voter}
			if hashes[at] == nil {
				hashes[at] = map[wire.Hash]bool{}
			}
			hashes[at][c.BlockHash] = true
		}
		for _, c := range rapid.Permutation(all).Draw(t, "order") {
			s.Add(c, Mark{})
		}
		contradict := 0
		for at, h := range hashes {
			if !s.Heard(at.height, at.voter) {
				t.Fatalf("height %d, voter %s was not heard", at.height, at.voter.Short())
			}
			if len(h) > 1 {
				contradict += 2
			}
		}
		if s.Len() != len(hashes) || len(s.Alarms()) != contradict {
			t.Fatalf("%d heard, %d alarms; want %d, %d", s.Len(), len(s.Alarms()), len(hashes), contradict)
		}
	})
}
