package testnet

import (
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// In a dry run a forger's ban is written down and shown, and the forger goes
// on being heard: after many offences, and after a restart. Only the operator
// bans.
func TestDryRun_CountsAndCarriesNothingOut(t *testing.T) {
	b := newBench(t, frozen("spec"))
	b.dryRun = true
	b.start(0)
	n := b.Node(0)
	tip := n.Snapshot().TipHeight()
	s := b.stranger(0)
	for i := range 10 { // far more than ordinary scores of pubsub bear
		forged := b.ban(b.evo(1), tip)
		forged.SignedHeight -= int32(i + 1)
		s.Say(engine.TopicPlatformBan, forged.Bytes())
	}
	b.await("every forgery to be judged", func() bool { return b.Judged(0, validation.Signature.Verdict()) == 10 })
	b.await("the ban to be written down", func() bool {
		ban, ok := n.Snapshot().PeerBan(engine.Peer(s.ID()))
		return ok && ban.DryRun && ban.Cause().Reason == validation.Signature
	})
	good := b.ban(b.evo(2), tip)
	s.Say(engine.TopicPlatformBan, good.Bytes())
	b.await("a good ban of the same peer", func() bool { return b.accepted(0, good) })
	if n.Gossip().Banned(s.ID()) {
		t.Error("the ban was carried out")
	}

	if err := b.Stop(0); err != nil {
		t.Fatal(err)
	}
	b.start(0)
	b.await("the peer to come back", func() bool { return len(s.Peers(engine.TopicPlatformBan)) == 1 })
	if _, ok := b.Node(0).Snapshot().PeerBan(engine.Peer(s.ID())); !ok || b.Node(0).Gossip().Banned(s.ID()) {
		t.Errorf("after a restart: ban remembered %t, carried out %t; want the former only", ok, b.Node(0).Gossip().Banned(s.ID()))
	}
}
