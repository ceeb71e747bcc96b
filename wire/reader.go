package wire

import (
	"encoding/binary"
	"fmt"
)

// reader takes fields off the front of a message. After the first failure it
// hands out zeros, so a decoder reads straight on and asks for err once.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) bytes(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = fmt.Errorf("%d bytes left, want %d: %w", len(r.rest), n, ErrSize)
	}
	if r.err != nil {
		return make([]byte, n) // n is a constant or has been checked against a limit
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() uint8   { return r.bytes(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }
func (r *reader) hash() Hash     { return Hash(r.bytes(HashSize)) }

func (r *reader) int32() int32         { return int32(r.uint32()) }
func (r *reader) signature() Signature { return Signature(r.bytes(SignatureSize)) }
func (r *reader) serviceSignature() ServiceSignature {
	return ServiceSignature(r.bytes(ServiceSignatureSize))
}

// amount reads stake of at least one unit.
func (r *reader) amount() uint64 {
	a := r.uint64()
	if r.err == nil && a == 0 {
		r.err = fmt.Errorf("amount 0, want at least 1: %w", ErrValue)
	}
	return a
}

// bool reads one byte that is 0 or 1.
func (r *reader) bool(what string) bool {
	v := r.uint8()
	if r.err == nil && v > 1 {
		r.err = fmt.Errorf("%s is %d, want 0 or 1: %w", what, v, ErrValue)
	}
	return v == 1
}

// limited returns n, or fails when n is over limit.
func (r *reader) limited(what string, n, limit int) int {
	if r.err == nil && n > limit {
		r.err = fmt.Errorf("%d %s, at most %d: %w", n, what, limit, ErrSize)
	}
	if r.err != nil {
		return 0
	}
	return n
}

// text reads one length byte and as many bytes of printable ASCII.
func (r *reader) text(what string, limit int) string {
	s := string(r.bytes(r.limited("bytes of "+what, int(r.uint8()), limit)))
	if r.err == nil {
		r.err = checkText(what, s)
	}
	return s
}

// addresses reads one byte of the count, least to most, and as many addresses
// of at most longest characters.
func (r *reader) addresses(least, most, longest int) (list []string) {
	n := r.limited("addresses", int(r.uint8()), most)
	if r.err == nil && n < least {
		r.err = fmt.Errorf("%d addresses, at least %d: %w", n, least, ErrValue)
	}
	for range n {
		a := r.text("address", longest)
		if r.err == nil {
			r.err = checkAddress(a, longest)
		}
		if r.err != nil {
			return nil
		}
		list = append(list, a)
	}
	return list
}

// endpoint reads a platform endpoint, or "" for none.
func (r *reader) endpoint() string {
	url := r.text("endpoint", MaxEndpointLength)
	if r.err == nil {
		r.err = CheckEndpoint(url)
	}
	return url
}

func checkAddress(a string, longest int) error {
	switch {
	case a == "":
		return fmt.Errorf("empty address: %w", ErrValue)
	case len(a) > longest:
		return fmt.Errorf("address of %d bytes, at most %d: %w", len(a), longest, ErrSize)
	}
	return checkText("address", a)
}

func checkText(what, s string) error {
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e {
			return fmt.Errorf("%s holds byte %#02x, want printable ASCII without spaces: %w", what, c, ErrValue)
		}
	}
	return nil
}

// end returns the first failure, or ErrSize when bytes are left over.
func (r *reader) end(what string) error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%d bytes after the end: %w", len(r.rest), ErrSize)
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

// appendText is the inverse of reader.text; callers keep the limits.
func appendText(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// appendAddresses is the inverse of reader.addresses; callers keep the limits.
func appendAddresses(b []byte, addresses []string) []byte {
	b = append(b, byte(len(addresses)))
	for _, a := range addresses {
		b = appendText(b, a)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
