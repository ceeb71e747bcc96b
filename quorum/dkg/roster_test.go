package dkg

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

func isError(err, want error) bool { return errors.Is(err, want) }

// messages returns one message of each kind as member 0 of a roster may send
// it, and sessions that have heard what all sent before.
func messages(t *testing.T, roster *Roster) map[wire.DKGKind]wire.DKGMessage {
	t.Helper()
	sent := make(map[wire.DKGKind]wire.DKGMessage)
	c := newCluster(t, roster, 1)
	c.bad = func(viewer int, proTx wire.Hash) bool { return viewer == 0 && proTx == roster.members[1].ProTxHash }
	c.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
		if member == 0 {
			if contribution, ok := m.(wire.Contribution); ok {
				m = resign(lieTo(2)(contribution), 0) // so that it has something to justify
			}
			sent[m.Kind()] = m
		}
		return []wire.DKGMessage{m}
	}
	c.run()
	if len(sent) != 4 {
		t.Fatalf("member 0 sent %d kinds of message", len(sent))
	}
	return sent
}

var kindsOfMessage = []wire.DKGKind{wire.KindContribution, wire.KindComplaint, wire.KindJustification, wire.KindPrematureCommitment}

// Source: spec/dash.md 5.2 and 5.3.
func TestRoster_Verdicts(t *testing.T) {
	q := shape(t, 5)
	q.Size = 7 // five members of seven
	roster := newRoster(t, q, 5)
	sent := messages(t, roster)
	at := func(k wire.DKGKind) int32 { return base + q.DKGPhaseBlocks*int32(phaseOf(k)-1) }
	judge := func(m wire.DKGMessage, height int32) Reason {
		c := &cluster{t: t, roster: roster, opened: make(map[wire.Hash]Opened)}
		_, reason := c.open(m, height)
		return reason
	}
	head := func(m wire.DKGMessage, f func(h *wire.DKGHead)) wire.DKGMessage {
		switch m := m.(type) {
		case wire.Contribution:
			f(&m.DKGHead)
			return m
		case wire.Complaint:
			f(&m.DKGHead)
			return m
		case wire.Justification:
			f(&m.DKGHead)
			return m
		case wire.PrematureCommitment:
			f(&m.DKGHead)
			return m
		}
		panic("no such message")
	}
	for _, k := range kindsOfMessage {
		m := sent[k]
		notSigned := m.OperatorSignature()
		notSigned[95] ^= 1
		slack := int32(0) // its accused may still answer, see Session.Answer
		if k == wire.KindComplaint {
			slack = q.DKGPhaseBlocks
		}
		for _, c := range []struct {
			name   string
			m      wire.DKGMessage
			height int32
			want   Reason
		}{
			{"in time", m, at(k), 0},
			{"in the last block", m, at(k) + q.DKGPhaseBlocks + slack - 1, 0},
			{"one phase early", m, at(k) - q.DKGPhaseBlocks, 0},
			{"two phases early", m, at(k) - q.DKGPhaseBlocks - 1, ReasonEarly},
			{"late", m, at(k) + q.DKGPhaseBlocks + slack, ReasonLate},
			{"far too late", m, 1 << 30, ReasonLate},
			{"other type", head(m, func(h *wire.DKGHead) { h.Type = 107 }), at(k), ReasonSession},
			{"other quorum", head(m, func(h *wire.DKGHead) { h.QuorumHash[0] ^= 1 }), at(k), ReasonSession},
			{"from a stranger", head(m, func(h *wire.DKGHead) { h.ProTxHash[0] ^= 1 }), at(k), ReasonMember},
			{"signature of another hash", head(m, func(h *wire.DKGHead) { h.ProTxHash = roster.members[1].ProTxHash }), at(k), ReasonSignature},
			{"signature that is no point", m.Signed(notSigned), at(k), ReasonSignature},
			{"signature of zeros", m.Signed(wire.Signature{}), at(k), ReasonSignature},
			{"signature of another member", resign(m, 1), at(k), ReasonSignature},
		} {
			if got := judge(c.m, c.height); got != c.want {
				t.Errorf("%s %s: %s, want %s", m.Kind(), c.name, got, c.want)
			}
		}
	}
	for _, c := range []struct {
		name   string
		kind   wire.DKGKind
		change any
		want   Reason
	}{
		{"a share too few", 23, func(m wire.Contribution) wire.Contribution { m.Shares = m.Shares[1:]; return m }, ReasonMalformed},
		{"shares for empty places", 23, func(m wire.Contribution) wire.Contribution {
			m.Shares = append(slices.Clip(m.Shares), m.Shares[:2]...)
			return m
		}, ReasonMalformed},
		{"no coefficients", 23, func(m wire.Contribution) wire.Contribution { m.Vector = nil; return m }, ReasonMalformed},
		{"a coefficient too few", 23, func(m wire.Contribution) wire.Contribution { m.Vector = m.Vector[1:]; return m }, ReasonMalformed},
		{"a coefficient too many", 23, func(m wire.Contribution) wire.Contribution {
			m.Vector = append(slices.Clip(m.Vector), m.Ephemeral)
			return m
		}, ReasonMalformed},
		{"a coefficient twice", 23, vector(func(v []wire.OperatorKey) { v[2] = v[0] }), ReasonMalformed},
		{"a coefficient off the curve", 23, vector(func(v []wire.OperatorKey) { v[2] = wire.OperatorKey{0x80, 47: 5} }), ReasonPoint},
		{"a coefficient of zeros", 23, vector(func(v []wire.OperatorKey) { v[2] = wire.OperatorKey{} }), ReasonPoint},
		{"a coefficient at infinity", 23, vector(func(v []wire.OperatorKey) { v[2] = wire.OperatorKey{0xc0} }), ReasonPoint},
		{"no ephemeral key", 23, func(m wire.Contribution) wire.Contribution { m.Ephemeral = wire.OperatorKey{}; return m }, ReasonPoint},
		{"few bad bits", 24, func(m wire.Complaint) wire.Complaint { m.BadMembers = m.BadMembers[:5]; return m }, ReasonMalformed},
		{"many bad bits", 24, func(m wire.Complaint) wire.Complaint { m.BadMembers = make(wire.Bitset, 8); return m }, ReasonMalformed},
		{"no complaint bits", 24, func(m wire.Complaint) wire.Complaint { m.ComplainFor = nil; return m }, ReasonMalformed},
		{"bits above the members", 24, func(m wire.Complaint) wire.Complaint { m.BadMembers = wire.Bitset{6: true}; return m }, 0},
		{"nothing justified", 25, func(m wire.Justification) wire.Justification { m.Shares = nil; return m }, ReasonMalformed},
		{"a member twice", 25, revealedShares(func(s *[]wire.RevealedShare) { *s = append(*s, (*s)[0]) }), ReasonMalformed},
		{"a member too high", 25, revealedShares(func(s *[]wire.RevealedShare) { (*s)[0].Member = 5 }), ReasonMalformed},
		{"a member far too high", 25, revealedShares(func(s *[]wire.RevealedShare) { (*s)[0].Member = 1<<32 - 1 }), ReasonMalformed},
		{"a share of zero", 25, revealedShares(func(s *[]wire.RevealedShare) { (*s)[0].Share = [32]byte{} }), ReasonMalformed},
		{"a share above r", 25, revealedShares(func(s *[]wire.RevealedShare) { (*s)[0].Share = [32]byte{0xff} }), ReasonMalformed},
		{"few valid bits", 26, valid(func(b *wire.Bitset) { *b = (*b)[:5] }), ReasonMalformed},
		{"too few valid", 26, valid(func(b *wire.Bitset) { *b = wire.Bitset{true, true, 6: false} }), ReasonMalformed},
		{"valid above the members", 26, valid(func(b *wire.Bitset) { (*b)[5] = true }), ReasonMalformed},
		{"share's signature no point", 26, func(m wire.PrematureCommitment) wire.PrematureCommitment { m.QuorumSignature[3] ^= 1; return m }, ReasonPoint},
		{"no share's signature", 26, func(m wire.PrematureCommitment) wire.PrematureCommitment {
			m.QuorumSignature = wire.Signature{}
			return m
		}, ReasonPoint},
	} {
		var m wire.DKGMessage
		switch change := c.change.(type) {
		case func(wire.Contribution) wire.Contribution:
			m = change(sent[c.kind].(wire.Contribution))
		case func(wire.Complaint) wire.Complaint:
			m = change(sent[c.kind].(wire.Complaint))
		case func(wire.Justification) wire.Justification:
			m = change(sent[c.kind].(wire.Justification))
		case func(wire.PrematureCommitment) wire.PrematureCommitment:
			m = change(sent[c.kind].(wire.PrematureCommitment))
		}
		if got := judge(resign(m, 0), at(c.kind)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func vector(f func(v []wire.OperatorKey)) func(wire.Contribution) wire.Contribution {
	return func(m wire.Contribution) wire.Contribution {
		m.Vector = slices.Clone(m.Vector)
		f(m.Vector)
		return m
	}
}

func revealedShares(f func(s *[]wire.RevealedShare)) func(wire.Justification) wire.Justification {
	return func(m wire.Justification) wire.Justification {
		m.Shares = slices.Clone(m.Shares)
		f(&m.Shares)
		return m
	}
}

func valid(f func(b *wire.Bitset)) func(wire.PrematureCommitment) wire.PrematureCommitment {
	return func(m wire.PrematureCommitment) wire.PrematureCommitment {
		m.ValidMembers = slices.Clone(m.ValidMembers)
		f(&m.ValidMembers)
		return m
	}
}

func TestSession_AddVerdicts(t *testing.T) {
	roster := newRoster(t, shape(t, 4), 4)
	c := newCluster(t, roster, 1)
	s := c.sessions[1]
	s.Advance(base+2, nil)
	first := c.sessions[0].Advance(base+2, nil)[0].Message.(wire.Contribution)
	open := func(m wire.DKGMessage, height int32) Opened {
		o, reason := c.open(m, height)
		if reason != 0 {
			t.Fatal(reason)
		}
		return o
	}
	second := resign(otherIV(first), 0)
	third := resign(lieTo(1)(first), 0)
	for _, step := range []struct {
		name string
		m    wire.DKGMessage
		want Reason
	}{
		{"first", first, ReasonAccepted},
		{"first again", first, ReasonDuplicate},
		{"second", second, ReasonEquivocation},
		{"second again", second, ReasonDuplicate},
		{"first once more", first, ReasonDuplicate},
		{"third", third, ReasonThird},
	} {
		if got := s.Add(open(step.m, base+2)); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	s.Advance(base+4, nil)
	if got := s.Add(open(third, base+2)); got != ReasonLate {
		t.Errorf("a contribution in Complain: %s", got)
	}
	full := newCluster(t, roster, 1)
	var result Opened
	full.tamper = func(member int, m wire.DKGMessage) []wire.DKGMessage {
		if premature, ok := m.(wire.PrematureCommitment); ok && member == 0 {
			premature.VectorHash[0] ^= 1
			m = resign(premature, 0)
			result = open(m, base+8)
			return nil
		}
		return []wire.DKGMessage{m}
	}
	for h := int32(base); h <= base+8; h++ {
		full.advance(h)
	}
	if got := full.sessions[1].Add(result); got != ReasonResult {
		t.Errorf("a commitment to another vector: %s", got)
	}
}

func TestReasons_AreComplete(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range Reasons() {
		if r.String() == "none" || names[r.String()] || r.Outcome() == 0 {
			t.Errorf("reason %d is %q with outcome %d", r, r, r.Outcome())
		}
		names[r.String()] = true
		if (r.Outcome() == Reject) != (r.Points() == params.PointsBan) || r.Outcome() == Accept && r.Forget() {
			t.Errorf("%s: outcome %d, %d points, forget %t", r, r.Outcome(), r.Points(), r.Forget())
		}
	}
	if len(names) != 16 || Reason(0).String() != "none" || Reason(200).String() != "none" {
		t.Errorf("%d reasons", len(names))
	}
}
