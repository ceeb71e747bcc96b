package state

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// busy is a network with a block that touches records of every kind, among
// them one removed, one made and some moved in the array.
func busy(t testing.TB) (before, after State, diff Diff) {
	g := staked("core")
	extra := funded(12, "core").Nodes[1:]
	for i := range extra {
		extra[i].Stakes = g.Nodes[0].Stakes
		extra[i].Stakes = append(extra[i].Stakes[:0:0], extra[i].Stakes...)
		extra[i].Stakes[0].Staker = carol
	}
	g.Nodes = append(g.Nodes, extra...)
	before, err := Genesis(g)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := before.Node(g.Nodes[4].ProTxHash)
	n.CreditBase = 0
	before.replaceNode(n.ProTxHash, &n) // the accumulator does not know: roots stay relative
	b := block(before, 40, register(g, bob, 1, 400, 1), register(g, bob, 2, 1000, 2), wire.Revoke{EventHead: head(g, 1), ProTxHash: g.Nodes[2].ProTxHash})
	b.Certificates = []wire.Certificate{answer(g, 3, 20, wire.FailsUptime), answer(g, 4, 20, wire.FailsUptime), answer(g, 7, 20, wire.TwoAddresses)}
	after, diff, err = before.Apply(b)
	if err != nil {
		t.Fatal(err)
	}
	return before, after, diff
}

func TestDiff_Records(t *testing.T) {
	before, after, diff := busy(t)
	if len(diff.Before) != len(diff.After) || len(diff.Before) < 8 {
		t.Fatalf("%d records before, %d after", len(diff.Before), len(diff.After))
	}
	made, removed := 0, 0
	kinds := map[Kind]bool{}
	for i, b := range diff.Before {
		a := diff.After[i]
		key := wire.Hash(b.Key)
		if a.Kind != b.Kind || !bytes.Equal(a.Key, b.Key) || bytes.Equal(a.Value, b.Value) {
			t.Errorf("record %d: %+v, %+v", i, b, a)
		}
		if !bytes.Equal(before.value(b.Kind, key), b.Value) || !bytes.Equal(after.value(b.Kind, key), a.Value) {
			t.Errorf("record %d is not that of the states", i)
		}
		if i > 0 && (diff.Before[i-1].Kind > b.Kind || diff.Before[i-1].Kind == b.Kind && bytes.Compare(diff.Before[i-1].Key, b.Key) >= 0) {
			t.Errorf("record %d does not ascend", i)
		}
		if b.Value == nil {
			made++
		}
		if a.Value == nil {
			removed++
		}
		kinds[b.Kind] = true
	}
	if made != 3 || removed != 1 || len(kinds) != 3 {
		t.Errorf("%d made, %d removed, of %d kinds; want 3, 1, 3", made, removed, len(kinds))
	}
}

// Only what a block made is undone, and only to what it was made from.
func TestUndo_RefusesWhatDoesNotFit(t *testing.T) {
	before, after, diff := busy(t)
	if back, err := after.Undo(diff); err != nil || !reflect.DeepEqual(viewOf(back), viewOf(before)) {
		t.Fatalf("undone: %v", err)
	}
	check := func(name string, s State, d Diff) {
		t.Helper()
		if got, err := s.Undo(d); !errors.Is(err, ErrUndo) || !reflect.DeepEqual(viewOf(got), viewOf(s)) {
			t.Errorf("%s: %v, want ErrUndo and the same state", name, err)
		}
	}
	check("before the block", before, diff)
	later, next := applied(t, after, 41)
	check("a block later", later, diff)
	check("the wrong block", after, next)
	other := diff
	other.Height++
	check("another height", after, other)
	other = diff
	other.Before = diff.Before[1:]
	check("a record is missing", after, other)
	for i := range diff.Before {
		other.Before = slices.Clone(diff.Before)
		other.Before[i].Value = append([]byte{1}, diff.Before[i].Value...)
		check("a damaged record", after, other)
		other.Before[i] = diff.Before[i]
		other.Before[i].Kind = 9
		check("another kind", after, other)
	}
	other.Before = []Record{{Kind: KindNode, Key: []byte{1}}}
	check("a short key", after, other)
}

func TestParseUndo_TakesExactlyOne(t *testing.T) {
	_, _, diff := busy(t)
	b := diff.UndoBytes()
	got, err := ParseUndo(b)
	if err != nil || !bytes.Equal(got.UndoBytes(), b) || !reflect.DeepEqual(got.Before, diff.Before) || got.Height != 40 {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range len(b) {
		if _, err := ParseUndo(b[:n]); !errors.Is(err, ErrRecord) {
			t.Fatalf("%d of %d bytes: %v, want ErrRecord", n, len(b), err)
		}
	}
	if _, err := ParseUndo(append(bytes.Clone(b), 0)); !errors.Is(err, ErrRecord) {
		t.Errorf("one byte too many: %v, want ErrRecord", err)
	}
	slices.Reverse(diff.Before)
	if _, err := ParseUndo(diff.UndoBytes()); !errors.Is(err, ErrRecord) {
		t.Errorf("descending: %v, want ErrRecord", err)
	}
	// A count of four thousand million must not make anybody wait or allocate.
	huge := append(make([]byte, 36), 0xff, 0xff, 0xff, 0xff)
	if allocated := testing.AllocsPerRun(10, func() { ParseUndo(huge) }); allocated > 20 {
		t.Errorf("%f allocations for a count without records", allocated)
	}
	if clear(b); !reflect.DeepEqual(got.Before[0].Value, diff.Before[len(diff.Before)-1].Value) {
		t.Error("the records change with their input")
	}
}

// Load takes a set of records only if it is a state.
func TestLoad_Refuses(t *testing.T) {
	g := funded(6, "spec")
	s := edited(t, g, map[int]func(*Node){4: down(60, 0, 5)})
	good := slices.Collect(s.Records())
	if loaded, err := Load(g, slices.Values(good)); err != nil || !reflect.DeepEqual(viewOf(loaded), viewOf(s)) {
		t.Fatalf("loaded: %v", err)
	}
	with := func(i int, change func(*Node)) []Record {
		list := slices.Clone(good)
		n, _ := ParseNode(list[i].Value)
		change(&n)
		list[i].Value = n.Bytes()
		return list
	}
	for name, list := range map[string][]Record{
		"a record twice":         append(slices.Clone(good), good[0]),
		"a hole in the array":    good[1:],
		"unknown kind":           append(slices.Clone(good), Record{9, make([]byte, 32), []byte{1}}),
		"short key":              {{KindNode, []byte{1}, good[0].Value}},
		"no value":               {{KindNode, good[0].Key, nil}},
		"key of another":         {{KindNode, good[1].Key, good[0].Value}},
		"broken value":           {{KindNode, good[0].Key, good[0].Value[1:]}},
		"broken staker":          {{KindStaker, make([]byte, 32), []byte{1}}},
		"broken tombstone":       {{KindTombstone, make([]byte, 32), []byte{1}}},
		"one position twice":     with(0, func(n *Node) { n.Position = 1 }),
		"position beyond":        with(0, func(n *Node) { n.Position = 1 << 30 }),
		"negative position":      with(0, func(n *Node) { n.Position = -7 }),
		"rest among the testers": with(0, func(n *Node) { n.DecommissionedHeight = 7 }),
		"awaiting in the array":  with(0, func(n *Node) { n.ActiveSince = NoHeight }),
		"banned among testers":   with(0, func(n *Node) { n.PoSe = n.PoSe.Ban(3) }),
		"one service key twice":  with(0, func(n *Node) { n.ServiceKey = g.Nodes[1].ServiceKey }),
		"one operator key twice": with(0, func(n *Node) { n.OperatorKey = g.Nodes[1].OperatorKey }),
	} {
		if _, err := Load(g, slices.Values(list)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v, want ErrRecord", name, err)
		}
	}
}

func TestGenesis_Refuses(t *testing.T) {
	g := funded(3, "spec")
	g.Nodes[1].OperatorKey = g.Nodes[0].OperatorKey
	if _, err := Genesis(g); !errors.Is(err, ErrKey) {
		t.Errorf("one operator key twice: %v, want ErrKey", err)
	}
	g = staked("spec")
	g.Nodes[0].Stakes[0].Amount = 3001
	if _, err := Genesis(g); !errors.Is(err, ErrStake) {
		t.Errorf("more than the grant: %v, want ErrStake", err)
	}
}

// A record of one kind must not pass for one of another.
func TestRoot_CoversTheKind(t *testing.T) {
	var a, b accumulator
	a.add(KindNode, []byte{1})
	b.add(KindStaker, []byte{1})
	if a.root() == b.root() {
		t.Error("two kinds, one root")
	}
}

func fuzzRecord[V interface{ Bytes() []byte }](f *testing.F, parse func([]byte) (V, error), seeds ...V) {
	for _, seed := range seeds {
		f.Add(seed.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err == nil && !bytes.Equal(v.Bytes(), b) || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%x decodes and encodes to %x, %v", b, v.Bytes(), err)
		}
	})
}

func FuzzParseNode(f *testing.F) {
	fuzzRecord(f, ParseNode, Node{}, Node{Addresses: []string{"a", "", string(make([]byte, 255))}, Platform: "tcp://a:1", Stakes: []Pledge{{alice, 1}, {bob, 2}}, Cause: wire.FailsUptime})
}

func FuzzParseStaker(f *testing.F) {
	fuzzRecord(f, ParseStaker, Staker{}, Staker{Key: alice, Locks: []Lock{{wire.Hash{1}, 2, 3}}})
}

func FuzzParseTombstone(f *testing.F) {
	fuzzRecord(f, ParseTombstone, Tombstone{}, Tombstone{Deregistered: true, Cause: wire.FailsCheckpoint})
}

func FuzzParseUndo(f *testing.F) {
	_, after, diff := busy(f)
	f.Add(diff.UndoBytes())
	f.Add(Diff{}.UndoBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseUndo(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Errorf("%x: %v, want ErrRecord", b, err)
			}
			return
		}
		if !bytes.Equal(d.UndoBytes(), b) {
			t.Errorf("%x decodes and encodes to %x", b, d.UndoBytes())
		}
		if _, err := after.Undo(d); err == nil && !bytes.Equal(b, diff.UndoBytes()) && len(d.Before) > 0 {
			t.Errorf("%x undoes a block it was not made from", b)
		}
	})
}
