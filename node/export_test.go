package node

import (
	"context"
	"time"

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
