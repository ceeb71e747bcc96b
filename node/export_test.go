package node

import (
	"context"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// JudgeFrom judges a platform ban as if a peer had sent it, without transport.
func (n *Node) JudgeFrom(ctx context.Context, from engine.Peer, ban []byte) validation.Verdict {
	return n.judge(ctx, engine.TopicPlatformBan, from, ban, false)
}

// Trust counts a peer as a service node in contact.
func (n *Node) Trust(p engine.Peer) { n.admission.met(p, true, time.Now()) }
