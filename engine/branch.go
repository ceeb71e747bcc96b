package engine

import (
	"fmt"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// keepLinks is how many blocks below the tip are kept with their states and
// draws at least: certificates name draws so old.
const keepLinks = params.CertificateLast + params.VoteDelay + 1

// Link is one block of our branch and what it made. It never changes.
type Link struct {
	Tip   chain.Tip
	Block wire.Block  // zero at the genesis
	State state.State // after the block
	Draw  quorum.Draw // of the testers that the block's hash drew from that state

	diff state.Diff
}

// Branch is the newest part of our branch, oldest first, without gaps. It
// never changes: a longer one is another.
type Branch []*Link

// At returns the link at a height, nil if the branch does not reach there.
func (b Branch) At(height int32) *Link {
	if len(b) == 0 || height < b[0].Tip.Height || height > b.last().Tip.Height {
		return nil
	}
	return b[height-b[0].Tip.Height]
}

// Of returns the link of a block, nil if it is not on the branch.
func (b Branch) Of(height int32, hash wire.Hash) *Link {
	if l := b.At(height); l != nil && l.Tip.Hash == hash {
		return l
	}
	return nil
}

// find returns the link of a block wherever it is, nil if it is not on the
// branch.
func (b Branch) find(hash wire.Hash) *Link {
	for _, l := range b {
		if l.Tip.Hash == hash {
			return l
		}
	}
	return nil
}

func (b Branch) last() *Link { return b[len(b)-1] }

// upTo returns the part up to and including height.
func (b Branch) upTo(height int32) Branch {
	n := height - b[0].Tip.Height + 1
	return b[:n:n] // what is appended goes elsewhere: readers hold b
}

func (e *Engine) newLink(tip chain.Tip, b wire.Block, s state.State, d state.Diff) *Link {
	return &Link{Tip: tip, Block: b, State: s, Draw: quorum.NewDraw(e.network, tip.Height, tip.Hash, s), diff: d}
}

// apply returns the link of b on the end of branch. The error says what is
// wrong with the block's contents: its author made or checked them wrongly.
func (e *Engine) apply(branch Branch, b wire.Block) (*Link, error) {
	parent := branch.last()
	for _, event := range b.Events {
		if !e.signed(parent.State, event) {
			return nil, fmt.Errorf("block %d: %s of %s is not signed", b.Header.Height, event.Kind(), event.Record().Short())
		}
	}
	for _, c := range b.Certificates {
		if err := e.checkCertificate(branch, c, b.Header.Height); err != nil {
			return nil, fmt.Errorf("block %d: certificate of %d on %s: %w", b.Header.Height, c.Height, c.ProTxHash.Short(), err)
		}
	}
	sessions, err := e.checkCommitments(branch, b)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", b.Header.Height, err)
	}
	next, diff, err := parent.State.Apply(b, sessions...)
	if err != nil {
		return nil, err
	}
	return e.newLink(chain.Tip{Height: b.Header.Height, Slot: b.Header.Slot, Hash: b.Header.Hash()}, b, next, diff), nil
}

// checkCertificate holds the parts of rule 7 of DESIGN.md section 6 that need
// the branch; package state holds the rest.
func (e *Engine) checkCertificate(branch Branch, c wire.Certificate, height int32) error {
	if err := quorum.Age(c.Height, height); err != nil {
		return err
	}
	l := branch.Of(c.Height, c.BlockHash)
	if l == nil {
		return fmt.Errorf("block %s of its draw is not on the branch", c.BlockHash.Short())
	}
	return quorum.Verify(e.network, l.Draw, c, l.keys())
}

// keys are the operator keys of nodes after the block.
func (l *Link) keys() quorum.Keys {
	return quorum.DecodedKeys(func(proTx wire.Hash) (wire.OperatorKey, bool) {
		n, ok := l.State.Node(proTx)
		return n.OperatorKey, ok
	})
}

// adopt makes our branch end in links, which follow on the block at height
// fork. Blocks above it are undone.
func (e *Engine) adopt(fork int32, links []*Link, out *Effects) {
	cleared := false // flags, by blocks that are undone
	for i := len(e.branch) - 1; e.branch[i].Tip.Height > fork; i-- {
		cleared = e.undo(e.branch[i], e.branch[i-1], out) || cleared
	}
	undone := e.branch[len(e.branch.upTo(fork)):]
	e.branch = e.branch.upTo(fork)
	for _, l := range links {
		e.branch = append(e.branch, l)
		e.redo(l, out)
	}
	tip := e.branch.last()
	e.state = tip.State
	for _, hash := range e.tree.Move(tip.Tip.Hash) {
		e.dropBody(hash)
	}
	if len(undone) > 0 {
		out.Undone += len(undone)
		e.reorganised(len(undone), len(links), out)
		e.judgeAnew(fork, cleared, out)
	}
	e.trim(out)
	e.settleTip(out)
	e.settleMinable(undone, out)
	e.takeBack(undone)
	e.spareCertificates(undone)
}

// judgeAnew forgets what may have been refused because of blocks that were
// undone; cleared tells whether those cleared a flag.
func (e *Engine) judgeAnew(fork int32, cleared bool, out *Effects) {
	e.forgetRefusals(func(r inventory.Refusal) bool {
		why := validation.Reason(r.Verdict)
		return r.Height > fork && (cleared && why == validation.Stale || why.Nature() == validation.OfView)
	}, out)
}

// takeBack puts the events of blocks that were undone into the pool again, as
// far as they can stand in the next block.
func (e *Engine) takeBack(undone Branch) {
	for _, l := range undone {
		for _, event := range l.Block.Events {
			if e.state.CheckEvent(e.tree.Tip().Height+1, event) == nil {
				e.pool.add(event, false)
			}
		}
	}
}

// undo writes what takes the block of l back to the branch's parent. It
// reports whether the block had cleared flags.
func (e *Engine) undo(l, parent *Link, out *Effects) (cleared bool) {
	for _, r := range l.diff.Before {
		out.record(r)
	}
	key := heightKey(l.Tip.Height)
	out.delete(KindBlock, key)
	out.delete(KindUndo, key)
	cleared = e.clearFlags(parent.State, l.diff, out)
	e.forgetDecisions(l.Tip.Height, out)
	e.keepBody(l.Block)
	e.leftBehind(l)
	e.putMetaOf(parent, out)
	out.seam()
	return cleared
}

// redo writes the block of l and what it changed.
func (e *Engine) redo(l *Link, out *Effects) {
	for _, r := range l.diff.After {
		out.record(r)
	}
	key := heightKey(l.Tip.Height)
	out.put(KindBlock, key, l.Block.Bytes())
	out.put(KindUndo, key, l.diff.UndoBytes())
	e.dropBody(l.Tip.Hash)
	e.clearFlags(l.State, l.diff, out)
	e.decide(l, out)
	connected := Connected{
		Tip: l.Tip, Transitions: l.diff.Transitions, Punishments: l.diff.Punishments,
		Formed: l.formed(),
	}
	for _, c := range l.Block.Commitments {
		if c.Null() {
			connected.Null = append(connected.Null, c.Type)
		}
	}
	for _, c := range l.Block.Certificates {
		connected.Waited = append(connected.Waited, l.Tip.Height-c.Height)
	}
	out.Connected = append(out.Connected, connected)
	e.putMetaOf(l, out)
	out.seam()
}

// formed lists the quorums that the block made.
func (l *Link) formed() (quorums []state.Quorum) {
	for _, c := range l.Block.Commitments {
		if q, ok := l.State.Quorum(c.Type, c.QuorumHash); ok {
			quorums = append(quorums, q)
		}
	}
	return quorums
}

// trim forgets what lies so deep that it is never needed again.
func (e *Engine) trim(out *Effects) {
	tip := e.tree.Tip().Height
	fork := max(e.tree.Final().Height, tip-chain.MaxReorg) // the lowest there may be; the blocks above it name draws below it
	base := min(fork-params.CertificateLast, tip-keepLinks)
	for len(e.branch) > 1 && e.branch[0].Tip.Height < base {
		out.delete(KindUndo, heightKey(e.branch[1].Tip.Height)) // which nobody will undo down to
		delete(e.decidedAt, e.branch[0].Tip.Height)
		e.branch = e.branch[1:]
		e.forgetProofs(e.branch[0], out)
	}
}

// forgetProofs forgets what was heard of nodes that left in the block of l,
// now that nobody will undo it.
func (e *Engine) forgetProofs(l *Link, out *Effects) {
	for _, r := range l.diff.Before {
		if r.Kind != state.KindNode {
			continue
		}
		if _, registered := e.state.Node(wire.Hash(r.Key)); registered {
			continue
		}
		if _, heard := e.proofs.Get(wire.Hash(r.Key)); heard {
			e.proofs = e.proofs.Without(wire.Hash(r.Key))
			out.delete(KindProof, r.Key)
		}
	}
}

// settleTip tidies up after the tip has moved.
func (e *Engine) settleTip(out *Effects) {
	deleteBans(e.inventory.Expire(e.windowFloor()), out)
	deleteRefusals(e.refused.Expire(e.windowFloor()), out)
	e.pool.settle(e.state, e.tree.Tip().Height+1)
	e.expireBallots(out)
}

// clearFlags sets the clearing height of platform-ban flags to what the state
// says: a revival, or in profile core any update of the service. It is kept
// even where no flag is set, so that an older ban which arrives late cannot
// set one. It reports whether any changed.
func (e *Engine) clearFlags(s state.State, d state.Diff, out *Effects) (changed bool) {
	for _, r := range d.Before { // which names what After does, and is stored
		if r.Kind != state.KindNode {
			continue
		}
		proTx := wire.Hash(r.Key)
		n, ok := s.Node(proTx)
		if _, gone := s.Tombstone(proTx); gone || ok && !n.Evo { // the flag of a node that is gone stays as it was
			continue
		}
		cleared := state.NoHeight // also of a node that nobody registered yet, once its registration is undone
		switch {
		case !ok:
		case s.Profile().ServiceUpdateClearsBan:
			cleared = n.UpdatedHeight
		default:
			cleared = n.RevivedHeight
		}
		flag := e.flag(proTx)
		if flag.ClearedHeight == cleared {
			continue
		}
		flag.ClearedHeight = cleared
		e.flags = e.flags.Set(proTx, flag)
		out.put(KindFlag, proTx[:], flag.Bytes())
		changed = true
	}
	return changed
}

// record writes a record of the agreed state.
func (e *Effects) record(r state.Record) {
	e.Writes = append(e.Writes, Write{stateKinds[r.Kind], r.Key, r.Value})
}

// stateKinds says where the records of the agreed state are kept.
var stateKinds = map[state.Kind]Kind{
	state.KindNode: KindNode, state.KindStaker: KindStaker, state.KindTombstone: KindTombstone, state.KindQuorum: KindQuorum,
}
