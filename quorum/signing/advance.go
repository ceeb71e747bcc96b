package signing

import (
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Advanced is what a new tip brought.
type Advanced struct {
	Sends     []Send      // our shares, to the members whose turn it is
	Votes     []Vote      // forgotten: their records may go
	Recovered []wire.Hash // requests whose signatures were forgotten
}

// Advance moves to a tip, above or below the last, and names the quorums whose
// shares and signatures are taken there, see Acceptable. Sessions of
// one that is gone, or has another key now, end. Afterwards whatever shares
// wait are due.
func (p *Pool) Advance(height int32, quorums []*Quorum) (a Advanced) {
	p.height = height
	clear(p.quorums)
	for _, q := range quorums {
		p.quorums[q.Hash] = q
	}
	for _, s := range p.all() {
		if q := p.quorums[s.quorum.Hash]; q == nil || q.key != s.quorum.key || p.expired(s) {
			p.close(s)
			continue
		}
		s.due = len(s.pending) > 0
		if s.own != nil {
			a.Sends = append(a.Sends, p.sends(s)...)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.votes), compareHashes) {
		if v := p.votes[id]; int64(height)-int64(v.Height) > VoteBlocks { // no height is that far above Lasting
			a.Votes = append(a.Votes, v)
			delete(p.votes, id)
		}
	}
	a.Recovered = slices.DeleteFunc(p.evicted, func(id wire.Hash) bool { _, back := p.recovered[id]; return back })
	p.evicted = nil
	for _, id := range slices.SortedFunc(maps.Keys(p.recovered), compareHashes) {
		if int64(height)-int64(p.recovered[id].height) > VoteBlocks {
			a.Recovered = append(a.Recovered, id)
			p.forget(id)
		}
	}
	return a
}

func (p *Pool) expired(s *session) bool {
	from := s.opened
	if s.own != nil {
		from = s.own.started
	}
	return int64(p.height)-int64(from) > int64(p.params.RecoveryMembers)*RetryBlocks+int64(SessionSlack)
}

// Progress is how far a request has come in one quorum.
type Progress struct {
	Opened    int32
	Threshold int
	Pending   int // shares not checked yet
	Own       bool
	Tried     []wire.Hash            // recovery members our share went to
	Members   map[wire.Hash][]uint16 // whose good shares we have, by message, ascending
}

// Progress reports on a request that is open in a quorum.
func (p *Pool) Progress(quorum, id wire.Hash) (Progress, bool) {
	s, ok := p.sessions[id][quorum]
	if !ok {
		return Progress{}, false
	}
	r := Progress{Opened: s.opened, Threshold: p.params.Threshold, Pending: len(s.pending), Own: s.own != nil, Members: make(map[wire.Hash][]uint16)}
	if s.own != nil {
		r.Tried = slices.Clone(s.own.order[:s.own.sent])
	}
	for message, of := range s.good {
		r.Members[message] = slices.Sorted(maps.Keys(of))
	}
	return r, true
}
