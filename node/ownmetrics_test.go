package node_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// ownSeries reads a node's metrics as Prometheus shows them; of those with
// labels, the value of the first.
func ownSeries(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			all[name] = m.GetGauge().GetValue()
		}
	}
	return all
}

func TestOwnMetrics(t *testing.T) {
	past, dir := frozenNetwork(t, 4, "core")
	open := func(proTx wire.Hash) map[string]float64 {
		n, err := node.New(node.Config{
			Genesis: past.Genesis, Identity: past.Members[0].Service, ProTxHash: proTx, DataDir: dir,
			Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		own, _ := n.Snapshot().State.Node(past.Members[0].ProTxHash)
		if got := n.Snapshot().State.Rules(); own.Service() != state.Active || got.ProofValidity != 10 {
			t.Fatalf("the node is %s, proofs are valid for %d blocks", own.Service(), got.ProofValidity)
		}
		return ownSeries(t, n.Metrics())
	}
	registered := open(past.Members[0].ProTxHash)
	tip := registered["proctor_tip_height"]
	for name, want := range map[string]float64{
		"proctor_own_registered":            1,
		"proctor_own_state{active}":         1,
		"proctor_own_state{awaiting}":       0,
		"proctor_own_state{decommissioned}": 0,
		"proctor_own_credit_blocks":         60 + float64(int(tip)*24/720),
		"proctor_own_credit_minimum_blocks": 60,
		"proctor_own_pose_score":            0,
		"proctor_own_pose_maximum":          100,
		"proctor_own_pose_increase":         66,
		"proctor_own_pose_banned":           0,
		"proctor_own_platform_ban_flag":     0,
		"proctor_proof_validity_blocks":     10,
		"proctor_stale_proofs":              0,
		"proctor_slot_seconds":              3600,
		"proctor_dkg_missed_sessions{106}":  0,
		"proctor_registered_nodes":          5,
		"proctor_service_nodes{active}":     5,
	} {
		if got, exported := registered[name]; !exported || got != want {
			t.Errorf("%s is %v (%t), want %v", name, got, exported, want)
		}
	}
	if age, exported := registered["proctor_own_proof_age_blocks"]; !exported || age < 0 || age > 5 { // one is sent every 5 blocks
		t.Errorf("the node's own proof is %v blocks old (%t), want 0 to 5", age, exported)
	}
	for _, c := range []struct {
		name  string
		proTx wire.Hash
		want  int // series of its own
	}{
		{"observer", wire.Hash{}, 0},
		{"not registered", wire.Hash{1}, 1},
	} {
		all, found := open(c.proTx), 0
		for name := range all {
			if strings.HasPrefix(name, "proctor_own_") {
				found++
			}
		}
		if found != c.want || all["proctor_own_registered"] != 0 {
			t.Errorf("%s exports %d series of its own, want %d", c.name, found, c.want)
		}
	}
}
