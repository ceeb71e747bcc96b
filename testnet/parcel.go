package testnet

import (
	"fmt"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// parcel is a message on its way to one member.
type parcel struct {
	from, to int
	message  any // decoded, shared by all who get it
	sent     uint64
}

// patience is how many slots a message waits for its receiver's tip: no
// message names what lies further ahead.
const patience = params.BanHeightSlack + 1

// ofSession is a message of members who make a key. The first who can decodes
// its points, which is most of what it costs.
type ofSession struct {
	wire.DKGMessage
	opened *dkg.Opened
}

// decode returns what a publication says.
func decode(p engine.Publication) (message any, err error) {
	if _, ok := p.Topic.DKG(); ok {
		return decodeDKG(p.Bytes)
	}
	switch p.Topic {
	case engine.TopicBlock:
		return wire.ParseBlock(p.Bytes)
	case engine.TopicEvent:
		return wire.ParseEvent(p.Bytes)
	case engine.TopicUptime:
		return wire.ParseUptimeProof(p.Bytes)
	case engine.TopicVote:
		return wire.ParseVote(p.Bytes)
	case engine.TopicCheckpoint:
		return wire.ParseCheckpoint(p.Bytes)
	case engine.TopicPlatformBan:
		return wire.ParsePlatformBan(p.Bytes)
	case engine.TopicCommitment:
		return wire.ParseFinalCommitment(p.Bytes)
	case engine.TopicRecovered:
		return wire.ParseRecoveredSig(p.Bytes)
	}
	return nil, fmt.Errorf("testnet: no member speaks on topic %s", p.Topic)
}

func decodeDKG(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("testnet: empty message of a session")
	}
	m, err := wire.ParseDKG(wire.DKGKind(b[0]), b[1:])
	return &ofSession{DKGMessage: m}, err
}

// send lets all hear a message of a member's own.
func (s *Simulation) send(from int, p engine.Publication) error {
	message, err := decode(p)
	if err != nil {
		return err
	}
	for to := range s.members {
		if to != from && !s.cut(from, to) {
			s.post(parcel{from: from, to: to, message: message})
		}
	}
	return nil
}

// post sends a parcel on its way, on which it may be lost or doubled.
func (s *Simulation) post(p parcel) {
	p.sent = s.Slot
	if s.link.Loss == 0 || s.random.Float64() >= s.link.Loss {
		s.queue = append(s.queue, p)
	}
	if s.link.Twice > 0 && s.random.Float64() < s.link.Twice {
		s.queue = append(s.queue, p)
	}
}

// again delivers what came before its time, to members whose tips have moved
// on meanwhile.
func (s *Simulation) again() error {
	s.queue, s.early = append(s.queue, s.early...), s.early[:0:0]
	return s.deliver()
}

// wait keeps what its receiver could not judge yet, for some slots.
func (s *Simulation) wait(p parcel) {
	if s.Slot-p.sent < patience {
		s.early = append(s.early, p)
	}
}

// hand gives a parcel to its receiver.
func (s *Simulation) hand(p parcel) error {
	in, later := s.input(p)
	switch {
	case later:
		s.wait(p)
		return nil
	case in == nil:
		return nil
	}
	v, err := s.ask(p.to, in)
	if v.Reason.Nature() == validation.OfUs && v.Reason != validation.Internal && waits(p.message) {
		s.wait(p)
	}
	return err
}

// waits reports whether a message that came too early is judged again; of the
// others there will be more.
func waits(message any) bool {
	switch message.(type) {
	case *ofSession, wire.FinalCommitment, wire.RecoveredSig, wire.PlatformBan:
		return true
	default:
		return false
	}
}

// input is what a message becomes once its signatures are checked: they are
// not checked here, so forged ones have no place in a simulation. It is nil for
// a message that the receiver does not hear or drops; later says that it could
// not tell yet.
func (s *Simulation) input(p parcel) (in engine.Input, later bool) {
	from := s.peer(p.from)
	view := s.members[p.to].engine.Snapshot()
	switch m := p.message.(type) {
	case wire.Block:
		return engine.Block{From: from, Block: m}, false
	case wire.UptimeProof:
		node, known := view.State.Node(m.ProTxHash)
		if !known {
			return nil, false
		}
		return engine.Proof{From: from, Proof: m, Key: node.ServiceKey}, false
	case wire.Vote:
		return engine.Vote{From: from, Vote: m}, false
	case wire.Checkpoint:
		return engine.Checkpoint{From: from, Checkpoint: m}, false
	case wire.Event:
		key, _ := engine.SignerOf(view.State, m)
		return engine.Event{From: from, Event: m, Key: key}, false
	case wire.PlatformBan:
		key, _ := view.PlatformQuorum(m.QuorumHash, m.SignedHeight)
		return engine.Ban{From: from, Message: m, Key: key}, false
	case *ofSession:
		return s.opened(m, p, view)
	case wire.FinalCommitment:
		return engine.Commitment{From: from, Commitment: m}, false
	case wire.SigShares:
		return engine.Shares{From: from, ProTxHash: s.Members[p.from].ProTxHash, Shares: m}, false
	case wire.RecoveredSig:
		q, known := view.State.Quorum(m.Type, m.QuorumHash)
		return engine.Recovered{From: from, Signature: m, Key: q.Key()}, !known
	default:
		panic(fmt.Sprintf("testnet: message of type %T", m))
	}
}

// opened is a message of a session for a member of it.
func (s *Simulation) opened(m *ofSession, p parcel, view *engine.Snapshot) (in engine.Input, later bool) {
	head := m.Head()
	for _, roster := range view.Sessions {
		if _, hash := roster.Base(); roster.LLMQ().Type != head.Type || hash != head.QuorumHash {
			continue
		}
		if _, member := roster.Index(s.Members[p.to].ProTxHash); !member {
			return nil, false
		}
		if m.opened == nil {
			checked, reason := roster.Check(m.DKGMessage, view.TipHeight())
			if reason != 0 {
				return nil, reason.Forget()
			}
			opened, reason := roster.Open(checked)
			if reason != 0 {
				return nil, false
			}
			m.opened = &opened
		}
		return engine.DKG{From: s.peer(p.from), Message: *m.opened}, false
	}
	return nil, true
}
