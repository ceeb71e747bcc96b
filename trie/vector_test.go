package trie

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A slice is the slow, obvious twin.
func TestVector_EveryVersionAgreesWithASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			got  Vector[int]
			want []int
		}
		history := []version{{}}
		limit := rapid.SampledFrom([]int{3, 40, 1100, 40_000}).Draw(t, "limit")
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			last := history[rapid.IntRange(max(0, len(history)-3), len(history)-1).Draw(t, "from")]
			next := version{last.got, slices.Clone(last.want)}
			i := rapid.IntRange(0, limit).Draw(t, "place")
			if rapid.IntRange(0, 3).Draw(t, "kind") > 0 {
				next.got = next.got.Set(i, step+1)
				for len(next.want) <= i {
					next.want = append(next.want, 0)
				}
				next.want[i] = step + 1
			} else {
				next.got = next.got.Truncate(i)
				next.want = next.want[:min(i, len(next.want))]
			}
			history = append(history, next)
		}
		for i, v := range history {
			if v.got.Len() != len(v.want) {
				t.Fatalf("version %d: Len %d, want %d", i, v.got.Len(), len(v.want))
			}
			for j, want := range v.want {
				if got := v.got.At(j); got != want {
					t.Fatalf("version %d: At(%d) = %d, want %d", i, j, got, want)
				}
			}
			for _, j := range []int{-1, len(v.want), len(v.want) + 1, 1 << 40} {
				if got := v.got.At(j); got != 0 {
					t.Fatalf("version %d: At(%d) = %d beyond the end", i, j, got)
				}
			}
		}
	})
}

// What is cut off must not come back when the vector grows again.
func TestVector_GrowsWithZeros(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 33, 1023, 1024, 1025, 32768, 32769} {
		var v Vector[int]
		for i := range n + 40 {
			v = v.Set(i, 7)
		}
		v = v.Truncate(n).Set(n+35, 9)
		for i := range n + 36 {
			want := 7
			if i >= n {
				want = 0
			}
			if i == n+35 {
				want = 9
			}
			if got := v.At(i); got != want {
				t.Fatalf("cut to %d: At(%d) = %d, want %d", n, i, got, want)
			}
		}
	}
}

func TestVector_Truncate(t *testing.T) {
	v := Vector[int]{}.Set(1<<20, 1)
	if v.Truncate(1<<21).At(1<<20) != 1 {
		t.Error("a longer cut changes it")
	}
	for _, n := range []int{0, -1} {
		if v = v.Truncate(n); v.Len() != 0 || v.root != nil || v.depth != 0 {
			t.Errorf("cut to %d it keeps %+v", n, v)
		}
	}
}
