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

	Recovered *wire.RecoveredSig // there is one already, for a request of a height: nothing was signed
}

// Sign makes our share of a request in a quorum and sees to it that it gets to
// the recovery members; sign is by our key share of that quorum. The same
// request in any quorum again gives the same vote and, in the same quorum, the
// same share: after a restart it is how signing goes on. Errors are
// ErrUnknownQuorum to ErrFull.
func (p *Pool) Sign(quorum wire.Hash, r Request, sign func(hash wire.Hash) wire.Signature) (Signed, error) {
	if d, ok := p.recovered[r.ID]; ok && d.MessageHash == r.MessageHash {
		if r.Height == Lasting { // the signature will be forgotten, our word is not to be
			return p.Share(quorum, r, sign)
		}
		return Signed{Recovered: &d.RecoveredSig}, nil
	}
	c, err := p.consent(quorum, r)
	if err != nil {
		return Signed{}, err
	}
	s := p.sessions[r.ID][quorum]
	if r.Height == Lasting && (s == nil || s.own == nil) && p.ownLasting() >= p.limits.lastingSessions {
		return Signed{}, ErrFull
	}
	if s == nil {
		if s = p.openOwn(c.quorum, r.ID); s == nil {
			return Signed{}, ErrFull
		}
	}
	p.votes[r.ID] = c.vote
	if s.own == nil {
		x := c.share(r, sign)
		s.own = &own{share: x, started: p.height, order: c.quorum.RecoveryMembers(r.ID)}
		if sig, err := bls.ParseSignature(x.Signature); err == nil && s.known(x) == Taken {
			p.add(s, pending{share{x, sig}, Source{}})
		}
	}
	return Signed{Share: s.own.share, Vote: c.vote, Fresh: c.fresh, Sends: p.sends(s)}, nil
}

// Share is Sign for a share that the caller takes care of: nothing is sent, and
// it is made for what the quorum has signed, too.
func (p *Pool) Share(quorum wire.Hash, r Request, sign func(hash wire.Hash) wire.Signature) (Signed, error) {
	c, err := p.consent(quorum, r)
	if err != nil {
		return Signed{}, err
	}
	p.votes[r.ID] = c.vote
	return Signed{Share: c.share(r, sign), Vote: c.vote, Fresh: c.fresh}, nil
}

// consent is that we may sign a request, and in which place.
type consent struct {
	quorum *Quorum
	member uint16
	vote   Vote
	fresh  bool // the vote is new, or is never to be forgotten from now on
}

// consent judges a request by all that we signed and know. It changes nothing.
func (p *Pool) consent(quorum wire.Hash, r Request) (consent, error) {
	if p.Conflicting(r.ID, r.MessageHash) {
		return consent{}, ErrDecided
	}
	vote, voted := p.votes[r.ID]
	if voted && vote.MessageHash != r.MessageHash {
		return consent{}, ErrVoted
	}
	q, ok := p.quorums[quorum]
	if !ok {
		return consent{}, ErrUnknownQuorum
	}
	if !voted {
		vote = Vote{p.params.Type, quorum, r}
	}
	lasts := r.Height == Lasting && (!voted || vote.Height != Lasting)
	i, member := q.Index(p.self)
	switch {
	case !member || !q.valid[i] || q.vector == nil:
		return consent{}, ErrNotMember
	case !signable(r.Height, p.height):
		return consent{}, ErrHeight
	case !voted && len(p.votes) >= p.limits.votes, lasts && p.lasting() >= p.limits.lasting:
		return consent{}, ErrFull
	}
	if lasts {
		vote.Height = Lasting // or it would be forgotten, and the request signed again
	}
	return consent{q, uint16(i), vote, !voted || lasts}, nil
}

func (c consent) share(r Request, sign func(hash wire.Hash) wire.Signature) wire.SigShare {
	x := wire.SigShare{Type: c.vote.Type, QuorumHash: c.quorum.Hash, Member: c.member, ID: r.ID, MessageHash: r.MessageHash}
	x.Signature = sign(x.SignHash())
	return x
}

// lasting counts the votes that are never forgotten.
func (p *Pool) lasting() (n int) {
	for _, v := range p.votes {
		if v.Height == Lasting {
			n++
		}
	}
	return n
}

// ownLasting counts the sessions of ours for which such a vote was given.
func (p *Pool) ownLasting() (n int) {
	for id, of := range p.sessions {
		for _, s := range of {
			if s.own != nil && p.votes[id].Height == Lasting {
				n++
			}
		}
	}
	return n
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
