// Package docs holds the tables of the documentation to the code.
package docs

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
)

var update = flag.Bool("update", false, "rewrite the tables")

func TestTables(t *testing.T) {
	for _, c := range []struct {
		file, table string
		rows        func(*testing.T) [][]string
	}{
		{"configuration.md", "settings", settings},
		{"verdicts.md", "verdicts", verdicts},
		{"metrics.md", "metrics", metrics},
		{"commands.md", "methods", methods},
		{"operations.md", "alerts", alerts},
		{"operations.md", "reasons", reasons},
	} {
		old, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		place := regexp.MustCompile(`(?s)(<!-- table:` + c.table + ` -->\n).*?(<!-- /table -->)`)
		if !place.Match(old) {
			t.Errorf("%s has no place for the table %q", c.file, c.table)
			continue
		}
		text := strings.ReplaceAll(markdown(c.rows(t)), "$", "$$")
		fresh := place.ReplaceAllString(string(old), "${1}"+text+"${2}")
		if fresh == string(old) {
			continue
		}
		if !*update {
			t.Errorf("%s is stale: run go test ./docs -update", c.file)
			continue
		}
		if err := os.WriteFile(c.file, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// markdown makes a table; the first row is its head.
func markdown(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(&b, strings.Repeat("|---", len(row))+"|")
		}
	}
	return b.String()
}

func code(s string) string { return "`" + s + "`" }

func settings(*testing.T) [][]string {
	rows := [][]string{{"Key", "Variable", "Default", "Meaning"}}
	defaults := config.Default()
	for _, s := range config.Settings() {
		value := "empty"
		if v := s.Value(&defaults); v != "" {
			value = code(v)
		}
		rows = append(rows, []string{code(s.Key), code(s.Env()), value, s.Help})
	}
	return rows
}

func verdicts(t *testing.T) [][]string {
	profile := func(name string) params.Profile {
		p, err := params.ProfileByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	yes := map[bool]string{true: "yes", false: "no"}
	rows := [][]string{{"Reason", "Of", "Condition", "To pubsub", "Points", "Received: spec", "core", "Metric"}}
	for _, r := range validation.Table() {
		about := kind(t, r.Reason)
		metric := code(fmt.Sprintf("proctor_gossip_judged_total{outcome=%q,reason=%q}", r.Outcome, r.Reason))
		switch {
		case r.Reason == validation.Operator:
			metric = code("proctor_peer_bans_total{reason=\"operator\"}")
		case about == "share":
			metric = code(fmt.Sprintf("proctor_sig_shares_total{outcome=%q,reason=%q}", r.Outcome, r.Reason))
		case about == "request":
			metric = ""
		}
		var spec, core string // only bans are received, and only what is one
		if about == "ban" || about == "all" && r.Reason != validation.Malformed {
			spec, core = yes[r.Reason.Received(profile("spec"))], yes[r.Reason.Received(profile("core"))]
		}
		rows = append(rows, []string{
			code(string(r.Reason)), about, r.When, r.Outcome.String(), fmt.Sprint(r.Points), spec, core, metric,
		})
	}
	return rows
}

// kind says what is judged so: a message of every topic or of one, or none.
func kind(t *testing.T, r validation.Reason) string {
	for kind, reasons := range map[string][]validation.Reason{
		"all": {validation.Valid, validation.Malformed, validation.Duplicate, validation.NotSynced, validation.Unsure, validation.Rate, validation.Overload, validation.Internal},
		"ban": {
			validation.ForgedTwin, validation.Ahead, validation.UnknownNode, validation.RegularNode, validation.HeightNear, validation.HeightFar,
			validation.UnknownQuorum, validation.SignatureEncoding, validation.Signature, validation.Stale,
		},
		"event": {validation.PoolFull},
		"peer":  {validation.Handshake, validation.Operator},
	} {
		if slices.Contains(reasons, r) {
			return kind
		}
	}
	kind, _, _ := strings.Cut(string(r), "-")
	if !slices.Contains([]string{"block", "event", "proof", "vote", "checkpoint", "dkg", "commitment", "share", "recovered", "request"}, kind) {
		t.Errorf("reason %s is of no kind of message", r)
	}
	return kind
}

// aNode is one that is never run.
func aNode(t *testing.T) *node.Node {
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 4, Profile: "spec", Slot: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{
		Genesis:   network.Genesis,
		Identity:  network.Members[0].Service,
		ProTxHash: network.Members[0].ProTxHash, // what it exports of itself is documented too
		DataDir:   t.TempDir(),
		Listen:    []string{"/ip4/127.0.0.1/tcp/0"},
		Log:       slog.New(slog.DiscardHandler),

		APIAddress: "127.0.0.1:0",
		APICookie:  filepath.Join(t.TempDir(), "cookie"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func methods(t *testing.T) [][]string {
	n := aNode(t)
	defer n.Close()
	rows := [][]string{{"Method", "Parameters", "What it does"}}
	for _, m := range n.Methods() {
		usage := "none"
		if m.Usage != "" {
			usage = code(strings.ReplaceAll(strings.ReplaceAll(m.Usage, " | ", "` or `"), "|", `\|`)) // a bar ends a cell
		}
		rows = append(rows, []string{code(m.Name), usage, m.Help})
	}
	return rows
}

// metrics asks a node for what it exports.
func metrics(t *testing.T) [][]string {
	n := aNode(t)
	defer n.Close()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]string{{"Name", "Type", "Labels", "Meaning"}}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "proctor_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, code(l.GetName()))
		}
		rows = append(rows, []string{code(f.GetName()), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()})
	}
	return rows
}

// Links between documents, and from the README, lead somewhere.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	runbooks, err := filepath.Glob("runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, file := range slices.Concat(files, more, runbooks, []string{"../README.md"}) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}
