package node

import (
	"context"
	"fmt"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// signMethods is what the operator of a member can have signed, see decision
// 027. Source: spec/dash.md 8.2.
func (n *Node) signMethods() []api.Method {
	return []api.Method{
		{
			Name: "quorum sign", Usage: "TYPE ID MSGHASH [QUORUMHASH] [SUBMIT]",
			Help: "sign, as a member, a message for a request, and never another one for it; with SUBMIT false show the share instead of sending it",
			Call: atMost(5, n.rpcSign),
		},
		{
			Name: "quorum platformsign", Usage: "ID MSGHASH [QUORUMHASH] [SUBMIT]",
			Help: "quorum sign by the platform quorum; for a ban use platformban request",
			Call: atMost(4, n.rpcPlatformSign),
		},
	}
}

// ShareInfo shows a member's share as `quorum sign` of Dash does.
type ShareInfo struct {
	Type       wire.LLMQType `json:"llmqType"`
	QuorumHash wire.Hash     `json:"quorumHash"`
	Member     uint16        `json:"quorumMember"`
	ID         wire.Hash     `json:"id"`
	MsgHash    wire.Hash     `json:"msgHash"`
	SignHash   wire.Hash     `json:"signHash"`
	Signature  string        `json:"signature"`
}

func (n *Node) rpcSign(ctx context.Context, p api.Params) (any, error) {
	llmq, err := llmqParam(n.Snapshot(), p, 0)
	if err != nil {
		return nil, err
	}
	return n.sign(ctx, llmq.Type, p[1:])
}

func (n *Node) rpcPlatformSign(ctx context.Context, p api.Params) (any, error) {
	return n.sign(ctx, n.Snapshot().State.PlatformType(), p)
}

// sign reads ID MSGHASH [QUORUMHASH] [SUBMIT] and has the engine sign.
func (n *Node) sign(ctx context.Context, t wire.LLMQType, p api.Params) (any, error) {
	in := engine.SignRequest{Type: t, Submit: true}
	var err error
	if in.ID, err = hashParam(p, 0, "id"); err != nil {
		return nil, err
	}
	if in.MessageHash, err = hashParam(p, 1, "msghash"); err != nil {
		return nil, err
	}
	if in.Quorum, err = namedQuorum(p, 2); err != nil {
		return nil, err
	}
	if len(p) > 3 {
		if in.Submit, err = p.Bool(3, "submit"); err != nil {
			return nil, err
		}
	}
	switch r := n.reply(ctx, in); {
	case !r.Verdict.OK():
		return nil, unsigned(in, r.Verdict.Reason)
	case in.Submit:
		return true, nil
	default:
		x := *r.Share
		return ShareInfo{x.Type, x.QuorumHash, x.Member, x.ID, x.MessageHash, x.SignHash(), x.Signature.String()}, nil
	}
}

// unsigned says why this node does not sign.
func unsigned(in engine.SignRequest, why validation.Reason) error {
	switch why {
	case validation.RequestNoQuorum:
		if in.Quorum.IsZero() {
			return api.NotFound("no quorums active")
		}
		return errNoQuorum
	case validation.RequestNoMember:
		return fmt.Errorf("%s: this node has no share of the key of that quorum: see quorum memberof", why)
	case validation.RequestOther:
		return fmt.Errorf("%s: another message was signed for request %s, by this node or by the quorum", why, in.ID)
	case validation.RequestRefused:
		return fmt.Errorf("%s: as many requests are signed, or under way, as may be: see docs/limits.md", why)
	case validation.NotSynced:
		return fmt.Errorf("%s: this node would choose the quorum by an old tip: see status", why)
	default:
		return fmt.Errorf("%s: the node is too busy, or stops", why)
	}
}
