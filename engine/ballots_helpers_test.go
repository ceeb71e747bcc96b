package engine

import (
	"crypto/ed25519"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/wire"
)

// draw is the draw of the block at a's tip.
func (a *author) draw() quorum.Draw {
	return quorum.NewDraw(a.genesis.Hash(), a.tip.Height, a.tip.Hash, a.state)
}

// nodeOf is the index of a node.
func (n *network) nodeOf(hash wire.Hash) int {
	for i := range n.service {
		if proTx(i) == hash {
			return i
		}
	}
	return -1
}

func (n *network) seal(node int, message []byte) wire.ServiceSignature {
	return wire.ServiceSignature(ed25519.Sign(n.service[node], message))
}

// vote is a node's vote, whatever the truth.
func (n *network) vote(node int, b wire.Ballot) wire.Vote {
	return n.voteWith(node, b, wire.Evidence{First: -1, Second: -1})
}

func (n *network) voteWith(node int, b wire.Ballot, why wire.Evidence) wire.Vote {
	v := wire.Vote{Ballot: b, Voter: proTx(node), Evidence: why}
	v.Signature = wire.Signature(n.operator[node].Sign(b.SignHash(n.genesis.Hash())).Bytes())
	v.Seal = n.seal(node, v.SealedBytes(n.genesis.Hash()))
	return v
}

// certificate is what the first t testers of d say about a node, where t is
// as many as it takes and some more.
func (n *network) certificate(d quorum.Draw, target int, a wire.Answer, more int) wire.Certificate {
	ballot := wire.Ballot{Height: d.Height, BlockHash: d.Hash, ProTxHash: proTx(target), Answer: a}
	needed, _ := d.Needed(proTx(target), a)
	var votes []wire.Vote
	for _, v := range d.Voters(proTx(target))[:needed+more] {
		votes = append(votes, n.vote(n.nodeOf(v), ballot))
	}
	keys := quorum.DecodedKeys(func(hash wire.Hash) (wire.OperatorKey, bool) {
		return wire.OperatorKey(n.operator[n.nodeOf(hash)].PublicKey().Bytes()), true
	})
	return must(quorum.Certify(n.genesis.Hash(), d, ballot, votes, keys))
}

// proof is a node's uptime proof, anchored at a block.
func (n *network) proof(node int, sequence uint64, anchor chain.Tip) Proof {
	p := wire.UptimeProof{
		ProTxHash: proTx(node), Sequence: sequence, AnchorHeight: anchor.Height, AnchorHash: anchor.Hash,
		Protocol: wire.ProtocolVersion, Agent: "test", Addresses: n.genesis.Nodes[node].Addresses,
	}
	p.Seal = n.seal(node, p.SealedBytes(n.genesis.Hash()))
	return Proof{From: "p", Proof: p, Key: n.genesis.Nodes[node].ServiceKey}
}

// exit is the request of a node's staker that it may leave.
func (n *network) exit(node int, sequence uint64) wire.Exit {
	e := wire.Exit{EventHead: n.head(sequence), Staker: n.stakerKey(node), ProTxHash: proTx(node)}
	hash := e.SignHash()
	e.Signature = wire.ServiceSignature(ed25519.Sign(n.staker[node], hash[:]))
	return e
}

// contribute is stake of one node's staker for another.
func (n *network) contribute(from, to int, amount, sequence uint64) wire.Contribute {
	e := wire.Contribute{EventHead: n.head(sequence), Staker: n.stakerKey(from), ProTxHash: proTx(to), Amount: amount}
	hash := e.SignHash()
	e.Signature = wire.ServiceSignature(ed25519.Sign(n.staker[from], hash[:]))
	return e
}

func (n *network) revoke(node int, sequence uint64) wire.Revoke {
	e := wire.Revoke{EventHead: n.head(sequence), ProTxHash: proTx(node)}
	e.Signature = wire.Signature(n.operator[node].Sign(e.SignHash()).Bytes())
	return e
}
