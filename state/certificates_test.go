package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// funded is a network of n active nodes that need no stake, in ascending
// order of their hashes.
func funded(n int, profile string) chain.Genesis {
	g := chain.Genesis{Network: "devnet", Profile: profile}
	for i := range n {
		var node chain.GenesisNode
		binary.BigEndian.PutUint32(node.ProTxHash[:], uint32(i+1))
		binary.BigEndian.PutUint32(node.OperatorKey[:], uint32(i+1))
		binary.BigEndian.PutUint32(node.ServiceKey[:], uint32(i+1))
		node.Addresses = []string{"a"}
		g.Nodes = append(g.Nodes, node)
	}
	return g
}

// edited is s with nodes as a test wants them, by their number in funded.
func edited(t *testing.T, g chain.Genesis, edits map[int]func(*Node)) State {
	t.Helper()
	s := start(t, g)
	d := s.draft(0)
	for i, edit := range edits {
		n, _ := d.Node(g.Nodes[i].ProTxHash)
		edit(&n)
		d.update(n)
	}
	next, _ := d.finish()
	return next
}

func answer(g chain.Genesis, node int, q int32, a wire.Answer) wire.Certificate {
	return wire.Certificate{Ballot: wire.Ballot{Height: q, BlockHash: wire.Hash{7}, ProTxHash: g.Nodes[node].ProTxHash, Answer: a}, Voters: 0x7f}
}

func certified(s State, height int32, list ...wire.Certificate) wire.Block {
	b := block(s, height)
	b.Certificates = list
	return b
}

func down(base, since, height int32) func(*Node) {
	return func(n *Node) {
		n.CreditBase, n.ActiveSince, n.DecommissionedHeight, n.LastDecommission = base, since, height, height
	}
}

// The table of DESIGN.md section 6, rule 7; spec/oxen.md 10.4, items 2 to 4.
// Of 20 nodes K is 5.
func TestCertificates_Table(t *testing.T) {
	const B, D = 10_000, 9_000 // height of the block; of a decommission
	braked := []int{10, 11, 12, 13, 14}
	base := func(credit int32) func(*Node) { // active, with that credit at B
		return func(n *Node) { n.ActiveSince, n.CreditBase = B-29, credit }
	}
	downWith := func(credit int32) func(*Node) { return down(credit+B-D, D-10, D) }
	for _, c := range []struct {
		name   string
		node   func(*Node)
		braked bool
		answer wire.Answer
		want   error
		to     Service // 0: gone
		credit int32   // after it, in profile core
	}{
		{"active with 60", base(60), false, wire.FailsUptime, nil, Decommissioned, 60},
		{"active with 60 missed a checkpoint", base(60), false, wire.FailsCheckpoint, nil, Decommissioned, 60},
		{"active with 59", base(59), false, wire.FailsUptime, nil, 0, 0},
		{"active with 59 missed a checkpoint", base(59), false, wire.FailsCheckpoint, nil, 0, 0},
		{"active with 60, braked", base(60), true, wire.FailsUptime, ErrBrake, 0, 0},
		{"active with 59, braked", base(59), true, wire.FailsUptime, ErrBrake, 0, 0},
		{"active passes", base(60), false, wire.Passes, ErrService, 0, 0},
		{"active with two addresses", base(60), false, wire.TwoAddresses, nil, Active, 60},
		{"active with two addresses, braked", base(60), true, wire.TwoAddresses, nil, Active, 60},
		{"down with 1", downWith(1), false, wire.FailsUptime, ErrCredit, 0, 0},
		{"down with 0", downWith(0), false, wire.FailsUptime, ErrCredit, 0, 0},
		{"down with -1", downWith(-1), false, wire.FailsUptime, nil, 0, 0},
		{"down with -1 missed a checkpoint", downWith(-1), false, wire.FailsCheckpoint, nil, 0, 0},
		{"down with -1, braked", downWith(-1), true, wire.FailsUptime, ErrBrake, 0, 0},
		{"down passes with -500", downWith(-500), false, wire.Passes, nil, Active, 0},
		{"down passes, braked", downWith(-500), true, wire.Passes, nil, Active, 0},
		{"down with two addresses", downWith(5), false, wire.TwoAddresses, ErrService, 0, 0},
		{"awaiting fails", func(n *Node) { n.ActiveSince = NoHeight }, false, wire.FailsUptime, ErrService, 0, 0},
		{"awaiting passes", func(n *Node) { n.ActiveSince = NoHeight }, false, wire.Passes, ErrService, 0, 0},
		{"awaiting with two addresses", func(n *Node) { n.ActiveSince = NoHeight }, false, wire.TwoAddresses, ErrService, 0, 0},
		{"answer 0", base(60), false, 0, ErrKind, 0, 0},
		{"answer 5", base(60), false, 5, ErrKind, 0, 0},
	} {
		for _, profile := range []string{"spec", "core"} {
			g := funded(20, profile)
			edits := map[int]func(*Node){3: c.node}
			if c.braked {
				for _, i := range braked {
					edits[i] = down(60, 0, 100)
				}
			}
			s := edited(t, g, edits)
			cert := answer(g, 3, B-13, c.answer)
			next, diff, err := s.Apply(certified(s, B, cert))
			if !errors.Is(err, c.want) || !errors.Is(s.CheckResult(B, cert.Ballot), c.want) {
				t.Errorf("%s, %s: %v, CheckResult %v; want %v", profile, c.name, err, s.CheckResult(B, cert.Ballot), c.want)
			}
			if c.want != nil || err != nil {
				continue
			}
			n, alive := next.Node(g.Nodes[3].ProTxHash)
			tr := diff.Transitions[0]
			wantCredit := c.credit
			if alive && (n.Service() != c.to || n.Credit(B, s.Rules()) != wantCredit) || alive != (c.to != 0) || tr.To != c.to || tr.NewCredit != wantCredit {
				t.Errorf("%s, %s: %+v, transition %+v", profile, c.name, n, tr)
			}
			if c.to == Active && (n.RewardHeight != B || n.RewardIndex != math.MaxUint32) {
				t.Errorf("%s, %s: reward place %d, %d; want the bottom", profile, c.name, n.RewardHeight, n.RewardIndex)
			}
		}
	}
}

// A node that is braked and has been down too long goes at -1441, not at -1440.
func TestCertificates_BrakedForTooLong(t *testing.T) {
	for credit, want := range map[int32]error{-1440: ErrBrake, -1441: nil} {
		g := funded(8, "spec") // K = 2
		s := edited(t, g, map[int]func(*Node){2: down(60, 9_990, 10_000), 3: down(60, 9_990, 10_000)})
		if err := s.CheckResult(10_060-credit, answer(g, 2, 10_001, wire.FailsUptime).Ballot); !errors.Is(err, want) {
			t.Errorf("credit %d: %v, want %v", credit, err, want)
		}
	}
}

// Source: spec/oxen.md 2.5 and 10.4, item 7: equal fails, one above passes.
func TestCertificates_VoteHeight(t *testing.T) {
	g := funded(20, "spec")
	for _, c := range []struct {
		name   string
		node   func(*Node)
		answer wire.Answer
		above  int32
	}{
		{"registration", func(n *Node) { n.RegisteredHeight, n.ActiveSince = 500, 400 }, wire.FailsUptime, 500},
		{"activation", func(n *Node) { n.RegisteredHeight, n.ActiveSince = 400, 500 }, wire.FailsUptime, 500},
		{"activation, addresses", func(n *Node) { n.ActiveSince = 500 }, wire.TwoAddresses, 500},
		{"decommission", down(60, 400, 500), wire.Passes, 500},
		{"decommission, again failing", down(60, 400, 500), wire.FailsUptime, 500},
		{"an earlier decommission", func(n *Node) { n.LastDecommission, n.ActiveSince = 400, 500 }, wire.FailsUptime, 500},
		{"address penalty", func(n *Node) { n.PenaltyHeight = 500 }, wire.TwoAddresses, 500},
		{"address penalty, failing", func(n *Node) { n.PenaltyHeight = 500 }, wire.FailsUptime, 0},
	} {
		s := edited(t, g, map[int]func(*Node){3: c.node})
		for q, want := range map[int32]error{c.above - 1: ErrStale, c.above: ErrStale, c.above + 1: nil} {
			if err := s.CheckResult(1000, answer(g, 3, q, c.answer).Ballot); !errors.Is(err, want) {
				t.Errorf("%s at %d, drawn at %d: %v, want %v", c.name, c.above, q, err, want)
			}
		}
	}
}

// spec/oxen.md 10.4, item 4: back at D+14 with credit 60.
func TestCertificates_ThereAndBack(t *testing.T) {
	for profile, c := range map[string]struct{ credit, first int32 }{"spec": {0, 1800}, "core": {32, 840}} {
		g := funded(20, profile)
		s := edited(t, g, map[int]func(*Node){3: func(n *Node) { n.CreditBase = 60 }})
		const D = 29
		s, _, err := s.Apply(certified(s, D, answer(g, 3, 16, wire.FailsUptime)))
		if err != nil {
			t.Fatal(err)
		}
		s, diff, err := s.Apply(certified(s, D+14, answer(g, 3, D+1, wire.Passes)))
		if err != nil {
			t.Fatal(err)
		}
		if tr := diff.Transitions[0]; tr.NewCredit != c.credit || tr.DownBlocks != 14 || tr.Credit != 46 {
			t.Errorf("%s: %+v, want credit %d", profile, tr, c.credit)
		}
		for height, to := range map[int32]Service{D + 14 + c.first - 1: 0, D + 14 + c.first: Decommissioned} {
			_, diff, err := s.Apply(certified(s, height, answer(g, 3, height-13, wire.FailsCheckpoint)))
			if err != nil || diff.Transitions[0].To != to {
				t.Errorf("%s: failing after %d active blocks: %+v, %v; want %d", profile, height-D-14, diff.Transitions, err, to)
			}
		}
	}
}

// K of small and large networks, and how many nodes one block may remove.
func TestBrake(t *testing.T) {
	for _, c := range []struct{ nodes, brake, removals int }{
		{1, 2, 1}, {3, 2, 2}, {4, 2, 2}, {7, 2, 2}, {10, 2, 2}, {11, 2, 2}, {12, 3, 2}, {60, 15, 2}, {300, 75, 3}, {6000, 1500, 60},
	} {
		for _, off := range []bool{false, true} {
			g := funded(c.nodes, "spec")
			g.NoBrake = off
			s := start(t, g)
			brake, removals := c.brake, c.removals
			if off {
				brake, removals = math.MaxInt32, min(c.nodes, wire.MaxBlockCertificates)
			}
			if s.Brake() != brake {
				t.Errorf("%d nodes, off %t: brake %d, want %d", c.nodes, off, s.Brake(), brake)
			}
			var list []wire.Certificate
			for i := range min(c.nodes, removals) {
				list = append(list, answer(g, i, 5, wire.FailsUptime))
			}
			next, _, err := s.Apply(certified(s, 20, list...))
			if err != nil {
				t.Errorf("%d nodes, off %t: removing %d: %v", c.nodes, off, removals, err)
				continue
			}
			if removals < c.nodes && !off {
				more := append(slices.Clone(list), answer(g, removals, 5, wire.FailsUptime))
				want := ErrRemovals
				if removals == brake {
					want = ErrBrake
				}
				if _, _, err := s.Apply(certified(s, 20, more...)); !errors.Is(err, want) {
					t.Errorf("%d nodes: removing %d: %v, want %v", c.nodes, len(more), err, want)
				}
			}
			// Block by block until the brake holds.
			taken := len(list)
			for height := int32(21); !off; height++ {
				after, _, err := next.Apply(certified(next, height, answer(g, min(taken, c.nodes-1), 5, wire.FailsUptime)))
				if err != nil {
					break
				}
				next, taken = after, taken+1
			}
			if _, _, d := next.Counts(); !off && d != min(brake, c.nodes) {
				t.Errorf("%d nodes: %d are down, want %d", c.nodes, d, min(brake, c.nodes))
			}
		}
	}
}

// What only certificates decommission never exceeds the brake, although the
// brake falls with every deregistration.
func TestBrake_HoldsWhateverCertificatesDo(t *testing.T) {
	for seed := range byte(60) {
		r := rand.New(rand.NewChaCha8([32]byte{seed}))
		g := funded(r.IntN(30)+1, []string{"spec", "core"}[seed%2])
		s := start(t, g)
		height := int32(100)
		for range 300 {
			height += 1 + r.Int32N(200)
			c := answer(g, r.IntN(len(g.Nodes)), height-13, wire.Answer(r.IntN(4)+1))
			if next, _, err := s.Apply(certified(s, height, c)); err == nil {
				s = next
			}
			if _, a, d := s.Counts(); d > s.Brake() || s.Brake() != max(params.BrakeFloor, (a+d)/params.BrakeShare) {
				t.Fatalf("seed %d, block %d: %d of %d are down, brake %d", seed, height, d, a+d, s.Brake())
			}
		}
	}
}

func TestCertificates_Order(t *testing.T) {
	g := funded(20, "spec")
	s := start(t, g)
	two := func(node int, q int32) wire.Certificate { return answer(g, node, q, wire.TwoAddresses) }
	for _, c := range []struct {
		name string
		list []wire.Certificate
		want error
	}{
		{"by node", []wire.Certificate{two(1, 5), two(2, 5)}, nil},
		{"by height first", []wire.Certificate{two(2, 5), two(1, 6)}, nil},
		{"node descends", []wire.Certificate{two(2, 5), two(1, 5)}, ErrOrder},
		{"height descends", []wire.Certificate{two(1, 6), two(2, 5)}, ErrOrder},
		{"the same twice", []wire.Certificate{two(1, 5), two(1, 5)}, ErrOrder},
		{"one target twice", []wire.Certificate{two(1, 5), two(1, 6)}, ErrTarget},
		{"not registered", []wire.Certificate{{Ballot: wire.Ballot{Height: 5, Answer: wire.FailsUptime}}}, ErrUnknown},
	} {
		got, diff, err := s.Apply(certified(s, 20, c.list...))
		if !errors.Is(err, c.want) || err != nil && (!reflect.DeepEqual(diff, Diff{}) || !reflect.DeepEqual(viewOf(got), viewOf(s))) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// What the API shows of a decision.
func TestTransition_JSON(t *testing.T) {
	g := funded(20, "spec")
	s := start(t, g)
	_, diff, err := s.Apply(certified(s, 90, answer(g, 1, 70, wire.FailsUptime)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(diff.Transitions[0])
	want := `{"protx_hash":"` + g.Nodes[1].ProTxHash.String() + `","height":90,"from":"active","to":"decommissioned",` +
		`"cause":{"answer":"fails-uptime","quorum_height":70,"quorum_hash":"` + wire.Hash{7}.String() + `","voters":127},` +
		`"credit_base":60,"active_blocks":90,"earned":3,"down_blocks":0,"credit":63,"new_credit":63,` +
		`"active":20,"decommissioned":0,"brake":5,"minimum_credit":60,"unlock_height":-1}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v; want\n%s", b, err, want)
	}
	var back Transition
	if err := json.Unmarshal(b, &back); err != nil || back != diff.Transitions[0] {
		t.Errorf("it comes back as %+v, %v", back, err)
	}
}
