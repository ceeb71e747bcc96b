package engine

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// keyShare is our part of the key of a mined quorum, and what others' shares
// of signatures are checked with.
type keyShare struct {
	secret bls.SecretKey
	vector bls.VerificationVector
}

// Format keeps the secret out of logs and error texts, whatever the verb.
func (k keyShare) Format(f fmt.State, _ rune) { fmt.Fprint(f, "engine.keyShare") }

// bytes returns the record: the secret, then the points of the vector.
func (k keyShare) bytes() []byte {
	secret := k.secret.Bytes()
	b := append([]byte(nil), secret[:]...)
	for _, p := range k.vector {
		point := p.Bytes()
		b = append(b, point[:]...)
	}
	return b
}

// ParseKeyShare decodes a record of KindShare.
func ParseKeyShare(b []byte) (secret bls.SecretKey, vector bls.VerificationVector, err error) {
	k, err := parseKeyShare(b)
	return k.secret, k.vector, err
}

func parseKeyShare(b []byte) (k keyShare, err error) {
	if len(b) <= bls.SecretKeySize || (len(b)-bls.SecretKeySize)%bls.PublicKeySize != 0 {
		return k, fmt.Errorf("%w: share of a quorum's key of %d bytes", state.ErrRecord, len(b))
	}
	if k.secret, err = bls.ParseSecretKey([bls.SecretKeySize]byte(b)); err != nil {
		return k, fmt.Errorf("%w: share of a quorum's key: %w", state.ErrRecord, err)
	}
	for b = b[bls.SecretKeySize:]; len(b) > 0; b = b[bls.PublicKeySize:] {
		p, err := bls.ParsePublicKey([bls.PublicKeySize]byte(b))
		if err != nil {
			return k, fmt.Errorf("%w: vector of a quorum: %w", state.ErrRecord, err)
		}
		k.vector = append(k.vector, p)
	}
	return k, nil
}

// keepShare keeps our share of a quorum, by state.QuorumKey.
func (e *Engine) keepShare(key wire.Hash, k keyShare, out *Effects) {
	e.keyShares[key] = k
	out.put(KindShare, key[:], k.bytes())
}

func (e *Engine) dropShare(key wire.Hash, out *Effects) {
	delete(e.keyShares, key)
	out.delete(KindShare, key[:])
}

// dropOldShares forgets our shares of quorums that are not among the newest of
// their type, and of those that were never mined.
func (e *Engine) dropOldShares(out *Effects) {
	keep := make(map[wire.Hash]bool)
	for _, s := range e.sessions {
		keep[s.key] = true
	}
	for _, llmq := range e.state.LLMQs() {
		left := llmq.KeepOldKeys
		for q := range e.state.Quorums(llmq.Type) {
			if left == 0 {
				break
			}
			keep[state.QuorumKey(q.Type(), q.Hash())] = true
			left--
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(e.keyShares), compareHashes) {
		if !keep[key] {
			e.dropShare(key, out)
		}
	}
}

func compareHashes(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) }

func (e *Engine) loadShares(r Records, _ meta) error {
	return corrupt(r.Walk(KindShare, nil, func(key, value []byte) error {
		k, err := parseKeyShare(value)
		if err == nil && len(key) != wire.HashSize {
			err = fmt.Errorf("%w: share of a quorum's key under a key of %d bytes", state.ErrRecord, len(key))
		}
		if err == nil {
			e.keyShares[wire.Hash(key)] = k
		}
		return err
	}))
}
