package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
)

// What an operator does about a peer: sees why it was banned, forgives it,
// bans it by hand, sees that too after a restart.
func TestPeers_ExplainBanAndForgive(t *testing.T) {
	b := layOut(t, 5)
	t.Setenv("PROCTOR_API_LISTEN", fmt.Sprintf("127.0.0.1:%d", b.member.APIPort))
	p := start(t, "--config", b.config())
	ask := func(args ...string) outcome {
		t.Helper()
		return proctor(t, append(append([]string{"peers"}, args...), "--config", b.config())...)
	}
	s := b.stranger(t, 1, b.member.AddrInfo())
	defer s.Close()
	forged := b.ban(t, b.Members[1].ProTxHash, b.tip)
	forged.ProTxHash = b.Members[2].ProTxHash
	s.Say(engine.TopicPlatformBan, forged.Bytes())
	await(t, "the forger to be banned", func() bool { return p.value("proctor_gossip_bans_active") == 1 })

	id := s.ID().String()
	explained := func(words ...string) {
		t.Helper()
		o := ask("explain", id)
		o.wantOK(t)
		for _, w := range words {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("explain lacks %q:\n%s", w, o.stdout)
			}
		}
	}
	explained("not connected", "banned from", "for signature", "100", forged.ID().String()[:16], "step 6")
	bans := func(want ...string) {
		t.Helper()
		o := ask("bans", "--json")
		o.wantOK(t)
		var list []node.PeerBanInfo
		if err := json.Unmarshal([]byte(o.stdout), &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range list {
			got = append(got, b.ID.String()+" "+string(b.Reason))
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("bans %q, want %q", got, want)
		}
	}
	bans(id + " signature")

	ask("unban", id).wantOK(t)
	bans()
	explained("0 of 100 points", "no charges")
	ask("unban", id).wantError(t, exitFailed, id, "neither a ban nor points")
	await(t, "the peer to come back", func() bool { return p.value("proctor_gossip_peers") == 1 })
	if o := ask(); !strings.Contains(o.stdout, id) {
		t.Errorf("peers lacks %s:\n%s", id, o.stdout)
	}

	ask("ban", id, "--hours", "2").wantOK(t)
	await(t, "the peer to be gone", func() bool { return p.value("proctor_gossip_peers") == 0 })
	bans(id + " operator")

	p.kill()
	start(t, "--config", b.config())
	bans(id + " operator")
	explained("for operator")

	ask("ban", b.member.AddrInfo().ID.String()).wantError(t, exitFailed, "is this node")
}
