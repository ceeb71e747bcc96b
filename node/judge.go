package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/validation/verify"
	"github.com/proctornet/proctor/wire"
)

// operator is the sender of what our own operator hands in: nobody is charged.
const operator = engine.Peer("")

// SubmitBan judges an encoded platform ban of our operator exactly as a
// peer's, stores it and sends it to all peers. One that was accepted before is
// sent once more: the first time may have been in vain.
func (n *Node) SubmitBan(ctx context.Context, ban []byte) validation.Verdict {
	v := n.judge(ctx, engine.TopicPlatformBan, operator, ban, false)
	if v.Reason == validation.Ahead {
		n.putOff(operator, ban, inventory.Ahead)
	}
	if m, err := wire.ParsePlatformBan(ban); err == nil && v.Reason == validation.Duplicate {
		n.tell(engine.Announce{Message: m})
	}
	return v
}

// SubmitEvent judges an event of our operator exactly as a peer's, keeps it
// for the next block and sends it to all peers.
func (n *Node) SubmitEvent(ctx context.Context, e wire.Event) validation.Verdict {
	return n.judge(ctx, engine.TopicEvent, operator, e.Bytes(), false)
}

// RequestBan is our operator's decision that this node, as a member of a
// platform quorum, asks for the ban of an evonode, or does so no longer.
func (n *Node) RequestBan(ctx context.Context, proTx wire.Hash, withdraw bool) validation.Verdict {
	return n.ask(ctx, engine.RequestBan{ProTxHash: proTx, Withdraw: withdraw})
}

// judge gives the verdict on a message. held says of a platform ban that it
// has waited for our tip as long as one may, and of a message of a session for
// its base block.
func (n *Node) judge(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte, held bool) validation.Verdict {
	var in engine.Input
	var v validation.Verdict
	switch topic {
	case engine.TopicPlatformBan:
		in, v = n.admitBan(ctx, from, data, held)
	case engine.TopicBlock:
		in, v = admitBlock(from, data)
	case engine.TopicEvent:
		in, v = n.admitEvent(ctx, from, data)
	case engine.TopicUptime:
		in, v = n.admitProof(from, data)
	case engine.TopicVote:
		in, v = n.admitVote(ctx, from, data)
	case engine.TopicCheckpoint:
		in, v = n.admitCheckpoint(from, data)
	case engine.TopicCommitment:
		in, v = n.admitCommitment(ctx, from, data)
	case engine.TopicRecovered:
		in, v = n.admitRecovered(ctx, from, data)
	default:
		of, members := topic.DKG()
		if !members {
			panic(fmt.Sprintf("node: topic %d has no judge", topic))
		}
		in, v = n.admitDKG(ctx, of, from, data, held)
	}
	if v.OK() {
		return n.ask(ctx, in)
	}
	if v.Points > 0 {
		n.tell(engine.Judged{From: from, Verdict: v, Evidence: wire.DoubleHash(data)})
	}
	return v
}

// admitBan runs the six steps on the published snapshot. The engine, which
// may know more by then, repeats all but the costly one and decides.
func (n *Node) admitBan(ctx context.Context, from engine.Peer, data []byte, held bool) (engine.Input, validation.Verdict) {
	m, err := wire.ParsePlatformBan(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	view := n.Snapshot()
	if v := validation.PlatformBan(m, view, held); !v.OK() {
		return nil, v
	}
	key, _ := view.PlatformQuorum(m.QuorumHash, m.SignedHeight)
	checked, err := n.check(ctx, from, verify.Job{Key: key, Hash: m.SignHash(n.network.PlatformType), Signature: m.Signature})
	if err != nil {
		return nil, unchecked(err)
	}
	return engine.Ban{From: from, Message: m, Key: key}, validation.Checked(checked.Encoded, checked.Valid)
}

// check has a signature checked, for a peer within the limits of one peer.
func (n *Node) check(ctx context.Context, from engine.Peer, j verify.Job) (r verify.Result, err error) {
	if from == operator {
		return n.verify.Verify(ctx, j)
	}
	if j.Alone, err = n.admission.begin(ctx, from); err != nil {
		return r, err
	}
	r, err = n.verify.Verify(ctx, j)
	n.admission.end(from, err == nil && !r.Valid)
	return r, err
}

// unchecked is the verdict on a message whose signature could not be checked.
func unchecked(err error) validation.Verdict {
	if errors.Is(err, errRate) {
		return validation.Rate.Verdict()
	}
	return validation.Overload.Verdict()
}

func admitBlock(from engine.Peer, data []byte) (engine.Input, validation.Verdict) {
	b, err := wire.ParseBlock(data)
	if err != nil {
		return nil, validation.Malformed.Verdict()
	}
	return engine.Block{From: from, Block: b}, validation.Valid.Verdict()
}

// backend is the node as package gossip sees it.
type backend Node

func (b *backend) node() *Node { return (*Node)(b) }

func (b *backend) Judge(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte) validation.Verdict {
	n := b.node()
	under := standpointOf(n.Snapshot())
	v := n.judge(ctx, topic, from, data, false)
	if waitsInRoom(topic, v.Reason) {
		n.room.enter(early{topic, from, data, under, time.Now()})
	}
	if why, later := waitsFor(v.Reason); later && topic == engine.TopicPlatformBan {
		n.putOff(from, data, why)
	}
	return v
}

func (b *backend) Status() wire.Status {
	n := b.node()
	s := n.Snapshot()
	return wire.Status{
		Version:   wire.ProtocolVersion,
		Network:   n.genesisHash,
		ProTxHash: n.serviceNode(s),
		Height:    s.Tip.Height,
		Tip:       s.Tip.Hash,
		Synced:    s.IsSynced,
		Agent:     engine.Agent,
	}
}

// serviceNode is the service node that this node is by a snapshot; zero before
// it is registered and after it is gone.
func (n *Node) serviceNode(s *engine.Snapshot) wire.Hash {
	if _, ok := s.State.Node(n.config.ProTxHash); !ok {
		return wire.Hash{}
	}
	return n.config.ProTxHash
}

func (b *backend) ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) {
	node, ok := b.node().Snapshot().State.Node(proTx)
	return node.ServiceKey, ok
}

func (b *backend) RegisteredAs(key wire.ServiceKey) (wire.Hash, bool) {
	node, ok := b.node().Snapshot().State.ByServiceKey(key)
	return node.ProTxHash, ok
}

func (b *backend) Blocks(q wire.BlockRange) (blocks [][]byte, err error) {
	for h := q.From; h < q.From+int32(q.Count); h++ {
		block, err := b.node().block(h)
		if err != nil {
			return nil, err
		}
		if block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

// block returns an encoded block of our branch; nil if there is none.
func (n *Node) block(height int32) ([]byte, error) {
	return n.store.Get(engine.KindBlock, binary.BigEndian.AppendUint32(nil, uint32(height)))
}

func (b *backend) PeerUp(p engine.Peer, s wire.Status) {
	n := b.node()
	n.admission.met(p, !s.ProTxHash.IsZero(), time.Now())
	n.tell(engine.PeerTip{Peer: p, Height: s.Height, Observer: s.ProTxHash.IsZero()})
}

func (b *backend) PeerDown(p engine.Peer) {
	n := b.node()
	n.admission.left(p)
	n.tell(engine.PeerGone{Peer: p})
}

func (b *backend) Fetched(f engine.Fetched) { b.node().tell(f) }

func (b *backend) Shares(p engine.Peer, proTx wire.Hash, shares wire.SigShares) {
	b.node().tell(engine.Shares{From: p, ProTxHash: proTx, Shares: shares})
}

func (b *backend) Misbehaved(p engine.Peer, v validation.Verdict) {
	b.node().tell(engine.Judged{From: p, Verdict: v})
}

func (b *backend) Reached(p engine.Peer, addresses []string) {
	b.node().tell(engine.Reached{Peer: p, Addresses: addresses})
}

func (b *backend) Parted(f engine.Farewell) { b.node().tell(f) }
