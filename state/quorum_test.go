package state

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

const platform wire.LLMQType = 106

// stranger is registered nowhere: a member that has left.
var stranger = wire.Hash{0xfa, 31: 0xfa}

// formed is a real commitment of a session at base, and the session: a
// stranger is its valid member, failed are those it found not valid. The
// commitment has room for one member more than there were.
func formed(t wire.LLMQType, base int32, failed ...wire.Hash) (wire.FinalCommitment, Session) {
	valid := make(wire.Bitset, len(failed)+2)
	valid[0] = true
	c := wire.FinalCommitment{
		Version: wire.CommitmentBasic, Type: t, QuorumHash: wire.DoubleHash(fmt.Append(nil, base)), Signers: slices.Clone(valid), ValidMembers: valid, PublicKey: wire.OperatorKey{byte(t)},
	}
	return c, Session{base, append([]wire.Hash{stranger}, failed...)}
}

// mine puts a real commitment into b for each list of nodes, which it finds
// not valid; all are of one base block and of types of their own.
func mine(b wire.Block, failed ...[]wire.Hash) (wire.Block, []Session) {
	var sessions []Session
	for i, list := range failed {
		c, session := formed(platform-wire.LLMQType(i), b.Header.Height-11, list...)
		b.Commitments, sessions = append(b.Commitments, c), append(sessions, session)
	}
	return b, sessions
}

// withQuorums is a state in which commitments of those bases were mined at
// those heights, in ascending order.
func withQuorums(t interface{ Fatal(...any) }, profile string, heights ...int32) State {
	s := start(t, genesis(2, profile))
	for _, h := range heights {
		b, sessions := mine(block(s, h), nil)
		next, _, err := s.Apply(b, sessions...)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

// nameOf is the hash of the quorum that withQuorums mined at a height.
func nameOf(mined int32) wire.Hash { return wire.DoubleHash(fmt.Append(nil, mined-11)) }

// A mined commitment makes a quorum, of which everything can be asked later.
func TestApply_CommitmentMakesAQuorum(t *testing.T) {
	g := genesis(3, "spec")
	s := start(t, g)
	c, session := formed(platform, 24, g.Nodes[0].ProTxHash, g.Nodes[1].ProTxHash)
	b := block(s, 35)
	b.Commitments = []wire.FinalCommitment{c}
	next, diff, err := s.Apply(b, session)
	if err != nil {
		t.Fatal(err)
	}
	q, ok := next.Quorum(platform, c.QuorumHash)
	if want := (Quorum{c, 24, 35, session.Members}); !ok || !reflect.DeepEqual(q, want) {
		t.Errorf("the quorum is %+v, %t; want %+v", q, ok, want)
	}
	if q.Type() != platform || q.Hash() != c.QuorumHash || q.Key() != c.PublicKey {
		t.Errorf("it is of type %d, called %s, with key %s", q.Type(), q.Hash(), q.Key())
	}
	for i, member := range session.Members {
		if at, ok := q.Index(member); !ok || at != i {
			t.Errorf("member %d has index %d, %t", i, at, ok)
		}
	}
	if _, ok := q.Index(g.Nodes[2].ProTxHash); ok {
		t.Error("who is no member has an index")
	}
	if _, ok := next.Quorum(100, c.QuorumHash); ok {
		t.Error("another type has a quorum of that hash")
	}
	if _, ok := s.Quorum(platform, c.QuorumHash); ok {
		t.Error("the state before has the quorum")
	}
	key := QuorumKey(platform, c.QuorumHash)
	if !slices.ContainsFunc(diff.After, func(r Record) bool {
		return r.Kind == KindQuorum && wire.Hash(r.Key) == key && bytes.Equal(r.Value, q.Bytes())
	}) {
		t.Error("the diff lacks the record")
	}
	if back, err := next.Undo(diff); err != nil || !reflect.DeepEqual(viewOf(back), viewOf(s)) {
		t.Errorf("undone: %v", err)
	}
}

// A session that resulted in nothing makes no quorum and punishes nobody.
func TestApply_NullCommitmentDoesNothing(t *testing.T) {
	g := genesis(3, "spec")
	s := start(t, g)
	with := block(s, 35)
	with.Commitments = []wire.FinalCommitment{wire.NullCommitment(wire.CommitmentBasic, platform, wire.Hash{1}, 0, 3)}
	got, diff, err := s.Apply(with, Session{24, []wire.Hash{g.Nodes[0].ProTxHash, g.Nodes[1].ProTxHash}})
	if err != nil || len(diff.Punishments) > 0 {
		t.Fatalf("%+v, %v", diff.Punishments, err)
	}
	want, _ := applied(t, s, 35)
	if !reflect.DeepEqual(viewOf(got), viewOf(want)) {
		t.Error("the state is not that of a block without commitments")
	}
}

func TestApply_RefusesCommitments(t *testing.T) {
	g := genesis(3, "spec")
	first, early := formed(platform, 24, g.Nodes[0].ProTxHash)
	b := block(start(t, g), 35)
	b.Commitments = []wire.FinalCommitment{first}
	s, _, err := start(t, g).Apply(b, early)
	if err != nil {
		t.Fatal(err)
	}
	second, later := formed(platform, 48)
	null := wire.NullCommitment(wire.CommitmentBasic, 100, wire.Hash{1}, 0, 3)
	for _, c := range []struct {
		name        string
		commitments []wire.FinalCommitment
		sessions    []Session
		taken       bool
	}{
		{"the next", []wire.FinalCommitment{second}, []Session{later}, true},
		{"the next and a null one", []wire.FinalCommitment{null, second}, []Session{{}, later}, true},
		{"without its session", []wire.FinalCommitment{second}, nil, false},
		{"a null one without its session", []wire.FinalCommitment{null, second}, []Session{later}, false},
		{"a session without commitment", nil, []Session{later}, false},
		{"the one mined before", []wire.FinalCommitment{first}, []Session{early}, false},
		{"one twice", []wire.FinalCommitment{second, second}, []Session{later, later}, false},
	} {
		b := block(s, 59)
		b.Commitments = c.commitments
		got, diff, err := s.Apply(b, c.sessions...)
		switch {
		case c.taken && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.taken && (!errors.Is(err, ErrCommitment) || got.Root() != s.Root() || !reflect.DeepEqual(diff, Diff{})):
			t.Errorf("%s: %v, want ErrCommitment and the old state", c.name, err)
		}
	}
}

func TestState_QuorumTypes(t *testing.T) {
	g := genesis(2, "spec")
	g.LLMQs = []chain.GenesisLLMQ{{Type: 100}, {Type: 106, Size: 5, Threshold: 3}}
	s := start(t, g)
	if list := s.LLMQs(); len(list) != 2 || list[0].Type != 100 || list[0].Size != 3 || list[1].Size != 5 || s.PlatformType() != platform {
		t.Errorf("types %+v, platform %d", list, s.PlatformType())
	}
	if q, ok := s.LLMQ(106); !ok || q.Size != 5 || q.Threshold != 3 || q.BadVotes != 3 || q.MinSize != 3 {
		t.Errorf("type 106 is %+v, %t", q, ok)
	}
	if _, ok := s.LLMQ(1); ok {
		t.Error("a type that does not run is known")
	}
	g.LLMQs[0].Type = 99
	if _, err := Genesis(g); err == nil {
		t.Error("an unknown type is taken")
	}
}

// Newest first, each type for itself, from any set of heights.
func TestQuorums_NewestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := start(t, genesis(2, "spec"))
		want := make(map[wire.LLMQType][]int32)
		heights := rapid.SliceOfNDistinct(rapid.Int32Min(1), 0, 12, rapid.ID).Draw(t, "heights")
		for _, h := range heights { // in any order: the list is by height, not by when it was told
			types := rapid.IntRange(0, 3).Draw(t, "types")
			b, sessions := mine(block(s, h), make([][]wire.Hash, types)...)
			next, _, err := s.Apply(b, sessions...)
			if err != nil {
				t.Fatal(err)
			}
			s = next
			for i := range types {
				want[platform-wire.LLMQType(i)] = append(want[platform-wire.LLMQType(i)], h)
			}
		}
		for i := range wire.LLMQType(4) {
			var got []int32
			for q := range s.Quorums(platform - i) {
				got = append(got, q.Mined)
			}
			list := want[platform-i]
			slices.SortFunc(list, func(a, b int32) int { return int(int64(b) - int64(a)) })
			if !slices.Equal(got, list) {
				t.Fatalf("type %d: mined at %v, want %v", platform-i, got, list)
			}
		}
		for range s.Quorums(platform) {
			break // may stop at any time
		}
	})
}

// Source: DIP-0031, Validation, step 5, and spec/dash.md 3.3. Type 106 keeps
// connections to its 4 newest quorums.
func TestPlatformQuorum(t *testing.T) {
	states := make(map[string]State)
	for _, profile := range []string{"spec", "core"} {
		states[profile] = withQuorums(t, profile, 100, 110, 120, 130, 140, 150)
	}
	for _, c := range []struct {
		mined, signed int32
		spec, core    bool
	}{
		{100, 100, true, true},
		{100, 99, false, true}, // did not exist yet
		{100, math.MinInt32, false, true},
		{100, 139, true, true},  // the oldest of 4
		{100, 140, false, true}, // a fifth has been mined
		{150, 150, true, true},  // the newest
		{150, 149, false, true}, // a block too early
		{110, 170, false, true}, // four are newer
		{120, 170, true, true},  // the oldest of 4 at the end
		{120, math.MaxInt32, true, true},
		{160, 170, false, false}, // no such quorum
	} {
		for profile, want := range map[string]bool{"spec": c.spec, "core": c.core} {
			q, ok := states[profile].PlatformQuorum(nameOf(c.mined), c.signed)
			if ok != want || ok && q.Mined != c.mined {
				t.Errorf("%s: quorum mined at %d, signed at %d: %+v, %t, want %t", profile, c.mined, c.signed, q, ok, want)
			}
		}
	}
	for _, profile := range []string{"spec", "core"} {
		if _, ok := start(t, genesis(1, profile)).PlatformQuorum(wire.Hash{}, 0); ok {
			t.Errorf("%s: a network without quorums has one", profile)
		}
	}
}

// Quorums of other types neither sign bans nor push platform quorums out.
func TestPlatformQuorum_OtherTypes(t *testing.T) {
	s := withQuorums(t, "spec", 100)
	for i := range int32(9) {
		c, session := formed(100, 200+i)
		b := block(s, 211+i)
		b.Commitments = []wire.FinalCommitment{c}
		next, _, err := s.Apply(b, session)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	if _, ok := s.PlatformQuorum(nameOf(100), 300); !ok {
		t.Error("the only platform quorum is out because of others")
	}
	if _, ok := s.PlatformQuorum(nameOf(211), 300); ok {
		t.Error("a quorum of another type signs bans")
	}
}

// The window of a mined quorum at every height, against counting by hand.
func TestPlatformQuorum_AgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profile := rapid.SampledFrom([]string{"spec", "core"}).Draw(t, "profile")
		mined := rapid.SliceOfNDistinct(rapid.Int32Range(1, 30), 0, 9, rapid.ID).Draw(t, "mined")
		slices.Sort(mined)
		s := withQuorums(t, profile, mined...)
		signed := rapid.Int32Range(-5, 40).Draw(t, "signed")
		for i, h := range mined {
			newer := 0 // quorums mined after this one that existed when the ban was signed
			for _, other := range mined[i+1:] {
				if other <= signed {
					newer++
				}
			}
			want := profile == "core" || h <= signed && newer < 4
			if _, ok := s.PlatformQuorum(nameOf(h), signed); ok != want {
				t.Fatalf("%s: quorum mined at %d of %v, signed at %d: %t, want %t", profile, h, mined, signed, ok, want)
			}
		}
	})
}

func sampleQuorum() Quorum {
	c, session := formed(platform, -2, wire.Hash{1}, wire.Hash{2})
	return Quorum{c, session.Base, 35, session.Members}
}

// Whatever byte is changed, what still decodes encodes to the changed bytes.
func TestParseQuorum_EveryByteMatters(t *testing.T) {
	whole := sampleQuorum().Bytes()
	got, err := ParseQuorum(whole)
	if err != nil || !reflect.DeepEqual(got, sampleQuorum()) {
		t.Fatalf("%+v, %v", got, err)
	}
	taken := 0
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			q, err := ParseQuorum(b)
			switch {
			case err != nil && !errors.Is(err, ErrRecord):
				t.Errorf("bit %d of byte %d: %v, want ErrRecord", bit, i, err)
			case err == nil && !bytes.Equal(q.Bytes(), b):
				t.Errorf("bit %d of byte %d: decodes and encodes to %x", bit, i, q.Bytes())
			case err == nil:
				taken++
			}
		}
	}
	// Key, count of members, version, type, hash and sizes of bit sets must fit.
	if fixed := wire.HashSize + 2 + 2 + 1 + wire.HashSize; taken > 8*(len(whole)-fixed) || taken < 8*len(whole)/2 {
		t.Errorf("%d of %d changes are taken", taken, 8*len(whole))
	}
	members := make([]wire.Hash, wire.MaxQuorumMembers)
	most := Quorum{Commitment: sampleQuorum().Commitment, Members: members}
	if q, err := ParseQuorum(most.Bytes()); err != nil || len(q.Members) != wire.MaxQuorumMembers {
		t.Errorf("the most members: %v", err)
	}
	most.Members = append(members, wire.Hash{})
	if _, err := ParseQuorum(most.Bytes()); !errors.Is(err, ErrRecord) {
		t.Errorf("one member more: %v, want ErrRecord", err)
	}
	if clear(whole); !reflect.DeepEqual(got, sampleQuorum()) {
		t.Error("the quorum changes with its input")
	}
}

func FuzzParseQuorum(f *testing.F) {
	indexed := sampleQuorum()
	indexed.Commitment.Version, indexed.Commitment.QuorumIndex = wire.CommitmentIndexed, -2
	null := Quorum{Commitment: wire.NullCommitment(wire.CommitmentBasic, 1, wire.Hash{}, 0, 0)}
	fuzzRecord(f, ParseQuorum, sampleQuorum(), indexed, null)
}
