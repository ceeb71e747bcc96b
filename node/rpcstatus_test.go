package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

// A node that is decommissioned alone in the world is told so, the most urgent
// first; one that only watches has nothing of its own to do.
func TestStatus(t *testing.T) {
	x := theTested(t)
	n, _ := startNodeOf(t, x.Network, t.TempDir(), func(c *node.Config) {
		m := x.Members[9]
		c.Identity, c.ProTxHash, c.OperatorKey = m.Service, m.ProTxHash, &m.Operator
	})
	feed(t, n, x.blocks...)
	var st node.Status
	answer(t, n, &st, "status")
	tip := int32(len(x.blocks))
	if st.OK || st.Verdict != st.ToDo[0] || !strings.Contains(st.Verdict, "No peer") || !strings.Contains(st.ToDo[len(st.ToDo)-1], "decommissioned for fails-uptime") {
		t.Errorf("to do: %q", st.ToDo)
	}
	if c := st.Chain; c.Height != tip || c.SlotSeconds != 1 || c.Slot == 0 || c.CurrentSlot < c.Slot || st.Peers.All != 0 || st.Network != "devnet" {
		t.Errorf("chain %+v, peers %+v", c, st.Peers)
	}
	own := st.Service
	if own == nil || own.Name != x.silent.Name || own.State != "decommissioned" || own.PoSe == nil || own.IfDown == nil || own.IfDown.Deregistered <= tip || own.CreditSeconds != float64(own.Credit) ||
		own.ProofValidity != 60 || own.Restart == nil || own.Restart.Blocks != 120 {
		t.Errorf("service %+v", own)
	}
	if !slices.ContainsFunc(st.Duties, func(d node.DutyInfo) bool { return d.Kind == forecast.Proof && d.In == 1 }) {
		t.Errorf("duties %+v, want a proof in the next block", st.Duties)
	}
	feed(t, n, x.fork(t, n.Snapshot())...)
	await(t, "the alarm", func() bool {
		answer(t, n, &st, "status")
		return len(st.Alarms) == 1 && st.Alarms[0].Kind == "reorg" && st.Alarms[0].Count == 1
	})

	watcher := x.observer(t)
	answer(t, watcher, &st, "status")
	if st.Service != nil || st.Duties == nil || len(st.Duties) > 0 || len(st.Alarms) > 0 {
		t.Errorf("an observer: %+v", st)
	}
}

func TestForecast(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks...)
	tip := int32(len(x.blocks))
	var f node.ForecastInfo
	answer(t, n, &f, "forecast", x.silent.Name, 5)
	if f.Name != x.silent.Name || f.Height != tip || !f.Registered || f.IfDown == nil || f.PoSe == nil || f.SlotSeconds != 1 || f.Restart.Blocks != 5 || f.Restart.Seconds != 5 || f.Restart.Window == nil {
		t.Errorf("the silent one: %+v", f)
	}
	answer(t, n, &f, "forecast", x.Members[0].ProTxHash.String(), 600) // nine nodes test at every block
	if f.Restart.Window != nil || f.Restart.Safe || f.Restart.Longest < 10 || f.Restart.Longest > 14 {
		t.Errorf("ten minutes of blocks: %+v", f.Restart)
	}
	answer(t, n, &f, "forecast")
	if f.Registered || f.Restart.Window == nil || f.Restart.Safe != n.Snapshot().Synced() || f.Restart.Blocks != 120 {
		t.Errorf("an observer: %+v", f)
	}
	answer(t, n, &f, "forecast", wire.Hash{5}.String())
	if f.Registered || f.Unlock != -1 {
		t.Errorf("nobody: %+v", f)
	}
	for _, c := range []struct {
		params []any
		want   string
	}{
		{[]any{"evo-77"}, "neither 64 hex digits nor the name"}, {[]any{7}, "must be a string"}, {[]any{x.silent.Name, "5"}, "must be a whole number"},
		{[]any{x.silent.Name, 0}, "0 seconds, want 1 to 604800"}, {[]any{x.silent.Name, 604801}, "604801 seconds"}, {[]any{x.silent.Name, 5, 5}, "3 parameters"},
	} {
		_, err := n.Call(t.Context(), "forecast", c.params...)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.CodeParams || !strings.Contains(e.Message, c.want) {
			t.Errorf("%v: %v, want %q", c.params, err, c.want)
		}
	}
}
