package engine

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// two returns authors of two branches on the same four blocks.
func two(n *network) (trunk []wire.Block, a, b *author) {
	a = n.author()
	trunk = a.grow(4, 0, nil)
	return trunk, a, a.fork()
}

// Longest, then lowest hash: whatever the order of arrival, whatever was
// undone on the way, an engine ends where one ends that heard of the better
// branch alone.
func TestFork_SameStateWhateverThePath(t *testing.T) {
	for _, profile := range []string{"spec", "core"} {
		n := networkOf(profile, forkNodes)
		for _, c := range []struct{ a, b int }{{1, 1}, {2, 2}, {1, 2}, {3, 1}, {13, 14}, {30, 31}, {59, 60}, {60, 60}} {
			if profile == "core" && c.a > 2 {
				continue // the profiles differ in flags only
			}
			t.Run(fmt.Sprintf("%s, %d against %d", profile, c.a, c.b), func(t *testing.T) {
				trunk, a, b := two(n)
				as := a.grow(c.a, 0, a.busy(bob, cleo))
				bs := b.grow(c.b, 4, b.busy(alice, rupert))
				last := max(a.tip.Slot, b.tip.Slot)
				only := stored(t, n, -1)
				only.at(last)
				only.offer("p", trunk...)
				only.offer("p", map[*author][]wire.Block{a: as, b: bs}[better(a, b)]...)
				only.wantTip("alone", better(a, b))
				orders := map[string][][]wire.Block{"one then the other": {as, bs}, "the other way round": {bs, as}}
				if c.a < 20 { // each block undoes all of the other branch
					orders["in turns"] = [][]wire.Block{interleave(as, bs)}
				}
				for name, order := range orders {
					r := stored(t, n, -1)
					r.at(last)
					r.offer("p", trunk...)
					undone := 0
					for _, blocks := range order {
						for _, out := range r.offer("q", blocks...) {
							undone += out.Undone
							if out.Undone > 0 && !slices.ContainsFunc(out.Alarms, func(a Alarm) bool { return a.Kind == AlarmReorg }) {
								t.Errorf("%s: no alarm of %d blocks undone", name, out.Undone)
							}
						}
					}
					r.wantTip(name, better(a, b))
					sameAgreed(t, r, only)
					if len(r.bodies) > len(as)+len(bs) {
						t.Errorf("%s: %d bodies are kept of %d blocks", name, len(r.bodies), len(as)+len(bs))
					}
					sameAgreed(t, r.again(-1), only)
				}
			})
		}
	}
}

func interleave(a, b []wire.Block) (all []wire.Block) {
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			all = append(all, a[i])
		}
		if i < len(b) {
			all = append(all, b[i])
		}
	}
	return all
}

// A branch whose contents are bad is found out when it gets longer: it is dead,
// ours stands, and the next best has its turn.
func TestFork_BadBranchDies(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	c := a.fork()
	as := a.grow(4, 0, nil)
	// b goes wrong in its third block, which claims another state.
	bs := b.grow(2, 4, nil)
	bad := b.draft(b.turn(4))
	bad.Header.StateRoot[0] ^= 1
	bs = append(bs, n.sign(bad))
	for parent := bs[2]; len(bs) < 6; parent = bs[len(bs)-1] {
		next := wire.Block{Header: wire.Header{
			Height: parent.Header.Height + 1, Slot: parent.Header.Slot + 1, Parent: parent.Header.Hash(), Content: wire.Content{}.Hash(),
		}}
		for next.Header.Slot%forkNodes < 4 || next.Header.Height == a.tip.Height && lowerHash(next, a.tip) { // as long as ours, it does not win
			next.Header.Slot++
		}
		bs = append(bs, n.sign(next))
	}
	cs := c.grow(5, 2, nil)
	r := stored(t, n, -1)
	r.at(100)
	r.offer("p", trunk...)
	r.offer("p", as...)
	r.offer("q", bs[:4]...)
	r.wantTip("beside a branch as long", a)
	out := r.want(Block{"q", bs[4]}, validation.Valid) // a good header; what it leads to is found out now
	r.wantTip("against a branch that is longer and bad", a)
	if out.Undone > 0 || len(out.Connected) > 0 || len(out.Charges) > 0 {
		t.Errorf("%d undone, %d connected, charges %v; want none", out.Undone, len(out.Connected), out.Charges)
	}
	for _, dead := range bs[5:] {
		r.want(Block{"q", dead}, validation.BlockDead)
	}
	r.want(Block{"q", bs[2]}, validation.BlockDead)
	r.want(Block{"q", bs[1]}, validation.Duplicate)
	if _, kept := r.bodies[bs[4].Header.Hash()]; kept {
		t.Error("a dead block's body is kept")
	}
	r.offer("p", cs...)
	r.wantTip("the next best", c)
	sameAgreed(t, r.again(-1), r)
}

// Events of undone blocks wait again if they still can stand, oldest first.
func TestFork_EventsComeBack(t *testing.T) {
	n := networkOf("spec", forkNodes)
	trunk, a, b := two(n)
	gone := n.update(bob, 1, "/ip4/1.2.3.4/tcp/1")
	second := n.update(bob, 2, "/ip4/1.2.3.4/tcp/2") // stands on the first only
	both := n.update(cleo, 1, "/ip4/1.2.3.4/tcp/3")
	as := []wire.Block{a.next(a.turn(0), gone, both), a.next(a.turn(0)+8, second)}
	bs := []wire.Block{b.next(b.turn(4)), b.next(b.turn(4), both), b.next(b.turn(4))}
	r := stored(t, n, -1)
	r.connect(trunk...)
	r.want(r.event("p", n.update(rupert, 1, "/ip4/1.2.3.4/tcp/4")), validation.Valid)
	r.connect(as...)
	if got := r.pool.list(); len(got) != 1 {
		t.Fatalf("%d events wait, want rupert's", len(got))
	}
	r.offer("q", bs...)
	r.wantTip("reorganised", b)
	got := r.pool.list()
	if len(got) != 2 || got[0].Record() != proTx(rupert) || eventID(got[1]) != eventID(gone) {
		t.Fatalf("events %v wait, want rupert's and bob's first", got)
	}
	if c := r.assemble(b.tip.Height + 1); len(c.Events) != 2 {
		t.Errorf("the next block would carry %v, want both", c.Events)
	}
}

// What an undone block did to clearing heights is undone, also by an engine
// that was restarted meanwhile, which has no more than the stored diffs.
func TestFork_ClearingHeightsAfterAReorganisation(t *testing.T) {
	for _, profile := range []string{"spec", "core"} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %t", profile, restarted), func(t *testing.T) {
				n := networkOf(profile, forkNodes)
				trunk, a, b := two(n)
				as := []wire.Block{a.next(a.turn(0), n.update(cleo, 1, "/ip4/1.2.3.4/tcp/3"))}
				bs := b.grow(2, 4, nil)
				r := stored(t, n, -1)
				r.connect(trunk...)
				r.want(n.unsignedBan("p", cleo, 4), validation.Valid)
				r.connect(as...)
				clears := profile == "core"
				r.wantFlag(cleo, !clears)
				older := n.unsignedBan("p", cleo, 3)
				r.want(older, validation.Stale)
				if restarted {
					r = r.again(-1)
				}
				r.at(bs[1].Header.Slot)
				r.offer("p", bs...)
				r.wantTip("reorganised", b)
				r.wantFlag(cleo, true)
				if f := r.flagOf(cleo); f.ClearedHeight != state.NoHeight || f.BannedHeight != 4 {
					t.Errorf("banned at %d, cleared at %d; want 4, never", f.BannedHeight, f.ClearedHeight)
				}
				// Stale because of an undone block is not remembered.
				_, refused := r.Snapshot().Refused(older.Message.ID())
				if refused == clears {
					t.Errorf("the older ban is remembered as refused: %t", refused)
				}
				sameAgreed(t, r.again(-1), r)
			})
		}
	}
}

// finalNetwork is where three of four authorities make blocks final.
func TestFork_NothingFinalIsUndone(t *testing.T) {
	n := testNetwork("spec")
	a := n.author()
	trunk := a.blocks(2)
	b := a.fork()
	as := a.blocks(3) // three authorities: the first of them is final
	// Another branch by the fourth authority and one of them, longer.
	var bs []wire.Block
	for _, slot := range []uint64{6, 7, 10, 11, 14} {
		bs = append(bs, b.next(slot))
	}
	r := stored(t, n, -1)
	r.at(20)
	r.offer("p", trunk...)
	r.offer("p", as...)
	if f := r.Snapshot().Final; f.Height != 3 {
		t.Fatalf("final at %d, want 3", f.Height)
	}
	for i, in := range bs {
		want := validation.BlockDeep
		v, out := r.feed(Block{"q", in})
		if v.Reason != want || out.Fatal != nil || out.Undone > 0 {
			t.Errorf("block %d of the other branch: %s, %v, %d undone; want %s", i, v.Reason, out.Fatal, out.Undone, want)
		}
	}
	r.wantTip("against a longer branch", a)
	if r = r.again(-1); r.Snapshot().Final.Height != 3 {
		t.Errorf("final at %d after a restart, want 3", r.Snapshot().Final.Height)
	}
	r.at(20)
	for _, in := range bs {
		if v, _ := r.feed(Block{"q", in}); v.Reason != validation.BlockDeep {
			t.Errorf("after a restart: %s, want %s", v.Reason, validation.BlockDeep)
		}
	}
	r.wantTip("after a restart", a)
}

// More than a third of the authorities signed both branches: no rule says
// which holds.
func TestFork_TwoFinalBlocksAreFatal(t *testing.T) {
	n := testNetwork("spec")
	a := n.author()
	trunk := a.blocks(2)
	b := a.fork()
	as, bs := a.blocks(3), []wire.Block{}
	for _, slot := range []uint64{7, 8, 9, 10} {
		bs = append(bs, b.next(slot))
	}
	r := stored(t, n, alice)
	r.at(20)
	r.offer("p", trunk...)
	r.offer("p", as...)
	var out *Effects
	for _, in := range bs {
		if _, out = r.feed(Block{"q", in}); out.Fatal != nil {
			break
		}
	}
	if !errors.Is(out.Fatal, chain.ErrConflict) {
		t.Fatalf("fatal %v, want %v", out.Fatal, chain.ErrConflict)
	}
	before := len(out.Writes)
	r.Step(Block{"q", a.next(12)}, 9, out)
	r.Step(Tick{n.genesis.SlotStart(24)}, 0, out)
	if last := out.Replies[len(out.Replies)-1]; len(out.Writes) != before || last.Ticket != 9 || last.Verdict.Reason != validation.Internal {
		t.Errorf("after it %d writes, reply %+v; want nothing done", len(out.Writes)-before, last)
	}
}

// An author that signs two blocks in its slot cannot choose which one counts
// by order: the lower hash does. A third is not taken.
func TestFork_EquivocatingAuthor(t *testing.T) {
	n := networkOf("spec", forkNodes)
	_, a, _ := two(n)
	slot := a.turn(0)
	var twins []wire.Block
	for port := range 3 {
		twins = append(twins, a.draft(slot, n.update(bob, 1, fmt.Sprintf("/ip4/1.2.3.4/tcp/%d", port+1))))
	}
	for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}} {
		r := stored(t, n, -1)
		trunk, _, _ := two(n)
		r.connect(trunk...)
		r.at(slot)
		r.offer("p", twins[order[0]], twins[order[1]])
		r.want(Block{"p", twins[2]}, validation.BlockTwin)
		want := slices.MinFunc(twins[:2], func(a, b wire.Block) int {
			x, y := a.Header.Hash(), b.Header.Hash()
			return slices.Compare(x[:], y[:])
		})
		if tip := r.Snapshot().Tip; tip.Hash != want.Header.Hash() {
			t.Errorf("order %v: tip %s, want the lower hash", order, tip.Hash.Short())
		}
		if r.confidence.contested != r.Snapshot().Tip.Height {
			t.Errorf("order %v: nobody noticed a second branch at the tip", order)
		}
	}
}

// Without finality what an engine remembers stays bounded, and so does its
// database but for the blocks.
func TestFork_BoundedWithoutFinality(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand blocks")
	}
	n := networkOf("spec", forkNodes)
	a := n.author()
	r := stored(t, n, -1)
	for _, b := range a.grow(chain.MaxReorg+80, 0, nil) {
		r.at(b.Header.Slot)
		r.offer("p", b)
	}
	s := r.Snapshot()
	const kept = chain.MaxReorg + params.CertificateLast
	if s.Final.Height != 0 || len(s.Branch) != kept+1 || len(r.disk[KindUndo]) != kept {
		t.Errorf("final at %d, %d links, %d undo records; want 0, %d, %d", s.Final.Height, len(s.Branch), len(r.disk[KindUndo]), kept+1, kept)
	}
	again := r.again(-1)
	sameAgreed(t, again, r)
	if got := again.Snapshot().Branch; len(got) != len(s.Branch) {
		t.Errorf("%d links after a restart, want %d", len(got), len(s.Branch))
	}
	if len(r.decidedAt) > int(params.CertificateLast) {
		t.Errorf("%d heights of decisions", len(r.decidedAt))
	}
}

// A node that is gone clears nothing: its flag stays as its last update left
// it, or an old ban would be in force again.
func TestFlag_OfANodeThatIsGoneStays(t *testing.T) {
	n := networkOf("core", forkNodes) // where every update clears
	a := n.author()
	register := n.register(alice, 1)
	register.Evo, register.Amount = true, requirement/2 // it awaits the rest, and may leave at once
	n.sealRegistration(&register, alice)
	joined := register.ProTxHash()
	exit := wire.Exit{EventHead: n.head(2), Staker: n.stakerKey(alice), ProTxHash: joined}
	hash := exit.SignHash()
	exit.Signature = wire.ServiceSignature(ed25519.Sign(n.staker[alice], hash[:]))
	r := stored(t, n, -1)
	for _, e := range []wire.Event{register, n.registeredUpdate(joined), exit} {
		r.connect(a.nextOf(a.turn(0), wire.Content{Events: []wire.Event{e}}))
	}
	cleared := r.Snapshot().Flag(joined).ClearedHeight
	r.connect(a.nextOf(a.turn(0), wire.Content{}))
	if _, gone := r.state.Tombstone(joined); !gone || cleared != 2 {
		t.Fatalf("gone %t, cleared at %d; want it gone, cleared at 2", gone, cleared)
	}
	if got := r.Snapshot().Flag(joined).ClearedHeight; got != cleared {
		t.Errorf("cleared at %d once it is gone, was %d", got, cleared)
	}
}
