package engine

import (
	"crypto/ed25519"
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The first proof of a node that has just been registered is understood by
// peers that are a block behind: nobody brings it to them again.
func TestProve_ANewcomerIsHeardByThoseBehind(t *testing.T) {
	n := networkOf("spec", forkNodes)
	register := n.register(alice, 1)
	service := seed("service", 200)
	x := newRig(t, n, -1)
	x.config.ProTxHash, x.config.ServiceKey = register.ProTxHash(), ed25519.NewKeyFromSeed(service[:])
	peer := stored(t, n, -1)
	a := n.author()
	blocks := append(a.blocks(5), a.next(6, register))
	blocks = append(blocks, a.blocks(6)...)
	heard := 0
	for i, b := range blocks {
		x.at(b.Header.Slot)
		peer.at(b.Header.Slot)
		x.feed(PeerTip{Peer: "p", Height: b.Header.Height})
		if i > 0 {
			peer.feed(Block{"p", blocks[i-1]})
		}
		_, out := x.feed(Block{"p", b})
		for _, p := range out.Publications {
			if p.Topic != TopicUptime {
				continue
			}
			proof := must(wire.ParseUptimeProof(p.Bytes))
			peer.want(Proof{From: "x", Proof: proof, Key: register.ServiceKey}, validation.Valid)
			heard++
		}
	}
	if heard != 1 {
		t.Errorf("%d proofs, want 1", heard)
	}
}
