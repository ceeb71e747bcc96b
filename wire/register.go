package wire

import (
	"encoding/binary"
	"fmt"
)

// Register makes a new service node and locks its owner's stake in it. It
// awaits the stake of others until the requirement is met (DIP-0003,
// ProRegTx; seed "Deregistration Rules", Register TX).
//
//	size  field
//	  73  head, see Event; the record is Staker
//	   1  Evo            0 or 1
//	  48  OperatorKey
//	  32  ServiceKey
//	   1  number of addresses, then each as 1 length byte and ASCII
//	   1  length of Platform, then as many bytes of ASCII
//	   8  Amount         at least 1
//	  96  OperatorProof  by the operator key over SignHash
//	  64  ServiceProof   by the service key over SignHash
//	  64  Signature      Ed25519 by the staker's key over SignHash
//
// All three keys sign: nobody can register the key of another.
type Register struct {
	EventHead
	Staker        StakerKey // the owner
	Evo           bool      // evonode, not regular masternode
	OperatorKey   OperatorKey
	ServiceKey    ServiceKey
	Addresses     []string // 0..MaxAddresses multiaddresses, unverified; without any the node starts PoSe-banned
	Platform      string   // endpoint of an evonode's platform service, see CheckEndpoint; "" for none
	Amount        uint64   // units of stake
	OperatorProof Signature
	ServiceProof  ServiceSignature
	Signature     ServiceSignature
}

// Kind returns KindRegister.
func (Register) Kind() EventKind { return KindRegister }

// Record returns the owner's key.
func (e Register) Record() Hash { return Hash(e.Staker) }

// Bytes returns the encoding of e.
func (e Register) Bytes() []byte {
	b := append(e.body(), e.OperatorProof[:]...)
	b = append(b, e.ServiceProof[:]...)
	return append(b, e.Signature[:]...)
}

func (e Register) body() []byte {
	b := appendBool(appendEventHead(e.Kind(), e.EventHead, Hash(e.Staker)), e.Evo)
	b = append(b, e.OperatorKey[:]...)
	b = append(b, e.ServiceKey[:]...)
	b = appendText(appendAddresses(b, e.Addresses), e.Platform)
	return binary.BigEndian.AppendUint64(b, e.Amount)
}

// SignHash is what owner, operator and service key sign.
func (e Register) SignHash() Hash { return eventHash(e.body()) }

// ProTxHash names the node that e registers. The owner's sequence number in
// it makes it new each time.
func (e Register) ProTxHash() Hash { return DoubleHash([]byte("proctor/protx/1"), e.body()) }

func readRegister(r *reader, h EventHead, record Hash) Register {
	return Register{
		EventHead:     h,
		Staker:        StakerKey(record),
		Evo:           r.bool("evo"),
		OperatorKey:   OperatorKey(r.bytes(OperatorKeySize)),
		ServiceKey:    ServiceKey(r.bytes(ServiceKeySize)),
		Addresses:     r.addresses(0, MaxAddresses, MaxAddressLength),
		Platform:      r.endpoint(),
		Amount:        r.amount(),
		OperatorProof: r.signature(),
		ServiceProof:  r.serviceSignature(),
		Signature:     r.serviceSignature(),
	}
}

// MaxRevokeReason is the highest reason of a Revoke.
const MaxRevokeReason = 3

// Revoke is the event by which an operator gives up a service node: it is
// PoSe-banned and its keys are void (DIP-0003, ProUpRevTx). Its stakers may
// let it exit and register another.
//
//	size  field
//	  73  head, see Event; the record is ProTxHash
//	   1  Reason     0 none, 1 termination of service, 2 compromised keys, 3 change of keys
//	  96  Signature  by the operator key over SignHash
type Revoke struct {
	EventHead
	ProTxHash Hash
	Reason    uint8 // 0..MaxRevokeReason
	Signature Signature
}

// Kind returns KindRevoke.
func (Revoke) Kind() EventKind { return KindRevoke }

// Record returns the node's ProTxHash.
func (e Revoke) Record() Hash { return e.ProTxHash }

// Bytes returns the encoding of e.
func (e Revoke) Bytes() []byte { return append(e.body(), e.Signature[:]...) }

func (e Revoke) body() []byte {
	return append(appendEventHead(e.Kind(), e.EventHead, e.ProTxHash), e.Reason)
}

// SignHash is what the operator key signs.
func (e Revoke) SignHash() Hash { return eventHash(e.body()) }

func readRevoke(r *reader, h EventHead, record Hash) Revoke {
	e := Revoke{EventHead: h, ProTxHash: record, Reason: r.uint8()}
	if r.err == nil && e.Reason > MaxRevokeReason {
		r.err = fmt.Errorf("reason %d, at most %d: %w", e.Reason, MaxRevokeReason, ErrValue)
	}
	e.Signature = r.signature()
	return e
}
