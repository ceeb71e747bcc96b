package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Why the commitments of a block are wrong. The set is closed. Source:
// spec/dash.md 5.7.
var (
	ErrCommitmentMissing    = errors.New("commitment missing")
	ErrCommitmentNotAllowed = errors.New("commitment of a type of which none is due")
	ErrCommitmentTwice      = errors.New("commitment of a type that had one before")
	ErrCommitmentOrder      = errors.New("commitment not in the order of the types")
	ErrCommitmentInvalid    = errors.New("commitment invalid") // and the dkg.CommitmentReason
)

// maxVerified bounds the ids of commitments that were found good.
const maxVerified = 4 * wire.MaxBlockCommitments

// ending is a session whose commitment a block must carry.
type ending struct {
	dkg.Quorum
	roster *dkg.Roster // nil if there were too few members: only a null commitment is good
}

// endings lists what the next block on branch must carry, in its order.
func (e *Engine) endings(branch Branch) (due []ending) {
	parent := branch.last()
	for _, q := range parent.State.LLMQs() {
		height, ok := dkg.MiningBase(q, parent.Tip.Height+1)
		if !ok {
			continue
		}
		base := branch.At(height) // a window ends less than keepLinks above it
		if _, mined := parent.State.Quorum(q.Type, base.Tip.Hash); mined {
			continue
		}
		due = append(due, ending{dkg.Quorum{LLMQ: q, Base: height, Hash: base.Tip.Hash}, e.roster(branch, q, base)})
	}
	return due
}

// session is the ending as package state needs it.
func (d ending) session() state.Session {
	s := state.Session{Base: d.Base}
	if d.roster != nil {
		for _, m := range d.roster.Members() {
			s.Members = append(s.Members, m.ProTxHash)
		}
	}
	return s
}

// checkCommitments holds the commitments of b, a block on the end of branch,
// to spec/dash.md 5.7 and returns the sessions that they end.
func (e *Engine) checkCommitments(branch Branch, b wire.Block) (sessions []state.Session, err error) {
	due := e.endings(branch)
	for n, c := range b.Commitments {
		i := slices.IndexFunc(due, func(d ending) bool { return d.LLMQ.Type == c.Type })
		switch {
		case i < 0:
			err = ErrCommitmentNotAllowed
		case i < n:
			err = ErrCommitmentTwice
		case i > n:
			err = ErrCommitmentOrder
		default:
			if reason := e.checkCommitment(due[i], c); reason != dkg.CommitmentGood {
				err = fmt.Errorf("%w: %s", ErrCommitmentInvalid, reason)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("llmq type %d, quorum %s: %w", c.Type, c.QuorumHash.Short(), err)
		}
		sessions = append(sessions, due[i].session())
	}
	if n := len(b.Commitments); n < len(due) {
		return nil, fmt.Errorf("llmq type %d, quorum %s: %w", due[n].LLMQ.Type, due[n].Hash.Short(), ErrCommitmentMissing)
	}
	return sessions, nil
}

// checkCommitment judges the commitment of one session. Author, gossip and
// block all bring the same one; its signatures are verified once.
func (e *Engine) checkCommitment(d ending, c wire.FinalCommitment) dkg.CommitmentReason {
	if c.Null() || d.roster == nil {
		return dkg.CheckNull(c, d.Quorum)
	}
	if reason := dkg.Check(c, d.Quorum, len(d.roster.Members())); reason != dkg.CommitmentGood {
		return reason
	}
	id := c.ID()
	if _, known := e.verified.get(id); known {
		return dkg.CommitmentGood
	}
	reason := dkg.Verify(c, d.Quorum, d.roster.Keys())
	if reason == dkg.CommitmentGood {
		e.verified.put(id, true)
	}
	return reason
}

// commitments are what our block carries: the best ones that we have. Those of
// an earlier run are verified again: a bad one would stop us.
func (e *Engine) commitments() (list []wire.FinalCommitment, sessions []state.Session) {
	for _, d := range e.endings(e.branch) {
		c, ok := e.minable.Get(state.QuorumKey(d.LLMQ.Type, d.Hash))
		if !ok || e.checkCommitment(d, c) != dkg.CommitmentGood {
			c = wire.NullCommitment(d.Version(), d.LLMQ.Type, d.Hash, int16(d.Base%d.LLMQ.DKGInterval), d.LLMQ.Size)
		}
		list, sessions = append(list, c), append(sessions, d.session())
	}
	return list, sessions
}

// JudgeCommitment judges a final commitment by all but its signatures, which
// are to be verified under the keys of the roster.
func (s *Snapshot) JudgeCommitment(c wire.FinalCommitment) (*dkg.Roster, validation.Verdict) {
	if !s.IsSynced {
		return nil, validation.NotSynced.Verdict()
	}
	r, reason := s.commitment(c)
	if reason.Nature() == validation.OfView && !s.Confident() {
		reason = validation.Unsure
	}
	return r, reason.Verdict()
}

// commitment goes through spec/dash.md 5.6, "P2P penalties".
func (s *Snapshot) commitment(c wire.FinalCommitment) (*dkg.Roster, validation.Reason) {
	q, runs := s.State.LLMQ(c.Type)
	if !runs {
		return nil, validation.CommitmentType
	}
	if c.Null() {
		return nil, validation.CommitmentNull
	}
	base := s.Branch.find(c.QuorumHash)
	if base == nil || base.Tip.Height-dkg.SelectionDepth < s.Branch[0].Tip.Height && s.Branch[0].Tip.Height > 0 {
		return nil, validation.CommitmentUnknownBlock // or so far below the tip that its members are
	}
	height := base.Tip.Height
	if !dkg.IsBase(q, height) {
		return nil, validation.CommitmentBase
	}
	switch tip := s.Tip.Height; {
	case dkg.PhaseAt(q, height, tip) < dkg.Finalize:
		return nil, validation.CommitmentEarly
	case dkg.Stale(q, height, tip):
		return nil, validation.CommitmentStale
	case late(q, height, tip):
		return nil, validation.CommitmentLate
	}
	if _, mined := s.State.Quorum(c.Type, c.QuorumHash); mined {
		return nil, validation.CommitmentMined
	}
	i := slices.IndexFunc(s.Rosters, func(r *dkg.Roster) bool {
		_, hash := r.Base()
		return r.LLMQ().Type == c.Type && hash == c.QuorumHash
	})
	if i < 0 { // too few members for a session
		return nil, validation.CommitmentInvalid
	}
	r := s.Rosters[i]
	if reason := dkg.Check(c, dkg.Quorum{LLMQ: q, Base: height, Hash: c.QuorumHash}, len(r.Members())); reason != dkg.CommitmentGood {
		return nil, CommitmentVerdict(reason).Reason
	}
	held, had := s.Minable.Get(state.QuorumKey(c.Type, c.QuorumHash))
	switch {
	case had && held.ID() == c.ID():
		return nil, validation.Duplicate
	case had && !supersedes(c, held):
		return nil, validation.CommitmentWorse
	}
	return r, validation.Valid
}

// late reports whether no block on top of the tip can carry the commitment of
// the session that begins at base. The blocks from there until it is stale are
// what two honest nodes may be apart before one charges the other.
func late(q params.LLMQ, base, tip int32) bool { return tip > base+q.MiningEnd }

// finalCommitment judges a commitment once more and keeps it for a block.
func (e *Engine) finalCommitment(in Commitment, out *Effects) validation.Verdict {
	_, v := e.Snapshot().JudgeCommitment(in.Commitment)
	if v.OK() {
		e.verified.put(in.Commitment.ID(), true)
		e.keepMinable(in.Commitment, out)
	}
	return v
}

// supersedes reports whether c is worth what it costs everybody to take it in
// place of another of its session. Who hears the members can put together a
// good one of any subset of them; as only more of them count, and not the lower
// id, it finds no more than size that each take the place of the one before.
func supersedes(c, held wire.FinalCommitment) bool {
	return cmp.Or(cmp.Compare(c.Signers.Count(), held.Signers.Count()), cmp.Compare(c.ValidMembers.Count(), held.ValidMembers.Count())) > 0
}

// keepMinable keeps a good commitment until a block carries it or one comes
// that supersedes it. It reports whether it did.
func (e *Engine) keepMinable(c wire.FinalCommitment, out *Effects) bool {
	key := state.QuorumKey(c.Type, c.QuorumHash)
	if held, had := e.minable.Get(key); had && !supersedes(c, held) {
		return false
	}
	e.minable = e.minable.Set(key, c)
	out.put(KindMinable, key[:], c.Bytes())
	return true
}

// settleMinable takes back the commitments of blocks that were undone, and
// offers them to those who never heard of them; and it forgets those that no
// block can carry on our branch.
func (e *Engine) settleMinable(undone Branch, out *Effects) {
	for _, l := range undone {
		for _, c := range l.Block.Commitments {
			if !c.Null() && e.mayBeMined(c) && e.keepMinable(c, out) {
				out.Publications = append(out.Publications, Publication{TopicCommitment, c.Bytes()})
			}
		}
	}
	for key, c := range e.minable.All() { // of the version at the start
		if !e.mayBeMined(c) {
			e.minable = e.minable.Delete(key)
			out.delete(KindMinable, key[:])
		}
	}
}

func (e *Engine) mayBeMined(c wire.FinalCommitment) bool {
	q, runs := e.state.LLMQ(c.Type)
	base := e.branch.find(c.QuorumHash)
	if !runs || base == nil {
		return false
	}
	_, mined := e.state.Quorum(c.Type, c.QuorumHash)
	return !mined && !late(q, base.Tip.Height, e.tree.Tip().Height)
}

func (e *Engine) loadMinable(r Records, _ meta) error {
	return corrupt(r.Walk(KindMinable, nil, func(key, value []byte) error {
		c, err := wire.ParseFinalCommitment(value)
		if err != nil {
			return fmt.Errorf("%w: commitment: %w", state.ErrRecord, err)
		}
		own := state.QuorumKey(c.Type, c.QuorumHash)
		if string(key) != string(own[:]) {
			return fmt.Errorf("%w: commitment of quorum %s under another's key", state.ErrRecord, c.QuorumHash)
		}
		e.minable = e.minable.Set(own, c)
		return nil
	}))
}
