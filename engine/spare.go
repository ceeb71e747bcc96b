package engine

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/wire"
)

// maxSpare is the most certificates kept of blocks that were undone; beyond
// it the oldest draws go.
const maxSpare = 2 * wire.MaxBlockCertificates

// spareCertificates keeps the certificates of blocks that were undone: they are good
// again where their draw is on the new branch, even for those who never heard the
// votes. Source: DESIGN.md section 6, rule 10.
func (e *Engine) spareCertificates(undone Branch) {
	for _, l := range undone {
		for _, c := range l.Block.Certificates {
			e.spare[c.Ballot] = c
		}
	}
	for len(e.spare) > maxSpare {
		delete(e.spare, slices.MinFunc(e.spareBallots(), compareBallots))
	}
}

func (e *Engine) spareBallots() (ballots []wire.Ballot) {
	for b := range e.spare {
		ballots = append(ballots, b)
	}
	return ballots
}

func compareBallots(a, b wire.Ballot) int {
	return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.ProTxHash[:], b.ProTxHash[:]), cmp.Compare(a.Answer, b.Answer), bytes.Compare(a.BlockHash[:], b.BlockHash[:]))
}

// expireSpare forgets certificates that no block can carry any more.
func (e *Engine) expireSpare() {
	for b := range e.spare {
		if b.Height < e.tree.Tip().Height-params.CertificateLast {
			delete(e.spare, b)
		}
	}
}

// withSpare adds the spare certificates that are good for a block at height
// to what votes have made, for nodes that nothing newer is said about.
func (e *Engine) withSpare(candidates []quorum.Candidate, height int32, legal func(wire.Ballot) bool) []quorum.Candidate {
	newest := make(map[wire.Hash]int) // index of the candidate of a node
	for i, c := range candidates {
		newest[c.Ballot.ProTxHash] = i
	}
	for _, b := range slices.SortedFunc(slices.Values(e.spareBallots()), compareBallots) {
		if quorum.Age(b.Height, height) != nil || e.branch.Of(b.Height, b.BlockHash) == nil || !legal(b) {
			continue
		}
		i, had := newest[b.ProTxHash]
		switch {
		case !had:
			newest[b.ProTxHash] = len(candidates)
			candidates = append(candidates, quorum.Candidate{Ballot: b})
		case b.Height > candidates[i].Ballot.Height:
			candidates[i] = quorum.Candidate{Ballot: b}
		}
	}
	slices.SortFunc(candidates, func(a, b quorum.Candidate) int { return compareBallots(a.Ballot, b.Ballot) })
	return candidates
}
