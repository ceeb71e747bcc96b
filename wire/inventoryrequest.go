package wire

import "fmt"

// InventoryKind is what an InventoryRequest asks for. Values are part of the
// protocol.
type InventoryKind byte

// The kinds of requests.
const (
	AskSummary InventoryKind = iota + 1 // the summary, unless it has the digest given
	AskRange                            // bans by height
	AskBans                             // bans by inventory hash
)

// MaxInventoryRequestSize is the most bytes of an encoded InventoryRequest.
const MaxInventoryRequestSize = 1 + MaxListedBans*HashSize

// InventoryRequest is one question about a peer's inventory.
//
//	size  field
//	   1  Kind
//	      the field that belongs to the kind, 16 bytes of Digest, a BanRange
//	      or BanHashes
type InventoryRequest struct {
	Kind   InventoryKind
	Digest [BanDigestSize]byte // AskSummary: of the asker's own summary
	Range  BanRange            // AskRange
	Hashes BanHashes           // AskBans
}

// Bytes returns the encoding of q.
func (q InventoryRequest) Bytes() []byte {
	b := []byte{byte(q.Kind)}
	switch q.Kind {
	case AskSummary:
		return append(b, q.Digest[:]...)
	case AskRange:
		return append(b, q.Range.Bytes()...)
	default:
		return append(b, q.Hashes.Bytes()...)
	}
}

// ParseInventoryRequest decodes b, which must hold one request and nothing
// after it.
func ParseInventoryRequest(b []byte) (q InventoryRequest, err error) {
	if len(b) == 0 {
		return q, fmt.Errorf("empty inventory request: %w", ErrSize)
	}
	q.Kind = InventoryKind(b[0])
	switch body := b[1:]; q.Kind {
	case AskSummary:
		if len(body) != BanDigestSize {
			return q, fmt.Errorf("digest of %d bytes, want %d: %w", len(body), BanDigestSize, ErrSize)
		}
		q.Digest = [BanDigestSize]byte(body)
	case AskRange:
		q.Range, err = ParseBanRange(body)
	case AskBans:
		q.Hashes, err = ParseBanHashes(body)
	default:
		err = fmt.Errorf("inventory request of kind %d: %w", q.Kind, ErrValue)
	}
	return q, err
}
