package trie

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
	"pgregory.net/rapid"
)

// keys share long prefixes often, so that branches split and close deep down.
var keys = rapid.Custom(func(t *rapid.T) (h wire.Hash) {
	for i := range rapid.IntRange(0, wire.HashSize-1).Draw(t, "prefix") {
		h[i] = 0xab
	}
	h[wire.HashSize-1] = rapid.Byte().Draw(t, "last")
	h[rapid.IntRange(0, wire.HashSize-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
	return h
})

// A plain Go map is the slow, obvious twin.
func TestMap_EveryVersionAgreesWithAGoMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			got  Map[int]
			want map[wire.Hash]int
		}
		history := []version{{want: map[wire.Hash]int{}}}
		pool := rapid.SliceOfN(keys, 1, 40).Draw(t, "pool")
		for i := range rapid.IntRange(1, 80).Draw(t, "steps") {
			last := history[len(history)-1]
			next := version{last.got, maps.Clone(last.want)}
			key := rapid.SampledFrom(pool).Draw(t, "key")
			if rapid.Bool().Draw(t, "set") {
				next.got = next.got.Set(key, i)
				next.want[key] = i
			} else {
				next.got = next.got.Delete(key)
				delete(next.want, key)
			}
			history = append(history, next)
		}
		for i, v := range history {
			if v.got.Len() != len(v.want) {
				t.Fatalf("version %d: Len %d, want %d", i, v.got.Len(), len(v.want))
			}
			got := maps.Collect(v.got.All())
			if !maps.Equal(got, v.want) {
				t.Fatalf("version %d: All %v, want %v", i, got, v.want)
			}
			for _, k := range pool {
				gotV, gotOK := v.got.Get(k)
				wantV, wantOK := v.want[k]
				if gotV != wantV || gotOK != wantOK {
					t.Fatalf("version %d: Get(%s) = %d, %t, want %d, %t", i, k, gotV, gotOK, wantV, wantOK)
				}
			}
		}
	})
}

func TestMap_AllAscends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[bool]
		for _, k := range rapid.SliceOf(keys).Draw(t, "keys") {
			m = m.Set(k, true)
		}
		var walked []wire.Hash
		for k := range m.All() {
			walked = append(walked, k)
		}
		if !slices.IsSortedFunc(walked, func(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) }) {
			t.Fatalf("All is out of order: %v", walked)
		}
		for range m.All() {
			break // stopping early must not panic
		}
	})
}
