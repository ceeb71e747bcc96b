// Package forecast tells what the rules have in store for one service node: the
// duties that are known, how far a ban and a deregistration are, and when the
// node may be away without missing anything. It looks ahead from one reading
// of an engine and decides nothing.
package forecast

import (
	"slices"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// Limits of how far ahead is looked, in blocks.
const (
	leastHorizon = 60
	mostHorizon  = 1200 // two sessions of the type that begins most seldom
)

// MaxAbsence is the longest absence that is looked for a place for, in blocks.
// Whoever has duties misses some by a longer one.
const MaxAbsence = 240

// Forecast is what is in store for a service node after the block at Height.
type Forecast struct {
	Height     int32         `json:"height"`
	ProTxHash  wire.Hash     `json:"protx_hash"`
	Registered bool          `json:"registered"`
	Service    state.Service `json:"state,omitempty"` // zero unless registered
	Credit     int32         `json:"credit"`          // blocks
	ProofAge   int32         `json:"proof_age"`       // blocks since its last uptime proof was heard here; -1 if never
	PoSe       *PoSe         `json:"pose,omitempty"`
	IfDown     *Outage       `json:"if_down_now,omitempty"` // nil unless it is funded
	ExitHeight int32         `json:"exit_height"`           // it leaves in the first block above; -1 if nobody asked
	Unlock     int32         `json:"stake_unlock_height"`   // of a node that is gone; -1 if it is not

	Quorums  []Membership `json:"quorums"`   // that sign now, with this node in them
	Sessions []Meeting    `json:"sessions"`  // of each type the one that runs, if any, and the next
	NextTest int32        `json:"next_test"` // height at which testers next answer about it, as far as is known; -1 if none
	Duties   []Duty       `json:"duties"`    // known and possible ones, by height
	Horizon  int32        `json:"horizon"`   // last height that an absence is thought to begin at
}

// Membership is a quorum that signs, with the node in it.
type Membership struct {
	Type  wire.LLMQType `json:"llmq_type"`
	Hash  wire.Hash     `json:"quorum_hash"`
	Index int           `json:"index"`
	Valid bool          `json:"valid"` // it has a share of the key
}

// Meeting is a session of a quorum type.
type Meeting struct {
	Type    wire.LLMQType `json:"llmq_type"`
	Name    string        `json:"name"`
	Base    int32         `json:"base"`     // height of the base block
	KnownAt int32         `json:"known_at"` // height at which its members are known
	Known   bool          `json:"known"`    // they are
	Chance  float64       `json:"chance"`   // that the node is one; 0 or 1 once they are known
	Index   int           `json:"index"`    // of the node; -1 if it is none or that is not known
	Phase   string        `json:"phase"`    // empty before the base block
	Phases  []int32       `json:"phases"`   // heights at which the phases begin, initialized to idle
}

// Of looks ahead for a node, from what this node knows.
func Of(s *engine.Snapshot, proTx wire.Hash) Forecast {
	f := Forecast{
		Height: s.Tip.Height, ProTxHash: proTx, ProofAge: state.NoHeight, ExitHeight: state.NoHeight, Unlock: state.NoHeight, NextTest: state.NoHeight,
		Quorums: []Membership{}, Sessions: []Meeting{}, Duties: []Duty{}, Horizon: later(s.Tip.Height, horizon(s.State)),
	}
	if t, gone := s.State.Tombstone(proTx); gone {
		f.Unlock = t.UnlockHeight
	}
	n, ok := s.State.Node(proTx)
	if !ok {
		return f
	}
	rules := s.State.Rules()
	pose := PoSeOf(n.PoSe, f.Height, s.State.NodeCount(), s.State.Profile())
	f.Registered, f.Service, f.Credit, f.PoSe, f.ExitHeight = true, n.Service(), n.Credit(f.Height, rules), &pose, n.ExitHeight
	lastProof := state.NoHeight
	if r, heard := s.Proofs.Get(proTx); heard {
		lastProof = r.Heard
		f.ProofAge = max(0, f.Height-lastProof)
	}
	if n.Service() != state.Awaiting {
		outage := OutageOf(n, lastProof, f.Height, rules)
		f.IfDown = &outage
		f.Duties = append(f.Duties, proofs(lastProof, f.Height, f.end(), rules)...)
	}
	for _, q := range s.State.LLMQs() {
		f.Quorums = append(f.Quorums, memberships(s.State, q, proTx)...)
		f.Sessions = append(f.Sessions, f.meetings(s, q, n)...)
	}
	f.Duties = append(f.Duties, tests(s, n, f.end())...)
	f.NextTest = nextTest(s, proTx)
	sortDuties(f.Duties)
	return f
}

// end is the last height at which duties are looked for.
func (f Forecast) end() int32 { return later(f.Horizon, MaxAbsence) }

// Window returns the first stretch in which the node may go down for so many
// blocks; ok is false if there is none up to the horizon.
func (f Forecast) Window(blocks int32) (w Window, ok bool) {
	if len(f.Duties) > 0 && blocks > MaxAbsence {
		return w, false
	}
	return nextWindow(f.Duties, blocks, f.Height, f.Horizon)
}

// Possible reports whether a window for so many blocks may still open: only
// duties that the node may turn out not to have stand against it.
func (f Forecast) Possible(blocks int32) bool {
	known := slices.DeleteFunc(slices.Clone(f.Duties), func(d Duty) bool { return d.Chance < 1 })
	_, ok := nextWindow(known, blocks, f.Height, f.Horizon)
	return ok && blocks <= MaxAbsence
}

// Longest returns for how many blocks at most there is a window, up to
// MaxAbsence.
func (f Forecast) Longest() int32 { return longest(f.Duties, MaxAbsence, f.Height, f.Horizon) }

func horizon(s state.State) int32 {
	ahead := int32(leastHorizon)
	for _, q := range s.LLMQs() {
		ahead = max(ahead, 2*q.DKGInterval)
	}
	return min(ahead, mostHorizon)
}

// proofs are the next uptime proofs, if each is sent as soon as it is due.
func proofs(last, tip, end int32, r params.Service) (duties []Duty) {
	due, stale := tip+1, later(tip, r.ProofValidity)
	if last != state.NoHeight {
		due, stale = max(tip+1, later(last, r.ProofEvery)), later(last, r.ProofValidity)
	}
	for every := max(1, r.ProofEvery); due <= end; due, stale = later(due, every), later(due, r.ProofValidity) {
		duties = append(duties, Duty{Kind: Proof, Height: due, From: due, Until: max(due, stale), Chance: 1})
	}
	return duties
}

func memberships(s state.State, q params.LLMQ, proTx wire.Hash) (list []Membership) {
	signing := 0
	for quorum := range s.Quorums(q.Type) {
		if signing++; signing > q.SigningActive {
			break
		}
		if i, member := quorum.Index(proTx); member {
			list = append(list, Membership{q.Type, quorum.Hash(), i, quorum.Commitment.ValidMembers.Has(i)})
		}
	}
	return list
}

// meetings adds what the sessions of a type up to the horizon ask of the node,
// and returns the session that runs and the next.
func (f *Forecast) meetings(s *engine.Snapshot, q params.LLMQ, n state.Node) (list []Meeting) {
	guess := chance(s.State, q, n)
	for base := dkg.BaseAt(q, f.Height); base <= f.end(); base = later(base, q.DKGInterval) {
		if !dkg.IsBase(q, base) {
			continue
		}
		m := meeting(s, q, base, n.ProTxHash, guess)
		if m.Phases[dkg.Idle-dkg.Initialized] > f.Height && base <= f.Height+q.DKGInterval {
			list = append(list, m)
		}
		over := m.Phases[dkg.Finalize-dkg.Initialized]
		if m.Chance > 0 && over > f.Height {
			f.Duties = append(f.Duties, Duty{Kind: Session, Type: q.Type, Height: base, From: base, Until: over, All: true, Chance: m.Chance})
		}
	}
	return list
}

func meeting(s *engine.Snapshot, q params.LLMQ, base int32, proTx wire.Hash, guess float64) Meeting {
	m := Meeting{Type: q.Type, Name: q.Name, Base: base, KnownAt: base - dkg.SelectionDepth, Chance: guess, Index: -1}
	if base <= s.Tip.Height {
		m.Phase = dkg.PhaseAt(q, base, s.Tip.Height).String()
	}
	for p := dkg.Initialized; p <= dkg.Idle; p++ {
		m.Phases = append(m.Phases, later(base, int32(p-dkg.Initialized)*q.DKGPhaseBlocks))
	}
	members, known := s.Branch.Members(q, base)
	if !known {
		return m
	}
	m.Known, m.Chance = true, 0
	for i, member := range members {
		if member.ProTxHash == proTx && len(members) >= q.MinSize { // fewer make no session
			m.Index, m.Chance = i, 1
		}
	}
	return m
}

// chance is how likely the node is drawn for a session whose members are not
// known yet, if the registry stays as it is.
func chance(s state.State, q params.LLMQ, n state.Node) float64 {
	evoOnly := q.Type == s.PlatformType()
	eligible := func(n state.Node) bool { return n.Tester() && (n.Evo || !evoOnly) }
	if !eligible(n) {
		return 0
	}
	candidates := 0
	for _, other := range s.Nodes() {
		if eligible(other) {
			candidates++
		}
	}
	if candidates < q.MinSize {
		return 0
	}
	return min(1, float64(q.Size)/float64(candidates))
}

// tests are the duties of a tester: draws that were made, and the hashes that
// draws to come may ask for. That they may also ask for answers is left out:
// those can be given for so long that no absence worth the name misses them.
func tests(s *engine.Snapshot, n state.Node, end int32) (duties []Duty) {
	tip := s.Tip.Height
	for q := max(1, tip-params.VoteDelay+1); q <= tip; q++ {
		l := s.Branch.At(q)
		if l == nil {
			continue
		}
		if _, tester := l.Draw.Index(n.ProTxHash); tester {
			duties = append(duties, Duty{Kind: Answer, Height: q, From: later(q, params.VoteDelay), Until: later(q, params.CertificateLast-1), Chance: 1})
		}
		if quorum.Due(q) && s.Publishes(q, n.ProTxHash) && len(s.HeldCheckpoints(l.Tip.Hash, n.ProTxHash)) == 0 {
			duties = append(duties, checkpoint(q, tip, 1))
		}
	}
	p := drawn(s.State, n)
	for q := later(tip, 1); p > 0 && q <= end; q++ {
		if quorum.Due(q) {
			duties = append(duties, checkpoint(q, tip, p))
		}
	}
	return duties
}

// checkpoint is the duty to publish the hash of a block before the testers
// look for it.
func checkpoint(q, tip int32, p float64) Duty {
	return Duty{Kind: Checkpoint, Height: q, From: later(max(q, tip), 1), Until: later(q, params.VoteDelay-1), Chance: p}
}

// drawn is how likely a block to come asks the node for its hash.
func drawn(s state.State, n state.Node) float64 {
	switch {
	case n.Service() == state.Decommissioned && n.Cause == wire.FailsCheckpoint:
		return 1 // on probation
	case !n.Tester():
		return 0
	default:
		return min(1, params.Testers/float64(s.Testers()))
	}
}

// nextTest is the height at which testers answer next about a node.
func nextTest(s *engine.Snapshot, proTx wire.Hash) int32 {
	tip := s.Tip.Height
	for q := max(1, tip-params.VoteDelay+1); q <= tip; q++ {
		if l := s.Branch.At(q); l != nil && l.Draw.Target(proTx) {
			return later(q, params.VoteDelay)
		}
	}
	return state.NoHeight
}
