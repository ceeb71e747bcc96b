package quorum

import (
	"slices"
	"testing"
)

// Source: DESIGN.md section 6, rule 4; spec/oxen.md 10.4 numbers 11 and 18.
func TestVitals_Ailment(t *testing.T) {
	well := Vitals{SlotsBehind: 1, Peers: 8, Others: 20, Active: 18, Fresh: 18, Missed: 1000, Since: 60}
	for _, tc := range []struct {
		name   string
		change func(v *Vitals)
		want   Ailment
	}{
		{"well", func(*Vitals) {}, Sound},
		{"three slots behind", func(v *Vitals) { v.SlotsBehind = 3 }, Sound},
		{"four slots behind", func(v *Vitals) { v.SlotsBehind = 4 }, TipOld},
		{"three peers", func(v *Vitals) { v.Peers = 3 }, Sound},
		{"two peers", func(v *Vitals) { v.Peers = 2 }, FewPeers},
		{"two peers of two", func(v *Vitals) { v.Peers, v.Others, v.Active, v.Fresh = 2, 2, 2, 2 }, Sound},
		{"one peer of two", func(v *Vitals) { v.Peers, v.Others, v.Active, v.Fresh = 1, 2, 2, 2 }, FewPeers},
		{"half of the proofs", func(v *Vitals) { v.Fresh = 9 }, FewProofs},
		{"one more than half", func(v *Vitals) { v.Fresh = 10 }, Sound},
		{"no other is active", func(v *Vitals) { v.Active, v.Fresh = 0, 0 }, FewProofs},
		{"alone", func(v *Vitals) { *v = Vitals{} }, Sound},
		{"59 blocks after a long absence", func(v *Vitals) { v.Since = 59 }, WarmingUp},
		{"as many as were missed", func(v *Vitals) { v.Missed, v.Since = 5, 5 }, Sound},
		{"one fewer", func(v *Vitals) { v.Missed, v.Since = 5, 4 }, WarmingUp},
		{"nothing missed", func(v *Vitals) { v.Missed, v.Since = 0, 0 }, Sound},
		{"everything wrong", func(v *Vitals) { *v = Vitals{SlotsBehind: 9, Others: 9, Active: 9, Missed: 9} }, TipOld},
	} {
		v := well
		tc.change(&v)
		got := v.Ailment()
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if got != Sound && !slices.Contains(Ailments(), got) {
			t.Errorf("%s: %q is not listed", tc.name, got)
		}
	}
}
