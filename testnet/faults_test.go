package testnet

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// fault is what one member does in a session, and what comes of it. Source:
// spec/dash.md 5.9, and 9.1 for the outcomes.
type fault struct {
	name      string
	liar      int // of the members of the network
	lies      lies
	valid     bool // the liar is, all the same
	signs     bool // the liar's premature commitment counts
	justified bool // somebody answers a complaint
}

// lies says what a member sends instead of its messages of a kind. Its index in
// the session is self.
type lies map[wire.DKGKind]func(m Member, self int, said wire.DKGMessage) []wire.DKGMessage

// omitted sends nothing.
func omitted(Member, int, wire.DKGMessage) []wire.DKGMessage { return nil }

// changed signs another message.
func changed[M wire.DKGMessage](f func(M) M) func(Member, int, wire.DKGMessage) []wire.DKGMessage {
	return func(m Member, _ int, said wire.DKGMessage) []wire.DKGMessage {
		return []wire.DKGMessage{m.resigns(f(said.(M)))}
	}
}

// resigns signs a message of a session with the member's operator key.
func (m Member) resigns(said wire.DKGMessage) wire.DKGMessage {
	return said.Signed(m.operatorSigns(said.SignHash()))
}

// wrongShares deals shares to everybody that do not fit.
func wrongShares(c wire.Contribution) wire.Contribution {
	c.Shares = slices.Clone(c.Shares)
	for i := range c.Shares {
		c.Shares[i][31] ^= 1
	}
	return c
}

func wrongAnswer(j wire.Justification) wire.Justification {
	j.Shares = slices.Clone(j.Shares)
	j.Shares[0].Share[31] ^= 1
	return j
}

func wrongVector(c wire.PrematureCommitment) wire.PrematureCommitment { c.VectorHash[0] ^= 1; return c }

// alsoComplains accuses two members without reason. Complaints are taken one
// phase ahead.
func alsoComplains(m Member, self int, said wire.DKGMessage) []wire.DKGMessage {
	size := len(said.(wire.Contribution).Shares)
	c := wire.Complaint{DKGHead: said.Head(), BadMembers: make(wire.Bitset, size), ComplainFor: make(wire.Bitset, size)}
	c.ComplainFor[(self+1)%size], c.ComplainFor[(self+2)%size] = true, true
	return []wire.DKGMessage{said, m.resigns(c)}
}

func twoContributions(m Member, _ int, said wire.DKGMessage) []wire.DKGMessage {
	return []wire.DKGMessage{said, m.resigns(wrongShares(said.(wire.Contribution)))}
}

// faultyMembers is the size of the network of faults: all are evonodes and in
// every quorum. Nobody is put out twice within 32 blocks.
const faultyMembers = 5

var faults = []fault{
	{"contribution omitted", 0, lies{wire.KindContribution: omitted}, false, true, false},
	{"contribution lies, and is justified", 4, lies{wire.KindContribution: changed(wrongShares)}, true, true, true},
	{"contribution lies, justification omitted", 1, lies{wire.KindContribution: changed(wrongShares), wire.KindJustification: omitted}, false, false, false},
	{"contribution lies, justification too", 2, lies{wire.KindContribution: changed(wrongShares), wire.KindJustification: changed(wrongAnswer)}, false, false, true},
	{"complaint lies", 4, lies{wire.KindContribution: alsoComplains}, true, true, true},
	{"two contributions", 3, lies{wire.KindContribution: twoContributions}, false, true, false}, // it is outvoted, and knows
	{"commitment omitted", 4, lies{wire.KindPrematureCommitment: omitted}, true, false, false},
	{"commitment lies", 4, lies{wire.KindPrematureCommitment: changed(wrongVector)}, true, false, false},
}

// faultyOptions are of a network in which sessions from height first on have a
// fault each.
func faultyOptions(history int32) Options {
	return Options{Nodes: faultyMembers, Seed: 13, Profile: "spec", Slot: time.Second, History: history, Now: time.Now(), Authorities: 2}
}

// faultOf is the fault of a session, where those from height first on have one
// each.
func faultOf(first int32, view *engine.Snapshot, quorum wire.Hash) (f fault, r *dkg.Roster) {
	for _, r := range view.Sessions {
		base, hash := r.Base()
		if k := int(base-first) / 24; hash == quorum && base >= first && k < len(faults) {
			return faults[k], r
		}
	}
	return fault{}, nil
}

// forger makes members lie in sessions from height first on. What they tell
// the others is not what they tell themselves, so they keep to themselves what
// they find in the end.
func forger(n *Network, first int32, view func(member int) *engine.Snapshot) func(int, engine.Publication) []engine.Publication {
	return func(i int, p engine.Publication) []engine.Publication {
		message, err := decode(p)
		if err != nil {
			panic(err) // it is our own
		}
		switch said := message.(type) {
		case wire.FinalCommitment:
			if f, r := faultOf(first, view(i), said.QuorumHash); r != nil && f.liar == i {
				return nil
			}
		case *ofSession:
			f, r := faultOf(first, view(i), said.Head().QuorumHash)
			if r == nil || f.liar != i || f.lies[said.Kind()] == nil {
				break
			}
			self, _ := r.Index(n.Members[i].ProTxHash)
			var forged []engine.Publication
			for _, m := range f.lies[said.Kind()](n.Members[i], self, said.DKGMessage) {
				forged = append(forged, engine.Publication{Topic: p.Topic, Bytes: engine.DKGBytes(m)})
			}
			return forged
		}
		return []engine.Publication{p}
	}
}

// outcome compares the quorum that a session with a fault made with what is
// expected. answers counts the justifications seen.
func (f fault) outcome(t *testing.T, n *Network, q state.Quorum, answers int) {
	t.Helper()
	if len(q.Members) != faultyMembers {
		t.Errorf("%s: %d members, want %d", f.name, len(q.Members), faultyMembers)
	}
	for i, m := range n.Members {
		index, _ := q.Index(m.ProTxHash)
		if valid := q.Commitment.ValidMembers.Has(index); valid != (f.valid || i != f.liar) {
			t.Errorf("%s: %s is valid: %t", f.name, m.Name, valid)
		}
		if signs := q.Commitment.Signers.Has(index); i == f.liar && signs != f.signs {
			t.Errorf("%s: %s is a signer: %t, want %t", f.name, m.Name, signs, f.signs)
		}
	}
	if (answers > 0) != f.justified {
		t.Errorf("%s: %d justifications were seen, want some: %t", f.name, answers, f.justified)
	}
}

// answers counts the justifications that a member has seen in a session.
func answers(view *engine.Snapshot, base int32) (n int) {
	for _, st := range view.DKG {
		for _, m := range st.Members {
			if st.Height == base {
				n += m.Justified
			}
		}
	}
	return n
}

// quorumFrom is the platform quorum of the session with that base.
func quorumFrom(view *engine.Snapshot, base int32) (state.Quorum, bool) {
	for q := range view.State.Quorums(view.State.PlatformType()) {
		if q.Base == base {
			return q, true
		}
	}
	return state.Quorum{}, false
}

func TestFaults_Simulated(t *testing.T) {
	t.Parallel()
	const first = 24
	w := newQuorumWorld(t, faultyOptions(0), Link{})
	w.link.Forge = forger(w.Network, first, func(i int) *engine.Snapshot { return w.Engine(i).Snapshot() })
	for k, f := range faults {
		base := int32(first + 24*k)
		var q state.Quorum
		w.until(f.name, 40, func() (made bool) { q, made = quorumFrom(w.view(), base); return made })
		f.outcome(t, w.Network, q, answers(w.view(), base))
	}
	if banned := w.poseBanned(); len(banned) > 0 {
		t.Errorf("PoSe-banned: %v", banned)
	}
}

// poseBanned lists the members that are.
func (w *world) poseBanned() (members []int) {
	for i := range w.Members {
		if w.node(i).PoSeBanned() {
			members = append(members, i)
		}
	}
	return members
}

// The same between live nodes, whose messages are lies while they themselves
// believe to be honest.
func TestFaults_Live(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("takes a session's 24 slots for each fault: runs without the race detector")
	}
	t.Parallel() // it waits for slots most of the time
	const history, first = 80, 96
	o := faultyOptions(history)
	o.Slot = 250 * time.Millisecond
	b := newBench(t, o)
	b.forge = forger(b.Network, first, func(i int) *engine.Snapshot { return b.Node(i).Snapshot() })
	if err := b.StartAll(b.ctx); err != nil {
		t.Fatal(err)
	}
	start := b.height(0)
	for k, f := range faults {
		base := int32(first + 24*k)
		if base <= start {
			t.Fatalf("started at height %d, the first session begins at %d", start, base)
		}
		b.await(fmt.Sprintf("%s: a quorum from block %d on", f.name, base), func() bool {
			if b.height(0) > base+20 {
				t.Fatalf("%s: no quorum was made in the session from block %d on", f.name, base)
			}
			_, made := quorumFrom(b.Node(0).Snapshot(), base)
			return made
		})
		q, _ := quorumFrom(b.Node(0).Snapshot(), base)
		f.outcome(t, b.Network, q, answers(b.Node(0).Snapshot(), base))
	}
	b.agree()
}
