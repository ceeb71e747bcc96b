package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Some members sign a second result: of both that could be mined everybody
// announces the better one.
func TestSession_TheBetterResultIsAnnounced(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.lie = func(from int, p Publication) []Publication {
		m, ok := speaks(p).(wire.PrematureCommitment)
		if !ok || from > 2 {
			return []Publication{p}
		}
		s := h.rigs[from].sessionOf(m.Type, m.QuorumHash)
		valid := slices.Clone(m.ValidMembers)
		i, _ := s.Index(proTx(4))
		valid[i] = false
		share, r, ok := s.Share(valid)
		if !ok {
			t.Fatalf("member %d has no share of the second result", from)
		}
		other := wire.PrematureCommitment{
			DKGHead: m.DKGHead, ValidMembers: valid, PublicKey: r.PublicKey().Bytes(), VectorHash: r.VectorHash,
			QuorumSignature: wire.Signature(share.Sign(r.Hash).Bytes()),
		}
		signed := other.Signed(wire.Signature(h.operator[from].Sign(other.SignHash()).Bytes()))
		return []Publication{p, {p.Topic, DKGBytes(signed)}}
	}
	h.until(34)
	if made := h.rigs[4].sessions[0].Commitments(); len(made) != 2 {
		t.Fatalf("%d final commitments, want 2", len(made))
	}
	announced := 0
	for _, s := range h.told {
		if s.Topic == TopicCommitment {
			announced++
			if c := must(wire.ParseFinalCommitment(s.Bytes)); c.Signers.Count() != 5 {
				t.Errorf("node %d announces one signed by %s", s.from, c.Signers)
			}
		}
	}
	h.until(40)
	if q, _ := h.quorumOf(0, params.TestPlatform); announced == 0 || q.Commitment.Signers.Count() != 5 {
		t.Errorf("%d announcements; mined is one signed by %s", announced, q.Commitment.Signers)
	}
}

// What a session resulted in is announced once, however long it waits for a
// block.
func TestSession_AResultIsAnnouncedOnce(t *testing.T) {
	const finder = 4 // it made block 34, so its next turn is some blocks away
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.lie = func(_ int, p Publication) []Publication {
		if p.Topic == TopicCommitment {
			return nil
		}
		return []Publication{p}
	}
	h.pass = func(_, to int, p Publication) bool { // one node alone finds it
		m := speaks(p)
		return to == finder || m == nil || m.Kind() != wire.KindPrematureCommitment
	}
	h.until(34)
	waited := 0
	for h.rigs[finder].minable.Len() > 0 && waited < 10 {
		h.step()
		waited++
	}
	announced := 0
	for _, s := range h.told {
		if s.Topic == TopicCommitment && s.from == finder {
			announced++
		}
	}
	if waited < 3 || announced != 1 {
		t.Errorf("announced %d times in %d slots, want once", announced, waited)
	}
}
