package engine

import (
	"crypto/ed25519"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Whether a block is good does not depend on the events that happen to wait
// for one: an update in the very block that registers its node is signed by
// nobody we know.
func TestBlock_IsJudgedAlikeWhateverWaits(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	register := n.register(alice, 1)
	update := n.registeredUpdate(register.ProTxHash())
	as := a.grow(1, 0, func(int32) wire.Content { return wire.Content{Events: []wire.Event{register}} })
	bs := b.grow(2, 4, func(height int32) (c wire.Content) {
		if height == as[0].Header.Height {
			c.Events = []wire.Event{register, update}
		}
		return c
	})
	for _, heard := range []bool{false, true} {
		r := stored(t, n, -1)
		r.at(a.tip.Slot)
		r.offer("p", trunk...)
		r.offer("p", as...)
		if heard {
			r.want(r.event("q", update), validation.Valid)
		}
		r.at(b.tip.Slot)
		for _, b := range bs {
			r.feed(Block{"q", b})
		}
		r.wantTip(map[bool]string{false: "not heard", true: "heard"}[heard], a)
	}
}

// register is the registration of a node that is no part of the genesis by the
// staker of one that is, and update one signed by its operator.
func (n *network) register(staker int, sequence uint64) wire.Register {
	service := seed("service", 200)
	key, operator := ed25519.NewKeyFromSeed(service[:]), bls.GenerateSecretKey(seed("operator", 200))
	e := wire.Register{
		EventHead: n.head(sequence), Staker: n.stakerKey(staker), Amount: requirement, Addresses: []string{"/ip4/1.2.3.4/tcp/1"},
		OperatorKey: wire.OperatorKey(operator.PublicKey().Bytes()), ServiceKey: wire.ServiceKey(key.Public().(ed25519.PublicKey)),
	}
	n.sealRegistration(&e, staker)
	return e
}

// sealRegistration signs it with all three keys.
func (n *network) sealRegistration(e *wire.Register, staker int) {
	service, hash := seed("service", 200), e.SignHash()
	e.OperatorProof = wire.Signature(bls.GenerateSecretKey(seed("operator", 200)).Sign(hash).Bytes())
	e.ServiceProof = wire.ServiceSignature(ed25519.Sign(ed25519.NewKeyFromSeed(service[:]), hash[:]))
	e.Signature = wire.ServiceSignature(ed25519.Sign(n.staker[staker], hash[:]))
}

func (n *network) registeredUpdate(proTx wire.Hash) wire.UpdateService {
	operator := bls.GenerateSecretKey(seed("operator", 200))
	e := wire.UpdateService{EventHead: n.head(1), ProTxHash: proTx, Addresses: []string{"/ip4/1.2.3.4/tcp/2"}}
	e.Signature = wire.Signature(operator.Sign(e.SignHash()).Bytes())
	return e
}
