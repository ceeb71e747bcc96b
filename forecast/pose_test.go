package forecast_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

func profile(t interface{ Fatal(...any) }, name string) params.Profile {
	p, err := params.ProfileByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Source: spec/dash.md 2.1 and 11.8; in profile spec the published table, which
// counts two thirds.
func TestPoSeOf(t *testing.T) {
	for _, c := range []struct {
		name       string
		profile    string
		registered int
		score      int32
		want       forecast.PoSe
	}{
		{"clean, least maximum", "core", 3, 0, forecast.PoSe{Maximum: 100, Increase: 66, Failures: 2, SecondWithin: 32}},
		{"clean, 103 nodes", "core", 103, 0, forecast.PoSe{Maximum: 103, Increase: 67, Failures: 2, SecondWithin: 31}},
		{"clean, 5000 nodes: in block 1601 it bans, in 1602 not", "core", 5000, 0, forecast.PoSe{Maximum: 5000, Increase: 3300, Failures: 2, SecondWithin: 1600}},
		{"clean, 5000 nodes by two thirds", "spec", 5000, 0, forecast.PoSe{Maximum: 5000, Increase: 3333, Failures: 2, SecondWithin: 1666}},
		{"after a failure", "core", 5000, 3300, forecast.PoSe{Score: 3300, Maximum: 5000, Increase: 3300, Failures: 1, OneBansFor: 1600, ZeroIn: 3300}},
		{"one bans in the next block only", "core", 5000, 1701, forecast.PoSe{Score: 1701, Maximum: 5000, Increase: 3300, Failures: 1, OneBansFor: 1, ZeroIn: 1701}},
		{"not even there", "core", 5000, 1700, forecast.PoSe{Score: 1700, Maximum: 5000, Increase: 3300, Failures: 2, SecondWithin: 3299, ZeroIn: 1700}},
	} {
		p := state.PoSe{Score: c.score, Height: 100, BanHeight: state.NoHeight}
		if got := forecast.PoSeOf(p, 100, c.registered, profile(t, c.profile)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	banned := forecast.PoSeOf(state.PoSe{Score: 100, Height: 5, BanHeight: 5}, 900, 10, profile(t, "core"))
	if want := (forecast.PoSe{Score: 100, Maximum: 100, Increase: 66, Banned: true}); banned != want {
		t.Errorf("banned: %+v, want %+v", banned, want)
	}
}

// What is foretold is what the rules then do, block by block.
func TestPoSeOf_ComesTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := profile(t, rapid.SampledFrom([]string{"spec", "core"}).Draw(t, "profile"))
		registered := rapid.IntRange(1, 6000).Draw(t, "registered")
		now := state.PoSe{Score: rapid.Int32Range(0, state.PoSeMaximum(registered)-1).Draw(t, "score"), Height: 50, BanHeight: state.NoHeight}
		const height = 60
		f := forecast.PoSeOf(now, height, registered, p)
		bans := func(heights ...int32) bool {
			then := now
			for _, h := range heights {
				then = then.Punish(h, registered, p)
			}
			return then.Banned()
		}
		if f.OneBansFor > 0 && !bans(height+f.OneBansFor) || bans(height+f.OneBansFor+1) {
			t.Errorf("%+v: one failure bans for other than %d blocks", f, f.OneBansFor)
		}
		if f.OneBansFor == 0 && (f.SecondWithin > 0 && !bans(height+1, height+1+f.SecondWithin) || bans(height+1, height+2+f.SecondWithin)) {
			t.Errorf("%+v: a second failure bans within other than %d blocks", f, f.SecondWithin)
		}
		many := make([]int32, f.Failures)
		for i := range many {
			many[i] = height + 1
		}
		if !bans(many...) || bans(many[1:]...) {
			t.Errorf("%+v: %d failures are not what it takes", f, f.Failures)
		}
		if now.At(height+f.ZeroIn) != 0 || f.ZeroIn > 0 && now.At(height+f.ZeroIn-1) == 0 {
			t.Errorf("%+v: not 0 just after %d blocks", f, f.ZeroIn)
		}
	})
}
