package wire

import "fmt"

// Limits of a PeerList.
const (
	MaxListedPeers         = 32
	MaxPeerIDSize          = 64  // bytes; an Ed25519 identity has 38
	MaxListedAddresses     = 4   // of one peer
	MaxListedAddressLength = 255 // characters
	MaxPeerListSize        = 16 << 10
)

// PeerEntry says where a peer may be reached.
type PeerEntry struct {
	ID        string   // identity as the transport proves it, bytes
	Addresses []string // 1..MaxListedAddresses multiaddresses, unverified
}

// PeerList is what one peer tells another about third ones.
//
//	size  field
//	   1  number of peers
//
// and for each
//
//	1+n  ID
//	  1  number of addresses, then each as 1 length byte and ASCII
type PeerList []PeerEntry

// Bytes returns the encoding of l.
func (l PeerList) Bytes() []byte {
	b := []byte{byte(len(l))}
	for _, e := range l {
		b = e.append(b)
	}
	return b
}

func (e PeerEntry) append(b []byte) []byte {
	return appendAddresses(appendText(b, e.ID), e.Addresses)
}

// Cut returns the longest beginning of l that is within the limits.
func (l PeerList) Cut() PeerList {
	size := 1
	for i, e := range l {
		size += len(e.append(nil))
		if i == MaxListedPeers || size > MaxPeerListSize {
			return l[:i]
		}
	}
	return l
}

// CheckListedAddress reports why a cannot stand in a PeerList; nil if it can.
func CheckListedAddress(a string) error { return checkAddress(a, MaxListedAddressLength) }

// ParsePeerList decodes b, which must hold one list and nothing after it. No
// peer stands in it twice.
func ParsePeerList(b []byte) (PeerList, error) {
	if len(b) > MaxPeerListSize {
		return nil, fmt.Errorf("list of peers of %d bytes, at most %d: %w", len(b), MaxPeerListSize, ErrSize)
	}
	r := &reader{rest: b}
	n := r.limited("peers", int(r.uint8()), MaxListedPeers)
	seen := make(map[string]bool, n)
	l := make(PeerList, 0, n)
	for range n {
		e := r.peerEntry()
		if r.err == nil && seen[e.ID] {
			r.err = fmt.Errorf("peer %x twice: %w", e.ID, ErrValue)
		}
		if r.err != nil {
			break
		}
		seen[e.ID] = true
		l = append(l, e)
	}
	return l, r.end("list of peers")
}

func (r *reader) peerEntry() (e PeerEntry) {
	e.ID = string(r.bytes(r.limited("bytes of a peer's identity", int(r.uint8()), MaxPeerIDSize)))
	if r.err == nil && e.ID == "" {
		r.err = fmt.Errorf("empty identity: %w", ErrValue)
	}
	e.Addresses = r.addresses(1, MaxListedAddresses, MaxListedAddressLength)
	return e
}
