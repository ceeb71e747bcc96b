package dkg

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// liar has member 0 act on each kind of message; what it does not name it
// sends as it is.
type liar map[wire.DKGKind]func(m wire.DKGMessage) []wire.DKGMessage

func (l liar) tamper(member int, m wire.DKGMessage) []wire.DKGMessage {
	if act := l[m.Kind()]; act != nil && member == 0 {
		return act(m)
	}
	return []wire.DKGMessage{m}
}

func omit(wire.DKGMessage) []wire.DKGMessage { return nil }

// change signs a changed message anew.
func change[M wire.DKGMessage](f func(m M) M) func(wire.DKGMessage) []wire.DKGMessage {
	return func(m wire.DKGMessage) []wire.DKGMessage { return []wire.DKGMessage{resign(f(m.(M)), 0)} }
}

// twice sends a message and a changed one.
func twice[M wire.DKGMessage](f func(m M) M) func(wire.DKGMessage) []wire.DKGMessage {
	return func(m wire.DKGMessage) []wire.DKGMessage { return []wire.DKGMessage{m, resign(f(m.(M)), 0)} }
}

func lieTo(members ...int) func(wire.Contribution) wire.Contribution {
	return func(m wire.Contribution) wire.Contribution {
		m.Shares = slices.Clone(m.Shares)
		for _, i := range members {
			m.Shares[i][31] ^= 1
		}
		return m
	}
}

func otherIV(m wire.Contribution) wire.Contribution { m.IVSeed[0] ^= 1; return m }

func wrongShare(m wire.Justification) wire.Justification {
	m.Shares = slices.Clone(m.Shares)
	m.Shares[0].Share[31] ^= 1
	return m
}

// Source: spec/dash.md 5.4, 5.9; 9.1, feature_llmq_dkgerrors.
func TestSession_EveryFault(t *testing.T) {
	commit := func(f func(m wire.PrematureCommitment) wire.PrematureCommitment) liar {
		return liar{wire.KindPrematureCommitment: change(f)}
	}
	for _, c := range []struct {
		name   string
		liar   liar
		fault  Fault // of member 0
		signs  bool  // it is among the signers
		answer bool  // it justifies
	}{
		{"all well", nil, 0, true, false},
		{"contribution omitted", liar{wire.KindContribution: omit}, NoContribution, true, false}, // the votes tell it,
		{"contribution lies to one, justified", liar{wire.KindContribution: change(lieTo(2))}, 0, true, true},
		{"contribution lies to all others, justified", liar{wire.KindContribution: change(lieTo(1, 2, 3, 4))}, 0, true, true},
		{"contribution lies, justification omitted", liar{wire.KindContribution: change(lieTo(2)), wire.KindJustification: omit}, Unanswered, false, false},
		{"contribution lies, justification lies", liar{wire.KindContribution: change(lieTo(2)), wire.KindJustification: change(wrongShare)}, WrongShare, false, true},
		{"contribution lies to two, one is answered", liar{
			wire.KindContribution: change(lieTo(2, 3)),
			wire.KindJustification: change(func(m wire.Justification) wire.Justification {
				m.Shares = m.Shares[1:]
				return m
			}),
		}, Unanswered, false, true},
		{"contribution lies, share of another revealed too", liar{
			wire.KindContribution: change(lieTo(2)),
			wire.KindJustification: change(func(m wire.Justification) wire.Justification {
				m.Shares = append(slices.Clone(m.Shares), wire.RevealedShare{Member: 1, Share: m.Shares[0].Share})
				return m
			}),
		}, WrongShare, false, true},
		{"two contributions", liar{wire.KindContribution: twice(otherIV)}, TwoContributions, true, false},
		{"two justifications", liar{wire.KindContribution: change(lieTo(2)), wire.KindJustification: twice(wrongShare)}, TwoJustifications, false, true},
		{"two premature commitments", liar{wire.KindPrematureCommitment: twice(func(m wire.PrematureCommitment) wire.PrematureCommitment {
			m.PublicKey[47] ^= 1
			return m
		})}, 0, true, false},
		{"two premature commitments to one result", liar{wire.KindPrematureCommitment: func(m wire.DKGMessage) []wire.DKGMessage {
			other := m.(wire.PrematureCommitment)
			other.QuorumSignature = other.Signature
			return []wire.DKGMessage{other, m}
		}}, 0, true, false},
		{"commitment omitted", liar{wire.KindPrematureCommitment: omit}, 0, false, false},
		{"commitment to another key", commit(func(m wire.PrematureCommitment) wire.PrematureCommitment { m.PublicKey[47] ^= 1; return m }), 0, false, false},
		{"commitment to another vector", commit(func(m wire.PrematureCommitment) wire.PrematureCommitment { m.VectorHash[0] ^= 1; return m }), 0, false, false},
		{"commitment to other members", commit(func(m wire.PrematureCommitment) wire.PrematureCommitment {
			m.ValidMembers = slices.Clone(m.ValidMembers)
			m.ValidMembers[1] = false
			return m
		}), 0, false, false},
		{"commitment with another share's signature", commit(func(m wire.PrematureCommitment) wire.PrematureCommitment {
			m.QuorumSignature = m.Signature
			return m
		}), 0, false, false},
		{"commitment with a broken operator signature", liar{wire.KindPrematureCommitment: func(m wire.DKGMessage) []wire.DKGMessage {
			s := m.OperatorSignature()
			s[50] ^= 1
			return []wire.DKGMessage{m.Signed(s)}
		}}, 0, false, false},
	} {
		const n = 5
		cluster := newCluster(t, newRoster(t, shape(t, n), n), 9)
		cluster.tamper = c.liar.tamper
		// Member 1 complains too, though not about member 0.
		cluster.bad = func(viewer int, proTx wire.Hash) bool {
			return viewer == 1 && proTx == cluster.roster.members[3].ProTxHash
		}
		cluster.run()
		final := cluster.agreed(cluster.but(0)...)
		if final.ValidMembers.Has(0) != (c.fault == 0) || final.Signers.Has(0) != c.signs || final.ValidMembers.Count() < n-1 || final.Signers.Count() < n-1 {
			t.Errorf("%s: valid %s, signers %s", c.name, final.ValidMembers, final.Signers)
		}
		for i, s := range cluster.sessions[1:] {
			if skipped := s.Status().Skipped; skipped != 0 {
				t.Errorf("%s: member %d skips %d groups", c.name, i+1, skipped)
			}
			st := s.Status().Members[0]
			if st.Fault != c.fault || st.Justified > 0 != c.answer {
				t.Errorf("%s: member %d thinks %+v, want %s, answers %t", c.name, i+1, st, c.fault, c.answer)
			}
			if proofs, want := len(s.Equivocations()), c.name[:3] == "two"; proofs > 0 != want && c.name != "two premature commitments" {
				t.Errorf("%s: member %d has %d proofs of equivocation", c.name, i+1, proofs)
			}
		}
	}
}

// accuse is a complaint of one member about others.
func (r *Roster) accuse(by int, members ...int) wire.DKGMessage {
	m := wire.Complaint{DKGHead: wire.DKGHead{Type: r.llmq.Type, QuorumHash: r.hash, ProTxHash: r.members[by].ProTxHash}, BadMembers: make(wire.Bitset, r.llmq.Size), ComplainFor: make(wire.Bitset, r.llmq.Size)}
	for _, i := range members {
		m.ComplainFor[i] = true
	}
	return resign(m, by)
}

// Whoever is accused falsely answers and stays, and so does the accuser.
func TestSession_FalseComplaints(t *testing.T) {
	const n = 5
	c := newCluster(t, newRoster(t, shape(t, n), n), 3)
	accuse := func(members ...int) wire.DKGMessage { return c.roster.accuse(0, members...) }
	inject := func(height int32, ms ...wire.DKGMessage) {
		for h := int32(base); h <= base+12; h++ {
			c.advance(h)
			if h == height {
				c.deliver(c.deliveries(-1, ms), h)
			}
		}
	}
	inject(base+4, accuse(1, 2, 3, 4))
	if final := c.agreed(c.everybody()...); final.ValidMembers.Count() != n || final.Signers.Count() != n {
		t.Errorf("valid %s, signers %s", final.ValidMembers, final.Signers)
	}
	for i, st := range c.sessions[n].Status().Members {
		if st.Justified != 1 != (i == 0) || i > 0 && (!slices.Equal(st.Accusers, []int{0}) || len(st.Unanswered) > 0) {
			t.Errorf("member %d: %+v", i, st)
		}
	}

	// One that sends three different complaints, each to be seen by a few only
	// for lack of room, is out, and nobody else is.
	c = newCluster(t, c.roster, 4)
	inject(base+4, accuse(1), accuse(2), accuse(3, 4))
	if final := c.agreed(c.but(0)...); final.ValidMembers.String() != "01111" {
		t.Errorf("three complaints: valid %s", final.ValidMembers)
	}
	if st := c.sessions[n].Status().Members[0]; st.Fault != TwoComplaints || st.Complained != 2 {
		t.Errorf("three complaints: %+v", st)
	}
}

// Votes of one that complains twice do not count, nor what it says otherwise.
func TestSession_VotesOfEquivocators(t *testing.T) {
	const n = 4 // 4:3
	c := newCluster(t, newRoster(t, shape(t, n), n), 3)
	target := c.roster.members[3].ProTxHash
	c.bad = func(viewer int, proTx wire.Hash) bool { return viewer < 3 && proTx == target }
	c.tamper = liar{wire.KindComplaint: twice(func(m wire.Complaint) wire.Complaint {
		m.ComplainFor = slices.Clone(m.ComplainFor)
		m.ComplainFor[1] = true
		return m
	})}.tamper
	c.run()
	if final := c.agreed(c.but(0)...); final.ValidMembers.String() != "0111" {
		t.Errorf("valid %s, want all but the equivocator", final.ValidMembers)
	}
}

// Whatever a minority does, if all hear it in time: the others agree on what
// there is. Each liar does something at random with each of its messages.
func TestSession_HonestAgreeWhateverOthersDo(t *testing.T) {
	const n = 5 // 5:3
	roster := newRoster(t, shape(t, n), n)
	made := 0
	for seed := range uint64(25) {
		c := newCluster(t, roster, seed)
		random := rand.New(rand.NewPCG(seed, 1))
		c.bad = func(viewer int, _ wire.Hash) bool { return viewer < 2 && random.IntN(3) == 0 }
		c.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
			if member >= 2 {
				return []wire.DKGMessage{m}
			}
			var send []wire.DKGMessage
			for range random.IntN(4) {
				send = append(send, resign(scramble(random, m), member))
			}
			return send
		}
		c.run()
		want := c.sessions[2].Commitments()
		made += len(want)
		if len(want) != 1 { // three honest members of a quorum of three suffice
			t.Fatalf("seed %d: %d commitments: %+v", seed, len(want), c.sessions[2].Status())
		}
		c.agreed(2, 3, 4, 5)
		if v := want[0].ValidMembers; !v[2] || !v[3] || !v[4] {
			t.Errorf("seed %d: valid %s without an honest member", seed, v)
		}
	}
}

// scramble changes something that the shape of the message allows.
func scramble(r *rand.Rand, m wire.DKGMessage) wire.DKGMessage {
	flip := func(s wire.Bitset) wire.Bitset {
		s = slices.Clone(s)
		s[r.IntN(len(s))] = r.IntN(2) == 0
		return s
	}
	switch m := m.(type) {
	case wire.Contribution:
		return lieTo(r.IntN(len(m.Shares)))(m)
	case wire.Complaint:
		m.BadMembers, m.ComplainFor = flip(m.BadMembers), flip(m.ComplainFor)
		return m
	case wire.Justification:
		if r.IntN(2) == 0 {
			return wrongShare(m)
		}
		return m
	case wire.PrematureCommitment:
		if r.IntN(2) == 0 {
			m.VectorHash[0] ^= 1
		} else {
			m.ValidMembers = flip(m.ValidMembers)
		}
		return m
	}
	return m
}

// A complaint that is in time for the accused alone, or for all but the
// accused, or late for everybody: an honest dealer stays valid in all views.
func TestSession_ComplaintTimedForSome(t *testing.T) {
	const n, accused = 5, 2
	roster := newRoster(t, shape(t, n), n)
	for _, c := range []struct {
		name string
		late func(to int) bool
	}{
		{"in time for all", func(int) bool { return false }},
		{"in time for the accused alone", func(to int) bool { return to != accused }},
		{"in time for all but the accused", func(to int) bool { return to == accused }},
		{"in time for some but not the accused", func(to int) bool { return to >= accused }},
		{"late for all", func(int) bool { return true }},
	} {
		cl := newCluster(t, roster, 3)
		for h := int32(base); h <= base+12; h++ {
			cl.advance(h)
			for _, late := range []bool{false, true} { // the last block of Complain, the first of Justify
				if h == map[bool]int32{false: base + 5, true: base + 6}[late] {
					cl.route = func(_ wire.DKGMessage, _, to int) bool { return c.late(to) == late }
					queue := cl.deliveries(0, []wire.DKGMessage{roster.accuse(0, accused)})
					cl.route = nil
					cl.deliver(queue, h)
				}
			}
		}
		if final := cl.agreed(cl.everybody()...); final.ValidMembers.Count() != n || final.Signers.Count() != n {
			t.Errorf("%s: valid %s, signers %s", c.name, final.ValidMembers, final.Signers)
		}
		for i, s := range cl.sessions {
			if m := s.Status().Members[accused]; m.Fault != 0 || m.Justified != 1 {
				t.Errorf("%s: %d thinks %+v of the accused", c.name, i, m)
			}
		}
	}
}

// A late complaint is answered by whom it names, in Justify, once.
func TestSession_AnswersOneLateComplaint(t *testing.T) {
	const n = 5
	roster := newRoster(t, shape(t, n), n)
	at := func(height int32) *cluster {
		c := newCluster(t, roster, 3)
		for h := int32(base); h <= height; h++ {
			c.advance(h)
		}
		return c
	}
	open := func(c *cluster, m wire.DKGMessage) Opened {
		o, reason := c.open(m, base+5)
		if reason != 0 {
			t.Fatal(reason)
		}
		return o
	}
	for height, want := range map[int32]bool{base + 5: false, base + 6: true, base + 7: true, base + 8: false} {
		c := at(height)
		if _, ok := c.sessions[2].Answer(open(c, roster.accuse(0, 2))); ok != want {
			t.Errorf("at %d: answers %t, want %t", height-base, ok, want)
		}
		if _, ok := c.sessions[n].Answer(open(c, roster.accuse(0, 2))); ok {
			t.Error("a watcher answers")
		}
	}
	c := at(base + 6)
	s := c.sessions[2]
	if _, ok := s.Answer(open(c, roster.accuse(0, 1, 3))); ok {
		t.Error("answers a complaint about others")
	}
	answer, ok := s.Answer(open(c, roster.accuse(0, 2)))
	m, _ := answer.Message.(wire.Justification)
	if !ok || len(m.Shares) != 1 || m.Shares[0].Member != 0 {
		t.Fatalf("answer %+v, %t", m, ok)
	}
	if _, ok := s.Answer(open(c, roster.accuse(1, 2))); ok {
		t.Error("justifies twice")
	}
	if _, again := Resume(roster, roster.who(2), c.stored(2), base+7, nil); len(again) != 1 || again[0].id != answer.id {
		t.Errorf("after a restart it says %+v", again)
	}
	for height, want := range map[int32]Reason{base + 5: 0, base + 6: 0, base + 7: 0, base + 8: ReasonLate} {
		if _, reason := roster.Check(roster.accuse(0, 2), height); reason != want {
			t.Errorf("a complaint at %d: %s, want %s", height-base, reason, want)
		}
	}
}

// Who dealt nothing, or two different things, justifies nothing: what it would
// show need not fit what others hold.
func TestSession_JustifiesOnlyWhatItDealt(t *testing.T) {
	const n = 5
	roster := newRoster(t, shape(t, n), n)
	for _, dealt := range []int{0, 1, 2} {
		c := newCluster(t, roster, 3)
		s := c.sessions[2]
		if dealt > 0 {
			first := s.Advance(base+2, nil)[0].Message
			if dealt > 1 {
				o, _ := c.open(resign(otherIV(first.(wire.Contribution)), 2), base+2)
				s.Add(o)
			}
		}
		s.Advance(base+4, nil)
		o, reason := c.open(roster.accuse(0, 2), base+4)
		if reason != 0 || s.Add(o) != ReasonAccepted {
			t.Fatal("the complaint is not taken")
		}
		if sent := s.Advance(base+6, nil); len(sent) > 0 != (dealt == 1) {
			t.Errorf("%d contributions: sends %d justifications", dealt, len(sent))
		}
	}
}

// A member that holds another at fault whom the others hold valid takes the
// share that it shows all the same, and can sign for what was made.
func TestSession_ShareOfOneWhoIsValidForOthers(t *testing.T) {
	const n, dealer, victim = 5, 0, 4
	c := newCluster(t, newRoster(t, shape(t, n), n), 3)
	c.tamper = liar{wire.KindContribution: change(lieTo(victim))}.tamper
	c.bad = func(viewer int, proTx wire.Hash) bool {
		return viewer >= 1 && viewer <= c.roster.llmq.BadVotes && proTx == c.roster.members[dealer].ProTxHash
	}
	// The last vote against the dealer reaches the victim alone.
	c.route = func(m wire.DKGMessage, from, to int) bool {
		return m.Kind() != wire.KindComplaint || from != c.roster.llmq.BadVotes || to == victim
	}
	c.run()
	s := c.sessions[victim]
	if f := s.Status().Members[dealer].Fault; f != VotedOut {
		t.Fatalf("the victim finds %s", f)
	}
	finals := c.sessions[1].Commitments()
	if len(finals) != 1 || !finals[0].ValidMembers.Has(dealer) {
		t.Fatalf("commitments %+v", finals)
	}
	if _, _, ok := s.Share(finals[0].ValidMembers); !ok {
		t.Error("the victim has no share")
	}
}

// Before Commit a share may yet be replaced, and the result is not known.
func TestSession_NoShareBeforeCommit(t *testing.T) {
	const n = 4
	c := newCluster(t, newRoster(t, shape(t, n), n), 3)
	valid := make(wire.Bitset, n)
	for i := range valid {
		valid[i] = true
	}
	for h := int32(base); h <= base+8; h++ {
		c.advance(h)
		if _, _, ok := c.sessions[1].Share(valid); ok != (h == base+8) {
			t.Errorf("at %d: has a share: %t", h-base, ok)
		}
	}
}
