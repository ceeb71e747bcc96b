package engine

import (
	"bytes"
	"fmt"

	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// loadBallots puts back what was heard before a stop, and what was answered.
func (e *Engine) loadBallots(r Records, _ meta) error {
	for _, load := range []struct {
		kind Kind
		one  func(key, value []byte) error
	}{
		{KindVote, e.loadVote},
		{KindMisconduct, e.loadCase},
		{KindCheckpoint, e.loadCheckpoint},
		{KindJudged, e.loadJudged},
	} {
		if err := r.Walk(load.kind, nil, load.one); err != nil {
			return corrupt(err)
		}
	}
	return nil
}

// misplaced reports a record under another key than its own, under which it
// would never be deleted.
func misplaced(what string, key, own []byte) error {
	if bytes.Equal(key, own) {
		return nil
	}
	return fmt.Errorf("%w: %s under the key %x, want %x", state.ErrRecord, what, key, own)
}

func (e *Engine) loadVote(key, value []byte) error {
	v, err := wire.ParseVote(value)
	if err != nil {
		return err
	}
	e.votes.Add(v)
	e.heardVotes = e.heardVotes.Set(voteID(v.Ballot, v.Voter), v)
	return misplaced("vote", key, voteKey(v))
}

// loadCase also brings back those whose votes have expired.
func (e *Engine) loadCase(key, value []byte) error {
	c, err := parseCase(value)
	if err != nil {
		return err
	}
	e.votes.Accuse(c)
	e.cases[idOf(c)] = c
	return misplaced("case of misconduct", key, idOf(c).key())
}

func (e *Engine) loadCheckpoint(key, value []byte) error {
	c, err := wire.ParseCheckpoint(value)
	if err != nil {
		return err
	}
	e.keepCheckpoint(c, new(Effects))
	return misplaced("checkpoint", key, checkpointKey(c))
}

// judgedValue is all there is to say of a draw that was answered about.
var judgedValue = []byte{1}

func (e *Engine) loadJudged(key, value []byte) error {
	if len(key) != 4+wire.HashSize || !bytes.Equal(value, judgedValue) {
		return fmt.Errorf("%w: judged draw under a key of %d bytes with a value of %d", state.ErrRecord, len(key), len(value))
	}
	e.judged[wire.Hash(key[4:])] = heightOf(key)
	return nil
}
