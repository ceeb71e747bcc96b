package node

import (
	"context"
	"strings"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// protxMethods is what can be asked about the registry as Dash Core's callers
// ask it. Source: spec/dash.md 8.2 and 8.3.
func (n *Node) protxMethods() []api.Method {
	return []api.Method{
		{
			Name: "protx list", Usage: "[registered | valid | evo] [DETAILED] [HEIGHT]",
			Help: "list the service nodes: all, those that may be drawn into quorums, or the evonodes; by hash, or with true in detail",
			Call: n.rpcProTxList,
		},
		{
			Name: "protx info", Usage: "PROTXHASH | NAME [BLOCKHASH]",
			Help: "show a service node, as it is or as it was after a block that is remembered",
			Call: n.rpcProTxInfo,
		},
	}
}

// ProTx shows a service node as `protx info` of Dash does. It has no
// collateral, no addresses of payments and no wallet. What of State is ours
// stands at its end.
type ProTx struct {
	Type          string     `json:"type"` // Regular or Evo
	Name          string     `json:"name,omitempty"`
	ProTxHash     wire.Hash  `json:"proTxHash"`
	Confirmations int32      `json:"confirmations"` // blocks from its registration to the height asked for, both counted
	State         ProTxState `json:"state"`
	Meta          ProTxMeta  `json:"metaInfo"`
}

// ProTxState is what the registry says of a node.
type ProTxState struct {
	Addresses        ProTxAddresses   `json:"addresses"`
	RegisteredHeight int32            `json:"registeredHeight"`
	PoSePenalty      int32            `json:"PoSePenalty"`
	PoSeRevived      int32            `json:"PoSeRevivedHeight"`
	PoSeBan          int32            `json:"PoSeBanHeight"`
	OperatorKey      wire.OperatorKey `json:"pubKeyOperator"`

	ServiceKey     wire.ServiceKey `json:"pubKeyService"`
	ConfirmedHash  wire.Hash       `json:"confirmedHash"`
	Service        state.Service   `json:"serviceState"`
	Revoked        bool            `json:"revoked"`
	Credit         int32           `json:"credit"` // blocks
	ActiveSince    int32           `json:"activeSinceHeight"`
	Decommissioned int32           `json:"decommissionedHeight"`
	Exit           int32           `json:"exitHeight"`
	Stake          uint64          `json:"stake"`
}

// ProTxAddresses are multiaddresses, and the URL of the platform service.
type ProTxAddresses struct {
	Core     []string `json:"core_p2p"`
	Platform string   `json:"platform,omitempty"`
}

// ProTxMeta is this node's own view of another, at the tip.
type ProTxMeta struct {
	PlatformBanned    bool  `json:"is_platform_banned"`
	PlatformBanHeight int32 `json:"platform_ban_height_updated"` // -1 if it never was
}

func (n *Node) proTx(s *engine.Snapshot, at state.State, height int32, node state.Node) ProTx {
	flag := s.Flag(node.ProTxHash)
	return ProTx{
		Type: typeName(node.Evo), Name: n.names[node.ProTxHash], ProTxHash: node.ProTxHash, Confirmations: height - node.RegisteredHeight + 1,
		State: proTxState(node, at, height),
		Meta:  ProTxMeta{flag.Set(), flag.BannedHeight},
	}
}

func proTxState(node state.Node, at state.State, height int32) ProTxState {
	addresses := node.Addresses
	if addresses == nil {
		addresses = []string{}
	}
	return ProTxState{
		Addresses: ProTxAddresses{addresses, node.Platform}, RegisteredHeight: node.RegisteredHeight,
		PoSePenalty: node.PoSe.At(height), PoSeRevived: node.RevivedHeight, PoSeBan: node.PoSe.BanHeight, OperatorKey: node.OperatorKey,
		ServiceKey: node.ServiceKey, ConfirmedHash: node.ConfirmedHash, Service: node.Service(), Revoked: node.Revoked,
		Credit: node.Credit(height, at.Rules()), ActiveSince: node.ActiveSince, Decommissioned: node.DecommissionedHeight,
		Exit: node.ExitHeight, Stake: node.Staked(),
	}
}

// typeName is a type as Dash writes it.
func typeName(evo bool) string {
	if evo {
		return "Evo"
	}
	return "Regular"
}

// proTxKinds are the lists there are. A node that may be drawn is what Dash
// calls valid; here that takes more than not to be PoSe-banned.
var proTxKinds = map[string]func(state.Node) bool{
	"registered": func(state.Node) bool { return true },
	"valid":      state.Node.Tester,
	"evo":        func(node state.Node) bool { return node.Evo },
}

func (n *Node) rpcProTxList(_ context.Context, p api.Params) (any, error) {
	if err := p.Count(0, 3); err != nil {
		return nil, err
	}
	kind, detailed := "registered", false
	s := n.Snapshot()
	height := s.TipHeight()
	var err error
	if len(p) > 0 {
		if kind, err = p.Text(0, "type"); err != nil {
			return nil, err
		}
	}
	wanted, known := proTxKinds[kind]
	if !known {
		return nil, api.Invalid("type %.20q is unknown; known: registered, valid, evo", kind)
	}
	if len(p) > 1 {
		if detailed, err = p.Bool(1, "detailed"); err != nil {
			return nil, err
		}
	}
	if len(p) > 2 {
		if height, err = p.Height(2, "height"); err != nil {
			return nil, err
		}
	}
	at, err := registryAt(s, height)
	if err != nil {
		return nil, err
	}
	hashes, details := make([]wire.Hash, 0), make([]ProTx, 0)
	for _, node := range at.Nodes() {
		switch {
		case !wanted(node):
		case detailed:
			details = append(details, n.proTx(s, at, height, node))
		default:
			hashes = append(hashes, node.ProTxHash)
		}
	}
	if detailed {
		return details, nil
	}
	return hashes, nil
}

// registryAt is the registry after a block of our branch, if that is among the
// newest.
func registryAt(s *engine.Snapshot, height int32) (state.State, error) {
	l := s.Branch.At(height)
	if l == nil {
		return state.State{}, api.NotFound("the registry at height %d is not remembered; it is from %d to %d", height, s.Branch[0].Tip.Height, s.TipHeight())
	}
	return l.State, nil
}

func (n *Node) rpcProTxInfo(_ context.Context, p api.Params) (any, error) {
	if err := p.Count(1, 2); err != nil {
		return nil, err
	}
	text, err := p.Text(0, "protxhash")
	if err != nil {
		return nil, err
	}
	proTx, err := n.find(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	s := n.Snapshot()
	height := s.TipHeight()
	if len(p) > 1 {
		hash, err := hashParam(p, 1, "blockhash")
		if err != nil {
			return nil, err
		}
		if height, err = heightOf(s, hash); err != nil {
			return nil, err
		}
	}
	at, err := registryAt(s, height)
	if err != nil {
		return nil, err
	}
	node, ok := at.Node(proTx)
	if !ok {
		return nil, api.NotFound("%s not found", proTx)
	}
	return n.proTx(s, at, height, node), nil
}

// heightOf is the height of a block that is remembered with its registry.
func heightOf(s *engine.Snapshot, hash wire.Hash) (int32, error) {
	for _, l := range s.Branch {
		if l.Tip.Hash == hash {
			return l.Tip.Height, nil
		}
	}
	return 0, api.NotFound("block %s is not among those of our branch from height %d to %d", hash, s.Branch[0].Tip.Height, s.TipHeight())
}
