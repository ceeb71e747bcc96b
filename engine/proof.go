package engine

import (
	"crypto/ed25519"

	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Agent is what nodes call themselves.
const Agent = "proctor"

// proof judges an uptime proof once more and keeps it.
func (e *Engine) proof(in Proof, out *Effects) validation.Verdict {
	view := e.Snapshot()
	if v := view.JudgeProof(in.Proof); !v.OK() {
		return v
	}
	if n, _ := e.state.Node(in.Proof.ProTxHash); n.ServiceKey != in.Key {
		return validation.Internal.Verdict() // checked under a key that is void by now
	}
	e.keepProof(in.Proof, out)
	return validation.Valid.Verdict()
}

func (e *Engine) keepProof(p wire.UptimeProof, out *Effects) {
	e.proofs = e.proofs.With(p, e.tree.Tip().Height)
	r, _ := e.proofs.Get(p.ProTxHash)
	out.put(KindProof, p.ProTxHash[:], r.Bytes())
}

// prove sends our own uptime proof when it is due.
func (e *Engine) prove(out *Effects) {
	tip := e.tree.Tip().Height
	last, sent := e.proofs.Get(e.config.ProTxHash)
	lastHeight := state.NoHeight
	if sent {
		lastHeight = last.Heard
	}
	n, registered := e.state.Node(e.config.ProTxHash)
	addresses := e.config.Addresses
	if len(addresses) == 0 {
		addresses = n.Addresses
	}
	if !registered || len(addresses) == 0 || e.sync.contacts() == 0 && e.state.NodeCount() > 1 || !uptime.Due(lastHeight, tip, e.state.Rules()) {
		return
	}
	anchor := uptime.Anchor{Height: uptime.AnchorHeight(tip, e.state.Rules())}
	if anchor.Height < n.RegisteredHeight {
		return // who has not got the block that registered us would not know us, and nobody brings the proof again
	}
	var ok bool
	if anchor.Hash, ok = e.tree.OnBranch(anchor.Height); !ok {
		return
	}
	// Not below the height, so that a node that lost its database is heard.
	sequence := max(last.Proof.Sequence+1, uint64(tip))
	p := uptime.Compose(e.network, uptime.Own{ProTxHash: e.config.ProTxHash, Agent: Agent, Addresses: addresses}, sequence, anchor, e.seal)
	e.keepProof(p, out)
	out.Publications = append(out.Publications, Publication{TopicUptime, p.Bytes()})
}

func (e *Engine) seal(b []byte) wire.ServiceSignature {
	return wire.ServiceSignature(ed25519.Sign(e.config.ServiceKey, b))
}
