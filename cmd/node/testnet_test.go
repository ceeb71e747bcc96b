package main

import (
	"os"
	"path/filepath"
	"regexp"
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
	proctor(t, "testnet", "up", network).wantError(t, exitFailed, "prom/prometheus", "deploy/prometheus-image.sh")
	fake("docker", `[ "$1" = info ] || [ "$1" = ps ]`)
	proctor(t, "testnet", "status", network).wantError(t, exitFailed, "no container", "testnet up "+network)
}
