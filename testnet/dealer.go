package testnet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Dealer holds all secret shares of a platform quorum in one place, which is
// what DKG is there to avoid. It stands in until quorums make themselves.
type Dealer struct {
	MadeBy     string           `json:"made_by"` // chain.TrustedDealer
	LLMQType   wire.LLMQType    `json:"llmq_type"`
	QuorumHash wire.Hash        `json:"quorum_hash"`
	Threshold  int              `json:"threshold"` // shares that make a signature
	PublicKey  wire.OperatorKey `json:"public_key"`
	Shares     []Share          `json:"shares"` // in member-index order
}

// Share is one member's part of the quorum's secret.
type Share struct {
	ProTxHash wire.Hash `json:"protx_hash"`
	Secret    secretHex `json:"secret"`
}

type secretHex [bls.SecretKeySize]byte

func (s secretHex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

func (s *secretHex) UnmarshalText(b []byte) error { return wire.DecodeHex(s[:], "secret share", b) }

func deal(llmq params.LLMQ, members []wire.Hash, seed [32]byte, quorum wire.Hash) (Dealer, error) {
	polynomial, err := bls.NewPolynomial(llmq.Threshold, seed)
	if err != nil {
		return Dealer{}, fmt.Errorf("testnet: deal: %w", err)
	}
	d := Dealer{
		MadeBy:     chain.TrustedDealer,
		LLMQType:   llmq.Type,
		QuorumHash: quorum,
		Threshold:  llmq.Threshold,
		PublicKey:  wire.OperatorKey(polynomial.Commit().PublicKey().Bytes()),
	}
	for _, m := range members {
		id, err := bls.NewID(m)
		if err != nil {
			return Dealer{}, fmt.Errorf("testnet: deal to %s: %w", m, err)
		}
		share, err := polynomial.Share(id)
		if err != nil {
			return Dealer{}, fmt.Errorf("testnet: deal to %s: %w", m, err)
		}
		d.Shares = append(d.Shares, Share{m, share.Bytes()})
	}
	return d, nil
}

// ParseDealer reads a dealer's file.
func ParseDealer(b []byte) (Dealer, error) {
	var d Dealer
	j := json.NewDecoder(bytes.NewReader(b))
	j.DisallowUnknownFields()
	if err := j.Decode(&d); err != nil {
		return d, fmt.Errorf("dealer file: %w", err)
	}
	if _, err := j.Token(); err != io.EOF {
		return d, fmt.Errorf("dealer file: something follows the closing brace")
	}
	if d.MadeBy != chain.TrustedDealer {
		return d, fmt.Errorf("dealer file: made_by is %q, want %q", d.MadeBy, chain.TrustedDealer)
	}
	return d, nil
}

func (d Dealer) genesis(mined int32) *chain.GenesisQuorum {
	q := &chain.GenesisQuorum{
		MadeBy: d.MadeBy, QuorumHash: d.QuorumHash, MinedHeight: mined, Threshold: d.Threshold, PublicKey: d.PublicKey,
	}
	for _, s := range d.Shares {
		q.Members = append(q.Members, s.ProTxHash)
	}
	return q
}

// Ban signs a platform ban with the shares of the first signers members. Fewer
// than Threshold make no signature: the error is bls.ErrTooFewShares.
func (d Dealer) Ban(proTx wire.Hash, height int32, signers int) (wire.PlatformBan, error) {
	m := wire.PlatformBan{ProTxHash: proTx, SignedHeight: height, QuorumHash: d.QuorumHash}
	hash := m.SignHash(d.LLMQType)
	key, err := bls.ParsePublicKey(d.PublicKey)
	if err != nil {
		return m, fmt.Errorf("quorum public key: %w", err)
	}
	var shares []bls.SignatureShare
	for _, s := range d.Shares[:max(0, min(signers, len(d.Shares)))] {
		share, err := s.sign(hash)
		if err != nil {
			return m, fmt.Errorf("share of %s: %w", s.ProTxHash, err)
		}
		shares = append(shares, share)
	}
	sig, err := bls.Recover(d.Threshold, shares, key, hash)
	if err != nil {
		return m, fmt.Errorf("sign ban of %s at %d: %w", proTx, height, err)
	}
	m.Signature = wire.Signature(sig.Bytes())
	return m, nil
}

func (s Share) sign(hash wire.Hash) (bls.SignatureShare, error) {
	id, err := bls.NewID(s.ProTxHash)
	if err != nil {
		return bls.SignatureShare{}, err
	}
	key, err := bls.ParseSecretKey(s.Secret)
	if err != nil {
		return bls.SignatureShare{}, err
	}
	return bls.SignatureShare{ID: id, Signature: key.Sign(hash)}, nil
}
