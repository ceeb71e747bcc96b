package state

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// genesis registers n nodes; the even ones are evonodes, the last has no address.
func genesis(n int, profile string) chain.Genesis {
	g := chain.Genesis{Network: "devnet", Profile: profile, Time: time.Unix(0, 0), SlotMillis: 1000}
	for i := range n {
		node := chain.GenesisNode{Name: fmt.Sprint(i), ProTxHash: wire.DoubleHash([]byte{byte(i)}), Evo: i%2 == 0, OperatorKey: wire.OperatorKey{1, byte(i)}, ServiceKey: wire.ServiceKey{2, byte(i)}}
		if i < n-1 {
			node.Addresses = []string{"/ip4/127.0.0.1/tcp/1"}
		}
		g.Nodes = append(g.Nodes, node)
	}
	g.Authorities = []wire.Hash{g.Nodes[0].ProTxHash}
	return g
}

func start(t interface{ Fatal(...any) }, g chain.Genesis) State {
	s, err := Genesis(g)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// block is one that s takes, with events.
func block(s State, height int32, events ...wire.Event) wire.Block {
	return wire.Block{Header: wire.Header{Height: height, Parent: parentOf(height), StateRoot: s.Root()}, Content: wire.Content{Events: events}}
}

// parentOf is the hash of the block before the one that block makes.
func parentOf(height int32) wire.Hash { return wire.DoubleHash(fmt.Append(nil, "before ", height)) }

func event(g chain.Genesis, node int, sequence uint64) wire.UpdateService {
	return wire.UpdateService{
		EventHead: head(g, sequence), ProTxHash: g.Nodes[node].ProTxHash, Addresses: []string{fmt.Sprint("/dns4/n/tcp/", sequence)},
	}
}

func head(g chain.Genesis, sequence uint64) wire.EventHead {
	return wire.EventHead{Network: g.Hash(), Sequence: sequence}
}

func TestGenesis_RegisteredWithoutAddressIsPoSeBanned(t *testing.T) {
	g := genesis(4, "spec")
	s := start(t, g)
	for i, want := range []bool{false, false, false, true} {
		n, ok := s.Node(g.Nodes[i].ProTxHash)
		if !ok || n.PoSeBanned() != want || n.Evo != (i%2 == 0) || n.RevivedHeight != NoHeight {
			t.Errorf("node %d is %+v, want PoSe-banned %t", i, n, want)
		}
	}
	if s.NodeCount() != 4 {
		t.Errorf("%d nodes, want 4", s.NodeCount())
	}
}

func TestApply_UpdateService(t *testing.T) {
	g := genesis(4, "spec")
	before := start(t, g)
	root := before.Root()
	after, diff, err := before.Apply(block(before, 9, event(g, 3, 1), event(g, 0, 1), event(g, 0, 2)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range diff.Changes {
		got = append(got, fmt.Sprint(c.Node.Sequence, c.Revived, c.Node.PoSe.BanHeight, c.Node.RevivedHeight))
	}
	if want := []string{"1 true -1 9", "1 false -1 -1", "2 false -1 -1"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if n, _ := after.Node(g.Nodes[0].ProTxHash); n.Sequence != 2 || n.Addresses[0] != "/dns4/n/tcp/2" {
		t.Errorf("node 0 is %+v", n)
	}
	if old, _ := before.Node(g.Nodes[3].ProTxHash); before.Root() != root || !old.PoSeBanned() || old.Sequence != 0 {
		t.Error("applying a block changed the state before it")
	}
	if after.Root() == root {
		t.Error("the root does not follow the registry")
	}
}

func TestApply_Refuses(t *testing.T) {
	g := genesis(3, "spec")
	s := start(t, g)
	foreign := event(g, 0, 1)
	foreign.Network[0] ^= 1
	unknown := event(g, 0, 1)
	unknown.ProTxHash = wire.Hash{1}
	root := block(s, 1)
	root.Header.StateRoot[0] ^= 1
	for _, c := range []struct {
		name  string
		block wire.Block
		want  error
	}{
		{"wrong root", root, ErrRoot},
		{"another network", block(s, 1, foreign), ErrNetwork},
		{"unknown node", block(s, 1, unknown), ErrUnknown},
		{"sequence repeated", block(s, 1, event(g, 0, 0)), ErrSequence},
		{"sequence skipped", block(s, 1, event(g, 0, 2)), ErrSequence},
		{"one event twice", block(s, 1, event(g, 0, 1), event(g, 0, 1)), ErrSequence},
		{"second event wrong", block(s, 1, event(g, 0, 1), unknown), ErrUnknown},
	} {
		got, diff, err := s.Apply(c.block)
		if !errors.Is(err, c.want) || !reflect.DeepEqual(diff, Diff{}) || got.Root() != s.Root() {
			t.Errorf("%s: %v and %+v, want %v and the old state", c.name, err, diff, c.want)
		}
		if len(c.block.Events) == 1 && !errors.Is(s.CheckEvent(1, c.block.Events[0]), c.want) {
			t.Errorf("%s: CheckEvent says %v", c.name, s.CheckEvent(1, c.block.Events[0]))
		}
	}
}
