package testnet

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation"
)

var errDisk = errors.New("injected fault")

// faulty fails the first commit that sets a flag, before or after it is on
// disk: what a process sees that dies on either side of the write.
type faulty struct {
	disk    store.Committing
	armed   *atomic.Bool
	written bool
}

func (f faulty) Commit(writes []engine.Write) error {
	flag := slices.ContainsFunc(writes, func(w engine.Write) bool { return w.Kind == engine.KindFlag })
	if !flag || !f.armed.CompareAndSwap(true, false) {
		return f.disk.Commit(writes)
	}
	if f.written {
		if err := f.disk.Commit(writes); err != nil {
			return err
		}
	}
	return errDisk
}

// Between a ban's receipt and its forwarding a node may die at any point.
// Afterwards the flag is there, or the ban can come again and be judged.
func TestCrash_NoThirdOutcome(t *testing.T) {
	for _, c := range []struct {
		name    string
		written bool // the fatal commit reaches the disk
	}{
		{"the commit fails", false},
		{"the commit fails but was written", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, frozen("spec"))
			var armed atomic.Bool
			armed.Store(true)
			b.faults = func(member int, disk store.Committing) store.Committing {
				if member != 0 {
					return disk
				}
				return faulty{disk, &armed, c.written}
			}
			b.start(0, 1)
			m := b.ban(b.evo(1), b.Node(0).Snapshot().TipHeight())
			b.stranger(0).Say(engine.TopicPlatformBan, m.Bytes())

			dead := b.nodes[0]
			err := <-dead.done
			dead.done <- nil // for end
			if !errors.Is(err, errDisk) {
				t.Fatalf("the node ended with %v, want the fault", err)
			}
			if err := dead.end(); err != nil {
				t.Fatal(err)
			}
			b.nodes[0] = nil
			if b.Value(1, "proctor_gossip_judged_total", "topic", "platformban", "outcome", "accept") != 0 {
				t.Fatal("the ban was forwarded before it was on disk")
			}

			b.start(0)
			if got := b.flag(0, m.ProTxHash); got != c.written {
				t.Fatalf("flag after the restart %t, want %t", got, c.written)
			}
			if !c.written {
				b.await("the mesh", func() bool { return b.Node(0).Gossip().MeshPeers(engine.TopicPlatformBan) > 0 })
				b.judges(m.Bytes(), validation.Valid)
				b.await("the flag on both", func() bool { return b.FlagOn(m.ProTxHash, true) })
			}
		})
	}
}

// What a node knew it knows after it was killed: flags, accepted bans, peers
// it refuses, the tip.
func TestKill_EverythingCommittedComesBack(t *testing.T) {
	b := newBench(t, frozen("spec"))
	b.start(0)
	tip := b.Node(0).Snapshot().TipHeight()
	good := b.ban(b.evo(1), tip)
	b.judges(good.Bytes(), validation.Valid)
	forged := b.ban(b.evo(2), tip)
	forged.Signature = good.Signature
	liar := b.judges(forged.Bytes(), validation.Signature)
	root := b.Node(0).Snapshot().State.Root()

	for range 3 {
		if err := b.Kill(0); err != nil {
			t.Fatal(err)
		}
		b.start(0)
		view := b.Node(0).Snapshot()
		if !view.Flag(good.ProTxHash).Set() || view.Flag(forged.ProTxHash).Set() {
			t.Fatal("flags differ after the kill")
		}
		if _, ok := view.AcceptedBan(good.InventoryHash()); !ok {
			t.Fatal("the accepted ban is forgotten")
		}
		if !b.Node(0).Gossip().Banned(liar.ID()) {
			t.Fatal("the banned peer is forgotten")
		}
		if view.TipHeight() != tip || view.State.Root() != root {
			t.Fatalf("tip %d root %s, want %d %s", view.TipHeight(), view.State.Root(), tip, root)
		}
	}
	if len(liar.service.Peers()) != 0 {
		t.Error("the banned peer is connected again")
	}
}

// A node without any blocks fetches them all, in several ranges, and then
// follows the chain.
func TestSync_FromNothing(t *testing.T) {
	b := newBench(t, moving("core"))
	if err := os.RemoveAll(b.dataDir(5)); err != nil {
		t.Fatal(err)
	}
	b.start(0, 1, 5)
	b.await("the new node to catch up", func() bool {
		mine, theirs := b.Node(5).Snapshot(), b.Node(0).Snapshot()
		return mine.Tip.Hash == theirs.Tip.Hash && mine.Synced() && theirs.TipHeight() > 621
	})
	if mine, theirs := b.Node(5).Snapshot().State.Root(), b.Node(0).Snapshot().State.Root(); mine != theirs {
		t.Errorf("state roots differ: %s and %s", mine, theirs)
	}
}

// A block's events change every node's state in the same way, in both
// profiles: only a revival clears the flag in one, any update in the other.
func TestUpdateService_ClearsTheFlagAsTheProfileSays(t *testing.T) {
	for _, c := range []struct {
		profile     string
		unannounced int // evonodes registered without an address, PoSe-banned
		cleared     bool
	}{
		{"spec", 1, true},
		{"spec", 0, false},
		{"core", 1, true},
		{"core", 0, true},
	} {
		o := moving(c.profile)
		o.Unannounced = c.unannounced
		b := newBench(t, o)
		b.start(0, 1)
		b.await("both to be synced", func() bool { return b.Node(0).Snapshot().Synced() && b.Node(1).Snapshot().Synced() })
		target := b.Members[6]
		v := b.Node(1).SubmitBan(b.ctx, b.ban(target.ProTxHash, b.Node(1).Snapshot().TipHeight()-2).Bytes())
		if !v.OK() {
			t.Fatalf("ban judged %s", v.Reason)
		}
		b.await("the flag", func() bool { return b.FlagOn(target.ProTxHash, true) })
		if v := b.Node(0).SubmitEvent(b.ctx, b.Announce(target, 0)); !v.OK() {
			t.Fatalf("event judged %s", v.Reason)
		}
		b.await("the block with the event", func() bool {
			for _, i := range b.Running() {
				if n, _ := b.Node(i).Snapshot().State.Node(target.ProTxHash); n.Sequence != 1 {
					return false
				}
			}
			return true
		})
		if !b.FlagOn(target.ProTxHash, !c.cleared) {
			t.Errorf("%s, %d unannounced: cleared must be %t", c.profile, c.unannounced, c.cleared)
		}
	}
}

func TestCluster_PortInUse(t *testing.T) {
	b := newBench(t, frozen("spec"))
	b.start(0)
	b.Members[1].Port = b.Members[0].Port
	err := b.Start(1)
	if err == nil || !strings.Contains(err.Error(), "listen on") {
		t.Errorf("error %v, want one that names the addresses", err)
	}
}
