package signing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Why we do not sign: a closed set.
var (
	ErrUnknownQuorum = errors.New("signing: quorum is unknown or too old")
	ErrNotMember     = errors.New("signing: we have no share in the quorum")
	ErrVoted         = errors.New("signing: we signed another message for the request")
	ErrDecided       = errors.New("signing: another message was signed for the request")
	ErrHeight        = errors.New("signing: request is of a height above the tip or too far below")
	ErrFull          = errors.New("signing: too many requests")
	ErrRecord        = errors.New("signing: broken record")
)

// VoteBlocks is how long a Vote is kept below the tip, Dash's week. It exceeds
// what is signed for, params.BanWindow, by more than any reorganisation: at
// that height a request whose vote was forgotten is never signed again.
const VoteBlocks = 4032

// Lasting is the Height of a request whose id covers none. It is signed at any
// tip, so its Vote may never be forgotten: as a height it lies above all tips.
const Lasting int32 = math.MaxInt32

// Request asks a quorum to sign.
type Request struct {
	ID          wire.Hash
	MessageHash wire.Hash
	Height      int32 // which the id covers: it tells when the request is too old; or Lasting
}

// BanRequest is the request that signs m, a ban without signature.
// Source: spec/dash.md 1.2.
func BanRequest(m wire.PlatformBan) Request {
	return Request{m.RequestID(), m.MessageHash(), m.SignedHeight}
}

// VoteSize is the length of an encoded Vote, in bytes.
const VoteSize = 1 + 3*wire.HashSize + 4

// Vote is the once-only record: what we sign for a request, whatever the
// quorum of the type. It must be on disk before the share leaves, and is the
// one thing a restart may not lose.
type Vote struct {
	Type       wire.LLMQType
	QuorumHash wire.Hash // that we signed in first
	Request
}

// Bytes returns the encoding of v: type, quorum, id, message, and the height,
// big endian.
func (v Vote) Bytes() []byte {
	b := append(make([]byte, 0, VoteSize), byte(v.Type))
	b = append(b, v.QuorumHash[:]...)
	b = append(b, v.ID[:]...)
	b = append(b, v.MessageHash[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(v.Height))
}

// ParseVote decodes what Bytes returns. The error is ErrRecord.
func ParseVote(b []byte) (Vote, error) {
	if len(b) != VoteSize {
		return Vote{}, fmt.Errorf("%w: a vote of %d bytes, want %d", ErrRecord, len(b), VoteSize)
	}
	return Vote{
		Type: wire.LLMQType(b[0]), QuorumHash: wire.Hash(b[1:33]),
		Request: Request{wire.Hash(b[33:65]), wire.Hash(b[65:97]), int32(binary.BigEndian.Uint32(b[97:]))},
	}, nil
}

// signable reports whether a request of a height may be signed at tip.
func signable(height, tip int32) bool {
	age := int64(tip) - int64(height)
	return height == Lasting || 0 <= age && age <= params.BanWindow
}
