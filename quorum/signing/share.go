package signing

import (
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// JudgeShare judges a share by all but its signature: Taken means that AddShare
// would look at that.
func (p *Pool) JudgeShare(x wire.SigShare, from Source) Verdict { return p.judge(x, from).Verdict() }

func (p *Pool) judge(x wire.SigShare, from Source) Reason {
	q, ok := p.quorums[x.QuorumHash]
	if !ok || x.Type != p.params.Type {
		return UnknownQuorum
	}
	if _, member := q.Index(p.self); !member || q.vector == nil {
		return NotOurs
	}
	switch {
	case int(x.Member) >= len(q.members):
		return MemberUnknown
	case !q.valid[x.Member]:
		return MemberInvalid
	}
	if _, decided := p.recovered[x.ID]; decided {
		return Recovered
	}
	s := p.sessions[x.ID][x.QuorumHash]
	if s != nil {
		if r := s.known(x); r != Taken {
			return r
		}
	}
	if p.load(from).full(p.limits, s == nil) {
		return Full
	}
	return Taken
}

// load is what fills a pool.
type load struct{ sessions, pending, unprovenOfPeer, pendingOfPeer int }

func (l load) full(most limits, opens bool) bool {
	return l.pending >= most.pending || l.pendingOfPeer >= most.pendingOfPeer || opens && (l.sessions >= most.sessions || l.unprovenOfPeer >= most.sessionsOfPeer)
}

func (p *Pool) load(from Source) (l load) {
	for _, of := range p.sessions {
		for _, o := range of {
			l.sessions++
			if o.opener.Peer == from.Peer && o.sponsor.IsZero() && o.own == nil {
				l.unprovenOfPeer++
			}
			l.pending += len(o.pending)
			for _, x := range o.pending {
				if x.from.Peer == from.Peer {
					l.pendingOfPeer++
				}
			}
		}
	}
	return l
}

// AddShare takes a share to be checked by Check, and says so by Taken.
func (p *Pool) AddShare(x wire.SigShare, from Source) Verdict {
	if r := p.judge(x, from); r != Taken {
		return r.Verdict()
	}
	sig, err := bls.ParseSignature(x.Signature)
	if err != nil {
		return Malformed.Verdict()
	}
	s := p.sessions[x.ID][x.QuorumHash]
	if s == nil {
		s = p.open(p.quorums[x.QuorumHash], x.ID, from)
	}
	p.add(s, pending{share{x, sig}, from})
	p.relieve(p.load(from))
	return Taken.Verdict()
}

// relieve makes due what may be nobody's share, when the pool is half full of
// shares or sessions.
func (p *Pool) relieve(l load) {
	shares, sessions := l.pending >= p.limits.pending/2, l.sessions >= p.limits.sessions/2
	if !shares && !sessions {
		return
	}
	for _, of := range p.sessions {
		for _, s := range of {
			s.due = s.due || len(s.pending) > 0 && (shares || s.sponsor.IsZero())
		}
	}
}

func (p *Pool) add(s *session, x pending) {
	s.pending = append(s.pending, x)
	s.due = s.due || s.ready(x.MessageHash)
}
