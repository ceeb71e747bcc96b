package engine

import (
	"fmt"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// ballotLife is how many blocks below the tip votes and checkpoint hashes are
// kept: no block may carry what is older, and a little for those who lag.
const ballotLife = params.CertificateLast + 1

// vote judges a vote once more and keeps it.
func (e *Engine) vote(in Vote, out *Effects) validation.Verdict {
	view := e.Snapshot()
	if v := validation.Vote(in.Vote, view); !v.OK() {
		return v
	}
	v := validation.VoteChecked(in.Vote, true, true, view)
	e.keepVote(in.Vote, out)
	return v
}

func (e *Engine) keepVote(v wire.Vote, out *Effects) {
	outcome, evicted := e.votes.Add(v)
	e.dropVotes(evicted, out)
	out.Evicted += len(evicted)
	switch outcome {
	case quorum.New:
	case quorum.Misconduct:
		e.keepCases(out)
	case quorum.Full:
		out.Evicted++
		return
	default:
		return
	}
	id := voteID(v.Ballot, v.Voter)
	e.heardVotes = e.heardVotes.Set(id, v)
	out.put(KindVote, voteKey(v), v.Bytes())
}

func voteKey(v wire.Vote) []byte {
	id := voteID(v.Ballot, v.Voter)
	return append(heightKey(v.Height), id[:]...)
}

func (e *Engine) dropVotes(votes []wire.Vote, out *Effects) {
	for _, v := range votes {
		e.heardVotes = e.heardVotes.Delete(voteID(v.Ballot, v.Voter))
		out.delete(KindVote, voteKey(v))
	}
}

// keepCases keeps the two votes of each tester that answered one question in
// two ways, as far as the pool remembers them. No rule punishes it: it is
// shown. Source: DESIGN.md section 6, rule 5.
func (e *Engine) keepCases(out *Effects) {
	kept := make(map[caseID]quorum.Case)
	for _, c := range e.votes.Misconduct() {
		id := idOf(c)
		kept[id] = c
		if old, had := e.cases[id]; had && old == c {
			continue
		}
		out.put(KindMisconduct, id.key(), caseBytes(c))
		out.Alarms = append(out.Alarms, Alarm{AlarmMisconduct, fmt.Sprintf("node %s answered both passes and %s about %s by the draw of %d",
			c.Against.Voter, c.Against.Answer, c.Against.ProTxHash, c.Against.Height)})
	}
	for id := range e.cases {
		if _, still := kept[id]; !still { // at most one: the lowest made room
			out.delete(KindMisconduct, id.key())
			out.Evicted++
		}
	}
	e.cases = kept
}

// caseID names a case of misconduct: a voter has one in a draw.
type caseID struct {
	height int32
	voter  wire.Hash
}

func idOf(c quorum.Case) caseID { return caseID{c.Passes.Height, c.Passes.Voter} }

func (id caseID) key() []byte { return append(heightKey(id.height), id.voter[:]...) }

func caseBytes(c quorum.Case) []byte { return append(c.Passes.Bytes(), c.Against.Bytes()...) }

func parseCase(b []byte) (c quorum.Case, err error) {
	if len(b) != 2*wire.VoteSize {
		return c, fmt.Errorf("%w: case of misconduct of %d bytes, want %d", state.ErrRecord, len(b), 2*wire.VoteSize)
	}
	if c.Passes, err = wire.ParseVote(b[:wire.VoteSize]); err == nil {
		c.Against, err = wire.ParseVote(b[wire.VoteSize:])
	}
	return c, err
}

// voteID names what a voter may say once: its answer to a question.
func voteID(b wire.Ballot, voter wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte("vote"), heightKey(b.Height), b.BlockHash[:], b.ProTxHash[:], []byte{byte(b.Answer)}, voter[:])
}

// checkpoint judges a tester's word on a block once more and keeps it.
func (e *Engine) checkpoint(in Checkpoint, out *Effects) validation.Verdict {
	view := e.Snapshot()
	if v := validation.Checkpoint(in.Checkpoint, view); !v.OK() {
		return v
	}
	v := validation.CheckpointChecked(in.Checkpoint, true, view)
	e.keepCheckpoint(in.Checkpoint, out)
	return v
}

// keepCheckpoint reports whether it was kept.
func (e *Engine) keepCheckpoint(c wire.Checkpoint, out *Effects) bool {
	ours, _ := e.branch.mark(c.Height)
	outcome, evicted := e.checkpoints.Add(c, ours)
	e.dropCheckpoints(evicted, out)
	out.Evicted += len(evicted)
	switch outcome {
	case quorum.New:
	case quorum.Alarm:
		if c.Voter == e.config.ProTxHash {
			break // we publish again after a reorganisation
		}
		out.Alarms = append(out.Alarms, Alarm{AlarmCheckpoint, "node " + c.Voter.String() + " published another block or state root than ours, or two"})
	case quorum.Full:
		out.Evicted++
		return false
	default:
		return false
	}
	id := checkpointID(c.BlockHash, c.Voter)
	held, _ := e.heardCheckpoints.Get(id)
	e.heardCheckpoints = e.heardCheckpoints.Set(id, append(slices.Clip(held), c))
	out.put(KindCheckpoint, checkpointKey(c), c.Bytes())
	return true
}

func (e *Engine) dropCheckpoints(list []wire.Checkpoint, out *Effects) {
	for _, c := range list {
		e.heardCheckpoints = e.heardCheckpoints.Delete(checkpointID(c.BlockHash, c.Voter))
		out.delete(KindCheckpoint, checkpointKey(c))
	}
}

// checkpointID names what a voter should say once: what stands at a block.
func checkpointID(block, voter wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte("checkpoint"), block[:], voter[:])
}

func checkpointKey(c wire.Checkpoint) []byte {
	digest := wire.DoubleHash(c.Bytes())
	return append(append(heightKey(c.Height), c.Voter[:]...), digest[:]...)
}

// expireBallots forgets votes, hashes and duties that no block can use.
func (e *Engine) expireBallots(out *Effects) {
	floor := e.tree.Tip().Height - ballotLife
	e.dropVotes(e.votes.Expire(floor), out)
	e.dropCheckpoints(e.checkpoints.Expire(floor), out)
	e.expireSpare()
	oldest := e.branch[0].Tip.Height // not the floor: a branch that is shorter but final may take us back
	for hash, q := range e.judged {
		if q < oldest {
			delete(e.judged, hash)
			out.delete(KindJudged, judgedKey(q, hash))
		}
	}
}
