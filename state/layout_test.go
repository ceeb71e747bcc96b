package state

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

func zeros(n int) string { return strings.Repeat("00", n) }

var vectorQuorum = Quorum{
	Commitment: wire.FinalCommitment{
		Version: 3, Type: 106, QuorumHash: wire.Hash{9}, Signers: wire.Bitset{true, false}, ValidMembers: wire.Bitset{false, false},
		PublicKey: wire.OperatorKey{3}, VectorHash: wire.Hash{4}, QuorumSignature: wire.Signature{5}, MembersSignature: wire.Signature{6},
	},
	Base: 5, Mined: 9, Members: []wire.Hash{{2}, {1}},
}

// The root covers these bytes, so a release must not change them.
func TestRecords_Layout(t *testing.T) {
	n := Node{
		ProTxHash: wire.Hash{0: 0xaa, 31: 0xbb}, Evo: true, OperatorKey: wire.OperatorKey{0: 0xcc}, ServiceKey: wire.ServiceKey{0: 0xdd},
		ConfirmedHash: wire.Hash{0: 0xde}, Sequence: 1, Addresses: []string{"a", "bc"}, Platform: "def", Stakes: []Pledge{{wire.StakerKey{0: 0xee}, 258}}, PoSe: PoSe{13, 14, NoHeight}, RegisteredHeight: 2, RevivedHeight: 3, UpdatedHeight: 12,
		ActiveSince: 4, DecommissionedHeight: 5, LastDecommission: 6, CreditBase: -2, PenaltyHeight: 8, RewardHeight: 9, ExitHeight: 10, Position: 11,
		RewardIndex: math.MaxUint32, Decommissions: 258, Cause: wire.FailsCheckpoint,
	}
	for name, c := range map[string]struct{ got, want string }{
		"node": {hex.EncodeToString(n.Bytes()), "aa" + zeros(30) + "bb" + "01" + "00" + "cc" + zeros(47) + "dd" + zeros(31) + "de" + zeros(31) + "0000000000000001" +
			"0000000d" + "0000000e" + "ffffffff" + "00000002" + "00000003" + "0000000c" + "00000004" + "00000005" + "00000006" + "fffffffe" + "00000008" + "00000009" + "0000000a" + "0000000b" +
			"ffffffff" + "0102" + "02" + "02" + "0161" + "026263" + "03646566" + "01" + "ee" + zeros(31) + "0000000000000102"},
		"staker": {hex.EncodeToString(Staker{wire.StakerKey{0: 0xaa}, 1, 2, 3, 4, []Lock{{wire.Hash{0: 0xbb}, 5, 6}}}.Bytes()),
			"aa" + zeros(31) + "0000000000000001" + "0000000000000002" + "0000000000000003" + "0004" + "01" + "bb" + zeros(31) + "0000000000000005" + "00000006"},
		"tombstone": {hex.EncodeToString(Tombstone{wire.Hash{0: 0xaa}, false, true, wire.ServiceKey{0: 0xbb}, 1, 2, 3, wire.FailsUptime}.Bytes()),
			"aa" + zeros(31) + "00" + "01" + "bb" + zeros(31) + "00000001" + "00000002" + "00000003" + "01"},
		"quorum": {hex.EncodeToString(vectorQuorum.Bytes()), "eb4eb848786b28db74d4baab7bce0c7c89e537e236d4c7000d362a2c0f1606e8" + "00000005" + "00000009" + "0002" + "02" + zeros(31) + "01" + zeros(31) +
			"03006a" + "09" + zeros(31) + "0201" + "0200" + "03" + zeros(47) + "04" + zeros(31) + "05" + zeros(95) + "06" + zeros(95)},
		"flag": {hex.EncodeToString(BanFlag{BannedHeight: 258, ClearedHeight: NoHeight}.Bytes()), "00000102" + "ffffffff" + zeros(wire.PlatformBanSize)},
	} {
		if c.got != c.want {
			t.Errorf("the %s is\n%s, want\n%s", name, c.got, c.want)
		}
	}
}

// Computed with Python's hashlib from the description of the accumulator.
func TestRoot_Vectors(t *testing.T) {
	g := chain.Genesis{Network: "devnet", Profile: "spec"}
	record := func(i byte, evo bool) chain.GenesisNode {
		return chain.GenesisNode{ProTxHash: wire.Hash{i}, Evo: evo, OperatorKey: wire.OperatorKey{i + 1}, ServiceKey: wire.ServiceKey{i + 2}}
	}
	check := func(name string, s State, want string) {
		t.Helper()
		if got := s.Root().String(); got != want {
			t.Errorf("root of %s is %s, want %s", name, got, want)
		}
	}
	check("no nodes", start(t, g), "ad83b1363c2f7942cdffd32a5720bd8355a5844d840931eea5c81a99a90aa0e5")
	g.Nodes = []chain.GenesisNode{record(1, true), record(2, false)}
	g.Nodes[0].Addresses, g.Nodes[0].Platform = []string{"a"}, "tcp://a:1"
	s := start(t, g)
	check("two nodes", s, "b7cb6f6da687d54aae52af3c61aaab22f4dc42f8f82c819d98e8aaca1a67d79a")
	e := wire.UpdateService{EventHead: head(g, 1), ProTxHash: wire.Hash{2}, Addresses: []string{"bc"}}
	revived, _, err := s.Apply(block(s, 7, e))
	if err != nil {
		t.Fatal(err)
	}
	check("two nodes, one revived at 7", revived, "1ae593fdd24a6663f6e9afffcc1a8b0b63b70ba44be5a201bf9da5d8f3c542e8")
	b := block(revived, 9)
	b.Commitments = []wire.FinalCommitment{vectorQuorum.Commitment}
	punished, _, err := revived.Apply(b, Session{vectorQuorum.Base, vectorQuorum.Members})
	if err != nil {
		t.Fatal(err)
	}
	check("two nodes, both punished at 9", punished, "6cb30a8752d89ee6cab28990c1c0b033b75b04b7a323d02018160b3860b5bcca")
}

// The order in which a genesis file lists its nodes makes another network, and
// so other confirmed hashes, but no other places.
func TestGenesis_OrderOfNodes(t *testing.T) {
	g := genesis(9, "spec")
	one := start(t, g)
	slices.Reverse(g.Nodes)
	other := start(t, g)
	for proTx, n := range one.Nodes() {
		m, ok := other.Node(proTx)
		m.ConfirmedHash = n.ConfirmedHash
		if !ok || !reflect.DeepEqual(m, n) {
			t.Errorf("%+v becomes %+v", n, m)
		}
	}
}

func TestNode_RoundTripOfEveryField(t *testing.T) {
	fill := func(t *rapid.T, b []byte) { copy(b, rapid.SliceOfN(rapid.Byte(), len(b), len(b)).Draw(t, "bytes")) }
	rapid.Check(t, func(t *rapid.T) {
		height := rapid.Int32()
		want := Node{
			Evo:           rapid.Bool().Draw(t, "evo"),
			Revoked:       rapid.Bool().Draw(t, "revoked"),
			Sequence:      rapid.Uint64().Draw(t, "sequence"),
			RewardIndex:   rapid.Uint32().Draw(t, "index"),
			Decommissions: rapid.Uint16().Draw(t, "decommissions"),
			Cause:         wire.Answer(rapid.IntRange(0, 4).Draw(t, "cause")),
		}
		fields := reflect.ValueOf(&want).Elem()
		for _, f := range reflect.VisibleFields(fields.Type()) { // those of PoSe too
			if f.Type.Kind() == reflect.Int32 {
				fields.FieldByIndex(f.Index).SetInt(int64(height.Draw(t, f.Name)))
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "stakes") {
			want.Stakes = append(want.Stakes, Pledge{wire.StakerKey{rapid.Byte().Draw(t, "staker")}, rapid.Uint64().Draw(t, "amount")})
		}
		fill(t, want.ProTxHash[:])
		fill(t, want.OperatorKey[:])
		fill(t, want.ServiceKey[:])
		fill(t, want.ConfirmedHash[:])
		want.Platform = rapid.StringN(0, -1, 255).Draw(t, "platform")
		for range rapid.IntRange(0, wire.MaxAddresses).Draw(t, "addresses") {
			want.Addresses = append(want.Addresses, rapid.StringN(0, -1, 255).Draw(t, "address"))
		}
		if got, err := ParseNode(want.Bytes()); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v comes back as %+v, %v", want, got, err)
		}
	})
}

func TestRecords_TakeExactlyOne(t *testing.T) {
	node := Node{Evo: true, Addresses: []string{"/ip4/127.0.0.1/tcp/1", "x"}, Platform: "tcp://x:1", Stakes: []Pledge{{wire.StakerKey{1}, 2}}}
	staker := Staker{Locks: []Lock{{wire.Hash{1}, 2, 3}, {wire.Hash{2}, 2, 3}}}
	for name, c := range map[string]struct {
		whole []byte
		parse func([]byte) error
	}{
		"node":      {node.Bytes(), func(b []byte) error { _, err := ParseNode(b); return err }},
		"staker":    {staker.Bytes(), func(b []byte) error { _, err := ParseStaker(b); return err }},
		"tombstone": {Tombstone{}.Bytes(), func(b []byte) error { _, err := ParseTombstone(b); return err }},
		"quorum":    {sampleQuorum().Bytes(), func(b []byte) error { _, err := ParseQuorum(b); return err }},
		"flag":      {NoBanFlag().Bytes(), func(b []byte) error { _, err := ParseBanFlag(b); return err }},
	} {
		if err := c.parse(c.whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range len(c.whole) {
			if err := c.parse(c.whole[:n]); !errors.Is(err, ErrRecord) {
				t.Errorf("%s: %d of %d bytes: error %v, want ErrRecord", name, n, len(c.whole), err)
			}
		}
		if err := c.parse(append(bytes.Clone(c.whole), 0)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: one byte too many: error %v, want ErrRecord", name, err)
		}
	}
	for _, flag := range []byte{2, 0xff} {
		for _, at := range []int{32, 33} {
			b := node.Bytes()
			b[at] = flag
			if _, err := ParseNode(b); !errors.Is(err, ErrRecord) {
				t.Errorf("node with byte %d in place %d: error %v, want ErrRecord", flag, at, err)
			}
			b = Tombstone{}.Bytes()
			b[at] = flag
			if _, err := ParseTombstone(b); !errors.Is(err, ErrRecord) {
				t.Errorf("tombstone with byte %d in place %d: error %v, want ErrRecord", flag, at, err)
			}
		}
	}
	b := node.Bytes()
	got, _ := ParseNode(b)
	if clear(b); !reflect.DeepEqual(got, node) {
		t.Errorf("the node changes with its input: %+v", got)
	}
}

// Every version of the state stays what it was, whatever is built on it, and
// an error leaves nothing behind.
func TestState_EveryVersionStaysValid(t *testing.T) {
	type version struct {
		s     State
		root  wire.Hash
		nodes map[wire.Hash]Node
	}
	rapid.Check(t, func(t *rapid.T) {
		g := genesis(rapid.IntRange(1, 8).Draw(t, "nodes"), "spec")
		s := start(t, g)
		history := []version{{s, s.Root(), maps.Collect(s.Nodes())}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			from := history[rapid.IntRange(0, len(history)-1).Draw(t, "branch")].s
			var events []wire.Event
			last := make(map[int]uint64)
			for range rapid.IntRange(0, 3).Draw(t, "events") {
				i := rapid.IntRange(0, len(g.Nodes)-1).Draw(t, "node")
				if _, ok := last[i]; !ok {
					n, _ := from.Node(g.Nodes[i].ProTxHash)
					last[i] = n.Sequence
				}
				last[i]++
				events = append(events, event(g, i, last[i]))
			}
			b := block(from, rapid.Int32Range(1, 100).Draw(t, "height"), events...)
			wrong := rapid.IntRange(0, 3).Draw(t, "wrong") == 0 && len(events) > 0
			if wrong {
				last := events[len(events)-1].(wire.UpdateService)
				last.Sequence += 2
				b.Events[len(events)-1] = last
			}
			next, diff, err := from.Apply(b)
			if wrong != (err != nil) || !wrong && len(diff.Changes) != len(events) {
				t.Fatalf("%d events, one wrong %t: %d changes, %v", len(events), wrong, len(diff.Changes), err)
			}
			history = append(history, version{next, next.Root(), maps.Collect(next.Nodes())})
		}
		for i, v := range history {
			if got := maps.Collect(v.s.Nodes()); v.s.Root() != v.root || !reflect.DeepEqual(got, v.nodes) {
				t.Fatalf("version %d has root %s and nodes %+v, it had %s and %+v", i, v.s.Root(), got, v.root, v.nodes)
			}
		}
	})
}

// A PoSe ban is lifted by the first event only, and remembers at which height.
func TestApply_RevivesOnce(t *testing.T) {
	g := genesis(2, "spec")
	s := start(t, g)
	for i, want := range []struct {
		height  int32
		revived bool
		at      int32
	}{{4, true, 4}, {9, false, 4}} {
		next, diff, err := s.Apply(block(s, want.height, event(g, 1, uint64(i+1))))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := next.Node(g.Nodes[1].ProTxHash)
		if c := diff.Changes[0]; c.Revived != want.revived || n.PoSeBanned() || n.RevivedHeight != want.at || !reflect.DeepEqual(c.Node, n) {
			t.Errorf("event %d: change %+v, node %+v; want revived %t, at %d", i, c, n, want.revived, want.at)
		}
		s = next
	}
}

func TestCheckEvent_SequenceDoesNotWrap(t *testing.T) {
	g := genesis(1, "spec")
	s := start(t, g)
	n, _ := s.Node(g.Nodes[0].ProTxHash)
	n.Sequence = math.MaxUint64 - 1
	s.replaceNode(n.ProTxHash, &n)
	s, _, err := s.Apply(block(s, 1, event(g, 0, math.MaxUint64)))
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []uint64{0, 1, 2, math.MaxUint64} {
		if err := s.CheckEvent(2, event(g, 0, sequence)); !errors.Is(err, ErrSequence) {
			t.Errorf("after the last sequence %d: %v, want ErrSequence", sequence, err)
		}
	}
}

func TestGenesis_UnknownNames(t *testing.T) {
	for _, g := range []chain.Genesis{{Network: "moon", Profile: "spec"}, {Network: "devnet", Profile: "moon"}} {
		if _, err := Genesis(g); err == nil || !strings.Contains(err.Error(), "moon") {
			t.Errorf("%+v: error %v does not name what is unknown", g, err)
		}
		if _, err := Load(g, slices.Values([]Record{})); err == nil || !strings.Contains(err.Error(), "moon") {
			t.Errorf("loading %+v: error %v does not name what is unknown", g, err)
		}
	}
}
