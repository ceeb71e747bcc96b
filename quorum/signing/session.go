package signing

import (
	"bytes"
	"maps"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// MaxMessagesOfMember is how many messages of one member are counted for one
// request: the second is proof against it and enough. So nobody can keep
// another's share out.
const MaxMessagesOfMember = 2

// session collects shares of one request in one quorum.
type session struct {
	quorum  *Quorum
	id      wire.Hash
	opened  int32
	opener  Source
	sponsor wire.Hash // whose good share came first; zero while there is none
	pending []pending // not checked yet
	good    map[wire.Hash]map[uint16]share
	counted map[uint16]int // messages of each member
	spoiled bool           // a recovery of unchecked shares failed
	due     bool
	own     *own
}

type share struct {
	wire.SigShare
	signature bls.Signature
}

type pending struct {
	share
	from Source
}

// own is our share and whom it was sent to.
type own struct {
	share   wire.SigShare
	started int32
	order   []wire.Hash
	sent    int // members of order that had their turn
	lasting bool
}

func newSession(q *Quorum, id wire.Hash, height int32, opener Source) *session {
	return &session{
		quorum: q, id: id, opened: height, opener: opener,
		good: make(map[wire.Hash]map[uint16]share), counted: make(map[uint16]int),
	}
}

// known judges a share by those we have, without looking at its signature.
func (s *session) known(x wire.SigShare) Reason {
	if had, ok := s.good[x.MessageHash][x.Member]; ok {
		if had.Signature == x.Signature {
			return Duplicate
		}
		return WrongShare // there is one good signature
	}
	if slices.ContainsFunc(s.pending, func(p pending) bool { return p.SigShare == x }) {
		return Duplicate
	}
	if s.counted[x.Member] >= MaxMessagesOfMember {
		return Full
	}
	return Taken
}

// ready reports whether the shares of a message are enough if all are good.
func (s *session) ready(message wire.Hash) bool {
	return len(s.candidates(message)) >= s.quorum.params.Threshold
}

// candidates returns one share of each member that has one of a message, good
// ones first.
func (s *session) candidates(message wire.Hash) (list []share) {
	good := s.good[message]
	for _, member := range slices.Sorted(maps.Keys(good)) {
		list = append(list, good[member])
	}
	seen := make(map[uint16]bool)
	for _, p := range s.pending {
		if _, has := good[p.Member]; p.MessageHash == message && !has && !seen[p.Member] {
			seen[p.Member] = true
			list = append(list, p.share)
		}
	}
	return list
}

// result is what checking a session brought.
type result struct {
	recovered *wire.RecoveredSig
	bad       []pending
	good      []share // newly found to be
}

// check looks for a recovery, and checks what is pending. It takes the chance
// that all shares are good first: what is recovered is verified under the
// quorum's key, so a wrong share costs one failure in the session and never
// makes a wrong signature. Only then, or for shares that were not used, are
// shares checked, together.
func (s *session) check(seed [32]byte) (r result) {
	s.due = false
	slices.SortFunc(s.pending, func(a, b pending) int { return compareShares(a.SigShare, b.SigShare) })
	used := s.gamble(&r)
	list := s.pending
	s.pending = nil
	rest := slices.DeleteFunc(slices.Clone(list), func(p pending) bool { return used[p.SigShare] && !s.contradicted(list, p) })
	items := make([]bls.Item, len(rest))
	for i, p := range rest {
		items[i] = bls.Item{Key: s.quorum.keyShare(p.Member), Hash: p.SignHash(), Signature: p.signature}
	}
	for i, ok := range bls.VerifyBatch(items, seed) {
		switch {
		case !ok:
			r.bad = append(r.bad, rest[i])
		case s.counted[rest[i].Member] < MaxMessagesOfMember:
			s.count(rest[i].share)
			r.good = append(r.good, rest[i].share)
		}
	}
	if r.recovered == nil {
		for _, message := range slices.SortedFunc(maps.Keys(s.good), compareHashes) {
			if len(s.good[message]) >= s.quorum.params.Threshold && r.recovered == nil {
				r.recovered = s.recover(message, s.candidates(message))
			}
		}
	}
	return r
}

// gamble recovers from unchecked shares if there are enough, and returns those
// it used.
func (s *session) gamble(r *result) map[wire.SigShare]bool {
	used := make(map[wire.SigShare]bool)
	if s.spoiled {
		return used
	}
	messages := make(map[wire.Hash]bool)
	for _, p := range s.pending {
		messages[p.MessageHash] = true
	}
	for _, message := range slices.SortedFunc(maps.Keys(messages), compareHashes) {
		list := s.candidates(message)
		if len(list) < s.quorum.params.Threshold {
			continue
		}
		if r.recovered = s.recover(message, list); r.recovered == nil {
			s.spoiled = true
			return used
		}
		for _, x := range list[:s.quorum.params.Threshold] {
			used[x.SigShare] = true
		}
		return used
	}
	return used
}

// contradicted reports whether the member of p may have signed another message
// too: then it must be known whether p is good.
func (s *session) contradicted(list []pending, p pending) bool {
	for message, of := range s.good {
		if _, has := of[p.Member]; has && message != p.MessageHash {
			return true
		}
	}
	return slices.ContainsFunc(list, func(o pending) bool { return o.Member == p.Member && o.MessageHash != p.MessageHash })
}

// recover returns nil if a share is wrong.
func (s *session) recover(message wire.Hash, list []share) *wire.RecoveredSig {
	q := s.quorum
	shares := make([]bls.SignatureShare, q.params.Threshold)
	for i := range shares {
		shares[i] = bls.SignatureShare{ID: q.ids[list[i].Member], Signature: list[i].signature}
	}
	r := wire.RecoveredSig{Type: q.params.Type, QuorumHash: q.Hash, ID: s.id, MessageHash: message}
	sig, err := bls.Recover(q.params.Threshold, shares, q.key, r.SignHash())
	if err != nil {
		return nil
	}
	r.Signature = sig.Bytes()
	return &r
}

func (s *session) count(x share) {
	of := s.good[x.MessageHash]
	if of == nil {
		of = make(map[uint16]share)
		s.good[x.MessageHash] = of
	}
	if _, had := of[x.Member]; !had {
		of[x.Member] = x
		s.counted[x.Member]++
	}
	if s.sponsor.IsZero() {
		s.sponsor = s.quorum.members[x.Member]
	}
}

// turns returns the recovery members whose turn it is at height and who did
// not have it before.
func (o *own) turns(height int32) (to []wire.Hash) {
	reached := max(0, int64(height)-int64(o.started))/RetryBlocks + 1
	for ; o.sent < len(o.order) && int64(o.sent) < reached; o.sent++ {
		to = append(to, o.order[o.sent])
	}
	return to
}

func compareHashes(a, b wire.Hash) int { return bytes.Compare(a[:], b[:]) }
