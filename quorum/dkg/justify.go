package dkg

import (
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Answer returns our justification to a complaint that reached us when Complain
// was over for us: others may have heard it in time and demand the answer. There
// is none if we have justified before, for two would be a fault.
func (s *Session) Answer(late Opened) (send Opened, ok bool) {
	if s.self < 0 || s.phase != Justify || !s.accuses(late) || len(s.of(wire.KindJustification, s.self)) > 0 {
		return Opened{}, false
	}
	if send, ok = s.justification(late); ok {
		s.keep(send)
	}
	return send, ok
}

// accuses reports whether a message complains about our share.
func (s *Session) accuses(o Opened) bool {
	m, ok := o.Message.(wire.Complaint)
	return ok && m.ComplainFor.Has(s.self)
}

// justification shows everybody the share of each member that complained about
// it, be that member at fault or not: others may not know of the fault, and
// then demand the answer.
func (s *Session) justification(late ...Opened) (Opened, bool) {
	if _, _, ok := only[wire.Contribution](s, s.self); !ok {
		return Opened{}, false
	}
	p, ok := s.polynomial()
	if !ok {
		return Opened{}, false
	}
	m := wire.Justification{DKGHead: s.head()}
	for i := range s.members {
		toLate := func(o Opened) bool { return o.sender == i && s.accuses(o) }
		if !slices.ContainsFunc(s.of(wire.KindComplaint, i), s.accuses) && !slices.ContainsFunc(late, toLate) {
			continue
		}
		share, err := p.Share(s.ids[i])
		if err != nil {
			return Opened{}, false
		}
		m.Shares = append(m.Shares, wire.RevealedShare{Member: uint32(i), Share: share.Bytes()})
	}
	if len(m.Shares) == 0 {
		return Opened{}, false
	}
	return s.open(m), true
}

// closeJustifications judges the answers, blames who gave a wrong one or left
// a complaint without, and finds the result.
// Source: spec/dash.md 5.4, "Justification" and "Commit start".
func (s *Session) closeJustifications() {
	fits := s.checkRevealed()
	for i := range s.members {
		if share, ok := fits[revealed{i, s.self}]; ok {
			s.shares[i], s.lacked[i] = share, false
		}
		if s.faults[i] != 0 {
			continue
		}
		list := s.of(wire.KindJustification, i)
		if len(list) > 1 {
			s.blame(i, TwoJustifications)
			continue
		}
		s.unheard[i] = slices.Clone(s.accusers[i])
		m, _, _ := only[wire.Justification](s, i)
		// Whether a share was asked for may be seen differently: the dealer alone may have heard the complaint in time.
		for _, r := range m.Shares {
			if _, ok := fits[revealed{i, int(r.Member)}]; !ok {
				s.blame(i, WrongShare)
				break
			}
			s.unheard[i] = slices.DeleteFunc(s.unheard[i], func(v int) bool { return v == int(r.Member) })
		}
		if len(s.unheard[i]) > 0 {
			s.blame(i, Unanswered)
		}
	}
	s.result = s.find()
}

// revealed names a share in a justification.
type revealed struct{ dealer, member int }

// checkRevealed returns the revealed shares that fit. Those of one member are
// checked together. Shares of a dealer at fault count as well: if others hold it
// valid, we need ours to sign.
func (s *Session) checkRevealed() map[revealed]bls.SecretKey {
	type batch struct {
		dealers []int
		items   []bls.DealtShare
		ids     []wire.Hash
	}
	of := make([]batch, len(s.members))
	for i := range s.members {
		m, o, ok := only[wire.Justification](s, i)
		_, dealt, contributed := only[wire.Contribution](s, i)
		if !ok || !contributed {
			continue
		}
		for _, r := range m.Shares {
			if share, err := bls.ParseSecretKey(r.Share); err == nil {
				b := &of[r.Member]
				b.dealers = append(b.dealers, i)
				b.items = append(b.items, bls.DealtShare{Vector: dealt.vector, Share: share})
				b.ids = append(b.ids, o.id, dealt.id)
			}
		}
	}
	fits := make(map[revealed]bls.SecretKey)
	for member, b := range of {
		for n, ok := range bls.VerifyShares(s.ids[member], b.items, s.weights("revealed", b.ids)) {
			if ok {
				fits[revealed{b.dealers[n], member}] = b.items[n].Share
			}
		}
	}
	return fits
}
