package signing

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Limits of a Pool. A share that was not checked may be anybody's invention;
// within a block, or when the pool is half full, it is checked or gone.
const (
	MaxSessions         = 2048
	MaxSessionsOfPeer   = 64  // opened by its shares and without a good one yet
	MaxSessionsOfMember = 512 // whose first good share is its
	MaxPending          = 4096
	MaxPendingOfPeer    = 256
	MaxChecked          = 256    // shares that one Check takes on, or one session's if it has more
	MaxVotes            = 65_536 // beyond it we do not sign

	// MaxLasting and MaxLastingSessions bound votes that are never forgotten, and
	// such requests under way: whatever they fill, the rest is for bans.
	MaxLasting         = MaxVotes / 2
	MaxLastingSessions = MaxSessions / 2

	MaxRecovered = 16_384   // the oldest go first
	SessionSlack = int32(8) // blocks a session lives on after the last recovery member's turn
)

type limits struct {
	sessions, sessionsOfPeer, sessionsOfMember, pending, pendingOfPeer, checked, votes, recovered, faults, lasting, lastingSessions int
}

// Pool is all signing of one node for one type of quorum. It is not safe for
// concurrent use.
type Pool struct {
	params    params.LLMQ
	self      wire.Hash
	limits    limits
	height    int32
	quorums   map[wire.Hash]*Quorum
	sessions  map[wire.Hash]map[wire.Hash]*session // by request and quorum
	votes     map[wire.Hash]Vote                   // by request
	recovered map[wire.Hash]decision               // by request
	evicted   []wire.Hash                          // requests whose signatures made room; Advance reports them
	conflicts map[wire.Hash]Contradiction
	faults    map[faultKey]Fault
}

// NewPool returns a pool for the node self; zero if it is no service node.
func NewPool(p params.LLMQ, self wire.Hash) *Pool {
	return newPool(p, self, limits{MaxSessions, MaxSessionsOfPeer, MaxSessionsOfMember, MaxPending, MaxPendingOfPeer, MaxChecked, MaxVotes, MaxRecovered, MaxFaults, MaxLasting, MaxLastingSessions})
}

func newPool(p params.LLMQ, self wire.Hash, l limits) *Pool {
	return &Pool{
		params: p, self: self, limits: l, quorums: make(map[wire.Hash]*Quorum), sessions: make(map[wire.Hash]map[wire.Hash]*session),
		votes: make(map[wire.Hash]Vote), recovered: make(map[wire.Hash]decision), conflicts: make(map[wire.Hash]Contradiction), faults: make(map[faultKey]Fault),
	}
}

func (p *Pool) open(q *Quorum, id wire.Hash, from Source) *session {
	s := newSession(q, id, p.height, from)
	if p.sessions[id] == nil {
		p.sessions[id] = make(map[wire.Hash]*session)
	}
	p.sessions[id][q.Hash] = s
	return s
}

func (p *Pool) close(s *session) {
	if delete(p.sessions[s.id], s.quorum.Hash); len(p.sessions[s.id]) == 0 {
		delete(p.sessions, s.id)
	}
}

// all returns the sessions, oldest first.
func (p *Pool) all() (list []*session) {
	for _, of := range p.sessions {
		for _, s := range of {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.opened, b.opened), bytes.Compare(a.id[:], b.id[:]), bytes.Compare(a.quorum.Hash[:], b.quorum.Hash[:]))
	})
	return list
}
