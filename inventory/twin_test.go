package inventory

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

// What was accepted first stays: a twin with another signature has the same
// inventory hash and must not take its place.
func TestInventory_TwinDoesNotReplace(t *testing.T) {
	v := New()
	genuine := ban(5, 1)
	genuine.Signature[0] = 1
	twin := genuine
	twin.Signature[0] = 2
	v.Add(genuine)
	if evicted := v.Add(twin); len(evicted) > 0 || v.Bans().Len() != 1 {
		t.Errorf("a twin evicts %v and leaves %d bans, want 1", evicted, v.Bans().Len())
	}
	if got, _ := v.Bans().Get(genuine.InventoryHash()); got != genuine {
		t.Error("a twin took the place of the ban accepted first")
	}
	if expired := v.Expire(6); len(expired) != 1 || expired[0] != genuine {
		t.Errorf("expired %v, want the ban accepted first, once", expired)
	}
}

func TestInventory_EvictsInOrderOfArrival(t *testing.T) {
	v := New()
	for i := range MaxItems {
		v.Add(ban(100, uint16(i)))
	}
	full := v.Bans()
	for i := range 3 {
		want := ban(100, uint16(i))
		if evicted := v.Add(ban(101, uint16(i))); len(evicted) != 1 || evicted[0] != want {
			t.Errorf("newcomer %d evicts %v, want %v", i, evicted, want)
		}
	}
	if evicted := v.Add(ban(101, 2)); len(evicted) > 0 {
		t.Errorf("a duplicate evicts %v from a full inventory", evicted)
	}
	if _, ok := full.Get(ban(100, 0).InventoryHash()); !ok || full.Len() != MaxItems {
		t.Error("eviction changed the version before it")
	}
	if _, ok := v.Bans().Get(ban(100, 0).InventoryHash()); ok {
		t.Error("the evicted ban is still there")
	}
}

func TestInventory_ExpireAtTheEnds(t *testing.T) {
	v := New()
	for _, h := range []int32{math.MinInt32, -1, 0, math.MaxInt32} {
		v.Add(ban(h, 1))
	}
	for _, c := range []struct {
		below int32
		left  int
	}{{math.MinInt32, 4}, {0, 2}, {1, 1}, {math.MaxInt32, 1}} {
		if v.Expire(c.below); v.Bans().Len() != c.left {
			t.Errorf("%d bans left from height %d on, want %d", v.Bans().Len(), c.below, c.left)
		}
	}
	if len(v.byHeight) != 1 {
		t.Errorf("%d heights are remembered for one ban", len(v.byHeight))
	}
}

// A version keeps what it had whatever happens afterwards, and what goes is
// told exactly once.
func TestInventory_VersionsAndAccounts(t *testing.T) {
	type version struct {
		bans Bans
		want []wire.Hash
	}
	walk := func(b Bans) (all []wire.Hash) {
		for hash := range b.All() {
			all = append(all, hash)
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		v := New()
		var versions []version
		added, gone := map[wire.Hash]int{}, map[wire.Hash]int{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			height := rapid.Int32Range(0, 9).Draw(t, "height")
			if rapid.Bool().Draw(t, "add") {
				m := ban(height, rapid.Uint16Range(0, 2).Draw(t, "node"))
				if _, had := v.Bans().Get(m.InventoryHash()); !had {
					added[m.InventoryHash()]++
				}
				v.Add(m)
			} else {
				for _, m := range v.Expire(height) {
					gone[m.InventoryHash()]++
				}
			}
			versions = append(versions, version{v.Bans(), walk(v.Bans())})
		}
		for i, old := range versions {
			if got := walk(old.bans); !slices.Equal(got, old.want) || old.bans.Len() != len(old.want) {
				t.Fatalf("version %d holds %v, it held %v", i, got, old.want)
			}
		}
		for hash, n := range added {
			left := 0
			if _, ok := v.Bans().Get(hash); ok {
				left = 1
			}
			if gone[hash]+left != n {
				t.Fatalf("ban %s was added %d times, told as gone %d times, %d left", hash, n, gone[hash], left)
			}
		}
	})
}
