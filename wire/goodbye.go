package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of a Goodbye.
const (
	MaxGoodbyeReason = 32 // characters
	MaxGoodbyeSize   = 1 + 1 + MaxGoodbyeReason + 8

	// MaxGoodbyeUntil is the last second of the year 9999: times behind it
	// cannot be written down in most places a time goes to.
	MaxGoodbyeUntil = 253_402_300_799
)

// Goodbye is the last thing a peer is told before contact with it ends.
//
//	size  field
//	   1  Code    why contact ends
//	 1+n  Reason  of the offence that led to a ban, ASCII; empty if there was none
//	   8  Until   end of the ban, seconds since 1970; 0 if there is none
type Goodbye struct {
	Code   byte
	Reason string
	Until  int64
}

// Bytes returns the encoding of g.
func (g Goodbye) Bytes() []byte {
	b := appendText([]byte{g.Code}, g.Reason)
	return binary.BigEndian.AppendUint64(b, uint64(g.Until))
}

// ParseGoodbye decodes b, which must hold one goodbye and nothing after it.
func ParseGoodbye(b []byte) (Goodbye, error) {
	if len(b) > MaxGoodbyeSize {
		return Goodbye{}, fmt.Errorf("goodbye of %d bytes, at most %d: %w", len(b), MaxGoodbyeSize, ErrSize)
	}
	r := &reader{rest: b}
	g := Goodbye{Code: r.uint8(), Reason: r.text("reason", MaxGoodbyeReason)}
	until := r.uint64()
	if r.err == nil && until > MaxGoodbyeUntil {
		r.err = fmt.Errorf("until %d, at most %d: %w", until, int64(MaxGoodbyeUntil), ErrValue)
	}
	g.Until = int64(until)
	return g, r.end("goodbye")
}
