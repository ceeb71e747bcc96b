package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
)

// Four processes whose evonodes have made a quorum: what three operators ask
// for is signed, crosses the network, and can be explained.
func TestRun_BanRequest(t *testing.T) {
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: 4, Authorities: 1, Seed: 21, Profile: "spec", Slot: 500 * time.Millisecond, History: 61, Now: time.Now(),
	})
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
	config := func(i int) string { return filepath.Join(c.NodeDir(i), testnet.ConfigFile) }
	var all []*process
	for i := range n.Members {
		all = append(all, start(t, "--config", config(i)))
	}
	everywhere := func(what string, holds func(*process) bool) {
		t.Helper()
		await(t, what, func() bool { return !slices.ContainsFunc(all, func(p *process) bool { return !holds(p) }) })
	}
	everywhere("everybody to be synced and to have met all", func(p *process) bool {
		return p.value("proctor_synced") == 1 && p.value("proctor_gossip_peers") == 3
	})

	quorum := c.Signers.QuorumHash.String()
	if o := proctor(t, "quorum", "list", "--config", config(1)); !strings.Contains(o.stdout, quorum) {
		t.Errorf("quorum list lacks %s:\n%s%s", quorum, o.stdout, o.stderr)
	}
	o := proctor(t, "quorum", "info", "106", quorum, "--config", config(1))
	o.wantOK(t)
	for _, words := range []string{"height 48", "3 shares; 4 of 4 members", "evo-1", "evo-4", n.Members[2].ProTxHash.String(), c.Signers.PublicKey.String()} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("quorum info lacks %q:\n%s", words, o.stdout)
		}
	}
	proctor(t, "quorum", "info", "106", zeros, "--config", config(1)).wantError(t, exitFailed, "quorum not found")
	proctor(t, "quorum", "info", "4", quorum, "--config", config(1)).wantError(t, exitFailed, "does not run here")
	if o := proctor(t, "quorum", "dkg-status", "--config", config(1)); !strings.Contains(o.stdout, "the next begins in") {
		t.Errorf("dkg-status says %s%s", o.stdout, o.stderr)
	}

	const target = "evo-4"
	proctor(t, "ban", "request", "evo-3", "--config", config(0)).wantOK(t)
	proctor(t, "ban", "request", "evo-3", "--withdraw", "--config", config(0)).wantOK(t)
	for _, refused := range []struct {
		args []string
		word string
	}{
		{[]string{"evo-3", "--withdraw"}, "does not ask"},
		{[]string{"evo-1"}, "this node itself"},
		{[]string{zeros}, "not registered"},
	} {
		o := proctor(t, append([]string{"ban", "request", "--config", config(0)}, refused.args...)...)
		if o.code != exitFailed || !strings.Contains(o.stdout, refused.word) || !strings.Contains(o.stdout, "request-refused") {
			t.Errorf("ban request %q: exit code %d, says %s%s", refused.args, o.code, o.stdout, o.stderr)
		}
	}
	for i := range c.Signers.Threshold {
		o := proctor(t, "ban", "request", target, "--config", config(i), "--json")
		o.wantOK(t)
		var r node.RequestResult
		if exactly(t, o, &r); !r.Accepted || r.Request == nil || r.ProTxHash != n.Members[3].ProTxHash {
			t.Errorf("ban request says %+v", r)
		}
	}
	everywhere("the flag on every node", func(p *process) bool { return p.value("proctor_platform_ban_flags") == 1 })

	o = proctor(t, "explain", target, "--config", config(0))
	o.wantOK(t)
	for _, words := range []string{"platform-ban flag set", "set by a ban signed at height", "any 3 of the 4 members with a share", "evo-1", "evo-2", "evo-3", "asked for    by its operator", "it signed at height"} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("explain lacks %q:\n%s", words, o.stdout)
		}
	}
	if o := proctor(t, "ban", "request", target, "--config", config(2)); o.code != exitFailed || !strings.Contains(o.stdout, "flag is set already") {
		t.Errorf("the second request: exit code %d, says %s%s", o.code, o.stdout, o.stderr)
	}
	var x node.Explanation
	exactly(t, proctor(t, "explain", target, "--config", config(3), "--json"), &x)
	if b := x.PlatformBan; b == nil || !b.FlagSet || b.Quorum == nil || len(b.Quorum.Members) != 4 || b.Request != nil {
		text, _ := json.Marshal(b)
		t.Errorf("the flagged node itself explains %s", text)
	}
}
