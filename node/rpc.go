package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Methods is what the operator can ask of the node. Source of the ban
// command: DIP-0031, "Ban RPC command".
func (n *Node) Methods() []api.Method {
	return slices.Concat(n.serviceMethods(), n.EventMethods(), n.quorumMethods(), n.requestMethods(), n.chainMethods(), n.protxMethods(), n.masternodeMethods(), n.statusMethods(), []api.Method{
		n.healthMethod(),
		{
			Name: "platformban submit", Usage: "HEX | PROTXHASH SIGNEDHEIGHT QUORUMHASH SIGNATURE",
			Help: "judge a platform ban exactly as a peer's, store it and send it to all peers; the answer is the verdict",
			Call: n.rpcSubmit,
		},
		{
			Name: "platformban get", Usage: "INVENTORYHASH",
			Help: "show an accepted platform ban that is inside the height window",
			Call: n.rpcGet,
		},
		{
			Name: "platformban list", Usage: "",
			Help: "list the accepted platform bans that are inside the height window",
			Call: n.rpcList,
		},
		{
			Name: "getpeerinfo", Usage: "",
			Help: "list the peers that have completed the handshake",
			Call: n.rpcPeers,
		},
		{
			Name: "explainpeer", Usage: "PEER",
			Help: "show what a peer was charged and why, its ban, and the reason it gave for leaving us",
			Call: n.rpcExplainPeer,
		},
		{
			Name: "setban", Usage: "PEER add [HOURS] | PEER remove",
			Help: "refuse all contact with a peer, for 24 hours unless told otherwise, or forgive it ban and points",
			Call: n.rpcSetBan,
		},
		{
			Name: "listbanned", Usage: "",
			Help: "list the peers that are banned",
			Call: n.rpcListBanned,
		},
		{
			Name: "stop", Usage: "",
			Help: "stop the node",
			Call: func(context.Context, api.Params) (any, error) {
				n.stop()
				return "stopping", nil
			},
		},
	})
}

// SubmitResult answers `platformban submit`.
type SubmitResult struct {
	InventoryHash wire.Hash         `json:"inventory_hash"`
	Accepted      bool              `json:"accepted"`
	Outcome       string            `json:"outcome"`
	Reason        validation.Reason `json:"reason"`
	Points        int               `json:"points"` // what a peer would have been charged
}

func (n *Node) rpcSubmit(ctx context.Context, p api.Params) (any, error) {
	m, err := banParams(p)
	if err != nil {
		return nil, err
	}
	v := n.SubmitBan(ctx, m.Bytes())
	return SubmitResult{m.InventoryHash(), v.OK(), v.Outcome.String(), v.Reason, v.Points}, nil
}

// banParams reads a ban as one text of hex digits or as its four fields.
func banParams(p api.Params) (m wire.PlatformBan, err error) {
	switch len(p) {
	case 1:
		text, err := p.Text(0, "platformban")
		if err != nil {
			return m, err
		}
		raw, err := hex.DecodeString(text)
		if err != nil {
			return m, api.Invalid("platformban of %d characters, want %d hex digits", len(text), 2*wire.PlatformBanSize)
		}
		if m, err = wire.ParsePlatformBan(raw); err != nil {
			return m, api.Invalid("%s", err)
		}
		return m, nil
	case 4:
		if m.ProTxHash, err = hashParam(p, 0, "protxhash"); err != nil {
			return m, err
		}
		if m.SignedHeight, err = p.Height(1, "signedheight"); err != nil {
			return m, err
		}
		if m.QuorumHash, err = hashParam(p, 2, "quorumhash"); err != nil {
			return m, err
		}
		text, err := p.Text(3, "signature")
		if err != nil {
			return m, err
		}
		if err := wire.DecodeHex(m.Signature[:], "signature", []byte(text)); err != nil {
			return m, api.Invalid("%s", err)
		}
		return m, nil
	default:
		return m, api.Invalid("%d parameters, want 1 (hex) or 4 (protxhash, signedheight, quorumhash, signature)", len(p))
	}
}

func hashParam(p api.Params, i int, what string) (wire.Hash, error) {
	text, err := p.Text(i, what)
	if err != nil {
		return wire.Hash{}, err
	}
	h, err := wire.ParseHash(text)
	if err != nil {
		return h, api.Invalid("%s: %s", what, err)
	}
	return h, nil
}

// BanInfo shows an accepted platform ban.
type BanInfo struct {
	InventoryHash wire.Hash `json:"inventory_hash"`
	ProTxHash     wire.Hash `json:"protx_hash"`
	SignedHeight  int32     `json:"signed_height"`
	QuorumHash    wire.Hash `json:"quorum_hash"`
	Signature     string    `json:"signature"`
	FlagSet       bool      `json:"flag_set"` // of the evonode, now
}

func (n *Node) banInfo(m wire.PlatformBan) BanInfo {
	return BanInfo{
		m.InventoryHash(), m.ProTxHash, m.SignedHeight, m.QuorumHash, m.Signature.String(), n.Snapshot().Flag(m.ProTxHash).Set(),
	}
}

func (n *Node) rpcGet(_ context.Context, p api.Params) (any, error) {
	hash, err := hashParam(p, 0, "inventoryhash")
	if err != nil {
		return nil, err
	}
	m, ok := n.Snapshot().AcceptedBan(hash)
	if !ok {
		return nil, api.Invalid("no accepted ban has inventory hash %s; it may have left the window of heights", hash)
	}
	return n.banInfo(m), nil
}

func (n *Node) rpcList(context.Context, api.Params) (any, error) {
	bans := make([]BanInfo, 0)
	for _, m := range n.Snapshot().Accepted.All() {
		bans = append(bans, n.banInfo(m))
	}
	return bans, nil
}

// openAPI opens the operator's door.
func (n *Node) openAPI() (err error) {
	if n.config.APIAddress == "" {
		return nil
	}
	if n.config.APICookie == "" {
		return fmt.Errorf("api: an address without a cookie file")
	}
	n.api, err = api.Listen(n.config.APIAddress, n.config.APICookie, n.Methods(), n.registry, n.probes()...)
	return err
}
