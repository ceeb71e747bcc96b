package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/proctornet/proctor/testnet"
)

func TestTestnetInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "network")
	o := proctor(t, "testnet", "init", "--out", dir, "--nodes", "6", "--evonodes", "5", "--slot", "500ms", "--profile", "core", "--seed", "9")
	o.wantOK(t)
	for _, want := range []string{`(?m)^regular-1  [0-9a-f]{64}$`, `(?m)^evo-5      [0-9a-f]{64}$`, `Prometheus on port \d+, Grafana on \d+`} {
		if !regexp.MustCompile(want).MatchString(o.stdout) {
			t.Errorf("stdout has no %s:\n%s", want, o.stdout)
		}
	}
	// A node starts with them, wherever its container has them.
	for _, node := range []string{"regular-1", "evo-5"} {
		set := inForce(t, proctor(t, "config", "check", "--config", filepath.Join(dir, node, testnet.ConfigFile),
			"--genesis", filepath.Join(dir, testnet.GenesisFile)))
		if set["metrics.listen"] != "0.0.0.0:9464" || set["data_dir"] != "/data/db" {
			t.Errorf("%s: metrics on %s, database in %s", node, set["metrics.listen"], set["data_dir"])
		}
	}

	proctor(t, "testnet", "init").wantError(t, exitUnusable, "--out is missing")
	proctor(t, "testnet", "init", dir).wantError(t, exitUnusable, dir)
	proctor(t, "testnet", "init", "--out", dir).wantError(t, exitUnusable, dir, "not empty")
	proctor(t, "testnet", "init", "--out", "x", "--evonodes", "2").wantError(t, exitUnusable, "2 evonodes", "at least 4, or none")
	file := filepath.Join(dir, testnet.GenesisFile)
	proctor(t, "testnet", "init", "--out", filepath.Join(file, "below")).wantError(t, exitUnusable, file, "not a directory")
}

// What runs containers says what is missing and what to do.
func TestTestnetUp_SaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	for _, command := range []string{"up", "status", "logs", "down"} {
		proctor(t, "testnet", command, dir).wantError(t, exitFailed, dir, "no network in containers", "testnet init --out DIR")
		proctor(t, "testnet", command).wantError(t, exitUnusable)
	}

	network := filepath.Join(dir, "network")
	proctor(t, "testnet", "init", "--out", network).wantOK(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	proctor(t, "testnet", "up", network).wantError(t, exitFailed, "no container engine", "start Docker")

	fake := func(name, script string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fake("docker", `[ "$1" = info ]`) // an engine and nothing else
	proctor(t, "testnet", "up", network).wantError(t, exitFailed, "docker compose", "docker-compose", "install one of them")
	fake("docker-compose", "exit 0")
	proctor(t, "testnet", "up", network).wantError(t, exitFailed, "proctor:local", "make image", ".env")
	fake("docker", `[ "$1" = info ] || [ "$1 $2 $3" = "image inspect proctor:local" ]`)
	afterProgress(proctor(t, "testnet", "up", network)).wantError(t, exitFailed, "prom/prometheus", "deploy/prometheus-image.sh")
	fake("docker", `[ "$1" = info ] || [ "$1" = ps ]`)
	proctor(t, "testnet", "status", network).wantError(t, exitFailed, "no container", "testnet up "+network)
}

// afterProgress is o without the lines that told what went on.
func afterProgress(o outcome) outcome {
	o.stderr = o.stderr[strings.LastIndex(strings.TrimSuffix(o.stderr, "\n"), "\n")+1:]
	return o
}

// A container engine that has three containers, of which one is as the test
// wants it.
func TestTestnet_ReadsTheEngine(t *testing.T) {
	network := filepath.Join(t.TempDir(), "network")
	proctor(t, "testnet", "init", "--out", network).wantOK(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	engine := func(state, health string) {
		script := `#!/bin/sh
case "$1 $2" in
"info "|"compose version"|"compose --profile"|"image inspect") ;;
"ps --all") echo a b c ;;
"inspect a") cat <<END
[{"ID":"a","State":{"Status":"running","Health":{"Status":"healthy"}},"Config":{"Labels":{"com.docker.compose.service":"evo-1"}}},
 {"ID":"b","State":{"Status":"` + state + `","ExitCode":3,"Health":{"Status":"` + health + `"}},"Config":{"Labels":{"com.docker.compose.service":"evo-2"}}},
 {"ID":"c","State":{"Status":"running"},"Config":{"Labels":{"com.docker.compose.service":"prometheus"}}}]
END
;;
"exec a") case $4 in
	health) echo '{"healthy":true,"synced":true,"height":77,"peers":6,"problems":[]}' ;;
	nodes) echo '[{"name":"evo-1","state":"active","credit":62,"proof_age":4},{"name":"evo-2","state":"decommissioned","credit":-1,"proof_age":-1,"pose_banned":true}]' ;;
	esac ;;
"exec b") echo '{"healthy":false,"synced":false,"height":70,"peers":0,"problems":["No peer."]}'; exit 1 ;;
*) exit 1 ;;
esac`
		if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	engine("running", "healthy")
	o := proctor(t, "testnet", "up", network)
	if o.code != exitOK || !strings.Contains(o.stderr, "2 of 2 nodes healthy") || !strings.Contains(o.stdout, "Prometheus  http://127.0.0.1:") {
		t.Errorf("up ends with %d and says %q and %q", o.code, o.stderr, o.stdout)
	}
	engine("running", "starting")
	afterProgress(proctor(t, "testnet", "up", network, "--timeout", "1s")).wantError(t, exitFailed, "1 of 2 nodes healthy", "testnet logs "+network+" evo-2")
	engine("exited", "starting")
	afterProgress(proctor(t, "testnet", "up", network)).wantError(t, exitFailed, "evo-2 is exited, exit code 3")

	for _, c := range []struct{ state, health, row string }{
		{"paused", "healthy", `(?m)^evo-2 +paused +- +- +decommissioned +-1 +- +banned +-$`},
		{"running", "unhealthy", `(?m)^evo-2 +unhealthy +70 +0 +decommissioned +-1 +- +banned +-\nevo-2: No peer\.$`},
	} {
		engine(c.state, c.health)
		o := proctor(t, "testnet", "status", network)
		if o.code != exitFailed || !regexp.MustCompile(c.row).MatchString(o.stdout) || !regexp.MustCompile(`(?m)^evo-1 +healthy +77 +6 +active +62 +4 +- +-$`).MatchString(o.stdout) {
			t.Errorf("exit code %d:\n%s%s", o.code, o.stdout, o.stderr)
		}
	}
}
