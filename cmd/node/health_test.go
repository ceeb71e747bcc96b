package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
)

// One node of four is not healthy alone, is with a second, and gives no answer
// when it has stopped.
func TestHealth(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{Nodes: 4, Seed: 13, Profile: "spec", Slot: time.Hour, Now: time.Now()})
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
	await(t, "the first tick", func() bool { return first.value("proctor_synced") == 1 })
	o := proctor(t, "health", "--config", at(0))
	if o.code != exitFailed || o.stderr != "" || !strings.Contains(o.stdout, "healthy         false\n") || !strings.Contains(o.stdout, "problem         No peer") {
		t.Errorf("alone: exit code %d, want %d; stdout:\n%s\nstderr: %s", o.code, exitFailed, o.stdout, o.stderr)
	}
	if h, code := healthJSON(t, at(0)); code != exitFailed || h.Healthy || !h.Synced || h.Peers != 0 || len(h.Problems) != 1 {
		t.Errorf("alone: exit code %d, health %+v", code, h)
	}

	start(t, "--config", at(1))
	await(t, "both to be healthy", func() bool {
		return proctor(t, "health", "--config", at(0)).code == exitOK && proctor(t, "health", "--config", at(1)).code == exitOK
	})
	if h, code := healthJSON(t, at(1)); code != exitOK || !h.Healthy || h.Peers != 1 || h.Problems == nil || len(h.Problems) > 0 {
		t.Errorf("with a peer: exit code %d, health %+v", code, h)
	}

	first.kill()
	proctor(t, "health", "--config", at(0)).wantError(t, exitFailed, "does it run?")
	proctor(t, "health", "--config", at(2)).wantError(t, exitFailed, "does it run?") // never has
	t.Setenv("PROCTOR_API_LISTEN", "")
	proctor(t, "health", "--config", at(1)).wantError(t, exitUnusable, "api.listen")
}

// healthJSON asks for the machine's form, which has every field.
func healthJSON(t *testing.T, config string) (h node.Health, code int) {
	t.Helper()
	o := proctor(t, "health", "--config", config, "--json")
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		t.Fatalf("%v in %q", err, o.stdout)
	}
	return h, o.code
}
