package dkg

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Identity is who runs a session. Without an operator key it is a watcher: it
// follows and finds the result, but has no share and sends nothing.
type Identity struct {
	ProTxHash wire.Hash
	Operator  bls.SecretKey
	Seed      [32]byte // secret and random, kept while the node exists: nobody else may predict the weights of batch checks
}

// Format keeps the secrets out of logs and error texts, whatever the verb.
func (i Identity) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "dkg.Identity(%s)", i.ProTxHash) }

// Session is one member's or watcher's part in one session. It is fed heights
// and messages; messages of others have been through Roster.Check, their
// signature, and Roster.Open. It is not safe for concurrent use.
type Session struct {
	*Roster
	who   Identity
	self  int // index; -1 of a watcher
	phase Phase
	kept  [kinds][][]Opened // by kind and member, at most two each, ascending by id

	// From Complain on.
	faults []Fault
	shares []bls.SecretKey // dealt to us; zero where there is none that fits
	lacked []bool          // no fitting share from this member at Complain

	// From Justify on.
	votes    []int   // to put a member out
	accusers [][]int // of each member: who complained about its share, ascending
	unheard  [][]int // of each member: accusers not answered; from Commit on

	result  *Result // from Commit on; nil if too few are valid
	final   []wire.FinalCommitment
	unknown int // groups of commitments that were left out at Finalize
}

const kinds = 4

func slot(k wire.DKGKind) int { return int(k - wire.KindContribution) }

// NewSession returns a session before its base block. Follow with Advance.
func NewSession(r *Roster, who Identity) *Session {
	s := &Session{Roster: r, who: who, self: -1}
	if i, ok := r.Index(who.ProTxHash); ok && who.Operator != (bls.SecretKey{}) && who.Operator.PublicKey() == r.keys[i] {
		s.self = i
	}
	n := len(r.members)
	for k := range s.kept {
		s.kept[k] = make([][]Opened, n)
	}
	s.faults, s.shares, s.lacked = make([]Fault, n), make([]bls.SecretKey, n), make([]bool, n)
	s.votes, s.accusers, s.unheard = make([]int, n), make([][]int, n), make([][]int, n)
	return s
}

// Resume returns the session as it was with those messages kept, and what
// Advance to that height returns in the end: our own message of this phase
// again, with the bytes it had if it is among the messages. Their order does
// not matter. Store every message that Add or Advance took, ours too, and see
// Reopen.
func Resume(r *Roster, who Identity, kept []Opened, height int32, bad func(proTx wire.Hash) bool) (*Session, []Opened) {
	s := NewSession(r, who)
	for p := Initialized; p < PhaseAt(r.llmq, r.base, height); p++ {
		s.step(p, false, nil)
		for _, o := range kept {
			if phaseOf(o.Message.Kind()) == p {
				s.keep(o)
			}
		}
	}
	for _, o := range kept {
		if phaseOf(o.Message.Kind()) > s.phase {
			s.keep(o)
		}
	}
	return s, s.Advance(height, bad)
}

// Format keeps the secrets out of logs and error texts, whatever the verb.
func (s *Session) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "dkg.Session(%d, %s, %s)", s.llmq.Type, s.hash, s.phase)
}

// Phase returns the present phase, 0 before the base block.
func (s *Session) Phase() Phase { return s.phase }

// Self returns our index; ok is false for a watcher.
func (s *Session) Self() (index int, ok bool) { return s.self, s.self >= 0 }

// Advance moves on to the phase of a height and returns our message to send,
// if the phase has one. It is kept already; it is to be stored before it is sent.
// Phases are never left backwards, and a phase that is passed over sends
// nothing, for nobody would take it any more. bad says, when Complain begins,
// which members to vote out whatever they send; nil is none.
func (s *Session) Advance(height int32, bad func(proTx wire.Hash) bool) (send []Opened) {
	now := PhaseAt(s.llmq, s.base, height)
	for p := s.phase + 1; p <= now; p++ {
		if o, ok := s.step(p, p == now, bad); ok {
			send = append(send, o)
		}
	}
	return send
}

// step enters the phase after the present one. Our message is made only if
// speak is true; one that is kept from before is taken instead.
func (s *Session) step(p Phase, speak bool, bad func(proTx wire.Hash) bool) (o Opened, ok bool) {
	s.phase = p
	var say func() (Opened, bool)
	var kind wire.DKGKind
	switch p {
	case Contribute:
		say, kind = s.contribution, wire.KindContribution
	case Complain:
		s.closeContributions()
		say, kind = func() (Opened, bool) { return s.complaint(bad) }, wire.KindComplaint
	case Justify:
		s.closeComplaints()
		say, kind = func() (Opened, bool) { return s.justification() }, wire.KindJustification
	case Commit:
		s.closeJustifications()
		say, kind = s.commitment, wire.KindPrematureCommitment
	case Finalize:
		s.closeCommitments()
	}
	if say == nil || s.self < 0 || !speak {
		return Opened{}, false
	}
	if own := s.kept[slot(kind)][s.self]; len(own) > 0 {
		return own[0], true
	}
	if o, ok = say(); ok {
		s.keep(o)
	}
	return o, ok
}

// Add takes a message, or says why not. See Reason for what to do with it. A
// complaint that is late is for Answer.
func (s *Session) Add(o Opened) Reason {
	if reason := timely(o.Message.Kind(), s.phase); reason != 0 {
		return reason
	}
	if s.differs(o) {
		return ReasonResult
	}
	return s.keep(o)
}

// keep adds a message unless it or two others are there. They are in order of
// their ids so that nothing depends on which came first.
func (s *Session) keep(o Opened) Reason {
	list := &s.kept[slot(o.Message.Kind())][o.sender]
	switch {
	case len(*list) > 0 && (*list)[0].id == o.id, len(*list) > 1 && (*list)[1].id == o.id:
		return ReasonDuplicate
	case len(*list) == 2:
		return ReasonThird
	case len(*list) == 0:
		*list = []Opened{o}
		return ReasonAccepted
	}
	first := (*list)[0]
	if string(o.id[:]) < string(first.id[:]) {
		*list = []Opened{o, first}
	} else {
		*list = []Opened{first, o}
	}
	return ReasonEquivocation
}

// of returns what is kept of a kind from one member.
func (s *Session) of(k wire.DKGKind, member int) []Opened { return s.kept[slot(k)][member] }

// only returns the one message of a kind from one member; ok is false if there
// is none or two.
func only[M wire.DKGMessage](s *Session, member int) (m M, o Opened, ok bool) {
	if list := s.of(m.Kind(), member); len(list) == 1 {
		m, ok = list[0].Message.(M)
		return m, list[0], ok
	}
	return m, Opened{}, false
}

// open makes one of our own messages: it signs m.
func (s *Session) open(m wire.DKGMessage) Opened {
	sig := s.who.Operator.Sign(m.SignHash())
	m = m.Signed(sig.Bytes())
	return Opened{Message: m, id: m.ID(), sender: s.self, operator: sig}
}

func (s *Session) head() wire.DKGHead {
	return wire.DKGHead{Type: s.llmq.Type, QuorumHash: s.hash, ProTxHash: s.who.ProTxHash}
}

// weights returns the seed of a batch check over exactly those messages.
func (s *Session) weights(what string, messages []wire.Hash) (seed [32]byte) {
	mac := hmac.New(sha256.New, s.who.Seed[:])
	mac.Write([]byte{byte(s.llmq.Type)})
	mac.Write(s.hash[:])
	mac.Write([]byte(what))
	for _, id := range messages {
		mac.Write(id[:])
	}
	mac.Sum(seed[:0])
	return seed
}
