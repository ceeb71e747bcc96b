package forecast_test

import (
	"math"
	"testing"

	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

func rules(t testing.TB, profile string) params.Service {
	p, err := params.ProfileByName(profile)
	if err != nil {
		t.Fatal(err)
	}
	n, err := params.NetworkByName("devnet")
	if err != nil {
		t.Fatal(err)
	}
	return n.Service(p)
}

// Source: seed "Deregistration Rules": two hours of credit, of proof validity
// and of least credit, at two minutes a block; DESIGN.md section 6 for the
// blocks that testers take. The first row is the story in docs/commands.md.
func TestOutageOf(t *testing.T) {
	never := state.NoHeight
	active := state.Node{ActiveSince: 0, CreditBase: 60, DecommissionedHeight: never, LastDecommission: never}
	down := active
	down.DecommissionedHeight, down.LastDecommission, down.Cause = 683, 683, wire.FailsUptime
	back := active
	back.ActiveSince, back.LastDecommission, back.CreditBase = 700, 683, 0
	fresh := active
	fresh.RegisteredHeight, fresh.ActiveSince = 1000, 1000
	late := active
	late.ActiveSince = math.MaxInt32 - 10
	for _, c := range []struct {
		name       string
		node       state.Node
		proof, tip int32
		want       forecast.Outage
	}{
		{"active, just proved", active, 621, 621, forecast.Outage{FailsAt: 682, Decommissioned: 683, Deregistered: 766, Unlocked: 766 + 21600, Left: 145}},
		{"its proof is nearly stale", active, 621, 681, forecast.Outage{FailsAt: 682, Decommissioned: 683, Deregistered: 766, Unlocked: 766 + 21600, Left: 85}},
		{"its proof is stale", active, 500, 681, forecast.Outage{FailsAt: 681, Decommissioned: 682, Deregistered: 765, Unlocked: 765 + 21600, Left: 84}},
		{"decommissioned", down, 621, 700, forecast.Outage{FailsAt: 700, Decommissioned: never, Deregistered: 766, Unlocked: 766 + 21600, Left: 66}},
		{"decommissioned, overdrawn", down, 621, 800, forecast.Outage{FailsAt: 800, Decommissioned: never, Deregistered: 801, Unlocked: 801 + 21600, Left: 1}},
		{"decommissioned, proves again", down, 760, 765, forecast.Outage{FailsAt: 821, Decommissioned: never, Deregistered: 822, Unlocked: 822 + 21600, Left: 57}},
		{"just back: no credit, no mercy", back, 700, 700, forecast.Outage{FailsAt: 761, Decommissioned: never, Deregistered: 762, Unlocked: 762 + 21600, Left: 62}},
		{"just registered, never heard: the draws before count for nothing", fresh, never, 1000,
			forecast.Outage{FailsAt: 1000, Decommissioned: 1014, Deregistered: 1075, Unlocked: 1075 + 21600, Left: 75}},
		{"at the end of heights", late, never, math.MaxInt32 - 5,
			forecast.Outage{FailsAt: math.MaxInt32 - 5, Decommissioned: math.MaxInt32, Deregistered: math.MaxInt32, Unlocked: math.MaxInt32, Left: 5}},
	} {
		if got := forecast.OutageOf(c.node, c.proof, c.tip, rules(t, "spec")); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
