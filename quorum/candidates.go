package quorum

import (
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Candidate is a ballot with votes enough for a certificate.
type Candidate struct {
	Ballot wire.Ballot
	Votes  []wire.Vote // ascending by voter, of voters only
}

// Candidates returns what the next block, at that height, could carry: of each
// node the ballot of the largest draw that has votes enough and is legal, in
// the order of certificates in a block, ascending by draw and node. One may
// still make another illegal, by the brake, so the author asks again for each
// one after those before it.
//
// draw returns draws of our branch only. legal is asked about ballots with
// votes enough only.
func (p *Votes) Candidates(carried int32, draw func(height int32, hash wire.Hash) (Draw, bool), legal func(wire.Ballot) bool) []Candidate {
	best := make(map[wire.Hash]Candidate)
	heights := slices.Sorted(maps.Keys(p.heights))
	for _, h := range slices.Backward(heights) {
		if Age(h, carried) != nil {
			continue
		}
		ballots := slices.SortedFunc(maps.Keys(p.heights[h].ballots), compareBallots)
		for _, b := range ballots {
			if _, ok := best[b.ProTxHash]; ok {
				continue
			}
			d, ok := draw(b.Height, b.BlockHash)
			if !ok {
				continue
			}
			votes, enough := p.enough(d, b)
			if enough && legal(b) {
				best[b.ProTxHash] = Candidate{b, votes}
			}
		}
	}
	return slices.SortedFunc(maps.Values(best), func(a, b Candidate) int { return compareBallots(a.Ballot, b.Ballot) })
}

// enough returns the votes on b that count, and whether they suffice.
func (p *Votes) enough(d Draw, b wire.Ballot) ([]wire.Vote, bool) {
	if checkBallot(d, b) != nil {
		return nil, false
	}
	needed, ok := d.Needed(b.ProTxHash, b.Answer)
	votes := p.Of(b)
	if !ok || len(votes) < needed {
		return nil, false
	}
	votes = slices.DeleteFunc(votes, func(v wire.Vote) bool {
		_, tester := d.Index(v.Voter)
		return !tester || v.Voter == b.ProTxHash
	})
	return votes, len(votes) >= needed
}
