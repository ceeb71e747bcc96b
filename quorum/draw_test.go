package quorum

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

var update = flag.Bool("update", false, "rewrite testdata")

func nodeID(n int) wire.Hash {
	return wire.DoubleHash([]byte("node"), []byte{byte(n), byte(n >> 8), byte(n >> 16)})
}

// list is an Array whose first nodes are the testers.
type list struct {
	nodes   []wire.Hash
	testers int
}

func (l list) Testers() int       { return l.testers }
func (l list) Listed() int        { return len(l.nodes) }
func (l list) At(i int) wire.Hash { return l.nodes[i] }

func nodes(testers, listed int) list {
	l := list{testers: testers}
	for i := range listed {
		l.nodes = append(l.nodes, nodeID(i))
	}
	return l
}

// positions are where hashes stand in l.
func (l list) positions(hashes []wire.Hash) []int {
	at := make(map[wire.Hash]int, len(l.nodes))
	for i, h := range l.nodes {
		at[h] = i
	}
	p := make([]int, len(hashes))
	for i, h := range hashes {
		p[i] = at[h]
	}
	return p
}

var (
	network   = wire.Hash(bytes.Repeat([]byte{0x50}, 32))
	blockHash = func() (h wire.Hash) {
		for i := range h {
			h[i] = byte(i)
		}
		return h
	}()
)

var sizes = [][2]int{ // testers, listed
	{1, 1}, {3, 3}, {4, 4}, {7, 7}, {10, 10}, {11, 11}, {60, 60}, {100, 100}, {6000, 6000},
	{0, 1}, {2, 3}, {3, 4}, {5, 7}, {8, 10}, {8, 11}, {48, 60}, {80, 100}, {4800, 6000},
}

// The vectors were repeated once by a program in Python that has its own
// chacha8rand and nothing but the comment of NewDraw to go by.
func TestNewDraw_Vectors(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# network 50 repeated, block hash 00 01 .. 1f; positions in the array")
	for _, s := range sizes {
		l := nodes(s[0], s[1])
		d := NewDraw(network, 7, blockHash, l)
		fmt.Fprintf(&b, "%d of %d may test\n  testers %v\n  targets %v\n", s[0], s[1], l.positions(d.Testers), l.positions(d.Targets()))
	}
	const path = "testdata/draws.txt"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("draws differ from %s, %v: got\n%s", path, err, b.Bytes())
	}
}

// twinDraw follows the comment of NewDraw word by word, with big integers and lists.
func twinDraw(net, hash wire.Hash, l list) (testers, targets []int) {
	stream := rand.NewChaCha8(sha256.Sum256(append(append([]byte("proctor/draw/1"), net[:]...), hash[:]...)))
	index := func(n int) int {
		two64 := new(big.Int).Lsh(big.NewInt(1), 64)
		bound := new(big.Int).Sub(two64, new(big.Int).Mod(two64, big.NewInt(int64(n))))
		for {
			if w := new(big.Int).SetUint64(stream.Uint64()); w.Cmp(bound) < 0 {
				return int(new(big.Int).Mod(w, big.NewInt(int64(n))).Int64())
			}
		}
	}
	for len(testers) < min(10, l.testers) {
		i := len(testers)
		if l.testers > 10 {
			i = index(l.testers)
		}
		if !slices.Contains(testers, i) {
			testers = append(testers, i)
		}
	}
	var rest []int
	for i := range l.nodes {
		if !slices.Contains(testers, i) {
			rest = append(rest, i)
		}
	}
	wanted := min(len(rest), max(50, len(rest)/100))
	if wanted == len(rest) {
		targets = rest
	}
	for len(targets) < wanted {
		if i := index(len(l.nodes)); slices.Contains(rest, i) && !slices.Contains(targets, i) {
			targets = append(targets, i)
		}
	}
	if len(rest) < 10 {
		targets = append(targets, testers...)
	}
	return testers, targets
}

func TestNewDraw_AgainstItsTwin(t *testing.T) {
	check := func(t rapid.TB, net, hash wire.Hash, l list) {
		d := NewDraw(net, 5, hash, l)
		testers, targets := twinDraw(net, hash, l)
		if got := l.positions(d.Testers); !slices.Equal(got, testers) {
			t.Fatalf("testers %v, want %v", got, testers)
		}
		if got := l.positions(d.Targets()); !slices.Equal(got, targets) {
			t.Fatalf("targets %v, want %v", got, targets)
		}
		for i, x := range l.nodes {
			if d.Target(x) != slices.Contains(targets, i) {
				t.Fatalf("node %d is a target: %t", i, d.Target(x))
			}
			at, ok := d.Index(x)
			if ok != slices.Contains(testers, i) || ok && d.Testers[at] != x {
				t.Fatalf("node %d is tester %d, %t", i, at, ok)
			}
			voters := d.Voters(x)
			want := slices.DeleteFunc(slices.Clone(d.Testers), func(h wire.Hash) bool { return h == x })
			if !slices.Equal(voters, want) {
				t.Fatalf("%d voters of node %d, want %d", len(voters), i, len(want))
			}
		}
		if d.Target(nodeID(1 << 20)) {
			t.Fatal("a stranger is a target")
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		listed := rapid.IntRange(0, 150).Draw(t, "listed")
		seed := rapid.Byte().Draw(t, "seed")
		check(t, nodeID(int(seed)), nodeID(1000+int(seed)), nodes(rapid.IntRange(0, listed).Draw(t, "testers"), listed))
	})
	check(t, network, blockHash, nodes(5900, 6000))
}

// Source: DESIGN.md section 6, rules 1 and 2; spec/oxen.md 3.2.
func TestNewDraw_Sizes(t *testing.T) {
	for _, tc := range []struct{ testers, listed, wantTesters, wantTargets int }{
		{0, 0, 0, 0}, {0, 3, 0, 3}, {1, 1, 1, 1}, {3, 3, 3, 3}, {4, 4, 4, 4}, {7, 7, 7, 7}, {10, 10, 10, 10}, {11, 11, 10, 11}, {19, 19, 10, 19},
		{20, 20, 10, 10}, {60, 60, 10, 50}, {61, 61, 10, 50}, {6000, 6000, 10, 59}, {5109, 5109, 10, 50}, {5110, 5110, 10, 51}, {6, 10, 6, 10}, {6, 20, 6, 14},
	} {
		d := NewDraw(network, 1, blockHash, nodes(tc.testers, tc.listed))
		if len(d.Testers) != tc.wantTesters || len(d.Targets()) != tc.wantTargets {
			t.Errorf("%d of %d: %d testers, %d targets; want %d, %d", tc.testers, tc.listed, len(d.Testers), len(d.Targets()), tc.wantTesters, tc.wantTargets)
		}
	}
}

func TestThreshold(t *testing.T) {
	want := []int{0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7}
	for m, n := range want {
		if got := Threshold(m); got != n {
			t.Errorf("%d of %d voters make a certificate, want %d", got, m, n)
		}
	}
}

func TestDraw_Needed(t *testing.T) {
	for _, tc := range []struct {
		testers int
		member  bool
		answer  wire.Answer
		votes   int
		ok      bool
	}{
		{0, false, wire.Passes, 0, false}, {1, true, wire.Passes, 0, false}, {1, false, wire.Passes, 1, true}, {1, false, wire.FailsUptime, 1, false},
		{2, false, wire.FailsUptime, 2, false}, {3, false, wire.FailsUptime, 3, true}, {3, true, wire.TwoAddresses, 2, false}, {3, true, wire.Passes, 2, true},
		{4, true, wire.FailsCheckpoint, 3, true}, {10, true, wire.FailsUptime, 7, true}, {10, false, wire.FailsUptime, 7, true}, {7, true, wire.FailsUptime, 5, true},
	} {
		l := nodes(tc.testers, tc.testers+3)
		x := nodeID(tc.testers)
		d := NewDraw(network, 12, blockHash, l)
		if tc.member {
			x = d.Testers[0]
		}
		if votes, ok := d.Needed(x, tc.answer); ok != tc.ok || ok && votes != tc.votes {
			t.Errorf("%d testers, member %t, %s: %d, %t; want %d, %t", tc.testers, tc.member, tc.answer, votes, ok, tc.votes, tc.ok)
		}
	}
}

func TestDraw_Answerable(t *testing.T) {
	for height, due := range map[int32]bool{12: true, 13: false} {
		l := nodes(40, 100)
		d := NewDraw(network, height, blockHash, l)
		for i, x := range l.nodes {
			_, member := d.Index(x)
			for _, a := range wire.Answers() {
				want := d.Target(x) || member && due && a == wire.FailsCheckpoint
				if d.Answerable(x, a) != want {
					t.Errorf("height %d, node %d (member %t, target %t): %s is answerable: %t", height, i, member, d.Target(x), a, !want)
				}
			}
		}
	}
}

// A draw depends on network and hash, and on nothing that happened before.
func TestNewDraw_IsUndoneWithItsBlock(t *testing.T) {
	l := nodes(100, 120)
	first := NewDraw(network, 5, blockHash, l)
	other := NewDraw(network, 5, nodeID(1), l)
	foreign := NewDraw(nodeID(1), 5, blockHash, l)
	if slices.Equal(first.Testers, other.Testers) || slices.Equal(first.Testers, foreign.Testers) {
		t.Error("another block or network draws the same testers")
	}
	again := NewDraw(network, 5, blockHash, l)
	if !slices.Equal(first.Testers, again.Testers) || !slices.Equal(first.Targets(), again.Targets()) {
		t.Error("the same block draws others the second time")
	}
}

// Every node is drawn equally often: the sum of squares stays within five
// standard deviations of what a fair draw gives.
func TestNewDraw_IsUnbiased(t *testing.T) {
	const rounds, testers, listed = 4000, 90, 120
	l := nodes(testers, listed)
	var tested, drawn, first [listed]float64
	for round := range rounds {
		d := NewDraw(network, 0, nodeID(round), l)
		p := l.positions(d.Testers)
		first[p[0]]++
		for _, i := range p {
			drawn[i]++
		}
		for _, i := range l.positions(d.Targets()) {
			tested[i]++
		}
	}
	fair := func(name string, counts []float64, drawnEach float64) {
		n := float64(len(counts))
		p := drawnEach / n
		want, square := rounds*p, 0.0
		for _, c := range counts {
			square += (c - want) * (c - want) / (want * (1 - p))
		}
		if limit := n + 5*math.Sqrt(2*n); square > limit || square < n-5*math.Sqrt(2*n) {
			t.Errorf("%s: chi-square %.0f of %d nodes, at most %.0f; seeds nodeID(0..%d)", name, square, len(counts), limit, rounds-1)
		}
	}
	fair("testers", drawn[:testers], 10)
	fair("first tester", first[:testers], 1)
	for i := testers; i < listed; i++ {
		if drawn[i] != 0 {
			t.Errorf("node %d may not test and was drawn %.0f times", i, drawn[i])
		}
	}
	// A tester is no target, so those that may test are tested less often:
	// by the share of blocks in which they do.
	for name, part := range map[string][]float64{"targets that may test": tested[:testers], "targets that may not": tested[testers:]} {
		sum := 0.0
		for _, c := range part {
			sum += c
		}
		fair(name, part, sum/rounds)
	}
	mean := func(v []float64) (m float64) {
		for _, c := range v {
			m += c / float64(len(v))
		}
		return m
	}
	if ratio, want := mean(tested[:testers])/mean(tested[testers:]), 1-10.0/testers; math.Abs(ratio-want) > 0.02 {
		t.Errorf("those that may test are tested %.3f times as often, want %.3f", ratio, want)
	}
}

// Hashes that collide in the table are still told apart.
func TestHashTable_Collisions(t *testing.T) {
	var all []wire.Hash
	for i := range 60 {
		h := nodeID(7)
		h[20] = byte(i)
		all = append(all, h)
	}
	table := newHashTable(all[:40], 12345)
	for i, h := range all {
		if table.has(all[:40], h) != (i < 40) {
			t.Errorf("hash %d is found: %t", i, i >= 40)
		}
	}
	if (Draw{}).Target(nodeID(1)) {
		t.Error("the zero draw has a target")
	}
}
