package testnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/deploy"
	"github.com/proctornet/proctor/params"
)

func containers(dir string) ContainerOptions {
	return ContainerOptions{Nodes: 6, Evonodes: 5, Seed: 3, Profile: "core", Slot: 250 * time.Millisecond, Dir: dir}
}

func TestWriteContainers_AgreesWithItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "network")
	before := time.Now().Truncate(time.Millisecond)
	n, err := WriteContainers(containers(dir))
	if err != nil {
		t.Fatal(err)
	}
	raw := read(t, filepath.Join(dir, GenesisFile))
	g, err := chain.ParseGenesis(raw)
	if err != nil {
		t.Fatal(err)
	}
	if g.Hash() != n.Genesis.Hash() || g.Profile != "core" || g.Slot() != 250*time.Millisecond || g.Time.Before(before) || g.Time.After(time.Now()) {
		t.Errorf("genesis is of profile %s, slot %s, time %s; want core, 250ms and now", g.Profile, g.Slot(), g.Time)
	}
	if want := []chain.GenesisLLMQ{{Type: params.TestPlatform, Size: 5, Threshold: 3}}; len(g.Nodes) != 6 || len(g.Authorities) != 4 || !slices.Equal(g.LLMQs, want) {
		t.Errorf("%d nodes, authorities %v, quorums of %+v; want 6, four, and %+v", len(g.Nodes), g.Authorities, g.LLMQs, want)
	}
	for i, m := range n.Members {
		c, err := config.Load(filepath.Join(dir, m.Name, ConfigFile), config.Source{})
		if err != nil {
			t.Fatal(err)
		}
		key, err := config.ReadServiceKey(filepath.Join(dir, m.Name, "service.key"))
		if err != nil {
			t.Fatal(err)
		}
		if !key.Equal(m.Service) || c.ProTxHash != g.Nodes[i].ProTxHash.String() {
			t.Errorf("%s has another's key or ProTxHash", m.Name)
		}
		// Its peers find it where the registry says.
		want := []string{"/dns4/" + m.Name + "/udp/19850/quic-v1", "/dns4/" + m.Name + "/tcp/19850"}
		if got := g.Nodes[i].Addresses; g.Nodes[i].Name != m.Name || !slices.Equal(got, want) {
			t.Errorf("%s is registered as %s at %q, want %q", m.Name, g.Nodes[i].Name, got, want)
		}
		if listen := config.Default().P2P.Listen; !slices.Equal(c.P2P.Listen, listen) || c.Metrics.Listen != "0.0.0.0:9464" || c.API.Listen != "127.0.0.1:9465" {
			t.Errorf("%s listens on %q, metrics on %s, commands on %s", m.Name, c.P2P.Listen, c.Metrics.Listen, c.API.Listen)
		}
		peers, err := c.Peers()
		if err != nil || len(peers) < 3 {
			t.Errorf("%s has bootstrap peers %v (%v), want 3 or more", m.Name, peers, err)
		}
		for _, p := range peers {
			if p.ID == m.AddrInfo().ID || !strings.HasPrefix(p.Addrs[0].String(), "/dns4/") {
				t.Errorf("%s has bootstrap peer %s", m.Name, p)
			}
		}
	}
}

// Keys are their owner's, who is never root.
func TestWriteContainers_KeepsSecrets(t *testing.T) {
	dir := t.TempDir()
	if _, err := WriteContainers(containers(dir)); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = deploy.ImageUser, deploy.ImageUser
	}
	env := read(t, filepath.Join(dir, deploy.EnvFile))
	if want := fmt.Sprintf("NETWORK_USER=%d:%d\n", uid, gid); !bytes.Contains(env, []byte(want)) {
		t.Errorf("%s lacks %q:\n%s", deploy.EnvFile, want, env)
	}
	for name, mode := range map[string]os.FileMode{
		"evo-5": 0o700, "evo-5/service.key": 0o600, "evo-5/proctor.toml": 0o600, "evo-5/data": 0o700,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != mode || int(owner.Uid) != uid || int(owner.Gid) != gid {
			t.Errorf("%s has mode %#o and owner %d:%d, want %#o and %d:%d", name, info.Mode().Perm(), owner.Uid, owner.Gid, mode, uid, gid)
		}
	}
}

func TestWriteContainers_LeavesOthersFilesAlone(t *testing.T) {
	dir := t.TempDir()
	if _, err := WriteContainers(containers(dir)); err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(dir, GenesisFile))
	if _, err := WriteContainers(containers(dir)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second network in one directory: %v, want that it is not empty", err)
	}
	if after := read(t, filepath.Join(dir, GenesisFile)); !bytes.Equal(before, after) {
		t.Error("the first network's genesis was changed")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestContainerOptions_Check(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*ContainerOptions)
		want   string
	}{
		{"too few nodes", func(o *ContainerOptions) { o.Nodes, o.Evonodes = 3, 0 }, "3 nodes, want 4 to 100"},
		{"too many nodes", func(o *ContainerOptions) { o.Nodes = 101 }, "101 nodes, want 4 to 100"},
		{"more evonodes than nodes", func(o *ContainerOptions) { o.Evonodes = 7 }, "7 evonodes of 6 nodes, want 0 to 6"},
		{"evonodes without a quorum", func(o *ContainerOptions) { o.Evonodes = 3 }, "at least 4, or none"},
		{"no evonodes", func(o *ContainerOptions) { o.Evonodes = 0 }, ""},
		{"only evonodes", func(o *ContainerOptions) { o.Evonodes = 6 }, ""},
		{"a short slot", func(o *ContainerOptions) { o.Slot = time.Millisecond }, "a slot of 1ms"},
		{"an unknown profile", func(o *ContainerOptions) { o.Profile = "x" }, `"x"`},
	} {
		o := containers(filepath.Join(t.TempDir(), "network"))
		c.change(&o)
		if err := o.Check(); err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
