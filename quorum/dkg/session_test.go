package dkg

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

func ones(n int) string { return strings.Repeat("1", n) }

// Whatever the order of delivery, and with duplicates.
func TestSession_HonestMembersMakeAQuorum(t *testing.T) {
	for _, n := range []int{3, 4, 5, 12, 25} {
		roster := newRoster(t, shape(t, n), n)
		var first wire.FinalCommitment
		for seed := range uint64(3) {
			c := newCluster(t, roster, seed).run()
			final := c.agreed(c.everybody()...)
			if final.Signers.String() != ones(n) || final.ValidMembers.String() != ones(n) {
				t.Errorf("%d members: signers %s, valid %s", n, final.Signers, final.ValidMembers)
			}
			if seed == 0 {
				first = final
			}
			if final.ID() != first.ID() {
				t.Errorf("%d members: another order of delivery makes another commitment", n)
			}
			for i, s := range c.sessions {
				for _, m := range s.Status().Members {
					if m.Fault != 0 || m.Complained+m.Justified > 0 || m.Contributed != 1 || m.Committed != 1 {
						t.Errorf("%d members: member %d thinks %+v", n, i, m)
					}
				}
			}
		}
	}
}

func TestSession_FewerMembersThanSize(t *testing.T) {
	q := shape(t, 12) // 12:7
	for n := q.MinSize; n < q.Size; n += 2 {
		c := newCluster(t, newRoster(t, q, n), 1).run()
		want := ones(n) + strings.Repeat("0", q.Size-n)
		if final := c.agreed(c.everybody()...); final.ValidMembers.String() != want || final.Signers.String() != want {
			t.Errorf("%d of %d members: valid %s, signers %s", n, q.Size, final.ValidMembers, final.Signers)
		}
	}
}

// Members that send nothing at all.
func TestSession_SilentMembers(t *testing.T) {
	for _, n := range []int{4, 5, 12} {
		q := shape(t, n)
		for silent := 0; silent <= n-q.MinSize+1; silent++ {
			c := newCluster(t, newRoster(t, q, n), uint64(silent))
			c.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
				if member < silent {
					return nil
				}
				return []wire.DKGMessage{m}
			}
			c.run()
			if n-silent < q.MinSize {
				for i, s := range c.sessions {
					if finals := s.Commitments(); len(finals) > 0 {
						t.Errorf("%d of %d silent: member %d has %d commitments", silent, n, i, len(finals))
					}
				}
				if _, ok := c.sessions[n-1].Result(); ok {
					t.Errorf("%d of %d silent: a result", silent, n)
				}
				continue
			}
			var out []int
			for i := range silent {
				out = append(out, i)
			}
			want := strings.Repeat("0", silent) + ones(n-silent)
			if final := c.agreed(c.but(out...)...); final.ValidMembers.String() != want {
				t.Errorf("%d of %d silent: valid %s, want %s", silent, n, final.ValidMembers, want)
			}
		}
	}
}

// Fewer good commitments than MinSize make none final, though all members are
// valid and a threshold of them could sign.
func TestSession_TooFewCommitments(t *testing.T) {
	q := shape(t, 5)
	q.MinSize = 4 // above the threshold of 3
	for missing := range 5 {
		for name, act := range map[string]func(m wire.PrematureCommitment, member int) []wire.DKGMessage{
			"missing": func(wire.PrematureCommitment, int) []wire.DKGMessage { return nil },
			"wrong": func(m wire.PrematureCommitment, member int) []wire.DKGMessage {
				m.QuorumSignature = m.Signature
				return []wire.DKGMessage{resign(m, member)}
			},
		} {
			c := newCluster(t, newRoster(t, q, 5), 1)
			c.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
				if premature, ok := m.(wire.PrematureCommitment); ok && member < missing {
					return act(premature, member)
				}
				return []wire.DKGMessage{m}
			}
			c.run()
			watcher := c.sessions[len(c.sessions)-1]
			finals := watcher.Commitments()
			if want := 5-missing >= q.MinSize; (len(finals) == 1) != want || want && finals[0].Signers.Count() != 5-missing {
				t.Errorf("%d commitments %s: %+v", missing, name, finals)
			}
			if _, ok := watcher.Result(); !ok {
				t.Errorf("%d commitments %s: no result", missing, name)
			}
		}
	}
}

// Who missed a contribution can neither sign for the quorum nor put its
// commitment together, and knows that there is one.
func TestSession_MissedContribution(t *testing.T) {
	c := newCluster(t, newRoster(t, shape(t, 5), 5), 1)
	c.route = func(m wire.DKGMessage, from, to int) bool {
		return m.Kind() != wire.KindContribution || from != 0 || to != 4
	}
	c.run()
	final := c.agreed(c.but(4)...)
	if final.ValidMembers.String() != ones(5) || final.Signers.String() != "11110" {
		t.Errorf("valid %s, signers %s", final.ValidMembers, final.Signers)
	}
	s := c.sessions[4]
	if st := s.Status(); st.Skipped != 1 || st.Members[0].Fault != NoContribution || len(s.Commitments()) != 0 {
		t.Errorf("member 4 thinks %+v and has %d commitments", st, len(s.Commitments()))
	}
	if _, _, ok := s.Share(final.ValidMembers); ok {
		t.Error("member 4 has a share without a contribution")
	}
}

// Source: DIP-0031; spec/dash.md 9.3, scenario 5.
func TestSession_VotesOfOneMind(t *testing.T) {
	q := shape(t, 12)
	for votes := q.BadVotes - 2; votes <= q.BadVotes+1; votes++ {
		c := newCluster(t, newRoster(t, q, 12), uint64(votes))
		target := c.roster.members[11].ProTxHash
		// The target has heard of its ban too, and does not vote itself out.
		c.bad = func(viewer int, proTx wire.Hash) bool { return (viewer < votes || viewer == 11) && proTx == target }
		c.run()
		want := ones(12)
		if votes >= q.BadVotes {
			want = ones(11) + "0"
		}
		final := c.agreed(c.everybody()...)
		if final.ValidMembers.String() != want || final.Signers.String() != ones(12) {
			t.Errorf("%d votes of %d: valid %s, want %s; signers %s", votes, q.BadVotes, final.ValidMembers, want, final.Signers)
		}
		st := c.sessions[0].Status().Members[11]
		if len(st.Voters) != votes || (st.Fault == VotedOut) != (votes >= q.BadVotes) {
			t.Errorf("%d votes: status %+v", votes, st)
		}
	}
}

// A vote at the threshold that part of the members hear in time: those who
// agree make the quorum if they are enough, and else there is none and nobody
// is punished.
func TestSession_SplitVoteNearTheThreshold(t *testing.T) {
	q := shape(t, 12) // 12:7
	for hear := 0; hear <= 12; hear++ {
		c := newCluster(t, newRoster(t, q, 12), uint64(hear))
		target := c.roster.members[11].ProTxHash
		c.bad = func(viewer int, proTx wire.Hash) bool { return viewer < q.BadVotes && proTx == target }
		// The vote of member 0 reaches members 0 to hear-1 and the watcher only.
		c.route = func(m wire.DKGMessage, from, to int) bool {
			return m.Kind() != wire.KindComplaint || from != 0 || to < hear || to == 12
		}
		c.run()
		counted := max(hear, 1) // member 0 hears itself
		want := ""
		switch {
		case counted >= q.MinSize:
			want = ones(11) + "0"
		case 12-counted >= q.MinSize:
			want = ones(12)
		}
		for i, s := range c.sessions {
			got := ""
			for _, final := range s.Commitments() {
				got += final.ValidMembers.String()
				if reason := Verify(final, Quorum{q, base, c.roster.hash}, c.roster.Keys()); reason != CommitmentGood {
					t.Errorf("%d hear the vote: member %d has a commitment that is %s", hear, i, reason)
				}
				if i == 12 {
					continue // the watcher
				}
				// Those who found something else hold a share of what was made, too.
				share, r, ok := s.Share(final.ValidMembers)
				public, err := r.Vector.Share(c.roster.ids[i])
				if !ok || err != nil || public != share.PublicKey() || r.PublicKey().Bytes() != final.PublicKey {
					t.Errorf("%d hear the vote: member %d has a share of what was made: %t, %v", hear, i, ok, err)
				}
			}
			if got != want {
				t.Errorf("%d hear the vote: member %d has a commitment of %q, want %q", hear, i, got, want)
			}
		}
	}
}

// A member that is restarted at any height sends what it sent, byte for byte,
// or what it would have sent, and comes to the same result.
func TestSession_RestartAnywhere(t *testing.T) {
	const n, restarted = 4, 1
	roster := newRoster(t, shape(t, n), n)
	sent := make(map[wire.DKGKind]string) // by the restarted member
	run := func(name string, restart int32, delivered bool) wire.FinalCommitment {
		c := newCluster(t, roster, 5)
		// Member 0 lies to the restarted one and to another, and justifies;
		// member 3 accuses the restarted one.
		c.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
			if member == restarted {
				if before, ok := sent[m.Kind()]; ok && before != string(m.Bytes()) {
					t.Errorf("%s: another %s", name, m.Kind())
				}
				sent[m.Kind()] = string(m.Bytes())
			}
			if contribution, ok := m.(wire.Contribution); ok && member == 0 {
				return []wire.DKGMessage{resign(lieTo(restarted, 2)(contribution), 0)}
			}
			if contribution, ok := m.(wire.Contribution); ok && member == restarted {
				return []wire.DKGMessage{resign(lieTo(3)(contribution), restarted)}
			}
			return []wire.DKGMessage{m}
		}
		resume := func(now int32) []Opened {
			s, send := Resume(roster, roster.who(restarted), c.stored(restarted), now, nil)
			c.sessions[restarted] = s
			return send
		}
		for now := int32(base); now <= base+12; now++ {
			if now == restart && !delivered { // before the block is seen
				resume(now - 1)
			}
			c.advance(now)
			if now == restart && delivered {
				for _, o := range resume(now) {
					if string(o.Message.Bytes()) != sent[o.Message.Kind()] {
						t.Errorf("%s: resumes with another %s", name, o.Message.Kind())
					}
				}
			}
		}
		return c.agreed(c.everybody()...)
	}
	plain := run("no restart", 0, false)
	if len(sent) != 4 {
		t.Fatalf("%d kinds sent", len(sent))
	}
	for h := int32(base); h <= base+12; h++ {
		for _, delivered := range []bool{true, false} {
			name := fmt.Sprintf("restart at %d, delivered %t", h-base, delivered)
			if again := run(name, h, delivered); again.ID() != plain.ID() {
				t.Errorf("%s: another commitment", name)
			}
		}
	}
}

// What a complaint says depends on flags that may have changed meanwhile.
func TestSession_RestartKeepsTheComplaint(t *testing.T) {
	c := newCluster(t, newRoster(t, shape(t, 4), 4), 1)
	vote := func(member int) func(wire.Hash) bool {
		return func(proTx wire.Hash) bool { return proTx == c.roster.members[member].ProTxHash }
	}
	for h := int32(base); h < base+4; h++ {
		c.advance(h)
	}
	before := c.sessions[0].Advance(base+4, vote(1))
	_, after := Resume(c.roster, c.roster.who(0), c.stored(0), base+4, vote(2))
	_, later := Resume(c.roster, c.roster.who(0), c.stored(0), base+5, nil)
	for _, again := range [][]Opened{after, later} {
		if len(before) != 1 || len(again) != 1 || string(again[0].Message.Bytes()) != string(before[0].Message.Bytes()) {
			t.Errorf("the complaint was %+v and is %+v", before, again)
		}
	}
}

// Without any memory, a member still sends the same contribution.
func TestSession_SecretsAreDerived(t *testing.T) {
	roster := newRoster(t, shape(t, 4), 4)
	contribution := func(r *Roster, who Identity) wire.Contribution {
		s := NewSession(r, who)
		sent := s.Advance(base+2, nil)
		if len(sent) != 1 {
			t.Fatalf("%d messages", len(sent))
		}
		return sent[0].Message.(wire.Contribution)
	}
	first := contribution(roster, roster.who(0))
	if again := contribution(roster, roster.who(0)); string(again.Bytes()) != string(first.Bytes()) {
		t.Error("two runs make two contributions")
	}
	// A release that derives otherwise makes members equivocate whom it restarts in a session.
	if got, want := first.ID().String(), "54673476803fff72ce05ce716b37217fc125b83cc38da15e3ad181a88a628c77"; got != want {
		t.Errorf("the contribution of a known operator is %s, want %s", got, want)
	}
	other := *roster
	other.hash = hashOf("another block")
	second := contribution(&other, other.who(0))
	if second.Vector[0] == first.Vector[0] || second.Ephemeral == first.Ephemeral || second.IVSeed == first.IVSeed {
		t.Error("two sessions share a secret")
	}
	third := contribution(roster, roster.who(1))
	if third.Vector[0] == first.Vector[0] || third.Ephemeral == first.Ephemeral || third.IVSeed == first.IVSeed {
		t.Error("two members share a secret")
	}
}

// Blocks may come several at a time; what is late is not said.
func TestSession_PassesOverPhases(t *testing.T) {
	roster := newRoster(t, shape(t, 4), 4)
	for to, want := range map[int32]wire.DKGKind{base - 1: 0, base + 1: 0, base + 2: wire.KindContribution, base + 4: wire.KindComplaint, base + 6: 0, base + 8: 0, base + 30: 0} {
		s := NewSession(roster, roster.who(0))
		var got wire.DKGKind
		for _, o := range s.Advance(to, nil) {
			got += o.Message.Kind()
		}
		if got != want || s.Phase() != PhaseAt(roster.llmq, base, to) {
			t.Errorf("at %d a new session sends %s and is in phase %s; want %s", to-base, got, s.Phase(), want)
		}
		if again := s.Advance(to, nil); len(again) > 0 || len(s.Advance(base, nil)) > 0 {
			t.Errorf("at %d the same height makes it speak again", to-base)
		}
	}
}

// Source: spec/dash.md 5.1, the columns of ph=2 and ph=4.
func TestPhaseAt(t *testing.T) {
	for _, c := range []struct {
		kind    wire.LLMQType
		offsets []int32
		window  [2]int32
	}{{106, []int32{0, 2, 4, 6, 8, 10, 12}, [2]int32{10, 18}}, {2, []int32{0, 4, 8, 12, 16, 20, 24}, [2]int32{20, 28}}} {
		q, err := params.LLMQByType(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		start := 3 * q.DKGInterval
		for offset := int32(-1); offset < q.DKGInterval; offset++ {
			want := Phase(0)
			for i, from := range c.offsets {
				if offset >= from {
					want = Phase(i + 1)
				}
			}
			if got := PhaseAt(q, start, start+offset); got != want {
				t.Errorf("%s at offset %d: %s, want %s", q.Name, offset, got, want)
			}
			_, mine := MiningBase(q, start+offset)
			if want := offset >= c.window[0] && offset <= c.window[1]; mine != want {
				t.Errorf("%s at offset %d: mined %t, want %t", q.Name, offset, mine, want)
			}
			if IsBase(q, start+offset) != (offset == 0) || offset >= 0 && BaseAt(q, start+offset) != start {
				t.Errorf("%s at offset %d: base %t, %d", q.Name, offset, IsBase(q, start+offset), BaseAt(q, start+offset))
			}
		}
	}
	q := shape(t, 4)
	for tip, want := range map[int32]bool{48: false, 72: false, 73: true} {
		if got := Stale(q, 48, tip); got != want {
			t.Errorf("a commitment of 48 is stale at %d: %t", tip, got)
		}
	}
	for height := int32(-30); height < 24; height++ {
		if _, mine := MiningBase(q, height); mine || IsBase(q, height) {
			t.Errorf("a session starts below height 24, or is mined at %d", height)
		}
	}
}

func TestSession_NeverShowsSecrets(t *testing.T) {
	roster := newRoster(t, shape(t, 4), 4)
	who := roster.who(0)
	s := NewSession(roster, who)
	s.Advance(base+4, nil)
	key := operator(0).Bytes()
	for _, secret := range [][]byte{key[:], who.Seed[:]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			for _, v := range []any{s, who, []any{s, who}} {
				shown := fmt.Sprintf(verb, v)
				for _, form := range []string{"%x", "%v", "%d"} {
					hidden := strings.Trim(fmt.Sprintf(form, secret[:8]), "[]")
					if strings.Contains(shown, hidden) {
						t.Errorf("%s shows a secret: %.200s", verb, shown)
					}
				}
			}
		}
	}
}
