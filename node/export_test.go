package node

import (
	"context"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// JudgeFrom judges a platform ban as if a peer had sent it, without transport.
func (n *Node) JudgeFrom(ctx context.Context, from engine.Peer, ban []byte) validation.Verdict {
	return n.judge(ctx, engine.TopicPlatformBan, from, ban)
}
