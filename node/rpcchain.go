package node

import (
	"context"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/metrics"
	"github.com/proctornet/proctor/wire"
)

// chainMethods is what can be asked about the chain and the node itself, as
// Dash Core's callers ask it. Source: spec/dash.md 8.2. There is no
// getbestchainlock: nobody signs a chain lock here, and what is final follows
// from who made the blocks.
func (n *Node) chainMethods() []api.Method {
	return []api.Method{
		{
			Name: "getblockcount", Usage: "",
			Help: "tell the height of the best block",
			Call: func(context.Context, api.Params) (any, error) { return n.Snapshot().TipHeight(), nil },
		},
		{
			Name: "getbestblockhash", Usage: "",
			Help: "tell the hash of the best block",
			Call: func(context.Context, api.Params) (any, error) { return n.Snapshot().Tip.Hash, nil },
		},
		{
			Name: "getblockhash", Usage: "HEIGHT",
			Help: "tell the hash of the block of our branch at a height",
			Call: n.rpcBlockHash,
		},
		{
			Name: "getfinalblock", Usage: "",
			Help: "show the newest block that is never undone",
			Call: func(context.Context, api.Params) (any, error) {
				final := n.Snapshot().Final
				return FinalBlock{final.Hash, final.Height}, nil
			},
		},
		{
			Name: "getblockchaininfo", Usage: "",
			Help: "show the chain that this node follows, and how far it has come",
			Call: func(context.Context, api.Params) (any, error) { return n.chainInfo(), nil },
		},
		{
			Name: "mnsync status", Usage: "",
			Help: "tell whether the chain and the list of service nodes are the network's",
			Call: func(context.Context, api.Params) (any, error) { return n.syncStatus(), nil },
		},
		{
			Name: "getnetworkinfo", Usage: "",
			Help: "show this node as its peers meet it",
			Call: func(context.Context, api.Params) (any, error) { return n.networkInfo(), nil },
		},
		{
			Name: "uptime", Usage: "",
			Help: "tell for how many seconds the node has been running",
			Call: func(context.Context, api.Params) (any, error) {
				return int64(time.Since(n.pulse.started) / time.Second), nil
			},
		},
	}
}

func (n *Node) rpcBlockHash(_ context.Context, p api.Params) (any, error) {
	if err := p.Count(1, 1); err != nil {
		return nil, err
	}
	height, err := p.Height(0, "height")
	if err != nil {
		return nil, err
	}
	s := n.Snapshot()
	if height < 0 || height > s.TipHeight() {
		return nil, api.NotFound("Block height out of range: %d is not in 0 to %d", height, s.TipHeight())
	}
	if height == 0 {
		return n.genesisHash, nil
	}
	hash := n.blockHash(s, height)
	if hash.IsZero() {
		return nil, api.NotFound("Block not found: height %d is being replaced; try again", height)
	}
	return hash, nil
}

// FinalBlock answers `getfinalblock`.
type FinalBlock struct {
	Hash   wire.Hash `json:"blockhash"`
	Height int32     `json:"height"`
}

// ChainInfo answers `getblockchaininfo`. Slots, finality and the genesis are
// ours; work, pruning and soft forks are Dash's alone.
type ChainInfo struct {
	Chain   string    `json:"chain"`
	Blocks  int32     `json:"blocks"`
	Best    wire.Hash `json:"bestblockhash"`
	Time    int64     `json:"time"`                 // start of its slot, Unix seconds
	Behind  bool      `json:"initialblockdownload"` // the network is ahead of us as far as we can tell
	Final   int32     `json:"finalheight"`
	Slot    uint64    `json:"slot"` // of the best block
	Now     uint64    `json:"currentslot"`
	SlotMS  int64     `json:"slotms"` // length of a slot
	Genesis wire.Hash `json:"genesishash"`
	Root    wire.Hash `json:"stateroot"` // after the best block
	Profile string    `json:"ruleprofile"`
}

func (n *Node) chainInfo() ChainInfo {
	s, g := n.Snapshot(), n.config.Genesis
	return ChainInfo{
		Chain: g.Network, Blocks: s.TipHeight(), Best: s.Tip.Hash, Time: g.SlotStart(s.Tip.Slot).Unix(), Behind: !s.Synced(),
		Final: s.Final.Height, Slot: s.Tip.Slot, Now: g.SlotAt(time.Now()), SlotMS: g.SlotMillis,
		Genesis: n.genesisHash, Root: s.State.Root(), Profile: g.Profile,
	}
}

// SyncStatus answers `mnsync status`. The list of service nodes is part of the
// chain, so there is one thing to be synced.
type SyncStatus struct {
	AssetID            int    `json:"AssetID"`
	AssetName          string `json:"AssetName"`
	IsBlockchainSynced bool   `json:"IsBlockchainSynced"`
	IsSynced           bool   `json:"IsSynced"`
}

// Stages of Dash's synchronisation that exist here.
const (
	syncBlockchain = 1
	syncFinished   = 999
)

func (n *Node) syncStatus() SyncStatus {
	if n.Snapshot().Synced() {
		return SyncStatus{syncFinished, "MASTERNODE_SYNC_FINISHED", true, true}
	}
	return SyncStatus{syncBlockchain, "MASTERNODE_SYNC_BLOCKCHAIN", false, false}
}

// NetworkInfo answers `getnetworkinfo`.
type NetworkInfo struct {
	Version        string   `json:"subversion"`
	Protocol       uint32   `json:"protocolversion"`
	Connections    int      `json:"connections"` // peers that have completed the handshake
	ConnectionsIn  int      `json:"connections_in"`
	ConnectionsOut int      `json:"connections_out"`
	LocalAddresses []string `json:"localaddresses"` // multiaddresses told to peers
	PeerID         string   `json:"peerid"`
}

func (n *Node) networkInfo() NetworkInfo {
	info := NetworkInfo{
		Version: "/" + engine.Agent + ":" + metrics.Version() + "/", Protocol: wire.ProtocolVersion,
		LocalAddresses: []string{}, PeerID: n.gossip.ID().String(),
	}
	for _, c := range n.gossip.Contacts() {
		info.Connections++
		if c.Inbound {
			info.ConnectionsIn++
		}
	}
	info.ConnectionsOut = info.Connections - info.ConnectionsIn
	for _, a := range n.gossip.Addrs() {
		info.LocalAddresses = append(info.LocalAddresses, a.String())
	}
	return info
}
