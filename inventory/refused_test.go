package inventory

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func itemID(n int) wire.Hash { return wire.DoubleHash([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) }

func TestRefused_RemembersTheFirstVerdict(t *testing.T) {
	var r Refused
	r.Add(itemID(1), Refusal{"first", 5})
	if evicted := r.Add(itemID(1), Refusal{"second", 9}); len(evicted) > 0 || r.Items().Len() != 1 {
		t.Errorf("the same item again evicts %v and leaves %d items, want 1", evicted, r.Items().Len())
	}
	if got, ok := r.Items().Get(itemID(1)); !ok || got != (Refusal{"first", 5}) {
		t.Errorf("remembered %+v, want the first verdict", got)
	}
	if expired := r.Expire(6); !slices.Equal(expired, []wire.Hash{itemID(1)}) {
		t.Errorf("expired %v, want the item by the height of its first verdict, once", expired)
	}
}

func TestRefused_IsBoundedAndTheOldestGoes(t *testing.T) {
	var r Refused
	for i := range MaxRefused {
		if evicted := r.Add(itemID(i), Refusal{"x", 1}); len(evicted) > 0 {
			t.Fatalf("item %d evicts %v from a memory that has room", i, evicted)
		}
	}
	full := r.Items()
	for i := range 3 {
		if evicted := r.Add(itemID(MaxRefused+i), Refusal{"x", 1}); !slices.Equal(evicted, []wire.Hash{itemID(i)}) {
			t.Errorf("newcomer %d evicts %v, want the oldest", i, evicted)
		}
	}
	if r.Items().Len() != MaxRefused || full.Len() != MaxRefused {
		t.Errorf("%d items, %d in the version before; want %d in both", r.Items().Len(), full.Len(), MaxRefused)
	}
	if _, ok := full.Get(itemID(0)); !ok {
		t.Error("eviction changed the version before it")
	}
	if _, ok := r.Items().Get(itemID(0)); ok {
		t.Error("the evicted item is still there")
	}
	if len(r.queue) != MaxRefused {
		t.Errorf("%d items in the queue, want %d", len(r.queue), MaxRefused)
	}
}

func TestRefused_ExpiresBelowTheHeight(t *testing.T) {
	var r Refused
	for i := range 10 {
		r.Add(itemID(i), Refusal{"x", int32(i / 2)})
	}
	expired := r.Expire(2)
	if want := []wire.Hash{itemID(0), itemID(1), itemID(2), itemID(3)}; !slices.Equal(expired, want) {
		t.Errorf("expired %v, want %v in order of arrival", expired, want)
	}
	if _, ok := r.Items().Get(itemID(4)); !ok || r.Items().Len() != 6 {
		t.Errorf("%d items left, one judged at the height itself: %t; want 6, true", r.Items().Len(), ok)
	}
	if again := r.Expire(2); len(again) > 0 {
		t.Errorf("expired twice: %v", again)
	}
	if evicted := r.Add(itemID(0), Refusal{"x", 5}); len(evicted) > 0 || r.Items().Len() != 7 {
		t.Error("what expired cannot be remembered again")
	}
}

// A map and a list are the slow, obvious twin; versions keep what they had.
func TestRefused_AgainstItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Refused
		tip := int32(0)
		twin := map[wire.Hash]Refusal{}
		type version struct {
			items Refusals
			size  int
		}
		var versions []version
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			tip += rapid.Int32Range(0, 2).Draw(t, "blocks") // a tip never falls
			if rapid.IntRange(0, 4).Draw(t, "expire") == 0 {
				floor := tip - rapid.Int32Range(0, 6).Draw(t, "window")
				gone := map[wire.Hash]bool{}
				for _, id := range r.Expire(floor) {
					gone[id] = true
				}
				for id, why := range twin {
					if (why.Height < floor) != gone[id] {
						t.Fatalf("item of height %d, floor %d: expired is %t", why.Height, floor, gone[id])
					}
					if gone[id] {
						delete(twin, id)
					}
				}
			} else if rapid.IntRange(0, 6).Draw(t, "drop") == 0 {
				even := func(r Refusal) bool { return r.Height%2 == 0 }
				before := r.Items().Len()
				dropped := r.Drop(even)
				maps.DeleteFunc(twin, func(_ wire.Hash, why Refusal) bool { return even(why) })
				if before-len(dropped) != len(twin) {
					t.Fatalf("%d of %d dropped, want %d left", len(dropped), before, len(twin))
				}
			} else {
				id, why := itemID(rapid.IntRange(0, 20).Draw(t, "item")), Refusal{"x", tip}
				r.Add(id, why)
				if _, had := twin[id]; !had {
					twin[id] = why
				}
			}
			if r.Items().Len() != len(twin) || len(r.queue) != len(twin) {
				t.Fatalf("%d items, %d in the queue; want %d", r.Items().Len(), len(r.queue), len(twin))
			}
			for id, want := range twin {
				if got, ok := r.Items().Get(id); !ok || got != want {
					t.Fatalf("item %s is %+v, %t; want %+v", id, got, ok, want)
				}
			}
			versions = append(versions, version{r.Items(), len(twin)})
		}
		for i, v := range versions {
			n := 0
			for range v.items.All() {
				n++
			}
			if n != v.size || v.items.Len() != v.size {
				t.Fatalf("version %d holds %d items, it held %d", i, n, v.size)
			}
		}
	})
}
