package engine

import (
	"encoding/binary"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/wire"
)

// duties does what a service node owes at its tip: its part in sessions, its
// uptime proof, the hash of a block as a tester or on probation, its answers as
// a tester. A node that
// is not synced owes nothing: what it knows is old.
func (e *Engine) duties(out *Effects) {
	e.attend(out)
	tip := e.tree.Tip()
	if e.config.ServiceKey == nil || tip.Hash == e.served || !e.synced() {
		return
	}
	if e.unsent {
		e.unsent = false
		e.sendAgain(out)
	}
	e.prove(out)
	// Blocks may come several at once, after one was lost on the way say: what
	// was due at any of them is still taken.
	for q := max(0, tip.Height-params.VoteDelay); q < tip.Height; q++ {
		if quorum.Due(q) {
			e.publishCheckpoint(q, out)
		}
	}
	if e.confidence.wasSynced { // or only the next tick notes what we have missed
		e.served = tip.Hash
		e.judgeDraws(out)
	}
}

// sendAgain sends once more what we owed before a stop and what still counts:
// it was stored before it was sent, and may never have left. A proof has
// another chance before it is missed; these have not. What will be past all use
// in a few blocks stays here: gossip tells newcomers of messages that are
// seconds old, and whoever brings something too old is blamed for it.
func (e *Engine) sendAgain(out *Effects) {
	self, tip := e.config.ProTxHash, e.tree.Tip().Height
	for _, held := range e.heardCheckpoints.All() {
		for _, c := range held {
			if c.Voter == self && c.Height >= tip-params.VoteDelay+params.BanHeightSlack {
				out.Publications = append(out.Publications, Publication{TopicCheckpoint, c.Bytes()})
			}
		}
	}
	for _, v := range e.heardVotes.All() {
		if v.Voter == self && v.Height >= tip-params.CertificateLast+params.BanHeightSlack {
			out.Publications = append(out.Publications, Publication{TopicVote, v.Bytes()})
		}
	}
}

// publishCheckpoint publishes the hash at a height if that is ours to do. It
// is late where several blocks came at once, and comes again where another
// block stands there now: those who were on that branch all the time have
// heard nothing.
func (e *Engine) publishCheckpoint(q int32, out *Effects) {
	self := e.config.ProTxHash
	l := e.branch.At(q)
	if l == nil || !l.checkpointer(self) {
		return
	}
	mark, ok := e.branch.mark(q)
	if _, held := e.heardCheckpoints.Get(checkpointID(mark.BlockHash, self)); !ok || held {
		return
	}
	c := quorum.NewCheckpoint(e.network, q, mark, self, e.seal)
	if e.keepCheckpoint(c, out) {
		out.Publications = append(out.Publications, Publication{TopicCheckpoint, c.Bytes()})
	}
}

// mark is what stands at a height that testers publish the hash of.
func (b Branch) mark(q int32) (quorum.Mark, bool) {
	l, below := b.At(q), b.At(q-params.CheckpointDepth)
	if l == nil || below == nil {
		return quorum.Mark{}, false
	}
	return quorum.Mark{BlockHash: l.Tip.Hash, StateRoot: below.State.Root()}, true
}

// checkpointer reports whether a node publishes the hash of l: testers do, and
// whoever must show that it can again.
func (l *Link) checkpointer(proTx wire.Hash) bool {
	if _, tester := l.Draw.Index(proTx); tester {
		return true
	}
	n, ok := l.State.Node(proTx)
	return ok && n.Service() == state.Decommissioned && n.Cause == wire.FailsCheckpoint
}

// judgeDraws answers about each draw on our branch that is old enough, once.
func (e *Engine) judgeDraws(out *Effects) {
	tip := e.tree.Tip().Height
	if e.config.OperatorKey == nil {
		return
	}
	c := e.confidence
	var view testerView
	for q := max(1, tip+1-params.CertificateLast); q <= tip-params.VoteDelay; q++ {
		l := e.branch.At(q)
		// Who missed so many blocks may have lost its database, and with it
		// what it has answered before.
		if l == nil || c.missed >= params.WarmUp && q <= c.since {
			continue
		}
		if _, done := e.judged[l.Tip.Hash]; done {
			continue
		}
		if _, tester := l.Draw.Index(e.config.ProTxHash); !tester {
			continue
		}
		// Before the votes: nobody answers twice, whatever happens in between.
		e.judged[l.Tip.Hash] = q
		out.put(KindJudged, judgedKey(q, l.Tip.Hash), judgedValue)
		if view.e == nil { // health looks at every node
			view = testerView{e, e.ailment() == quorum.Sound}
		}
		for _, f := range quorum.Judge(l.Draw, e.config.ProTxHash, view) {
			e.cast(f, out)
		}
	}
}

func judgedKey(q int32, hash wire.Hash) []byte { return append(heightKey(q), hash[:]...) }

// cast signs an answer of ours, keeps it and sends it.
func (e *Engine) cast(f quorum.Finding, out *Effects) {
	v := quorum.NewVote(e.network, f, e.config.ProTxHash, func(hash wire.Hash) wire.Signature {
		return wire.Signature(e.config.OperatorKey.Sign(hash).Bytes())
	}, e.seal)
	e.keepVote(v, out)
	out.Publications = append(out.Publications, Publication{TopicVote, v.Bytes()})
}

// testerView is what a tester knows now.
type testerView struct {
	e       *Engine
	healthy bool
}

func (v testerView) Tip() int32            { return v.e.tree.Tip().Height }
func (v testerView) Rules() params.Service { return v.e.state.Rules() }

func (v testerView) Subject(proTx wire.Hash) (quorum.Subject, bool) {
	n, ok := v.e.state.Node(proTx)
	return quorum.Subject{
		Active:         n.Service() == state.Active,
		Cause:          n.Cause,
		Decommissioned: n.DecommissionedHeight,
		Penalised:      max(n.PenaltyHeight, n.RegisteredHeight),
	}, ok && n.Service() != state.Awaiting
}

func (v testerView) Legal(b wire.Ballot) bool { return v.e.state.CheckResult(v.Tip()+1, b) == nil }

func (v testerView) Uptime(proTx wire.Hash) (uptime.Record, bool) { return v.e.proofs.Get(proTx) }

func (v testerView) Published(height int32, voter wire.Hash) bool {
	return v.e.checkpoints.Heard(height, voter)
}

func (v testerView) Healthy() bool { return v.healthy }

// ailment says why we may not speak against others. Source: DESIGN.md
// section 6, rule 4.
func (e *Engine) ailment() quorum.Ailment {
	tip := e.tree.Tip()
	vitals := quorum.Vitals{
		SlotsBehind: int64(e.slot()) - int64(tip.Slot),
		Peers:       e.sync.contacts(),
		Others:      e.state.NodeCount() - 1,
		Missed:      e.confidence.missed,
		Since:       tip.Height - e.confidence.since,
	}
	for proTx, n := range e.state.Nodes() {
		if proTx == e.config.ProTxHash || n.Service() != state.Active {
			continue
		}
		vitals.Active++
		if e.proofs.Fresh(proTx, tip.Height, e.state.Rules()) {
			vitals.Fresh++
		}
	}
	return vitals.Ailment()
}

func heightOf(key []byte) int32 { return int32(binary.BigEndian.Uint32(key)) }
