package gossip

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// backend records what a service asks and tells. By default every message is
// valid, and then stored.
type backend struct {
	mu       sync.Mutex
	status   wire.Status
	lowest   int32 // signed height of a ban that can be taken
	keys     map[wire.Hash]wire.ServiceKey
	judge    func(ctx context.Context, data []byte) validation.Verdict // nil: everything is valid
	serve    func(wire.BlockRange) ([][]byte, error)
	stored   map[string]bool
	judged   []string // messages in the order in which they were judged
	requests []wire.BlockRange
	contacts map[engine.Peer][]string // "up" and "down"
	statuses map[engine.Peer]wire.Status
	fetched  []engine.Fetched
	offences []engine.Peer
	named    []validation.Verdict // of the offences that are no bad handshakes
	shares   []engine.Shares
	where    map[wire.Hash]peer.AddrInfo
	bans     []wire.PlatformBan // served to peers, in the order of a range
	registry []peer.AddrInfo
	reached  map[engine.Peer][]string
	parted   []engine.Farewell
	closed   bool
}

func newBackend() *backend {
	return &backend{
		status: goodStatus(), keys: make(map[wire.Hash]wire.ServiceKey), stored: make(map[string]bool),
		contacts: make(map[engine.Peer][]string), statuses: make(map[engine.Peer]wire.Status),
		reached: make(map[engine.Peer][]string),
	}
}

// lock is at the start of every call.
func (b *backend) lock() func() {
	b.mu.Lock()
	if b.closed {
		lateCalls.Add(1)
	}
	return b.mu.Unlock
}

func (b *backend) Judge(ctx context.Context, topic engine.Topic, from engine.Peer, data []byte) validation.Verdict {
	unlock := b.lock()
	b.judged = append(b.judged, string(data))
	judge := b.judge
	unlock()
	v := validation.Valid.Verdict()
	if judge != nil {
		v = judge(ctx, data)
	}
	defer b.lock()()
	if v.OK() {
		b.stored[topic.String()+string(data)] = true
		if m, err := wire.ParsePlatformBan(data); err == nil && topic == bans {
			b.keep(m)
		}
	}
	return v
}

// keep puts bans into the inventory; the caller has the lock.
func (b *backend) keep(all ...wire.PlatformBan) {
	for _, m := range all {
		b.stored[bans.String()+string(m.Bytes())] = true
		at, found := slices.BinarySearchFunc(b.bans, m, func(x, y wire.PlatformBan) int {
			return cmp.Or(cmp.Compare(x.SignedHeight, y.SignedHeight), bytes.Compare(inventoryHash(x), inventoryHash(y)))
		})
		if !found {
			b.bans = slices.Insert(b.bans, at, m)
		}
	}
}

func (b *backend) Stored(topic engine.Topic, data []byte) bool {
	defer b.lock()()
	return b.stored[topic.String()+string(data)]
}

func (b *backend) Status() wire.Status { defer b.lock()(); return b.status }

func (b *backend) ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) {
	defer b.lock()()
	k, ok := b.keys[proTx]
	return k, ok
}

func (b *backend) Blocks(q wire.BlockRange) ([][]byte, error) {
	unlock := b.lock()
	b.requests = append(b.requests, q)
	serve := b.serve
	unlock()
	if serve == nil {
		return nil, errors.New("no blocks here")
	}
	blocks, err := serve(q)
	b.lock()()
	return blocks, err
}

func (b *backend) PeerUp(p engine.Peer, s wire.Status) {
	defer b.lock()()
	b.contacts[p] = append(b.contacts[p], "up")
	b.statuses[p] = s
}

func (b *backend) PeerDown(p engine.Peer) {
	defer b.lock()()
	b.contacts[p] = append(b.contacts[p], "down")
}

func (b *backend) Fetched(f engine.Fetched) { defer b.lock()(); b.fetched = append(b.fetched, f) }

func (b *backend) Misbehaved(p engine.Peer, v validation.Verdict) {
	defer b.lock()()
	switch v {
	case validation.Handshake.Verdict():
		b.offences = append(b.offences, p)
	case validation.Malformed.Verdict():
		b.named = append(b.named, v)
	default:
		panic(fmt.Sprintf("misbehaviour with verdict %v", v))
	}
}

func (b *backend) RegisteredAs(key wire.ServiceKey) (wire.Hash, bool) {
	defer b.lock()()
	for node, k := range b.keys {
		if k == key {
			return node, true
		}
	}
	return wire.Hash{}, false
}

func (b *backend) Where(node wire.Hash) (peer.AddrInfo, bool) {
	defer b.lock()()
	i, ok := b.where[node]
	return i, ok
}

func (b *backend) Shares(p engine.Peer, node wire.Hash, shares wire.SigShares) {
	defer b.lock()()
	b.shares = append(b.shares, engine.Shares{From: p, ProTxHash: node, Shares: shares})
}

func (b *backend) BanSummary() wire.BanSummary { defer b.lock()(); return summary(b.bans) }

func (b *backend) BanWindow() (from, to int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lowest, math.MaxInt32
}

func (b *backend) BansInRange(q wire.BanRange) []wire.PlatformBan {
	defer b.lock()()
	var found []wire.PlatformBan
	for _, m := range b.bans {
		if q.From <= m.SignedHeight && m.SignedHeight <= q.To && len(found) < int(q.Count) &&
			(m.SignedHeight > q.From || bytes.Compare(inventoryHash(m), q.After[:]) > 0) {
			found = append(found, m)
		}
	}
	return found
}

func (b *backend) BansByHash(q wire.BanHashes) []wire.PlatformBan {
	defer b.lock()()
	return slices.DeleteFunc(slices.Clone(b.bans), func(m wire.PlatformBan) bool { return !slices.Contains(q, m.InventoryHash()) })
}

func (b *backend) Registered() []peer.AddrInfo { defer b.lock()(); return slices.Clone(b.registry) }

func (b *backend) Reached(p engine.Peer, addresses []string) {
	defer b.lock()()
	b.reached[p] = append(b.reached[p], addresses...)
}

func (b *backend) Parted(f engine.Farewell) { defer b.lock()(); b.parted = append(b.parted, f) }

// summary digests bans that are in the order of a range.
func summary(bans []wire.PlatformBan) (s wire.BanSummary) {
	for _, m := range bans {
		if len(s) == 0 || s[len(s)-1].Height != m.SignedHeight {
			s = append(s, wire.HeightDigest{Height: m.SignedHeight})
		}
		d := &s[len(s)-1]
		d.Count++
		h := wire.DoubleHash(d.Digest[:], inventoryHash(m))
		copy(d.Digest[:], h[:])
	}
	return s
}

func inventoryHash(m wire.PlatformBan) []byte { h := m.InventoryHash(); return h[:] }
