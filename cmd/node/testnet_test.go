package main

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/proctornet/proctor/testnet"
)

func TestTestnetInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "network")
	o := proctor(t, "testnet", "init", dir, "--nodes", "5", "--slot", "500ms", "--profile", "core", "--seed", "9")
	o.wantOK(t)
	if !regexp.MustCompile(`(?m)^evo-5  [0-9a-f]{64}$`).MatchString(o.stdout) {
		t.Errorf("stdout has no line of evo-5:\n%s", o.stdout)
	}
	// A node starts with them, wherever its container has them.
	for _, node := range []string{"evo-1", "evo-5"} {
		set := inForce(t, proctor(t, "config", "check", "--config", filepath.Join(dir, node, testnet.ConfigFile),
			"--genesis", filepath.Join(dir, testnet.GenesisFile)))
		if set["metrics.listen"] != "0.0.0.0:9464" || set["data_dir"] != "/data/db" {
			t.Errorf("%s: metrics on %s, database in %s", node, set["metrics.listen"], set["data_dir"])
		}
	}

	proctor(t, "testnet", "init", dir).wantError(t, exitUnusable, dir, "not empty")
	file := filepath.Join(dir, testnet.GenesisFile)
	proctor(t, "testnet", "init", filepath.Join(file, "below")).wantError(t, exitUnusable, file, "not a directory")
}
