package testnet

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// world is a simulation whose members are watched: whatever happens, a block
// has one state, nobody stops, and no honest tester contradicts itself.
type world struct {
	*Simulation
	t testing.TB

	silent   map[int]bool // members whose uptime proofs are not sent
	withheld map[int]bool // or checkpoint hashes
	dumb     map[int]bool // or votes

	liars map[wire.Hash]bool // not honest: they may contradict themselves

	roots   map[wire.Hash]wire.Hash // state root by block
	seen    []wire.Hash             // by member: the last block looked at
	said    map[question]byte       // what testers answered
	atBlock func(l *engine.Link)    // optional: called once for each block anybody has
}

// question is what a tester answers once.
type question struct {
	height       int32
	block, about wire.Hash
	voter        wire.Hash
}

const (
	saidPasses byte = 1 << iota
	saidFails
)

// newWorld simulates a network without long-living quorums. Options that are
// not given are those of most tests: profile spec, 4 authorities, slots of a
// second.
func newWorld(t testing.TB, o Options, link Link) *world {
	t.Helper()
	o.NoQuorums = true
	return newQuorumWorld(t, o, link)
}

// newQuorumWorld simulates a network whose evonodes make quorums.
func newQuorumWorld(t testing.TB, o Options, link Link) *world {
	t.Helper()
	if raceEnabled {
		t.Skip("a simulation has one goroutine: it runs without the race detector")
	}
	if o.Profile == "" {
		o.Profile = "spec"
	}
	if o.Authorities == 0 {
		o.Authorities = min(4, o.Nodes)
	}
	o.Slot, o.Now, o.Apart = time.Second, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), true
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, silent: make(map[int]bool), withheld: make(map[int]bool), dumb: make(map[int]bool), liars: make(map[wire.Hash]bool),
		roots: make(map[wire.Hash]wire.Hash), said: make(map[question]byte), seen: make([]wire.Hash, o.Nodes),
	}
	if link.Mute == nil {
		link.Mute = w.mute
	}
	if w.Simulation, err = n.Simulate(link, o.Seed); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d members, seed %d", o.Nodes, o.Seed)
	return w
}

func (w *world) mute(i int, p engine.Publication) bool {
	return w.silent[i] && p.Topic == engine.TopicUptime ||
		w.withheld[i] && p.Topic == engine.TopicCheckpoint ||
		w.dumb[i] && p.Topic == engine.TopicVote
}

// run lets so many slots pass and looks at everybody after each.
func (w *world) run(slots int) {
	w.t.Helper()
	for range slots {
		if err := w.advance(); err != nil {
			w.t.Fatalf("slot %d: %v", w.Slot, err)
		}
	}
}

// advance lets one slot pass and looks at everybody after it.
func (w *world) advance() error {
	w.t.Helper()
	if err := w.Run(1); err != nil {
		return err
	}
	for i := range w.members {
		w.watch(i)
	}
	if w.Slot%(params.WarmUp/2) == 0 { // votes are kept for longer
		w.listen()
	}
	return nil
}

// until lets slots pass until what is expected has happened.
func (w *world) until(what string, most int, happened func() bool) {
	w.t.Helper()
	for range most {
		if happened() {
			return
		}
		w.run(1)
	}
	if !happened() {
		w.t.Fatalf("%s: not within %d slots, by slot %d", what, most, w.Slot)
	}
}

// watch compares the states of a member's new blocks with everybody else's.
func (w *world) watch(i int) {
	w.t.Helper()
	if w.Engine(i) == nil {
		return
	}
	branch := w.Engine(i).Snapshot().Branch
	first := len(branch)
	for first > 0 && branch[first-1].Tip.Hash != w.seen[i] {
		first--
	}
	for _, l := range branch[first:] {
		root := l.State.Root()
		switch known, ok := w.roots[l.Tip.Hash]; {
		case !ok:
			w.roots[l.Tip.Hash] = root
			if w.atBlock != nil {
				w.atBlock(l)
			}
		case known != root:
			w.t.Fatalf("slot %d: after block %d %s the state of %s is %s, others have %s", w.Slot, l.Tip.Height, l.Tip.Hash, w.Members[i].Name, root, known)
		}
	}
	w.seen[i] = branch[len(branch)-1].Tip.Hash
}

// listen looks through the votes that members hold for testers that said one
// thing and the opposite.
func (w *world) listen() {
	w.t.Helper()
	for i, m := range w.members {
		if cases := len(m.disk[engine.KindMisconduct]); cases > 0 && len(w.liars) == 0 {
			w.t.Fatalf("slot %d: %s has %d cases of misconduct", w.Slot, w.Members[i].Name, cases)
		}
		for _, raw := range m.disk[engine.KindVote] {
			v, err := wire.ParseVote(raw)
			if err != nil {
				w.t.Fatal(err)
			}
			q, said := question{v.Height, v.BlockHash, v.ProTxHash, v.Voter}, saidFails
			if v.Answer == wire.Passes {
				said = saidPasses
			}
			if w.liars[v.Voter] {
				continue
			}
			if w.said[q] |= said; w.said[q] == saidPasses|saidFails {
				w.t.Fatalf("slot %d: %s said of %s at %d that it passes and that it fails", w.Slot, v.Voter.Short(), v.ProTxHash.Short(), v.Height)
			}
		}
	}
}

// calm mends every link, starts who is down, and expects everybody to be on
// one tip after so many slots.
func (w *world) calm(slots int) {
	w.t.Helper()
	w.link.Cut, w.link.Loss, w.link.Twice, w.link.Shuffle = nil, 0, 0, false
	for i := range w.members {
		if w.Engine(i) == nil {
			w.up(i)
		}
	}
	w.run(slots)
	w.listen()
	w.oneTip()
}

func (w *world) up(i int) {
	w.t.Helper()
	if err := w.Up(i); err != nil {
		w.t.Fatalf("slot %d: start %s: %v", w.Slot, w.Members[i].Name, err)
	}
}

// restart stops a member and starts it at once.
func (w *world) restart(i int) {
	w.t.Helper()
	w.Down(i)
	w.up(i)
}

func (w *world) oneTip() {
	w.t.Helper()
	want := w.view().Tip
	for i := range w.members {
		if got := w.Engine(i).Snapshot().Tip; got != want {
			w.t.Fatalf("slot %d: the tip of %s is %d %s, of %s %d %s", w.Slot, w.Members[i].Name, got.Height, got.Hash.Short(), w.Members[0].Name, want.Height, want.Hash.Short())
		}
	}
}

func (w *world) view() *engine.Snapshot { return w.Engine(0).Snapshot() }

func (w *world) tip() int32 { return w.view().Tip.Height }

// node returns the record of a member; it must be registered.
func (w *world) node(i int) state.Node {
	w.t.Helper()
	n, ok := w.view().State.Node(w.Members[i].ProTxHash)
	if !ok {
		w.t.Fatalf("slot %d: %s is not registered", w.Slot, w.Members[i].Name)
	}
	return n
}

func (w *world) is(i int, s state.Service) bool {
	n, ok := w.view().State.Node(w.Members[i].ProTxHash)
	return ok && n.Service() == s
}

func (w *world) gone(i int) bool {
	_, ok := w.view().State.Node(w.Members[i].ProTxHash)
	return !ok
}

func (w *world) counts(active, decommissioned int) {
	w.t.Helper()
	if _, a, d := w.view().State.Counts(); a != active || d != decommissioned {
		w.t.Errorf("slot %d: %d are active and %d decommissioned, want %d and %d", w.Slot, a, d, active, decommissioned)
	}
}

// heard is the height at which member 0 heard the last proof of another.
func (w *world) heard(i int) int32 {
	r, ok := w.view().Proofs.Get(w.Members[i].ProTxHash)
	if !ok {
		return state.NoHeight
	}
	return r.Heard
}

// transitions lists what blocks did to a member, as member 0 wrote it down.
func (w *world) transitions(i int) (all []state.Transition) {
	w.t.Helper()
	decisions, err := engine.Decisions(w.members[0].disk, w.Members[i].ProTxHash, math.MaxInt32)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range decisions {
		all = append(all, d.Transitions...)
	}
	return all
}

// untouched expects that no block did anything to any member.
func (w *world) untouched() {
	w.t.Helper()
	for i := range w.Members {
		for _, t := range w.transitions(i) {
			w.t.Errorf("%s: %s -> %s in block %d, %s at %d", w.Members[i].Name, t.From, t.To, t.Height, t.Cause.Answer, t.Cause.QuorumHeight)
		}
	}
}

// submit hands an event to member 0.
func (w *world) submit(e wire.Event) {
	w.t.Helper()
	if v := w.Submit(0, e); !v.OK() {
		w.t.Fatalf("slot %d: %s judged %s", w.Slot, e.Kind(), v.Reason)
	}
}

// last reports whether a member stands at the bottom of the reward order since
// a block: who was paid in that block stands there too.
func (w *world) last(i int, since int32) bool {
	n := w.node(i)
	return n.RewardHeight == since && n.RewardIndex == math.MaxUint32
}

// equal expects two simulations to have stored the same.
func equal(t testing.TB, a, b *world) {
	t.Helper()
	for i := range a.members {
		x, y := a.members[i].disk.all(), b.members[i].disk.all()
		order := func(p, q engine.Write) int {
			return slices.Compare(append([]byte{byte(p.Kind)}, p.Key...), append([]byte{byte(q.Kind)}, q.Key...))
		}
		slices.SortFunc(x, order)
		slices.SortFunc(y, order)
		for k := range min(len(x), len(y)) {
			if x[k].Kind != y[k].Kind || !slices.Equal(x[k].Key, y[k].Key) || !slices.Equal(x[k].Value, y[k].Value) {
				t.Fatalf("%s: record %d of %d: kind %d key %x is %x, the other time kind %d key %x was %x",
					a.Members[i].Name, k, len(x), x[k].Kind, x[k].Key, x[k].Value, y[k].Kind, y[k].Key, y[k].Value)
			}
		}
		if len(x) != len(y) {
			t.Fatalf("%s: %d records, the other time %d", a.Members[i].Name, len(x), len(y))
		}
	}
}
