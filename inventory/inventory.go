// Package inventory remembers the platform bans that were accepted while they
// are inside the height window, so that one offered again costs no second
// judgement and a forged twin of one is known for what it is.
package inventory

import (
	"maps"
	"slices"

	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// MaxItems is the most bans kept. Each needed a quorum's signature, so an
// attacker without a quorum adds none; beyond it the lowest heights go first.
const MaxItems = 16_384

// Bans is one version of the inventory, by inventory hash.
type Bans = trie.Map[wire.PlatformBan]

// Inventory holds accepted bans. It is not safe for concurrent use; Bans
// returns a version that is.
type Inventory struct {
	bans     Bans
	byHeight map[int32][]wire.Hash
}

// New returns an empty inventory.
func New() *Inventory { return &Inventory{byHeight: make(map[int32][]wire.Hash)} }

// Bans returns the present version.
func (v *Inventory) Bans() Bans { return v.bans }

// Add remembers m and returns the bans that had to go to make room.
func (v *Inventory) Add(m wire.PlatformBan) (evicted []wire.PlatformBan) {
	hash := m.InventoryHash()
	if _, ok := v.bans.Get(hash); ok {
		return nil
	}
	v.bans = v.bans.Set(hash, m)
	v.byHeight[m.SignedHeight] = append(v.byHeight[m.SignedHeight], hash)
	for v.bans.Len() > MaxItems {
		lowest := slices.Min(slices.Collect(maps.Keys(v.byHeight)))
		evicted = append(evicted, v.remove(lowest, 1)...)
	}
	return evicted
}

// Expire forgets the bans signed below height and returns them in ascending
// order of their heights.
func (v *Inventory) Expire(height int32) (expired []wire.PlatformBan) {
	for _, h := range slices.Sorted(maps.Keys(v.byHeight)) {
		if h >= height {
			break
		}
		expired = append(expired, v.remove(h, len(v.byHeight[h]))...)
	}
	return expired
}

// remove takes out the n bans of height that came first.
func (v *Inventory) remove(height int32, n int) (removed []wire.PlatformBan) {
	hashes := v.byHeight[height]
	for _, hash := range hashes[:n] {
		m, _ := v.bans.Get(hash)
		removed = append(removed, m)
		v.bans = v.bans.Delete(hash)
	}
	if v.byHeight[height] = hashes[n:]; n == len(hashes) {
		delete(v.byHeight, height)
	}
	return removed
}
