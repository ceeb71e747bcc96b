package testnet

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// quorumFromNow waits for the quorum of the next session that begins.
func (w *world) quorumFromNow() state.Quorum {
	w.t.Helper()
	base := w.tip() - w.tip()%24 + 24
	var q state.Quorum
	w.until(fmt.Sprintf("a quorum from block %d on", base), 50, func() (made bool) { q, made = quorumFrom(w.view(), base); return made })
	return q
}

func (w *world) memberAt(proTx wire.Hash) int {
	i, _ := w.memberOf(proTx)
	return i
}

// valid lists the members of the network that are valid in a quorum.
func (w *world) valid(q state.Quorum) (members []int) {
	for index, proTx := range q.Members {
		if q.Commitment.ValidMembers.Has(index) {
			members = append(members, w.memberAt(proTx))
		}
	}
	slices.Sort(members)
	return members
}

// Each session makes a quorum, also where there are fewer evonodes than the
// type wants: a threshold of its members signs, one less does not.
func TestSimulation_QuorumsMakeThemselves(t *testing.T) {
	for _, c := range []struct {
		name              string
		options           Options
		members, together int
	}{
		{"four", Options{Nodes: 4}, 4, 3},
		{"regular nodes are no members", Options{Nodes: 9, Regular: 4}, 5, 3},
		{"fewer than the size", Options{Nodes: 7, Unannounced: 2}, 5, 4},
		{"as few as possible", Options{Nodes: 7, Unannounced: 3}, 4, 4},
		{"more than the size", Options{Nodes: 14}, 12, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newQuorumWorld(t, c.options, Link{})
			for range 2 {
				q := w.quorumFromNow()
				if q.Mined != q.Base+11 || len(q.Members) != c.members || len(w.valid(q)) != c.members || q.Commitment.Signers.Count() != c.members {
					t.Errorf("%d members, %d valid, %d signers, mined in block %d, base %d; want %d of each in block %d",
						len(q.Members), len(w.valid(q)), q.Commitment.Signers.Count(), q.Mined, q.Base, c.members, q.Base+11)
				}
			}
			w.run(8)
			s, err := w.Signers()
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Members()) != c.members || s.Threshold != c.together {
				t.Errorf("%d members hold a share, threshold %d; want %d and %d", len(s.Members()), s.Threshold, c.members, c.together)
			}
			m, err := s.Ban(w.Members[c.options.Regular].ProTxHash, w.tip()-2, s.Threshold)
			key, _ := bls.ParsePublicKey(s.PublicKey)
			sig, _ := bls.ParseSignature(m.Signature)
			if err != nil || !bls.Verify(key, m.SignHash(s.Type), sig) {
				t.Errorf("a threshold of members makes no signature: %v", err)
			}
			if _, err := s.Ban(m.ProTxHash, m.SignedHeight, s.Threshold-1); !errors.Is(err, bls.ErrTooFewShares) {
				t.Errorf("one member less than the threshold: %v", err)
			}
		})
	}
}

// With fewer members than a quorum needs there is no session: no quorum, and
// nobody is punished.
func TestSimulation_TooFewMembersMakeNoQuorum(t *testing.T) {
	t.Parallel()
	w := newQuorumWorld(t, Options{Nodes: 7, Unannounced: 4}, Link{})
	w.run(60)
	if _, err := w.Signers(); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("signers: %v, want %v", err, ErrNoQuorum)
	}
	for i := range w.Members[:3] {
		if score := w.node(i).PoSe.Score; score != 0 {
			t.Errorf("%s has a score of %d", w.Members[i].Name, score)
		}
	}
}

// Members that are stopped and started at every slot, in every phase, store
// what those store who run through: the same messages, shares and quorums.
func TestSimulation_QuorumsSurviveRestarts(t *testing.T) {
	t.Parallel()
	run := func(restarts bool) *world {
		w := newQuorumWorld(t, Options{Nodes: 6, Regular: 1, Seed: 31}, Link{})
		const first = 24 - 2*24 // the first session has the third fault, the second the fourth
		w.link.Forge = forger(w.Network, first, func(i int) *engine.Snapshot { return w.Engine(i).Snapshot() })
		for w.tip() < 61 {
			w.run(1)
			for m := range w.Members {
				if restarts {
					w.restart(m)
				}
			}
		}
		return w
	}
	through, restarted := run(false), run(true)
	equal(t, through, restarted)
	if quorums, err := restarted.Quorums(); err != nil || len(quorums) != 2 {
		t.Errorf("%d quorums (%v), want 2", len(quorums), err)
	}
}

// flagged sets a member's platform-ban flag on some members only, by a ban
// that the others never hear of.
func (w *world) flagged(x int, on ...int) {
	w.t.Helper()
	s, err := w.Signers()
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := s.Ban(w.Members[x].ProTxHash, w.tip(), s.Threshold)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range on {
		v, err := w.ask(i, engine.Ban{From: "somebody", Message: m, Key: s.PublicKey})
		if err != nil || !v.OK() {
			w.t.Fatalf("%s judges the ban %s (%v)", w.Members[i].Name, v.Reason, err)
		}
	}
}

// A node whose flag is set on as many members as bad votes are needed is put
// out, twice, and PoSe-banned; on one member less nothing comes of it, and the
// votes are to be seen. Source: DIP-0031, Effect; spec/dash.md 1.6, 2.1.
func TestSimulation_FlagsAtTheThreshold(t *testing.T) {
	for _, c := range []struct {
		profile string
		flags   []int
		out     bool
		score   int32 // after the second round
	}{
		{"spec", []int{2, 3}, false, 0},
		{"spec", []int{2, 3, 4}, true, 66 - 24 + 66},
		{"core", []int{2, 3, 4}, true, 100},
		{"core", []int{0, 2, 3, 4, 5}, true, 100},
	} {
		t.Run(fmt.Sprint(c.profile, " ", c.flags), func(t *testing.T) {
			t.Parallel()
			const x = 1
			w := newQuorumWorld(t, Options{Nodes: 6, Regular: 1, Profile: c.profile}, Link{}) // threshold 3 of 5
			w.quorumFromNow()
			w.flagged(x, c.flags...)
			for round := 1; round <= 2; round++ {
				q := w.quorumFromNow()
				index, _ := q.Index(w.Members[x].ProTxHash)
				if valid := q.Commitment.ValidMembers.Has(index); valid == c.out {
					t.Fatalf("round %d: valid %t", round, valid)
				}
				var voters []int
				for _, st := range w.Engine(2).Snapshot().DKG {
					if st.Height == q.Base {
						for _, v := range st.Members[index].Voters {
							voters = append(voters, w.memberAt(st.Members[v].ProTxHash))
						}
					}
				}
				slices.Sort(voters)
				if want := slices.DeleteFunc(slices.Clone(c.flags), func(i int) bool { return i == 0 }); !slices.Equal(voters, want) { // 0 is a regular node
					t.Errorf("round %d: voters %v, want %v", round, voters, want)
				}
				if n := w.node(x); c.out && round == 1 && (n.PoSe.At(w.tip()) != 66 || n.PoSeBanned()) {
					t.Errorf("after a round: score %d, PoSe-banned %t", n.PoSe.At(w.tip()), n.PoSeBanned())
				}
			}
			if n := w.node(x); n.PoSeBanned() != c.out || n.PoSe.Score != c.score {
				t.Errorf("score %d, PoSe-banned %t; want %d, %t", n.PoSe.Score, n.PoSeBanned(), c.score, c.out)
			}
			q := w.quorumFromNow()
			if _, member := q.Index(w.Members[x].ProTxHash); member == c.out {
				t.Errorf("member of the next quorum: %t", member)
			}
		})
	}
}

// Members that hear different votes, at the threshold, find different valid
// members. If enough agree there is a quorum, signed by these; if not there is
// none, nobody is punished, and the next session is another chance. Source:
// spec/dash.md 10.1, 3.
func TestSimulation_VotesSplitAtTheThreshold(t *testing.T) {
	for _, c := range []struct {
		name   string
		nodes  int   // one of them regular
		voters []int // against member 1
		deaf   []int // to the vote of the last of them
		valid  []int // nil: there is no quorum
	}{
		{"one does not hear", 6, []int{2, 3, 4}, []int{5}, []int{2, 3, 4, 5}},
		{"most do not hear", 6, []int{2, 3, 4}, []int{2, 3, 5}, []int{1, 2, 3, 4, 5}},
		{"half do not hear", 7, []int{2, 3, 4, 5}, []int{2, 3, 6}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newQuorumWorld(t, Options{Nodes: c.nodes, Regular: 1, Authorities: 1}, Link{})
			w.quorumFromNow()
			w.flagged(1, c.voters...)
			base, last := w.tip()-w.tip()%24+24, c.voters[len(c.voters)-1]
			w.link.Cut = func(from, to int) bool {
				phase := dkg.PhaseAt(params.LLMQ{DKGPhaseBlocks: 2}, base, w.tip())
				return phase == dkg.Complain && from == last && slices.Contains(c.deaf, to)
			}
			for w.tip() < base+20 {
				w.run(1)
			}
			q, made := quorumFrom(w.view(), base)
			if made != (c.valid != nil) || made && !slices.Equal(w.valid(q), c.valid) {
				t.Errorf("a quorum: %t, valid %v; want %v", made, w.valid(q), c.valid)
			}
			if score := w.node(1).PoSe.Score; (score > 0) != (made && !slices.Contains(c.valid, 1)) {
				t.Errorf("the score of the accused is %d", score)
			}
			if q := w.quorumFromNow(); slices.Contains(w.valid(q), 1) {
				t.Error("in the next session, in which all hear all votes, the accused is valid")
			}
		})
	}
}

// An evonode whose platform endpoint is dead is banned by a threshold of the
// members that watch it, put out of two quorums, PoSe-banned, and after its
// operator has repaired and announced it a member again. Nothing else happens
// to anybody.
func TestSimulation_ADeadEndpointIsBannedUntilRepaired(t *testing.T) {
	for _, c := range []struct {
		profile string
		score   int32
	}{{"spec", 108}, {"core", 100}} {
		t.Run(c.profile, func(t *testing.T) {
			t.Parallel()
			const x = 4
			w := newQuorumWorld(t, Options{Nodes: 8, Regular: 2, Platforms: true, Profile: c.profile}, Link{})
			dead := false
			w.link.Probe = func(_, target int, p engine.Probe) string {
				if dead && target == x && p.Service == engine.Platform {
					return "connection refused"
				}
				return ""
			}
			for w.tip() < 50 {
				w.run(1)
			}
			if set := w.view().FlagsSet(); set > 0 {
				t.Fatalf("%d flags are set while all is well", set)
			}
			dead = true
			w.until("the flag everywhere", 40, func() bool { return w.flagOn(x) == len(w.Members) })
			w.until("the PoSe ban", 60, func() bool { return w.node(x).PoSeBanned() })
			n := w.node(x)
			if n.PoSe.Score != c.score {
				t.Errorf("score %d, want %d", n.PoSe.Score, c.score)
			}
			dead = false
			w.submit(w.Announce(w.Members[x], n.Sequence))
			w.until("the revival", 5, func() bool { return !w.node(x).PoSeBanned() && w.flagOn(x) == 0 })
			w.run(dkg.SelectionDepth) // from now on it is drawn
			q := w.quorumFromNow()
			if len(w.valid(q)) != 6 {
				t.Errorf("valid members of the quorum after the revival: %v", w.valid(q))
			}
			if got := w.poseBanned(); len(got) > 0 || w.flagOn(x) > 0 {
				t.Errorf("PoSe-banned in the end: %v; flags of the repaired one: %d", got, w.flagOn(x))
			}
			for i := range w.Members {
				if p := w.node(i).PoSe.Score; p > 0 {
					t.Errorf("%s has a score of %d", w.Members[i].Name, p)
				}
			}
		})
	}
}

// flagOn counts the members on which the flag of one is set.
func (w *world) flagOn(x int) (n int) {
	for i := range w.Members {
		if w.Engine(i).Snapshot().Flag(w.Members[x].ProTxHash).Set() {
			n++
		}
	}
	return n
}

// An operator's request counts once: as many members as the threshold have to
// ask, each by its own operator, and then it is everywhere at once.
func TestSimulation_OperatorsAskForABan(t *testing.T) {
	t.Parallel()
	const x = 6
	w := newQuorumWorld(t, Options{Nodes: 8, Regular: 1}, Link{}) // threshold 4 of 7
	for w.tip() < 45 {
		w.run(1)
	}
	ask := func(i int) {
		t.Helper()
		if v, err := w.RequestBan(i, w.Members[x].ProTxHash); err != nil || !v.OK() {
			t.Fatalf("%s answers %s (%v)", w.Members[i].Name, v.Reason, err)
		}
	}
	for _, i := range []int{1, 2, 3} {
		ask(i)
		ask(i)
	}
	w.run(30)
	if w.flagOn(x) > 0 {
		t.Fatal("three members of seven have banned another")
	}
	ask(5)
	w.until("the flag everywhere", 12, func() bool { return w.flagOn(x) == len(w.Members) })
}
