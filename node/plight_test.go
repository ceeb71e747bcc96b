package node

import (
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// Every thing to do names what to do; the most urgent comes first.
func TestPlight(t *testing.T) {
	active := func(change ...func(*plight)) plight {
		p := plight{name: "evo-1", registered: true, signs: true, silence: 30, rules: params.Service{ProofEvery: 30, ProofValidity: 60}, wanted: 1000, down: &forecast.Outage{Deregistered: 766}}
		p.node = state.Node{ActiveSince: 12, DecommissionedHeight: state.NoHeight, PoSe: state.NoPoSe()}
		for _, f := range change {
			f(&p)
		}
		return p
	}
	banned := func(p *plight) { p.node.PoSe = p.node.PoSe.Ban(90) }
	flagged := func(p *plight) { p.flag = true }
	keyless := func(p *plight) { p.signs = false }
	silent := func(p *plight) { p.silence = 33 }
	sick := func(p *plight) { p.health = []string{"No peer"} }
	for _, c := range []struct {
		name       string
		p          plight
		state, why string
		todo       []string // words of each thing to do
	}{
		{"observer", plight{observer: true}, "unregistered", "", nil},
		{"observer without peers", plight{observer: true, health: []string{"No peer"}}, "unregistered", "", []string{"No peer"}},
		{"well", active(), "active", "since block 12", nil},
		{"its proof is due", active(func(p *plight) { p.silence = 32 }), "active", "", nil},
		{"silent", active(silent), "active", "", []string{"p2p.announce"}},
		{"silent for want of peers", active(silent, sick), "active", "", []string{"No peer"}},
		{"unregistered", plight{name: "evo-1"}, "unregistered", "no block", []string{"proctor event register"}},
		{"deregistered", plight{tombstone: &state.Tombstone{Deregistered: true, Height: 40, UnlockHeight: 90, Cause: wire.FailsUptime}}, "gone", "in block 40 for fails-uptime", []string{"free from block 90"}},
		{"left", plight{tombstone: &state.Tombstone{Height: 40}}, "gone", "left in good order in block 40", []string{"take protx_hash out"}},
		{"revoked", active(banned, func(p *plight) { p.node.Revoked = true }), "active", "PoSe-banned since block 90", []string{"proctor event exit --node evo-1"}},
		{"awaiting", active(silent, func(p *plight) {
			p.node.ActiveSince = state.NoHeight
			p.node.Stakes = []state.Pledge{{Amount: 400}}
		}), "awaiting", "400 of 1000", []string{"awaits 600 more"}},
		{"decommissioned", active(func(p *plight) { p.node.DecommissionedHeight, p.node.Cause = 683, wire.FailsUptime }), "decommissioned", "since block 683 for fails-uptime",
			[]string{"from block 766 on"}},
		{"decommissioned for a hash", active(func(p *plight) { p.node.DecommissionedHeight, p.node.Cause = 683, wire.FailsCheckpoint }), "decommissioned", "fails-checkpoint",
			[]string{"the last 2 block hashes"}},
		{"banned", active(banned), "active", "PoSe-banned since block 90", []string{"revive it: `proctor event update-service --node evo-1"}},
		{"flagged, spec", active(flagged), "active", "", []string{"vote it out"}},
		{"flagged, core", active(flagged, func(p *plight) { p.clears = true }), "active", "", []string{"clear the flag: `proctor"}},
		{"no key", active(keyless), "active", "", []string{"set operator_key"}},
		{"all at once", active(sick, banned, flagged, keyless), "active", "", []string{"No peer", "revive", "clear the flag", "operator_key"}},
	} {
		got := c.p.toDo()
		ok := len(got) == len(c.todo) && c.p.state() == c.state && strings.Contains(c.p.why(), c.why)
		for i := range c.todo {
			ok = ok && strings.Contains(got[i], c.todo[i])
		}
		if !ok {
			t.Errorf("%s: %s, %q: %q; want %s, %q: %q", c.name, c.p.state(), c.p.why(), got, c.state, c.why, c.todo)
		}
	}
}

func TestAlarms(t *testing.T) {
	var a alarms
	if list := a.list(); list == nil || len(list) != 0 {
		t.Errorf("at first: %v", list)
	}
	at := time.Unix(1000, 0).UTC()
	a.note(engine.Alarm{Kind: engine.AlarmReorg, Text: "first"}, 5, at)
	a.note(engine.Alarm{Kind: engine.AlarmCheckpoint, Text: "other"}, 6, at.Add(time.Second))
	a.note(engine.Alarm{Kind: engine.AlarmReorg, Text: "second"}, 7, at.Add(time.Minute))
	want := []AlarmInfo{{engine.AlarmReorg, 2, at.Add(time.Minute), 7, "second"}, {engine.AlarmCheckpoint, 1, at.Add(time.Second), 6, "other"}}
	if list := a.list(); len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("alarms %+v, want %+v", list, want)
	}
}
