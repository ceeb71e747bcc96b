package node

import (
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// PlatformBanInfo is what this node knows of an evonode's platform ban: who
// signed it, and what it saw itself. All of it is local.
type PlatformBanInfo struct {
	FlagSet       bool               `json:"flag_set"`
	SignedHeight  int32              `json:"signed_height"`  // of the newest ban; -1 if there was none
	ClearedHeight int32              `json:"cleared_height"` // of the last block that cleared a flag; -1 if none did
	InventoryHash *wire.Hash         `json:"inventory_hash,omitempty"`
	Quorum        *QuorumInfo        `json:"quorum,omitempty"`  // that signed the ban
	Request       *engine.BanRequest `json:"request,omitempty"` // of ours
	Attempts      []engine.Attempt   `json:"attempts,omitempty"`
}

// platformBan returns nil if there is nothing to tell.
func (n *Node) platformBan(s *engine.Snapshot, proTx wire.Hash) *PlatformBanInfo {
	flag := s.Flag(proTx)
	info := PlatformBanInfo{FlagSet: flag.Set(), SignedHeight: flag.BannedHeight, ClearedHeight: flag.ClearedHeight}
	request, asked := s.Requests.Get(proTx)
	if asked {
		info.Request = &request
	}
	endpoint, watched := s.Endpoints.Get(proTx)
	if watched {
		info.Attempts = endpoint.Attempts
	}
	if flag.BannedHeight < 0 {
		if !asked && !watched {
			return nil
		}
		return &info
	}
	hash := flag.Ban.InventoryHash()
	info.InventoryHash = &hash
	t := s.State.PlatformType()
	llmq, _ := s.State.LLMQ(t)
	if q, ok := s.State.Quorum(t, flag.Ban.QuorumHash); ok {
		quorum := n.quorumInfo(s, llmq, q)
		quorum.Members = n.quorumMembers(s, q)
		info.Quorum = &quorum
	}
	return &info
}
