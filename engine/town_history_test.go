package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// sameMemory compares all that an engine that was restored must know: also
// what was heard, answered and decided.
func sameMemory(t interface {
	Helper()
	Errorf(string, ...any)
}, got, want *Engine) {
	t.Helper()
	sameKnowledge(t, got, want)
	g, w := got.Snapshot(), want.Snapshot()
	sameBranch(t, g.Branch, w.Branch)
	sets := func(s *Snapshot) map[wire.Hash]map[wire.Checkpoint]bool {
		m := make(map[wire.Hash]map[wire.Checkpoint]bool)
		for id, list := range s.Checkpoints.All() {
			m[id] = make(map[wire.Checkpoint]bool)
			for _, c := range list {
				m[id][c] = true
			}
		}
		return m
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"final block", g.Final, w.Final},
		{"length of the branch", len(g.Branch), len(w.Branch)},
		{"proofs", maps.Collect(g.Proofs.All()), maps.Collect(w.Proofs.All())},
		{"votes", maps.Collect(g.Votes.All()), maps.Collect(w.Votes.All())},
		{"number of votes", got.votes.Len(), want.votes.Len()},
		{"misconduct", got.votes.Misconduct(), want.votes.Misconduct()},
		{"cases", got.cases, want.cases},
		{"checkpoints", sets(g), sets(w)},
		{"number of publishers", got.checkpoints.Len(), want.checkpoints.Len()},
		{"judged draws", got.judged, want.judged},
		{"decisions", got.decisions, want.decisions},
		{"standing", got.written, want.written},
		{"warm-up", []int32{got.confidence.missed, got.confidence.since, got.confidence.lost}, []int32{want.confidence.missed, want.confidence.since, want.confidence.lost}},
		{"silence", got.silentUntil, want.silentUntil},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s differ: %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

// promises are what no node may ever break, whatever happens to it.
type promises struct {
	t         interface{ Fatalf(string, ...any) }
	answers   map[string]wire.Vote       // by voter, draw and node
	sequences map[wire.Hash]uint64       // of proofs
	marks     map[string]wire.Checkpoint // by voter and block
	votes     int
	against   map[wire.Hash]int
}

func newPromises(t interface{ Fatalf(string, ...any) }) *promises {
	return &promises{t, make(map[string]wire.Vote), make(map[wire.Hash]uint64), make(map[string]wire.Checkpoint), 0, make(map[wire.Hash]int)}
}

func (p *promises) hear(out *Effects) {
	for _, raw := range sent(out, TopicVote) {
		v := must(wire.ParseVote(raw))
		key := fmt.Sprint(v.Voter, v.Height, v.BlockHash, v.ProTxHash)
		switch before, twice := p.answers[key]; {
		case twice && before == v:
			continue // sent once more after a stop: the same bytes say nothing new
		case twice:
			p.t.Fatalf("node %s answers twice about %s by the draw of %d", v.Voter.Short(), v.ProTxHash.Short(), v.Height)
		}
		p.answers[key] = v
		p.votes++
		if v.Answer.Negative() {
			p.against[v.ProTxHash]++
		}
	}
	for _, raw := range sent(out, TopicUptime) {
		u := must(wire.ParseUptimeProof(raw))
		if last, had := p.sequences[u.ProTxHash]; had && u.Sequence <= last {
			p.t.Fatalf("node %s sends proof %d after %d", u.ProTxHash.Short(), u.Sequence, last)
		}
		p.sequences[u.ProTxHash] = u.Sequence
	}
	for _, raw := range sent(out, TopicCheckpoint) {
		c := must(wire.ParseCheckpoint(raw))
		key := fmt.Sprint(c.Voter, c.BlockHash)
		if before, twice := p.marks[key]; twice && before != c {
			p.t.Fatalf("node %s publishes twice at %d", c.Voter.Short(), c.Height)
		}
		p.marks[key] = c
	}
}

// A network that is cut in two, loses nodes and has silent ones: after every
// block what a node has stored makes the same engine, nobody answers twice,
// and in the end all agree.
func TestTown_RestoreAfterEveryBlockEqualsAnEngineThatNeverStopped(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			if testing.Short() && seed > 0 {
				t.Skip("one history is enough")
			}
			random := rand.New(rand.NewPCG(seed, 7))
			w := newTown(t, networkOf("core", forkNodes), seed)
			p := newPromises(t)
			var reorganised, decided int
			tips := make(map[int]wire.Hash)
			w.seen = func(i int, in Input, out *Effects) {
				p.hear(out)
				reorganised += out.Undone
				for _, c := range out.Connected {
					decided += len(c.Transitions)
				}
				if tip := w.rigs[i].Snapshot().Tip.Hash; i == int(seed) && tips[i] != tip { // one of them, after each of its blocks
					tips[i] = tip
					e, _, err := Restore(w.configOf(i), w.rigs[i].disk)
					if err != nil {
						t.Fatalf("slot %d, node %d: %v", w.slot, i, err)
					}
					e.now = w.rigs[i].now
					sameMemory(t, e, w.rigs[i].Engine)
					if t.Failed() {
						t.Fatalf("slot %d, node %d after %T", w.slot, i, in)
					}
				}
			}
			// Stops come after a commit, before anything of it leaves.
			w.kill = func(i int, _ Input, out *Effects) bool { return len(out.Publications) > 0 && random.IntN(60) == 0 }
			silent, half := -1, 0
			w.mute = func(i int, p Publication) bool { return i == silent && p.Topic == TopicUptime }
			w.cut = func(a, b int) bool { return half > 0 && (a < half) != (b < half) }
			w.run(16)
			for range 10 {
				switch random.IntN(4) {
				case 0:
					half = 4 // neither half makes anything final
				case 1:
					half = 0
				case 2:
					silent = random.IntN(forkNodes - 1)
				case 3:
					i := 3 + random.IntN(forkNodes-3)
					w.down(i)
					w.run(random.IntN(8))
					w.up(i)
				}
				w.run(3 + random.IntN(10))
			}
			half, silent, w.kill = 0, -1, nil
			w.run(30)
			first := w.rigs[0].Snapshot()
			for i, r := range w.rigs {
				if s := r.Snapshot(); s.Tip != first.Tip || s.State.Root() != first.State.Root() {
					t.Errorf("node %d ends at %d, %s; node 0 at %d, %s", i, s.Tip.Height, s.Tip.Hash.Short(), first.Tip.Height, first.Tip.Hash.Short())
				}
			}
			t.Logf("height %d, final %d, %d votes, %d blocks undone, %d transitions seen", first.Tip.Height, first.Final.Height, p.votes, reorganised, decided)
		})
	}
}

// One node falls silent: it is decommissioned, and comes back once it is heard.
func TestTown_SilentNodeIsDecommissionedAndComesBack(t *testing.T) {
	w := newTown(t, networkOf("core", forkNodes), 1)
	p := newPromises(t)
	w.seen = func(_ int, _ Input, out *Effects) { p.hear(out) }
	silent := false
	w.mute = func(i int, p Publication) bool { return i == bob && silent && p.Topic == TopicUptime }
	w.run(20)
	if p.votes > 0 {
		t.Fatalf("%d votes while all is well", p.votes)
	}
	silent = true
	service := func() state.Service {
		n, _ := w.rigs[alice].Snapshot().State.Node(proTx(bob))
		return n.Service()
	}
	for range 60 {
		if w.run(1); service() == state.Decommissioned {
			break
		}
	}
	if service() != state.Decommissioned || len(p.against) != 1 || p.against[proTx(bob)] == 0 {
		t.Fatalf("bob is %s, votes against %v", service(), p.against)
	}
	list, err := Decisions(w.rigs[alice].disk, proTx(bob), 1<<30)
	if err != nil || len(list) != 1 || len(list[0].Voters) == 0 || !list[0].Voters[0].Heard || list[0].After == nil {
		t.Fatalf("decisions %+v, %v; want one with its voters and what they saw", list, err)
	}
	silent = false
	for range 60 {
		if w.run(1); service() == state.Active {
			break
		}
	}
	if service() != state.Active {
		t.Fatalf("bob is %s", service())
	}
	for i, r := range w.rigs {
		if list, _ := Decisions(r.disk, proTx(bob), 1<<30); len(list) != 2 {
			t.Errorf("node %d: %d decisions, want 2", i, len(list))
		}
	}
	// All of it goes once no block can use it.
	w.run(ballotLife + 2)
	for i, r := range w.rigs {
		for v := range r.Snapshot().Votes.All() {
			t.Errorf("node %d keeps vote %s", i, v.Short())
		}
		if n := len(r.disk[KindVote]); n > 0 {
			t.Errorf("node %d stores %d votes", i, n)
		}
		if n := len(r.disk[KindJudged]); n != len(r.judged) || n > int(ballotLife)+1 {
			t.Errorf("node %d stores %d judged draws, remembers %d", i, n, len(r.judged))
		}
		if n := len(r.disk[KindCheckpoint]); n > (int(ballotLife)/4+1)*forkNodes {
			t.Errorf("node %d stores %d checkpoints", i, n)
		}
	}
	if quorum.Due(12) != true {
		t.Error("the first checkpoint is not at 12: the test sees none")
	}
}
