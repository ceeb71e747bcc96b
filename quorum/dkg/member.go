package dkg

import (
	"bytes"
	"crypto/sha256"
	"iter"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// SelectionDepth is how far below the base block of a session its members are
// drawn from, in blocks. Source: spec/dash.md 4.
const SelectionDepth = 8

// Candidate is what the registry says of one node after the block that the
// members are drawn from.
type Candidate struct {
	ProTxHash     wire.Hash
	ConfirmedHash wire.Hash // of a block after the registration, which its owner could not foresee; zero before that
	OperatorKey   wire.OperatorKey
	Evo           bool
	Banned        bool // PoSe-banned, or out of duty for another reason
}

// Member is one member of a quorum.
type Member struct {
	ProTxHash   wire.Hash
	OperatorKey wire.OperatorKey
}

// BlockModifier is the entropy of a draw that comes from a block alone.
func BlockModifier(t wire.LLMQType, block wire.Hash) wire.Hash {
	return wire.DoubleHash([]byte{byte(t)}, block[:])
}

// ChainLockModifier is the entropy of a draw where the block at that height
// carries the signature of a chain lock.
func ChainLockModifier(t wire.LLMQType, height int32, chainLock wire.Signature) wire.Hash {
	h := uint32(height)
	return wire.DoubleHash([]byte{byte(t), byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24)}, chainLock[:])
}

// Score ranks a candidate: SHA-256(SHA-256(proTx | confirmed) | modifier), to
// be compared as a little-endian number.
func Score(c Candidate, modifier wire.Hash) wire.Hash {
	var preimage [2 * wire.HashSize]byte
	copy(preimage[:], c.ProTxHash[:])
	copy(preimage[wire.HashSize:], c.ConfirmedHash[:])
	identity := sha256.Sum256(preimage[:])
	copy(preimage[:], identity[:])
	copy(preimage[wire.HashSize:], modifier[:])
	return sha256.Sum256(preimage[:])
}

// Select returns the members of a quorum in the order of their index: the q.Size
// candidates of highest score, or all if there are fewer. With evoOnly, regular
// masternodes are passed over; that is for the network's platform type. The
// order of the candidates does not matter. Equal scores would take a collision
// of SHA-256, so the order of their owners' collaterals is not needed.
// Source: spec/dash.md 4.
func Select(q params.LLMQ, evoOnly bool, modifier wire.Hash, candidates iter.Seq[Candidate]) []Member {
	type ranked struct {
		score wire.Hash
		Member
	}
	best := make([]ranked, 0, q.Size+1) // descending
	for c := range candidates {
		if c.Banned || c.ConfirmedHash.IsZero() || evoOnly && !c.Evo {
			continue
		}
		r := ranked{Score(c, modifier), Member{c.ProTxHash, c.OperatorKey}}
		at, _ := slices.BinarySearchFunc(best, r.score, func(b ranked, score wire.Hash) int { return compareLittleEndian(score, b.score) })
		if at < q.Size {
			best = slices.Insert(best, at, r)
			best = best[:min(len(best), q.Size)]
		}
	}
	members := make([]Member, len(best))
	for i, b := range best {
		members[i] = b.Member
	}
	return members
}

func compareLittleEndian(a, b wire.Hash) int {
	slices.Reverse(a[:])
	slices.Reverse(b[:])
	return bytes.Compare(a[:], b[:])
}
