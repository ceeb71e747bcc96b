package inventory

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func ban(height int32, n uint16) wire.PlatformBan {
	return wire.PlatformBan{SignedHeight: height, ProTxHash: wire.Hash{byte(n), byte(n >> 8)}}
}

func TestInventory_ExpireAndVersions(t *testing.T) {
	v := New()
	for h := range int32(10) {
		if evicted := v.Add(ban(h, 1)); len(evicted) > 0 {
			t.Fatalf("evicted %v from an inventory of %d", evicted, h)
		}
		v.Add(ban(h, 1))
		v.Add(ban(h, 2))
	}
	before := v.Bans()
	expired := v.Expire(4)
	if len(expired) != 8 || v.Bans().Len() != 12 || before.Len() != 20 {
		t.Fatalf("%d expired, %d left, %d in the version before; want 8, 12, 20", len(expired), v.Bans().Len(), before.Len())
	}
	for i, m := range expired {
		if m.SignedHeight != int32(i/2) {
			t.Errorf("expired %d has height %d, want ascending heights", i, m.SignedHeight)
		}
	}
	if _, ok := v.Bans().Get(ban(4, 1).InventoryHash()); !ok {
		t.Error("a ban at the height itself expired")
	}
	if again := v.Expire(4); len(again) != 0 {
		t.Errorf("expired twice: %v", again)
	}
}

func TestInventory_IsBounded(t *testing.T) {
	v := New()
	for i := range MaxItems {
		v.Add(ban(int32(100+i%7), uint16(i)))
	}
	evicted := v.Add(ban(500, 0))
	if len(evicted) != 1 || evicted[0].SignedHeight != 100 || v.Bans().Len() != MaxItems {
		t.Fatalf("evicted %v, %d left; want one of the lowest height, %d", evicted, v.Bans().Len(), MaxItems)
	}
	if evicted := v.Add(ban(1, 1)); len(evicted) != 1 || evicted[0].SignedHeight != 1 {
		t.Errorf("evicted %v, want the newcomer that is lowest", evicted)
	}
}

// A plain map is the slow, obvious twin.
func TestInventory_HoldsWhatIsInsideTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, twin := New(), map[wire.Hash]int32{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			height := rapid.Int32Range(-3, 20).Draw(t, "height")
			if rapid.IntRange(0, 5).Draw(t, "kind") == 0 {
				v.Expire(height)
				for hash, h := range twin {
					if h < height {
						delete(twin, hash)
					}
				}
				continue
			}
			m := ban(height, uint16(rapid.IntRange(0, 3).Draw(t, "node")))
			v.Add(m)
			twin[m.InventoryHash()] = height
		}
		if v.Bans().Len() != len(twin) {
			t.Fatalf("%d bans, want %d", v.Bans().Len(), len(twin))
		}
		for hash := range twin {
			if _, ok := v.Bans().Get(hash); !ok {
				t.Fatalf("ban %s is missing", hash)
			}
		}
	})
}
