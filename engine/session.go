package engine

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// session is one that we follow: the present one of each type, and the one
// before until it is over. A service node that is no member follows too, as
// it passes the messages on and must tell good ones from bad.
type session struct {
	*dkg.Session
	key       wire.Hash // state.QuorumKey
	announced bool      // what it resulted in
	badVotes  []BadVote
}

// follows reports whether we take part in sessions or watch them.
func (e *Engine) follows() bool { return e.config.ServiceKey != nil || e.config.Watch }

// sessionOf returns the session of a type with that base block, nil if we
// follow none.
func (e *Engine) sessionOf(t wire.LLMQType, hash wire.Hash) *session {
	key := state.QuorumKey(t, hash)
	i := slices.IndexFunc(e.sessions, func(s *session) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return e.sessions[i]
}

// attend moves the sessions on to a new tip. While we are not synced they
// stand still: whoever does not know the tip must not speak, and takes nothing.
func (e *Engine) attend(out *Effects) {
	tip := e.tree.Tip()
	if tip.Hash == e.attended || !e.follows() || len(e.state.LLMQs()) == 0 || !e.synced() {
		return
	}
	e.attended = tip.Hash
	e.abandon(out)
	e.resumeSessions(out)
	for _, q := range e.state.LLMQs() {
		e.begin(q, out)
	}
	slices.SortFunc(e.sessions, compareSessions)
	for _, s := range e.sessions {
		e.say(s.Advance(tip.Height, e.voteBad(s.Roster, &s.badVotes)), nil, out)
		e.announce(s, out)
		e.takeShare(s, out)
	}
	e.endSessions(out)
	e.forgetUnreached()
	e.showSessions()
}

func compareSessions(a, b *session) int {
	height, _ := a.Base()
	other, _ := b.Base()
	return cmp.Or(cmp.Compare(height, other), cmp.Compare(a.LLMQ().Type, b.LLMQ().Type))
}

// begin begins to follow the present session of a type. Who comes too late to
// contribute has missed what others dealt, and would accuse them all: it only
// watches.
func (e *Engine) begin(q params.LLMQ, out *Effects) {
	tip := e.tree.Tip().Height
	base := e.branch.At(dkg.BaseAt(q, tip))
	if base == nil || !dkg.IsBase(q, base.Tip.Height) || e.sessionOf(q.Type, base.Tip.Hash) != nil {
		return
	}
	r := e.roster(e.branch, q, base)
	if r == nil {
		return
	}
	intime := dkg.PhaseAt(q, base.Tip.Height, tip) <= dkg.Contribute
	s := &session{Session: dkg.NewSession(r, e.identity(intime)), key: state.QuorumKey(q.Type, base.Tip.Hash)}
	e.sessions = append(e.sessions, s)
	if self, member := s.Self(); member {
		e.probeMembers(r, self, out)
	}
}

const weightsTag = "proctor/dkg/weights/1"

// identity is who we are in a session. A watcher has no share of its own to
// be deceived about: that others may foresee its weights does not matter.
func (e *Engine) identity(member bool) dkg.Identity {
	who := dkg.Identity{ProTxHash: e.config.ProTxHash}
	if key := e.config.ServiceKey; key != nil {
		mac := hmac.New(sha256.New, key.Seed())
		mac.Write([]byte(weightsTag))
		mac.Sum(who.Seed[:0])
	}
	if member && e.config.OperatorKey != nil {
		who.Operator = *e.config.OperatorKey
	}
	return who
}

// say stores messages of ours, but those that are stored already, and sends
// them.
func (e *Engine) say(messages []dkg.Opened, stored []wire.DKGMessage, out *Effects) {
	for _, o := range messages {
		if !slices.ContainsFunc(stored, func(m wire.DKGMessage) bool { return m.ID() == o.Message.ID() }) {
			putDKG(o.Message, out)
		}
		e.spoke(o.Message)
		out.Publications = append(out.Publications, Publication{DKGTopic(o.Message.Head().Type), DKGBytes(o.Message)})
	}
}

// DKGBytes is a message of a session as it travels on a DKGTopic and as it is
// stored: its kind and itself.
func DKGBytes(m wire.DKGMessage) []byte { return append([]byte{byte(m.Kind())}, m.Bytes()...) }

// ParseDKGBytes decodes what DKGBytes returns.
func ParseDKGBytes(b []byte) (wire.DKGMessage, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("message of a session without its kind: %w", wire.ErrSize)
	}
	return wire.ParseDKG(wire.DKGKind(b[0]), b[1:])
}

func putDKG(m wire.DKGMessage, out *Effects) { out.put(KindDKG, DKGKey(m), DKGBytes(m)) }

// DKGKey is the key of a message of a session in the database.
func DKGKey(m wire.DKGMessage) []byte {
	head, id := m.Head(), m.ID()
	return slices.Concat([]byte{byte(head.Type)}, head.QuorumHash[:], id[:])
}

// dkgMessage adds a message to its session and keeps it.
func (e *Engine) dkgMessage(in DKG, out *Effects) validation.Verdict {
	if !e.synced() {
		return validation.NotSynced.Verdict()
	}
	head := in.Message.Message.Head()
	s := e.sessionOf(head.Type, head.QuorumHash)
	if s == nil {
		return validation.DKGSession.Verdict()
	}
	reason := s.Add(in.Message)
	if reason == dkg.ReasonAccepted || reason == dkg.ReasonEquivocation {
		putDKG(in.Message.Message, out)
		e.spoke(in.Message.Message)
	}
	switch reason {
	case dkg.ReasonEquivocation:
		e.keepDKGFault(s, in.Message.Message, out)
	case dkg.ReasonLate:
		if answer, ok := s.Answer(in.Message); ok {
			e.say([]dkg.Opened{answer}, nil, out)
		}
	}
	return DKGVerdict(reason)
}

// announce offers what a session resulted in to all authors, unless there is
// something better.
func (e *Engine) announce(s *session, out *Effects) {
	if s.announced || s.Phase() < dkg.Finalize {
		return
	}
	s.announced = true
	made := s.Commitments()
	if len(made) == 0 || !e.mayBeMined(made[0]) {
		return
	}
	best := made[0]
	e.verified.put(best.ID(), true)
	e.keepMinable(best, out)
	if held, _ := e.minable.Get(s.key); held.ID() == best.ID() { // stored by us or an earlier run, and perhaps never sent
		out.Publications = append(out.Publications, Publication{TopicCommitment, best.Bytes()})
	}
}

// takeShare computes our share of a quorum's key once its commitment is in a
// block, and anew if another one is after a reorganisation.
func (e *Engine) takeShare(s *session, out *Effects) {
	q, mined := e.quorumOf(s)
	if _, member := s.Self(); !member || !mined {
		return
	}
	held, had := e.keyShares[s.key]
	if had && held.vector.PublicKey().Bytes() == q.Key() {
		return
	}
	share, r, ok := s.Share(q.Commitment.ValidMembers)
	switch {
	case ok && r.PublicKey().Bytes() == q.Key():
		e.keepShare(s.key, keyShare{secret: share, vector: r.Vector}, out)
	case had:
		e.dropShare(s.key, out)
	}
}

func (e *Engine) quorumOf(s *session) (state.Quorum, bool) {
	_, hash := s.Base()
	return e.state.Quorum(s.LLMQ().Type, hash)
}

// abandon leaves the sessions whose base block is no longer on our branch.
func (e *Engine) abandon(out *Effects) {
	e.leave(func(s *session) bool {
		height, hash := s.Base()
		now, known := e.tree.OnBranch(height)
		return known && now != hash
	}, out)
}

// endSessions leaves the sessions that are over.
func (e *Engine) endSessions(out *Effects) {
	if e.leave(e.over, out) {
		e.dropOldShares(out)
	}
}

// over reports whether nothing can follow from a session any more: its quorum
// is final, or can never be, or it is long past.
func (e *Engine) over(s *session) bool {
	base, _ := s.Base()
	q, tip, final := s.LLMQ(), e.tree.Tip().Height, e.tree.Final().Height
	if base >= dkg.BaseAt(q, tip) {
		return false
	}
	if tip >= base+2*q.DKGInterval {
		return true
	}
	if quorum, mined := e.quorumOf(s); mined {
		return quorum.Mined <= final
	}
	return base+q.MiningEnd <= final
}

// leave ends sessions and deletes what was kept of them. It reports whether
// there were any.
func (e *Engine) leave(those func(*session) bool, out *Effects) bool {
	before := len(e.sessions)
	e.sessions = slices.DeleteFunc(e.sessions, func(s *session) bool {
		if !those(s) {
			return false
		}
		for _, o := range s.Kept() {
			out.delete(KindDKG, DKGKey(o.Message))
			e.spoken = e.spoken.Delete(spokenKey(o.Message))
		}
		return true
	})
	return len(e.sessions) < before
}

// showSessions keeps what snapshots tell of sessions.
func (e *Engine) showSessions() {
	e.shown = shownSessions{}
	tip := e.tree.Tip().Height
	for _, s := range e.sessions {
		e.shown.badVotes = append(e.shown.badVotes, s.badVotes...)
		if base, _ := s.Base(); base == dkg.BaseAt(s.LLMQ(), tip) {
			e.shown.rosters = append(e.shown.rosters, s.Roster)
			e.shown.status = append(e.shown.status, s.Status())
		}
	}
}

// shownSessions is what snapshots tell of sessions, as it was at a tip.
type shownSessions struct {
	rosters  []*dkg.Roster
	status   []dkg.Status
	badVotes []BadVote
}

// loadSessions reads the messages of sessions; we go on with them once we are
// synced.
func (e *Engine) loadSessions(r Records, _ meta) error {
	e.stored = make(map[wire.Hash][]wire.DKGMessage)
	return corrupt(r.Walk(KindDKG, nil, func(key, value []byte) error {
		m, err := ParseDKGBytes(value)
		if err != nil {
			return fmt.Errorf("%w: message of a session: %w", state.ErrRecord, err)
		}
		if !bytes.Equal(key, DKGKey(m)) {
			return fmt.Errorf("%w: message %s of a session under another's key", state.ErrRecord, m.ID())
		}
		of := state.QuorumKey(m.Head().Type, m.Head().QuorumHash)
		e.stored[of] = append(e.stored[of], m)
		return nil
	}))
}

// resumeSessions goes on with the sessions of an earlier run, with all that
// was kept of them.
func (e *Engine) resumeSessions(out *Effects) {
	for _, key := range slices.SortedFunc(maps.Keys(e.stored), compareHashes) {
		if messages := e.stored[key]; !e.resumeSession(key, messages, out) {
			for _, m := range messages {
				out.delete(KindDKG, DKGKey(m))
			}
		}
	}
	e.stored = nil
}

// resumeSession reports false if the session is of another branch or long past.
func (e *Engine) resumeSession(key wire.Hash, messages []wire.DKGMessage, out *Effects) bool {
	head, tip := messages[0].Head(), e.tree.Tip().Height
	q, runs := e.state.LLMQ(head.Type)
	base := e.branch.find(head.QuorumHash)
	if !runs || base == nil {
		return false
	}
	r := e.roster(e.branch, q, base)
	if r == nil {
		return false
	}
	var kept []dkg.Opened
	intime := dkg.PhaseAt(q, base.Tip.Height, tip) <= dkg.Contribute
	for _, m := range messages {
		o, reason := r.Reopen(m)
		if reason != 0 {
			return false
		}
		kept = append(kept, o)
		intime = intime || m.Kind() == wire.KindContribution && m.Head().ProTxHash == e.config.ProTxHash
	}
	s := &session{key: key}
	var send []dkg.Opened
	s.Session, send = dkg.Resume(r, e.identity(intime), kept, tip, e.voteBad(r, &s.badVotes))
	if len(s.badVotes) == 0 { // or Complain began just now
		s.badVotes = e.recallVotes(s)
	}
	e.sessions = append(e.sessions, s)
	for _, m := range messages {
		e.spoke(m)
	}
	e.say(send, messages, out)
	return true
}
