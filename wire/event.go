package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of an UpdateService event.
const (
	MaxAddresses     = 4   // per node
	MaxAddressLength = 128 // characters of one multiaddress
)

const (
	updateServiceKind = 2 // the number of Dash's ProUpServTx
	updateServiceTag  = "proctor/event/update-service/1"
)

// UpdateService is the event by which an operator announces where a service
// node is reached; it revives a PoSe-banned node (DIP-0003, ProUpServTx).
// It carries the network and a sequence number, so no event can be replayed
// elsewhere or later.
//
//	size  field
//	   1  kind, 2
//	  32  Network    hash of the genesis
//	  32  ProTxHash
//	   8  Sequence   last accepted event of this node + 1
//	   1  number of addresses, then each as 1 length byte and ASCII
//	  96  Signature  by the operator key over SignHash
type UpdateService struct {
	Network   Hash
	ProTxHash Hash
	Sequence  uint64
	Addresses []string // 1..MaxAddresses multiaddresses, unverified
	Signature Signature
}

// CheckAddress reports why a cannot stand in an UpdateService; nil if it can.
func CheckAddress(a string) error {
	switch {
	case a == "":
		return fmt.Errorf("empty address: %w", ErrValue)
	case len(a) > MaxAddressLength:
		return fmt.Errorf("address of %d bytes, at most %d: %w", len(a), MaxAddressLength, ErrSize)
	}
	return checkText("address", a)
}

// Bytes returns the encoding of e.
func (e UpdateService) Bytes() []byte { return append(e.body(), e.Signature[:]...) }

func (e UpdateService) body() []byte {
	b := []byte{updateServiceKind}
	b = append(b, e.Network[:]...)
	b = append(b, e.ProTxHash[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Sequence)
	b = append(b, byte(len(e.Addresses)))
	for _, a := range e.Addresses {
		b = appendText(b, a)
	}
	return b
}

// SignHash is what the operator key signs.
func (e UpdateService) SignHash() Hash { return DoubleHash([]byte(updateServiceTag), e.body()) }

// ParseUpdateService decodes b, which must hold one event and nothing after it.
func ParseUpdateService(b []byte) (UpdateService, error) {
	r := &reader{rest: b}
	if kind := r.uint8(); r.err == nil && kind != updateServiceKind {
		r.err = fmt.Errorf("kind %d, want %d: %w", kind, updateServiceKind, ErrValue)
	}
	e := UpdateService{Network: r.hash(), ProTxHash: r.hash(), Sequence: r.uint64()}
	n := r.limited("addresses", int(r.uint8()), MaxAddresses)
	if r.err == nil && n == 0 {
		r.err = fmt.Errorf("no address: %w", ErrValue)
	}
	for range n {
		a := r.text("address", MaxAddressLength)
		if r.err == nil {
			r.err = CheckAddress(a)
		}
		e.Addresses = append(e.Addresses, a)
	}
	e.Signature = Signature(r.bytes(SignatureSize))
	return e, r.end("update-service event")
}
