package inventory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Summary digests the bans signed at height from or above, by height.
func Summary(bans Bans, from int32) wire.BanSummary {
	hashes := make(map[int32][]byte) // in ascending order, as All walks
	for hash, m := range bans.All() {
		if m.SignedHeight >= from {
			hashes[m.SignedHeight] = append(hashes[m.SignedHeight], hash[:]...)
		}
	}
	summary := make(wire.BanSummary, 0, len(hashes))
	for _, h := range slices.Sorted(maps.Keys(hashes)) {
		digest := wire.DoubleHash(hashes[h])
		summary = append(summary, wire.HeightDigest{
			Height: h,
			Count:  uint16(len(hashes[h]) / wire.HashSize), // MaxItems fits
			Digest: [wire.BanDigestSize]byte(digest[:]),
		})
	}
	return summary
}

// Range answers q with the bans signed at height from or above.
func Range(bans Bans, q wire.BanRange, from int32) (page []wire.PlatformBan) {
	type item struct {
		hash wire.Hash
		ban  wire.PlatformBan
	}
	var items []item
	for hash, m := range bans.All() {
		after := m.SignedHeight > q.From || m.SignedHeight == q.From && bytes.Compare(hash[:], q.After[:]) > 0
		if after && m.SignedHeight <= q.To && m.SignedHeight >= from {
			items = append(items, item{hash, m})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.ban.SignedHeight, b.ban.SignedHeight), bytes.Compare(a.hash[:], b.hash[:]))
	})
	for _, i := range items[:min(len(items), int(q.Count))] {
		page = append(page, i.ban)
	}
	return page
}
