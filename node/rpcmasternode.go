package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// masternodeMethods is what can be asked about this node's own place in the
// registry, and about all, as Dash Core's callers ask it. Source: spec/dash.md
// 8.2.
func (n *Node) masternodeMethods() []api.Method {
	return []api.Method{
		{
			Name: "masternode status", Usage: "",
			Help: "show this service node as the registry has it, and what stands against it",
			Call: func(context.Context, api.Params) (any, error) { return n.masternodeStatus() },
		},
		{
			Name: "masternode count", Usage: "",
			Help: "count the service nodes, and those that may be drawn into quorums",
			Call: func(context.Context, api.Params) (any, error) { return n.masternodeCount(), nil },
		},
		{
			Name: "masternodelist", Usage: "[json] [FILTER]",
			Help: "show the service nodes by hash; with a filter, those with that text in name, hash, status, key or address",
			Call: n.rpcMasternodeList,
		},
	}
}

// MasternodeStatus answers `masternode status`.
type MasternodeStatus struct {
	Service   string      `json:"service"` // the first multiaddress in the registry
	ProTxHash wire.Hash   `json:"proTxHash"`
	Type      string      `json:"type,omitempty"`
	DMN       *ProTxState `json:"dmnState,omitempty"` // nil if it is not registered
	State     string      `json:"state"`
	Status    string      `json:"status"` // the same for people
}

// States of a service node, in Dash's words where there is one.
const (
	stateReady          = "READY"
	stateWaiting        = "WAITING_FOR_PROTX"
	stateRemoved        = "REMOVED"
	stateBanned         = "POSE_BANNED"
	stateAwaiting       = "AWAITING_STAKE"
	stateDecommissioned = "DECOMMISSIONED"
)

var stateTexts = map[string]string{
	stateReady:          "Ready",
	stateWaiting:        "Waiting for its registration to be mined",
	stateRemoved:        "It was deregistered or has left",
	stateBanned:         "PoSe-banned, until an update of its service revives it",
	stateAwaiting:       "Waiting for the rest of its stake",
	stateDecommissioned: "Decommissioned, until it passes its tests",
}

func (n *Node) masternodeStatus() (any, error) {
	self := n.config.ProTxHash
	if self.IsZero() {
		return nil, &api.Error{Code: api.CodeInternal, Message: "this node is no masternode but an observer: set protx_hash and the keys of the one it is to be"}
	}
	s := n.Snapshot()
	status := MasternodeStatus{ProTxHash: self, State: n.ownState(s.State)}
	status.Status = stateTexts[status.State]
	if node, ok := s.State.Node(self); ok {
		if len(node.Addresses) > 0 {
			status.Service = node.Addresses[0]
		}
		dmn := proTxState(node, s.State, s.TipHeight())
		status.Type, status.DMN = typeName(node.Evo), &dmn
	}
	return status, nil
}

// ownState is the state of this service node.
func (n *Node) ownState(s state.State) string {
	node, registered := s.Node(n.config.ProTxHash)
	_, buried := s.Tombstone(n.config.ProTxHash)
	switch {
	case !registered && buried:
		return stateRemoved
	case !registered:
		return stateWaiting
	default:
		return nodeState(node)
	}
}

func nodeState(node state.Node) string {
	switch {
	case node.Service() == state.Awaiting:
		return stateAwaiting
	case node.PoSeBanned():
		return stateBanned
	case node.Service() == state.Decommissioned:
		return stateDecommissioned
	default:
		return stateReady
	}
}

// MasternodeCount answers `masternode count`. Enabled are those that may be
// drawn into quorums.
type MasternodeCount struct {
	Tally
	Detailed struct {
		Regular Tally `json:"regular"`
		Evo     Tally `json:"evo"`
	} `json:"detailed"`
}

// Tally counts nodes.
type Tally struct {
	Total   int `json:"total"`
	Enabled int `json:"enabled"`
}

func (t *Tally) add(enabled bool) {
	t.Total++
	if enabled {
		t.Enabled++
	}
}

func (n *Node) masternodeCount() (c MasternodeCount) {
	for _, node := range n.Snapshot().State.Nodes() {
		of := &c.Detailed.Regular
		if node.Evo {
			of = &c.Detailed.Evo
		}
		of.add(node.Tester())
		c.add(node.Tester())
	}
	return c
}

// ListedMasternode is one entry of `masternodelist json`.
type ListedMasternode struct {
	ProTxHash   wire.Hash        `json:"proTxHash"`
	Name        string           `json:"name,omitempty"`
	Addresses   ProTxAddresses   `json:"addresses"`
	Status      string           `json:"status"` // ENABLED, POSE_BANNED, or the states that are ours
	Type        string           `json:"type"`
	PoSe        int32            `json:"pospenaltyscore"`
	OperatorKey wire.OperatorKey `json:"pubkeyoperator"`
}

// statusEnabled is what Dash calls a node in a list that is ready.
const statusEnabled = "ENABLED"

func (n *Node) rpcMasternodeList(_ context.Context, p api.Params) (any, error) {
	if err := p.Count(0, 2); err != nil {
		return nil, err
	}
	if len(p) > 0 {
		mode, err := p.Text(0, "mode")
		if err != nil {
			return nil, err
		}
		if mode != "json" {
			return nil, api.Invalid("mode %.20q is unknown; known: json", mode)
		}
	}
	var filter string
	if len(p) > 1 {
		var err error
		if filter, err = p.Text(1, "filter"); err != nil {
			return nil, err
		}
	}
	s := n.Snapshot()
	list := make(map[string]ListedMasternode)
	for _, node := range s.State.Nodes() {
		dmn := proTxState(node, s.State, s.TipHeight())
		entry := ListedMasternode{
			ProTxHash: node.ProTxHash, Name: n.names[node.ProTxHash], Addresses: dmn.Addresses, Status: nodeState(node),
			Type: typeName(node.Evo), PoSe: dmn.PoSePenalty, OperatorKey: node.OperatorKey,
		}
		if entry.Status == stateReady {
			entry.Status = statusEnabled
		}
		if strings.Contains(fmt.Sprint(entry), filter) {
			list[node.ProTxHash.String()] = entry
		}
	}
	return list, nil
}
