package engine

import (
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// contribution is what a member says in the session of the last base block,
// different for every seed.
func (h *hall) contribution(member int, r *dkg.Roster, seed byte) DKG {
	h.t.Helper()
	for _, s := range h.told {
		m, ok := speaks(s.Publication).(wire.Contribution)
		if _, hash := r.Base(); !ok || s.from != member || m.QuorumHash != hash {
			continue
		}
		if seed > 0 {
			m.IVSeed[0] ^= seed
		}
		signed := m.Signed(wire.Signature(h.operator[member].Sign(m.SignHash()).Bytes()))
		o, reason := r.Reopen(signed)
		if reason != 0 {
			h.t.Fatal(reason)
		}
		return DKG{"p", o}
	}
	h.t.Fatalf("member %d said nothing", member)
	return DKG{}
}

func TestDKG_Verdicts(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(26)
	r := h.rigs[0]
	roster := r.Snapshot().Sessions[0]
	first := h.contribution(1, roster, 0)
	r.want(first, validation.Duplicate)
	stored := len(r.disk[KindDKG])
	out := r.want(h.contribution(1, roster, 1), validation.DKGEquivocation)
	if len(r.disk[KindDKG]) != stored+1 || len(out.Publications) > 0 {
		t.Errorf("%d messages stored after %d, %d publications; want the proof stored", len(r.disk[KindDKG]), stored, len(out.Publications))
	}
	r.want(h.contribution(1, roster, 2), validation.DKGThird)
	if len(r.disk[KindDKG]) != stored+1 {
		t.Error("a third message is stored")
	}
	late := h.contribution(2, roster, 1)
	h.until(28)
	r.want(late, validation.DKGLate)
	unsynced := r.again(0)
	unsynced.want(late, validation.NotSynced)
	h.until(45)
	q, ok := h.quorumOf(1, params.TestPlatform) // one node alone saw the double contribution
	if !ok || q.Commitment.ValidMembers.Count() != 4 {
		t.Errorf("valid %s", q.Commitment.ValidMembers)
	}
	h.rigs[1].want(late, validation.DKGLate)
	h.until(50) // the next one has begun, and that quorum is final
	h.rigs[1].want(late, validation.DKGSession)
	e, _, err := New(h.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	observer := rig{Engine: e, network: h.network, t: t}
	observer.at(1)
	observer.want(late, validation.DKGSession)
}

// A member that says two things is out, and both are kept as proof.
func TestDKG_EquivocationPutsOut(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.lie = func(from int, p Publication) []Publication {
		if m, ok := speaks(p).(wire.Contribution); ok && from == 3 {
			m.IVSeed[0] ^= 1
			signed := m.Signed(wire.Signature(h.operator[from].Sign(m.SignHash()).Bytes()))
			return []Publication{p, {p.Topic, DKGBytes(signed)}}
		}
		return []Publication{p}
	}
	h.until(33)
	for i, r := range h.rigs {
		if proofs := r.Snapshot().DKGFaults; (len(proofs) == 1) != (i != 3) {
			t.Errorf("node %d holds %d proofs", i, len(proofs))
		}
	}
	h.until(40)
	q, ok := h.quorumOf(0, params.TestPlatform)
	if i, _ := q.Index(proTx(3)); !ok || q.Commitment.ValidMembers.Has(i) || q.Commitment.ValidMembers.Count() != 4 {
		t.Errorf("valid %s, want all but %d", q.Commitment.ValidMembers, i)
	}
}

// A member complains falsely so that only the accused hears it in time, or only
// the others do: the accused is not punished.
func TestDKG_AComplaintTimedForSomeHarmsNobody(t *testing.T) {
	const accused = 2
	before := newHall(t, hallNetwork(5, platform(5, 3)))
	before.until(29) // the last block of Complain
	for _, hears := range []bool{true, false} {
		h := before.branchOff()
		s := h.rigs[1].sessions[0]
		_, base := s.Base()
		c := wire.Complaint{DKGHead: wire.DKGHead{Type: params.TestPlatform, QuorumHash: base, ProTxHash: proTx(1)}, BadMembers: make(wire.Bitset, 5), ComplainFor: make(wire.Bitset, 5)}
		i, _ := s.Index(proTx(accused))
		c.ComplainFor[i] = true
		p := Publication{DKGTopic(c.Type), DKGBytes(c.Signed(wire.Signature(h.operator[1].Sign(c.SignHash()).Bytes())))}
		tell := func(members ...int) {
			for _, to := range members {
				in, ok := h.admit(to, 1, p)
				if !ok {
					t.Fatalf("the complaint does not reach member %d", to)
				}
				h.deliver(to, h.feedTo(to, in))
			}
		}
		if hears {
			tell(accused)
		} else {
			tell(0, 1, 3, 4)
			h.until(30)
			tell(accused, accused)
		}
		h.again(accused)
		h.until(44)
		q, ok := h.quorumOf(0, params.TestPlatform)
		if n, _ := h.rigs[0].state.Node(proTx(accused)); !ok || n.PoSe.At(36) > 0 || q.Commitment.Signers.Count() != 5 {
			t.Errorf("in time for the accused %t: score %d, valid %s, signed by %s", hears, n.PoSe.At(36), q.Commitment.ValidMembers, q.Commitment.Signers)
		}
		if _, count := h.messages(accused); count[wire.KindJustification] != 1 {
			t.Errorf("in time for the accused %t: it said %v", hears, count)
		}
		h.wantSigns(q, 5)
	}
}
