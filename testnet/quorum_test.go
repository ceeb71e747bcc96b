package testnet

import (
	"errors"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/store"
)

// In each phase of a session another member is killed, and started again at
// once. It says the same again: all are valid, and all have their share.
func TestDKG_AMemberIsKilledInEachPhase(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("waits for slots: runs without the race detector")
	}
	t.Parallel()
	const history, base, phases = 80, 96, 6
	b := newBench(t, Options{
		Nodes: 1 + phases, Regular: 1, Seed: 17, Profile: "spec", Slot: 500 * time.Millisecond, History: history, Now: time.Now(),
	})
	if err := b.StartAll(b.ctx); err != nil {
		t.Fatal(err)
	}
	if b.height(0) >= base {
		t.Fatalf("started at height %d, the session begins at %d", b.height(0), base)
	}
	for k := range phases {
		victim := 1 + k // member 0 makes the blocks
		b.follow(victim, base+int32(2*k))
		if err := b.Kill(victim); err != nil {
			t.Fatal(err)
		}
		if err := b.Start(victim); err != nil {
			t.Fatal(err)
		}
	}
	b.follow(0, base+14)
	q, made := quorumFrom(b.Node(0).Snapshot(), base)
	if !made {
		t.Fatal("no quorum was made")
	}
	if valid, signers := q.Commitment.ValidMembers.Count(), q.Commitment.Signers.Count(); valid != phases || signers != phases {
		t.Errorf("%d members are valid and %d have signed, want %d", valid, signers, phases)
	}
	b.agree()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	key := state.QuorumKey(q.Type(), q.Hash())
	for i := 1; i <= phases; i++ {
		db, err := store.Open(b.dataDir(i))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := db.Get(engine.KindShare, key[:])
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := engine.ParseKeyShare(raw); err != nil {
			t.Errorf("%s has no share: %v", b.Members[i].Name, err)
		}
	}
}

// As long as fewer members than the threshold ask for a ban there is none; with
// the next one it is everywhere.
func TestRequests_OfAThresholdMakeABan(t *testing.T) {
	b := newBench(t, frozen("spec")) // the chain stands still: 3 of 5 must ask
	members := []int{0, 2, 3, 4, 5, 6}
	b.start(members...)
	target, askers := b.Members[6].ProTxHash, []int{2, 3, 4}
	for _, i := range askers[:2] {
		if v := b.Node(i).RequestBan(b.ctx, target, false); !v.OK() {
			t.Fatalf("%s answers its operator %s", b.Members[i].Name, v.Reason)
		}
	}
	if v := b.Node(0).RequestBan(b.ctx, target, false); v.OK() {
		t.Errorf("a regular node asks for a ban")
	}
	b.await("a share to reach another member", func() bool { return b.sum("proctor_sig_shares_total", "outcome", "accept") > 0 })
	if b.flag(0, target) || b.sum("proctor_signatures_recovered_total") > 0 {
		t.Fatal("two members of five have banned a third")
	}
	if v := b.Node(askers[2]).RequestBan(b.ctx, target, false); !v.OK() {
		t.Fatalf("answers its operator %s", v.Reason)
	}
	b.await("the flag everywhere", func() bool { return b.FlagOn(target, true) })
	b.nobodyBlamed()
}

// sum adds up a metric of all nodes that run.
func (b *bench) sum(name string, labels ...string) (sum float64) {
	for _, i := range b.Running() {
		sum += b.Value(i, name, labels...)
	}
	return sum
}
