package engine

import (
	"bytes"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// Members are drawn from the state eight blocks below the base block, by a
// slow and obvious twin the same. Source: spec/dash.md 4.
func TestRoster_IsDrawnBelowTheBase(t *testing.T) {
	n := hallNetwork(9, platform(5, 3), chain.GenesisLLMQ{Type: 101, Size: 8, Threshold: 5})
	n.genesis.Nodes[3].Evo = false
	n.genesis.Nodes[4].Addresses = nil // PoSe-banned until it names one
	h := newHall(t, n)
	h.until(20)
	h.feedTo(0, h.rigs[0].event("", n.update(4, 1, "/ip4/127.0.0.1/udp/9998/quic-v1"))) // too late for this draw
	h.until(24)
	r := h.rigs[0]
	from := r.branch.At(24 - dkg.SelectionDepth)
	for _, q := range r.state.LLMQs() {
		var all []dkg.Candidate
		for _, node := range from.State.Nodes() {
			if node.PoSeBanned() || node.ConfirmedHash.IsZero() || q.Type == params.TestPlatform && !node.Evo {
				continue
			}
			all = append(all, dkg.Candidate{ProTxHash: node.ProTxHash, ConfirmedHash: node.ConfirmedHash})
		}
		score := func(c dkg.Candidate) []byte {
			s := dkg.Score(c, wire.DoubleHash([]byte{byte(q.Type)}, from.Tip.Hash[:]))
			slices.Reverse(s[:])
			return s[:]
		}
		slices.SortFunc(all, func(a, b dkg.Candidate) int { return bytes.Compare(score(b), score(a)) })
		if len(all) > q.Size {
			all = all[:q.Size]
		}
		got := r.roster(r.branch, q, r.branch.At(24))
		if got == nil || len(got.Members()) != len(all) {
			t.Fatalf("type %d: %v, want %d members", q.Type, got, len(all))
		}
		for i, m := range got.Members() {
			if m.ProTxHash != all[i].ProTxHash {
				t.Errorf("type %d: member %d is %s, want %s", q.Type, i, m.ProTxHash, all[i].ProTxHash)
			}
		}
		if again := r.roster(r.branch, q, r.branch.At(24)); again != got {
			t.Errorf("type %d is drawn twice", q.Type)
		}
	}
	if _, banned := r.sessionOf(101, r.branch.At(24).Tip.Hash).Index(proTx(4)); banned {
		t.Error("a node that was PoSe-banned then is a member")
	}
}

func TestRecent_ForgetsTheOldest(t *testing.T) {
	r := newRecent[int](3)
	for i := range 5 {
		r.put(wire.Hash{byte(i)}, i)
		r.put(wire.Hash{byte(i)}, -i)
	}
	for i := range 5 {
		v, ok := r.get(wire.Hash{byte(i)})
		if ok != (i >= 2) || ok && v != -i {
			t.Errorf("%d: %d, %v", i, v, ok)
		}
	}
	if len(r.found) != 3 || len(r.order) != 3 {
		t.Errorf("%d and %d are kept, want 3", len(r.found), len(r.order))
	}
}

// One that is decommissioned, or not confirmed yet, is no candidate.
func TestRoster_Candidates(t *testing.T) {
	n := networkOf("core", forkNodes)
	a := n.author()
	a.grow(1, 0, nil)
	draw := a.draw()
	a.grow(12, 0, nil)
	a.nextOf(a.tip.Slot+1, wire.Content{Certificates: []wire.Certificate{a.certificate(draw, cleo, wire.FailsUptime, 0)}})
	for c := range candidates(a.state) {
		node, _ := a.state.Node(c.ProTxHash)
		if want := c.ProTxHash == proTx(cleo) || c.ProTxHash == proTx(forkNodes-1); c.Banned != want { // the last awaits stake
			t.Errorf("%s in state %s: out of duty %v, want %v", c.ProTxHash.Short(), node.Service(), c.Banned, want)
		}
		if c.Evo != node.Evo || c.OperatorKey != node.OperatorKey || c.ConfirmedHash != node.ConfirmedHash {
			t.Errorf("%s: %+v", c.ProTxHash.Short(), c)
		}
	}
	if node, _ := a.state.Node(proTx(cleo)); node.Service() != state.Decommissioned {
		t.Fatal("nobody is decommissioned")
	}
}
