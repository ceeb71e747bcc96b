package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a file in testdata.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (rewrite with -update): got\n%s\nwant\n%s", path, got, want)
	}
}

// says answers every call with one value, as a node would.
func says(name string, answer any) api.Method {
	return api.Method{Name: name, Usage: "[ANYTHING]", Call: func(context.Context, api.Params) (any, error) { return answer, nil }}
}

func answerOf(a wire.Answer) *wire.Answer { return &a }

func hashOf(b byte) wire.Hash { return wire.Hash{31: b, 30: 0x11, 0: b} }

var someNodes = []node.ServiceNode{
	{Name: "evo-1", ProTxHash: hashOf(1), Type: "evo", State: "active", Credit: 61, PoSeScore: 42, PoSeMaximum: 100, Stake: 1000, DecommissionedHeight: -1, RewardPosition: 2, ProofHeight: 90, ProofAge: 10},
	{Name: "regular-1", ProTxHash: hashOf(2), Type: "regular", State: "decommissioned", Credit: 12, Stake: 1000, DecommissionedHeight: 50, Cause: answerOf(wire.FailsUptime), ProofHeight: 20, ProofAge: 80},
	{ProTxHash: hashOf(3), Type: "evo", State: "active", PoSeBanned: true, PlatformBanFlag: true, Credit: 60, Cause: answerOf(wire.FailsUptime), DecommissionedHeight: -1, ProofHeight: -1, ProofAge: -1},
	{ProTxHash: hashOf(4), Type: "regular", State: "awaiting", Stake: 400, ActiveSince: -1, DecommissionedHeight: -1, ProofHeight: 100},
}

func TestNodes(t *testing.T) {
	at := serve(t, []api.Method{says("nodes", someNodes)}, nil)
	o := proctor(t, "nodes", "--config", at)
	o.wantOK(t)
	golden(t, "nodes.txt", o.stdout)
	var got []node.ServiceNode
	exactly(t, proctor(t, "nodes", "--config", at, "--json"), &got)
	if !reflect.DeepEqual(got, someNodes) {
		t.Errorf("JSON shows %+v, want %+v", got, someNodes)
	}
}

// voters are so many testers; the last two were not heard.
func voters(n int, e wire.Evidence) (list []engine.Voter, names map[string]string) {
	names = make(map[string]string)
	for i := range n {
		v := engine.Voter{ProTxHash: hashOf(byte(10 + i))}
		if i < n-2 {
			v.Heard, v.Evidence = true, &e
		}
		if i%2 == 0 {
			names[v.ProTxHash.String()] = fmt.Sprintf("evo-%d", 10+i)
		}
		list = append(list, v)
	}
	return list, names
}

// certified is what a certificate of 8 testers did.
func certified(a wire.Answer, drawn, block int32, e wire.Evidence, t state.Transition) (engine.Decision, map[string]string) {
	list, names := voters(8, e)
	t.ProTxHash, t.Height = hashOf(2), block
	t.Cause = state.Cause{Answer: a, QuorumHeight: drawn, QuorumHash: hashOf(99), Voters: 0x3db}
	if t.UnlockHeight == 0 {
		t.UnlockHeight = state.NoHeight
	}
	return engine.Decision{Height: block, BlockHash: hashOf(200), Slot: uint64(block) + 5, Transitions: []state.Transition{t}, Voters: list}, names
}

var missed = wire.Evidence{Digest: hashOf(77), First: 530, Second: -1}

func decommission() (engine.Decision, map[string]string) {
	return certified(wire.FailsUptime, 590, 603, missed, state.Transition{
		From: state.Active, To: state.Decommissioned, CreditBase: 60, ActiveBlocks: 603, Earned: 20, Credit: 80, NewCredit: 80,
		Active: 20, Brake: 5, MinimumCredit: 60,
	})
}

func deregistration() (engine.Decision, map[string]string) {
	return certified(wire.FailsUptime, 671, 684, missed, state.Transition{
		From: state.Decommissioned, CreditBase: 60, ActiveBlocks: 603, Earned: 20, DownBlocks: 81, Credit: -1,
		Active: 19, Decommissioned: 1, Brake: 5, MinimumCredit: 60, UnlockHeight: 22284,
	})
}

func TestExplain(t *testing.T) {
	gone, names := decommission()
	dead, _ := deregistration()
	back, _ := certified(wire.Passes, 630, 643, wire.Evidence{Digest: hashOf(78), First: 641, Second: -1}, state.Transition{
		From: state.Decommissioned, To: state.Active, CreditBase: 60, ActiveBlocks: 603, Earned: 20, DownBlocks: 40, Credit: 40, NewCredit: 0, Active: 19, Decommissioned: 1, Brake: 5, MinimumCredit: 60,
	})
	moved, _ := certified(wire.TwoAddresses, 600, 613, wire.Evidence{Digest: hashOf(79), First: 520, Second: 599}, state.Transition{
		From: state.Active, To: state.Active, CreditBase: 60, ActiveBlocks: 613, Earned: 20, Credit: 80, NewCredit: 80, Active: 20, Brake: 5, MinimumCredit: 60,
	})
	atOnce, _ := certified(wire.FailsCheckpoint, 700, 713, wire.Evidence{First: 700, Second: -1}, state.Transition{
		From: state.Active, CreditBase: 0, ActiveBlocks: 70, Earned: 2, Credit: 2, Active: 20, Brake: 5, MinimumCredit: 60, UnlockHeight: 22313,
	})
	hidden, _ := certified(wire.FailsCheckpoint, 700, 713, wire.Evidence{First: 700, Second: -1}, state.Transition{
		From: state.Active, To: state.Decommissioned, CreditBase: 60, ActiveBlocks: 713, Earned: 23, Credit: 83, NewCredit: 83, Active: 20, Brake: 5, MinimumCredit: 60,
	})
	never, _ := certified(wire.FailsUptime, 590, 603, wire.Evidence{First: -1, Second: -1}, gone.Transitions[0])
	event := func(height int32, t state.Transition) engine.Decision {
		t.Height, t.UnlockHeight = height, state.NoHeight
		return engine.Decision{Height: height, BlockHash: hashOf(201), Slot: uint64(height), Transitions: []state.Transition{t}}
	}
	registered := event(10, state.Transition{To: state.Awaiting, NewCredit: 60, Cause: state.Cause{Event: "register"}})
	funded := event(12, state.Transition{From: state.Awaiting, To: state.Active, CreditBase: 60, Credit: 60, NewCredit: 60, Cause: state.Cause{Event: "contribute"}})

	failed := func(base, before int32, bans bool) engine.Decision {
		return engine.Decision{Height: base + 11, BlockHash: hashOf(202), Slot: uint64(base) + 11, Punishments: []engine.Failure{{
			Punishment: state.Punishment{ProTxHash: hashOf(2), Height: base + 11, Registered: 10, Before: before, Increase: 66, After: before + 66, Maximum: 100, Bans: bans},
			Type:       106, Quorum: hashOf(50), Base: base, Mined: base + 11, Index: 3, Members: 4, Valid: 3, Signers: 3,
		}}}
	}
	ban := hashOf(60)
	signed := &node.PlatformBanInfo{
		FlagSet: true, SignedHeight: 616, ClearedHeight: -1, InventoryHash: &ban,
		Quorum: &node.QuorumInfo{
			Height: 600, Type: "llmq_test_platform", QuorumHash: hashOf(51), MinedHeight: 611, Size: 4, Threshold: 3, Valid: 3,
			Members: []node.QuorumMember{
				{Name: "evo-1", ProTxHash: hashOf(1), Valid: true, Signer: true}, {ProTxHash: hashOf(3), Valid: true}, {Name: "evo-4", ProTxHash: hashOf(4)},
				{Name: "evo-5", ProTxHash: hashOf(5), Valid: true},
			},
		},
		Request: &engine.BanRequest{ProTxHash: hashOf(2), Since: 614, Until: 734, Monitor: true, Signed: []int32{612, 616}, Done: 616, Evidence: []engine.Attempt{
			{Height: 606, Endpoint: "tcp://203.0.113.7:443"}, {Height: 610, Endpoint: "tcp://203.0.113.7:443", Failed: "connection refused"},
		}},
	}
	cleared := *signed
	cleared.FlagSet, cleared.ClearedHeight, cleared.Request = false, 640, nil
	watched := &node.PlatformBanInfo{
		SignedHeight: -1, ClearedHeight: -1, Request: &engine.BanRequest{ProTxHash: hashOf(2), Since: 614, Until: 734, Signed: []int32{}},
		Attempts: []engine.Attempt{{Height: 610, Endpoint: "https://203.0.113.7", Failed: "no answer in 3s"}},
	}

	left := event(900, state.Transition{From: state.Active, CreditBase: 60, ActiveBlocks: 300, Earned: 10, Credit: 70, Cause: state.Cause{Event: "exit"}})

	node1 := func(change func(*node.ServiceNode)) *node.ServiceNode {
		n := node.ServiceNode{
			Name: "regular-1", ProTxHash: hashOf(2), Type: "regular", State: "active", Stake: 1000, DecommissionedHeight: -1,
			RewardPosition: 7, ProofHeight: 690, ProofAge: 10, Addresses: []string{"/ip4/203.0.113.7/udp/19850/quic-v1", oneAddress},
		}
		change(&n)
		return &n
	}
	down := func(cause wire.Answer) *node.ServiceNode {
		return node1(func(n *node.ServiceNode) {
			n.State, n.DecommissionedHeight, n.Cause, n.RewardPosition, n.ProofHeight, n.ProofAge = "decommissioned", 603, &cause, 0, 530, 90
		})
	}
	for _, c := range []struct {
		file string
		x    node.Explanation
	}{
		{"decommissioned", node.Explanation{State: "decommissioned", Height: 620, Tip: 620, Decisions: []engine.Decision{gone}, Node: down(wire.FailsUptime),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 603, Earned: 20, Down: 17, Total: 63, Minimum: 60, IfFailing: "nothing yet"}}},
		{"overdue", node.Explanation{State: "decommissioned", Height: 700, Tip: 700, Decisions: []engine.Decision{never}, Node: down(wire.FailsUptime),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 603, Earned: 20, Down: 97, Total: -17, Minimum: 60, IfFailing: "deregistered"}}},
		{"checkpoint", node.Explanation{State: "decommissioned", Height: 720, Tip: 720, Decisions: []engine.Decision{hidden}, Node: down(wire.FailsCheckpoint),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 713, Earned: 23, Down: 7, Total: 76, Minimum: 60, IfFailing: "nothing yet"}}},
		{"deregistered", node.Explanation{State: "gone", Height: 700, Tip: 700, Decisions: []engine.Decision{gone, dead},
			Tombstone: &state.Tombstone{ProTxHash: hashOf(2), Deregistered: true, Height: 684, UnlockHeight: 22284, Cause: wire.FailsUptime}}},
		{"deregistered-at-once", node.Explanation{State: "gone", Height: 720, Tip: 30000, Decisions: []engine.Decision{atOnce},
			Tombstone: &state.Tombstone{ProTxHash: hashOf(2), Deregistered: true, Height: 713, UnlockHeight: 22313, Cause: wire.FailsCheckpoint}}},
		{"recommissioned", node.Explanation{State: "active", Height: 700, Tip: 700, Decisions: []engine.Decision{gone, back}, Node: node1(func(*node.ServiceNode) {}),
			Credit: &node.Credit{ActiveBlocks: 57, Earned: 1, Total: 1, Minimum: 60, IfFailing: "deregistered"}}},
		{"two-addresses", node.Explanation{State: "active", Height: 620, Tip: 620, Decisions: []engine.Decision{moved}, Node: node1(func(n *node.ServiceNode) { n.RewardPosition = 20 }),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 620, Earned: 20, Total: 80, Minimum: 60, IfFailing: "decommissioned"}}},
		{"past", node.Explanation{State: "decommissioned", Height: 655, Tip: 700, Decisions: []engine.Decision{gone},
			Credit: &node.Credit{Base: 60, ActiveBlocks: 603, Earned: 20, Down: 52, Total: 28, Minimum: 60, IfFailing: "nothing yet"}}},
		{"awaiting", node.Explanation{State: "awaiting", Height: 11, Tip: 11, Decisions: []engine.Decision{registered},
			Node:   node1(func(n *node.ServiceNode) { n.State, n.Stake, n.RewardPosition = "awaiting", 400, 0 }),
			Credit: &node.Credit{Base: 60, Total: 60, Minimum: 60, IfFailing: "nothing: it is not tested"}}},
		{"banned", node.Explanation{State: "active", Height: 20, Tip: 20, Decisions: []engine.Decision{registered, funded},
			Node: node1(func(n *node.ServiceNode) {
				n.PoSeBanned, n.PlatformBanFlag, n.RewardPosition, n.ProofHeight, n.ProofAge = true, true, 0, -1, -1
			}),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 8, Total: 60, Minimum: 60, IfFailing: "decommissioned"}}},
		{"punished", node.Explanation{State: "active", Height: 620, Tip: 620, Decisions: []engine.Decision{failed(576, 0, false)},
			Node:   node1(func(n *node.ServiceNode) { n.PoSeScore, n.PoSeMaximum = 33, 100 }),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 620, Earned: 20, Total: 80, Minimum: 60, IfFailing: "decommissioned"}}},
		{"platform-ban", node.Explanation{State: "active", Height: 640, Tip: 640, Decisions: []engine.Decision{gone, failed(600, 0, false), failed(624, 42, true), failed(648, 108, false)},
			Node: node1(func(n *node.ServiceNode) {
				n.PoSeBanned, n.PoSeScore, n.PoSeMaximum, n.PlatformBanFlag = true, 108, 100, true
			}),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 640, Earned: 21, Total: 81, Minimum: 60, IfFailing: "decommissioned"}, PlatformBan: signed}},
		{"platform-ban-cleared", node.Explanation{State: "active", Height: 650, Tip: 650, Node: node1(func(*node.ServiceNode) {}),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 650, Earned: 21, Total: 81, Minimum: 60, IfFailing: "decommissioned"}, PlatformBan: &cleared}},
		{"platform-ban-requested", node.Explanation{State: "active", Height: 620, Tip: 620, Node: node1(func(*node.ServiceNode) {}),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 620, Earned: 20, Total: 80, Minimum: 60, IfFailing: "decommissioned"}, PlatformBan: watched}},
		{"left", node.Explanation{State: "gone", Height: 950, Tip: 950, Decisions: []engine.Decision{left}, Tombstone: &state.Tombstone{Height: 900, UnlockHeight: 900}}},
		{"nothing", node.Explanation{State: "active", Height: 5, Tip: 5, Node: node1(func(*node.ServiceNode) {}),
			Credit: &node.Credit{Base: 60, ActiveBlocks: 5, Total: 60, Minimum: 60, IfFailing: "decommissioned"}}},
		{"not-yet", node.Explanation{State: "gone", Height: 5, Tip: 700}},
	} {
		t.Run(c.file, func(t *testing.T) {
			c.x.Name, c.x.ProTxHash, c.x.Names = "regular-1", hashOf(2), names
			if c.x.Decisions == nil {
				c.x.Decisions = []engine.Decision{}
			}
			at := serve(t, []api.Method{says("explain", c.x)}, nil)
			o := proctor(t, "explain", "regular-1", "--config", at)
			o.wantOK(t)
			golden(t, "explain-"+c.file+".txt", o.stdout)
			var got node.Explanation
			exactly(t, proctor(t, "explain", "regular-1", "--config", at, "--json"), &got)
			if !reflect.DeepEqual(got, c.x) {
				t.Errorf("JSON shows %+v, want %+v", got, c.x)
			}
		})
	}
}

// What is asked for reaches the node, and its refusal the asker.
func TestExplain_Asks(t *testing.T) {
	var asked []string
	at := serve(t, []api.Method{{Name: "explain", Usage: "[ANYTHING]", Call: func(_ context.Context, p api.Params) (any, error) {
		text, err := json.Marshal(p)
		asked = append(asked, string(text))
		if err == nil {
			err = api.Invalid("height 900 is not on our branch, which goes from 0 to 20")
		}
		return nil, err
	}}}, nil)
	proctor(t, "explain", "evo-1", "--config", at).wantError(t, exitFailed, "not on our branch")
	proctor(t, "explain", zeros, "--at", "900", "--config", at).wantError(t, exitFailed, "height 900", "0 to 20")
	if want := []string{`["evo-1"]`, `["` + zeros + `",900]`}; !reflect.DeepEqual(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}
	proctor(t, "explain", "evo-1", "--at", "2147483648", "--config", at).wantError(t, exitUnusable, "--at", `"2147483648"`, "0 to 2147483647")
}

// A real node of a network in which two fell silent tells their story.
func TestExplain_ARealNode(t *testing.T) {
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 10, Regular: 4, Seed: 1, Authorities: 4, Profile: "spec", Slot: time.Second, Now: time.Now().Add(-400 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	silent := false
	s, err := network.Simulate(testnet.Link{Mute: func(i int, p engine.Publication) bool { return silent && i == 9 && p.Topic == engine.TopicUptime }}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, slots := range []int{130, 100} {
		if err := s.Run(slots); err != nil {
			t.Fatal(err)
		}
		silent = true
	}
	data := t.TempDir()
	if err := s.Save(0, data); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := bed{Network: network, dir: dir, member: network.Members[0]}
	n, err := node.New(node.Config{
		Genesis: network.Genesis, Identity: b.member.Service, ProTxHash: b.member.ProTxHash, OperatorKey: &b.member.Operator,
		DataDir: data, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	at := serve(t, n.Methods(), nil)

	target := network.Members[9]
	var list []node.ServiceNode
	exactly(t, proctor(t, "nodes", "--config", at, "--json"), &list)
	found := false
	for _, x := range list {
		if x.Name == target.Name {
			found = x.State == "decommissioned" && x.Cause != nil && *x.Cause == wire.FailsUptime
		} else if x.State != "active" {
			t.Errorf("%s is %s", x.Name, x.State)
		}
	}
	if len(list) != 10 || !found {
		o := proctor(t, "explain", target.Name, "--config", at)
		t.Fatalf("nodes are %+v, want %s decommissioned\n%s%s", list, target.Name, o.stdout, o.stderr)
	}
	o := proctor(t, "explain", target.Name, "--config", at)
	o.wantOK(t)
	for _, words := range []string{"decommissioned since block", "for fails-uptime", "said at height", "evo-1 ", "regular-4 ", "last heard its uptime proof", "61 blocks before",
		"certificate  their signatures", "active -> decommissioned", "what comes next", "from block 250 on", "what to do", "proctor health"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("the explanation lacks %q:\n%s", words, o.stdout)
		}
	}
	if by := proctor(t, "explain", target.ProTxHash.String(), "--config", at); by.stdout != o.stdout {
		t.Errorf("by its hash it is explained so:\n%s", by.stdout)
	}
	var x node.Explanation
	exactly(t, proctor(t, "explain", target.Name, "--config", at, "--json"), &x)
	if len(x.Decisions) != 1 || len(x.Decisions[0].Voters) < 7 || x.Credit == nil {
		t.Errorf("explanation is %+v", x)
	}
	proctor(t, "explain", "evo-99", "--config", at).wantError(t, exitFailed, `"evo-99"`)
	proctor(t, "explain", zeros, "--config", at).wantError(t, exitFailed, "never registered")
}
