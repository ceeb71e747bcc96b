package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// JudgeFrom judges a platform ban as if a peer had sent it, without transport.
func (n *Node) JudgeFrom(ctx context.Context, from engine.Peer, ban []byte) validation.Verdict {
	return n.judge(ctx, engine.TopicPlatformBan, from, ban, false)
}

// Trust counts a peer as a service node in contact.
func (n *Node) Trust(p engine.Peer) { n.admission.met(p, true, time.Now()) }

// Shares is what the node shows peers of its inventory.
func (n *Node) Shares() wire.BanSummary { return (*backend)(n).BanSummary() }

// SharesRange is what the node serves of all heights.
func (n *Node) SharesRange() []wire.PlatformBan {
	return (*backend)(n).BansInRange(wire.BanRange{To: 1 << 30, Count: wire.MaxListedBans})
}

// JudgeOn judges a message of any topic as if a peer had sent it, without
// transport.
func (n *Node) JudgeOn(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte) validation.Verdict {
	return (*backend)(n).Judge(ctx, topic, from, data)
}

// JudgeHeld judges a message that has waited as long as one may.
func (n *Node) JudgeHeld(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte) validation.Verdict {
	return n.judge(ctx, topic, from, data, true)
}

// TakeShares is what gossip hands over shares of signatures with.
func (n *Node) TakeShares(from engine.Peer, proTx wire.Hash, m wire.SigShares) {
	(*backend)(n).Shares(from, proTx, m)
}

// MemberTopics are the topics of quorums' members that the node has joined.
func (n *Node) MemberTopics() []engine.Topic { return n.memberTopics() }

// Stored is what pubsub asks before it sends a message of our own.
func (n *Node) Stored(topic engine.Topic, data []byte) bool { return (*backend)(n).Stored(topic, data) }

// Queue hands the engine an input. Before Run, what is queued is stepped for
// one commit.
func (n *Node) Queue(in engine.Input) { n.inbox <- request{input: in} }

// Call calls a method of the operator's API, without transport.
func (n *Node) Call(ctx context.Context, method string, params ...any) (any, error) {
	var p api.Params
	for _, v := range params {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		p = append(p, raw)
	}
	for _, m := range n.Methods() {
		if m.Name == method {
			return m.Call(ctx, p)
		}
	}
	return nil, fmt.Errorf("no method %s", method)
}

// Show lets the node answer from a snapshot of the test's making.
func (n *Node) Show(s *engine.Snapshot) { n.snapshot.Store(s) }

// Settle returns when the engine has seen everything handed in before.
func (n *Node) Settle(ctx context.Context) { n.ask(ctx, engine.UnbanPeer{Peer: "nobody at all"}) }
