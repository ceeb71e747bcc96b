package quorum

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/wire"
)

// noHeight stands in evidence where something never happened.
const noHeight int32 = -1

// Subject is what the registry says of a node that is to be tested.
type Subject struct {
	Active         bool        // else decommissioned
	Cause          wire.Answer // decommissioned: why
	Decommissioned int32       // decommissioned: height
	Penalised      int32       // height of the last address penalty or, without one, of the registration
}

// View is one reading of state and of what we heard, at the tip. Methods
// answer from memory.
type View interface {
	Tip() int32
	Rules() params.Service

	// Subject returns a funded node of the registry.
	Subject(proTx wire.Hash) (Subject, bool)

	// Legal reports whether a certificate of b would change its node in the
	// next block.
	Legal(b wire.Ballot) bool

	// Uptime returns what was heard of a node, if anything ever was.
	Uptime(proTx wire.Hash) (uptime.Record, bool)

	// Published reports whether a node published a hash for a height.
	Published(height int32, proTx wire.Hash) bool

	// Healthy reports whether we may trust that what we did not hear was not
	// said; see Vitals.
	Healthy() bool
}

// Finding is an answer of a tester and what it rests on.
type Finding struct {
	Ballot   wire.Ballot
	Evidence wire.Evidence
}

// Judge returns what self answers about the nodes of d, at most one answer for
// each, in the order of the draw. It answers once the tip is VoteDelay above
// the draw, by what it knows then; a caller asks once for each draw of its
// branch. Source: DESIGN.md section 6, rules 2 to 4 and 11.
func Judge(d Draw, self wire.Hash, v View) (findings []Finding) {
	if _, tester := d.Index(self); !tester || int64(v.Tip()) < int64(d.Height)+params.VoteDelay {
		return nil
	}
	j := judge{d, v, v.Healthy()}
	for _, x := range d.Targets() {
		findings = j.add(findings, self, x)
	}
	for _, x := range d.Testers {
		if !d.Target(x) {
			findings = j.add(findings, self, x)
		}
	}
	return findings
}

type judge struct {
	draw    Draw
	view    View
	healthy bool
}

func (j judge) add(to []Finding, self, x wire.Hash) []Finding {
	if x == self {
		return to
	}
	subject, ok := j.view.Subject(x)
	if !ok {
		return to
	}
	answer, evidence := j.answer(x, subject)
	if answer == 0 || answer.Negative() && !j.healthy || !j.draw.Answerable(x, answer) {
		return to
	}
	if _, ok := j.draw.Needed(x, answer); !ok {
		return to
	}
	b := wire.Ballot{Height: j.draw.Height, BlockHash: j.draw.Hash, ProTxHash: x, Answer: answer}
	if !j.view.Legal(b) {
		return to
	}
	return append(to, Finding{b, evidence})
}

// answer returns what is to be said of x, 0 for nothing. A test that x was not
// drawn for does not hide one that it was.
func (j judge) answer(x wire.Hash, s Subject) (wire.Answer, wire.Evidence) {
	tip, rules := j.view.Tip(), j.view.Rules()
	record, heard := j.view.Uptime(x)
	proof := wire.Evidence{First: noHeight, Second: noHeight}
	if heard {
		proof = wire.Evidence{Digest: record.Proof.Digest(), First: record.Heard, Second: noHeight}
	}
	fresh := heard && record.Fresh(tip, rules)
	if !fresh && j.draw.Target(x) {
		return wire.FailsUptime, proof
	}
	if !s.Active {
		if s.Cause == wire.FailsCheckpoint {
			return j.probation(x, s, proof)
		}
		return wire.Passes, proof
	}
	if _, member := j.draw.Index(x); member && Due(j.draw.Height) && !j.view.Published(j.draw.Height, x) {
		return wire.FailsCheckpoint, wire.Evidence{First: j.draw.Height, Second: noHeight}
	}
	if fresh && record.TwoAddresses(s.Penalised, tip, rules) {
		return wire.TwoAddresses, addresses(record)
	}
	return 0, wire.Evidence{}
}

// probation judges a node that was decommissioned for a missing checkpoint
// hash by the last ProbationHashes that were due since and up to the draw.
// With all of them it passes; with none of them it fails once more, so that a
// node which never comes back does not stay decommissioned for ever; with
// some, or before so many were due, there is nothing to say yet.
func (j judge) probation(x wire.Hash, s Subject, proof wire.Evidence) (wire.Answer, wire.Evidence) {
	due, published := 0, 0
	last := noHeight // the newest that is missing
	for h := j.draw.Height; h > s.Decommissioned && h >= params.CheckpointDepth && due < params.ProbationHashes; h-- {
		if !Due(h) {
			continue
		}
		due++
		if j.view.Published(h, x) {
			published++
		} else if last == noHeight {
			last = h
		}
	}
	switch {
	case due < params.ProbationHashes:
		return 0, wire.Evidence{}
	case published == due:
		return wire.Passes, proof
	case published == 0:
		return wire.FailsCheckpoint, wire.Evidence{First: last, Second: noHeight}
	default:
		return 0, wire.Evidence{}
	}
}

// addresses digests both hosts in an order that does not depend on which was
// seen first; a zero byte parts them, which no host contains.
func addresses(r uptime.Record) wire.Evidence {
	h := r.ByName()
	return wire.Evidence{
		Digest: wire.DoubleHash([]byte(h[0].Host), []byte{0}, []byte(h[1].Host)),
		First:  h[0].Height,
		Second: h[1].Height,
	}
}

// NewVote makes the vote of a finding. sign is by the voter's operator key,
// seal by its service key.
func NewVote(network wire.Hash, f Finding, self wire.Hash, sign func(hash wire.Hash) wire.Signature, seal func(message []byte) wire.ServiceSignature) wire.Vote {
	v := wire.Vote{Ballot: f.Ballot, Voter: self, Evidence: f.Evidence}
	v.Signature = sign(f.Ballot.SignHash(network))
	v.Seal = seal(v.SealedBytes(network))
	return v
}

// NewCheckpoint makes the checkpoint hash of a node.
func NewCheckpoint(network wire.Hash, height int32, ours Mark, self wire.Hash, seal func(message []byte) wire.ServiceSignature) wire.Checkpoint {
	c := wire.Checkpoint{Height: height, BlockHash: ours.BlockHash, StateRoot: ours.StateRoot, Voter: self}
	c.Seal = seal(c.SealedBytes(network))
	return c
}
