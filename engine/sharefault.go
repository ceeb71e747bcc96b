package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// keepShareFaults keeps what members did wrong and nobody else can have done,
// as far as the pools remember it. No rule punishes it: it is shown.
func (e *Engine) keepShareFaults(found []signing.Fault, out *Effects) {
	for _, f := range found {
		if f.Proven() {
			out.Alarms = append(out.Alarms, Alarm{AlarmShare, fmt.Sprintf("node %s, %s: request %s in quorum %s", f.Member, f.Kind, f.ID, f.Shares[0].QuorumHash)})
		}
	}
	before := e.shareFaults
	e.noteShareFaults()
	for _, f := range e.shareFaults {
		if !holdsFault(before, f) {
			out.put(KindShareFault, shareFaultKey(f), shareFaultBytes(f))
		}
	}
	for _, f := range before {
		if !holdsFault(e.shareFaults, f) { // it made room
			out.delete(KindShareFault, shareFaultKey(f))
			out.Evicted++
		}
	}
}

func holdsFault(list []signing.Fault, f signing.Fault) bool {
	return slices.ContainsFunc(list, func(o signing.Fault) bool { return o.ID == f.ID && bytes.Equal(shareFaultKey(o), shareFaultKey(f)) })
}

// noteShareFaults renews the list that readers get, who may still hold the old
// one.
func (e *Engine) noteShareFaults() {
	e.shareFaults = nil
	for _, s := range e.signers {
		e.shareFaults = append(e.shareFaults, s.pool.Faults()...)
	}
}

// shareFaultKey: type, request, member, number of shares, which tells the kind.
func shareFaultKey(f signing.Fault) []byte {
	b := append(requestKey(f.Shares[0].Type, f.ID), f.Member[:]...)
	return append(b, byte(len(f.Shares)))
}

// shareFaultBytes returns the record: height, member, shares.
func shareFaultBytes(f signing.Fault) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(f.Height))
	return append(append(b, f.Member[:]...), wire.SigShares(f.Shares).Bytes()...)
}

func parseShareFault(b []byte) (f signing.Fault, err error) {
	const fixed = 4 + wire.HashSize
	if len(b) < fixed {
		return f, fmt.Errorf("%w: fault of a share of %d bytes, want at least %d", state.ErrRecord, len(b), fixed)
	}
	shares, err := wire.ParseSigShares(b[fixed:])
	if err != nil {
		return f, fmt.Errorf("%w: fault of a share: %w", state.ErrRecord, err)
	}
	f = signing.Fault{Kind: signing.Equivocation, Member: wire.Hash(b[4:fixed]), ID: shares[0].ID, Height: heightOf(b), Shares: shares}
	switch len(shares) {
	case 1: // it came from the member itself, or it would prove nothing
		f.Kind, f.From.ProTx = signing.BadShare, f.Member
	case 2:
	default:
		return f, fmt.Errorf("%w: fault of a share with %d shares, want 1 or 2", state.ErrRecord, len(shares))
	}
	return f, nil
}

func (e *Engine) loadShareFaults(r Records, _ meta) error {
	err := r.Walk(KindShareFault, nil, func(key, value []byte) error {
		f, err := parseShareFault(value)
		if err != nil {
			return err
		}
		s := e.signerOf(f.Shares[0].Type)
		if s == nil {
			return fmt.Errorf("%w: fault of a share in a quorum of type %d, which does not run here", state.ErrRecord, f.Shares[0].Type)
		}
		s.pool.RestoreFault(f)
		return misplaced("fault of a share", key, shareFaultKey(f))
	})
	e.noteShareFaults()
	return corrupt(err)
}
