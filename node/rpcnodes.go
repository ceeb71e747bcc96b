package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// ServiceNode shows one service node of the registry.
type ServiceNode struct {
	Name                 string       `json:"name,omitempty"` // in the genesis
	ProTxHash            wire.Hash    `json:"protx_hash"`
	Type                 string       `json:"type"`  // regular or evo
	State                string       `json:"state"` // awaiting, active or decommissioned
	PoSeBanned           bool         `json:"pose_banned"`
	PoSeScore            int32        `json:"pose_score"`        // it falls by one each block, unless it is banned
	PoSeMaximum          int32        `json:"pose_maximum"`      // the score that bans
	Revoked              bool         `json:"revoked"`           // given up by its operator
	PlatformBanFlag      bool         `json:"platform_ban_flag"` // as this node sees it
	Credit               int32        `json:"credit"`            // blocks
	Stake                uint64       `json:"stake"`
	RegisteredHeight     int32        `json:"registered_height"`
	ActiveSince          int32        `json:"active_since"`          // -1 while awaiting
	DecommissionedHeight int32        `json:"decommissioned_height"` // -1 unless decommissioned
	Cause                *wire.Answer `json:"cause,omitempty"`       // of the last decommission
	ExitHeight           int32        `json:"exit_height"`           // it leaves in the first block above; -1 if nobody asked
	RewardPosition       int          `json:"reward_position"`       // 1 is paid next; 0 is not in the order
	ProofHeight          int32        `json:"proof_height"`          // the last uptime proof was heard here at; -1 if never
	ProofAge             int32        `json:"proof_age"`             // blocks since; -1 if never
	Addresses            []string     `json:"addresses"`
	Platform             string       `json:"platform,omitempty"` // endpoint of an evonode's platform service
}

// ServiceNodes shows the registry at the tip.
func (n *Node) ServiceNodes() (list []ServiceNode) {
	s := n.Snapshot()
	list = make([]ServiceNode, 0, s.State.NodeCount())
	position := make(map[wire.Hash]int)
	for proTx := range s.State.RewardOrder() {
		position[proTx] = len(position) + 1
	}
	for _, node := range s.State.Nodes() {
		list = append(list, n.serviceNodeInfo(s, node, position[node.ProTxHash]))
	}
	return list
}

func (n *Node) serviceNodeInfo(s *engine.Snapshot, node state.Node, position int) ServiceNode {
	info := ServiceNode{
		Name: n.names[node.ProTxHash], ProTxHash: node.ProTxHash, Type: nodeType(node.Evo), State: node.Service().String(),
		PoSeBanned: node.PoSeBanned(), PoSeScore: node.PoSe.At(s.Tip.Height), PoSeMaximum: state.PoSeMaximum(s.State.NodeCount()), Platform: node.Platform, PlatformBanFlag: s.Flag(node.ProTxHash).Set(),
		Credit: node.Credit(s.Tip.Height, s.State.Rules()), Stake: node.Staked(),
		RegisteredHeight: node.RegisteredHeight, ActiveSince: node.ActiveSince, DecommissionedHeight: node.DecommissionedHeight,
		Revoked: node.Revoked, ExitHeight: node.ExitHeight, RewardPosition: position, ProofHeight: -1, ProofAge: -1, Addresses: node.Addresses,
	}
	if node.Decommissions > 0 {
		info.Cause = &node.Cause
	}
	if r, ok := s.Proofs.Get(node.ProTxHash); ok {
		info.ProofHeight, info.ProofAge = r.Heard, max(0, s.Tip.Height-r.Heard)
		info.Addresses = r.Proof.Addresses
	}
	return info
}

func nodeType(evo bool) string {
	if evo {
		return "evo"
	}
	return "regular"
}

// Explanation says how a service node came to be what it is at a height.
type Explanation struct {
	Name      string            `json:"name,omitempty"`
	ProTxHash wire.Hash         `json:"protx_hash"`
	Height    int32             `json:"height"` // the explanation is of
	Tip       int32             `json:"tip"`
	State     string            `json:"state"`          // awaiting, active, decommissioned or gone
	Credit    *Credit           `json:"credit"`         // null if the node is gone
	Node      *ServiceNode      `json:"node,omitempty"` // as it is at the tip; only if the height is the tip's
	Tombstone *state.Tombstone  `json:"tombstone,omitempty"`
	Decisions []engine.Decision `json:"decisions"` // up to the height, oldest first
	Names     map[string]string `json:"names"`     // of the voters, by ProTxHash

	PlatformBan *PlatformBanInfo `json:"platform_ban,omitempty"` // of an evonode; only if the height is the tip's
}

// Credit is the arithmetic of a credit in blocks: Base + Earned - Down.
type Credit struct {
	Base         int32  `json:"base"`
	ActiveBlocks int32  `json:"active_blocks"`
	Earned       int32  `json:"earned"`
	Down         int32  `json:"down"`
	Total        int32  `json:"total"`
	Minimum      int32  `json:"minimum"` // a failing node with as much is decommissioned, not deregistered
	IfFailing    string `json:"if_failing_now"`
}

// Explain explains a service node at a height, from what was stored with each
// decision. The error names what is wrong with the question.
func (n *Node) Explain(proTx wire.Hash, height int32) (x Explanation, err error) {
	s := n.Snapshot()
	if height < 0 || height > s.Tip.Height {
		return x, fmt.Errorf("height %d is not on our branch, which goes from 0 to %d", height, s.Tip.Height)
	}
	x = Explanation{Name: n.names[proTx], ProTxHash: proTx, Height: height, Tip: s.Tip.Height, State: gone, Decisions: []engine.Decision{}, Names: map[string]string{}}
	decisions, err := engine.Decisions(n.store, proTx, height)
	if err != nil {
		return x, err
	}
	x.Decisions = append(x.Decisions, decisions...) // no decisions are an empty list, not null
	was, known := n.nodeAt(s, x.Decisions, proTx, height)
	t, dead := s.State.Tombstone(proTx)
	if dead && t.Height <= height {
		x.Tombstone = &t
	}
	if !known && x.Tombstone == nil && len(x.Decisions) == 0 {
		return x, fmt.Errorf("node %s was never registered on our branch up to height %d", proTx, height)
	}
	if known {
		x.State = was.Service().String()
		credit := creditOf(was, height, s)
		x.Credit = &credit
	}
	if node, ok := s.State.Node(proTx); ok && height == s.Tip.Height {
		info := n.serviceNodeInfo(s, node, slices.Index(slices.Collect(s.State.RewardOrder()), proTx)+1)
		x.Node, x.PlatformBan = &info, n.platformBan(s, proTx)
	}
	for _, d := range x.Decisions {
		for _, v := range d.Voters {
			x.Names[v.ProTxHash.String()] = n.names[v.ProTxHash]
		}
	}
	return x, nil
}

// nodeAt is a node as it was after its last change of state up to a height.
func (n *Node) nodeAt(s *engine.Snapshot, decisions []engine.Decision, proTx wire.Hash, height int32) (state.Node, bool) {
	if len(decisions) > 0 {
		if last := decisions[len(decisions)-1]; last.After != nil {
			return *last.After, true
		}
		return state.Node{}, false
	}
	return n.genesisState.Node(proTx) // nothing was decided about it since
}

func creditOf(node state.Node, height int32, s *engine.Snapshot) Credit {
	rules := s.State.Rules()
	a := node.CreditParts(height, rules)
	c := Credit{Base: a.Base, ActiveBlocks: a.Active, Earned: a.Earned, Down: a.Down, Total: a.Total(), Minimum: rules.MinimumCredit}
	switch service := node.Service(); {
	case service == state.Awaiting:
		c.IfFailing = "nothing: it is not tested"
	case service == state.Decommissioned && c.Total >= 0:
		c.IfFailing = "nothing yet"
	case service == state.Active && c.Total >= rules.MinimumCredit:
		c.IfFailing = "decommissioned"
	default:
		c.IfFailing = "deregistered"
	}
	return c
}

// find reads a node's ProTxHash or its name in the genesis.
func (n *Node) find(text string) (wire.Hash, error) {
	if h, err := wire.ParseHash(text); err == nil {
		return h, nil
	}
	for proTx, name := range n.names {
		if name == text {
			return proTx, nil
		}
	}
	return wire.Hash{}, api.Invalid("%.80q is neither 64 hex digits nor the name of a node in the genesis", text)
}

func (n *Node) serviceMethods() []api.Method {
	return []api.Method{
		{
			Name: "nodes", Usage: "",
			Help: "list the service nodes with state, credit, place in the reward order and last uptime proof",
			Call: func(context.Context, api.Params) (any, error) { return n.ServiceNodes(), nil },
		},
		{
			Name: "explain", Usage: "PROTXHASH | NAME [HEIGHT]",
			Help: "show how a service node came to its state: who saw what, the certificate, the block, the arithmetic",
			Call: n.rpcExplain,
		},
	}
}

func (n *Node) rpcExplain(_ context.Context, p api.Params) (any, error) {
	if len(p) < 1 || len(p) > 2 {
		return nil, api.Invalid("%d parameters, want 1 (protxhash or name) or 2 (and a height)", len(p))
	}
	text, err := p.Text(0, "node")
	if err != nil {
		return nil, err
	}
	proTx, err := n.find(text)
	if err != nil {
		return nil, err
	}
	height := n.Snapshot().TipHeight()
	if len(p) == 2 {
		if height, err = p.Height(1, "height"); err != nil {
			return nil, err
		}
	}
	x, err := n.Explain(proTx, height)
	if err != nil {
		return nil, api.Invalid("%s", err)
	}
	return x, nil
}
