package validation

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strconv"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// view is a network with one evonode, one regular node and one quorum.
type view struct {
	synced   bool
	tip      int32
	accepted map[wire.Hash]wire.PlatformBan
	refused  map[wire.Hash]Reason
	unsure   bool  // nobody may be blamed for contradicting it
	newest   int32 // bans below it are stale
}

var (
	evo, regular = wire.Hash{1}, wire.Hash{2}
	quorumHash   = wire.Hash{3}
	quorumKey    = wire.OperatorKey{4}
)

func (v view) Synced() bool     { return v.synced }
func (v view) TipHeight() int32 { return v.tip }
func (v view) NodeType(proTx wire.Hash) (bool, bool) {
	return proTx == evo, proTx == evo || proTx == regular
}
func (v view) PlatformQuorum(h wire.Hash, _ int32) (wire.OperatorKey, bool) {
	return quorumKey, h == quorumHash
}
func (v view) AcceptedBan(h wire.Hash) (wire.PlatformBan, bool) { m, ok := v.accepted[h]; return m, ok }
func (v view) Refused(id wire.Hash) (Reason, bool)              { r, ok := v.refused[id]; return r, ok }
func (v view) Confident() bool                                  { return !v.unsure }
func (v view) TakesBan(_ wire.Hash, height int32) bool          { return height >= v.newest }

const tip = 10_000

// Source: DIP-0031, Validation.
func TestPlatformBan_Steps(t *testing.T) {
	good := wire.PlatformBan{ProTxHash: evo, SignedHeight: tip, QuorumHash: quorumHash}
	at := func(h int32) wire.PlatformBan { m := good; m.SignedHeight = h; return m }
	for _, c := range []struct {
		name string
		ban  wire.PlatformBan
		view view
		want Verdict
	}{
		{"valid", good, view{synced: true, tip: tip}, Verdict{Accept, 0, Valid}},
		{"step 1", good, view{tip: tip}, Verdict{Ignore, 0, NotSynced}},
		{"step 1 before 3", wire.PlatformBan{ProTxHash: regular}, view{tip: tip}, Verdict{Ignore, 0, NotSynced}},
		{"step 2", wire.PlatformBan{SignedHeight: tip, QuorumHash: quorumHash}, view{synced: true, tip: tip}, Verdict{Ignore, 1, UnknownNode}},
		{"step 2 before 4 and 5", wire.PlatformBan{}, view{synced: true, tip: tip}, Verdict{Ignore, 1, UnknownNode}},
		{"step 3", wire.PlatformBan{ProTxHash: regular, SignedHeight: tip, QuorumHash: quorumHash}, view{synced: true, tip: tip}, Verdict{Reject, 100, RegularNode}},
		{"step 3 before 4", wire.PlatformBan{ProTxHash: regular}, view{synced: true, tip: tip}, Verdict{Reject, 100, RegularNode}},
		{"newest allowed", at(tip), view{synced: true, tip: tip}, Verdict{Accept, 0, Valid}},
		{"oldest allowed", at(tip - 576), view{synced: true, tip: tip}, Verdict{Accept, 0, Valid}},
		{"one block too old", at(tip - 577), view{synced: true, tip: tip}, Verdict{Ignore, 1, HeightNear}},
		{"five blocks too old", at(tip - 581), view{synced: true, tip: tip}, Verdict{Ignore, 1, HeightNear}},
		{"six blocks too old", at(tip - 582), view{synced: true, tip: tip}, Verdict{Ignore, 10, HeightFar}},
		{"one block ahead", at(tip + 1), view{synced: true, tip: tip}, Verdict{Ignore, 0, Ahead}},
		{"five blocks ahead", at(tip + 5), view{synced: true, tip: tip}, Verdict{Ignore, 0, Ahead}},
		{"six blocks ahead", at(tip + 6), view{synced: true, tip: tip}, Verdict{Ignore, 10, HeightFar}},
		{"lowest height, no wrap", at(math.MinInt32), view{synced: true, tip: math.MaxInt32}, Verdict{Ignore, 10, HeightFar}},
		{"highest height, no wrap", at(math.MaxInt32), view{synced: true, tip: 0}, Verdict{Ignore, 10, HeightFar}},
		{"step 4 before 5", wire.PlatformBan{ProTxHash: evo, SignedHeight: tip - 577}, view{synced: true, tip: tip}, Verdict{Ignore, 1, HeightNear}},
		{"step 5", wire.PlatformBan{ProTxHash: evo, SignedHeight: tip}, view{synced: true, tip: tip}, Verdict{Reject, 100, UnknownQuorum}},
	} {
		if got := PlatformBan(c.ban, c.view, false); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestPlatformBan_KnownBans(t *testing.T) {
	accepted := wire.PlatformBan{ProTxHash: evo, SignedHeight: tip, QuorumHash: quorumHash, Signature: wire.Signature{1}}
	v := view{tip: tip, accepted: map[wire.Hash]wire.PlatformBan{accepted.InventoryHash(): accepted}}
	twin := accepted
	twin.Signature[0] = 2
	other := accepted
	other.SignedHeight--
	for _, v.synced = range []bool{true, false} { // neither depends on our view of the chain
		if got, want := PlatformBan(accepted, v, false), (Verdict{Ignore, 0, Duplicate}); got != want {
			t.Errorf("the accepted ban again: %+v, want %+v", got, want)
		}
		if got, want := PlatformBan(twin, v, false), (Verdict{Reject, 100, ForgedTwin}); got != want {
			t.Errorf("its forged twin: %+v, want %+v", got, want)
		}
	}
	v.synced = true
	if got := PlatformBan(other, v, false); !got.OK() {
		t.Errorf("a ban at another height: %+v, want valid", got)
	}
}

func TestChecked_AndFresh(t *testing.T) {
	for _, c := range []struct {
		encoded, valid bool
		want           Verdict
	}{
		{true, true, Verdict{Accept, 0, Valid}},
		{true, false, Verdict{Reject, 100, Signature}},
		{false, false, Verdict{Reject, 100, SignatureEncoding}},
		{false, true, Verdict{Reject, 100, SignatureEncoding}},
	} {
		if got := Checked(c.encoded, c.valid); got != c.want {
			t.Errorf("encoded %t, valid %t: %+v, want %+v", c.encoded, c.valid, got, c.want)
		}
	}
	if got := Fresh(wire.PlatformBan{SignedHeight: 5}, view{newest: 6}); got != (Verdict{Ignore, 0, Stale}) {
		t.Errorf("older than the flag: %+v", got)
	}
	if got := Fresh(wire.PlatformBan{SignedHeight: 6}, view{newest: 6}); !got.OK() {
		t.Errorf("as old as the flag: %+v", got)
	}
}

// Every Reason declared in the source stands in the table, once.
func TestTable_IsComplete(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "verdict.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[Reason]int)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared[Reason(text)]++
			}
		}
		return true
	})
	evidence := map[Reason]bool{VoteConflict: true, CheckpointConflict: true, DKGEquivocation: true, RecoveredConflict: true} // of the sender's own misconduct: all must see it
	if len(declared) < 20 {
		t.Fatalf("found %d reasons in the source", len(declared))
	}
	for _, row := range Table() {
		declared[row.Reason]--
		switch {
		case row.Points < 0 || row.Points > 100,
			row.Outcome == Accept && (row.Points != 0 || row.Reason != Valid && !evidence[row.Reason]),
			row.Outcome == Ignore && row.Points == 100,
			row.Outcome.String() == "none", row.When == "":
			t.Errorf("row %+v contradicts itself", row)
		}
		if v := row.Reason.Verdict(); v != (Verdict{row.Outcome, row.Points, row.Reason}) || !row.Reason.Known() {
			t.Errorf("%s gives %+v, its row says %+v", row.Reason, v, row)
		}
	}
	for r, n := range declared {
		if n != 0 {
			t.Errorf("reason %s stands %d times too few in the table", r, n)
		}
	}
	if Reason("gossip").Known() {
		t.Error("a reason that nobody declared is known")
	}
}
