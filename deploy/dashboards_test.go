package deploy_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the dashboards")

const dashboardsDir = "cluster/grafana/dashboards"

// dashboard is what differs from one of our dashboards to the next.
type dashboard struct {
	uid, title string
	perNode    bool // shows the nodes that the variable selects
	panels     []panel
}

// panel is one graph. Panels flow in rows of 24 columns.
type panel struct {
	title, help string
	kind        string // stat, timeseries or table
	unit        string
	width       int
	queries     []query
}

type query struct{ expr, legend string }

const (
	small, half, whole = 4, 12, 24
	statHeight         = 4
	graphHeight        = 8
)

func stat(title, help, unit, expr string) panel {
	return panel{title, help, "stat", unit, small, []query{{expr, ""}}}
}

func graph(title, help, unit string, queries ...query) panel {
	return panel{title, help, "timeseries", unit, half, queries}
}

// The selected nodes.
const byNode = "{{instance}}"

var dashboards = []dashboard{
	{"proctor-home", "Proctor", false, []panel{
		stat("Nodes up", "Nodes that answer Prometheus.", "none", `sum(up{job="proctor"})`),
		stat("Synced", "Nodes that know the network's tip.", "none", `sum(proctor_synced)`),
		stat("Height", "Of the highest tip.", "none", `job:proctor_tip_height:max`),
		stat("Following", "Share of the nodes whose tip is not stale.", "percentunit", `job:proctor_following:ratio`),
		stat("Platform ban flags", "Most that any node has set.", "none", `max(proctor_platform_ban_flags)`),
		stat("Alerts", "That fire now.", "none", `sum(ALERTS{alertstate="firing"}) or vector(0)`),
		{"Alerts", "Each has a page in docs/runbooks.", "table", "none", half, []query{{`ALERTS{alertstate="firing"}`, ""}}},
		graph("Service nodes", "In the registry, by service state.", "none", query{`max by (state) (proctor_service_nodes)`, "{{state}}"}),
		graph("Height", "", "none", query{`proctor_tip_height`, byNode}),
		graph("Age of the tip", "In slots; a stale tip is above 6.", "none", query{`instance:proctor_tip_age:slots`, byNode}),
	}},
	{"proctor-network", "Proctor: network", false, []panel{
		stat("Registered", "", "none", `max(proctor_registered_nodes)`),
		stat("Decommissioned", "", "none", `max(proctor_service_nodes{state="decommissioned"})`),
		stat("Brake at", "So many may be decommissioned at once; negative without a brake.", "none", `max(proctor_brake_nodes)`),
		stat("Height", "Of the highest tip.", "none", `job:proctor_tip_height:max`),
		stat("Final height", "Nothing up to it is ever undone.", "none", `max(proctor_final_height)`),
		stat("Certificate wait", "Nine tenths wait less, in blocks; lost beyond 59.", "none", `job:proctor_certificate_wait_blocks:p90_30m`),
		graph("Transitions", "Changes of service states.", "none", query{`max by (to) (increase(proctor_service_transitions_total[5m]))`, "{{to}}"}),
		graph("Stale proofs", "Nodes not heard of for too long, as each node sees it.", "none", query{`proctor_stale_proofs`, byNode}),
		graph("Certificates", "Carried by blocks, by what they waited.", "none",
			query{`max by (le) (increase(proctor_certificate_wait_blocks_bucket[5m]))`, "up to {{le}} blocks"}),
		graph("Quorums", "Final commitments in blocks.", "none", query{`max by (type, result) (proctor_quorums_mined_total)`, "{{type}} {{result}}"}),
		graph("Sessions without a quorum", "In a row.", "none", query{`max by (type) (proctor_dkg_missed_sessions)`, "{{type}}"}),
		graph("PoSe", "Members punished and banned by commitments.", "none",
			query{`max(proctor_pose_punishments_total)`, "punished"}, query{`max(proctor_pose_bans_total)`, "banned"}),
		graph("Blocks undone", "", "none", query{`increase(proctor_blocks_undone_total[5m])`, byNode}),
		graph("Alarms", "What no rule punishes and people should look at.", "none", query{`sum by (kind) (proctor_alarms_total)`, "{{kind}}"}),
	}},
	{"proctor-node", "Proctor: node", true, []panel{
		stat("Registered", "", "none", `min(proctor_own_registered{instance=~"$node"})`),
		stat("Credit", "Blocks it may be decommissioned.", "none", `min(proctor_own_credit_blocks{instance=~"$node"})`),
		stat("Failures to a ban", "Failed sessions; 1 is the next one.", "none", `min(instance:proctor_own_failures_to_ban:count{instance=~"$node"})`),
		stat("Peers", "", "none", `min(proctor_gossip_peers{instance=~"$node"})`),
		stat("Memory", "", "bytes", `max(process_resident_memory_bytes{instance=~"$node"})`),
		stat("Version", "", "none", `count by (version) (proctor_build_info{instance=~"$node"})`),
		graph("State", "", "none", query{`proctor_own_state{instance=~"$node"}`, "{{instance}} {{state}}"}),
		graph("Credit", "Below the minimum a failing node is deregistered at once.", "none",
			query{`proctor_own_credit_blocks{instance=~"$node"}`, byNode}, query{`max(proctor_own_credit_minimum_blocks{instance=~"$node"})`, "minimum"}),
		graph("PoSe score", "", "none",
			query{`proctor_own_pose_score{instance=~"$node"}`, byNode}, query{`max(proctor_own_pose_maximum{instance=~"$node"})`, "ban"}),
		graph("Own proof", "Blocks since the last uptime proof.", "none",
			query{`proctor_own_proof_age_blocks{instance=~"$node"}`, byNode}, query{`max(proctor_proof_validity_blocks{instance=~"$node"})`, "stale above"}),
		graph("Banned or flagged", "", "none",
			query{`proctor_own_pose_banned{instance=~"$node"}`, "{{instance}} PoSe-banned"}, query{`proctor_own_platform_ban_flag{instance=~"$node"}`, "{{instance}} flagged"}),
		graph("Processor", "Seconds a second.", "none", query{`rate(process_cpu_seconds_total{instance=~"$node"}[1m])`, byNode}),
		graph("Memory", "", "bytes", query{`process_resident_memory_bytes{instance=~"$node"}`, byNode}),
		graph("Commits", "Nine tenths are faster.", "s",
			query{`histogram_quantile(0.9, sum by (instance, le) (rate(proctor_store_commit_duration_seconds_bucket{instance=~"$node"}[1m])))`, byNode}),
		graph("Queues", "", "none",
			query{`proctor_engine_inbox_depth{instance=~"$node"}`, "{{instance}} inbox"}, query{`proctor_verify_queue_depth{instance=~"$node"}`, "{{instance}} signatures"},
			query{`proctor_gossip_outbox_depth{instance=~"$node"}`, "{{instance}} outbox"}),
		graph("Dropped", "In five minutes, of full queues.", "none", query{`instance:proctor_queue_drops:increase5m{instance=~"$node"}`, byNode}),
	}},
	{"proctor-gossip", "Proctor: gossip", true, []panel{
		graph("Peers", "", "none", query{`proctor_gossip_peers{instance=~"$node"}`, byNode}),
		graph("Mesh", "Fewest peers of any node.", "none", query{`min by (topic) (proctor_gossip_mesh_peers{instance=~"$node"})`, "{{topic}}"}),
		graph("Judged", "Messages of peers, by topic.", "none", query{`sum by (topic) (rate(proctor_gossip_judged_total{instance=~"$node"}[1m]))`, "{{topic}}"}),
		graph("Not accepted", "By the rule that decided.", "none",
			query{`sum by (reason) (rate(proctor_gossip_judged_total{instance=~"$node",outcome!="accept"}[1m]))`, "{{reason}}"}),
		graph("Time to a verdict", "Of a hundred messages 99 are faster.", "s", query{`instance:proctor_gossip_judge_duration_seconds:p99_5m{instance=~"$node"}`, byNode}),
		graph("Duplicates", "", "none", query{`rate(proctor_gossip_duplicates_total{instance=~"$node"}[1m])`, byNode}),
		graph("Points", "Given to peers in five minutes.", "none", query{`instance:proctor_peer_points:increase5m{instance=~"$node"}`, byNode}),
		graph("Points by reason", "", "none", query{`sum by (reason) (increase(proctor_peer_points_total{instance=~"$node"}[5m]))`, "{{reason}}"}),
		graph("Refused peers", "", "none", query{`proctor_gossip_bans_active{instance=~"$node"}`, byNode}),
		graph("Self-doubt", "Times that too many contradicted the node.", "none", query{`proctor_self_doubts_total{instance=~"$node"}`, byNode}),
		graph("Platform bans", "", "none",
			query{`proctor_inventory_bans{instance=~"$node"}`, "{{instance}} accepted"}, query{`proctor_deferred_bans{instance=~"$node"}`, "{{instance}} waiting"}),
		graph("Signatures", "Checked together.", "none",
			query{`rate(proctor_verify_batch_size_sum{instance=~"$node"}[1m]) / rate(proctor_verify_batch_size_count{instance=~"$node"}[1m])`, byNode}),
		graph("Dropped by pubsub", "", "none", query{`sum by (queue) (increase(proctor_gossip_pubsub_drops_total{instance=~"$node"}[5m]))`, "{{queue}}"}),
		graph("Handshakes", "By how they ended.", "none", query{`sum by (end) (increase(proctor_gossip_handshakes_total{instance=~"$node"}[5m]))`, "{{end}}"}),
	}},
}

type object = map[string]any

var source = object{"type": "prometheus", "uid": "prometheus"} // as provisioned

// json is the dashboard as Grafana 10 imports it.
func (d dashboard) json() object {
	var panels []object
	x, y, height := 0, 0, 0
	for i, p := range d.panels {
		h := graphHeight
		if p.kind == "stat" {
			h = statHeight
		}
		if x+p.width > whole {
			x, y, height = 0, y+height, 0
		}
		panels = append(panels, p.json(i+1, object{"x": x, "y": y, "w": p.width, "h": h}))
		x, height = x+p.width, max(height, h)
	}
	variables := []object{}
	if d.perNode {
		variables = append(variables, object{
			"name": "node", "label": "Node", "type": "query", "datasource": source, "refresh": 2, "sort": 1,
			"query": "label_values(proctor_build_info, instance)", "includeAll": true, "multi": true, "allValue": ".*",
			"current": object{"text": "All", "value": "$__all"},
		})
	}
	return object{
		"uid": d.uid, "title": d.title, "tags": []string{"proctor"}, "schemaVersion": 38, "editable": false,
		"refresh": "5s", "time": object{"from": "now-15m", "to": "now"},
		"links":      []object{{"type": "dashboards", "tags": []string{"proctor"}, "title": "Proctor", "includeVars": true, "keepTime": true}},
		"templating": object{"list": variables},
		"panels":     panels,
	}
}

func (p panel) json(id int, place object) object {
	var targets []object
	for i, q := range p.queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr}
		if q.legend != "" {
			t["legendFormat"] = q.legend
		}
		if p.kind == "table" {
			t["format"] = "table"
		}
		if p.kind != "timeseries" {
			t["instant"] = true
		}
		targets = append(targets, t)
	}
	return object{
		"id": id, "type": p.kind, "title": p.title, "description": p.help, "datasource": source, "gridPos": place,
		"fieldConfig": object{"defaults": object{"unit": p.unit}, "overrides": []object{}}, "targets": targets,
	}
}

// The files are what the table above says.
func TestDashboards_AreCurrent(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range dashboards {
		fresh, err := json.MarshalIndent(d.json(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dashboardsDir, d.uid[len("proctor-"):]+".json")
		seen[path] = true
		if *update {
			if err := os.WriteFile(path, append(fresh, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if old, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(old)) != strings.TrimSpace(string(fresh)) {
			t.Errorf("%s is stale: run go test ./deploy -update", path)
		}
	}
	files, err := filepath.Glob(filepath.Join(dashboardsDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f] {
			t.Errorf("%s is of no dashboard", f)
		}
	}
}
