// Package deploy holds the files by which nodes run in containers to one
// another and to what `proctor testnet init` writes, so that no engine is
// needed to see that they have drifted apart. deploy/check.sh runs them.
package deploy

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
	"github.com/proctornet/proctor/testnet"
)

// network writes a network of as many nodes as `testnet init` does by itself.
func network(t *testing.T) (dir string, n *testnet.Network) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "network")
	n, err := testnet.WriteContainers(testnet.ContainerOptions{
		Nodes: testnet.MinContainers, Profile: "spec", Slot: time.Second, Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, n
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// services cuts compose.yaml into its services. It knows the few forms of YAML
// that the file uses.
func services(t *testing.T) map[string]string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "compose.yaml"), "\nservices:\n")
	if !ok {
		t.Fatal("compose.yaml has no services")
	}
	text, _, _ = strings.Cut(text, "\nvolumes:\n")
	found := make(map[string]string)
	name := regexp.MustCompile(`(?m)^  (\S+):\n`)
	places := name.FindAllStringSubmatchIndex(text, -1)
	for i, p := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		found[text[p[2]:p[3]]] = text[p[1]:end]
	}
	return found
}

// shared is what the nodes' services have in common.
func shared(t *testing.T) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "compose.yaml"), "\nx-node: &node\n")
	if !ok {
		t.Fatal("compose.yaml has no x-node")
	}
	text, _, _ = strings.Cut(text, "\nservices:\n")
	return text
}

// mount is an entry of volumes.
type mount struct {
	source, target string
	readOnly       bool
}

var mountForm = regexp.MustCompile(`\{type: bind, source: "?([^,"]+)"?, target: ([^,}]+)(, read_only: true)?\}`)

func mounts(service string) (found []mount) {
	for _, m := range mountForm.FindAllStringSubmatch(service, -1) {
		found = append(found, mount{m[1], m[2], m[3] != ""})
	}
	return found
}

// Every member has a service of its name, and finds there all its files, at the
// paths that its configuration names.
func TestCompose_RunsTheNetwork(t *testing.T) {
	dir, n := network(t)
	all := services(t)
	if len(all) != len(n.Members)+1 {
		t.Errorf("compose.yaml has %d services, want %d nodes and prometheus", len(all), len(n.Members))
	}
	for _, m := range n.Members {
		service, ok := all[m.Name]
		if !ok || !strings.Contains(service, "<<: *node\n") {
			t.Errorf("compose.yaml has no node %s", m.Name)
			continue
		}
		inside := make(map[string]mount) // by target
		for _, v := range mounts(service) {
			v.source = strings.Replace(v.source, "${NETWORK_DIR:-./network}", dir, 1)
			if _, err := os.Stat(v.source); err != nil {
				t.Errorf("%s mounts what testnet init does not write: %v", m.Name, err)
			}
			inside[v.target] = v
		}
		want := map[string]mount{
			"/genesis.json": {filepath.Join(dir, testnet.GenesisFile), "/genesis.json", true},
			"/node":         {filepath.Join(dir, m.Name), "/node", true},
			"/data":         {filepath.Join(dir, m.Name, "data"), "/data", false},
		}
		if fmt.Sprint(inside) != fmt.Sprint(want) {
			t.Errorf("%s mounts %v, want %v", m.Name, inside, want)
		}
		c, err := config.Load(filepath.Join(dir, m.Name, testnet.ConfigFile), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := inside[c.Genesis]; !ok || path.Dir(c.DataDir) != "/data" || path.Dir(c.API.Cookie) != "/data" {
			t.Errorf("%s is configured for genesis %s, database %s, cookie %s", m.Name, c.Genesis, c.DataDir, c.API.Cookie)
		}
		for _, key := range []string{c.ServiceKey, c.OperatorKey} { // what a node speaks with, beside its configuration
			info, err := os.Stat(key)
			if err != nil || filepath.Dir(key) != filepath.Join(dir, m.Name) || info.Mode().Perm() != 0o600 {
				t.Errorf("%s is configured for key %q: %v", m.Name, key, err)
			}
		}
		if c.ServiceKey == c.OperatorKey {
			t.Errorf("%s has one file for two keys", m.Name)
		}
		for _, a := range c.P2P.Bootstrap { // are services
			if host := strings.Split(a, "/")[2]; all[host] == "" || host == m.Name {
				t.Errorf("%s connects to %s, which is no other service", m.Name, a)
			}
		}
	}
}

// Prometheus asks every member where its configuration serves metrics.
func TestPrometheus_AsksEveryNode(t *testing.T) {
	dir, n := network(t)
	var want []string
	for _, m := range n.Members {
		c, err := config.Load(filepath.Join(dir, m.Name, testnet.ConfigFile), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		port, ok := strings.CutPrefix(c.Metrics.Listen, "0.0.0.0:")
		if !ok {
			t.Errorf("%s serves metrics on %s, where no other container reaches them", m.Name, c.Metrics.Listen)
		}
		want = append(want, m.Name+":"+port)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^ +- (\S+:\d+)$`).FindAllStringSubmatch(read(t, "prometheus.yml"), -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("prometheus.yml asks %q, want %q", got, want)
	}
	if got := mounts(services(t)["prometheus"]); !slices.Contains(got, mount{"./prometheus.yml", "/etc/prometheus/prometheus.yml", true}) {
		t.Errorf("prometheus mounts %v, not prometheus.yml", got)
	}
}

// The variables that testnet init sets are those that compose.yaml reads, and
// none of them is taken for a setting by the binary.
func TestCompose_Variables(t *testing.T) {
	dir, _ := network(t)
	text := read(t, "compose.yaml")
	used := []string{"COMPOSE_PROJECT_NAME"} // by compose itself
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(text, -1) {
		used = append(used, m[1])
	}
	for line := range strings.Lines(read(t, filepath.Join(dir, testnet.ComposeFile))) {
		if name, _, _ := strings.Cut(line, "="); !slices.Contains(used, name) {
			t.Errorf("%s sets %s, which nothing reads", testnet.ComposeFile, name)
		}
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
	node, prometheus := shared(t), services(t)["prometheus"]
	for _, s := range []struct{ name, text string }{{"x-node", node}, {"prometheus", prometheus}} {
		for _, line := range []string{"read_only: true", "cap_drop: [ALL]", `security_opt: ["no-new-privileges:true"]`, "restart: unless-stopped"} {
			if !strings.Contains(s.text, "\n  "+line+"\n") && !strings.Contains(s.text, "\n    "+line+"\n") {
				t.Errorf("%s lacks %q", s.name, line)
			}
		}
	}
	for _, m := range regexp.MustCompile(`ports: (.*)`).FindAllStringSubmatch(read(t, "compose.yaml"), -1) {
		if !strings.HasPrefix(m[1], `["127.0.0.1:`) || strings.Contains(m[1], ",") {
			t.Errorf("published to the network: %s", m[1])
		}
	}
	dockerfile := read(t, "Dockerfile")
	goLimit := number(t, node, `GOMEMLIMIT: (\d+)MiB`)
	if limit := number(t, node, `mem_limit: (\d+)m`); goLimit >= limit || goLimit != number(t, dockerfile, `GOMEMLIMIT=(\d+)MiB`) {
		t.Errorf("GOMEMLIMIT is %d MiB, mem_limit %d; want it below, and as in the image", goLimit, limit)
	}
	user := fmt.Sprintf("%d:%d", testnet.ImageUser, testnet.ImageUser)
	if !strings.Contains(dockerfile, "\nUSER "+user+"\n") || !strings.Contains(node, "user: ${NETWORK_USER:-"+user+"}\n") ||
		strings.Count(dockerfile, "COPY --chown="+user+" ")+strings.Count(dockerfile, "--chown="+user+" /src") != 2 {
		t.Errorf("the image, its data directory and compose.yaml do not all belong to %s", user)
	}
}

// The image's entry point, directory and ports are those that compose.yaml and
// the nodes' configurations count on.
func TestDockerfile_AgreesWithCompose(t *testing.T) {
	dockerfile, node := read(t, "Dockerfile"), shared(t)
	for _, line := range []string{
		`ENTRYPOINT ["/proctor"]`, `CMD ["run"]`, "WORKDIR /node",
		fmt.Sprintf("EXPOSE %d/udp %d/tcp %d/tcp", testnet.P2PPort, testnet.P2PPort, testnet.MetricsPort),
	} {
		if !strings.Contains(dockerfile, "\n"+line+"\n") {
			t.Errorf("Dockerfile lacks %q", line)
		}
	}
	if want := "test: [CMD, /proctor, health, --config, /node/" + testnet.ConfigFile + "]\n"; !strings.Contains(node, want) {
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
