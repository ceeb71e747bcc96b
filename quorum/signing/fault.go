package signing

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// MaxFaults bounds the faults kept: one of a kind, request and member; the
// lowest heights go first.
const MaxFaults = 1024

// FaultKind tells what a member did.
type FaultKind string

// The kinds.
const (
	Equivocation FaultKind = "equivocation" // good shares of two messages for one request
	BadShare     FaultKind = "bad-share"    // a share that is not by its key
)

// Fault is what a member did, and the shares that show it.
type Fault struct {
	Kind   FaultKind
	Member wire.Hash
	ID     wire.Hash
	Height int32           // tip when it was found
	Shares []wire.SigShare // two of an equivocation, ascending by message and quorum; else one
	From   Source          // of a bad share
}

// Proven reports whether the member did it. Anybody can make a bad share in
// its name, so that is proof only if it came from the member itself; and then
// to us, not to others.
func (f Fault) Proven() bool { return f.Kind == Equivocation || f.From.ProTx == f.Member }

type faultKey struct {
	kind       FaultKind
	id, member wire.Hash
}

// equivocation is a fault whatever the order in which the shares came.
func equivocation(member wire.Hash, a, b wire.SigShare, height int32) Fault {
	shares := []wire.SigShare{a, b}
	slices.SortFunc(shares, compareShares)
	return Fault{Kind: Equivocation, Member: member, ID: a.ID, Height: height, Shares: shares}
}

func compareShares(a, b wire.SigShare) int {
	return cmp.Or(bytes.Compare(a.MessageHash[:], b.MessageHash[:]), bytes.Compare(a.QuorumHash[:], b.QuorumHash[:]), cmp.Compare(a.Member, b.Member), bytes.Compare(a.Signature[:], b.Signature[:]))
}

// Faults returns the proven faults that are kept, ascending by height, member
// and request.
func (p *Pool) Faults() []Fault {
	return slices.SortedFunc(maps.Values(p.faults), compareFaults)
}

func compareFaults(a, b Fault) int {
	return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.Member[:], b.Member[:]), bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Kind, b.Kind))
}

// RestoreFault keeps a fault as it was stored.
func (p *Pool) RestoreFault(f Fault) {
	if !f.Proven() {
		return
	}
	key := faultKey{f.Kind, f.ID, f.Member}
	if _, had := p.faults[key]; had {
		return
	}
	p.faults[key] = f
	if len(p.faults) > p.limits.faults {
		first := slices.MinFunc(slices.Collect(maps.Values(p.faults)), compareFaults)
		delete(p.faults, faultKey{first.Kind, first.ID, first.Member})
	}
}
