package node

import (
	"context"
	"slices"
	"sync"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/validation/verify"
	"github.com/proctornet/proctor/wire"
)

// admitDKG judges a message of a session of type t. held says that it has
// waited for its base block as long as one may. Source: spec/dash.md 5.3.
func (n *Node) admitDKG(ctx context.Context, t wire.LLMQType, from engine.Peer, data []byte, held bool) (engine.Input, validation.Verdict) {
	m, err := engine.ParseDKGBytes(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	roster, reason := n.session(view, m.Head(), t, held)
	if reason != validation.Valid {
		return nil, settled(reason, view).Verdict()
	}
	if reason := view.HeardDKG(m); reason != validation.Valid {
		return nil, reason.Verdict()
	}
	checked, fault := roster.Check(m, view.Tip.Height)
	if fault != 0 {
		return nil, settled(engine.DKGVerdict(fault).Reason, view).Verdict()
	}
	if !n.dkgCounts.allow(from, roster, m.Kind(), view.Sessions) {
		return nil, validation.DKGTooMany.Verdict()
	}
	sender, _ := roster.Index(m.Head().ProTxHash)
	r, err := n.check(ctx, from, verify.Job{Key: roster.Members()[sender].OperatorKey, Hash: checked.Item.Hash, Signature: m.OperatorSignature()})
	switch {
	case err != nil:
		return nil, unchecked(err)
	case !r.Valid:
		return nil, validation.DKGSignature.Verdict()
	}
	opened, fault := roster.Open(checked)
	if fault != 0 {
		return nil, engine.DKGVerdict(fault)
	}
	return engine.DKG{From: from, Message: opened}, validation.Valid.Verdict()
}

// session finds the session of a message on the topic of type t. A block that
// we do not know may be on its way: its session is held first.
func (n *Node) session(view *engine.Snapshot, head wire.DKGHead, t wire.LLMQType, held bool) (*dkg.Roster, validation.Reason) {
	q, runs := view.State.LLMQ(head.Type)
	if !runs || head.Type != t {
		return nil, validation.DKGType
	}
	if !view.IsSynced {
		return nil, validation.NotSynced
	}
	i := slices.IndexFunc(view.Sessions, func(r *dkg.Roster) bool {
		_, hash := r.Base()
		return r.LLMQ().Type == head.Type && hash == head.QuorumHash
	})
	if i >= 0 {
		return view.Sessions[i], validation.Valid
	}
	base := blockOf(view.Branch, head.QuorumHash)
	switch {
	case base == nil && !held:
		return nil, validation.Unsure
	case base == nil:
		return nil, validation.DKGUnknownBlock
	case !dkg.IsBase(q, base.Tip.Height):
		return nil, validation.DKGBase
	case !n.follows(q):
		return nil, validation.DKGOutsider
	case base.Tip.Height < dkg.BaseAt(q, view.Tip.Height):
		return nil, validation.DKGLate
	default:
		return nil, validation.DKGSession
	}
}

// blockOf returns the link of a block of our branch, nil if it is not there.
func blockOf(b engine.Branch, hash wire.Hash) *engine.Link {
	for _, l := range slices.Backward(b) {
		if l.Tip.Hash == hash {
			return l
		}
	}
	return nil
}

// settled replaces a reason that follows from our view of the chain while that
// is shaky: the verdict waits. Source: DESIGN.md section 7.
func settled(r validation.Reason, view *engine.Snapshot) validation.Reason {
	if r.Nature() == validation.OfView && !view.Confident() {
		return validation.Unsure
	}
	return r
}

// maxDKGCounts bounds the counts of a dkgCounts; it is above what all peers
// that can be connected at once have in the sessions of one moment.
const maxDKGCounts = 8192

// dkgCounts counts what peers send of a session. Of a member two messages of a
// kind are taken and passed on; a member that makes more could have us verify
// signatures without end, at no charge. Source: spec/dash.md 5.3.
type dkgCounts struct {
	mu     sync.Mutex
	counts map[dkgCount]int
}

type dkgCount struct {
	from    engine.Peer
	session wire.Hash
	kind    wire.DKGKind
}

// allow counts a message and reports whether the peer may send it. present are
// the sessions of now: others are forgotten when there is no room.
func (c *dkgCounts) allow(from engine.Peer, r *dkg.Roster, kind wire.DKGKind, present []*dkg.Roster) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := dkgCount{from, sessionKey(r), kind}
	if _, had := c.counts[key]; !had && len(c.counts) >= maxDKGCounts {
		for k := range c.counts {
			if !slices.ContainsFunc(present, func(r *dkg.Roster) bool { return sessionKey(r) == k.session }) {
				delete(c.counts, k)
			}
		}
		if len(c.counts) >= maxDKGCounts {
			clear(c.counts)
		}
	}
	if c.counts == nil {
		c.counts = make(map[dkgCount]int)
	}
	c.counts[key]++
	return c.counts[key] <= 2*len(r.Members())
}

func sessionKey(r *dkg.Roster) wire.Hash {
	_, hash := r.Base()
	return state.QuorumKey(r.LLMQ().Type, hash)
}
