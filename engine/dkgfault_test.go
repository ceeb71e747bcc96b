package engine

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The proof is told of once, and outlasts a restart and the session.
func TestDKGFault_OutlastsTheSession(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(26)
	first, second := h.contribution(1, h.rigs[0].Snapshot().Sessions[0], 0), h.contribution(1, h.rigs[0].Snapshot().Sessions[0], 1)
	out := h.rigs[0].want(second, validation.DKGEquivocation)
	if len(out.Alarms) != 1 || out.Alarms[0].Kind != AlarmDKG {
		t.Errorf("alarms %v, want one of kind %s", out.Alarms, AlarmDKG)
	}
	check := func(when string) {
		t.Helper()
		faults := h.rigs[0].Snapshot().DKGFaults
		if len(faults) != 1 || len(h.rigs[0].disk[KindDKGFault]) != 1 || faults[0].Height != 24 {
			t.Fatalf("%s: faults %+v, %d stored", when, faults, len(h.rigs[0].disk[KindDKGFault]))
		}
		got := []wire.Hash{faults[0].First.ID(), faults[0].Second.ID()}
		want := []wire.Hash{first.Message.Message.ID(), second.Message.Message.ID()}
		slices.SortFunc(want, compareHashes)
		if !slices.Equal(got, want) {
			t.Errorf("%s: messages %v, want %v", when, got, want)
		}
	}
	check("when it came")
	h.again(0)
	check("after a restart")
	// The base block is undone, and is on our branch again.
	r := h.rigs[0]
	r.leave(func(*session) bool { return true }, new(Effects))
	r.attended = wire.Hash{}
	r.attend(new(Effects))
	for _, in := range []DKG{first, second} {
		if out := new(Effects); r.dkgMessage(in, out).OK() && len(out.Alarms) > 0 {
			t.Errorf("alarms %v about what is known", out.Alarms)
		}
	}
	check("told again")
	h.until(60)
	if h.rigs[0].sessionOf(first.Message.Message.Head().Type, first.Message.Message.Head().QuorumHash) != nil {
		t.Fatal("the session is not over")
	}
	check("when the session was over")
	h.again(0)
	check("after another restart")

	// Bad records are refused.
	disk := h.rigs[0].disk
	key := slices.Collect(maps.Keys(disk[KindDKGFault]))[0]
	value := disk[KindDKGFault][key]
	for what, change := range map[string]func(of map[string][]byte){
		"cut short":         func(of map[string][]byte) { of[key] = value[:len(value)-1] },
		"empty":             func(of map[string][]byte) { of[key] = []byte{} },
		"too long":          func(of map[string][]byte) { of[key] = append(bytes.Clone(value), 0) },
		"under another key": func(of map[string][]byte) { of[key+"!"] = value },
	} {
		broken := disk.clone()
		change(broken[KindDKGFault])
		if _, _, err := Restore(h.configOf(0), broken); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", what, err, ErrCorrupt)
		}
	}
	if _, _, err := Restore(h.configOf(0), failing{disk, KindDKGFault}); !errors.Is(err, errRead) {
		t.Errorf("got %v, want %v", err, errRead)
	}
}

// sampleDKGFault proves two complaints false.
func sampleDKGFault(height int32, member byte) DKGFault {
	m := wire.Complaint{DKGHead: wire.DKGHead{Type: 106, ProTxHash: wire.Hash{member}}, BadMembers: wire.Bitset{true, false, true}, ComplainFor: make(wire.Bitset, 3)}
	both := []wire.DKGMessage{m, m.Signed(wire.Signature{1})}
	slices.SortFunc(both, func(a, b wire.DKGMessage) int { return compareHashes(a.ID(), b.ID()) })
	return DKGFault{height, dkg.Equivocation{First: both[0], Second: both[1]}}
}

// The oldest make room, and are counted.
func TestDKGFault_OldestGo(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(26)
	r := h.rigs[0]
	for i := range MaxDKGFaults {
		f := sampleDKGFault(int32(i%4), byte(i))
		r.disk.apply([]Write{{KindDKGFault, f.key(), f.bytes()}})
	}
	h.again(0)
	r = h.rigs[0]
	before := r.Snapshot().DKGFaults
	if !slices.IsSortedFunc(before, compareDKGFaults) || len(before) != MaxDKGFaults {
		t.Fatalf("%d faults, or not in order", len(before))
	}
	seen := slices.Clone(before)
	out := r.want(h.contribution(1, r.Snapshot().Sessions[0], 1), validation.DKGEquivocation)
	after := r.Snapshot().DKGFaults
	if len(after) != MaxDKGFaults || out.Evicted != 1 || len(r.disk[KindDKGFault]) != MaxDKGFaults {
		t.Errorf("%d faults, %d stored, %d evicted", len(after), len(r.disk[KindDKGFault]), out.Evicted)
	}
	if !reflect.DeepEqual(after[:MaxDKGFaults-1], before[1:]) || after[MaxDKGFaults-1].Height != 24 {
		t.Error("others than the oldest went")
	}
	if !reflect.DeepEqual(before, seen) {
		t.Error("a snapshot changed")
	}
}

func TestDKGFault_RoundTrip(t *testing.T) {
	f := sampleDKGFault(9, 3)
	if got, err := parseDKGFault(f.bytes()); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v, %v; want %+v", got, err, f)
	}
	other := sampleDKGFault(9, 4)
	for what, bad := range map[string]DKGFault{
		"one message":    {9, dkg.Equivocation{First: f.First, Second: f.First}},
		"not ascending":  {9, dkg.Equivocation{First: f.Second, Second: f.First}},
		"of two members": {9, dkg.Equivocation{First: f.First, Second: other.Second}},
	} {
		if _, err := parseDKGFault(bad.bytes()); !errors.Is(err, state.ErrRecord) {
			t.Errorf("%s: %v, want %v", what, err, state.ErrRecord)
		}
	}
}

func FuzzParseDKGFault(f *testing.F) {
	f.Add(sampleDKGFault(9, 3).bytes())
	f.Add([]byte{0, 0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		fault, err := parseDKGFault(b)
		if err == nil && !bytes.Equal(fault.bytes(), b) {
			t.Errorf("%x encodes back to %x", b, fault.bytes())
		}
		if err != nil && !errors.Is(err, state.ErrRecord) {
			t.Errorf("%x: error %v, want %v", b, err, state.ErrRecord)
		}
	})
}
