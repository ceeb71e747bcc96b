package signing

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/proctornet/proctor/wire"
)

// Due reports whether Check has something to do.
func (p *Pool) Due() bool {
	for _, of := range p.sessions {
		for _, s := range of {
			if s.due {
				return true
			}
		}
	}
	return false
}

// Checked is what a Check found.
type Checked struct {
	Recovered []wire.RecoveredSig // new: to be stored and gossiped
	Blamed    []Blame
	Faults    []Fault // new; see Fault.Proven
}

// Check recovers what can be recovered and checks shares, of sessions that are
// due, oldest first, up to MaxChecked; ask Due again. The seed must be secret,
// random, used once, and drawn after the shares were taken.
func (p *Pool) Check(seed [32]byte) (c Checked) {
	looked := 0
	for n, s := range p.all() {
		if !s.due || p.sessions[s.id][s.quorum.Hash] != s { // closed by one before it
			continue
		}
		if looked += len(s.pending); looked > p.limits.checked && looked > len(s.pending) {
			break
		}
		proven := !s.sponsor.IsZero()
		p.settle(s, s.check(sha256.Sum256(binary.BigEndian.AppendUint32(seed[:], uint32(n)))), &c)
		if s.own == nil && (s.sponsor.IsZero() || !proven && p.sponsored(s.sponsor) > p.limits.sessionsOfMember) {
			p.close(s)
		}
	}
	return c
}

func (p *Pool) sponsored(member wire.Hash) (n int) {
	for _, of := range p.sessions {
		for _, s := range of {
			if s.sponsor == member {
				n++
			}
		}
	}
	return n
}

func (p *Pool) settle(s *session, r result, c *Checked) {
	for _, x := range r.bad {
		c.Blamed = append(c.Blamed, Blame{x.from, x.SigShare, WrongShare.Verdict()})
		p.accuse(Fault{Kind: BadShare, Member: s.quorum.members[x.Member], ID: s.id, Height: p.height, Shares: []wire.SigShare{x.SigShare}, From: x.from}, c)
	}
	for _, x := range r.good {
		member := s.quorum.members[x.Member]
		for _, quorum := range slices.SortedFunc(maps.Keys(p.sessions[s.id]), compareHashes) {
			other := p.sessions[s.id][quorum]
			i, in := other.quorum.Index(member)
			if !in {
				continue
			}
			for _, message := range slices.SortedFunc(maps.Keys(other.good), compareHashes) {
				if o, has := other.good[message][uint16(i)]; has && message != x.MessageHash {
					p.accuse(equivocation(member, x.SigShare, o.SigShare, p.height), c)
				}
			}
		}
	}
	if r.recovered != nil {
		p.decide(*r.recovered, p.height)
		c.Recovered = append(c.Recovered, *r.recovered)
	}
}

func (p *Pool) accuse(f Fault, c *Checked) {
	if _, had := p.faults[faultKey{f.Kind, f.ID, f.Member}]; had {
		return
	}
	c.Faults = append(c.Faults, f)
	p.RestoreFault(f)
}
