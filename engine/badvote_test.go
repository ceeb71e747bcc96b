package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 5.4, "Complain start".
func TestBadVote_Reasons(t *testing.T) {
	ban := wire.PlatformBan{SignedHeight: 7}
	flagged := state.NoBanFlag().Banned(ban)
	type view struct {
		flag     state.BanFlag
		failed   int
		sound    bool
		protocol int // -1: never heard
		required bool
	}
	for _, c := range []struct {
		name string
		view view
		want BadVoteReason
	}{
		{"all is well", view{state.NoBanFlag(), 0, true, params.MinProtocol, true}, ""},
		{"flagged", view{flagged, 0, true, params.MinProtocol, true}, VoteFlagged},
		{"flagged before it was cleared", view{flagged.Cleared(8), 0, true, params.MinProtocol, true}, ""},
		{"flagged and all else", view{flagged, 6, true, 0, true}, VoteFlagged},
		{"five failures", view{state.NoBanFlag(), params.MaxFailedProbes, true, params.MinProtocol, true}, ""},
		{"six failures", view{state.NoBanFlag(), params.MaxFailedProbes + 1, true, params.MinProtocol, true}, VoteUnreachable},
		{"six failures while we are not sound", view{state.NoBanFlag(), params.MaxFailedProbes + 1, false, params.MinProtocol, true}, ""},
		{"old protocol", view{state.NoBanFlag(), 0, true, params.MinProtocol - 1, true}, VoteProtocol},
		{"old protocol that is not required", view{state.NoBanFlag(), 0, true, params.MinProtocol - 1, false}, ""},
		{"never heard", view{state.NoBanFlag(), 0, true, -1, true}, ""},
	} {
		e := observer(t, "core").Engine
		e.flags = e.flags.Set(proTx(bob), c.view.flag)
		e.unreached[proTx(bob)] = c.view.failed
		if c.view.protocol >= 0 {
			e.proofs = e.proofs.Put(uptime.Record{Proof: wire.UptimeProof{ProTxHash: proTx(bob), Protocol: uint16(c.view.protocol)}})
		}
		got, bad := e.badVote(proTx(bob), c.view.required, c.view.sound)
		if got != c.want || bad != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.name, got, bad, c.want)
		}
	}
	for _, r := range BadVoteReasons() {
		if r == "" {
			t.Error("a reason without a name")
		}
	}
}

func TestBadVote_ProtocolOfMostIsTheRule(t *testing.T) {
	for _, c := range []struct {
		speak, fresh int
		want         bool
	}{{0, 0, false}, {0, 5, false}, {4, 5, true}, {3, 5, false}, {79, 100, false}, {80, 100, true}, {7, 9, false}, {8, 9, true}, {1, 1, true}} {
		if got := enoughSpeak(c.speak, c.fresh); got != c.want {
			t.Errorf("%d of %d: %v, want %v", c.speak, c.fresh, got, c.want)
		}
	}
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.until(3)
	for i, r := range h.rigs {
		if !r.protocolRequired() {
			t.Errorf("node %d has heard of everybody, and that is not enough", i)
		}
	}
}

// The members of a session try to reach each other when it begins, and a node
// that six sessions in a row did not reach is voted out of the next.
func TestBadVote_UnreachableMember(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.probe = func(from int, p Probe) (failed string, answered bool) {
		if p.Service != Transport || p.Endpoint != "" || p.ProTxHash == proTx(from) {
			t.Errorf("node %d asks for %+v", from, p)
		}
		if p.ProTxHash == proTx(2) {
			return "refused", true
		}
		return "", true
	}
	for round := int32(1); round <= params.MaxFailedProbes+1; round++ {
		h.until(24*round + 20)
		q, _ := h.quorumOf(0, params.TestPlatform)
		i, _ := q.Index(proTx(2))
		if want := round <= params.MaxFailedProbes; q.Base != 24*round || q.Commitment.ValidMembers.Has(i) != want {
			t.Errorf("round %d: quorum of %d, valid %s; want %d valid: %v", round, q.Base, q.Commitment.ValidMembers, i, want)
		}
		if got := h.rigs[0].unreached[proTx(2)]; got != int(round) {
			t.Errorf("round %d: %d failures are counted", round, got)
		}
	}
	if votes := h.rigs[1].Snapshot().BadVotes; len(votes) != 1 || votes[0].Reason != VoteUnreachable {
		t.Errorf("votes %v, want one for %s", votes, VoteUnreachable)
	}
	h.rigs[0].feed(Probed{Probe{proTx(2), Transport, ""}, ""})
	h.rigs[0].feed(Probed{Probe{wire.Hash{9}, Transport, ""}, "of no member"})
	if got := h.rigs[0].unreached; len(got) != 0 {
		t.Errorf("after success %v", got)
	}
}

// The count lasts beyond the sessions in which it was made, and ends with
// success or when the node leaves the registry.
func TestBadVote_FailuresAreCountedWhileRegistered(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(30)
	r := h.rigs[0]
	failed := func(proTx wire.Hash) { r.feed(Probed{Probe{proTx, Transport, ""}, "refused"}) }
	failed(proTx(1))
	failed(proTx(1))
	failed(proTx(2))
	failed(wire.Hash{9}) // is not registered
	r.leave(func(*session) bool { return true }, new(Effects))
	failed(proTx(1))
	r.unreached[wire.Hash{8}] = 3 // has left the registry
	h.until(32)
	r.feed(Probed{Probe{proTx(2), Transport, ""}, ""})
	if got, want := r.unreached, map[wire.Hash]int{proTx(1): 3}; !maps.Equal(got, want) {
		t.Errorf("failures %v, want %v", got, want)
	}
}

// No two members begin with the same one.
func TestTransport_ProbesBeginWithTheSuccessor(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	asked := make(map[int][]wire.Hash)
	h.probe = func(from int, p Probe) (string, bool) {
		if p.Service == Transport {
			asked[from] = append(asked[from], p.ProTxHash)
		}
		return "", true
	}
	h.until(25)
	members := h.rigs[0].Snapshot().Sessions[0].Members()
	for i, m := range members {
		from := slices.IndexFunc([]int{0, 1, 2, 3}, func(n int) bool { return proTx(n) == m.ProTxHash })
		for k := 1; k < len(members); k++ {
			if got := asked[from]; len(got) != 3 || got[k-1] != members[(i+k)%4].ProTxHash {
				t.Errorf("member %d probes %v", i, got)
			}
		}
	}
}
