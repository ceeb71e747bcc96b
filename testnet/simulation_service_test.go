package testnet

import (
	"fmt"
	"slices"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

func eachProfile(t *testing.T, f func(t *testing.T, profile string)) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			f(t, profile)
		})
	}
}

// fails is when a node is decommissioned whose last proof was heard at a
// height: a block later than its validity it is stale, testers say so then,
// and the next block carries their certificate.
func fails(heard int32, r params.Service) int32 { return heard + r.ProofValidity + 2 }

// Two nodes fall silent; one comes back in time, the other does not. Sources:
// seed "Deregistration Rules"; spec/oxen.md 2.3, 2.4, 3.7; DESIGN.md 8.
func TestSimulation_SilentNodes(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile string) {
		const back, never = 8, 9
		w := newWorld(t, Options{Nodes: 10, Regular: 4, Seed: 31, Profile: profile}, Link{})
		w.run(100)
		rules := w.view().State.Rules()
		w.silent[back], w.silent[never] = true, true
		heard := w.heard(never)
		if quiet := fails(heard, rules) - 100; quiet < rules.ProofEvery || quiet > rules.ProofValidity+2 {
			t.Errorf("last heard at %d", heard)
		}
		w.until("the decommissions", 80, func() bool { return w.is(back, state.Decommissioned) && w.is(never, state.Decommissioned) })
		for _, i := range []int{back, never} {
			n := w.node(i)
			if n.DecommissionedHeight != fails(w.heard(i), rules) || n.Cause != wire.FailsUptime || n.Decommissions != 1 {
				t.Errorf("%s, last heard at %d, decommissioned at %d for %s, %d times", w.Members[i].Name, w.heard(i), n.DecommissionedHeight, n.Cause, n.Decommissions)
			}
		}
		down := w.node(back)
		decommissioned := down.DecommissionedHeight
		credit := down.Credit(decommissioned, rules)
		if want := 60 + decommissioned*24/720; credit != want {
			t.Errorf("credit %d at decommission in block %d, want %d", credit, decommissioned, want)
		}
		if slices.Contains(slices.Collect(w.view().State.RewardOrder()), w.Members[back].ProTxHash) {
			t.Error("a decommissioned node waits for its reward")
		}

		w.silent[back] = false
		before := w.heard(back)
		w.until("a proof", int(rules.ProofEvery)+1, func() bool { return w.heard(back) != before })
		heardAgain := w.heard(back)
		w.until("the recommission", params.CertificateFirst+1, func() bool { return w.is(back, state.Active) })
		n := w.node(back)
		// It was heard after testers had judged at that tip, so they pass it at
		// the next, but on a draw since the decommission only.
		if want := max(heardAgain+2, decommissioned+params.CertificateFirst+1); n.ActiveSince != want {
			t.Errorf("decommissioned at %d, heard at %d, back at %d, want %d", decommissioned, heardAgain, n.ActiveSince, want)
		}
		want := int32(0)
		if profile == "core" {
			want = max(0, credit-2*(n.ActiveSince-decommissioned))
		}
		if n.CreditBase != want || !w.last(back, n.ActiveSince) {
			t.Errorf("back with a credit of %d, want %d, at place (%d, %d)", n.CreditBase, want, n.RewardHeight, n.RewardIndex)
		}

		// The other is tested at every block: the first in which its credit is
		// below 0 removes it.
		lost := w.node(never)
		w.until("the deregistration", 100, func() bool { return w.gone(never) })
		all := w.transitions(never)
		last := all[len(all)-1]
		if want := lost.DecommissionedHeight + credit + 1; last.Height != want || last.Credit != -1 || last.To != 0 {
			t.Errorf("%+v, want a deregistration in block %d with credit -1", last, want)
		}
		grave, dead := w.view().State.Tombstone(w.Members[never].ProTxHash)
		if !dead || !grave.Deregistered || grave.Height != last.Height || grave.UnlockHeight != last.Height+rules.StakeLock || grave.Cause != wire.FailsUptime {
			t.Errorf("tombstone %t %+v", dead, grave)
		}
		owner, _ := w.view().State.Staker(w.Members[never].stakerKey())
		if before, after := owner.Free(grave.UnlockHeight-1), owner.Free(grave.UnlockHeight); before != StakingRequirement || after != 2*StakingRequirement {
			t.Errorf("a block before the lock ends %d is free, then %d", before, after)
		}

		// What its owner has left pays for a new node with the same keys.
		again := w.Register(w.Members[never], StakingRequirement, owner.Sequence)
		w.submit(again)
		w.Down(never)
		w.Members[never].ProTxHash, w.silent[never] = again.ProTxHash(), false
		w.run(2)
		w.up(never)
		w.run(int(fails(0, rules)) + 20)
		if n := w.node(never); n.Service() != state.Active || n.CreditBase != 60 || n.Decommissions != 0 || n.ActiveSince != n.RegisteredHeight {
			t.Errorf("the new node is %s, %+v", n.Service(), n)
		}
		if all := w.transitions(never); len(all) != 1 {
			t.Errorf("%+v, want a registration only", all)
		}
		w.counts(10, 0)
		w.oneTip()
	})
}

// What testers said while the brake held is not held against a node that was
// heard since.
func TestSimulation_TheBrakeDoesNotKeepAccusations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Nodes: 10, Seed: 37, Profile: "core"}, Link{})
	w.run(30)
	silent := []int{7, 8, 9}
	for _, i := range silent {
		w.silent[i] = true
	}
	w.until("two decommissions", 20, func() bool { _, _, d := w.view().State.Counts(); return d == 2 })
	w.run(5)
	w.counts(8, 2)
	held := slices.IndexFunc(w.Members, func(m Member) bool {
		i, _ := w.Named(m.Name)
		return w.silent[i] && w.is(i, state.Active)
	})
	w.silent[held] = false
	w.run(6) // it is heard again
	clear(w.silent)
	w.run(50)
	w.counts(10, 0)
	if all := w.transitions(held); len(all) != 0 {
		t.Errorf("%+v, want that it served all the time", all)
	}
}

// A node with several stakers waits until they have staked enough.
func TestSimulation_SeveralStakers(t *testing.T) {
	t.Parallel()
	const joining = 9
	w := newWorld(t, Options{Nodes: 10, Seed: 32, Unregistered: 1}, Link{})
	w.run(20)
	x := w.Members[joining].ProTxHash
	w.submit(w.Joining(w.Members[joining]))
	w.until("the registration", 3, func() bool { return w.is(joining, state.Awaiting) })
	w.submit(w.Contribute(w.Members[0], x, 250, 0))
	w.until("a contribution", 3, func() bool { return len(w.node(joining).Stakes) == 2 })
	w.run(100)
	if n := w.node(joining); n.Service() != state.Awaiting || n.Staked() != JoiningStake+250 {
		t.Fatalf("%s with a stake of %d", n.Service(), n.Staked())
	}
	if all := w.transitions(joining); len(all) != 1 || all[0].To != state.Awaiting {
		t.Errorf("%+v, want the registration only: nobody tests who awaits", all)
	}
	w.submit(w.Contribute(w.Members[1], x, 150, 0))
	w.until("the whole stake", 3, func() bool { return w.is(joining, state.Active) })
	n := w.node(joining)
	if n.ActiveSince != w.tip() || n.Credit(w.tip(), w.view().State.Rules()) != 60 || n.RewardHeight != w.tip() || n.RewardIndex != 0 {
		t.Errorf("active since %d with credit base %d at place (%d, %d), tip %d", n.ActiveSince, n.CreditBase, n.RewardHeight, n.RewardIndex, w.tip())
	}
	w.run(100)
	w.counts(10, 0)
	if all := w.transitions(joining); len(all) != 2 {
		t.Errorf("%+v, want that it serves on", all)
	}
	drawn := slices.ContainsFunc(w.view().Branch, func(l *engine.Link) bool { _, ok := l.Draw.Index(x); return ok })
	if !drawn {
		t.Error("it was never drawn to test others")
	}
}

// Who asks to leave serves for another 720 blocks and has the stake back.
func TestSimulation_Exit(t *testing.T) {
	t.Parallel()
	const leaving = 9
	w := newWorld(t, Options{Nodes: 10, Seed: 33, Profile: "core"}, Link{})
	w.run(20)
	m := w.Members[leaving]
	w.submit(w.Exit(m, m.ProTxHash, 0))
	w.until("the request", 3, func() bool { return w.node(leaving).ExitHeight != state.NoHeight })
	asked := w.tip()
	w.run(int(720))
	if n := w.node(leaving); n.Service() != state.Active || n.ExitHeight != asked+720 {
		t.Errorf("%d blocks after the request it is %s and leaves after %d", w.tip()-asked, n.Service(), n.ExitHeight)
	}
	w.run(1)
	grave, dead := w.view().State.Tombstone(m.ProTxHash)
	if !w.gone(leaving) || !dead || grave.Deregistered || grave.Height != asked+721 {
		t.Errorf("gone %t, tombstone %t %+v; asked at %d", w.gone(leaving), dead, grave, asked)
	}
	if owner, _ := w.view().State.Staker(m.stakerKey()); owner.Free(w.tip()) != 2*StakingRequirement {
		t.Errorf("%d of the stake is free", owner.Free(w.tip()))
	}
	w.run(70)
	w.counts(9, 0)
	if _, heard := w.view().Proofs.Get(m.ProTxHash); heard {
		t.Error("its proofs are remembered")
	}
}

// A node whose operator gave it up proves its uptime on, but neither tests
// nor is paid.
func TestSimulation_Revoke(t *testing.T) {
	t.Parallel()
	const given = 9
	w := newWorld(t, Options{Nodes: 10, Seed: 34}, Link{})
	w.run(20)
	m := w.Members[given]
	w.submit(w.Revoke(m, 0))
	w.until("the revocation", 3, func() bool { return w.node(given).Revoked })
	w.run(150)
	if n := w.node(given); n.Service() != state.Active || !n.PoSeBanned() || n.OperatorKey != (wire.OperatorKey{}) {
		t.Errorf("the node is %+v", n)
	}
	for _, l := range w.view().Branch {
		if _, tester := l.Draw.Index(m.ProTxHash); tester {
			t.Fatalf("it was drawn at %d", l.Tip.Height)
		}
	}
	if slices.Contains(slices.Collect(w.view().State.RewardOrder()), m.ProTxHash) {
		t.Error("it waits for its reward")
	}
	w.restart(given)
	w.run(5)
	w.oneTip()
}

// A node that moves to another host falls to the bottom of the reward order,
// once, and loses nothing else.
func TestSimulation_SecondAddress(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile string) {
		const moving = 9
		w := newWorld(t, Options{Nodes: 10, Seed: 35, Profile: profile}, Link{})
		w.run(100) // beyond the grace after a registration
		before := w.heard(moving)
		w.Members[moving].Announced = []string{"/dns4/elsewhere/udp/19850/quic-v1"}
		w.restart(moving)
		w.until("a proof from elsewhere", 40, func() bool { return w.heard(moving) > before })
		heard := w.heard(moving)
		w.until("the penalty", 4, func() bool { return w.node(moving).PenaltyHeight != state.NoHeight })
		n := w.node(moving)
		if n.PenaltyHeight != heard+2 || !w.last(moving, n.PenaltyHeight) {
			t.Errorf("heard from elsewhere at %d, penalty at %d, place (%d, %d)", heard, n.PenaltyHeight, n.RewardHeight, n.RewardIndex)
		}
		if n.Service() != state.Active || n.ActiveSince != 0 || n.CreditBase != 60 {
			t.Errorf("after the penalty it is %s since %d with %d", n.Service(), n.ActiveSince, n.CreditBase)
		}
		w.run(200)
		if all := w.transitions(moving); len(all) != 1 || all[0].Cause.Answer != wire.TwoAddresses {
			t.Errorf("%+v, want one penalty", all)
		}
		if n := w.node(moving); n.RewardHeight <= n.PenaltyHeight {
			t.Errorf("it was not paid since: place (%d, %d)", n.RewardHeight, n.RewardIndex)
		}
	})
}

// A tester that withholds one hash is decommissioned at once, and is back when
// it has published two. One that goes on withholding them is deregistered.
func TestSimulation_MissingCheckpoints(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile string) {
		const once, always = 8, 9
		w := newWorld(t, Options{Nodes: 10, Seed: 36, Profile: profile}, Link{})
		w.run(101)
		w.withheld[once], w.withheld[always] = true, true
		w.run(4) // the hash of 104 was due
		w.withheld[once] = false
		w.run(20)
		for _, i := range []int{once, always} {
			if n := w.node(i); n.DecommissionedHeight != 104+params.CertificateFirst || n.Cause != wire.FailsCheckpoint {
				t.Fatalf("%s: decommissioned at %d for %s, want %d", w.Members[i].Name, n.DecommissionedHeight, n.Cause, 104+params.CertificateFirst)
			}
		}
		rules := w.view().State.Rules()
		down := w.node(always)
		credit := down.Credit(down.DecommissionedHeight, rules)
		w.run(30)
		// Of its probation the hashes of 120 and 124 count.
		if n := w.node(once); n.Service() != state.Active || n.ActiveSince != 124+params.CertificateFirst || !w.last(once, n.ActiveSince) && n.RewardHeight == n.ActiveSince {
			t.Errorf("%s is %s since %d, place (%d, %d)", w.Members[once].Name, n.Service(), n.ActiveSince, n.RewardHeight, n.RewardIndex)
		}
		w.until("the deregistration", 100, func() bool { return w.gone(always) })
		grave, _ := w.view().State.Tombstone(w.Members[always].ProTxHash)
		if want := down.DecommissionedHeight + credit + 1; grave.Height != want || grave.Cause != wire.FailsCheckpoint {
			t.Errorf("deregistered at %d for %s, want %d", grave.Height, grave.Cause, want)
		}
		w.run(50)
		w.counts(9, 0)
	})
}

// What the testers of a network of each size can do about a silent node.
// Source: DESIGN.md section 6, rules 1 and 2, and section 9.
func TestSimulation_Sizes(t *testing.T) {
	for _, c := range []struct {
		nodes int
		acts  bool  // a node is judged: it has three voters at least
		late  int32 // blocks that the draw may leave it out
	}{
		{1, false, 0}, {2, false, 0}, {3, false, 0}, {4, true, 0}, {7, true, 0}, {10, true, 0}, {11, true, 0}, {60, true, 30},
	} {
		t.Run(fmt.Sprint(c.nodes), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{Nodes: c.nodes, Seed: uint64(40 + c.nodes)}, Link{})
			w.run(35)
			silent := c.nodes - 1
			w.silent[silent] = true
			w.run(115)
			if w.tip() != 150 {
				t.Fatalf("tip %d after 150 slots", w.tip())
			}
			w.listen()
			w.oneTip()
			for i := range w.Members {
				if all := w.transitions(i); i != silent && len(all) > 0 {
					t.Errorf("%s: %+v", w.Members[i].Name, all)
				}
			}
			if !c.acts {
				w.counts(c.nodes, 0)
				return
			}
			w.counts(c.nodes-1, 1)
			first := fails(w.heard(silent), w.view().State.Rules())
			if n := w.node(silent); n.DecommissionedHeight < first || n.DecommissionedHeight > first+c.late {
				t.Errorf("decommissioned at %d, want %d to %d", n.DecommissionedHeight, first, first+c.late)
			}
			w.silent[silent] = false
			w.run(50)
			w.counts(c.nodes, 0)
		})
	}
}
