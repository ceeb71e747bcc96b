package uptime

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// anchorDepth is how far below its tip a node anchors its own proofs: nearly
// everybody has that block, and a short fork does not replace it.
const anchorDepth = 2

// AnchorHeight returns the height of the block that an own proof should name.
// Where the window is short it stays in the upper half, so that peers with a
// newer block still take the proof.
func AnchorHeight(tip int32, rules params.Service) int32 {
	return max(0, tip-min(anchorDepth, rules.AnchorWindow/2))
}

// Due reports whether the own next proof is due: ProofEvery blocks after the
// last, which was sent at a height or NoHeight. A restart must not move it, so
// that height is to be stored.
func Due(sent, tip int32, rules params.Service) bool {
	return sent == NoHeight || int64(tip)-int64(sent) >= int64(rules.ProofEvery)
}

// Own is what a node says of itself in its proofs.
type Own struct {
	ProTxHash wire.Hash
	Agent     string   // at most wire.MaxAgentLength characters
	Addresses []string // 1..wire.MaxAddresses; the first is the one that must not change
}

// Anchor is the block that a proof names, see AnchorHeight.
type Anchor struct {
	Height int32
	Hash   wire.Hash
}

// Compose makes a proof. The sequence must be above that of every proof the
// node ever made, so it is stored before the proof is sent.
func Compose(network wire.Hash, own Own, sequence uint64, anchor Anchor, seal func(message []byte) wire.ServiceSignature) wire.UptimeProof {
	p := wire.UptimeProof{
		ProTxHash:    own.ProTxHash,
		Sequence:     sequence,
		AnchorHeight: anchor.Height,
		AnchorHash:   anchor.Hash,
		Protocol:     wire.ProtocolVersion,
		Agent:        own.Agent,
		Addresses:    own.Addresses,
	}
	p.Seal = seal(p.SealedBytes(network))
	return p
}
