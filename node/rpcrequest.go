package node

import (
	"context"
	"slices"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// requestMethods is what the operator of a member can ask its quorum for.
func (n *Node) requestMethods() []api.Method {
	return []api.Method{
		{
			Name: "platformban request", Usage: "PROTXHASH | NAME [withdraw]",
			Help: "ask, as a member, the platform quorum to sign a ban of an evonode; or ask no longer",
			Call: n.rpcRequestBan,
		},
		{
			Name: "platformban requests", Usage: "",
			Help: "list the bans that this node, as a member, asks for, with the evidence of its monitor",
			Call: n.rpcBanRequests,
		},
	}
}

// RequestResult answers `platformban request`.
type RequestResult struct {
	ProTxHash wire.Hash          `json:"protx_hash"`
	Accepted  bool               `json:"accepted"`
	Outcome   string             `json:"outcome"`
	Reason    validation.Reason  `json:"reason"`
	Detail    string             `json:"detail,omitempty"`  // for people: why not
	Request   *engine.BanRequest `json:"request,omitempty"` // as it stands now
}

func (n *Node) rpcRequestBan(ctx context.Context, p api.Params) (any, error) {
	if len(p) < 1 || len(p) > 2 {
		return nil, api.Invalid("%d parameters, want 1 (protxhash or name) or 2 (and withdraw)", len(p))
	}
	text, err := p.Text(0, "node")
	if err != nil {
		return nil, err
	}
	proTx, err := n.find(text)
	if err != nil {
		return nil, err
	}
	withdraw := len(p) == 2
	if withdraw {
		if word, err := p.Text(1, "withdraw"); err != nil {
			return nil, err
		} else if word != "withdraw" {
			return nil, api.Invalid("%.20q is not withdraw", word)
		}
	}
	v := n.RequestBan(ctx, proTx, withdraw)
	result := RequestResult{ProTxHash: proTx, Accepted: v.OK(), Outcome: v.Outcome.String(), Reason: v.Reason}
	s := n.Snapshot()
	if r, ok := s.Requests.Get(proTx); ok {
		result.Request = &r
	}
	if !v.OK() {
		result.Detail = n.refusal(s, proTx, v.Reason, withdraw)
	}
	return result, nil
}

// refusal says why this node may not ask for a ban, or take the request back.
func (n *Node) refusal(s *engine.Snapshot, proTx wire.Hash, why validation.Reason, withdraw bool) string {
	node, registered := s.State.Node(proTx)
	switch {
	case why == validation.RequestNoMember:
		return "this node has no share of the key of a platform quorum that signs now: see quorum memberof"
	case why != validation.RequestRefused:
		return ""
	case withdraw:
		return "this node does not ask for that ban"
	case !registered:
		return "it is not registered"
	case !node.Evo:
		return "it is no evonode"
	case node.PoSeBanned():
		return "it is PoSe-banned already"
	case s.Flag(proTx).Set():
		return "its platform-ban flag is set already"
	case proTx == n.config.ProTxHash:
		return "it is this node itself"
	default:
		return "as many bans are asked for as may be"
	}
}

func (n *Node) rpcBanRequests(context.Context, api.Params) (any, error) {
	list := make([]engine.BanRequest, 0)
	for _, r := range n.Snapshot().Requests.All() {
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b engine.BanRequest) int { return int(a.Since) - int(b.Since) })
	return list, nil
}
