package signing

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// decision is a recovered signature and the tip when it came.
type decision struct {
	wire.RecoveredSig
	height int32
}

// Contradiction is two good signatures of quorums for one request: more
// members than a quorum can bear signed both. The first stays.
type Contradiction struct{ First, Second wire.RecoveredSig }

// JudgeRecovered judges a recovered signature by all but its signature: Taken
// means that Quorum.Verify should look at that.
func (p *Pool) JudgeRecovered(r wire.RecoveredSig) Verdict { return p.judgeRecovered(r).Verdict() }

func (p *Pool) judgeRecovered(r wire.RecoveredSig) Reason {
	if _, ok := p.quorums[r.QuorumHash]; !ok || r.Type != p.params.Type {
		return UnknownQuorum
	}
	d, decided := p.recovered[r.ID]
	switch {
	case !decided:
		return Taken
	case d.RecoveredSig == r:
		return Duplicate
	case d.QuorumHash == r.QuorumHash && d.MessageHash == r.MessageHash:
		return WrongSignature // there is one good one
	case d.MessageHash == r.MessageHash:
		return Recovered // another quorum says the same
	case p.conflicts[r.ID] != (Contradiction{}):
		return Duplicate
	default:
		return Taken // good or not, it matters
	}
}

// AddRecovered judges a recovered signature. Taken means that it is good and
// new, to be stored and passed on; Conflict that it is good and against one
// we have, see Conflicts.
func (p *Pool) AddRecovered(r wire.RecoveredSig) Verdict {
	if reason := p.judgeRecovered(r); reason != Taken {
		return reason.Verdict()
	}
	if !p.quorums[r.QuorumHash].Verify(r) {
		return WrongSignature.Verdict()
	}
	return p.KeepRecovered(r)
}

// KeepRecovered is AddRecovered for one that Quorum.Verify found good.
func (p *Pool) KeepRecovered(r wire.RecoveredSig) Verdict { return p.RestoreRecovered(r, p.height) }

// RestoreRecovered is KeepRecovered for one that was stored, with the tip when
// it came.
func (p *Pool) RestoreRecovered(r wire.RecoveredSig, height int32) Verdict {
	d, decided := p.recovered[r.ID]
	switch {
	case !decided:
		p.decide(r, height)
		return Taken.Verdict()
	case d.MessageHash == r.MessageHash:
		return Duplicate.Verdict()
	case p.conflicts[r.ID] == (Contradiction{}) && len(p.conflicts) < p.limits.faults:
		p.conflicts[r.ID] = Contradiction{d.RecoveredSig, r}
	}
	return Conflict.Verdict()
}

// decide ends the sessions of a request.
func (p *Pool) decide(r wire.RecoveredSig, height int32) {
	p.recovered[r.ID] = decision{r, height}
	delete(p.sessions, r.ID)
	if len(p.recovered) > p.limits.recovered {
		oldest := slices.MinFunc(slices.Collect(maps.Values(p.recovered)), func(a, b decision) int {
			return cmp.Or(cmp.Compare(a.height, b.height), bytes.Compare(a.ID[:], b.ID[:]))
		})
		p.forget(oldest.ID)
		p.evicted = append(p.evicted, oldest.ID)
	}
}

func (p *Pool) forget(id wire.Hash) {
	delete(p.recovered, id)
	delete(p.conflicts, id)
}

// Recovered returns the signature of a request.
func (p *Pool) Recovered(id wire.Hash) (wire.RecoveredSig, bool) {
	d, ok := p.recovered[id]
	return d.RecoveredSig, ok
}

// Conflicting reports whether another message than this one was signed for a
// request.
func (p *Pool) Conflicting(id, message wire.Hash) bool {
	d, ok := p.recovered[id]
	return ok && d.MessageHash != message
}

// Conflicts returns the contradictions known, ascending by request.
func (p *Pool) Conflicts() (list []Contradiction) {
	for _, id := range slices.SortedFunc(maps.Keys(p.conflicts), compareHashes) {
		list = append(list, p.conflicts[id])
	}
	return list
}
