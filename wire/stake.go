package wire

import "encoding/binary"

// Contribute locks stake of a staker in a service node that awaits it.
//
//	size  field
//	  73  head, see Event; the record is Staker
//	  32  ProTxHash
//	   8  Amount     at least 1
//	  64  Signature  Ed25519 by the staker's key over SignHash
type Contribute struct {
	EventHead
	Staker    StakerKey
	ProTxHash Hash
	Amount    uint64 // units of stake
	Signature ServiceSignature
}

// Kind returns KindContribute.
func (Contribute) Kind() EventKind { return KindContribute }

// Record returns the staker's key.
func (e Contribute) Record() Hash { return Hash(e.Staker) }

// Bytes returns the encoding of e.
func (e Contribute) Bytes() []byte { return append(e.body(), e.Signature[:]...) }

func (e Contribute) body() []byte {
	b := appendEventHead(e.Kind(), e.EventHead, Hash(e.Staker))
	b = append(b, e.ProTxHash[:]...)
	return binary.BigEndian.AppendUint64(b, e.Amount)
}

// SignHash is what the staker signs.
func (e Contribute) SignHash() Hash { return eventHash(e.body()) }

func readContribute(r *reader, h EventHead, record Hash) Contribute {
	return Contribute{EventHead: h, Staker: StakerKey(record), ProTxHash: r.hash(), Amount: r.amount(), Signature: r.serviceSignature()}
}

// Exit asks that a service node leave in good order. Any one of its stakers
// may; the node serves on until the network's exit delay has passed.
//
//	size  field
//	  73  head, see Event; the record is Staker
//	  32  ProTxHash
//	  64  Signature  Ed25519 by the staker's key over SignHash
type Exit struct {
	EventHead
	Staker    StakerKey
	ProTxHash Hash
	Signature ServiceSignature
}

// Kind returns KindExit.
func (Exit) Kind() EventKind { return KindExit }

// Record returns the staker's key.
func (e Exit) Record() Hash { return Hash(e.Staker) }

// Bytes returns the encoding of e.
func (e Exit) Bytes() []byte { return append(e.body(), e.Signature[:]...) }

func (e Exit) body() []byte {
	return append(appendEventHead(e.Kind(), e.EventHead, Hash(e.Staker)), e.ProTxHash[:]...)
}

// SignHash is what the staker signs.
func (e Exit) SignHash() Hash { return eventHash(e.body()) }

func readExit(r *reader, h EventHead, record Hash) Exit {
	return Exit{EventHead: h, Staker: StakerKey(record), ProTxHash: r.hash(), Signature: r.serviceSignature()}
}
