package quorum

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Limits of the checkpoint hashes kept: testers publish, and decommissioned
// nodes on probation.
const (
	MaxCheckpointsOfHeight = 8192   // publishers; later ones are not kept
	MaxCheckpoints         = 65_536 // about 20 MiB; beyond it, the lowest heights go
)

// Due reports whether the testers drawn after the block at height publish its
// hash. Below CheckpointDepth there is no state root to publish with it.
func Due(height int32) bool {
	return height >= params.CheckpointDepth && height%params.CheckpointEvery == 0
}

// Mark is what stands at a height on our branch: the block's hash, and the
// state root after the block CheckpointDepth below it.
type Mark struct{ BlockHash, StateRoot wire.Hash }

// Checkpoints holds the hashes heard. They are added after their admission:
// the height is due and not above our tip, the publisher is a tester of it or
// decommissioned, the seal is good. It is not safe for concurrent use.
type Checkpoints struct {
	limits  limits // ofDraw and total only
	heights map[int32]map[wire.Hash]published
	total   int // publishers, of all heights
	dropped uint64
}

// published is what one node published for one height: the first, and the
// first that contradicts it.
type published struct {
	first  wire.Checkpoint
	second *wire.Checkpoint
	alarm  bool // first was not ours
}

// NewCheckpoints returns an empty store.
func NewCheckpoints() *Checkpoints {
	return newCheckpoints(limits{ofDraw: MaxCheckpointsOfHeight, total: MaxCheckpoints})
}

func newCheckpoints(l limits) *Checkpoints {
	return &Checkpoints{limits: l, heights: make(map[int32]map[wire.Hash]published)}
}

// Len returns the number of publishers, counted at each height.
func (s *Checkpoints) Len() int { return s.total }

// Dropped returns how many hashes were lost to limits.
func (s *Checkpoints) Dropped() uint64 { return s.dropped }

// Heard reports whether a node published for a height, whatever it was: that
// its hash differs from ours is an alarm, not a failure.
func (s *Checkpoints) Heard(height int32, voter wire.Hash) bool {
	_, ok := s.heights[height][voter]
	return ok
}

// Add offers a hash. ours is what stands at its height on our branch, or zero
// if we do not know; evicted tells which hashes had to go to make room.
func (s *Checkpoints) Add(c wire.Checkpoint, ours Mark) (outcome Added, evicted []wire.Checkpoint) {
	at := s.heights[c.Height]
	foreign := ours != (Mark{}) && markOf(c) != ours
	if p, ok := at[c.Voter]; ok {
		switch {
		case markOf(c) == markOf(p.first):
			return Duplicate, nil
		case p.second != nil: // one contradiction proves as much as two
			return Duplicate, nil
		}
		p.second = &c
		at[c.Voter] = p
		return Alarm, nil
	}
	if len(at) >= s.limits.ofDraw {
		s.dropped++
		return Full, nil
	}
	if s.total >= s.limits.total {
		lowest := slices.Min(slices.Collect(maps.Keys(s.heights)))
		s.dropped++
		if c.Height <= lowest {
			return Full, nil
		}
		evicted = s.removeLast(lowest)
	}
	if at == nil {
		at = make(map[wire.Hash]published)
		s.heights[c.Height] = at
	}
	at[c.Voter] = published{first: c, alarm: foreign}
	s.total++
	if foreign {
		return Alarm, evicted
	}
	return New, evicted
}

func markOf(c wire.Checkpoint) Mark { return Mark{c.BlockHash, c.StateRoot} }

func (s *Checkpoints) removeLast(height int32) []wire.Checkpoint {
	at := s.heights[height]
	voter := slices.MaxFunc(slices.Collect(maps.Keys(at)), func(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) })
	gone := at[voter].all()
	delete(at, voter)
	s.total--
	if len(at) == 0 {
		delete(s.heights, height)
	}
	return gone
}

func (p published) all() []wire.Checkpoint {
	if p.second == nil {
		return []wire.Checkpoint{p.first}
	}
	return []wire.Checkpoint{p.first, *p.second}
}

// Expire forgets the hashes for heights below height and returns them in order.
func (s *Checkpoints) Expire(height int32) (expired []wire.Checkpoint) {
	for h, at := range s.heights {
		if h >= height {
			continue
		}
		for _, p := range at {
			expired = append(expired, p.all()...)
		}
		s.total -= len(at)
		delete(s.heights, h)
	}
	slices.SortStableFunc(expired, compareCheckpoints)
	return expired
}

// Alarms returns the hashes that were not ours when they came and those that
// contradict one another, ascending by height and voter.
func (s *Checkpoints) Alarms() (alarms []wire.Checkpoint) {
	for _, at := range s.heights {
		for _, p := range at {
			if p.alarm || p.second != nil {
				alarms = append(alarms, p.all()...)
			}
		}
	}
	slices.SortStableFunc(alarms, compareCheckpoints)
	return alarms
}

func compareCheckpoints(a, b wire.Checkpoint) int {
	return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.Voter[:], b.Voter[:]))
}
