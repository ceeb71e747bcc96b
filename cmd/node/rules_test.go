package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// exactly decodes what a command printed into v, which must have every key.
func exactly(t testing.TB, o outcome, v any) {
	t.Helper()
	o.wantOK(t)
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.More() {
		t.Fatalf("proctor %.200q: stdout is not one JSON value of that form: %v\n%s", o.args, err, o.stdout)
	}
}

func TestRulesCredit(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		active, down int
		more         string
		credit       int
		ifFailing    string
	}{
		// Source: spec/oxen.md 2.3.
		{0, never, "", 60, "decommissioned"},
		{29, never, "", 60, "decommissioned"},
		{30, never, "", 61, "decommissioned"},
		{59, never, "", 61, "decommissioned"},
		{60, never, "", 62, "decommissioned"},
		{719, never, "", 83, "decommissioned"},
		{720, never, "", 84, "decommissioned"},
		{1800, never, "", 120, "decommissioned"},
		{7200, never, "", 300, "decommissioned"},
		{21600, never, "", 780, "decommissioned"},
		{41399, never, "", 1439, "decommissioned"},
		{41400, never, "", 1440, "decommissioned"},
		{41430, never, "", 1440, "decommissioned"},
		{maxBlocks, never, "", 1440, "decommissioned"},

		// Source: spec/oxen.md 10.4, 1 to 4.
		{0, never, "--credit-at-start 59", 59, "deregistered"},
		{0, never, "--credit-at-start 60", 60, "decommissioned"},
		{0, never, "--credit-at-start 0", 0, "deregistered"},
		{1799, never, "--credit-at-start 0", 59, "deregistered"},
		{1800, never, "--credit-at-start 0", 60, "decommissioned"},
		{839, never, "--credit-at-start 32 --profile core", 59, "deregistered"},
		{840, never, "--credit-at-start 32 --profile core", 60, "decommissioned"},
		{0, never, "--credit-at-start 1440", 1440, "decommissioned"},

		// Given, even as 0, it says that the node is decommissioned.
		{60, 0, "", 62, "nothing"},
		{0, 0, "--credit-at-start 0", 0, "nothing"},
		{60, 1, "", 61, "nothing"},
		{60, 62, "", 0, "nothing"},
		{60, 63, "", -1, "deregistered"},
		{60, 562, "", -500, "deregistered"},
		{50000, 1440, "", 0, "nothing"}, // the cap comes before the downtime
		{50000, 1441, "", -1, "deregistered"},
		{maxBlocks, maxBlocks, "", 1440 - maxBlocks, "deregistered"},
	} {
		args := append([]string{"rules", "credit", "--json", "--active", fmt.Sprint(c.active)}, strings.Fields(c.more)...)
		if c.down != never {
			args = append(args, "--decommissioned", fmt.Sprint(c.down))
		}
		var got struct {
			Credit       int    `json:"credit"`
			IfFailingNow string `json:"if_failing_now"`
		}
		exactly(t, proctor(t, args...), &got)
		if got.Credit != c.credit || got.IfFailingNow != c.ifFailing {
			t.Errorf("%q: %d, %s; want %d, %s", args, got.Credit, got.IfFailingNow, c.credit, c.ifFailing)
		}
	}
	o := proctor(t, "rules", "credit", "--active", "60", "--decommissioned", "63")
	o.wantOK(t)
	if want := "credit          -1 blocks = 60 at the start + 2 earned in 60 active blocks - 63 blocks decommissioned\nif failing now  deregistered\n"; o.stdout != want {
		t.Errorf("stdout %q, want %q", o.stdout, want)
	}
}

// poseRows writes rows as "height event change score status".
func poseRows(events []PoSeEvent) (rows []string) {
	for _, e := range events {
		rows = append(rows, fmt.Sprint(e.Height, " ", e.Event, " ", e.Change, " ", e.Score, " ", e.Status))
	}
	return rows
}

func TestRulesPoSe(t *testing.T) {
	for _, c := range []struct {
		name, args string
		want       []string
		end        string
	}{
		// Every row of the table in seed "Dash Proof of Service".
		{"the published table", "--nodes 5000 --fail 1,1734,5500,7000 --until 10000", []string{
			"1 dkg-failure 3333 3333 valid",
			"1734 blocks -1733 1600 valid",
			"1734 dkg-failure 3333 4933 valid",
			"5000 blocks -3266 1667 valid",
			"5500 blocks -500 1167 valid",
			"5500 dkg-failure 3333 4500 valid",
			"7000 blocks -1500 3000 valid",
			"7000 dkg-failure 3333 6333 banned",
			"10000 blocks 0 6333 banned",
		}, "6333 banned"},
		{"its first cycle", "--nodes 5000 --fail 1,1734 --until 5000", []string{
			"1 dkg-failure 3333 3333 valid",
			"1734 blocks -1733 1600 valid",
			"1734 dkg-failure 3333 4933 valid",
			"5000 blocks -3266 1667 valid",
		}, "1667 valid"},
		// Source: spec/dash.md 11.8.
		{"the same by the software", "--nodes 5000 --fail 1,1734,5500,7000 --until 10000 --profile core", []string{
			"1 dkg-failure 3300 3300 valid",
			"1734 blocks -1733 1567 valid",
			"1734 dkg-failure 3300 4867 valid",
			"5000 blocks -3266 1601 valid",
			"5500 blocks -500 1101 valid",
			"5500 dkg-failure 3300 4401 valid",
			"7000 blocks -1500 2901 valid",
			"7000 dkg-failure 2099 5000 banned",
			"10000 blocks 0 5000 banned",
		}, "5000 banned"},
		{"soon enough to ban", "--nodes 5000 --fail 1,1601 --until 1601 --profile core", []string{
			"1 dkg-failure 3300 3300 valid",
			"1601 blocks -1600 1700 valid",
			"1601 dkg-failure 3300 5000 banned",
		}, "5000 banned"},
		{"one block later", "--nodes 5000 --fail 1,1602 --until 1602 --profile core", []string{
			"1 dkg-failure 3300 3300 valid",
			"1602 blocks -1601 1699 valid",
			"1602 dkg-failure 3300 4999 valid",
		}, "4999 valid"},
		{"twice in one block", "--nodes 100 --fail 24,24 --until 30 --profile core", []string{
			"24 dkg-failure 66 66 valid",
			"24 dkg-failure 34 100 banned",
			"30 blocks 0 100 banned",
		}, "100 banned"},
		{"a banned node fails on", "--nodes 100 --fail 24,24,48 --until 48", []string{
			"24 dkg-failure 66 66 valid",
			"24 dkg-failure 66 132 banned",
			"48 dkg-failure 66 198 banned",
		}, "198 banned"},
		{"the floor of 100", "--nodes 3 --fail 3 --until 9", []string{
			"3 dkg-failure 66 66 valid",
			"6 blocks -3 63 valid",
			"9 blocks -3 60 valid",
		}, "60 valid"},
		{"not below zero", "--nodes 1000 --fail 1 --until 1000000000", []string{
			"1 dkg-failure 666 666 valid",
			"1000 blocks -666 0 valid",
			"1000000000 blocks 0 0 valid",
		}, "0 valid"},
		{"at the first block of all", "--nodes 1000 --fail 0 --until 0", []string{"0 dkg-failure 666 666 valid"}, "666 valid"},
		{"a million nodes", "--nodes 1000000 --fail 7 --until 7 --profile core", []string{"7 dkg-failure 660000 660000 valid"}, "660000 valid"},
		{"a flag for each height, and blanks", "--nodes 1000 --fail 1 --fail 667 --until 667", []string{
			"1 dkg-failure 666 666 valid",
			"667 blocks -666 0 valid",
			"667 dkg-failure 666 666 valid",
		}, "666 valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got PoSeAnswer
			exactly(t, proctor(t, append([]string{"rules", "pose", "--json"}, strings.Fields(c.args)...)...), &got)
			if rows := poseRows(got.Events); !slices.Equal(rows, c.want) {
				t.Errorf("rows\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(c.want, "\n"))
			}
			if end := fmt.Sprint(got.Score, " ", got.Status); end != c.end {
				t.Errorf("at the end %s, want %s", end, c.end)
			}
			// The table for people says the same.
			o := proctor(t, append([]string{"rules", "pose"}, strings.Fields(c.args)...)...)
			o.wantOK(t)
			lines := strings.Split(strings.TrimSpace(o.stdout), "\n")[1:]
			for i, l := range lines {
				if got := strings.ReplaceAll(strings.Join(strings.Fields(l), " "), "+", ""); i >= len(c.want) || got != c.want[i] {
					t.Errorf("line %d is %q", i, l)
				}
			}
		})
	}
}

// The keys that scripts read.
func TestRules_KeysOfJSON(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"credit --active 0", "{\n  \"credit\": 60,\n  \"if_failing_now\": \"decommissioned\"\n}\n"},
		{"pose --nodes 9 --fail 1 --until 1", `{
  "events": [
    {
      "height": 1,
      "event": "dkg-failure",
      "change": 66,
      "score": 66,
      "status": "valid"
    }
  ],
  "score": 66,
  "status": "valid"
}
`},
	} {
		o := proctor(t, append(append([]string{"rules"}, strings.Fields(c.args)...), "--json")...)
		o.wantOK(t)
		if o.stdout != c.want {
			t.Errorf("rules %s prints %s, want %s", c.args, o.stdout, c.want)
		}
	}
}

func TestRules_WrongInput(t *testing.T) {
	const pose = "pose --nodes 100 --until 50 --fail "
	for _, c := range []struct {
		name, args string
		words      []string
	}{
		{"no active blocks", "credit", []string{"--active", "rules credit --help"}},
		{"active below zero", "credit --active -1", []string{"--active", `"-1"`, "0 to 1000000000"}},
		{"active too large", "credit --active 1000000001", []string{"--active", "0 to 1000000000"}},
		{"active beyond 64 bits", "credit --active 99999999999999999999", []string{"--active", "0 to 1000000000"}},
		{"active with a fraction", "credit --active 1.5", []string{"--active", `"1.5"`}},
		{"decommissioned below zero", "credit --active 1 --decommissioned -1", []string{"--decommissioned", `"-1"`, "0 to 1000000000"}},
		{"decommissioned too large", "credit --active 1 --decommissioned 2147483648", []string{"--decommissioned", "0 to 1000000000"}},
		{"credit below zero", "credit --active 1 --credit-at-start -1", []string{"--credit-at-start", "0 to 1440"}},
		{"credit above the cap", "credit --active 1 --credit-at-start 1441", []string{"--credit-at-start", `"1441"`, "0 to 1440"}},
		{"credit by an unknown profile", "credit --active 1 --profile x", []string{"--profile", `"x"`, "spec, core"}},
		{"a number without its flag", "credit 5", []string{`"5"`}},

		{"no nodes", "pose --fail 1 --until 2", []string{"--nodes"}},
		{"no failures", "pose --nodes 1 --until 2", []string{"--fail"}},
		{"no end", "pose --nodes 1 --fail 2", []string{"--until"}},
		{"zero nodes", "pose --nodes 0 --fail 1 --until 2", []string{"--nodes", `"0"`, "1 to 1000000"}},
		{"too many nodes", "pose --nodes 1000001 --fail 1 --until 2", []string{"--nodes", "1 to 1000000"}},
		{"until below zero", "pose --nodes 1 --fail 1 --until -2", []string{"--until", `"-2"`, "0 to 1000000000"}},
		{"until too large", "pose --nodes 1 --fail 1 --until 1000000001", []string{"--until", "0 to 1000000000"}},
		{"an empty list", "pose --nodes 1 --until 2 --fail=", []string{"--fail", `""`, "no height"}},
		{"a hole in the list", pose + "1,,2", []string{"--fail", `""`, "no height"}},
		{"a comma at the end", pose + "1,", []string{"--fail", "no height"}},
		{"no number in the list", pose + "1,x", []string{"--fail", `"x"`}},
		{"a height below zero", pose + "-1", []string{"--fail", `"-1"`, "0 to 1000000000"}},
		{"a height beyond 64 bits", pose + "18446744073709551616", []string{"--fail", "0 to 1000000000"}},
		{"heights that descend", pose + "2,1", []string{"--fail", "height 1 stands after 2", "ascend"}},
		{"heights that descend over two flags", pose + "2 --fail 1", []string{"--fail", "height 1 stands after 2"}},
		{"a height above the end", pose + "50,51", []string{"--fail", "height 51", "--until 50"}},
		{"too many heights", pose + strings.Repeat("1,", maxFailures) + "1", []string{"--fail", "more than 1000"}},
		{"pose by an unknown profile", pose + "1 --profile Core", []string{"--profile", `"Core"`, "spec, core"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proctor(t, append([]string{"rules"}, strings.Fields(c.args)...)...).wantError(t, exitUnusable, c.words...)
		})
	}
}
