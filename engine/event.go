package engine

import (
	"crypto/ed25519"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// maxPool is the most events that wait for a block.
const maxPool = 4 * wire.MaxBlockEvents

// events are those that wait for a block, one of each record, as each needs
// the record's next sequence number.
type events struct {
	waiting trie.Map[wire.Event] // by record; their signatures were found valid
	order   []wire.Hash          // of records, oldest first
}

// eventID names an event by all its bytes.
func eventID(e wire.Event) wire.Hash { return wire.DoubleHash(e.Bytes()) }

// add takes an event whose signatures are valid. One of the same record is
// replaced only if replace says so. It reports false when the pool is full.
func (p *events) add(e wire.Event, replace bool) bool {
	record := e.Record()
	switch _, had := p.waiting.Get(record); {
	case had && !replace:
		return true
	case had:
	case len(p.order) >= maxPool:
		return false
	default:
		p.order = append(p.order, record)
	}
	p.waiting = p.waiting.Set(record, e)
	return true
}

// has reports whether that very event waits.
func (p *events) has(e wire.Event) bool {
	other, ok := p.waiting.Get(e.Record())
	return ok && eventID(other) == eventID(e)
}

// list returns the events that wait, oldest first.
func (p *events) list() (list []wire.Event) {
	for _, record := range p.order {
		e, _ := p.waiting.Get(record)
		list = append(list, e)
	}
	return list
}

// settle forgets the events that can no longer stand in a block at height.
func (p *events) settle(s state.State, height int32) {
	p.order = slices.DeleteFunc(p.order, func(record wire.Hash) bool {
		e, _ := p.waiting.Get(record)
		if s.CheckEvent(height, e) == nil {
			return false
		}
		p.waiting = p.waiting.Delete(record)
		return true
	})
}

// event takes an event into the pool.
func (e *Engine) event(in Event, out *Effects) validation.Verdict {
	if _, err := wire.ParseEvent(in.Event.Bytes()); err != nil { // or nobody could read our block
		return validation.Malformed.Verdict()
	}
	// Our operator who thinks again replaces what waits.
	v := validation.Event(in.Event, e.Snapshot())
	if !v.OK() && !(in.From == "" && v.Reason == validation.EventWaiting) {
		return v
	}
	if key, _ := SignerOf(e.state, in.Event); key != in.Key {
		return validation.Internal.Verdict() // checked under a key that is void by now: let it come again
	}
	if !e.pool.add(in.Event, in.From == "") {
		return validation.PoolFull.Verdict()
	}
	if in.From == "" {
		out.Publications = append(out.Publications, Publication{TopicEvent, in.Event.Bytes()})
	}
	return validation.Valid.Verdict()
}

// SignerOf returns the operator key that must have signed an event, zero if
// none had to. It reports false if the node is unknown.
func SignerOf(s state.State, event wire.Event) (wire.OperatorKey, bool) {
	switch event := event.(type) {
	case wire.Register:
		return event.OperatorKey, true
	case wire.UpdateService, wire.Revoke:
		n, ok := s.Node(event.Record())
		return n.OperatorKey, ok
	default:
		return wire.OperatorKey{}, true
	}
}

// signed checks an event's signatures, unless it was done before. What waits
// may have been checked on another branch: that its signer is known on this
// one is looked at all the same. A node's key never changes while it has one.
func (e *Engine) signed(s state.State, event wire.Event) bool {
	key, ok := SignerOf(s, event)
	if !ok || e.pool.has(event) {
		return ok
	}
	return SignedByStakers(event, e.config.Verify) && SignedByOperator(event, key)
}

// SignedByStakers checks the Ed25519 signatures of an event, whose keys stand
// in it. It is true for events that have none.
func SignedByStakers(event wire.Event, verify func(ed25519.PublicKey, []byte, []byte) bool) bool {
	hash := event.SignHash()
	switch e := event.(type) {
	case wire.Register:
		return verify(e.Staker[:], hash[:], e.Signature[:]) && verify(e.ServiceKey[:], hash[:], e.ServiceProof[:])
	case wire.Contribute:
		return verify(e.Staker[:], hash[:], e.Signature[:])
	case wire.Exit:
		return verify(e.Staker[:], hash[:], e.Signature[:])
	default:
		return true
	}
}

// OperatorSignature returns the BLS signature of an event, if it has one.
func OperatorSignature(event wire.Event) (wire.Signature, bool) {
	switch e := event.(type) {
	case wire.Register:
		return e.OperatorProof, true
	case wire.UpdateService:
		return e.Signature, true
	case wire.Revoke:
		return e.Signature, true
	default:
		return wire.Signature{}, false
	}
}

// SignedByOperator checks the BLS signature of an event, if it has one. A
// block has few events, so they are checked one by one: about a millisecond each.
func SignedByOperator(event wire.Event, key wire.OperatorKey) bool {
	signature, has := OperatorSignature(event)
	if !has {
		return true
	}
	k, err := bls.ParsePublicKey(key)
	if err != nil {
		return false
	}
	sig, err := bls.ParseSignature(signature)
	return err == nil && bls.Verify(k, event.SignHash(), sig)
}
