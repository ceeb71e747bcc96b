package engine

import (
	"crypto/ed25519"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/wire"
)

// produce makes a block when the slot is ours.
func (e *Engine) produce(out *Effects) {
	slot, tip := e.slot(), e.tree.Tip()
	if e.config.ServiceKey == nil || slot <= tip.Slot || e.config.Genesis.Authority(slot) != e.config.ProTxHash || !e.mayProduce() || slot < e.silentUntil {
		return
	}
	b := e.nextBlock(slot)
	link, err := e.apply(e.branch, b)
	if err != nil {
		panic("engine: our own block is not valid: " + err.Error())
	}
	e.addHeader(b.Header, out)
	if out.Fatal != nil {
		return
	}
	e.adopt(tip.Height, []*Link{link}, out)
	out.Publications = append(out.Publications, Publication{TopicBlock, b.Bytes()})
}

// leftBehind notes that a block was undone. If it was ours we are silent for
// one turn: who signs two branches within the time that blocks take to get
// around helps to make both of them final.
func (e *Engine) leftBehind(l *Link) {
	if g := e.config.Genesis; g.Authority(l.Tip.Slot) == e.config.ProTxHash && len(g.Authorities) > 1 {
		e.silentUntil = e.slot() + uint64(len(g.Authorities)) + 1
	}
}

// nextBlock builds and signs a block on our tip.
func (e *Engine) nextBlock(slot uint64) wire.Block {
	tip := e.tree.Tip()
	b := wire.Block{
		Header:  wire.Header{Height: tip.Height + 1, Slot: slot, Parent: tip.Hash, StateRoot: e.state.Root()},
		Content: e.assemble(tip.Height + 1),
	}
	b.Header.Content = b.Content.Hash()
	b.Header.Signature = wire.ServiceSignature(ed25519.Sign(e.config.ServiceKey, b.Header.SignedBytes()))
	return b
}

// assemble collects what waits for a block. Each piece is good on its own;
// what does not go together with those before it waits on.
func (e *Engine) assemble(height int32) (c wire.Content) {
	trial := wire.Block{Header: wire.Header{Height: height, StateRoot: e.state.Root()}}
	commitments, sessions := e.commitments()
	c.Commitments = commitments
	stands := func(next wire.Content) bool {
		if len(next.Bytes()) > wire.MaxBlockSize-wire.HeaderSize {
			return false
		}
		trial.Content = next
		_, _, err := e.state.Apply(trial, sessions...)
		return err == nil
	}
	c.Events = fitting(nil, e.pool.list(), func(events []wire.Event) bool {
		return len(events) <= wire.MaxBlockEvents && stands(wire.Content{Events: events, Commitments: commitments})
	})
	c.Certificates = e.certificates(height, func(certs []wire.Certificate) bool {
		return len(certs) <= wire.MaxBlockCertificates && stands(wire.Content{Events: c.Events, Commitments: commitments, Certificates: certs})
	})
	return c
}

// fitting adds to kept, in order, each of list that fits with those before
// it. Nearly always all of them do, so it asks about many at once.
func fitting[T any](kept, list []T, fits func([]T) bool) []T {
	if len(list) == 0 {
		return kept
	}
	if all := slices.Concat(kept, list); fits(all) {
		return all
	}
	if len(list) == 1 {
		return kept
	}
	half := len(list) / 2
	return fitting(fitting(kept, list[:half], fits), list[half:], fits)
}

// certificates makes the certificates that a block at height carries, in the
// order in which it must: the votes for them have come together, and they fit.
// Only those are signed: in a mass failure the brake lets through a few of
// hundreds, and each costs several milliseconds.
func (e *Engine) certificates(height int32, fits func([]wire.Certificate) bool) (certs []wire.Certificate) {
	draw := func(q int32, hash wire.Hash) (quorum.Draw, bool) {
		if l := e.branch.Of(q, hash); l != nil {
			return l.Draw, true
		}
		return quorum.Draw{}, false
	}
	legal := func(b wire.Ballot) bool { return e.state.CheckResult(height, b) == nil && !e.disproved(b) }
	candidates := e.withSpare(e.votes.Candidates(height, draw, legal), height, legal)
	for {
		chosen := fitting(nil, candidates, func(list []quorum.Candidate) bool {
			unsigned := make([]wire.Certificate, len(list))
			for i, c := range list {
				unsigned[i].Ballot = c.Ballot
			}
			return fits(unsigned)
		})
		certs = certs[:0]
		bad := make(map[wire.Ballot]bool)
		for _, c := range chosen {
			if cert, spare := e.spare[c.Ballot]; spare {
				certs = append(certs, cert)
				continue
			}
			l := e.branch.At(c.Ballot.Height)
			if cert, err := quorum.Certify(e.network, l.Draw, c.Ballot, c.Votes, l.keys()); err == nil {
				certs = append(certs, cert)
			} else {
				bad[c.Ballot] = true
			}
		}
		if len(bad) == 0 {
			return certs
		}
		candidates = slices.DeleteFunc(candidates, func(c quorum.Candidate) bool { return bad[c.Ballot] })
	}
}

// disproved reports whether we heard a node after its testers said that they
// did not. Accusations that the brake holds up wait for as long as a
// certificate may; when it opens, the node may long be back.
func (e *Engine) disproved(b wire.Ballot) bool {
	r, heard := e.proofs.Get(b.ProTxHash)
	return b.Answer == wire.FailsUptime && heard && r.Heard > b.Height+params.VoteDelay
}
