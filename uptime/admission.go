package uptime

import (
	"fmt"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// AnchorAhead is how far above our tip the block that a proof names may be:
// two honest nodes may differ by so much.
const AnchorAhead = params.BanHeightSlack

// View is one consistent reading of what a proof is judged by. Methods answer
// from memory.
type View interface {
	Network() wire.Hash
	Public() bool // hosts must be reachable from everywhere
	Tip() int32
	ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) // of a node in the registry, in whatever state
	Known(height int32, hash wire.Hash) bool            // a block whose header we have, on any branch
	Last(proTx wire.Hash) (Record, bool)                // as Book.Get
}

// Verifier reports whether seal is the Ed25519 signature of message by key. A
// parameter, so that a simulator may remember what it has verified.
type Verifier func(key wire.ServiceKey, message []byte, seal wire.ServiceSignature) bool

// Outcome is what becomes of a proof.
type Outcome uint8

// The outcomes, in the order of the steps that give them.
const (
	Admitted      Outcome = iota + 1
	UnknownNode           // not in the registry
	OldSequence           // not above that of the last proof: a repetition, or replayed
	BadAddress            // an address names no host
	HiddenAddress         // or one that nobody outside can reach, on a public network
	AnchorTooNew          // more than AnchorAhead above our tip
	AnchorTooOld          // more than AnchorWindow below it
	AnchorUnknown         // inside the window, but we do not have that block
	TooEarly              // ProofSpacing or fewer blocks after the last
	BadSeal               // not by the node's service key
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{Admitted, UnknownNode, OldSequence, BadAddress, HiddenAddress, AnchorTooNew, AnchorTooOld, AnchorUnknown, TooEarly, BadSeal}
}

func (o Outcome) String() string {
	switch o {
	case Admitted:
		return "admitted"
	case UnknownNode:
		return "unknown-node"
	case OldSequence:
		return "old-sequence"
	case BadAddress:
		return "bad-address"
	case HiddenAddress:
		return "hidden-address"
	case AnchorTooNew:
		return "anchor-too-new"
	case AnchorTooOld:
		return "anchor-too-old"
	case AnchorUnknown:
		return "anchor-unknown"
	case TooEarly:
		return "too-early"
	case BadSeal:
		return "bad-seal"
	default:
		return fmt.Sprintf("outcome-%d", uint8(o))
	}
}

// OursMayDiffer reports whether an honest peer whose view of the chain is not
// ours could have passed such a proof on: nobody is to blame for it.
func (o Outcome) OursMayDiffer() bool {
	switch o {
	case UnknownNode, OldSequence, AnchorTooNew, AnchorTooOld, AnchorUnknown, TooEarly:
		return true
	}
	return false
}

// Check gives every outcome but BadSeal, cheap steps first. It is also what
// the engine repeats on its own view once the seal was verified.
func Check(p wire.UptimeProof, rules params.Service, v View) Outcome {
	if _, ok := v.ServiceKey(p.ProTxHash); !ok {
		return UnknownNode
	}
	last, heard := v.Last(p.ProTxHash)
	if heard && p.Sequence <= last.Proof.Sequence {
		return OldSequence
	}
	if bad := checkAddresses(p.Addresses, v.Public()); bad != Admitted {
		return bad
	}
	// int64: a peer chooses AnchorHeight, so the difference must not wrap.
	tip := int64(v.Tip())
	switch age := tip - int64(p.AnchorHeight); {
	case age < -AnchorAhead:
		return AnchorTooNew
	case age > int64(rules.AnchorWindow):
		return AnchorTooOld
	case !v.Known(p.AnchorHeight, p.AnchorHash):
		return AnchorUnknown
	case heard && tip <= int64(last.Heard)+int64(rules.ProofSpacing):
		return TooEarly
	}
	return Admitted
}

// checkAddresses looks at all of them: others dial every one.
func checkAddresses(addresses []string, public bool) Outcome {
	if len(addresses) == 0 {
		return BadAddress
	}
	for _, a := range addresses {
		host := Host(a)
		if host == "" {
			return BadAddress
		}
		if public && !Reachable(host) {
			return HiddenAddress
		}
	}
	return Admitted
}

// Admit judges a proof: Check, and then the seal, which is the costly step.
func Admit(p wire.UptimeProof, rules params.Service, v View, verify Verifier) Outcome {
	if o := Check(p, rules, v); o != Admitted {
		return o
	}
	key, _ := v.ServiceKey(p.ProTxHash)
	if !verify(key, p.SealedBytes(v.Network()), p.Seal) {
		return BadSeal
	}
	return Admitted
}
