package deploy_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/deploy"
	"github.com/proctornet/proctor/node"
)

// exported lists the label sets of every series that a member's node exports
// when it starts, where every label value is there.
func exported(t *testing.T) map[string][]map[string]string {
	t.Helper()
	w := write(t)
	m := w.Members[0]
	n, err := node.New(node.Config{
		Genesis: w.Genesis, Identity: m.Service, ProTxHash: m.ProTxHash, DataDir: t.TempDir(),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string][]map[string]string)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{"job": "proctor", "instance": "evo-1"} // of the scrape
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			for _, suffix := range suffixes(m.GetHistogram() != nil) {
				series[f.GetName()+suffix] = append(series[f.GetName()+suffix], labels)
			}
		}
	}
	if len(series) < 80 {
		t.Fatalf("a node exports %d series", len(series))
	}
	return series
}

func suffixes(histogram bool) []string {
	if histogram {
		return []string{"_bucket", "_sum", "_count"}
	}
	return []string{""}
}

// expression is a query and where it stands.
type expression struct{ place, text string }

var ruleForm = regexp.MustCompile(`(?m)^ +(?:- )?(record|alert|expr): (.*)$`)

// rules reads the rules and alerts of a file: names and expressions, in order.
func rules(t *testing.T, name string) (names []string, list []expression) {
	t.Helper()
	for _, m := range ruleForm.FindAllStringSubmatch(read(t, filepath.Join("cluster", "prometheus", name)), -1) {
		if m[1] != "expr" {
			names = append(names, m[2])
		} else {
			list = append(list, expression{names[len(names)-1], m[2]})
		}
	}
	if len(names) == 0 || len(names) != len(list) {
		t.Fatalf("%s has %d names and %d expressions", name, len(names), len(list))
	}
	return names, list
}

// queries reads the expressions of the dashboards' files.
func queries(t *testing.T) (list []expression) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dashboardsDir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, f := range files {
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
			Templating struct{ List []struct{ Query string } }
		}
		if err := json.Unmarshal([]byte(read(t, f)), &d); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				list = append(list, expression{filepath.Base(f) + ": " + p.Title, strings.ReplaceAll(q.Expr, "$node", ".*")})
			}
		}
		for _, v := range d.Templating.List {
			inside, ok := strings.CutPrefix(v.Query, "label_values(")
			if !ok {
				t.Errorf("%s: variable by %q", f, v.Query)
			}
			metric, _, _ := strings.Cut(inside, ",")
			list = append(list, expression{filepath.Base(f) + ": variable", metric})
		}
	}
	return list
}

// selector is a metric that an expression reads, and what its labels must be.
type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, operator, value string }

var (
	grouping     = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	duration     = regexp.MustCompile(`\[[^\]]*\]`)
	selectorForm = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(|\{[^}]*\})?`)
	matcherForm  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	operators    = []string{"and", "or", "unless", "bool"}
)

// selectors takes an expression apart, as far as ours go.
func selectors(text string) (found []selector) {
	text = duration.ReplaceAllString(grouping.ReplaceAllString(text, ""), "")
	for _, m := range selectorForm.FindAllStringSubmatch(text, -1) {
		if m[2] == "(" || slices.Contains(operators, m[1]) { // a function, an operator
			continue
		}
		s := selector{metric: m[1]}
		for _, l := range matcherForm.FindAllStringSubmatch(m[2], -1) {
			s.matchers = append(s.matchers, matcher{l[1], l[2], l[3]})
		}
		found = append(found, s)
	}
	return found
}

func (m matcher) takes(labels map[string]string) bool {
	value := labels[m.label]
	switch m.operator {
	case "=":
		return value == m.value
	case "!=":
		return value != m.value
	default:
		return regexp.MustCompile("^(?:"+m.value+")$").MatchString(value) == (m.operator == "=~")
	}
}

// Every metric that a rule, an alert or a panel reads is exported by a node,
// with the labels that it asks for, or is made by a rule or by Prometheus.
func TestQueries_ReadWhatNodesExport(t *testing.T) {
	series := exported(t)
	for _, own := range []string{"up", "ALERTS"} {
		series[own] = []map[string]string{{"job": "proctor", "instance": "evo-1", "alertstate": "firing"}}
	}
	recorded, list := rules(t, "rules.yml")
	for _, name := range recorded {
		series[name] = []map[string]string{{"job": "proctor", "instance": "evo-1"}}
	}
	_, alerts := rules(t, "alerts.yml")
	list = slices.Concat(list, alerts, queries(t))
	read := make(map[string]bool)
	for _, e := range list {
		all := selectors(e.text)
		if len(all) == 0 {
			t.Errorf("%s reads no metric: %s", e.place, e.text)
		}
		for _, s := range all {
			read[s.metric] = true
			if len(series[s.metric]) == 0 {
				t.Errorf("%s reads %s, which no node exports", e.place, s.metric)
			} else if !slices.ContainsFunc(series[s.metric], func(labels map[string]string) bool {
				return !slices.ContainsFunc(s.matchers, func(m matcher) bool { return !m.takes(labels) })
			}) {
				t.Errorf("%s reads %s with %v, which no node exports", e.place, s.metric, s.matchers)
			}
		}
	}
	for _, name := range recorded {
		if !read[name] {
			t.Errorf("nothing reads what the rule %s records", name)
		}
	}
}

// What takes expressions apart must find what is not exported.
func TestSelectors(t *testing.T) {
	for text, want := range map[string]string{
		`sum by (a, b) (rate(x_total{k="v",i=~".*"}[5m])) / ignoring (c) group_left () y`: "x_total k=v i=~.* y",
		`last_over_time(up{job="p"}[1d]) unless on (instance) (up{job!="p"} == 1)`:        "up job=p up job!=p",
		`histogram_quantile(0.9, sum by (le) (a_bucket)) > 40 or vector(0)`:               "a_bucket",
		`level:metric:op{a!~"x"} == 1`:                                                    "level:metric:op a!~x",
	} {
		var got []string
		for _, s := range selectors(text) {
			got = append(got, s.metric)
			for _, m := range s.matchers {
				got = append(got, m.label+m.operator+m.value)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Every alert has a page, a link to it, and a test; every page an alert.
func TestAlerts_HaveRunbooks(t *testing.T) {
	names, _ := rules(t, "alerts.yml")
	text, tests := read(t, "cluster/prometheus/alerts.yml"), read(t, "alerts_test.yml")
	for _, name := range names {
		page := "docs/runbooks/" + name + ".md"
		if !strings.Contains(text, "/"+page+"\n") {
			t.Errorf("alert %s does not name its page %s", name, page)
		}
		if body, err := os.ReadFile("../" + page); err != nil || !strings.HasPrefix(string(body), "# "+name+"\n") {
			t.Errorf("alert %s has no page: %v", name, err)
		}
		if !strings.Contains(tests, `"`+name+`"`) {
			t.Errorf("alert %s is not proven in alerts_test.yml", name)
		}
	}
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if name := strings.TrimSuffix(filepath.Base(p), ".md"); !slices.Contains(names, name) {
			t.Errorf("%s is of no alert", p)
		}
	}
	readme := read(t, filepath.Join(write(t).dir, "README.md"))
	for _, m := range regexp.MustCompile("alerts? `(\\w+)`(?: and `(\\w+)`)?").FindAllStringSubmatch(readme, -1) {
		for _, name := range m[1:] {
			if name != "" && !slices.Contains(names, name) {
				t.Errorf("README.md promises alert %s, which is not there", name)
			}
		}
	}
}

// promtool is part of Prometheus. Where CI is set it must be there.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is not there, and CI is set")
		}
		t.Skip("promtool is not there; deploy/prometheus-package.sh fetches it")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtool_TakesTheConfiguration(t *testing.T) {
	promtool(t, "check", "config", filepath.Join(write(t).dir, "prometheus", "prometheus.yml")) // and the rules that it names
}

func TestPromtool_ProvesTheAlerts(t *testing.T) { promtool(t, "test", "rules", "alerts_test.yml") }

// Status prints what a node's commands answer, by the names of their keys.
func TestCluster_ReadsWhatNodesAnswer(t *testing.T) {
	for _, c := range []struct{ answer, read any }{
		{node.Health{Healthy: true, Synced: true, Height: 7, Peers: 3, Problems: []string{"x"}}, new(deploy.Health)},
		{node.ServiceNode{Name: "evo-1", State: "active", Credit: 60, ProofAge: 4, PoSeBanned: true, PlatformBanFlag: true}, new(deploy.ServiceNode)},
	} {
		said, err := json.Marshal(c.answer)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(said, c.read); err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(c.read)
		if err != nil {
			t.Fatal(err)
		}
		var all, some map[string]any
		if json.Unmarshal(said, &all) != nil || json.Unmarshal(kept, &some) != nil {
			t.Fatal("an answer is no object")
		}
		for key, value := range some {
			if want, there := all[key]; !there || value == nil || value == false || value == "" || value == 0.0 {
				t.Errorf("%s is read as %v of %v", key, value, want)
			}
		}
	}
}
