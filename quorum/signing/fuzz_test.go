package signing

import (
	"testing"

	"github.com/proctornet/proctor/wire"
)

// FuzzPool feeds a small pool whatever comes: limits hold, no signature is
// made by fewer than the threshold, a signature made is the quorum's, and we
// never sign two messages.
func FuzzPool(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 2, 1, 0, 3, 1, 0, 4, 1, 3, 0, 0})
	f.Add([]byte{0, 1, 1, 1, 2, 1, 2, 0, 1, 2, 0, 2, 3, 0, 0, 4, 9, 0, 5, 1, 1})
	f.Add([]byte{2, 0, 1, 8, 0, 1, 8, 0, 2, 8, 0, 4, 14, 0, 8, 20, 0, 12, 2, 0, 8}) // lasting or not, sent or not
	x := fixtureOf(f, 7, 4, "order")
	cache := map[[3]byte]wire.SigShare{}
	share := func(kind, member, message byte) wire.SigShare {
		key := [3]byte{kind, member, message}
		if s, ok := cache[key]; ok {
			return s
		}
		r := request(message/4, message%4)
		s := x.share(int(member), r)
		if kind > 0 {
			s = x.wrong(int(member), r, kind)
		}
		cache[key] = s
		return s
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		l := limits{6, 3, 4, 12, 6, 4, 3, 3, 2, 2, 1}
		p := newPool(x.llmq, x.members[0], l)
		height := int32(tip)
		p.Advance(height, []*Quorum{x.cached()})
		given := map[wire.Hash]map[uint16]bool{} // good shares by message of a request
		voted := map[wire.Hash]wire.Hash{}
		for n := 0; len(script) >= 3 && n < 40; script, n = script[3:], n+1 {
			member, message := script[1]%7, script[2]%16
			r := request(message/4, message%4)
			note := func(m byte) {
				key := wire.DoubleHash(r.ID[:], r.MessageHash[:])
				if given[key] == nil {
					given[key] = map[uint16]bool{}
				}
				given[key][uint16(m)] = true
			}
			switch script[0] % 6 {
			case 0:
				if p.AddShare(share(0, member, message), peer(int(member))).Reason == Taken {
					note(member)
				}
			case 1:
				p.AddShare(share(1+script[0]/6%3, member, message), peer(int(script[0]/18)))
			case 2:
				sign, leaves := p.Sign, true
				if script[0]/6%2 == 1 {
					r.Height = Lasting
				}
				if script[0]/12%2 == 1 {
					sign, leaves = p.Share, false
				}
				signed, err := sign(x.mined.Hash, r, x.sign(0))
				if err == nil && signed.Recovered == nil {
					if had, ok := voted[r.ID]; ok && had != r.MessageHash {
						t.Fatalf("signed %s and %s for %s", had, r.MessageHash, r.ID)
					}
					voted[r.ID] = r.MessageHash
					if leaves {
						note(0)
					}
				}
			case 3:
				for _, rec := range p.Check(seed()).Recovered {
					key := wire.DoubleHash(rec.ID[:], rec.MessageHash[:])
					if len(given[key]) < x.llmq.Threshold || !x.cached().Verify(rec) {
						t.Fatalf("%d shares make %+v", len(given[key]), rec)
					}
				}
			case 4:
				height += int32(script[1]%8) - 2
				p.Advance(height, []*Quorum{x.cached()})
			case 5:
				s := share(0, member, message)
				p.AddRecovered(wire.RecoveredSig{Type: s.Type, QuorumHash: s.QuorumHash, ID: s.ID, MessageHash: s.MessageHash, Signature: s.Signature})
			}
			waiting := 0
			for _, s := range p.all() {
				waiting += len(s.pending)
			}
			if len(p.all()) > l.sessions || len(p.votes) > l.votes || len(p.recovered) > l.recovered || len(p.faults) > l.faults || waiting > l.pending+l.votes ||
				p.lasting() > l.lasting || p.ownLasting() > l.lastingSessions {
				t.Fatalf("%d sessions, %d votes, %d recovered, %d faults, %d pending: over the limits", len(p.all()), len(p.votes), len(p.recovered), len(p.faults), waiting)
			}
		}
	})
}

func FuzzParseVote(f *testing.F) {
	f.Add(Vote{106, wire.Hash{1}, Request{wire.Hash{2}, wire.Hash{3}, -4}}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := ParseVote(b); err == nil && string(v.Bytes()) != string(b) {
			t.Errorf("%x decodes and encodes to %x", b, v.Bytes())
		}
	})
}
