package engine

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestSession_MembersMakeAQuorum(t *testing.T) {
	for _, c := range []struct {
		name    string
		nodes   int
		llmqs   []chain.GenesisLLMQ
		members []int // of each type
	}{
		{"all of four", 4, []chain.GenesisLLMQ{platform(4, 3)}, []int{4}},
		{"four of six", 6, []chain.GenesisLLMQ{platform(4, 3)}, []int{4}},
		{"two types", 5, []chain.GenesisLLMQ{platform(5, 3), {Type: 100}}, []int{5, 3}},
		{"fewer members than places", 8, []chain.GenesisLLMQ{{Type: 101}}, []int{8}}, // of 12
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, hallNetwork(c.nodes, c.llmqs...))
			h.until(44)
			for i, l := range c.llmqs {
				q, ok := h.quorumOf(0, l.Type)
				if !ok {
					t.Fatalf("type %d: no quorum", l.Type)
				}
				if v := q.Commitment.ValidMembers; q.Base != 24 || q.Mined != 35 || len(q.Members) != c.members[i] || v.Count() != c.members[i] || q.Commitment.Signers.String() != v.String() {
					t.Errorf("quorum of %d, %d members, mined at %d, valid %s, signed by %s", q.Base, len(q.Members), q.Mined, v, q.Commitment.Signers)
				}
				h.wantSigns(q, c.members[i])
			}
			// Null until there is one, then none.
			for _, l := range h.rigs[0].branch {
				want, null := 0, l.Tip.Height == 34
				if null || l.Tip.Height == 35 {
					want = len(c.llmqs)
				}
				if got := l.Block.Commitments; len(got) != want || want > 0 && got[0].Null() != null {
					t.Errorf("block %d carries %d commitments, want %d", l.Tip.Height, len(got), want)
				}
			}
			made := h.made[34]
			if made.Tip.Height != 35 || len(made.Formed) != len(c.llmqs) || len(made.Null) != 0 || len(made.Punishments) != 0 {
				t.Errorf("block %d tells of %d quorums, %d null, %d punishments", made.Tip.Height, len(made.Formed), len(made.Null), len(made.Punishments))
			}
		})
	}
}

// speaks tells the message of a session in a publication, nil if it is none.
func speaks(p Publication) wire.DKGMessage {
	if _, ok := p.Topic.DKG(); !ok {
		return nil
	}
	return must(ParseDKGBytes(p.Bytes))
}

// mute keeps what a member says in sessions from everybody.
func mute(member int) func(int, int, Publication) bool {
	return func(from, _ int, p Publication) bool {
		return from != member || speaks(p) == nil && p.Topic != TopicCommitment
	}
}

func TestSession_ASilentMemberIsPunished(t *testing.T) {
	for profile, increase := range map[string]int32{"core": 66, "spec": 66} {
		n := hallNetwork(5, platform(5, 3))
		n.genesis.Profile = profile
		h := newHall(t, n)
		h.pass = mute(2)
		h.until(40)
		q, ok := h.quorumOf(0, params.TestPlatform)
		if !ok {
			t.Fatalf("%s: no quorum", profile)
		}
		index, _ := q.Index(proTx(2))
		if c := q.Commitment; c.ValidMembers.Count() != 4 || c.ValidMembers.Has(index) || c.Signers.Count() != 4 || c.Signers.Has(index) {
			t.Errorf("%s: valid %s, signed by %s; want all but %d", profile, c.ValidMembers, c.Signers, index)
		}
		h.wantSigns(q, 5) // it was dealt a share as well: only its own is not in the key
		node, _ := h.rigs[0].state.Node(proTx(2))
		if got := node.PoSe.At(35); got != increase || node.PoSe.At(40) != increase-5 {
			t.Errorf("%s: score %d after the block, %d five blocks later; want %d", profile, got, node.PoSe.At(40), increase)
		}
		list := must(Decisions(h.rigs[0].disk, proTx(2), 40))
		if len(list) != 1 || len(list[0].Punishments) != 1 || len(list[0].Transitions) != 0 {
			t.Fatalf("%s: decisions %+v, want one punishment", profile, list)
		}
		want := Failure{list[0].Punishments[0].Punishment, params.TestPlatform, q.Hash(), 24, 35, index, 5, 4, 4}
		if got := list[0].Punishments[0]; got != want || got.After != increase || got.Bans || list[0].After.PoSe.Score != increase {
			t.Errorf("%s: %+v, want %+v", profile, got, want)
		}
		if p := h.made[34].Punishments; len(p) != 1 || p[0].ProTxHash != proTx(2) {
			t.Errorf("%s: block 35 tells of punishments %v", profile, p)
		}
	}
}

// One that fails in two types of quorums is banned by one block, and drawn no
// more.
func TestSession_TwoFailuresInOneBlockBan(t *testing.T) {
	h := newHall(t, hallNetwork(6, platform(6, 4), chain.GenesisLLMQ{Type: 101, Size: 6, Threshold: 4}))
	h.pass = mute(2)
	h.until(44)
	node, _ := h.rigs[0].state.Node(proTx(2))
	if node.PoSe.BanHeight != 35 || len(h.made[34].Punishments) != 2 || len(h.made[34].Formed) != 2 {
		t.Errorf("banned at %d, %d punishments by %d quorums", node.PoSe.BanHeight, len(h.made[34].Punishments), len(h.made[34].Formed))
	}
	list := must(Decisions(h.rigs[0].disk, proTx(2), 44))
	if len(list) != 1 || len(list[0].Punishments) != 2 {
		t.Fatalf("decisions %+v, want one with two punishments", list)
	}
	if a, b := list[0].Punishments[0], list[0].Punishments[1]; a.Type != 106 || a.Bans || b.Type != 101 || !b.Bans || b.Before != 66 {
		t.Errorf("punished by type %d, then %d from %d", a.Type, b.Type, b.Before)
	}
	h.until(68)
	for _, l := range []wire.LLMQType{106, 101} {
		q, _ := h.quorumOf(0, l)
		if _, member := q.Index(proTx(2)); q.Base != 48 || member || len(q.Members) != 5 {
			t.Errorf("type %d: quorum of %d with %d members, it among them: %v", l, q.Base, len(q.Members), member)
		}
	}
	// The block is undone, and so is what it decided.
	r := h.rigs[0]
	out := new(Effects)
	for height := r.tree.Tip().Height; height >= 35; height-- {
		r.undo(r.branch.At(height), r.branch.At(height-1), out)
	}
	r.disk.apply(out.Writes)
	if list := must(Decisions(r.disk, proTx(2), 100)); len(list) > 0 || len(r.disk[KindQuorum]) > 0 {
		t.Errorf("undone: %d decisions, %d quorums", len(list), len(r.disk[KindQuorum]))
	}
}

// flag has nodes hear that a quorum bans a node.
func (h *hall) flag(node int, hearers ...int) {
	h.t.Helper()
	q, ok := h.quorumOf(0, params.TestPlatform)
	if !ok {
		h.t.Fatal("no quorum to sign a ban")
	}
	m := wire.PlatformBan{ProTxHash: proTx(node), SignedHeight: h.height() - 2, QuorumHash: q.Hash()}
	for _, i := range hearers {
		h.rigs[i].want(Ban{From: "p", Message: m, Key: q.Key()}, validation.Valid)
	}
}

// The whole story of DIP-0031 in blocks: two rounds of DKG ban a flagged node,
// its operator revives it, and it is a member again.
func TestSession_AFlaggedNodeIsVotedOutBannedAndRevived(t *testing.T) {
	n := hallNetwork(5, platform(5, 3))
	n.genesis.Profile = "spec"
	h := newHall(t, n)
	h.until(44)
	h.flag(1, 0, 1, 2, 3, 4)
	score := func(height int32) int32 {
		node, _ := h.rigs[0].branch.At(height).State.Node(proTx(1))
		return node.PoSe.At(height)
	}
	h.until(53)
	if votes := h.rigs[0].Snapshot().BadVotes; len(votes) != 1 || votes[0].ProTxHash != proTx(1) || votes[0].Reason != VoteFlagged {
		t.Errorf("votes %v, want one against the flagged", votes)
	}
	h.until(60)
	if got := score(59); got != 66 {
		t.Errorf("score %d after the first round, want 66", got)
	}
	h.until(84)
	if before, after := score(82)-1, score(83); before != 42 || after != 108 {
		t.Errorf("score %d and %d around the second round, want 42 and 108", before, after)
	}
	if node, _ := h.rigs[0].state.Node(proTx(1)); node.PoSe.BanHeight != 83 {
		t.Errorf("banned at %d, want 83", node.PoSe.BanHeight)
	}
	list := must(Decisions(h.rigs[3].disk, proTx(1), 84))
	if len(list) != 2 || list[0].Punishments[0].Bans || !list[1].Punishments[0].Bans {
		t.Errorf("decisions %+v, want two, the second bans", list)
	}
	h.feedTo(0, h.rigs[0].event("", n.update(1, 1, "/ip4/127.0.0.1/udp/9998/quic-v1")))
	e, _ := h.rigs[0].pool.waiting.Get(proTx(1))
	for i := 1; i < 5; i++ {
		h.feedTo(i, h.rigs[i].event("p", e))
	}
	h.until(108)
	if node, _ := h.rigs[0].state.Node(proTx(1)); node.PoSeBanned() || h.rigs[4].flagOf(1).Set() {
		t.Errorf("revived: banned %v, flag %v", node.PoSeBanned(), h.rigs[4].flagOf(1).Set())
	}
	q, _ := h.quorumOf(0, params.TestPlatform)
	if i, ok := q.Index(proTx(1)); q.Base != 96 || !ok || !q.Commitment.ValidMembers.Has(i) {
		t.Errorf("quorum of %d has it as member %d (%v), valid %s", q.Base, i, ok, q.Commitment.ValidMembers)
	}
	h.wantSigns(q, 5)
}

// Members whose views of a flag differ: the member goes exactly when those that
// see the flag are as many as the type's bad votes, and everybody comes to the
// same result.
func TestSession_VotesOnASplitView(t *testing.T) {
	before := newHall(t, hallNetwork(6, platform(6, 4)))
	before.until(44)
	for voters := range 6 {
		h := before.branchOff()
		h.flag(5, []int{0, 1, 2, 3, 4}[:voters]...)
		h.until(62)
		q, _ := h.quorumOf(0, params.TestPlatform)
		i, ok := q.Index(proTx(5))
		if want := voters < 4; q.Base != 48 || !ok || q.Commitment.ValidMembers.Has(i) != want || q.Commitment.Signers.Count() != 6 {
			t.Errorf("%d voters: quorum of %d, valid %s, signed by %s; want member %d valid: %v", voters, q.Base, q.Commitment.ValidMembers, q.Commitment.Signers, i, want)
		}
		h.wantSigns(q, 6)
		for i, r := range h.rigs {
			if want := map[bool]int{true: 1}[i < voters]; len(r.Snapshot().BadVotes) != want {
				t.Errorf("%d voters: node %d shows votes %v", voters, i, r.Snapshot().BadVotes)
			}
		}
	}
}

// A network may switch those votes off.
func TestSession_WithoutQuorumPoSeNobodyIsVotedOut(t *testing.T) {
	n := hallNetwork(4, platform(4, 3))
	n.genesis.NoQuorumPoSe = true
	h := newHall(t, n)
	h.until(44)
	h.flag(1, 0, 1, 2, 3)
	h.until(62)
	if q, _ := h.quorumOf(0, params.TestPlatform); q.Base != 48 || q.Commitment.ValidMembers.Count() != 4 {
		t.Errorf("quorum of %d, valid %s; want all", q.Base, q.Commitment.ValidMembers)
	}
}

// messages are what a member said in sessions: each message once.
func (h *hall) messages(member int) (said map[string]bool, count map[wire.DKGKind]int) {
	said, count = make(map[string]bool), make(map[wire.DKGKind]int)
	for _, s := range h.told {
		if m := speaks(s.Publication); m != nil && s.from == member && !said[string(s.Bytes)] {
			said[string(s.Bytes)] = true
			count[m.Kind()]++
		}
	}
	return said, count
}

// eventful is a session with a message of every kind by member 1: it dealt
// member 2 a wrong share, and justifies.
func (h *hall) eventful() {
	h.lie = func(from int, p Publication) []Publication {
		if m, ok := speaks(p).(wire.Contribution); ok && from == 1 {
			m.Shares = slices.Clone(m.Shares)
			s := h.rigs[from].sessionOf(m.Type, m.QuorumHash)
			for i := range m.Shares {
				if s.Members()[i].ProTxHash == proTx(2) {
					m.Shares[i] = wire.EncryptedShare{1}
				}
			}
			signed := m.Signed(wire.Signature(h.operator[from].Sign(m.SignHash()).Bytes()))
			return []Publication{{p.Topic, DKGBytes(signed)}}
		}
		return []Publication{p}
	}
}

// A member that stops and comes back, whenever that is, says what it would have
// said, and nothing else; so does the whole network.
func TestSession_ARestartChangesNothing(t *testing.T) {
	n := hallNetwork(4, platform(4, 3))
	before := newHall(t, n)
	before.eventful()
	before.until(23)
	run := func(restart func(h *hall)) *hall {
		h := before.branchOff()
		h.eventful()
		for h.height() < 44 {
			h.step()
			restart(h)
		}
		return h
	}
	plain := run(func(*hall) {})
	want, ok := plain.quorumOf(0, params.TestPlatform)
	if !ok || want.Commitment.ValidMembers.Count() != 4 {
		t.Fatalf("without a restart: valid %s", want.Commitment.ValidMembers)
	}
	if _, count := plain.messages(1); len(count) != 3 { // it has nothing to complain about
		t.Fatalf("member 1 said %v, want something of three kinds", count)
	}
	check := func(what string, h *hall) {
		t.Helper()
		got, _ := h.quorumOf(0, params.TestPlatform)
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: quorum mined at %d, valid %s; want %d, %s", what, got.Mined, got.Commitment.ValidMembers, want.Mined, want.Commitment.ValidMembers)
		}
		h.wantSigns(want, 4)
		for i := range 4 {
			said, count := h.messages(i)
			expected, _ := plain.messages(i)
			if !maps.Equal(said, expected) {
				t.Errorf("%s: member %d said %d other messages than without: %v", what, i, len(said), count)
			}
		}
	}
	for height := int32(24); height <= 36; height++ {
		if testing.Short() && height%3 != 0 {
			continue
		}
		member := 1 + int(height%3)/2
		check(fmt.Sprintf("member %d stopped at %d", member, height), run(func(h *hall) {
			if h.height() == height {
				h.again(member)
			}
		}))
		check(fmt.Sprintf("all stopped at %d", height), run(func(h *hall) {
			if h.height() == height {
				for i := range h.rigs {
					h.down(i)
				}
				for i := range h.rigs {
					h.up(i)
				}
			}
		}))
	}
	check("all stopped in every slot", run(func(h *hall) {
		for i := range h.rigs {
			h.again(i)
		}
	}))
}

// A stop of a member for a whole phase: it goes on with what it has, and says
// nothing if it did not contribute.
func TestSession_AMemberIsAwayForSomeBlocks(t *testing.T) {
	before := newHall(t, hallNetwork(5, platform(5, 3)))
	before.until(23)
	for from := int32(24); from < 35; from++ {
		h := before.branchOff()
		h.until(from)
		h.down(3)
		for h.height() < from+3 {
			h.step()
		}
		h.up(3)
		h.until(45)
		q, ok := h.quorumOf(0, params.TestPlatform)
		if !ok {
			t.Fatalf("away from %d: no quorum", from)
		}
		contributed, holders := from != 25, 5 // or it misses that phase
		if from < 26 {
			holders = 4 // it contributes late, and what others dealt it has missed
		}
		i, _ := q.Index(proTx(3))
		if q.Commitment.ValidMembers.Has(i) != contributed {
			t.Errorf("away from %d: valid %s, want %d there: %v", from, q.Commitment.ValidMembers, i, contributed)
		}
		h.wantSigns(q, holders)
		said, count := h.messages(3)
		for kind, n := range count {
			if n > 1 {
				t.Errorf("away from %d: it said %d different things of kind %s", from, n, kind)
			}
		}
		if len(said) > 0 != contributed {
			t.Errorf("away from %d: it said %v", from, count)
		}
	}
}

// Who knows the tip too late, or not at all, says nothing and accuses nobody.
func TestSession_WhoIsNotSyncedSaysNothing(t *testing.T) {
	n := hallNetwork(5, platform(5, 3))
	n.genesis.Authorities = n.genesis.Authorities[:4]
	h := newHall(t, n)
	h.until(20)
	h.part(4)
	h.pass = func(_, to int, _ Publication) bool { return to != 4 }
	quiet := func(what string) {
		t.Helper()
		if said, count := h.messages(4); len(said) > 0 {
			t.Errorf("%s it said %v", what, count)
		}
	}
	for h.height() < 28 {
		h.step()
	}
	if h.rigs[4].Snapshot().Synced() {
		t.Fatal("cut off, it thinks that it is synced")
	}
	quiet("cut off")
	h.pass = nil
	h.meet(4)
	h.until(45)
	if s := h.rigs[4].Snapshot(); s.Tip != h.rigs[0].Snapshot().Tip || len(s.Sessions) != 1 || s.DKG[0].Self >= 0 {
		t.Fatalf("back: tip %d, %d sessions", s.Tip.Height, len(s.Sessions))
	}
	quiet("back after what others had dealt")
	q, _ := h.quorumOf(0, params.TestPlatform)
	if i, _ := q.Index(proTx(4)); q.Commitment.ValidMembers.Count() != 4 || q.Commitment.ValidMembers.Has(i) {
		t.Errorf("valid %s, want all but %d", q.Commitment.ValidMembers, i)
	}
	h.wantSigns(q, 4)
	h.until(68) // in the next it takes part
	if q, _ := h.quorumOf(0, params.TestPlatform); q.Base != 48 || q.Commitment.ValidMembers.Count() != 5 {
		t.Errorf("the next quorum is of %d, valid %s", q.Base, q.Commitment.ValidMembers)
	}
}

// An observer follows sessions if it is told to.
func TestSession_AWatcherFollows(t *testing.T) {
	for _, watch := range []bool{false, true} {
		h := newHall(t, hallNetwork(4, platform(4, 3)))
		c := h.configOf(-1)
		c.Watch = watch
		e, out, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		r := rig{Engine: e, network: h.network, t: t, disk: make(records)}
		r.disk.apply(out.Writes)
		h.rigs = append(h.rigs, r)
		h.until(37)
		s := h.rigs[4].Snapshot()
		if got := len(s.Sessions) == 1 && s.DKG[0].Self == -1 && s.DKG[0].Members[0].Committed == 1; got != watch {
			t.Errorf("watch %v: %d sessions, status %+v", watch, len(s.Sessions), s.DKG)
		}
		if s.Tip.Height != 37 || len(h.rigs[4].keyShares) > 0 {
			t.Errorf("watch %v: tip at %d, %d shares", watch, s.Tip.Height, len(h.rigs[4].keyShares))
		}
		said := 0
		for _, m := range h.told {
			if m.from == 4 && speaks(m.Publication) != nil {
				said++
			}
		}
		if said > 0 {
			t.Errorf("watch %v: it said %d things", watch, said)
		}
	}
}

// What is kept of sessions goes when they are over, and so do old shares.
func TestSession_NothingIsKeptForEver(t *testing.T) {
	h := newHall(t, hallNetwork(4, chain.GenesisLLMQ{Type: 100}))
	var most int
	for h.height() < 24*7+20 {
		h.step()
		most = max(most, len(h.rigs[1].disk[KindDKG]))
		if n := len(h.rigs[1].sessions); n > 2 {
			t.Fatalf("%d sessions at %d", n, h.height())
		}
	}
	llmq := must(params.LLMQByType(100))
	if limit := 2 * 4 * 2 * llmq.Size; most == 0 || most > limit {
		t.Errorf("up to %d messages are stored, want at most %d", most, limit)
	}
	made := slices.Collect(h.rigs[0].state.Quorums(100))
	if len(made) != 7 {
		t.Fatalf("%d quorums, want 7", len(made))
	}
	for i, r := range h.rigs {
		for n, q := range made {
			_, member := q.Index(proTx(i))
			key := state.QuorumKey(q.Type(), q.Hash())
			_, has := r.keyShares[key]
			if n != llmq.KeepOldKeys && has != (member && n < llmq.KeepOldKeys) { // the one beyond goes when the session is over
				t.Errorf("node %d, quorum %d of the newest: has a share: %v, is a member: %v", i, n, has, member)
			}
		}
		if len(r.disk[KindShare]) != len(r.keyShares) || len(r.disk[KindMinable]) != 0 || r.minable.Len() != 0 {
			t.Errorf("node %d: %d shares stored, %d held, %d commitments", i, len(r.disk[KindShare]), len(r.keyShares), r.minable.Len())
		}
	}
}

func TestSession_TooFewMembersMakeNull(t *testing.T) {
	h := newHall(t, hallNetwork(4, chain.GenesisLLMQ{Type: 101}, chain.GenesisLLMQ{Type: 100})) // the first wants 7
	h.until(44)
	if _, ok := h.quorumOf(0, 101); ok {
		t.Error("four nodes make a quorum of seven")
	}
	if _, ok := h.quorumOf(0, 100); !ok {
		t.Error("no quorum of the other type")
	}
	for height := int32(34); height <= 42; height++ {
		c := h.rigs[0].branch.At(height).Block.Commitments
		if len(c) == 0 || c[0].Type != 101 || !c[0].Null() {
			t.Errorf("block %d carries %d commitments", height, len(c))
		}
	}
	if s := h.rigs[0].Snapshot().Sessions; len(s) != 1 || s[0].LLMQ().Type != 100 {
		t.Errorf("%d sessions, want that of type 100", len(s))
	}
}
