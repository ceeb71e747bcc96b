package quorum

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/wire"
)

var service = params.Service{ProofValidity: 60, AddressWindow: 720, AddressGrace: 60}

// fakeView is a network in which all is well unless a test says otherwise.
type fakeView struct {
	tip       int32
	unhealthy bool
	subjects  map[wire.Hash]Subject
	records   map[wire.Hash]uptime.Record
	published map[voterAt]bool
	illegal   func(wire.Ballot) bool
	asked     []wire.Ballot
}

func (v *fakeView) Tip() int32                               { return v.tip }
func (v *fakeView) Rules() params.Service                    { return service }
func (v *fakeView) Healthy() bool                            { return !v.unhealthy }
func (v *fakeView) Published(h int32, x wire.Hash) bool      { return v.published[voterAt{h, x}] }
func (v *fakeView) Subject(x wire.Hash) (Subject, bool)      { s, ok := v.subjects[x]; return s, ok }
func (v *fakeView) Uptime(x wire.Hash) (uptime.Record, bool) { r, ok := v.records[x]; return r, ok }
func (v *fakeView) Legal(b wire.Ballot) bool {
	v.asked = append(v.asked, b)
	return v.illegal == nil || !v.illegal(b)
}

const drawn = 1000 // height of draws here; due

func record(heard int32) uptime.Record {
	return uptime.Record{Proof: wire.UptimeProof{Sequence: uint64(heard)}, Heard: heard, Hosts: [2]uptime.Seen{{Host: "1.0.0.1", Height: heard}}}
}

// wellView is the view of tip drawn+12 in which every node is active, heard of
// and published.
func wellView(l list) *fakeView {
	v := &fakeView{tip: drawn + params.VoteDelay, subjects: map[wire.Hash]Subject{}, records: map[wire.Hash]uptime.Record{}, published: map[voterAt]bool{}}
	for _, x := range l.nodes {
		v.subjects[x] = Subject{Active: true, Penalised: 1}
		v.records[x] = record(v.tip - 5)
		for h := int32(drawn - 40); h <= drawn; h++ {
			v.published[voterAt{h, x}] = true
		}
	}
	return v
}

func down(cause wire.Answer, at int32) Subject { return Subject{Cause: cause, Decommissioned: at} }

// Source: DESIGN.md section 6, rules 3, 4 and 11.
func TestJudge_OneNode(t *testing.T) {
	l := nodes(40, 100)
	d := NewDraw(network, drawn, blockHash, l)
	x := d.Targets()[0]
	member := d.Testers[1]
	fork := record(900)
	fork.Hosts = [2]uptime.Seen{{Host: "1.0.0.2", Height: 950}, {Host: "1.0.0.1", Height: 1010}}
	fork.Heard = 1010
	none := wire.Evidence{First: -1, Second: -1}
	proof := func(r uptime.Record) wire.Evidence {
		return wire.Evidence{Digest: r.Proof.Digest(), First: r.Heard, Second: -1}
	}
	for _, tc := range []struct {
		name     string
		of       wire.Hash
		change   func(v *fakeView)
		want     wire.Answer // 0 for none
		evidence wire.Evidence
	}{
		{"all is well", x, func(*fakeView) {}, 0, none},
		{"the oldest fresh proof", x, func(v *fakeView) { v.records[x] = record(952) }, 0, none},
		{"one block older", x, func(v *fakeView) { v.records[x] = record(951) }, wire.FailsUptime, proof(record(951))},
		{"never heard of", x, func(v *fakeView) { delete(v.records, x) }, wire.FailsUptime, none},
		{"unhealthy", x, func(v *fakeView) { delete(v.records, x); v.unhealthy = true }, 0, none},
		{"illegal", x, func(v *fakeView) { delete(v.records, x); v.illegal = func(wire.Ballot) bool { return true } }, 0, none},
		{"left the registry", x, func(v *fakeView) { delete(v.subjects, x); delete(v.records, x) }, 0, none},
		{"too early", x, func(v *fakeView) { delete(v.records, x); v.tip-- }, 0, none},
		{"later", x, func(v *fakeView) { delete(v.records, x); v.tip++ }, wire.FailsUptime, none},

		{"two addresses", x, func(v *fakeView) { v.records[x] = fork }, wire.TwoAddresses,
			wire.Evidence{Digest: wire.DoubleHash([]byte("1.0.0.1\x001.0.0.2")), First: 1010, Second: 950}},
		{"two addresses, penalised", x, func(v *fakeView) { v.records[x] = fork; v.subjects[x] = Subject{Active: true, Penalised: 890} }, 0, none},
		{"two addresses and stale", x, func(v *fakeView) { r := fork; r.Heard = 951; v.records[x] = r }, wire.FailsUptime,
			wire.Evidence{Digest: fork.Proof.Digest(), First: 951, Second: -1}},
		{"two addresses, decommissioned", x, func(v *fakeView) { v.records[x] = fork; v.subjects[x] = down(wire.FailsUptime, 990) }, wire.Passes, proof(fork)},

		{"decommissioned and back", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsUptime, 990) }, wire.Passes, proof(record(1007))},
		{"back, to an unhealthy tester", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsUptime, 990); v.unhealthy = true }, wire.Passes, proof(record(1007))},
		{"decommissioned and still silent", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsUptime, 990); v.records[x] = record(900) }, wire.FailsUptime, proof(record(900))},

		{"probation over", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsCheckpoint, 995) }, wire.Passes, proof(record(1007))},
		{"probation, one hash due", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsCheckpoint, 996) }, 0, none},
		{"probation, the newest hash missing", x, func(v *fakeView) {
			v.subjects[x] = down(wire.FailsCheckpoint, 900)
			delete(v.published, voterAt{1000, x})
		}, 0, none},
		{"probation, the older missing", x, func(v *fakeView) {
			v.subjects[x] = down(wire.FailsCheckpoint, 900)
			delete(v.published, voterAt{996, x})
		}, 0, none},
		{"probation, an old one missing", x, func(v *fakeView) {
			v.subjects[x] = down(wire.FailsCheckpoint, 900)
			delete(v.published, voterAt{992, x})
		}, wire.Passes, proof(record(1007))},
		{"probation, neither published", x, func(v *fakeView) {
			v.subjects[x] = down(wire.FailsCheckpoint, 900)
			delete(v.published, voterAt{996, x})
			delete(v.published, voterAt{1000, x})
		}, wire.FailsCheckpoint, wire.Evidence{First: 1000, Second: -1}},
		{"on probation and silent", x, func(v *fakeView) { v.subjects[x] = down(wire.FailsCheckpoint, 900); delete(v.records, x) }, wire.FailsUptime, none},
		{"the hash is the testers' duty only", x, func(v *fakeView) { delete(v.published, voterAt{1000, x}) }, 0, none},

		{"a member published nothing", member, func(v *fakeView) { delete(v.published, voterAt{1000, member}) }, wire.FailsCheckpoint, wire.Evidence{First: 1000, Second: -1}},
		{"nor sent proofs", member, func(v *fakeView) { delete(v.published, voterAt{1000, member}); delete(v.records, member) }, wire.FailsCheckpoint, wire.Evidence{First: 1000, Second: -1}},
		{"a member sent no proof", member, func(v *fakeView) { delete(v.records, member) }, 0, none},
		{"a member moved", member, func(v *fakeView) { v.records[member] = fork }, 0, none},
		{"a silent member, unhealthy tester", member, func(v *fakeView) { delete(v.published, voterAt{1000, member}); v.unhealthy = true }, 0, none},
	} {
		v := wellView(l)
		tc.change(v)
		var want []Finding
		if tc.want != 0 {
			want = []Finding{{wire.Ballot{Height: drawn, BlockHash: blockHash, ProTxHash: tc.of, Answer: tc.want}, tc.evidence}}
		}
		if got := Judge(d, d.Testers[0], v); !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, want)
		}
	}

	v := wellView(l)
	delete(v.published, voterAt{1000, member})
	if got := Judge(d, member, v); len(got) > 0 {
		t.Errorf("a tester judges itself: %v", got)
	}
	delete(v.records, x)
	if got := Judge(d, x, v); len(got) > 0 {
		t.Errorf("a node that is no tester judges: %v", got)
	}
	notDue := NewDraw(network, drawn+1, blockHash, l)
	v.tip++
	v.records[x] = record(v.tip)
	if got := Judge(notDue, notDue.Testers[0], v); len(got) > 0 {
		t.Errorf("hashes are missed where none is due: %v", got)
	}
}

// Source: DESIGN.md section 6, rule 2: nobody is accused where fewer than three
// may vote, and nobody is the only witness against itself.
func TestJudge_SmallNetworks(t *testing.T) {
	for _, n := range []int{1, 3, 4, 7, 10, 11, 60, 6000} {
		l := nodes(n, n)
		d := NewDraw(network, drawn, blockHash, l)
		v := wellView(l)
		clear(v.records)
		got := Judge(d, d.Testers[0], v)
		want := map[int]int{1: 0, 3: 0, 4: 3, 7: 6, 10: 9, 11: 10, 60: 50, 6000: 59}[n]
		if len(got) != want {
			t.Errorf("%d silent nodes: %d answers, want %d", n, len(got), want)
		}
	}
	l := nodes(2, 5) // two testers are enough for one that comes back
	d := NewDraw(network, drawn, blockHash, l)
	v := wellView(l)
	x := nodeID(4)
	v.subjects[x] = down(wire.FailsUptime, 900)
	delete(v.records, nodeID(3))
	if got := Judge(d, d.Testers[0], v); len(got) != 1 || got[0].Ballot.ProTxHash != x || got[0].Ballot.Answer != wire.Passes {
		t.Errorf("two testers answer %v, want one that passes", got)
	}
}

// Where testers are targets too, hashes are still missed at due heights only.
func TestJudge_HashesAreMissedWhereTheyAreDue(t *testing.T) {
	l := nodes(7, 7)
	for height, want := range map[int32]int{drawn: 6, drawn + 1: 0} {
		d := NewDraw(network, height, blockHash, l)
		v := wellView(l)
		v.tip = height + params.VoteDelay
		clear(v.published)
		if got := Judge(d, d.Testers[0], v); len(got) != want {
			t.Errorf("nobody published for %d: %d answers, want %d", height, len(got), want)
		}
	}
}

// Whatever a tester sees: at most one answer for a node, none about itself,
// none that is illegal or that no certificate could hold, and nothing negative
// while it is unhealthy. So an honest one is never guilty of misconduct, not
// even when it is asked again after a restart and sees other things.
func TestJudge_HonestTestersKeepTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		listed := rapid.IntRange(1, 70).Draw(t, "listed")
		l := nodes(rapid.IntRange(1, listed).Draw(t, "testers"), listed)
		height := int32(drawn + rapid.IntRange(0, 3).Draw(t, "offset"))
		d := NewDraw(network, height, blockHash, l)
		v := wellView(l)
		v.tip = height + params.VoteDelay
		v.unhealthy = rapid.Bool().Draw(t, "unhealthy")
		ban := rapid.SampledFrom(append(wire.Answers(), 0)).Draw(t, "illegal")
		v.illegal = func(b wire.Ballot) bool { return b.Answer == ban }
		for _, x := range l.nodes {
			switch rapid.IntRange(0, 5).Draw(t, "fate") {
			case 0:
				delete(v.records, x)
			case 1:
				delete(v.published, voterAt{1000, x})
			case 2:
				v.subjects[x] = down(rapid.SampledFrom([]wire.Answer{wire.FailsUptime, wire.FailsCheckpoint}).Draw(t, "cause"), rapid.Int32Range(980, 1000).Draw(t, "since"))
			case 3:
				delete(v.subjects, x)
			case 4:
				r := record(v.tip)
				r.Hosts[1] = uptime.Seen{Host: "1.0.0.3", Height: v.tip - 10}
				v.records[x] = r
			}
		}
		self := rapid.SampledFrom(d.Testers).Draw(t, "self")
		seen := map[wire.Hash]bool{}
		for _, f := range Judge(d, self, v) {
			x, a := f.Ballot.ProTxHash, f.Ballot.Answer
			needed, ok := d.Needed(x, a)
			switch {
			case seen[x]:
				t.Fatalf("two answers about %s", x.Short())
			case x == self:
				t.Fatal("a tester answers about itself")
			case a == ban:
				t.Fatalf("an illegal %s", a)
			case a.Negative() && v.unhealthy:
				t.Fatalf("%s by an unhealthy tester", a)
			case !d.Answerable(x, a) || !ok || needed > len(d.Voters(x)):
				t.Fatalf("%s of %s, which no certificate can hold", a, x.Short())
			case v.subjects[x].Active == (a == wire.Passes):
				t.Fatalf("%s of a node that is active: %t", a, v.subjects[x].Active)
			}
			seen[x] = true
		}
	})
}

// Seven of ten cut off or wrong: what becomes of an honest network. Source:
// spec/oxen.md 10.4 numbers 18 and 20.
func TestJudge_SplitTesters(t *testing.T) {
	l := nodes(60, 60)
	d := NewDraw(network, drawn, blockHash, l)
	for _, tc := range []struct {
		deaf, healthy int // testers that hear nothing; of the others, those who may accuse
		silent        bool
		want          int // certificates
	}{
		{6, 10, false, 0}, {7, 10, false, 50}, // deaf testers that feel healthy: the reason for the gate
		{7, 3, false, 0}, {10, 0, false, 0}, // with the gate
		{0, 10, true, 50}, {0, 6, true, 0}, // truly silent nodes
	} {
		p := NewVotes()
		for i, self := range d.Testers {
			v := wellView(l)
			if tc.silent || i < tc.deaf {
				for _, x := range d.Targets() {
					delete(v.records, x)
				}
			}
			v.unhealthy = 10-i > tc.healthy
			for _, f := range Judge(d, self, v) {
				p.Add(NewVote(network, f, self, func(wire.Hash) wire.Signature { return wire.Signature{} }, func([]byte) wire.ServiceSignature { return wire.ServiceSignature{} }))
			}
		}
		got := p.Candidates(drawn+13, func(int32, wire.Hash) (Draw, bool) { return d, true }, func(wire.Ballot) bool { return true })
		if len(got) != tc.want {
			t.Errorf("%+v: %d certificates", tc, len(got))
		}
		if len(p.Misconduct()) > 0 {
			t.Errorf("%+v: honest testers are guilty of misconduct", tc)
		}
	}
}

func TestNewVote_SignsWhatIsVerified(t *testing.T) {
	f := newFixture(t, 4, 40)
	x := f.target()
	finding := Finding{f.ballot(wire.FailsUptime, x), wire.Evidence{First: 3, Second: -1}}
	var votes []wire.Vote
	for _, self := range f.draw.Testers {
		var sealed []byte
		v := NewVote(network, finding, self, func(h wire.Hash) wire.Signature { return secret(self).Sign(h).Bytes() },
			func(m []byte) wire.ServiceSignature { sealed = m; return wire.ServiceSignature{1} })
		if v.Evidence != finding.Evidence || fmt.Sprint(sealed) != fmt.Sprint(v.SealedBytes(network)) || v.Seal != (wire.ServiceSignature{1}) {
			t.Errorf("vote %+v does not seal what it says", v)
		}
		votes = append(votes, v)
	}
	if _, err := Certify(network, f.draw, finding.Ballot, votes, f.keys); err != nil {
		t.Error(err)
	}
	var sealed []byte
	c := NewCheckpoint(network, 16, Mark{wire.Hash{1}, wire.Hash{2}}, x, func(m []byte) wire.ServiceSignature { sealed = m; return wire.ServiceSignature{1} })
	if c.Height != 16 || c.Voter != x || markOf(c) != (Mark{wire.Hash{1}, wire.Hash{2}}) || fmt.Sprint(sealed) != fmt.Sprint(c.SealedBytes(network)) {
		t.Errorf("checkpoint %+v does not seal what it says", c)
	}
}
