package validation

import (
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// View is one consistent reading of the node. Its methods answer from memory
// and never block.
type View interface {
	Chain
	// NodeType reports whether a node is registered, and whether as an evonode.
	NodeType(proTx wire.Hash) (evo, registered bool)
	// PlatformQuorum is the key of a platform quorum whose signature at
	// signedHeight is taken now.
	PlatformQuorum(hash wire.Hash, signedHeight int32) (wire.OperatorKey, bool)
	// AcceptedBan is the accepted ban with that inventory hash.
	AcceptedBan(inventoryHash wire.Hash) (wire.PlatformBan, bool)
	// Refused is why an earlier item with that id was refused, if that is
	// remembered; see Reason.Remembered.
	Refused(id wire.Hash) (Reason, bool)
	// TakesBan reports whether a ban signed at height is not older than the
	// last change of the node's flag.
	TakesBan(proTx wire.Hash, height int32) bool
}

// banRules are the rules that need no signature check: whether we had the
// ban already, then steps 1 to 5 of DIP-0031, Validation. They cost map
// look-ups only, so they run before any pairing.
var banRules = []rule[wire.PlatformBan, View]{duplicate, refused, synced[wire.PlatformBan, View], registered, evonode, height, quorum}

// PlatformBan judges all of m but its signature: the rules in order, the
// first that objects decides. held says that m has waited for our tip as long
// as a ban may.
func PlatformBan(m wire.PlatformBan, v View, held bool) Verdict {
	r := firstObjection(banRules, m, v)
	if r == HeightNear && m.SignedHeight > v.TipHeight() && !held {
		return Ahead.Verdict()
	}
	return putOff(r, v).Verdict()
}

// duplicate knows accepted bans again. A quorum's signature over a ban is
// unique, so another one over an accepted ban is forged; no pairing is needed
// to see it. Source: spec/gossip.md 1.5, rows 0b and 0c.
func duplicate(m wire.PlatformBan, v View) Reason {
	accepted, ok := v.AcceptedBan(m.InventoryHash())
	switch {
	case !ok:
		return Valid
	case accepted == m:
		return Duplicate
	default:
		return ForgedTwin
	}
}

// refused knows refused items again, whoever offers them. A forgery is charged
// to everybody who passes it on, as all could have seen it; what we refused
// for our view of the chain is received and done with.
func refused(m wire.PlatformBan, v View) Reason {
	switch r, ok := v.Refused(m.ID()); {
	case !ok:
		return Valid
	case r.Nature() == OfSignature:
		return r
	default:
		return Duplicate
	}
}

// registered is step 2. The evonode may have been removed very recently.
func registered(m wire.PlatformBan, v View) Reason {
	if _, ok := v.NodeType(m.ProTxHash); !ok {
		return UnknownNode
	}
	return Valid
}

// evonode is step 3. A node's type never changes.
func evonode(m wire.PlatformBan, v View) Reason {
	if evo, _ := v.NodeType(m.ProTxHash); !evo {
		return RegularNode
	}
	return Valid
}

// height is step 4. It charges little where two nodes may merely disagree
// about the tip, and more where they cannot.
func height(m wire.PlatformBan, v View) Reason {
	switch age := below(m.SignedHeight, v); {
	case 0 <= age && age <= params.BanWindow:
		return Valid
	case -params.BanHeightSlack <= age && age <= params.BanWindow+params.BanHeightSlack:
		return HeightNear
	default:
		return HeightFar
	}
}

// quorum is step 5.
func quorum(m wire.PlatformBan, v View) Reason {
	if _, ok := v.PlatformQuorum(m.QuorumHash, m.SignedHeight); !ok {
		return UnknownQuorum
	}
	return Valid
}

// Checked is step 6: the verdict on a ban that passed PlatformBan, by whether
// its signature bytes encode a signature at all and whether it is the
// quorum's. Both are plain to see for every honest peer.
func Checked(encoded, valid bool) Verdict {
	switch {
	case !encoded:
		return SignatureEncoding.Verdict()
	case !valid:
		return Signature.Verdict()
	default:
		return Valid.Verdict()
	}
}

// Fresh refuses a ban older than the last change of the node's flag: an old
// ban must not undo a revival. It is asked after step 6, so that a forged ban
// is charged however old it is. Source: spec/dash.md 1.5.
func Fresh(m wire.PlatformBan, v View) Verdict {
	if !v.TakesBan(m.ProTxHash, m.SignedHeight) {
		return Stale.Verdict()
	}
	return Valid.Verdict()
}
