package node

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// shareSlack is how many blocks before the end of the height window a ban is
// no longer shown: the peer's tip may be ahead of ours, and what is outside
// its window would cost us points. Source: spec/gossip.md 3.4.
const shareSlack = 6

// lowestShared is the lowest signed height of the bans that we share.
func lowestShared(s *engine.Snapshot) int32 { return s.Tip.Height - params.BanWindow + shareSlack }

// A node that is not synced shares nothing: it does not know what its peers
// would find too old.
func (b *backend) BanSummary() wire.BanSummary {
	s := b.node().Snapshot()
	if !s.IsSynced {
		return nil
	}
	return inventory.Summary(s.Accepted, lowestShared(s))
}

func (b *backend) BanWindow() (from, to int32) {
	tip := b.node().Snapshot().TipHeight()
	return tip - params.BanWindow, tip
}

func (b *backend) BansInRange(q wire.BanRange) []wire.PlatformBan {
	s := b.node().Snapshot()
	if !s.IsSynced {
		return nil
	}
	return inventory.Range(s.Accepted, q, lowestShared(s))
}

func (b *backend) BansByHash(q wire.BanHashes) (bans []wire.PlatformBan) {
	s := b.node().Snapshot()
	for _, hash := range q {
		if m, ok := s.AcceptedBan(hash); ok && m.SignedHeight >= lowestShared(s) {
			bans = append(bans, m)
		}
	}
	return bans
}

// Registered lists the service nodes of the registry and where it says they
// are reached. Addresses there are text that nobody has checked.
func (b *backend) Registered() (peers []peer.AddrInfo) {
	n := b.node()
	for _, node := range n.Snapshot().State.Nodes() {
		id, err := gossip.PeerID(node.ServiceKey)
		if err != nil || id == n.gossip.ID() {
			continue
		}
		if info := addrInfo(id, node.Addresses); len(info.Addrs) > 0 {
			peers = append(peers, info)
		}
	}
	return peers
}

// Where is a service node's identity and where the registry says it is reached.
func (b *backend) Where(proTx wire.Hash) (peer.AddrInfo, bool) {
	node, ok := b.node().Snapshot().State.Node(proTx)
	if !ok {
		return peer.AddrInfo{}, false
	}
	id, err := gossip.PeerID(node.ServiceKey)
	return addrInfo(id, node.Addresses), err == nil
}

func addrInfo(id peer.ID, addresses []string) peer.AddrInfo {
	info := peer.AddrInfo{ID: id}
	for _, text := range addresses {
		if a, err := multiaddr.NewMultiaddr(text); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info
}

// known are the peers that an earlier run has reached.
func known(contacts []engine.Contact) (peers []peer.AddrInfo) {
	for _, c := range contacts {
		if info := addrInfo(peer.ID(c.Peer), c.Addresses); len(info.Addrs) > 0 {
			peers = append(peers, info)
		}
	}
	return peers
}
