package quorum

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Limits of the pool of votes. Each vote carries a verified signature of a
// tester about a node it may test, so honest votes stay far below. Which votes
// go at a limit depends on the votes only, never on the order they came in.
const (
	MaxVotesOfVoter = 1024   // of one draw; beyond it, those about the highest nodes go
	MaxVotesOfDraw  = 10_240 // of one height; the same
	MaxVotes        = 40_960 // about 20 MiB; beyond it, the lowest heights go first
	MaxMisconduct   = 1024   // cases, one per height and voter; the lowest heights go first
)

// Added is what became of something offered to a pool.
type Added uint8

// The outcomes.
const (
	New        Added = iota + 1 // kept
	Duplicate                   // had it
	Full                        // not kept: a limit
	Misconduct                  // a vote, kept, that contradicts another of its voter
	Alarm                       // a checkpoint, kept, that differs from our chain or from another of its voter
)

func (a Added) String() string {
	switch a {
	case New:
		return "new"
	case Duplicate:
		return "duplicate"
	case Full:
		return "full"
	case Misconduct:
		return "misconduct"
	case Alarm:
		return "alarm"
	default:
		return "none"
	}
}

// limits are parameters so that tests reach them.
type limits struct{ ofVoter, ofDraw, total, cases int }

// Votes is the pool of votes. Votes are added after their admission: the draw
// is known, the voter is a tester of it, the node answerable, both signatures
// are good. It is rebuilt after a restart by adding what was stored. It is not
// safe for concurrent use.
type Votes struct {
	limits  limits
	heights map[int32]*votesAt
	total   int
	dropped uint64
	cases   map[voterAt]Case
}

type votesAt struct {
	ballots map[wire.Ballot][]wire.Vote // ascending by voter, one of each
	of      map[wire.Hash]int           // votes of each voter
	total   int
}

type voterAt struct {
	height int32
	voter  wire.Hash
}

// Case is proof that a voter said of one node in one draw that it passes and
// that it does not. Both votes count all the same: anybody who has them can
// put them into certificates.
type Case struct{ Passes, Against wire.Vote }

// NewVotes returns an empty pool.
func NewVotes() *Votes {
	return newVotes(limits{MaxVotesOfVoter, MaxVotesOfDraw, MaxVotes, MaxMisconduct})
}

func newVotes(l limits) *Votes {
	return &Votes{limits: l, heights: make(map[int32]*votesAt), cases: make(map[voterAt]Case)}
}

// Len returns the number of votes.
func (p *Votes) Len() int { return p.total }

// Dropped returns how many votes were lost to limits.
func (p *Votes) Dropped() uint64 { return p.dropped }

// Has reports whether there is a vote of a voter on a ballot.
func (p *Votes) Has(b wire.Ballot, voter wire.Hash) bool {
	_, ok := p.find(b, voter)
	return ok
}

// Of returns the votes on a ballot, ascending by voter.
func (p *Votes) Of(b wire.Ballot) []wire.Vote {
	at := p.heights[b.Height]
	if at == nil {
		return nil
	}
	return slices.Clone(at.ballots[b])
}

// Add offers a vote, and returns the votes that had to go to make room. Of two
// votes on one ballot by one voter, which can differ only in evidence, the
// lower one stays.
func (p *Votes) Add(v wire.Vote) (outcome Added, evicted []wire.Vote) {
	at := p.heights[v.Height]
	if at == nil {
		at = &votesAt{ballots: make(map[wire.Ballot][]wire.Vote), of: make(map[wire.Hash]int)}
		p.heights[v.Height] = at
	}
	votes := at.ballots[v.Ballot]
	i, had := slices.BinarySearchFunc(votes, v.Voter, byVoter)
	if had {
		if bytes.Compare(v.Bytes(), votes[i].Bytes()) < 0 {
			votes[i] = v
			p.accuse(v)
		}
		return Duplicate, nil
	}
	at.ballots[v.Ballot] = slices.Insert(votes, i, v)
	at.of[v.Voter]++
	at.total++
	p.total++
	outcome = New
	if p.accuse(v) {
		outcome = Misconduct
	}
	worst, over := p.overflow(v)
	if !over {
		return outcome, nil
	}
	p.dropped++
	p.remove(worst)
	if worst == v {
		return Full, nil
	}
	return outcome, []wire.Vote{worst}
}

func byVoter(v wire.Vote, voter wire.Hash) int { return bytes.Compare(v.Voter[:], voter[:]) }

func (p *Votes) find(b wire.Ballot, voter wire.Hash) (wire.Vote, bool) {
	at := p.heights[b.Height]
	if at == nil {
		return wire.Vote{}, false
	}
	votes := at.ballots[b]
	i, ok := slices.BinarySearchFunc(votes, voter, byVoter)
	if !ok {
		return wire.Vote{}, false
	}
	return votes[i], true
}

// overflow returns the vote that goes because v came. Every limit drops the
// last in one order: heights falling, then compareInDraw. So what is kept in
// the end are the first votes of that order, whatever order they came in.
func (p *Votes) overflow(v wire.Vote) (worst wire.Vote, over bool) {
	at := p.heights[v.Height]
	switch {
	case at.of[v.Voter] > p.limits.ofVoter:
		return at.last(func(o wire.Vote) bool { return o.Voter == v.Voter }), true
	case at.total > p.limits.ofDraw:
		return at.last(func(wire.Vote) bool { return true }), true
	case p.total > p.limits.total:
		lowest := slices.Min(slices.Collect(maps.Keys(p.heights)))
		return p.heights[lowest].last(func(wire.Vote) bool { return true }), true
	}
	return wire.Vote{}, false
}

// compareInDraw orders the votes of one height.
func compareInDraw(a, b wire.Vote) int {
	return cmp.Or(compareBallots(a.Ballot, b.Ballot), bytes.Compare(a.Voter[:], b.Voter[:]))
}

func compareBallots(a, b wire.Ballot) int {
	return cmp.Or(
		cmp.Compare(a.Height, b.Height),
		bytes.Compare(a.ProTxHash[:], b.ProTxHash[:]),
		cmp.Compare(a.Answer, b.Answer),
		bytes.Compare(a.BlockHash[:], b.BlockHash[:]),
	)
}

// last returns the last of the votes that count.
func (at *votesAt) last(counts func(wire.Vote) bool) (last wire.Vote) {
	found := false
	for _, votes := range at.ballots {
		for _, v := range votes {
			if counts(v) && (!found || compareInDraw(v, last) > 0) {
				last, found = v, true
			}
		}
	}
	return last
}

func (p *Votes) remove(v wire.Vote) {
	at := p.heights[v.Height]
	votes := at.ballots[v.Ballot]
	i, _ := slices.BinarySearchFunc(votes, v.Voter, byVoter)
	if at.ballots[v.Ballot] = slices.Delete(votes, i, i+1); len(votes) == 1 {
		delete(at.ballots, v.Ballot)
	}
	if at.of[v.Voter]--; at.of[v.Voter] == 0 {
		delete(at.of, v.Voter)
	}
	at.total--
	p.total--
	if at.total == 0 {
		delete(p.heights, v.Height)
	}
}

// Expire forgets the votes of draws below height and returns them in order.
// Cases of misconduct stay.
func (p *Votes) Expire(height int32) (expired []wire.Vote) {
	for h, at := range p.heights {
		if h >= height {
			continue
		}
		for _, votes := range at.ballots {
			expired = append(expired, votes...)
		}
		p.total -= at.total
		delete(p.heights, h)
	}
	slices.SortFunc(expired, compareInDraw)
	return expired
}

// accuse reports whether v contradicts a vote of its voter, and keeps the
// case. Of several in one draw the first in order is kept.
func (p *Votes) accuse(v wire.Vote) (contradicts bool) {
	for _, answer := range wire.Answers() {
		other := v.Ballot
		other.Answer = answer
		if answer.Fails() == v.Answer.Fails() || answer == wire.TwoAddresses || v.Answer == wire.TwoAddresses {
			continue // only a fail contradicts a pass: an address penalty is another question
		}
		o, ok := p.find(other, v.Voter)
		if !ok {
			continue
		}
		contradicts = true
		c := Case{Passes: v, Against: o}
		if v.Answer.Fails() {
			c = Case{Passes: o, Against: v}
		}
		p.keep(c)
	}
	return contradicts
}

func (p *Votes) keep(c Case) {
	at := voterAt{c.Passes.Height, c.Passes.Voter}
	if old, ok := p.cases[at]; !ok || compareCases(c, old) < 0 {
		p.cases[at] = c
	}
	if len(p.cases) > p.limits.cases {
		last := slices.MinFunc(slices.Collect(maps.Keys(p.cases)), func(a, b voterAt) int {
			return cmp.Or(cmp.Compare(a.height, b.height), bytes.Compare(b.voter[:], a.voter[:]))
		})
		delete(p.cases, last)
	}
}

func compareCases(a, b Case) int {
	return cmp.Or(
		compareInDraw(a.Against, b.Against),
		bytes.Compare(a.Against.Bytes(), b.Against.Bytes()),
		bytes.Compare(a.Passes.Bytes(), b.Passes.Bytes()),
	)
}

// Misconduct returns the cases kept, ascending by height and voter.
func (p *Votes) Misconduct() []Case {
	return slices.SortedFunc(maps.Values(p.cases), func(a, b Case) int {
		return cmp.Or(cmp.Compare(a.Passes.Height, b.Passes.Height), bytes.Compare(a.Passes.Voter[:], b.Passes.Voter[:]))
	})
}

// Accuse keeps a case as it was stored.
func (p *Votes) Accuse(c Case) { p.keep(c) }
