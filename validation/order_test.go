package validation

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// asked is a View that notes what it is asked, in order.
type asked struct {
	View
	log *[]string
}

func (a asked) note(question string) { *a.log = append(*a.log, question) }

func (a asked) Synced() bool { a.note("synced"); return a.View.Synced() }
func (a asked) TipHeight() int32 {
	a.note("tip")
	return a.View.TipHeight()
}
func (a asked) NodeType(h wire.Hash) (bool, bool) {
	a.note("node")
	return a.View.NodeType(h)
}
func (a asked) PlatformQuorum(h wire.Hash, height int32) (wire.OperatorKey, bool) {
	a.note("quorum")
	return a.View.PlatformQuorum(h, height)
}
func (a asked) AcceptedBan(h wire.Hash) (wire.PlatformBan, bool) {
	a.note("accepted")
	return a.View.AcceptedBan(h)
}
func (a asked) Refused(id wire.Hash) (Reason, bool) {
	a.note("refused")
	return a.View.Refused(id)
}
func (a asked) Confident() bool { a.note("confident"); return a.View.Confident() }
func (a asked) TakesBan(h wire.Hash, height int32) bool {
	a.note("takes")
	return a.View.TakesBan(h, height)
}

// world is a ban together with the answers of the view, one of each kind.
type world struct {
	accepted string // "", "same" or "twin"
	refused  Reason // "" if it is not remembered
	synced   bool
	node     string // "", "regular" or "evo"
	height   int64  // signed height less tip
	quorum   bool
	unsure   bool
	held     bool
}

func (w world) build() (wire.PlatformBan, view) {
	m := wire.PlatformBan{SignedHeight: int32(tip + w.height), Signature: wire.Signature{1}}
	m.ProTxHash = map[string]wire.Hash{"regular": regular, "evo": evo}[w.node]
	if w.quorum {
		m.QuorumHash = quorumHash
	}
	v := view{synced: w.synced, tip: tip, unsure: w.unsure}
	if w.accepted != "" {
		had := m
		if w.accepted == "twin" {
			had.Signature[0] = 2
		}
		v.accepted = map[wire.Hash]wire.PlatformBan{m.InventoryHash(): had}
	}
	if w.refused != "" {
		v.refused = map[wire.Hash]Reason{m.ID(): w.refused}
	}
	return m, v
}

// expected is DIP-0031, Validation, read from top to bottom, with what the
// view had to be asked for it. An objection of steps 2 to 5 is the sender's
// fault only if our view is settled, and a ban ahead of our tip is held first.
func (w world) expected() (v Verdict, asked []string) {
	asked = []string{"accepted"}
	switch w.accepted {
	case "same":
		return Verdict{Ignore, 0, Duplicate}, asked
	case "twin":
		return Verdict{Reject, 100, ForgedTwin}, asked
	}
	asked = append(asked, "refused")
	switch w.refused {
	case "":
	case SignatureEncoding, Signature:
		return Verdict{Reject, 100, w.refused}, asked
	case Stale:
		return Verdict{Ignore, 0, Stale}, asked
	default:
		return Verdict{Ignore, 0, Duplicate}, asked
	}
	if asked = append(asked, "synced"); !w.synced {
		return Verdict{Ignore, 0, NotSynced}, asked
	}
	object := func(v Verdict) (Verdict, []string) {
		if asked = append(asked, "confident"); w.unsure {
			return Verdict{Ignore, 0, Unsure}, asked
		}
		return v, asked
	}
	asked = append(asked, "node")
	switch w.node {
	case "":
		return object(Verdict{Ignore, 1, UnknownNode})
	case "regular":
		return object(Verdict{Reject, 100, RegularNode})
	}
	asked = append(asked, "tip")
	switch {
	case -576 <= w.height && w.height <= 0:
	case 1 <= w.height && w.height <= 5 && !w.held:
		return Verdict{Ignore, 0, Ahead}, asked
	case -581 <= w.height && w.height <= 5:
		return object(Verdict{Ignore, 1, HeightNear})
	default:
		return object(Verdict{Ignore, 10, HeightFar})
	}
	if asked = append(asked, "quorum"); !w.quorum {
		return object(Verdict{Reject, 100, UnknownQuorum})
	}
	return Verdict{Accept, 0, Valid}, asked
}

// remembered are the reasons that a view may remember, under whichever profile.
func remembered() (all []Reason) {
	for _, row := range Table() {
		if row.Reason.Remembered(params.Profile{ReceivesRefused: true}) {
			all = append(all, row.Reason)
		}
	}
	return all
}

// The first rule that objects decides whatever the later ones would say, and
// the view is not asked for what comes after it.
func TestPlatformBan_EveryCombinationInOrder(t *testing.T) {
	heights := []int64{math.MinInt32 - tip, -583, -582, -581, -577, -576, -575, -1, 0, 1, 5, 6, math.MaxInt32 - tip}
	memories := append([]Reason{""}, remembered()...)
	if len(memories) != 9 {
		t.Fatalf("memories %v, want none, the 5 of steps 2 to 5 and the 3 of step 6", memories)
	}
	check := func(w world) {
		m, v := w.build()
		var log []string
		got := PlatformBan(m, asked{v, &log}, w.held)
		want, questions := w.expected()
		if got != want || !slices.Equal(slices.Compact(log), questions) {
			t.Errorf("%+v: %+v after asking %s, want %+v after %s", w, got, log, want, questions)
		}
	}
	for bits := range 16 {
		synced, quorum, unsure, held := bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
		for _, accepted := range []string{"", "same", "twin"} {
			for _, memory := range memories {
				for _, node := range []string{"", "regular", "evo"} {
					for _, height := range heights {
						check(world{accepted, memory, synced, node, height, quorum, unsure, held})
					}
				}
			}
		}
	}
}

// A settled view puts nothing off that is not ahead of the tip, and an
// unsettled one puts verdicts off without changing what they would be.
func TestPlatformBan_PutsTheVerdictOffOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m, v := w.build()
		v.unsure = false
		settled := PlatformBan(m, v, true)
		v.unsure = true
		shaky := PlatformBan(m, v, true)
		want := settled
		if settled.Reason.Nature() == OfView {
			want = Unsure.Verdict()
		}
		if shaky != want || settled.Reason == Unsure || settled.Reason == Ahead {
			t.Fatalf("%+v: settled %+v, shaky %+v, want %+v", w, settled, shaky, want)
		}
	})
}

func drawWorld(t *rapid.T) world {
	return world{
		synced: rapid.Bool().Draw(t, "synced"),
		node:   rapid.SampledFrom([]string{"", "regular", "evo", "evo"}).Draw(t, "node"),
		height: rapid.Int64Range(-590, 10).Draw(t, "height"),
		quorum: rapid.Bool().Draw(t, "quorum"),
		unsure: rapid.Bool().Draw(t, "unsure"),
		held:   rapid.Bool().Draw(t, "held"),
	}
}

// No height of the message makes the age wrap into the window.
func TestPlatformBan_HeightNeverWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ends := rapid.SampledFrom([]int32{math.MinInt32, math.MinInt32 + 1, -1, 0, 1, 576, 577, math.MaxInt32 - 1, math.MaxInt32})
		v := view{synced: true, tip: rapid.OneOf(ends, rapid.Int32()).Draw(t, "tip")}
		m := wire.PlatformBan{ProTxHash: evo, QuorumHash: quorumHash, SignedHeight: rapid.OneOf(ends, rapid.Int32()).Draw(t, "signed")}
		held := rapid.Bool().Draw(t, "held")
		want, _ := world{synced: true, node: "evo", height: int64(m.SignedHeight) - int64(v.tip), quorum: true, held: held}.expected()
		if got := PlatformBan(m, v, held); got != want {
			t.Fatalf("signed at %d, tip %d: %+v, want %+v", m.SignedHeight, v.tip, got, want)
		}
	})
}

// The signature costs a pairing, so nothing here depends on it, but for the
// twin of an accepted ban and for what is known by all its bytes.
func TestPlatformBan_IgnoresTheSignature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		m, v := w.build()
		want := PlatformBan(m, v, w.held)
		v.refused = map[wire.Hash]Reason{m.ID(): Signature} // that of another one
		m.Signature = wire.Signature(rapid.SliceOfN(rapid.Byte(), wire.SignatureSize, wire.SignatureSize).
			Filter(func(b []byte) bool { return wire.Signature(b) != m.Signature }).Draw(t, "signature"))
		if got := PlatformBan(m, v, w.held); got != want {
			t.Fatalf("with signature %s %+v, with another %+v", m.Signature, got, want)
		}
	})
}

// The flag is asked for its own node at the signed height, and nothing else.
func TestFresh_AsksTheFlagOnly(t *testing.T) {
	var log []string
	Fresh(wire.PlatformBan{}, asked{view{}, &log})
	if !slices.Equal(log, []string{"takes"}) {
		t.Errorf("asked %s, want the flag only", log)
	}
}

// Reasons, outcomes and points as operators read them: dashboards and alerts
// are written against these words.
func TestTable_Rows(t *testing.T) {
	want := strings.Fields(`
		valid/accept/0 malformed/reject/100 duplicate/ignore/0 not-synced/ignore/0 unsure/ignore/0
		forged-twin/reject/100 ahead/ignore/0 unknown-node/ignore/1 regular-node/reject/100 height-near/ignore/1 height-far/ignore/10
		unknown-quorum/reject/100 signature-encoding/reject/100 signature/reject/100 stale/ignore/0
		block-author/reject/100 block-link/reject/100 block-content/ignore/0 block-served/reject/100 block-early/ignore/0
		block-orphan/ignore/0 block-twin/ignore/0 block-deep/ignore/0 block-dead/ignore/0
		event-network/reject/100 event-sequence/ignore/0 event-refused/ignore/0 event-waiting/ignore/0 pool-full/ignore/0
		event-signature/reject/100
		proof-unregistered/ignore/1 proof-sequence/ignore/0 proof-early/ignore/0 proof-anchor-ahead/ignore/0
		proof-anchor-near/ignore/0 proof-anchor-far/ignore/10 proof-anchor-unknown/ignore/0 proof-address/reject/10 proof-seal/reject/100
		vote-repeated/ignore/0 vote-early/ignore/0 vote-late/ignore/0 vote-expired/ignore/10 vote-unknown-quorum/ignore/0
		vote-member/reject/100 vote-target/reject/100 vote-signature/reject/100 vote-conflict/accept/0
		checkpoint-repeated/ignore/0 checkpoint-early/ignore/0 checkpoint-late/ignore/0 checkpoint-expired/ignore/10
		checkpoint-branch/ignore/0 checkpoint-member/reject/100 checkpoint-seal/reject/100 checkpoint-conflict/accept/0
		dkg-quorum-type/reject/100 dkg-not-a-base/reject/100 dkg-unknown-block/ignore/10 dkg-outsider/ignore/10
		dkg-other-session/ignore/0 dkg-not-a-member/reject/100 dkg-early/ignore/0 dkg-late/ignore/0 dkg-signature/reject/100
		dkg-point/reject/100 dkg-third/ignore/0 dkg-too-many/ignore/0 dkg-other-result/ignore/0 dkg-equivocation/accept/0
		commitment-quorum-type/reject/100 commitment-not-a-base/reject/100 commitment-unknown-block/ignore/0 commitment-early/ignore/0
		commitment-stale/reject/100 commitment-late/ignore/0 commitment-mined/ignore/0 commitment-null/reject/100 commitment-invalid/reject/100 commitment-signature/reject/100
		commitment-worse/ignore/0
		share-unknown-quorum/ignore/0 share-not-ours/ignore/0 share-decided/ignore/0 share-full/ignore/0 share-member/reject/100
		share-signature/reject/100
		recovered-unknown-quorum/ignore/0 recovered-signature/reject/100 recovered-conflict/accept/0
		request-refused/ignore/0 request-no-member/ignore/0 request-no-quorum/ignore/0 request-signed-other/ignore/0
		handshake/reject/10 rate/ignore/0 overload/ignore/0 internal/ignore/0 operator/reject/100`)
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	var got []string
	for _, row := range Table() {
		got = append(got, fmt.Sprintf("%s/%s/%d", row.Reason, row.Outcome, row.Points))
		if !word.MatchString(string(row.Reason)) {
			t.Errorf("reason %q is no lower-case word", row.Reason)
		}
		if len(row.Reason) > wire.MaxGoodbyeReason {
			t.Errorf("reason %q is too long for a goodbye", row.Reason)
		}
		if v := row.Reason.Verdict(); v.Taken() != (row.Outcome == Accept) {
			t.Errorf("%s: taken %t, outcome %s", row.Reason, v.Taken(), row.Outcome)
		}
		if row.Points == 100 && row.Outcome != Reject {
			t.Errorf("row %+v bans without rejecting", row)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table is\n%s, want\n%s", got, want)
	}
}

func TestReason_NothingOutsideTheSet(t *testing.T) {
	for _, r := range []Reason{"", "Valid", "valid ", "gossip"} {
		if v := r.Verdict(); r.Known() || v.OK() || v.Outcome == Accept || v.Outcome.String() != "none" {
			t.Errorf("reason %q: known %t, verdict %+v", r, r.Known(), v)
		}
	}
}
