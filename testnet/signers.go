package testnet

import (
	"errors"
	"fmt"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// ErrNoQuorum means that a network has no platform quorum yet: the first is
// mined in block 35 at the earliest.
var ErrNoQuorum = errors.New("testnet: no platform quorum was mined yet")

// Signers are the members of a platform quorum as colluders: what enough of
// them could sign together, whatever the rules say.
type Signers struct {
	Type       wire.LLMQType
	QuorumHash wire.Hash
	Mined      int32 // height
	Threshold  int   // shares that make a signature
	PublicKey  wire.OperatorKey

	shares []heldShare // of the members that have one, in order of the index
}

// heldShare is a member's share of the key as its node has stored it.
type heldShare struct {
	proTx  wire.Hash
	id     bls.ID
	secret bls.SecretKey
}

// Members lists those that hold a share, in order of the index.
func (s Signers) Members() (members []wire.Hash) {
	for _, share := range s.shares {
		members = append(members, share.proTx)
	}
	return members
}

// Ban signs a platform ban with the shares of the first signers members. Fewer
// than Threshold make no signature: the error is bls.ErrTooFewShares.
func (s Signers) Ban(proTx wire.Hash, height int32, signers int) (wire.PlatformBan, error) {
	m := wire.PlatformBan{ProTxHash: proTx, SignedHeight: height, QuorumHash: s.QuorumHash}
	hash := m.SignHash(s.Type)
	key, err := bls.ParsePublicKey(s.PublicKey)
	if err != nil {
		return m, fmt.Errorf("quorum public key: %w", err)
	}
	var shares []bls.SignatureShare
	for _, share := range s.shares[:max(0, min(signers, len(s.shares)))] {
		shares = append(shares, bls.SignatureShare{ID: share.id, Signature: share.secret.Sign(hash)})
	}
	sig, err := bls.Recover(s.Threshold, shares, key, hash)
	if err != nil {
		return m, fmt.Errorf("sign ban of %s at %d: %w", proTx, height, err)
	}
	m.Signature = wire.Signature(sig.Bytes())
	return m, nil
}

// Quorums are the platform quorums of a network, newest first.
type Quorums []Signers

// At returns the newest quorum that was mined at or below a height, the oldest
// if none was. There must be one.
func (q Quorums) At(height int32) Signers {
	for _, s := range q {
		if s.Mined <= height {
			return s
		}
	}
	return q[len(q)-1]
}

// Signers are those of the newest platform quorum. The error is ErrNoQuorum if
// there is none.
func (s *Simulation) Signers() (Signers, error) {
	quorums, err := s.Quorums()
	if err == nil && len(quorums) == 0 {
		err = ErrNoQuorum
	}
	if err != nil {
		return Signers{}, err
	}
	return quorums[0], nil
}

// Quorums gathers what the members have stored of the shares that they made in
// DKG.
func (s *Simulation) Quorums() (quorums Quorums, err error) {
	view, ok := s.anyone()
	if !ok {
		return nil, nil
	}
	platform := view.State.PlatformType()
	llmq, _ := view.State.LLMQ(platform)
	for q := range view.State.Quorums(platform) {
		signers := Signers{Type: platform, QuorumHash: q.Hash(), Mined: q.Mined, Threshold: llmq.Threshold, PublicKey: q.Key()}
		for _, proTx := range q.Members {
			share, held, err := s.shareOf(proTx, state.QuorumKey(platform, q.Hash()))
			switch {
			case err != nil:
				return nil, err
			case held:
				signers.shares = append(signers.shares, share)
			}
		}
		quorums = append(quorums, signers)
	}
	return quorums, nil
}

// anyone is the view of a member that is up.
func (s *Simulation) anyone() (*engine.Snapshot, bool) {
	for _, m := range s.members {
		if m.engine != nil {
			return m.engine.Snapshot(), true
		}
	}
	return nil, false
}

func (s *Simulation) shareOf(proTx, quorum wire.Hash) (share heldShare, held bool, err error) {
	for i, m := range s.Members {
		raw := s.members[i].disk[engine.KindShare][string(quorum[:])]
		if m.ProTxHash != proTx || raw == nil {
			continue
		}
		share.proTx = proTx
		if share.secret, _, err = engine.ParseKeyShare(raw); err == nil {
			share.id, err = bls.NewID(proTx)
		}
		if err != nil {
			return heldShare{}, false, fmt.Errorf("testnet: share of %s: %w", m.Name, err)
		}
		return share, true, nil
	}
	return heldShare{}, false, nil
}
