package state

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// failing applies a block of commitments, each with the nodes it found not valid.
func failing(t *testing.T, s State, height int32, failed ...[]wire.Hash) (State, Diff) {
	t.Helper()
	b, sessions := mine(block(s, height), failed...)
	next, diff, err := s.Apply(b, sessions...)
	if err != nil {
		t.Fatal(err)
	}
	return next, diff
}

func poseOf(t *testing.T, s State, proTx wire.Hash) PoSe {
	t.Helper()
	n, ok := s.Node(proTx)
	if !ok {
		t.Fatalf("%s is not registered", proTx)
	}
	return n.PoSe
}

// crowd is a state of so many nodes.
func crowd(t *testing.T, n int, profile string) (State, []wire.Hash) {
	g := genesis(n, profile)
	var list []wire.Hash
	for i := range g.Nodes {
		g.Nodes[i].OperatorKey = wire.OperatorKey{1, byte(i >> 8), byte(i)}
		g.Nodes[i].ServiceKey = wire.ServiceKey{2, byte(i >> 8), byte(i)}
		g.Nodes[i].ProTxHash = wire.DoubleHash(fmt.Append(nil, i))
		list = append(list, g.Nodes[i].ProTxHash)
	}
	return start(t, g), list
}

// The tables of the seed and of spec/dash.md 11.8, with 5000 records.
func TestPunish_TablesOf5000Nodes(t *testing.T) {
	type row struct {
		height int32
		fails  bool
		score  int32
		banned bool
	}
	for profile, rows := range map[string][]row{
		"spec": {
			{1, true, 3333, false}, {1734, false, 1600, false}, {1734, true, 4933, false}, {5000, false, 1667, false}, {5500, true, 4500, false},
			{7000, false, 3000, false}, {7000, true, 6333, true}, {10000, false, 6333, true},
		},
		"core": {
			{1, true, 3300, false}, {1734, false, 1567, false}, {1734, true, 4867, false}, {5500, false, 1101, false}, {5500, true, 4401, false},
			{7000, false, 2901, false}, {7000, true, 5000, true}, {10000, false, 5000, true},
		},
	} {
		s, list := crowd(t, 5000, profile)
		for _, r := range rows {
			if r.fails {
				s, _ = failing(t, s, r.height, list[:1])
			}
			if p := poseOf(t, s, list[0]); p.At(r.height) != r.score || p.Banned() != r.banned {
				t.Errorf("%s, at %d: %+v is %d, want %+v", profile, r.height, p, p.At(r.height), r)
			}
		}
		if n, _ := s.Node(list[0]); n.PoSe.BanHeight != 7000 || n.Tester() {
			t.Errorf("%s: %+v", profile, n)
		}
	}
}

// Source: spec/dash.md 2.1, 2.4, 11.8. Two failures so many blocks apart.
func TestPunish_TwoFailures(t *testing.T) {
	for _, c := range []struct {
		profile    string
		registered int
		apart      int32
		score      int32
		banned     bool
	}{
		{"spec", 3, 24, 108, true}, // 66 - 24 + 66
		{"core", 3, 24, 100, true},
		{"core", 3, 32, 100, true},
		{"core", 3, 33, 99, false},
		{"core", 103, 0, 103, true}, // 67 + 67, capped
		{"spec", 103, 0, 136, true}, // 68 + 68
		{"core", 4656, 0, 4656, true},
		{"core", 5000, 1600, 5000, true},
		{"core", 5000, 1601, 4999, false},
	} {
		s, list := crowd(t, c.registered, c.profile)
		failed := list[:1]
		if c.apart == 0 { // two commitments of one block
			s, _ = failing(t, s, 1, failed, failed)
		} else {
			s, _ = failing(t, s, 1, failed)
			s, _ = failing(t, s, 1+c.apart, failed)
		}
		if p := poseOf(t, s, list[0]); p.Score != c.score || p.Banned() != c.banned || c.banned && p.BanHeight != 1+c.apart {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

// Three failures, so many blocks apart, of 5000 nodes and at the floor.
// Source: spec/dash.md 2.1: they ban if d1 + d2 <= 3*penalty - max.
func TestPunish_ThreeFailures(t *testing.T) {
	for _, c := range []struct {
		registered    int
		first, second int32
		score         int32
		banned        bool
	}{
		{5000, 2000, 2900, 5000, true},
		{5000, 2000, 2901, 4999, false},
		{100, 40, 58, 100, true},
		{100, 40, 59, 99, false},
	} {
		s, list := crowd(t, c.registered, "core")
		height := int32(1)
		for _, apart := range []int32{0, c.first, c.second} {
			if poseOf(t, s, list[0]).Banned() {
				t.Errorf("%+v: banned before the third", c)
			}
			height += apart
			s, _ = failing(t, s, height, list[:1])
		}
		if p := poseOf(t, s, list[0]); p.Score != c.score || p.Banned() != c.banned {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

// A null commitment beside a real one punishes nobody; only indices of members
// count, and only those that are still registered.
func TestPunish_OnlyMembersOfRealCommitments(t *testing.T) {
	s, list := crowd(t, 4, "spec")
	b, sessions := mine(block(s, 35), []wire.Hash{list[0], stranger})
	null := wire.NullCommitment(wire.CommitmentBasic, 100, wire.Hash{1}, 0, 3)
	b.Commitments, sessions = append(b.Commitments, null), append(sessions, Session{24, []wire.Hash{list[1], list[2]}})
	next, diff, err := s.Apply(b, sessions...)
	if err != nil || len(diff.Punishments) != 1 || diff.Punishments[0].ProTxHash != list[0] {
		t.Fatalf("punishments %+v, %v; want one of %s", diff.Punishments, err, list[0])
	}
	for _, proTx := range list[1:] {
		if p := poseOf(t, next, proTx); p.Score != 0 {
			t.Errorf("%s has %+v", proTx, p)
		}
	}
}

// Who leaves in the block that carries the commitment is gone before it acts.
func TestPunish_WhoLeaves(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	e := register(g, bob, 1, 400, 1) // awaits: leaves at once when asked to
	s, _ = applied(t, s, 5, e, leaves(g, bob, 2, e.ProTxHash()))
	_, diff := failing(t, s, 6, []wire.Hash{e.ProTxHash()})
	if len(diff.Punishments) > 0 {
		t.Errorf("punished %+v", diff.Punishments)
	}
	if p := diff.Transitions; len(p) != 1 || p[0].To != 0 {
		t.Errorf("transitions %+v", p)
	}
}

// A banned score stays, through blocks and through further failures, until
// the node is revived.
func TestPunish_BannedScoreStays(t *testing.T) {
	for profile, scores := range map[string][2]int32{"spec": {132, 198}, "core": {100, 100}} {
		s, list := crowd(t, 4, profile)
		s, _ = failing(t, s, 10, list[:1], list[:1])
		for h := int32(11); h < 34; h++ {
			s, _ = failing(t, s, h)
		}
		if p := poseOf(t, s, list[0]); p.At(33) != scores[0] || p.BanHeight != 10 {
			t.Errorf("%s: %+v after 23 blocks, want %d", profile, p, scores[0])
		}
		s, diff := failing(t, s, 34, list[:1])
		if p := poseOf(t, s, list[0]); p.At(1000) != scores[1] || p.BanHeight != 10 || diff.Punishments[0].Bans || diff.Punishments[0].Before != scores[0] {
			t.Errorf("%s: %+v, %+v after another failure, want %d", profile, p, diff.Punishments[0], scores[1])
		}
	}
}

func TestPunish_SaysWhy(t *testing.T) {
	s, list := crowd(t, 3, "spec")
	s, _ = failing(t, s, 10, list[:1])
	unknown := wire.Hash{0xee}
	_, diff := failing(t, s, 34, []wire.Hash{unknown, list[0]}, nil, []wire.Hash{list[1], list[0]})
	want := []Punishment{
		{list[0], 34, 3, 42, 66, 108, 100, true},
		{list[1], 34, 3, 0, 66, 66, 100, false},
		{list[0], 34, 3, 108, 66, 174, 100, false}, // banned before: higher still
	}
	if !reflect.DeepEqual(diff.Punishments, want) {
		t.Errorf("punishments %+v, want %+v", diff.Punishments, want)
	}
}

// Growth between two failures raises the bar, and inside a block it is read at
// each of them.
func TestPunish_ReadsTheMaximumEachTime(t *testing.T) {
	g := funded(100, "core")
	g.StakingRequirement = 100
	g.Grants = []chain.Grant{{Staker: wire.StakerKey{0xee}, Amount: 1000}}
	s := start(t, g)
	d := s.draft(5)
	target := g.Nodes[0].ProTxHash
	d.punish([]wire.Hash{target})
	for i := range 3 {
		e := wire.Register{
			EventHead: head(g, uint64(i+1)), Staker: wire.StakerKey{0xee}, OperatorKey: wire.OperatorKey{0xee, byte(i)}, ServiceKey: wire.ServiceKey{0xee, byte(i)},
			Amount: g.StakingRequirement / 10,
		}
		if err := d.event(e, uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.punish([]wire.Hash{g.Nodes[1].ProTxHash, target})
	want := []Punishment{
		{target, 5, 100, 0, 66, 66, 100, false},
		{g.Nodes[1].ProTxHash, 5, 103, 0, 67, 67, 103, false},
		{target, 5, 103, 66, 67, 103, 103, true},
	}
	if !reflect.DeepEqual(d.diff.Punishments, want) {
		t.Errorf("punishments %+v, want %+v", d.diff.Punishments, want)
	}
}

// Source: spec/dash.md 2.2. In a block of ours a commitment precedes events.
func TestPunish_OrderInABlock(t *testing.T) {
	for _, profile := range []string{"spec", "core"} {
		g := genesis(4, profile)
		first := start(t, g)
		target := g.Nodes[0].ProTxHash
		s, _ := failing(t, first, 10, []wire.Hash{target})

		// Banned, then revived.
		b, sessions := mine(block(s, 34, event(g, 0, 1)), []wire.Hash{target})
		revived, diff, err := s.Apply(b, sessions...)
		if n, _ := revived.Node(target); err != nil || n.PoSe != (PoSe{0, 34, NoHeight}) || n.RevivedHeight != 34 || !diff.Changes[0].Revived || !diff.Punishments[0].Bans {
			t.Errorf("%s: banned, then revived: %v, %+v", profile, err, n)
		}

		// Revived, then punished: in pure terms, and by the parts of a block.
		rules := first.Profile()
		if p := (PoSe{108, 34, 34}).Revive(40).Punish(40, 4, rules); p != (PoSe{66, 40, NoHeight}) {
			t.Errorf("%s: revived, then punished: %+v", profile, p)
		}
		banned, _ := failing(t, s, 34, []wire.Hash{target})
		d := banned.draft(40)
		if err := d.event(event(g, 0, 1), 0); err != nil {
			t.Fatal(err)
		}
		d.punish([]wire.Hash{target})
		after, _ := d.finish()
		if n, _ := after.Node(target); n.PoSe != (PoSe{66, 40, NoHeight}) || n.RevivedHeight != 40 || n.PoSe.At(41) != 65 {
			t.Errorf("%s: revived, then punished: %+v", profile, n)
		}

		// All of it undone, from what is stored.
		stored, err := ParseUndo(diff.UndoBytes())
		if err != nil {
			t.Fatal(err)
		}
		back, err := revived.Undo(stored)
		if err != nil || !reflect.DeepEqual(viewOf(back), viewOf(s)) {
			t.Errorf("%s: undone: %v", profile, err)
		}
	}
}

// An update-service of a node that is not banned leaves its score; a ban for
// another reason stops its fall.
func TestPoSe_OfEvents(t *testing.T) {
	g := genesis(3, "spec")
	s := start(t, g)
	target := g.Nodes[0].ProTxHash
	s, _ = failing(t, s, 10, []wire.Hash{target})
	s, _, err := s.Apply(block(s, 20, event(g, 0, 1)))
	if p := poseOf(t, s, target); err != nil || p != (PoSe{66, 10, NoHeight}) || p.At(20) != 56 {
		t.Errorf("after an update-service: %+v, %v", p, err)
	}
	s, _, err = s.Apply(block(s, 30, wire.Revoke{EventHead: head(g, 2), ProTxHash: target}))
	if p := poseOf(t, s, target); err != nil || p != (PoSe{46, 30, 30}) || p.At(1000) != 46 {
		t.Errorf("revoked: %+v, %v", p, err)
	}
	if p := poseOf(t, s, g.Nodes[2].ProTxHash); p != (PoSe{0, 0, 0}) || p.Ban(99) != p {
		t.Errorf("registered without address: %+v, banned again %+v", p, p.Ban(99))
	}
}

// The fall costs nothing: a block touches whom it changes.
func TestPunish_TouchesOnlyThePunished(t *testing.T) {
	s, list := crowd(t, 200, "spec")
	s, _ = failing(t, s, 10, list[:100])
	_, diff := failing(t, s, 11, list[100:102])
	touched := []wire.Hash{}
	for _, r := range diff.Before {
		if key := wire.Hash(r.Key); r.Kind == KindNode && key != diff.Paid {
			touched = append(touched, key)
		}
	}
	if want := slices.SortedFunc(slices.Values(list[100:102]), func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) }); !slices.Equal(touched, want) {
		t.Errorf("touched %v, want %v", touched, want)
	}
}
