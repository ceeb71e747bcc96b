package quorum

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

func voteOf(height int32, x, voter int, a wire.Answer) wire.Vote {
	return wire.Vote{Ballot: wire.Ballot{Height: height, BlockHash: nodeID(5000 + int(height)), ProTxHash: nodeID(x), Answer: a}, Voter: nodeID(voter)}
}

func TestVotes_Add(t *testing.T) {
	p := NewVotes()
	fails, passes := voteOf(5, 1, 2, wire.FailsUptime), voteOf(5, 1, 2, wire.Passes)
	otherNode, otherVoter, otherDraw := voteOf(5, 3, 2, wire.Passes), voteOf(5, 1, 4, wire.Passes), voteOf(6, 1, 2, wire.Passes)
	otherBlock := passes
	otherBlock.BlockHash = nodeID(1)
	for _, step := range []struct {
		name string
		vote wire.Vote
		want Added
	}{
		{"a vote", fails, New}, {"again", fails, Duplicate},
		{"passes, of another node", otherNode, New}, {"passes, by another voter", otherVoter, New},
		{"passes, in another draw", otherDraw, New}, {"passes, after a block that was undone", otherBlock, New},
		{"another negative answer", voteOf(5, 1, 2, wire.TwoAddresses), New},
	} {
		if got, evicted := p.Add(step.vote); got != step.want || len(evicted) > 0 {
			t.Errorf("%s: %s, %d evicted; want %s", step.name, got, len(evicted), step.want)
		}
	}
	if len(p.Misconduct()) != 0 {
		t.Fatalf("misconduct of an honest voter: %v", p.Misconduct())
	}
	if got, _ := p.Add(passes); got != Misconduct {
		t.Errorf("passes after fails: %s, want misconduct", got)
	}
	if got, _ := p.Add(passes); got != Duplicate {
		t.Errorf("the same again: %s, want duplicate", got)
	}
	if got := p.Misconduct(); !slices.Equal(got, []Case{{Passes: passes, Against: fails}}) {
		t.Errorf("misconduct %v, want both votes", got)
	}
	if !p.Has(passes.Ballot, passes.Voter) || !p.Has(fails.Ballot, fails.Voter) || p.Has(passes.Ballot, nodeID(9)) || p.Len() != 7 {
		t.Errorf("%d votes, want 7, both of the contradiction among them", p.Len())
	}
}

func TestVotes_Expire(t *testing.T) {
	p := NewVotes()
	for h := int32(1); h <= 5; h++ {
		for x := range 3 {
			p.Add(voteOf(h, x, 1, wire.FailsUptime))
		}
	}
	p.Add(voteOf(1, 0, 1, wire.Passes))
	expired := p.Expire(3)
	if len(expired) != 7 || p.Len() != 9 || !slices.IsSortedFunc(expired, compareInDraw) {
		t.Errorf("%d expired, %d left; want 7 in order, 9", len(expired), p.Len())
	}
	if len(p.Misconduct()) != 1 {
		t.Error("misconduct went with its votes")
	}
	if got, _ := p.Add(voteOf(1, 0, 1, wire.Passes)); got != New {
		t.Errorf("what expired comes again: %s, want new", got)
	}
	if p.Expire(math.MaxInt32); p.Len() != 0 || len(p.heights) != 0 {
		t.Errorf("%d votes left at %d heights", p.Len(), len(p.heights))
	}
}

// show is everything a pool holds.
func show(p *Votes) (votes []wire.Vote, cases []Case) {
	for _, h := range slices.Sorted(maps.Keys(p.heights)) {
		total := 0
		for _, v := range p.heights[h].ballots {
			votes = append(votes, v...)
			total += len(v)
		}
		if total != p.heights[h].total {
			panic(fmt.Sprintf("height %d holds %d votes and counts %d", h, total, p.heights[h].total))
		}
	}
	slices.SortFunc(votes, compareInDraw)
	return votes, p.Misconduct()
}

func drawVotes(t *rapid.T, most int) []wire.Vote {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Vote {
		v := voteOf(rapid.Int32Range(1, 4).Draw(t, "height"), rapid.IntRange(0, 4).Draw(t, "node"), rapid.IntRange(10, 13).Draw(t, "voter"),
			rapid.SampledFrom(wire.Answers()).Draw(t, "answer"))
		v.Evidence.First = rapid.Int32Range(0, 1).Draw(t, "evidence")
		if rapid.IntRange(0, 5).Draw(t, "fork") == 0 {
			v.BlockHash = nodeID(77)
		}
		return v
	}), 0, most).Draw(t, "votes")
}

// twinVotes is what must be left of votes in a pool: each (ballot, voter) once,
// the lower bytes; then the first of each voter in each draw, the first of each
// draw, and the first of all, highest draws first.
func twinVotes(votes []wire.Vote, l limits) (kept []wire.Vote) {
	least := map[string]wire.Vote{}
	for _, v := range votes {
		key := fmt.Sprint(v.Ballot, v.Voter)
		if old, ok := least[key]; !ok || bytes.Compare(v.Bytes(), old.Bytes()) < 0 {
			least[key] = v
		}
	}
	order := slices.SortedFunc(maps.Values(least), func(a, b wire.Vote) int {
		return cmp.Or(-cmp.Compare(a.Height, b.Height), compareInDraw(a, b))
	})
	ofVoter, ofDraw := map[voterAt]int{}, map[int32]int{}
	for _, v := range order {
		at := voterAt{v.Height, v.Voter}
		if ofVoter[at] < l.ofVoter && ofDraw[v.Height] < l.ofDraw && len(kept) < l.total {
			ofVoter[at]++
			ofDraw[v.Height]++
			kept = append(kept, v)
		}
	}
	slices.SortFunc(kept, compareInDraw)
	return kept
}

// Any order gives the same pool, whatever the limits; and what Add tells is
// what happens.
func TestVotes_AnyOrderIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawVotes(t, 60)
		l := limits{1000, 1000, 1000, 1000}
		bounded := rapid.Bool().Draw(t, "bounded")
		if bounded {
			l = limits{rapid.IntRange(1, 6).Draw(t, "of voter"), rapid.IntRange(1, 12).Draw(t, "of draw"), rapid.IntRange(1, 20).Draw(t, "total"), 1000}
		}
		want := twinVotes(all, l)
		var firstCases []Case
		for round := range 3 {
			p := newVotes(l)
			told := map[string]bool{}
			lost := 0
			for i, v := range rapid.Permutation(all).Draw(t, "order") {
				had := p.Has(v.Ballot, v.Voter)
				outcome, evicted := p.Add(v)
				key := fmt.Sprint(v.Ballot, v.Voter)
				if (outcome == Duplicate) != had {
					t.Fatalf("vote %d: %s, had it: %t", i, outcome, had)
				}
				if outcome == Full {
					lost++
				} else {
					told[key] = true
				}
				for _, e := range evicted {
					lost++
					delete(told, fmt.Sprint(e.Ballot, e.Voter))
				}
			}
			got, cases := show(p)
			if !slices.Equal(got, want) || p.Len() != len(want) {
				t.Fatalf("order %d, limits %v: %d votes, want %d", round, l, len(got), len(want))
			}
			if len(told) != len(got) || p.Dropped() != uint64(lost) || !bounded && lost > 0 {
				t.Fatalf("told of %d votes, %d lost; %d are there, %d counted as lost", len(told), lost, len(got), p.Dropped())
			}
			if round == 0 {
				firstCases = cases
			} else if !bounded && !slices.Equal(cases, firstCases) {
				t.Fatalf("order %d: cases %v, want %v", round, cases, firstCases)
			}
		}
		if !bounded {
			twin := map[voterAt]bool{}
			for _, a := range want {
				for _, b := range want {
					if a.Answer == wire.Passes && b.Answer.Fails() && a.Voter == b.Voter && a.ProTxHash == b.ProTxHash && a.Height == b.Height && a.BlockHash == b.BlockHash {
						twin[voterAt{a.Height, a.Voter}] = true
					}
				}
			}
			if len(firstCases) != len(twin) {
				t.Fatalf("%d cases of misconduct, want %d", len(firstCases), len(twin))
			}
		}
	})
}

func TestVotes_MisconductIsBounded(t *testing.T) {
	p := newVotes(limits{10, 10, 100, 3})
	for h := int32(1); h <= 5; h++ {
		p.Add(voteOf(h, 2, 1, wire.Passes))
		p.Add(voteOf(h, 2, 1, wire.FailsUptime))
		p.Add(voteOf(h, 1, 1, wire.FailsCheckpoint))
		p.Add(voteOf(h, 1, 1, wire.Passes))
	}
	cases := p.Misconduct()
	if len(cases) != 3 || cases[0].Passes.Height != 3 || cases[2].Passes.Height != 5 {
		t.Fatalf("%d cases, want those of heights 3 to 5", len(cases))
	}
	first := nodeID(1)
	if two := nodeID(2); bytes.Compare(two[:], first[:]) < 0 {
		first = two
	}
	restored := NewVotes()
	for _, c := range cases {
		if c.Passes.ProTxHash != first || c.Against.ProTxHash != first || !c.Against.Answer.Fails() || c.Passes.Answer != wire.Passes {
			t.Errorf("the case of height %d is of node %s, want the first in order", c.Passes.Height, c.Passes.ProTxHash.Short())
		}
		restored.Accuse(c)
	}
	if !slices.Equal(restored.Misconduct(), cases) {
		t.Error("stored cases do not come back")
	}
}

// candidatesOf fills a pool and asks for candidates, with every ballot legal
// that is not in illegal.
func candidatesOf(f fixture, votes []wire.Vote, carried int32, illegal ...wire.Ballot) []Candidate {
	p := NewVotes()
	for _, v := range votes {
		p.Add(v)
	}
	return p.Candidates(carried, func(height int32, hash wire.Hash) (Draw, bool) {
		d := f.draw
		d.Height = height // as if each block had drawn the same
		return d, hash == f.draw.Hash
	}, func(b wire.Ballot) bool { return !slices.Contains(illegal, b) })
}

func TestVotes_Candidates(t *testing.T) {
	f := newFixture(t, 10, 70)
	x, y := f.draw.Targets()[0], f.draw.Targets()[1]
	vote := func(height int32, x wire.Hash, a wire.Answer, n int) (votes []wire.Vote) {
		b := wire.Ballot{Height: height, BlockHash: f.draw.Hash, ProTxHash: x, Answer: a}
		for _, voter := range f.draw.Testers[:n] {
			votes = append(votes, wire.Vote{Ballot: b, Voter: voter})
		}
		return votes
	}
	ballots := func(c []Candidate) (b []wire.Ballot) {
		for _, c := range c {
			b = append(b, c.Ballot)
		}
		return b
	}
	at := func(height int32, x wire.Hash, a wire.Answer) wire.Ballot {
		return wire.Ballot{Height: height, BlockHash: f.draw.Hash, ProTxHash: x, Answer: a}
	}
	fork := vote(101, x, wire.FailsUptime, 10)
	for i := range fork {
		fork[i].BlockHash = nodeID(1)
	}
	strangers := vote(101, x, wire.FailsUptime, 6)
	for i := range 3 {
		v := strangers[0]
		v.Voter = nodeID(900 + i)
		strangers = append(strangers, v)
	}
	for _, tc := range []struct {
		name    string
		votes   []wire.Vote
		carried int32
		illegal []wire.Ballot
		want    []wire.Ballot
	}{
		{"six votes", vote(101, x, wire.FailsUptime, 6), 120, nil, nil},
		{"seven votes", vote(101, x, wire.FailsUptime, 7), 120, nil, []wire.Ballot{at(101, x, wire.FailsUptime)}},
		{"six votes and strangers", strangers, 120, nil, nil},
		{"seven votes on two answers", append(vote(101, x, wire.FailsUptime, 6), vote(101, x, wire.TwoAddresses, 6)...), 120, nil, nil},
		{"of another branch", fork, 120, nil, nil},
		{"too young", vote(108, x, wire.FailsUptime, 10), 120, nil, nil},
		{"too old", vote(60, x, wire.FailsUptime, 10), 120, nil, nil},
		{"illegal", vote(101, x, wire.FailsUptime, 10), 120, []wire.Ballot{at(101, x, wire.FailsUptime)}, nil},
		{"the larger draw wins", append(vote(101, x, wire.FailsUptime, 7), vote(103, x, wire.TwoAddresses, 7)...), 120, nil, []wire.Ballot{at(103, x, wire.TwoAddresses)}},
		{"unless it is illegal", append(vote(101, x, wire.FailsUptime, 7), vote(103, x, wire.TwoAddresses, 7)...), 120, []wire.Ballot{at(103, x, wire.TwoAddresses)}, []wire.Ballot{at(101, x, wire.FailsUptime)}},
		{"in the order of a block", slices.Concat(vote(103, x, wire.FailsUptime, 7), vote(102, y, wire.FailsUptime, 8)), 120, nil, []wire.Ballot{at(102, y, wire.FailsUptime), at(103, x, wire.FailsUptime)}},
	} {
		if got := ballots(candidatesOf(f, tc.votes, tc.carried, tc.illegal...)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// What admission should have kept out makes no candidate all the same.
func TestVotes_CandidatesCouldBeCertified(t *testing.T) {
	f := newFixture(t, 10, 70)
	ballot := f.ballot(wire.FailsCheckpoint, f.draw.Testers[0])
	outsider := f.ballot(wire.FailsUptime, f.draw.Testers[0])
	var votes []wire.Vote
	for _, voter := range f.draw.Testers[:7] { // the node itself and six others
		votes = append(votes, wire.Vote{Ballot: ballot, Voter: voter}, wire.Vote{Ballot: outsider, Voter: voter})
	}
	if got := candidatesOf(f, votes, 120); len(got) > 0 {
		t.Errorf("six votes and its own make %v", got)
	}
	votes = append(votes, wire.Vote{Ballot: ballot, Voter: f.draw.Testers[7]}, wire.Vote{Ballot: outsider, Voter: f.draw.Testers[7]})
	got := candidatesOf(f, votes, 120)
	if len(got) != 1 || got[0].Ballot != ballot || len(got[0].Votes) != 7 || slices.ContainsFunc(got[0].Votes, func(v wire.Vote) bool { return v.Voter == ballot.ProTxHash }) {
		t.Errorf("seven votes and its own make %v", got)
	}
}

// Votes that differ in evidence only: which stays does not depend on which
// came first, neither in the pool nor in a case.
func TestVotes_OfTwoEvidencesTheLowerStays(t *testing.T) {
	low, high, passes := voteOf(5, 1, 2, wire.FailsUptime), voteOf(5, 1, 2, wire.FailsUptime), voteOf(5, 1, 2, wire.Passes)
	low.Evidence.First, high.Evidence.First = 1, 2
	for _, order := range [][]wire.Vote{{low, high, passes}, {high, low, passes}, {high, passes, low}, {passes, high, low}, {low, passes, high}} {
		p := NewVotes()
		for _, v := range order {
			p.Add(v)
		}
		if got := p.Of(low.Ballot); !slices.Equal(got, []wire.Vote{low}) || !slices.Equal(p.Misconduct(), []Case{{passes, low}}) {
			t.Errorf("the pool holds %v and %v", got, p.Misconduct())
		}
	}
}

// Votes in any order make the same certificates, and good ones.
func TestVotes_AnyOrderMakesTheSameCertificates(t *testing.T) {
	f := newFixture(t, 4, 40)
	x, y := f.draw.Targets()[0], f.draw.Targets()[1]
	all := slices.Concat(f.votes(wire.FailsUptime, x, 3), f.votes(wire.Passes, x, 4), f.votes(wire.TwoAddresses, y, 2), f.votes(wire.FailsUptime, y, 4))
	var want []wire.Certificate
	rapid.Check(t, func(t *rapid.T) {
		var got []wire.Certificate
		for _, c := range candidatesOf(f, rapid.Permutation(all).Draw(t, "order"), 120) {
			cert, err := Certify(network, f.draw, c.Ballot, c.Votes, f.keys)
			if err == nil {
				err = Verify(network, f.draw, cert, f.keys)
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, cert)
		}
		if want == nil {
			want = got
		}
		if len(got) != 2 || !slices.Equal(got, want) {
			t.Fatalf("certificates %v, want %v", got, want)
		}
	})
}
