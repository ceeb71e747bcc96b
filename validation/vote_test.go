package validation

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

// draw is a VoteView and a CheckpointView of one branch, on which every block
// that is not above the tip has the hash blockHash.
type draw struct {
	synced, unsure     bool
	tip                int32
	noMember, noTarget bool
	votes              []wire.Vote
	checkpoints        []wire.Checkpoint
	log                *[]string // what was asked, if somebody wants to know
}

var blockHash, voter, target = wire.Hash{5}, wire.Hash{6}, wire.Hash{7}

func (d draw) note(question string) {
	if d.log != nil {
		*d.log = append(*d.log, question)
	}
}

func (d draw) Synced() bool     { d.note("synced"); return d.synced }
func (d draw) Confident() bool  { d.note("confident"); return !d.unsure }
func (d draw) TipHeight() int32 { d.note("tip"); return d.tip }
func (d draw) BlockAt(height int32) (wire.Hash, bool) {
	d.note("block")
	return blockHash, height <= d.tip && height >= 0
}
func (d draw) Answerable(b wire.Ballot, v wire.Hash) (member, answers bool) {
	d.note("draw")
	return !d.noMember && v == voter, !d.noTarget && b.ProTxHash == target
}
func (d draw) HeldVote(b wire.Ballot, v wire.Hash) (wire.Vote, bool) {
	d.note("held")
	i := slices.IndexFunc(d.votes, func(held wire.Vote) bool { return held.Ballot == b && held.Voter == v })
	if i < 0 {
		return wire.Vote{}, false
	}
	return d.votes[i], true
}

func voteAt(height int32) wire.Vote {
	return wire.Vote{Ballot: wire.Ballot{Height: height, BlockHash: blockHash, ProTxHash: target, Answer: wire.FailsUptime}, Voter: voter, Signature: wire.Signature{1}}
}

func changed[M any](m M, change func(*M)) M { change(&m); return m }

func TestVote_Rules(t *testing.T) {
	ready := draw{synced: true, tip: tip}
	good := voteAt(tip - 12)
	foreign := changed(good, func(m *wire.Vote) { m.BlockHash = wire.Hash{9} })
	stranger := changed(good, func(m *wire.Vote) { m.Voter = wire.Hash{9} })
	other := changed(good, func(m *wire.Vote) { m.ProTxHash = wire.Hash{9} })
	text := changed(good, func(m *wire.Vote) { m.Evidence.First = 3 })
	seal := changed(good, func(m *wire.Vote) { m.Seal[0]++ })
	forged := changed(good, func(m *wire.Vote) { m.Signature[0]++ })
	held := changed(ready, func(d *draw) { d.votes = []wire.Vote{good} })
	for _, c := range []struct {
		name string
		m    wire.Vote
		view draw
		want Verdict
	}{
		{"valid", good, ready, Verdict{Accept, 0, Valid}},
		{"not synced", foreign, draw{tip: tip}, Verdict{Ignore, 0, NotSynced}},
		{"newest", voteAt(tip - 7), ready, Verdict{Accept, 0, Valid}},
		{"too early", voteAt(tip - 6), ready, Verdict{Ignore, 0, VoteEarly}},
		{"above the tip", voteAt(tip + 1), ready, Verdict{Ignore, 0, VoteEarly}},
		{"much too early", voteAt(math.MaxInt32), changed(ready, func(d *draw) { d.tip = 0 }), Verdict{Ignore, 0, VoteEarly}},
		{"oldest", voteAt(tip - 60), ready, Verdict{Accept, 0, Valid}},
		{"one block too late", voteAt(tip - 61), ready, Verdict{Ignore, 0, VoteLate}},
		{"five blocks too late", voteAt(tip - 65), ready, Verdict{Ignore, 0, VoteLate}},
		{"six blocks too late", voteAt(tip - 66), ready, Verdict{Ignore, 10, VoteExpired}},
		{"lowest height, no wrap", voteAt(math.MinInt32), changed(ready, func(d *draw) { d.tip = math.MaxInt32 }), Verdict{Ignore, 10, VoteExpired}},
		{"six blocks too late, our view shaky", voteAt(tip - 66), changed(ready, func(d *draw) { d.unsure = true }), Verdict{Ignore, 0, Unsure}},
		{"too late before unknown quorum", changed(voteAt(tip-66), func(m *wire.Vote) { m.BlockHash = wire.Hash{9} }), ready, Verdict{Ignore, 10, VoteExpired}},
		{"unknown quorum", foreign, ready, Verdict{Ignore, 0, VoteUnknownQuorum}},
		{"unknown quorum before voter", changed(stranger, func(m *wire.Vote) { m.BlockHash = wire.Hash{9} }), ready, Verdict{Ignore, 0, VoteUnknownQuorum}},
		{"no tester", stranger, ready, Verdict{Reject, 100, VoteMember}},
		{"no tester, our view shaky", stranger, changed(ready, func(d *draw) { d.unsure = true }), Verdict{Reject, 100, VoteMember}},
		{"no tester before target", changed(stranger, func(m *wire.Vote) { m.ProTxHash = wire.Hash{9} }), ready, Verdict{Reject, 100, VoteMember}},
		{"no target", other, ready, Verdict{Reject, 100, VoteTarget}},
		{"held", good, held, Verdict{Ignore, 0, Duplicate}},
		{"held, not synced", good, draw{votes: held.votes}, Verdict{Ignore, 0, Duplicate}},
		{"held with other evidence", text, held, Verdict{Ignore, 0, VoteRepeated}},
		{"held with another seal", seal, held, Verdict{Ignore, 0, VoteRepeated}},
		{"held with another signature", forged, held, Verdict{Reject, 100, VoteSignature}},
		{"another answer", changed(good, func(m *wire.Vote) { m.Answer = wire.TwoAddresses }), held, Verdict{Accept, 0, Valid}},
		{"another height", voteAt(tip - 13), held, Verdict{Accept, 0, Valid}},
	} {
		if got := Vote(c.m, c.view); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestVoteChecked(t *testing.T) {
	m := voteAt(tip - 12)
	for _, c := range []struct {
		sealed, signed bool
		want           Verdict
	}{
		{true, true, Verdict{Accept, 0, Valid}},
		{true, false, Verdict{Reject, 100, VoteSignature}},
		{false, true, Verdict{Reject, 100, VoteSignature}},
		{false, false, Verdict{Reject, 100, VoteSignature}},
	} {
		if got := VoteChecked(m, c.sealed, c.signed, draw{}); got != c.want {
			t.Errorf("sealed %t, signed %t: %+v, want %+v", c.sealed, c.signed, got, c.want)
		}
	}
}

// Passing and failing are one voter's contradiction; two failures are not,
// and nobody can be framed by a forgery, by another's vote or by a vote on
// another draw, such as after a reorganisation.
func TestVoteChecked_Conflict(t *testing.T) {
	fails, passes, two := wire.FailsUptime, wire.Passes, wire.TwoAddresses
	for _, c := range []struct {
		held, now wire.Answer
		want      Reason
	}{
		{fails, passes, VoteConflict}, {passes, fails, VoteConflict},
		{wire.FailsCheckpoint, passes, VoteConflict}, {passes, wire.FailsCheckpoint, VoteConflict},
		{fails, wire.FailsCheckpoint, Valid}, {fails, two, Valid}, {two, fails, Valid}, {two, passes, Valid}, {passes, two, Valid},
	} {
		held, m := voteAt(tip-12), voteAt(tip-12)
		held.Answer, m.Answer = c.held, c.now
		v := draw{synced: true, tip: tip, votes: []wire.Vote{held}}
		if got := Vote(m, v); !got.OK() {
			t.Errorf("%s after %s, before the signature: %+v", c.now, c.held, got)
		}
		got := VoteChecked(m, true, true, v)
		if got != c.want.Verdict() || !got.Taken() || got.Points > 0 {
			t.Errorf("%s after %s: %+v, want %s, taken and free", c.now, c.held, got, c.want)
		}
		if got := VoteChecked(m, true, false, v); got.Reason != VoteSignature {
			t.Errorf("forged %s after %s: %+v", c.now, c.held, got)
		}
		for name, change := range map[string]func(*wire.Vote){
			"voter": func(h *wire.Vote) { h.Voter = wire.Hash{9} }, "block": func(h *wire.Vote) { h.BlockHash = wire.Hash{9} },
			"height": func(h *wire.Vote) { h.Height-- }, "target": func(h *wire.Vote) { h.ProTxHash = wire.Hash{9} },
		} {
			if got := VoteChecked(m, true, true, draw{votes: []wire.Vote{changed(held, change)}}); !got.OK() {
				t.Errorf("%s after %s of another %s: %+v, want valid", c.now, c.held, name, got)
			}
		}
	}
}

func TestVote_AsksInOrder(t *testing.T) {
	for _, c := range []struct {
		m    wire.Vote
		want []string
	}{
		{voteAt(tip - 12), []string{"held", "synced", "tip", "block", "draw"}},
		{voteAt(tip + 1), []string{"held", "synced", "tip"}},
		{voteAt(tip - 66), []string{"held", "synced", "tip", "confident"}},
		{changed(voteAt(tip-12), func(m *wire.Vote) { m.BlockHash = wire.Hash{9} }), []string{"held", "synced", "tip", "block"}},
	} {
		var log []string
		Vote(c.m, draw{synced: true, tip: tip, log: &log})
		if !slices.Equal(log, c.want) {
			t.Errorf("%+v: asked %s, want %s", c.m, log, c.want)
		}
	}
}

// A hundred points are given only for what every node with that block sees:
// whatever our tip and our confidence, the charge is the same or there is none.
func TestVote_BansWhateverTheTip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := draw{
			synced: rapid.Bool().Draw(t, "synced"), unsure: rapid.Bool().Draw(t, "unsure"), tip: rapid.Int32Min(0).Draw(t, "tip"),
			noMember: rapid.Bool().Draw(t, "no member"), noTarget: rapid.Bool().Draw(t, "no target"),
		}
		m := voteAt(rapid.OneOf(rapid.Int32Range(v.tip-min(v.tip, 70), v.tip), rapid.Int32()).Draw(t, "height"))
		if rapid.Bool().Draw(t, "foreign") {
			m.BlockHash = wire.Hash{9}
		}
		got := Vote(m, v)
		hash, ok := v.BlockAt(m.Height)
		if got.Points == 100 && (!ok || hash != m.BlockHash || !v.synced || !v.noMember && !v.noTarget) {
			t.Fatalf("%+v of %+v: %+v", v, m, got)
		}
	})
}
