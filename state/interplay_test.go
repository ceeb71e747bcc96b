package state

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// Service state and PoSe are independent of one another: each event moves one
// of the two, and duties and pay need both. Source: DESIGN.md section 5; the
// table stands in docs/quorums.md.
func TestPoSe_AndServiceStates(t *testing.T) {
	const height = 200
	type outcome struct {
		refused error
		service Service
		banned  bool
		score   int32
		tester  bool // is drawn to test, and is in the reward order
		listed  bool // can be tested
		bottom  bool // went to the bottom of the reward order
	}
	const failed, update, decommission, recommission, fund = "a commitment fails it", "update-service", "fails-uptime", "passes", "its stake is complete"
	for _, c := range []struct {
		service Service
		banned  bool
		score   int32 // before the block
		event   string
		want    outcome
	}{
		{Active, false, 0, failed, outcome{nil, Active, false, 66, true, true, false}},
		{Active, false, 35, failed, outcome{nil, Active, true, 100, false, true, false}}, // 35 - 1 + 66
		{Active, false, 35, update, outcome{nil, Active, false, 34, true, true, false}},
		{Active, false, 35, decommission, outcome{nil, Decommissioned, false, 34, false, true, false}},
		{Active, false, 35, recommission, outcome{refused: ErrService}},
		{Active, false, 35, fund, outcome{refused: ErrFunded}},

		{Active, true, 100, failed, outcome{nil, Active, true, 166, false, true, false}}, // a banned score does not fall
		{Active, true, 100, update, outcome{nil, Active, false, 0, true, true, true}},
		{Active, true, 100, decommission, outcome{nil, Decommissioned, true, 100, false, true, false}},
		{Active, true, 100, recommission, outcome{refused: ErrService}},

		{Decommissioned, false, 0, failed, outcome{nil, Decommissioned, false, 66, false, true, false}}, // a member when it was down not yet
		{Decommissioned, false, 35, failed, outcome{nil, Decommissioned, true, 100, false, true, false}},
		{Decommissioned, false, 35, update, outcome{nil, Decommissioned, false, 34, false, true, false}},
		{Decommissioned, false, 35, decommission, outcome{refused: ErrCredit}},
		{Decommissioned, false, 35, recommission, outcome{nil, Active, false, 34, true, true, true}},

		{Decommissioned, true, 100, failed, outcome{nil, Decommissioned, true, 166, false, true, false}},
		{Decommissioned, true, 100, update, outcome{nil, Decommissioned, false, 0, false, true, false}},
		{Decommissioned, true, 100, decommission, outcome{refused: ErrCredit}},
		{Decommissioned, true, 100, recommission, outcome{nil, Active, true, 100, false, true, true}}, // serves again once it is revived

		{Awaiting, false, 0, failed, outcome{nil, Awaiting, false, 66, false, false, false}},
		{Awaiting, false, 35, failed, outcome{nil, Awaiting, true, 100, false, false, false}},
		{Awaiting, false, 35, update, outcome{nil, Awaiting, false, 34, false, false, false}},
		{Awaiting, false, 35, decommission, outcome{refused: ErrService}},
		{Awaiting, false, 35, recommission, outcome{refused: ErrService}},
		{Awaiting, false, 35, fund, outcome{nil, Active, false, 34, true, true, true}},

		{Awaiting, true, 100, failed, outcome{nil, Awaiting, true, 166, false, false, false}},
		{Awaiting, true, 100, update, outcome{nil, Awaiting, false, 0, false, false, false}},
		{Awaiting, true, 100, decommission, outcome{refused: ErrService}},
		{Awaiting, true, 100, fund, outcome{nil, Active, true, 100, false, true, true}},
	} {
		g := funded(8, "spec")
		g.StakingRequirement = 1000
		g.Grants = []chain.Grant{{Staker: carol, Amount: 100_000}}
		const target = 3
		for i := range g.Nodes {
			g.Nodes[i].Stakes = []chain.Grant{{Staker: carol, Amount: 1000}}
		}
		if c.service == Awaiting {
			g.Nodes[target].Stakes[0].Amount = 400
		}
		proTx := g.Nodes[target].ProTxHash
		s := edited(t, g, map[int]func(*Node){target: func(n *Node) {
			if c.service == Decommissioned {
				down(300, 0, 100)(n)
			}
			n.PoSe = PoSe{Score: c.score, Height: height - 1, BanHeight: NoHeight}
			if c.banned {
				n.PoSe.BanHeight = 150
			}
		}})
		before, _ := s.Node(proTx)
		if before.Service() != c.service || before.PoSeBanned() != c.banned || before.Tester() != (c.service == Active && !c.banned) {
			t.Fatalf("%+v: starts as %+v", c, before)
		}
		b, sessions := block(s, height), []Session(nil)
		switch c.event {
		case failed:
			b, sessions = mine(b, []wire.Hash{proTx})
		case update:
			b.Events = []wire.Event{event(g, target, 1)}
		case decommission:
			b.Certificates = []wire.Certificate{answer(g, target, 190, wire.FailsUptime)}
		case recommission:
			b.Certificates = []wire.Certificate{answer(g, target, 190, wire.Passes)}
		case fund:
			b.Events = []wire.Event{contribute(g, carol, 1, 600, proTx)}
		}
		next, _, err := s.Apply(b, sessions...)
		if c.want.refused != nil {
			if !errors.Is(err, c.want.refused) {
				t.Errorf("%s, banned %t, %s: %v, want %v", c.service, c.banned, c.event, err, c.want.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, banned %t, %s: %v", c.service, c.banned, c.event, err)
			continue
		}
		n, _ := next.Node(proTx)
		got := outcome{
			service: n.Service(), banned: n.PoSeBanned(), score: n.PoSe.At(height), tester: n.Tester(), listed: n.Position >= 0,
			bottom: n.RewardHeight == height,
		}
		if got != c.want {
			t.Errorf("%s, banned %t, score %d, %s: %+v, want %+v", c.service, c.banned, c.score, c.event, got, c.want)
		}
		// What follows from it: place in the array, pay, and whether the score falls.
		falls := n.PoSe.Score - n.PoSe.At(n.PoSe.Height+10)
		if paid := slices.Contains(slices.Collect(next.RewardOrder()), proTx); paid != got.tester || got.tester != (got.listed && int(n.Position) < next.Testers()) || (falls > 0) != (!got.banned && n.PoSe.Score > 0) {
			t.Errorf("%s, banned %t, %s: paid %t, at %d of %d testers, falls by %d", c.service, c.banned, c.event, paid, n.Position, next.Testers(), falls)
		}
	}
}

// Down and banned at once, whichever ends first: only then both have ended it
// tests and is paid again, after all others.
func TestPoSe_BothWaysBack(t *testing.T) {
	g := funded(8, "spec")
	proTx := g.Nodes[3].ProTxHash
	first := edited(t, g, map[int]func(*Node){3: func(n *Node) {
		down(300, 0, 100)(n)
		n.PoSe = n.PoSe.Ban(120)
	}})
	for name, order := range map[string][2]bool{"revived first": {true, false}, "recommissioned first": {false, true}} {
		s := first
		for i, revives := range order {
			height := int32(200 + 10*i)
			b := block(s, height)
			if revives {
				b.Events = []wire.Event{event(g, 3, 1)}
			} else {
				b.Certificates = []wire.Certificate{answer(g, 3, 190, wire.Passes)}
			}
			next, _, err := s.Apply(b)
			if err != nil {
				t.Fatal(err)
			}
			s = next
			if n, _ := s.Node(proTx); n.Tester() != (i == 1) {
				t.Errorf("%s, step %d: tester %t", name, i, n.Tester())
			}
		}
		if n, _ := s.Node(proTx); n.RewardHeight != 210 {
			t.Errorf("%s: its place in the reward order is of block %d, want 210", name, n.RewardHeight)
		}
	}
}
