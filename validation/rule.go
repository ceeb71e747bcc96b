package validation

import "github.com/proctornet/proctor/wire"

// Chain is our view of the chain as far as every kind of message needs it.
// Its methods, as those of the views that embed it, answer from memory, never
// block, and all from one reading of the node.
type Chain interface {
	// Synced reports whether the tip is the network's as far as we can tell.
	Synced() bool
	// TipHeight is the height of the best block.
	TipHeight() int32
	// Confident reports whether our view of the chain is so settled that
	// somebody may be blamed for contradicting it.
	Confident() bool
}

// Branch is a Chain that knows its blocks.
type Branch interface {
	Chain
	// BlockAt is the hash of the block of our branch at a height, if there is
	// one and it is not so old that nobody may ask for it.
	BlockAt(height int32) (wire.Hash, bool)
}

// rule judges one aspect of a message; Valid passes it on to the next.
type rule[M, V any] func(M, V) Reason

func firstObjection[M, V any](rules []rule[M, V], m M, v V) Reason {
	for _, r := range rules {
		if reason := r(m, v); reason != Valid {
			return reason
		}
	}
	return Valid
}

// putOff replaces a reason that may be our own fault: a node that lags or
// stands on another branch would ban its honest peers one after the other.
// Only the verdict waits, its content does not change. Source: DESIGN.md
// section 7.
func putOff(r Reason, v Chain) Reason {
	if r.Nature() == OfView && !v.Confident() {
		return Unsure
	}
	return r
}

// synced is step 1 of DIP-0031, and of everything else that depends on the
// chain. Nobody is blamed for what we cannot judge.
func synced[M any, V interface{ Synced() bool }](_ M, v V) Reason {
	if !v.Synced() {
		return NotSynced
	}
	return Valid
}

// below is how far a height is below our tip. Peers choose heights, so it
// must not wrap.
func below(height int32, v Chain) int64 { return int64(v.TipHeight()) - int64(height) }
