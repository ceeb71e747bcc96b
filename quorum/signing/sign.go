package signing

import (
	"fmt"
	"maps"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Restore takes a vote back after a restart, before anything is signed. A
// second one for another message is ErrVoted: the record was damaged.
func (p *Pool) Restore(v Vote) error {
	had, ok := p.votes[v.ID]
	switch {
	case v.Type != p.params.Type:
		return fmt.Errorf("%w: a vote of type %d, want %d", ErrRecord, v.Type, p.params.Type)
	case ok && had.MessageHash != v.MessageHash:
		return ErrVoted
	}
	p.votes[v.ID] = v
	return nil
}

// Send is our share and the recovery member it goes to.
type Send struct {
	To    wire.Hash
	Share wire.SigShare
}

// Signed is what Sign made.
type Signed struct {
	Share wire.SigShare
	Vote  Vote
	Fresh bool // the vote is to be stored in the same commit, and nothing leaves before
	Sends []Send

	Recovered *wire.RecoveredSig // there is one already: nothing was signed
}

// Sign makes our share of a request in a quorum; sign is by our key share of
// that quorum. The same request in any quorum again gives the same vote and,
// in the same quorum, the same share: after a restart it is how signing goes
// on. Errors are ErrUnknownQuorum to ErrFull.
func (p *Pool) Sign(quorum wire.Hash, r Request, sign func(hash wire.Hash) wire.Signature) (Signed, error) {
	if d, ok := p.recovered[r.ID]; ok {
		if d.MessageHash != r.MessageHash {
			return Signed{}, ErrDecided
		}
		return Signed{Recovered: &d.RecoveredSig}, nil
	}
	vote, voted := p.votes[r.ID]
	if voted && vote.MessageHash != r.MessageHash {
		return Signed{}, ErrVoted
	}
	q, ok := p.quorums[quorum]
	if !ok {
		return Signed{}, ErrUnknownQuorum
	}
	i, member := q.Index(p.self)
	switch {
	case !member || !q.valid[i] || q.vector == nil:
		return Signed{}, ErrNotMember
	case !signable(r.Height, p.height):
		return Signed{}, ErrHeight
	case !voted && len(p.votes) >= p.limits.votes:
		return Signed{}, ErrFull
	}
	s := p.sessions[r.ID][quorum]
	if s == nil {
		if s = p.openOwn(q, r.ID); s == nil {
			return Signed{}, ErrFull
		}
	}
	if !voted {
		vote = Vote{p.params.Type, quorum, r}
		p.votes[r.ID] = vote
	}
	if s.own == nil {
		x := wire.SigShare{Type: p.params.Type, QuorumHash: quorum, Member: uint16(i), ID: r.ID, MessageHash: r.MessageHash}
		x.Signature = sign(x.SignHash())
		s.own = &own{share: x, started: p.height, order: q.RecoveryMembers(r.ID)}
		if sig, err := bls.ParseSignature(x.Signature); err == nil && s.known(x) == Taken {
			p.add(s, pending{share{x, sig}, Source{}})
		}
	}
	return Signed{Share: s.own.share, Vote: vote, Fresh: !voted, Sends: p.sends(s)}, nil
}

func (p *Pool) sends(s *session) (list []Send) {
	for _, to := range s.own.turns(p.height) {
		if to != p.self {
			list = append(list, Send{to, s.own.share})
		}
	}
	return list
}

// Retire ends our part in a request: no further recovery member gets our share.
// The vote stands, and Sign takes the request up again.
func (p *Pool) Retire(id wire.Hash) {
	for _, quorum := range slices.SortedFunc(maps.Keys(p.sessions[id]), compareHashes) {
		s := p.sessions[id][quorum]
		if s.own = nil; s.sponsor.IsZero() {
			p.close(s)
		}
	}
}

// openOwn makes room for a request of ours by closing the oldest session that
// has no share of ours; nil if there is none.
func (p *Pool) openOwn(q *Quorum, id wire.Hash) *session {
	all := p.all()
	if len(all) >= p.limits.sessions {
		i := slices.IndexFunc(all, func(s *session) bool { return s.own == nil })
		if i < 0 {
			return nil
		}
		p.close(all[i])
	}
	return p.open(q, id, Source{})
}
