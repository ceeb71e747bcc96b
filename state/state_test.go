package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// genesis registers n nodes; the even ones are evonodes, the last has no address.
func genesis(n int, profile string) chain.Genesis {
	g := chain.Genesis{Network: "devnet", Profile: profile, Time: time.Unix(0, 0), SlotMillis: 1000}
	for i := range n {
		node := chain.GenesisNode{Name: fmt.Sprint(i), ProTxHash: wire.DoubleHash([]byte{byte(i)}), Evo: i%2 == 0}
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
func block(s State, height int32, events ...wire.UpdateService) wire.Block {
	return wire.Block{Header: wire.Header{Height: height, StateRoot: s.Root(), Content: wire.ContentHash(events)}, Events: events}
}

func event(g chain.Genesis, node int, sequence uint64) wire.UpdateService {
	return wire.UpdateService{
		Network: g.Hash(), ProTxHash: g.Nodes[node].ProTxHash, Sequence: sequence, Addresses: []string{fmt.Sprint("/dns4/n/tcp/", sequence)},
	}
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
	after, changes, err := before.Apply(block(before, 9, event(g, 3, 1), event(g, 0, 1), event(g, 0, 2)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprint(c.Node.Sequence, c.Revived, c.Node.PoSeBanHeight, c.Node.RevivedHeight))
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
	empty, changes, err := after.Apply(block(after, 10))
	if err != nil || len(changes) != 0 || empty.Root() != after.Root() {
		t.Errorf("an empty block changes the state: %v, %v", changes, err)
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
		got, changes, err := s.Apply(c.block)
		if !errors.Is(err, c.want) || len(changes) > 0 || got.Root() != s.Root() {
			t.Errorf("%s: %v and %d changes, want %v and the old state", c.name, err, len(changes), c.want)
		}
		if len(c.block.Events) == 1 && !errors.Is(s.CheckEvent(c.block.Events[0]), c.want) {
			t.Errorf("%s: CheckEvent says %v", c.name, s.CheckEvent(c.block.Events[0]))
		}
	}
}

// The slow, obvious twin of the root adds up every record from scratch.
func TestRoot_EqualsTheSumOfAllRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := genesis(rapid.IntRange(1, 12).Draw(t, "nodes"), "core")
		s := start(t, g)
		for height := range rapid.Int32Range(0, 8).Draw(t, "blocks") {
			i := rapid.IntRange(0, len(g.Nodes)-1).Draw(t, "node")
			n, _ := s.Node(g.Nodes[i].ProTxHash)
			next, _, err := s.Apply(block(s, height+1, event(g, i, n.Sequence+1)))
			if err != nil {
				t.Fatal(err)
			}
			s = next
		}
		var nodes []Node
		for _, n := range s.Nodes() {
			nodes = append(nodes, n)
		}
		var twin accumulator
		for _, n := range rapid.Permutation(nodes).Draw(t, "order") {
			twin.add(n.Bytes())
		}
		if twin.root() != s.Root() {
			t.Fatalf("root %s, from scratch %s", s.Root(), twin.root())
		}
		loaded, err := Load(g, slices.Values(rapid.Permutation(nodes).Draw(t, "stored")))
		if err != nil || loaded.Root() != s.Root() {
			t.Fatalf("root after loading %s, %v; want %s", loaded.Root(), err, s.Root())
		}
	})
}

// Source: DIP-0031, Validation, step 5, and spec/dash.md 3.3. Type 106 keeps
// connections to its 4 newest quorums.
func TestPlatformQuorum(t *testing.T) {
	withQuorums := func(profile string) State {
		s := start(t, genesis(2, profile))
		for mined := range int32(6) {
			s.quorums = append(s.quorums, Quorum{Type: 106, Hash: wire.Hash{byte(mined + 1)}, MinedHeight: 100 + 10*mined})
		}
		return s
	}
	for _, c := range []struct {
		quorum      byte // mined at 90 + 10 * quorum
		signed, tip int32
		spec, core  bool
	}{
		{1, 100, 200, true, true},
		{1, 99, 200, false, true},   // did not exist yet
		{1, 139, 200, true, true},   // the oldest of 4
		{1, 140, 200, false, true},  // a fifth has been mined
		{6, 150, 200, true, true},   // the newest
		{6, 149, 200, false, true},  // a block too early
		{2, 170, 200, false, true},  // two are newer than it by more than 4
		{3, 170, 200, true, true},   // the oldest of 4 at the end
		{6, 170, 149, false, false}, // not mined on our branch yet
		{9, 150, 200, false, false}, // no such quorum
		{1, -5, 200, false, true},
	} {
		for profile, want := range map[string]bool{"spec": c.spec, "core": c.core} {
			q, ok := withQuorums(profile).PlatformQuorum(wire.Hash{c.quorum}, c.signed, c.tip)
			if ok != want || ok && q.Hash != (wire.Hash{c.quorum}) {
				t.Errorf("%s: quorum %d signed at %d, tip %d: %t, want %t", profile, c.quorum, c.signed, c.tip, ok, want)
			}
		}
	}
	if n := len(withQuorums("spec").Quorums(120)); n != 3 {
		t.Errorf("%d quorums at 120, want 3", n)
	}
}

func TestNode_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Node{
			Evo: rapid.Bool().Draw(t, "evo"), Sequence: rapid.Uint64().Draw(t, "sequence"),
			Addresses:        rapid.SliceOfN(rapid.StringMatching(`[!-~]{1,40}`), 0, wire.MaxAddresses).Draw(t, "addresses"),
			RegisteredHeight: rapid.Int32().Draw(t, "registered"), PoSeBanHeight: rapid.Int32().Draw(t, "banned"), RevivedHeight: NoHeight,
		}
		got, err := ParseNode(n.Bytes())
		if err != nil || !bytes.Equal(got.Bytes(), n.Bytes()) || got.PoSeBanHeight != n.PoSeBanHeight || len(got.Addresses) != len(n.Addresses) {
			t.Fatalf("%+v comes back as %+v, %v", n, got, err)
		}
		for i := range n.Bytes() {
			if _, err := ParseNode(n.Bytes()[:i]); !errors.Is(err, ErrRecord) {
				t.Fatalf("%d bytes: %v, want ErrRecord", i, err)
			}
		}
	})
}

func FuzzParseNode(f *testing.F) {
	f.Add(Node{Addresses: []string{"a", "bc"}}.Bytes())
	f.Add(Node{Addresses: []string{strings.Repeat("x", 255)}}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNode(b); err == nil && !bytes.Equal(n.Bytes(), b) {
			t.Errorf("%x decodes and encodes to %x", b, n.Bytes())
		}
	})
}
