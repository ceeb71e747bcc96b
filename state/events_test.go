package state

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

var alice, bob, carol = wire.StakerKey{0xa}, wire.StakerKey{0xb}, wire.StakerKey{0xc}

// staked has one active node of alice; 1000 are required; bob owns 10,000.
func staked(profile string) chain.Genesis {
	g := funded(1, profile)
	g.StakingRequirement = 1000
	g.Grants = []chain.Grant{{Staker: alice, Amount: 3000}, {Staker: bob, Amount: 10_000}, {Staker: carol, Amount: 100_000}}
	g.Nodes[0].Stakes = []chain.Grant{{Staker: alice, Amount: 1000}}
	return g
}

func register(g chain.Genesis, staker wire.StakerKey, sequence, amount uint64, key byte) wire.Register {
	return wire.Register{
		EventHead: head(g, sequence), Staker: staker, OperatorKey: wire.OperatorKey{9, key}, ServiceKey: wire.ServiceKey{9, key}, Addresses: []string{"a"}, Amount: amount,
	}
}

func contribute(g chain.Genesis, staker wire.StakerKey, sequence, amount uint64, node wire.Hash) wire.Contribute {
	return wire.Contribute{EventHead: head(g, sequence), Staker: staker, ProTxHash: node, Amount: amount}
}

func leaves(g chain.Genesis, staker wire.StakerKey, sequence uint64, node wire.Hash) wire.Exit {
	return wire.Exit{EventHead: head(g, sequence), Staker: staker, ProTxHash: node}
}

// applied is s after blocks with events only.
func applied(t *testing.T, s State, height int32, events ...wire.Event) (State, Diff) {
	t.Helper()
	next, diff, err := s.Apply(block(s, height, events...))
	if err != nil {
		t.Fatal(err)
	}
	return next, diff
}

func TestRegister_AwaitsThenServes(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	e := register(g, bob, 1, 400, 1)
	s, diff := applied(t, s, 5, e)
	n, _ := s.Node(e.ProTxHash())
	want := Node{
		ProTxHash: e.ProTxHash(), OperatorKey: e.OperatorKey, ServiceKey: e.ServiceKey, Addresses: e.Addresses, Stakes: []Pledge{{bob, 400}},
		PoSe: NoPoSe(), RegisteredHeight: 5, RevivedHeight: -1, UpdatedHeight: -1, ActiveSince: -1, DecommissionedHeight: -1, LastDecommission: -1,
		CreditBase: 60, PenaltyHeight: -1, RewardHeight: -1, ExitHeight: -1, Position: -1,
	}
	if !reflect.DeepEqual(n, want) || n.Service() != Awaiting || s.Listed() != 1 {
		t.Errorf("registered it is\n%+v, want\n%+v", n, want)
	}
	if tr := diff.Transitions; len(tr) != 1 || tr[0].From != 0 || tr[0].To != Awaiting || tr[0].Cause != (Cause{Event: "register"}) {
		t.Errorf("transitions %+v", tr)
	}
	s, diff = applied(t, s, 9, contribute(g, alice, 1, 100, e.ProTxHash()), contribute(g, bob, 2, 500, e.ProTxHash()))
	n, _ = s.Node(e.ProTxHash())
	if n.Service() != Active || n.ActiveSince != 9 || n.RewardHeight != 9 || n.RewardIndex != 1 || n.Position != 1 || !slices.Equal(n.Stakes, []Pledge{{bob, 900}, {alice, 100}}) {
		t.Errorf("filled it is %+v", n)
	}
	if tr := diff.Transitions; len(tr) != 1 || tr[0].From != Awaiting || tr[0].To != Active || tr[0].Cause != (Cause{Event: "contribute"}) {
		t.Errorf("transitions %+v", tr)
	}
	if v, _ := s.Staker(bob); v.Free(9) != 9100 || v.Pledges != 1 || v.Sequence != 2 {
		t.Errorf("bob has %+v", v)
	}
	// Registered without addresses it is PoSe-banned: listed, not a tester.
	bare := register(g, bob, 3, 1000, 2)
	bare.Addresses = nil
	s, _ = applied(t, s, 10, bare)
	if n, _ := s.Node(bare.ProTxHash()); n.PoSe.BanHeight != 10 || n.Service() != Active || n.RewardHeight != 10 || n.RewardIndex != 0 || s.Testers() != 2 || s.Listed() != 3 {
		t.Errorf("without addresses it is %+v", n)
	}
}

// An update-service says all there is: what it leaves out is no more.
func TestUpdateService_ReplacesThePlatform(t *testing.T) {
	g := genesis(2, "spec")
	g.Nodes[0].Platform = "https://example.org"
	s := start(t, g)
	for i, want := range []string{"https://example.org", "tcp://127.0.0.1:443", ""} {
		if i > 0 {
			e := event(g, 0, uint64(i))
			e.Platform = want
			s, _ = applied(t, s, int32(i), e)
		}
		if n, _ := s.Node(g.Nodes[0].ProTxHash); n.Platform != want {
			t.Errorf("after %d events the endpoint is %q, want %q", i, n.Platform, want)
		}
	}
}

func TestEvents_Refused(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	genesisNode := g.Nodes[0].ProTxHash
	waiting := register(g, bob, 1, 400, 1) // 600 missing, 9 places: at least 67
	dropped := register(g, bob, 2, 400, 2) // asked to leave
	voided := register(g, bob, 3, 400, 3)  // revoked
	s, _ = applied(t, s, 5, waiting, dropped, voided, leaves(g, bob, 4, dropped.ProTxHash()), wire.Revoke{EventHead: head(g, 1), ProTxHash: voided.ProTxHash()})
	node := waiting.ProTxHash()
	edit := func(change func(*wire.Register)) wire.Event {
		e := register(g, bob, 5, 1000, 7)
		change(&e)
		return e
	}
	for _, c := range []struct {
		name string
		e    wire.Event
		want error
	}{
		{"register", edit(func(*wire.Register) {}), nil},
		{"another network", edit(func(e *wire.Register) { e.Network[0] ^= 1 }), ErrNetwork},
		{"old sequence", edit(func(e *wire.Register) { e.Sequence = 4 }), ErrSequence},
		{"skipped sequence", edit(func(e *wire.Register) { e.Sequence = 6 }), ErrSequence},
		{"no grant", edit(func(e *wire.Register) { e.Staker[9] = 1 }), ErrStaker},
		{"service key of the genesis", edit(func(e *wire.Register) { e.ServiceKey = g.Nodes[0].ServiceKey }), ErrKey},
		{"operator key of a waiting node", edit(func(e *wire.Register) { e.OperatorKey = waiting.OperatorKey }), ErrKey},
		{"operator key of a revoked node", edit(func(e *wire.Register) { e.OperatorKey = voided.OperatorKey }), nil},
		{"service key of a revoked node", edit(func(e *wire.Register) { e.ServiceKey = voided.ServiceKey }), ErrKey},
		{"zero operator key", edit(func(e *wire.Register) { e.OperatorKey = wire.OperatorKey{} }), ErrKey},
		{"zero service key", edit(func(e *wire.Register) { e.ServiceKey = wire.ServiceKey{} }), ErrKey},
		{"nothing", edit(func(e *wire.Register) { e.Amount = 0 }), ErrAmount},
		{"a tenth", edit(func(e *wire.Register) { e.Amount = 100 }), nil},
		{"less than a tenth", edit(func(e *wire.Register) { e.Amount = 99 }), ErrAmount},
		{"more than required", edit(func(e *wire.Register) { e.Amount = 1001 }), ErrAmount},
		{"evonode with a platform service", edit(func(e *wire.Register) { e.Evo, e.Platform = true, "tcp://a:1" }), nil},
		{"regular masternode with one", edit(func(e *wire.Register) { e.Platform = "tcp://a:1" }), ErrPlatform},
		{"within the grant", register(g, alice, 1, 1000, 7), nil},

		{"least contribution", contribute(g, carol, 1, 67, node), nil},
		{"below it", contribute(g, carol, 1, 66, node), ErrAmount},
		{"all of it", contribute(g, carol, 1, 600, node), nil},
		{"above it", contribute(g, carol, 1, 601, node), ErrAmount},
		{"to nobody", contribute(g, carol, 1, 600, wire.Hash{1}), ErrUnknown},
		{"to an active node", contribute(g, carol, 1, 600, genesisNode), ErrFunded},
		{"to a node that leaves", contribute(g, carol, 1, 600, dropped.ProTxHash()), ErrUnknown}, // it leaves in block 6
		{"to a revoked node", contribute(g, carol, 1, 600, voided.ProTxHash()), ErrRevoked},
		{"contribution of nobody", contribute(g, wire.StakerKey{1}, 1, 600, node), ErrStaker},
		{"contribution replayed", contribute(g, bob, 3, 600, node), ErrSequence},

		{"exit", leaves(g, bob, 5, node), nil},
		{"exit by a stranger", leaves(g, carol, 1, node), ErrNotStaker},
		{"exit of nobody", leaves(g, bob, 5, wire.Hash{1}), ErrUnknown},
		{"exit replayed", leaves(g, bob, 4, node), ErrSequence},

		{"update of a revoked node", wire.UpdateService{EventHead: head(g, 2), ProTxHash: voided.ProTxHash(), Addresses: []string{"b"}}, ErrRevoked},
		{"update of a regular masternode", wire.UpdateService{EventHead: head(g, 1), ProTxHash: genesisNode, Addresses: []string{"b"}}, nil},
		{"the same with a platform service", wire.UpdateService{EventHead: head(g, 1), ProTxHash: genesisNode, Addresses: []string{"b"}, Platform: "tcp://a:1"}, ErrPlatform},
		{"revoked again", wire.Revoke{EventHead: head(g, 2), ProTxHash: voided.ProTxHash()}, ErrRevoked},
		{"revoke of nobody", wire.Revoke{EventHead: head(g, 1), ProTxHash: wire.Hash{1}}, ErrUnknown},
		{"revoke replayed", wire.Revoke{EventHead: head(g, 0), ProTxHash: node}, ErrSequence},
	} {
		_, _, err := s.Apply(block(s, 6, c.e))
		if !errors.Is(err, c.want) || !errors.Is(s.CheckEvent(6, c.e), c.want) {
			t.Errorf("%s: %v, CheckEvent %v; want %v", c.name, err, s.CheckEvent(6, c.e), c.want)
		}
	}
	// In one block.
	for _, c := range []struct {
		name   string
		events []wire.Event
		want   error
	}{
		{"one key twice", []wire.Event{register(g, carol, 1, 1000, 7), register(g, bob, 5, 1000, 7)}, ErrKey},
		{"exit twice", []wire.Event{leaves(g, alice, 1, genesisNode), leaves(g, alice, 2, genesisNode)}, ErrExiting},
		{"contribution after exit", []wire.Event{leaves(g, bob, 5, node), contribute(g, carol, 1, 600, node)}, ErrExiting},
		{"more than is free", []wire.Event{register(g, alice, 1, 1000, 7), register(g, alice, 2, 1000, 8), register(g, alice, 3, 1000, 9)}, ErrStake},
	} {
		if _, _, err := s.Apply(block(s, 6, c.events...)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Where nothing is required every node of the genesis serves, and none is added.
func TestRegister_WithoutRequirement(t *testing.T) {
	g := funded(3, "spec")
	g.Grants = []chain.Grant{{Staker: bob, Amount: 10}}
	s := start(t, g)
	if _, active, _ := s.Counts(); active != 3 {
		t.Errorf("%d nodes are active, want 3", active)
	}
	if err := s.CheckEvent(1, register(g, bob, 1, 1, 7)); !errors.Is(err, ErrAmount) {
		t.Errorf("%v, want ErrAmount", err)
	}
}

// However little each gives, ten stakers always fill a node.
func TestContribute_TenFillANode(t *testing.T) {
	for _, requirement := range []uint64{10, 11, 19, 1000, 1001, 1009, math.MaxUint64} {
		g := chain.Genesis{Network: "devnet", Profile: "spec", StakingRequirement: requirement}
		share := requirement/10 + min(1, requirement%10)
		for i := range byte(11) {
			g.Grants = append(g.Grants, chain.Grant{Staker: wire.StakerKey{i + 1}, Amount: share})
		}
		s := start(t, g)
		e := register(g, wire.StakerKey{1}, 1, share, 1)
		s, _ = applied(t, s, 1, e)
		left := requirement - share
		for i := uint64(2); left > 0; i++ {
			least := left / (11 - i)
			if left%(11-i) > 0 {
				least++
			}
			c := contribute(g, wire.StakerKey{byte(i)}, 1, least, e.ProTxHash())
			if below := contribute(g, wire.StakerKey{byte(i)}, 1, least-1, e.ProTxHash()); !errors.Is(s.CheckEvent(int32(i), below), ErrAmount) {
				t.Fatalf("%d required: staker %d may give %d", requirement, i, least-1)
			}
			s, _ = applied(t, s, int32(i), c)
			left -= least
		}
		if n, _ := s.Node(e.ProTxHash()); n.Service() != Active || len(n.Stakes) > params.MaxStakers {
			t.Errorf("%d required: %+v", requirement, n)
		}
	}
	// A genesis may leave ten stakers short: only they can fill the node.
	g := chain.Genesis{Network: "devnet", Profile: "spec", StakingRequirement: 1000}
	for i := range byte(11) {
		g.Grants = append(g.Grants, chain.Grant{Staker: wire.StakerKey{i + 1}, Amount: 1000})
	}
	g.Nodes = []chain.GenesisNode{{ProTxHash: wire.Hash{1}, ServiceKey: wire.ServiceKey{1}, Stakes: nil}}
	for i := range 10 {
		g.Nodes[0].Stakes = append(g.Nodes[0].Stakes, chain.Grant{Staker: g.Grants[i].Staker, Amount: 10})
	}
	s := start(t, g)
	if err := s.CheckEvent(1, contribute(g, wire.StakerKey{11}, 1, 900, wire.Hash{1})); !errors.Is(err, ErrStakers) {
		t.Errorf("an eleventh staker: %v, want ErrStakers", err)
	}
	if err := s.CheckEvent(1, contribute(g, wire.StakerKey{3}, 1, 900, wire.Hash{1})); err != nil {
		t.Errorf("one of the ten: %v", err)
	}
}

// Open pledges and locks count together; an expired lock makes room.
func TestContribute_MostPledges(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	nodes := make([]wire.Hash, params.MaxStakerPledges+1)
	height := int32(1)
	for i := range nodes {
		e := register(g, carol, uint64(i+1), 100, byte(i+1))
		nodes[i] = e.ProTxHash()
		if i == params.MaxStakerPledges {
			if err := s.CheckEvent(height, e); !errors.Is(err, ErrPledges) {
				t.Fatalf("pledge %d: %v, want ErrPledges", i+1, err)
			}
			break
		}
		s, _ = applied(t, s, height, e)
		height++
	}
	// To its own pledge it may add.
	if err := s.CheckEvent(height, contribute(g, carol, 65, 900, nodes[0])); err != nil {
		t.Errorf("adding to a pledge: %v", err)
	}
	s, _ = applied(t, s, height, contribute(g, carol, 65, 900, nodes[0]))
	fails := wire.Certificate{Ballot: wire.Ballot{Height: height + 1, ProTxHash: nodes[0], Answer: wire.FailsUptime}}
	n, _ := s.Node(nodes[0])
	n.CreditBase = 0
	s.replaceNode(n.ProTxHash, &n)
	s, diff, err := s.Apply(certified(s, height+14, fails))
	if err != nil || diff.Transitions[0].To != 0 {
		t.Fatalf("deregistration: %+v, %v", diff.Transitions, err)
	}
	unlock := height + 14 + 21600
	late := register(g, carol, 66, 100, 99)
	for at, want := range map[int32]error{unlock - 1: ErrPledges, unlock: nil} {
		if err := s.CheckEvent(at, late); !errors.Is(err, want) {
			t.Errorf("at %d, unlock height %d: %v, want %v", at, unlock, err, want)
		}
	}
	s, _ = applied(t, s, unlock, late)
	if v, _ := s.Staker(carol); len(v.Locks) != 0 || v.Pledges != params.MaxStakerPledges {
		t.Errorf("carol has %+v", v)
	}
}

func TestExit(t *testing.T) {
	for profile, delay := range map[string]int32{"spec": 10_800, "core": 720} {
		g := staked(profile)
		s := start(t, g)
		e := register(g, bob, 1, 400, 1)
		s, _ = applied(t, s, 5, e)
		s, diff := applied(t, s, 6, leaves(g, alice, 1, g.Nodes[0].ProTxHash), leaves(g, bob, 2, e.ProTxHash()))
		if len(diff.Transitions) != 0 || s.NodeCount() != 2 {
			t.Errorf("%s: asking is leaving: %+v", profile, diff.Transitions)
		}
		// Who awaits stake leaves in the next block.
		s, diff = applied(t, s, 7)
		if tomb, ok := s.Tombstone(e.ProTxHash()); !ok || tomb.Deregistered || tomb.Height != 7 || tomb.UnlockHeight != 7 || len(diff.Transitions) != 1 || diff.Transitions[0].From != Awaiting {
			t.Errorf("%s: %+v, %+v", profile, tomb, diff.Transitions)
		}
		if v, _ := s.Staker(bob); v.Free(7) != 10_000 {
			t.Errorf("%s: bob has %+v", profile, v)
		}
		// Its keys are free at once.
		if err := s.CheckEvent(8, register(g, bob, 3, 1000, 1)); err != nil {
			t.Errorf("%s: registering again: %v", profile, err)
		}
		// The other serves until the delay is over, and is paid in the block it leaves in.
		s, diff = applied(t, s, 6+delay)
		if n, ok := s.Node(g.Nodes[0].ProTxHash); !ok || n.Service() != Active || n.ExitHeight != 6+delay || len(diff.Transitions) != 0 {
			t.Errorf("%s: it left at %d", profile, 6+delay)
		}
		s, diff = applied(t, s, 7+delay)
		if s.NodeCount() != 0 || s.Listed() != 0 || s.Testers() != 0 || diff.Paid != g.Nodes[0].ProTxHash || len(diff.Transitions) != 1 || diff.Transitions[0].Cause != (Cause{Event: "exit"}) {
			t.Errorf("%s: at %d: %d nodes, %+v", profile, 7+delay, s.NodeCount(), diff)
		}
		if v, _ := s.Staker(alice); v.Free(7+delay) != 3000 || len(v.Locks) != 0 {
			t.Errorf("%s: alice has %+v", profile, v)
		}
		if _, diff := applied(t, s, 8+delay); !diff.Paid.IsZero() || len(diff.Before) != 0 {
			t.Errorf("an empty network pays %s, changes %d records", diff.Paid, len(diff.Before))
		}
	}
}

// Asking to leave does not save from a deregistration.
func TestExit_NoImmunity(t *testing.T) {
	g := staked("spec")
	s := edited(t, g, map[int]func(*Node){0: func(n *Node) { n.CreditBase = 0 }})
	s, _ = applied(t, s, 6, leaves(g, alice, 1, g.Nodes[0].ProTxHash))
	s, _, err := s.Apply(certified(s, 20, answer(g, 0, 7, wire.FailsUptime)))
	tomb, ok := s.Tombstone(g.Nodes[0].ProTxHash)
	if v, _ := s.Staker(alice); err != nil || !ok || !tomb.Deregistered || tomb.UnlockHeight != 21_620 || v.Free(21_619) != 2000 || v.Free(21_620) != 3000 {
		t.Errorf("%v: %+v, %+v", err, tomb, v)
	}
	s, diff := applied(t, s, 10_807)
	if len(diff.Transitions) != 0 {
		t.Errorf("it left twice: %+v, %d nodes", diff.Transitions, s.NodeCount())
	}
}

func TestRevoke(t *testing.T) {
	g := funded(3, "spec")
	s := start(t, g)
	proTx := g.Nodes[1].ProTxHash
	s, _ = applied(t, s, 4, wire.Revoke{EventHead: head(g, 1), ProTxHash: proTx, Reason: 2})
	n, _ := s.Node(proTx)
	if !n.Revoked || n.PoSe.BanHeight != 4 || n.OperatorKey != (wire.OperatorKey{}) || n.Service() != Active || n.Tester() || s.Testers() != 2 || s.Listed() != 3 {
		t.Errorf("revoked it is %+v", n)
	}
	if slices.Contains(slices.Collect(s.RewardOrder()), proTx) {
		t.Error("a revoked node is paid")
	}
	// Still tested, still judged.
	if err := s.CheckResult(30, answer(g, 1, 17, wire.FailsUptime).Ballot); err != nil {
		t.Error(err)
	}
}

// Every block pays who waited longest; ties by the bytes of the hash.
func TestRewardOrder(t *testing.T) {
	g := funded(4, "spec")
	s := start(t, g)
	var paid []string
	for height := range int32(9) {
		next, _ := s.NextPaid()
		after, diff := applied(t, s, height+1)
		if s = after; diff.Paid != next {
			t.Errorf("block %d pays %s, %s was next", height+1, diff.Paid, next)
		}
		paid = append(paid, fmt.Sprint(diff.Paid[3]))
		if height == 4 { // node 1 was paid last; nodes 2, 3, 4 wait; 3 goes to the bottom
			s, _, _ = s.Apply(certified(s, height+1, answer(g, 2, 1, wire.TwoAddresses)))
			paid = append(paid, "2")
		}
	}
	if want := []string{"1", "2", "3", "4", "1", "2", "4", "1", "2", "3"}; !slices.Equal(paid, want) {
		t.Errorf("paid %v, want %v", paid, want)
	}
}
