// Package signing lets long-living quorums sign by threshold (DIP-0007): which
// quorum signs a request, the one message each member signs for it, how shares
// are collected, checked and recovered, and what proves that a member said two
// things. It is fed and answers; the caller stores and sends.
package signing

import (
	"errors"
	"fmt"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// ErrQuorum means that the parts of a quorum do not fit together.
var ErrQuorum = errors.New("signing: parts of a quorum do not fit")

// Mined names a quorum and the height its commitment was mined at.
type Mined struct {
	Hash   wire.Hash
	Height int32
}

// Quorum is what signing needs to know of a mined quorum. It is not safe for
// concurrent use, save for Verify.
type Quorum struct {
	Mined
	params  params.LLMQ
	key     bls.PublicKey
	members []wire.Hash // by index
	valid   []bool
	ids     []bls.ID
	vector  bls.VerificationVector // nil: shares cannot be checked
	keys    []bls.PublicKey        // of shares; zero until asked for
}

// NewQuorum joins the parts of a mined commitment of type p. Members and valid
// go by index. The vector is for members only; who has none passes nil and
// cannot check shares. It keeps the slices. The error wraps ErrQuorum.
func NewQuorum(p params.LLMQ, m Mined, key bls.PublicKey, members []wire.Hash, valid []bool, vector bls.VerificationVector) (*Quorum, error) {
	switch {
	case len(members) == 0 || len(members) > p.Size || len(valid) != len(members):
		return nil, fmt.Errorf("%w: %d members, %d flags, at most %d", ErrQuorum, len(members), len(valid), p.Size)
	case key == bls.PublicKey{}:
		return nil, fmt.Errorf("%w: no key", ErrQuorum)
	case vector != nil && (len(vector) != p.Threshold || !vector.PublicKey().Equal(key)):
		return nil, fmt.Errorf("%w: a vector of %d for threshold %d, or of another key", ErrQuorum, len(vector), p.Threshold)
	}
	q := &Quorum{Mined: m, params: p, key: key, members: members, valid: valid, vector: vector}
	seen := make(map[bls.ID]bool, len(members))
	for i, proTx := range members {
		id, err := bls.NewID(proTx)
		if err != nil || seen[id] {
			return nil, fmt.Errorf("%w: the id of member %d is zero or another's", ErrQuorum, i)
		}
		seen[id] = true
		q.ids = append(q.ids, id)
	}
	q.keys = make([]bls.PublicKey, len(members))
	return q, nil
}

// Index returns the index of a member.
func (q *Quorum) Index(proTx wire.Hash) (int, bool) {
	for i, m := range q.members {
		if m == proTx {
			return i, true
		}
	}
	return 0, false
}

// Verify reports whether the quorum made r, which names it.
func (q *Quorum) Verify(r wire.RecoveredSig) bool {
	sig, err := bls.ParseSignature(r.Signature)
	return err == nil && r.Type == q.params.Type && r.QuorumHash == q.Hash && bls.Verify(q.key, r.SignHash(), sig)
}

// keyShare returns the key of a member's share; zero, under which nothing
// verifies, if it has none. The first time costs a multiplication of as many
// points as the threshold.
func (q *Quorum) keyShare(member uint16) bls.PublicKey {
	if q.keys[member] == (bls.PublicKey{}) {
		key, err := q.vector.Share(q.ids[member])
		if err != nil {
			return bls.PublicKey{}
		}
		q.keys[member] = key
	}
	return q.keys[member]
}
