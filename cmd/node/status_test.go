package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
)

var (
	someChain  = node.ChainStatus{Height: 100, Final: 97, Slot: 101, CurrentSlot: 101, TipAgeSeconds: 72.34, SlotSeconds: 120, Synced: true, View: "settled"}
	someProof  = forecast.Duty{Kind: forecast.Proof, Height: 110, From: 110, Until: 140, Chance: 1}
	someDuty   = forecast.Duty{Kind: forecast.Session, Type: 106, Height: 96, From: 96, Until: 106, All: true, Chance: 1}
	someWindow = node.AbsenceInfo{Seconds: 120, Blocks: 1, Window: &forecast.Window{Blocks: 1, From: 106, Until: 118}}
	safeNow    = node.AbsenceInfo{Seconds: 120, Blocks: 1, Safe: true, Window: &forecast.Window{Blocks: 1, From: 100, Until: 118}}
)

func someStatus(change func(*node.Status)) node.Status {
	s := node.Status{
		OK: true, Verdict: node.AllWell, ToDo: []string{}, Network: "devnet", Chain: someChain, Peers: node.PeerCount{All: 8, Inbound: 3}, Duties: []node.DutyInfo{}, Alarms: []node.AlarmInfo{},
		Service: &node.ServiceStatus{
			Name: "evo-1", ProTxHash: hashOf(1), Type: "evo", State: "active", Why: "since block 0", Credit: 63, CreditSeconds: 7560, ProofAge: 20, ProofValidity: 60,
			PoSe:   &forecast.PoSe{Maximum: 100, Increase: 66, Failures: 2, SecondWithin: 32},
			IfDown: &forecast.Outage{FailsAt: 141, Decommissioned: 142, Deregistered: 207, Unlocked: 21807, Left: 107}, Restart: &safeNow,
		},
	}
	change(&s)
	return s
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		file string
		s    node.Status
		code int
	}{
		{"well", someStatus(func(s *node.Status) {
			s.Duties = []node.DutyInfo{{Duty: someDuty}, {Duty: someProof, In: 10}}
		}), exitOK},
		{"observer", someStatus(func(s *node.Status) { s.Service = nil }), exitOK},
		{"troubled", someStatus(func(s *node.Status) {
			s.OK, s.ToDo = false, []string{"No peer has completed the handshake.", "It is decommissioned.", "Its flag is set."}
			s.Verdict = s.ToDo[0]
			s.Chain.Synced, s.Chain.View, s.Peers = false, "not-synced", node.PeerCount{}
			s.Service.State, s.Service.Why, s.Service.PlatformBanFlag, s.Service.ProofAge = "decommissioned", "since block 90 for fails-uptime", true, -1
			s.Service.PoSe = &forecast.PoSe{Score: 66, Maximum: 100, Increase: 66, Failures: 1, OneBansFor: 32, ZeroIn: 66}
			s.Service.IfDown.Decommissioned, s.Service.Restart = state.NoHeight, &someWindow
			s.Alarms = []node.AlarmInfo{{Kind: engine.AlarmReorg, Count: 2, Last: time.Unix(1000, 0).UTC(), Height: 99, Text: "1 blocks below"}, {Kind: engine.AlarmMisconduct, Count: 1, Last: time.Unix(900, 0).UTC(), Height: 80, Text: "two answers"}}
		}), exitFailed},
		{"unregistered", someStatus(func(s *node.Status) {
			s.OK, s.ToDo, s.Verdict = false, []string{"It is not registered."}, "It is not registered."
			s.Service = &node.ServiceStatus{ProTxHash: hashOf(3), State: "unregistered", Why: "no block has registered it", ProofAge: -1, Restart: &safeNow}
		}), exitFailed},
	} {
		t.Run(c.file, func(t *testing.T) {
			at := serve(t, []api.Method{says("status", c.s)}, nil)
			o := proctor(t, "status", "--config", at)
			if o.code != c.code || o.stderr != "" || !strings.HasPrefix(o.stdout, c.s.Verdict+"\n") {
				t.Errorf("exit code %d, want %d; stderr %q; stdout:\n%s", o.code, c.code, o.stderr, o.stdout)
			}
			golden(t, "status-"+c.file+".txt", o.stdout)
			j := proctor(t, "status", "--config", at, "--json")
			var got node.Status
			if err := json.Unmarshal([]byte(j.stdout), &got); err != nil || j.code != c.code || !reflect.DeepEqual(got, c.s) {
				t.Errorf("JSON, exit code %d, %v, shows %+v, want %+v", j.code, err, got, c.s)
			}
		})
	}
}

func TestForecast(t *testing.T) {
	meetings := []forecast.Meeting{
		{Type: 106, Name: "llmq_test_platform", Base: 96, KnownAt: 88, Known: true, Chance: 1, Index: 3, Phase: "complain", Phases: []int32{96, 98, 100, 102, 104, 106, 108}},
		{Type: 106, Name: "llmq_test_platform", Base: 120, KnownAt: 112, Chance: 0.923, Index: -1, Phases: []int32{120, 122, 124, 126, 128, 130, 132}},
		{Type: 100, Name: "llmq_test", Base: 96, KnownAt: 88, Known: true, Index: -1, Phase: "complain", Phases: []int32{96, 98, 100, 102, 104, 106, 108}},
	}
	duties := []forecast.Duty{
		{Kind: forecast.Answer, Height: 90, From: 102, Until: 148, Chance: 1}, {Kind: forecast.Checkpoint, Height: 100, From: 101, Until: 111, Chance: 1}, someDuty, someProof,
		{Kind: forecast.Checkpoint, Height: 104, From: 105, Until: 115, Chance: 0.25},
	}
	var many []forecast.Duty
	for i := range int32(20) {
		many = append(many, forecast.Duty{Kind: forecast.Proof, Height: 110 + 30*i, From: 110 + 30*i, Until: 140 + 30*i, Chance: 1})
	}
	info := func(change func(*node.ForecastInfo)) node.ForecastInfo {
		f := node.ForecastInfo{Name: "evo-1", SlotSeconds: 120, Synced: true, Restart: someWindow, Forecast: forecast.Forecast{
			Height: 100, ProTxHash: hashOf(1), Registered: true, Service: state.Active, Credit: 63, ProofAge: 20,
			PoSe: &forecast.PoSe{Maximum: 100, Increase: 66, Failures: 2, SecondWithin: 32}, IfDown: &forecast.Outage{FailsAt: 141, Decommissioned: 142, Deregistered: 207, Unlocked: 21807, Left: 107},
			ExitHeight: -1, Unlock: -1, NextTest: 101, Horizon: 160,
			Quorums: []forecast.Membership{{Type: 106, Hash: hashOf(7), Index: 2, Valid: true}, {Type: 106, Hash: hashOf(8), Index: 0}}, Sessions: meetings, Duties: duties,
		}}
		change(&f)
		return f
	}
	for _, c := range []struct {
		file string
		f    node.ForecastInfo
	}{
		{"active", info(func(*node.ForecastInfo) {})},
		{"exiting", info(func(f *node.ForecastInfo) {
			f.ExitHeight, f.Duties, f.Restart = 4200, many, safeNow
			f.PoSe = &forecast.PoSe{Score: 100, Maximum: 100, Increase: 66, Banned: true}
		})},
		{"gone", node.ForecastInfo{SlotSeconds: 120, Restart: safeNow, Forecast: forecast.Forecast{
			Height: 100, ProTxHash: hashOf(2), ProofAge: -1, ExitHeight: -1, Unlock: 21807, NextTest: -1, Quorums: []forecast.Membership{}, Sessions: []forecast.Meeting{}, Duties: []forecast.Duty{}}}},
		{"observer", node.ForecastInfo{SlotSeconds: 120, Restart: safeNow, Forecast: forecast.Forecast{
			Height: 100, ProofAge: -1, ExitHeight: -1, Unlock: -1, NextTest: -1, Quorums: []forecast.Membership{}, Sessions: []forecast.Meeting{}, Duties: []forecast.Duty{}}}},
		{"no-window", info(func(f *node.ForecastInfo) { f.Restart = node.AbsenceInfo{Seconds: 3600, Blocks: 30, Longest: 12} })},
		{"perhaps-a-window", info(func(f *node.ForecastInfo) {
			f.Restart = node.AbsenceInfo{Seconds: 3600, Blocks: 30, Open: true, Longest: 12}
		})},
	} {
		t.Run(c.file, func(t *testing.T) {
			at := serve(t, []api.Method{says("forecast", c.f)}, nil)
			o := proctor(t, "forecast", "--config", at)
			o.wantOK(t)
			golden(t, "forecast-"+c.file+".txt", o.stdout)
			var got node.ForecastInfo
			exactly(t, proctor(t, "forecast", "--config", at, "--json"), &got)
			if !reflect.DeepEqual(got, c.f) {
				t.Errorf("JSON shows %+v, want %+v", got, c.f)
			}
		})
	}
}

// What is asked for reaches the node; what makes no sense does not.
func TestForecast_Asks(t *testing.T) {
	var asked []string
	at := serve(t, []api.Method{{Name: "forecast", Usage: "X", Call: func(_ context.Context, p api.Params) (any, error) {
		text, err := json.Marshal(p)
		asked = append(asked, string(text))
		if err == nil {
			err = api.Invalid("no such node")
		}
		return nil, err
	}}}, nil)
	proctor(t, "forecast", "--config", at).wantError(t, exitFailed, "no such node")
	proctor(t, "forecast", "evo-2", "--for", "1500ms", "--config", at).wantError(t, exitFailed, "no such node")
	proctor(t, "wait-safe", "--for", "168h", "--config", at).wantError(t, exitFailed, "no such node")
	if want := []string{`[null,120]`, `["evo-2",2]`, `[null,604800]`}; !reflect.DeepEqual(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}
	for _, args := range [][]string{
		{"forecast", "a", "b"}, {"forecast", ""}, {"forecast", "--for", "0s"}, {"forecast", "--for", "169h"}, {"forecast", "--for", "2"}, {"status", "x"},
		{"wait-safe", "evo-1"}, {"wait-safe", "--for", "-1s"}, {"wait-safe", "--timeout", "0s"}, {"wait-safe", "--timeout", "soon"}, {"status", "--config", "none.toml"},
	} {
		proctor(t, args...).wantError(t, exitUnusable)
	}
	if len(asked) != 3 {
		t.Errorf("the node was asked %q", asked)
	}
}

// It waits until the window begins, says for what, and gives up in time.
func TestWaitSafe(t *testing.T) {
	script := func(answers ...node.ForecastInfo) string {
		i := -1
		return serve(t, []api.Method{{Name: "forecast", Usage: "X", Call: func(context.Context, api.Params) (any, error) {
			i = min(i+1, len(answers)-1)
			answers[i].SlotSeconds = 0.001
			return answers[i], nil
		}}}, nil)
	}
	busy := node.ForecastInfo{Synced: true, Restart: someWindow, Forecast: forecast.Forecast{Height: 100, Duties: []forecast.Duty{someProof, someDuty}}}
	behind := node.ForecastInfo{Restart: someWindow, Forecast: forecast.Forecast{Height: 99}}
	safe := node.ForecastInfo{Synced: true, Restart: safeNow, Forecast: forecast.Forecast{Height: 106}}
	hopeless := node.ForecastInfo{Synced: true, Restart: node.AbsenceInfo{Seconds: 120, Blocks: 120, Longest: 13}, Forecast: forecast.Forecast{Height: 100}}
	open := hopeless
	open.Restart.Open = true

	o := proctor(t, "wait-safe", "--config", script(behind, busy, busy, open, safe))
	if o.code != exitOK || o.stdout != "restart: one of 2m0s, which is 1 block, is safe now, up to height 118\n" || strings.Count(o.stderr, "\n") != 3 {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", o.code, o.stdout, o.stderr)
	}
	for _, words := range []string{"height 99: the node is not synced", "height 100: one of 2m0s", "is safe from height 106", "make a quorum of type 106, session 96", "if the node is not drawn"} {
		if !strings.Contains(o.stderr, words) {
			t.Errorf("stderr lacks %q:\n%s", words, o.stderr)
		}
	}
	var window node.AbsenceInfo
	exactly(t, proctor(t, "wait-safe", "--json", "--config", script(safe)), &window)
	if !reflect.DeepEqual(window, safeNow) {
		t.Errorf("JSON shows %+v, want %+v", window, safeNow)
	}
	if o := proctor(t, "wait-safe", "--timeout", "150ms", "--config", script(busy)); o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, "not safe within 150ms: one of 2m0s") {
		t.Errorf("out of time: exit code %d, stdout %q, stderr:\n%s", o.code, o.stdout, o.stderr)
	}
	if o := proctor(t, "wait-safe", "--config", script(hopeless)); o.code != exitFailed || !strings.Contains(o.stderr, "not safe: none of 2m0s, which is 120 blocks, is safe; one of 13 blocks") {
		t.Errorf("without hope: exit code %d, stderr:\n%s", o.code, o.stderr)
	}
}

// probe asks a node beside its metrics.
func probe(t *testing.T, p *process, page string) (code int, body string) {
	t.Helper()
	r, err := scraper.Get(strings.TrimSuffix(p.page, "metrics") + page)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, strings.TrimSpace(string(text))
}

// Two real nodes of four: alone there is something to do, together there is
// not; a restart waits for the end of the session, and a long one for nothing.
func TestStatus_OfRealNodes(t *testing.T) {
	if _, err := build(); err != nil { // takes longer than the network may stand still
		t.Fatal(err)
	}
	n, err := testnet.NewNetwork(testnet.Options{Nodes: 4, Seed: 17, Profile: "spec", Slot: 250 * time.Millisecond, History: 50, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := testnet.NewCluster(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFiles(); err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return filepath.Join(c.NodeDir(i), testnet.ConfigFile) }
	first := start(t, "--config", at(0))
	if code, reasons := probe(t, first, "readyz"); code != http.StatusServiceUnavailable || !strings.Contains(reasons, "No peer") {
		t.Errorf("alone: /readyz answers %d %s", code, reasons)
	}
	if o := proctor(t, "status", "--config", at(0)); o.code != exitFailed || !strings.HasPrefix(o.stdout, "No peer") {
		t.Errorf("alone: exit code %d, stdout:\n%s\nstderr: %s", o.code, o.stdout, o.stderr)
	}
	start(t, "--config", at(1))
	var o outcome
	for end := time.Now().Add(limit); o.code != exitOK || o.stdout == ""; time.Sleep(50 * time.Millisecond) { // a node takes so many calls a second only
		if o = proctor(t, "status", "--config", at(1)); time.Now().After(end) {
			t.Fatalf("waited %s for nothing to do: %s%s", limit, o.stdout, o.stderr)
		}
	}
	for _, words := range []string{node.AllWell + "\n", "evo-2, evo on devnet", "peers     1", "active, since block 0", "score 0 of 100", "no ban", "make a quorum of type 106"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("status lacks %q:\n%s", words, o.stdout)
		}
	}
	for _, page := range []string{"livez", "readyz"} {
		if code, reasons := probe(t, first, page); code != http.StatusOK || reasons != "[]" {
			t.Errorf("together: /%s answers %d %s", page, code, reasons)
		}
	}
	o = proctor(t, "forecast", "--config", at(1))
	o.wantOK(t)
	for _, words := range []string{"evo-2, active", "llmq_test_platform, session", "deregistered at height", "signs in", "tested"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("forecast lacks %q:\n%s", words, o.stdout)
		}
	}
	if o := proctor(t, "wait-safe", "--for", "1m", "--config", at(1)); o.code != exitFailed || !strings.Contains(o.stderr, "which is 240 blocks, is safe; one of 1") {
		t.Errorf("a minute: exit code %d, stderr:\n%s", o.code, o.stderr)
	}
	o = proctor(t, "wait-safe", "--for", "1s", "--json", "--config", at(1))
	var a node.AbsenceInfo
	if err := json.Unmarshal([]byte(o.stdout), &a); err != nil || o.code != exitOK || !a.Safe || a.Blocks != 4 {
		t.Fatalf("a second: exit code %d, %v, %+v; stderr:\n%s", o.code, err, a, o.stderr)
	}
	if into := a.Window.From % 24; into < 10 || a.Window.Until%24 != 19 { // sessions begin every 24 blocks; 4 blocks later there must be none
		t.Errorf("the window is %+v", a.Window)
	}
}
