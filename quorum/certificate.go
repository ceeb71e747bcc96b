package quorum

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Why a certificate is refused, in the order of the checks.
var (
	ErrAge       = errors.New("quorum: certificate outside its blocks")
	ErrDraw      = errors.New("quorum: certificate of another draw")
	ErrTarget    = errors.New("quorum: node is not to be tested in this draw")
	ErrVoters    = errors.New("quorum: voter is not a tester of this draw")
	ErrSelf      = errors.New("quorum: node votes about itself")
	ErrTooFew    = errors.New("quorum: too few votes")
	ErrAccusers  = errors.New("quorum: too few voters for a negative answer")
	ErrKey       = errors.New("quorum: voter has no operator key")
	ErrSignature = errors.New("quorum: signature does not verify")
)

// Keys returns the operator key of a node at the height of the draw. Decoding
// seven keys costs half a verification, so a caller keeps them decoded.
type Keys func(proTx wire.Hash) (bls.PublicKey, bool)

// DecodedKeys are the keys of a registry that has them as bytes. A key that
// does not decode is none.
func DecodedKeys(encoded func(proTx wire.Hash) (wire.OperatorKey, bool)) Keys {
	return func(proTx wire.Hash) (bls.PublicKey, bool) {
		b, ok := encoded(proTx)
		if !ok {
			return bls.PublicKey{}, false
		}
		key, err := bls.ParsePublicKey(b)
		return key, err == nil
	}
}

// Age reports whether a block may carry a certificate of the draw at height;
// the error is ErrAge.
func Age(height, carried int32) error {
	// int64: the author chooses height, so the difference must not wrap.
	age := int64(carried) - int64(height)
	if age < params.CertificateFirst || age > params.CertificateLast {
		return fmt.Errorf("%w: draw at %d, block at %d", ErrAge, height, carried)
	}
	return nil
}

// Certify makes the certificate of a ballot from votes on it by voters of its
// draw; other votes are passed over. All voters that are good are in it: more
// than needed cost little and are better evidence.
//
// Votes should have been verified. They are verified here once more, together,
// because a block with a bad certificate is refused as a whole; if one is bad
// after all, the others are enough where they reach the threshold.
func Certify(network wire.Hash, d Draw, ballot wire.Ballot, votes []wire.Vote, keys Keys) (wire.Certificate, error) {
	if err := checkBallot(d, ballot); err != nil {
		return wire.Certificate{}, err
	}
	var by [params.Testers]*wire.Vote // one vote per voter, by index
	for i, v := range votes {
		if index, ok := d.Index(v.Voter); ok && v.Ballot == ballot && v.Voter != ballot.ProTxHash {
			by[index] = &votes[i]
		}
	}
	hash := ballot.SignHash(network)
	var signers []signer
	for index, v := range by {
		if v == nil {
			continue
		}
		if s, ok := newSigner(index, *v, keys); ok {
			signers = append(signers, s)
		}
	}
	c, ok := aggregate(ballot, hash, signers)
	if !ok {
		var good []signer
		for _, s := range signers {
			if bls.Verify(s.key, hash, s.signature) {
				good = append(good, s)
			}
		}
		c, _ = aggregate(ballot, hash, good)
	}
	if err := checkVoters(d, c); err != nil {
		return wire.Certificate{}, err
	}
	return c, nil
}

type signer struct {
	index     int
	key       bls.PublicKey
	signature bls.Signature
}

func newSigner(index int, v wire.Vote, keys Keys) (signer, bool) {
	key, ok := keys(v.Voter)
	if !ok {
		return signer{}, false
	}
	signature, err := bls.ParseSignature(v.Signature)
	return signer{index, key, signature}, err == nil
}

// aggregate reports whether the sum of the signatures verifies.
func aggregate(ballot wire.Ballot, hash wire.Hash, signers []signer) (wire.Certificate, bool) {
	c := wire.Certificate{Ballot: ballot}
	var keys []bls.PublicKey
	var signatures []bls.Signature
	for _, s := range signers {
		c.Voters |= 1 << s.index
		keys = append(keys, s.key)
		signatures = append(signatures, s.signature)
	}
	sum, err := bls.AggregateSecure(keys, signatures)
	c.Signature = sum.Bytes()
	return c, err == nil && bls.VerifySecure(keys, hash, sum)
}

// Verify judges a certificate by the draw it names; whether that draw is of
// the branch and whether the block may carry it is for the caller, see Age.
// Signatures are looked at last.
func Verify(network wire.Hash, d Draw, c wire.Certificate, keys Keys) error {
	if err := Check(d, c); err != nil {
		return err
	}
	signers := make([]bls.PublicKey, 0, params.Testers)
	for i, tester := range d.Testers {
		if c.Voters&(1<<i) == 0 {
			continue
		}
		key, ok := keys(tester)
		if !ok {
			return fmt.Errorf("%w: tester %d", ErrKey, i)
		}
		signers = append(signers, key)
	}
	sum, err := bls.ParseSignature(c.Signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !bls.VerifySecure(signers, c.SignHash(network), sum) {
		return ErrSignature
	}
	return nil
}

// Check is Verify without keys and signatures.
func Check(d Draw, c wire.Certificate) error {
	if err := checkBallot(d, c.Ballot); err != nil {
		return err
	}
	return checkVoters(d, c)
}

func checkBallot(d Draw, b wire.Ballot) error {
	switch {
	case b.Height != d.Height || b.BlockHash != d.Hash:
		return fmt.Errorf("%w: height %d", ErrDraw, b.Height)
	case !d.Answerable(b.ProTxHash, b.Answer):
		return fmt.Errorf("%w: %s", ErrTarget, b.ProTxHash.Short())
	}
	return nil
}

func checkVoters(d Draw, c wire.Certificate) error {
	if c.Voters>>len(d.Testers) != 0 {
		return fmt.Errorf("%w: bits %#x of %d testers", ErrVoters, c.Voters, len(d.Testers))
	}
	if i, member := d.Index(c.ProTxHash); member && c.Voters&(1<<i) != 0 {
		return fmt.Errorf("%w: %s", ErrSelf, c.ProTxHash.Short())
	}
	needed, ok := d.Needed(c.ProTxHash, c.Answer)
	if !ok {
		return fmt.Errorf("%w: %d testers", ErrAccusers, len(d.Testers))
	}
	if got := bits.OnesCount16(c.Voters); got < needed {
		return fmt.Errorf("%w: %d, want %d", ErrTooFew, got, needed)
	}
	return nil
}
