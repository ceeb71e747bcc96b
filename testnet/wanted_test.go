package testnet

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// keeper is a peer that has bans and gives them to who asks by hash. It lists
// none, so comparing inventories brings nothing of it.
type keeper struct {
	Bystander
	bans map[wire.Hash]wire.PlatformBan
}

func (k keeper) BansByHash(q wire.BanHashes) (bans []wire.PlatformBan) {
	for _, hash := range q {
		if m, ok := k.bans[hash]; ok {
			bans = append(bans, m)
		}
	}
	return bans
}

// Of one peer's bans only so many wait for a node that is not synced. Of the
// others it keeps the hash, and asks the peer for them when it can judge.
func TestWanted_IsFetchedByHash(t *testing.T) {
	const more = 20
	o := moving("core")
	o.Now = time.Now().Add(-time.Minute)
	b := newBench(t, o)
	k := keeper{Bystander{Genesis: b.Genesis, Agent: "keeper"}, make(map[wire.Hash]wire.PlatformBan)}
	b.start(5, 6) // not the author: they are behind the clock
	s := b.speaker([]int{6}, func(peers []peer.AddrInfo) (*Stranger, error) {
		key := secret(7, "keeper", 0)
		return newSpeaker(b.Network, ed25519.NewKeyFromSeed(key[:]), k, peers)
	})
	tip := b.Node(6).Snapshot().TipHeight()
	for i := range inventory.MaxDeferredOfPeer + more {
		m := b.ban(b.evo(i%5+1), tip-400+int32(i/5))
		k.bans[m.InventoryHash()] = m
	}
	for _, m := range k.bans {
		s.Say(engine.TopicPlatformBan, m.Bytes())
	}
	b.await("room for no more", func() bool {
		snapshot := b.Node(6).Snapshot()
		return snapshot.Deferred == inventory.MaxDeferredOfPeer && snapshot.Wanted == more
	})
	b.start(0)
	b.await("every ban to be judged", func() bool { // an older one that comes behind a newer one is stale
		good := b.Judged(6, validation.Valid.Verdict()) + b.Judged(6, validation.Stale.Verdict())
		return good >= inventory.MaxDeferredOfPeer+more
	})
	if s := b.Node(6).Snapshot(); s.Deferred+s.Wanted > 0 {
		t.Errorf("%d wait still, %d wanted", s.Deferred, s.Wanted)
	}
}
