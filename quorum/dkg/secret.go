package dkg

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// secretTag separates secrets of sessions from other uses of an operator key.
const secretTag = "proctor/dkg/1"

// Labels of the secrets of one session.
const (
	labelPolynomial = "polynomial"
	labelEphemeral  = "ephemeral"
	labelIVSeed     = "iv-seed"
)

// secret derives a secret of one session: HMAC-SHA-256 with the operator's
// secret key over tag, type, quorum hash and label. All but the label have one
// length. What a member sends rests on nothing else that is secret, so that a
// process killed in the middle of a session says the same again, and never
// proves itself false by another contribution.
func secret(operator bls.SecretKey, t wire.LLMQType, quorum wire.Hash, label string) (s [32]byte) {
	key := operator.Bytes()
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(secretTag))
	mac.Write([]byte{byte(t)})
	mac.Write(quorum[:])
	mac.Write([]byte(label))
	mac.Sum(s[:0])
	return s
}
