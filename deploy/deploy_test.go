package deploy_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/deploy"
	"github.com/proctornet/proctor/testnet"
)

// written is a network as `testnet init` writes it. No engine is needed to see
// that files have drifted apart; deploy/check.sh runs them.
type written struct {
	dir string
	*testnet.Containers
	compose  string            // compose.yaml
	node     string            // what its nodes have in common
	services map[string]string // by name
}

func write(t *testing.T) written {
	t.Helper()
	w := written{dir: filepath.Join(t.TempDir(), "network"), services: make(map[string]string)}
	var err error
	w.Containers, err = testnet.WriteContainers(testnet.ContainerOptions{
		Nodes: 7, Evonodes: 4, Profile: "core", Slot: 500 * time.Millisecond, Dir: w.dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	// It knows the few forms of YAML that the file uses.
	w.compose = read(t, filepath.Join(w.dir, deploy.ComposeFile))
	before, text, ok := strings.Cut(w.compose, "\nservices:\n")
	if !ok {
		t.Fatal("compose.yaml has no services")
	}
	if _, w.node, ok = strings.Cut(before, "\nx-node: &node\n"); !ok {
		t.Fatal("compose.yaml has no x-node")
	}
	text, _, _ = strings.Cut(text, "\nvolumes:\n")
	places := regexp.MustCompile(`(?m)^  (\S+):\n`).FindAllStringSubmatchIndex(text, -1)
	for i, p := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		w.services[text[p[2]:p[3]]] = text[p[1]:end]
	}
	return w
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mount is an entry of volumes that binds a file or directory.
type mount struct {
	source, target string
	readOnly       bool
}

var mountForm = regexp.MustCompile(`(?m)^ +- (\./[^:]+):([^:\n]+)(:ro)?$`)

func mounts(service string) (found []mount) {
	for _, m := range mountForm.FindAllStringSubmatch(service, -1) {
		found = append(found, mount{m[1], m[2], m[3] != ""})
	}
	return found
}

// Every member has a service of its name, and finds there all its files, at the
// paths that its configuration names.
func TestCompose_RunsTheNetwork(t *testing.T) {
	w := write(t)
	if len(w.services) != len(w.Members)+2 {
		t.Errorf("compose.yaml has %d services, want %d nodes, prometheus and grafana", len(w.services), len(w.Members))
	}
	for name, service := range w.services { // mount what is there
		for _, m := range mounts(service) {
			if _, err := os.Stat(filepath.Join(w.dir, m.source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, m := range w.Members {
		service, ok := w.services[m.Name]
		if !ok || !strings.Contains(service, "<<: *node\n") {
			t.Errorf("compose.yaml has no node %s", m.Name)
			continue
		}
		want := []mount{{"./" + testnet.GenesisFile, "/genesis.json", true}, {"./" + m.Name, "/node", true}, {"./" + m.Name + "/data", "/data", false}}
		if got := mounts(service); !slices.Equal(got, want) {
			t.Errorf("%s mounts %v, want %v", m.Name, got, want)
		}
		c, err := config.Load(filepath.Join(w.dir, m.Name, testnet.ConfigFile), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Genesis != want[0].target || path.Dir(c.DataDir) != "/data" || path.Dir(c.API.Cookie) != "/data" {
			t.Errorf("%s is configured for genesis %s, database %s, cookie %s", m.Name, c.Genesis, c.DataDir, c.API.Cookie)
		}
		for _, key := range []string{c.ServiceKey, c.OperatorKey} { // what a node speaks with, beside its configuration
			info, err := os.Stat(key)
			if err != nil || filepath.Dir(key) != filepath.Join(w.dir, m.Name) || info.Mode().Perm() != 0o600 {
				t.Errorf("%s is configured for key %q: %v", m.Name, key, err)
			}
		}
		if c.ServiceKey == c.OperatorKey {
			t.Errorf("%s has one file for two keys", m.Name)
		}
		for _, a := range c.P2P.Bootstrap { // are services
			if host := strings.Split(a, "/")[2]; w.services[host] == "" || host == m.Name {
				t.Errorf("%s connects to %s, which is no other service", m.Name, a)
			}
		}
	}
}

// Prometheus finds every member by the name of its service, and asks where its
// configuration serves metrics.
func TestPrometheus_AsksEveryNode(t *testing.T) {
	w := write(t)
	text := read(t, filepath.Join(w.dir, "prometheus", "prometheus.yml"))
	var want []string
	for _, m := range w.Members {
		c, err := config.Load(filepath.Join(w.dir, m.Name, testnet.ConfigFile), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if port := fmt.Sprint(number(t, text, `(?m)^ +port: (\d+)$`)); c.Metrics.Listen != "0.0.0.0:"+port {
			t.Errorf("%s serves metrics on %s; Prometheus asks on port %s from another container", m.Name, c.Metrics.Listen, port)
		}
		want = append(want, m.Name)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^ {10}- (\S+)$`).FindAllStringSubmatch(text, -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("prometheus.yml asks %q, want %q", got, want)
	}
	if got := mounts(w.services["prometheus"]); !slices.Equal(got, []mount{{"./prometheus", "/etc/prometheus", true}}) {
		t.Errorf("prometheus mounts %v", got)
	}
}

// The variables that are set are those that compose.yaml reads, and none of
// them is taken for a setting by the binary.
func TestCompose_Variables(t *testing.T) {
	w := write(t)
	used := []string{"COMPOSE_PROJECT_NAME"} // by compose itself
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(w.compose, -1) {
		used = append(used, m[1])
	}
	slices.Sort(used)
	used = slices.Compact(used)
	var set []string
	for line := range strings.Lines(read(t, filepath.Join(w.dir, deploy.EnvFile))) {
		if name, _, ok := strings.Cut(line, "="); ok {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	if !slices.Equal(set, used) {
		t.Errorf("%s sets %q, compose.yaml reads %q", deploy.EnvFile, set, used)
	}
	documented := read(t, "../docs/deployment.md")
	for _, name := range used {
		if strings.HasPrefix(name, config.EnvPrefix) {
			t.Errorf("%s would be taken for a setting: no variable of compose begins with %s", name, config.EnvPrefix)
		}
		if !strings.Contains(documented, "`"+name+"`") {
			t.Errorf("docs/deployment.md does not explain %s", name)
		}
	}
}

// What runs has no more rights, memory and openness than it needs.
func TestCompose_IsConfined(t *testing.T) {
	w := write(t)
	for name, text := range map[string]string{"x-node": "\n" + w.node, "prometheus": w.services["prometheus"], "grafana": w.services["grafana"]} {
		for _, line := range []string{"read_only: true", "cap_drop: [ALL]", `security_opt: ["no-new-privileges:true"]`, "restart: unless-stopped"} {
			if !strings.Contains(text, "\n  "+line+"\n") && !strings.Contains(text, "\n    "+line+"\n") {
				t.Errorf("%s lacks %q", name, line)
			}
		}
	}
	for _, m := range regexp.MustCompile(`ports: (.*)`).FindAllStringSubmatch(w.compose, -1) {
		if !strings.HasPrefix(m[1], `["127.0.0.1:`) || strings.Contains(m[1], ",") {
			t.Errorf("published to the network: %s", m[1])
		}
	}
	dockerfile := read(t, "Dockerfile")
	goLimit := number(t, w.node, `GOMEMLIMIT: (\d+)MiB`)
	if limit := number(t, w.node, `mem_limit: (\d+)m`); goLimit >= limit || goLimit != number(t, dockerfile, `GOMEMLIMIT=(\d+)MiB`) {
		t.Errorf("GOMEMLIMIT is %d MiB, mem_limit %d; want it below, and as in the image", goLimit, limit)
	}
	user := fmt.Sprintf("%d:%d", deploy.ImageUser, deploy.ImageUser)
	if !strings.Contains(dockerfile, "\nUSER "+user+"\n") || !strings.Contains(w.node, "user: ${NETWORK_USER:-"+user+"}\n") ||
		strings.Count(dockerfile, "COPY --chown="+user+" ")+strings.Count(dockerfile, "--chown="+user+" /src") != 2 {
		t.Errorf("the image, its data directory and compose.yaml do not all belong to %s", user)
	}
}

// What a network's README says to try can be done, whatever its size.
func TestReadme_FitsTheNetwork(t *testing.T) {
	for _, c := range []struct {
		nodes, evonodes                 int
		asked, watched, paused, without string
	}{
		{7, 4, "for n in evo-1 evo-2 evo-3; do", "exec -T evo-1 /proctor nodes", "unpause regular-3", ""},
		{5, 4, "for n in evo-1 evo-2 evo-3; do", "explain regular-1", "unpause regular-1", "exec -T regular-1"},
		{6, 6, "for n in evo-1 evo-2 evo-3 evo-4; do", "explain evo-6", "unpause evo-6", "exec -T evo-6"},
		{4, 0, "", "exec -T regular-1 /proctor explain", "unpause regular-4", "ban"},
	} {
		dir := filepath.Join(t.TempDir(), "network")
		if _, err := testnet.WriteContainers(testnet.ContainerOptions{Nodes: c.nodes, Evonodes: c.evonodes, Profile: "spec", Slot: time.Second, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		text := read(t, filepath.Join(dir, "README.md"))
		for _, want := range []string{c.asked, c.watched, c.paused, fmt.Sprintf("network of %d nodes", c.nodes)} {
			if !strings.Contains(text, want) {
				t.Errorf("%d nodes, %d evonodes: README.md lacks %q", c.nodes, c.evonodes, want)
			}
		}
		if c.without != "" && strings.Contains(text, c.without) {
			t.Errorf("%d nodes, %d evonodes: README.md has %q", c.nodes, c.evonodes, c.without)
		}
	}
}

// The image's entry point, directory and ports are those that compose.yaml and
// the nodes' configurations count on.
func TestDockerfile_AgreesWithCompose(t *testing.T) {
	dockerfile, node := read(t, "Dockerfile"), write(t).node
	for _, line := range []string{
		`ENTRYPOINT ["/proctor"]`, `CMD ["run"]`, `  CMD ["/proctor", "health"]`, "WORKDIR /node",
		fmt.Sprintf("EXPOSE %d/udp %d/tcp %d/tcp", testnet.P2PPort, testnet.P2PPort, testnet.MetricsPort),
	} {
		if !strings.Contains(dockerfile, "\n"+line+"\n") {
			t.Errorf("Dockerfile lacks %q", line)
		}
	}
	if want := "test: [CMD, /proctor, health]\n"; !strings.Contains(node, want) { // its configuration is in its directory
		t.Errorf("x-node lacks %q", want)
	}
	c := config.Default()
	if c.API.Listen != fmt.Sprintf("127.0.0.1:%d", testnet.APIPort) || !strings.HasSuffix(c.P2P.Listen[1], fmt.Sprintf("/tcp/%d", testnet.P2PPort)) {
		t.Errorf("a node listens on %q and %s by default, not on ports %d and %d", c.P2P.Listen, c.API.Listen, testnet.P2PPort, testnet.APIPort)
	}
	// The classic builder makes every stage up to its target, and cannot pull.
	before, _, ok := strings.Cut(dockerfile, "AS prebuilt")
	if !ok || strings.Contains(before, "FROM golang") {
		t.Error("the stage prebuilt is missing or needs a registry")
	}
	if version := goVersion(t); !strings.Contains(dockerfile, "\nFROM golang:"+version+" AS build\n") {
		t.Errorf("Dockerfile does not build with Go %s, as go.mod says", version)
	}
}

// goVersion is the language version of go.mod, without a patch number.
func goVersion(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if m == nil {
		t.Fatal("go.mod names no version of Go")
	}
	return m[1]
}

func number(t *testing.T, text, form string) int {
	t.Helper()
	m := regexp.MustCompile(form).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s is not there", form)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
