package wire

import "fmt"

// maxRequestKind is the longest kind of request whose length is one byte of
// Dash's compact sizes.
const maxRequestKind = 252

// RequestID is the DIP-7 id of a signing request: what is to be decided, named
// by the kind of request and whatever tells requests of a kind apart. It
// panics if kind is longer than 252 bytes: kinds are constants.
// Source: spec/dash.md 0, 1.2, 11.6.
func RequestID(kind string, subject ...[]byte) Hash {
	if len(kind) > maxRequestKind {
		panic(fmt.Sprintf("wire: a request kind of %d bytes, at most %d", len(kind), maxRequestKind))
	}
	tag := append([]byte{byte(len(kind))}, kind...)
	return DoubleHash(append([][]byte{tag}, subject...)...)
}
