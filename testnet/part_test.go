package testnet

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// A network that was parted finds together by itself within 10 slots, and
// both halves learn what the other has accepted meanwhile: the same flags
// everywhere, and nobody charged. The half without the author is behind when
// it comes back.
func TestPart_HealsByItself(t *testing.T) {
	o := moving("spec")
	o.Slot = time.Second
	o.Nodes = 8
	b := newBench(t, o)
	b.start(0, 1, 2, 3, 4, 5, 6, 7)
	b.Part(4)
	b.await("the parts to lose each other", func() bool { return !b.acrossThePart() })

	ours, theirs := b.Node(0).Snapshot().TipHeight(), b.Node(7).Snapshot().TipHeight()
	b.submit(0, b.ban(b.evo(1), ours-2))
	b.submit(7, b.ban(b.evo(2), theirs-2))
	b.await("each part to know its own", func() bool {
		return b.flag(3, b.evo(1)) && b.flag(4, b.evo(2)) && !b.flag(4, b.evo(1)) && !b.flag(3, b.evo(2))
	})
	b.await("the other part to fall behind", func() bool { return b.Node(0).Snapshot().TipHeight() > b.Node(7).Snapshot().TipHeight()+2 })

	healed := time.Now()
	b.Heal()
	b.await("the flags of both parts everywhere", func() bool {
		return b.FlagOn(b.evo(1), true) && b.FlagOn(b.evo(2), true)
	})
	b.await("one chain", func() bool { return b.Node(7).Snapshot().TipHeight() >= b.Node(0).Snapshot().TipHeight() })
	if took := time.Since(healed); took > 10*o.Slot {
		t.Errorf("it took %v, at most 10 slots of %v were wanted", took, o.Slot)
	}
	b.nobodyBlamed()
}

func (b *bench) acrossThePart() bool {
	for _, i := range b.Running() {
		for _, p := range b.Node(i).Gossip().Peers() {
			if b.parting.cuts(b.Members[i].AddrInfo().ID, p) {
				return true
			}
		}
	}
	return false
}

// submit hands a good ban to a member's node, again while that cannot judge: a
// busy machine holds nodes up.
func (b *bench) submit(member int, m wire.PlatformBan) {
	b.t.Helper()
	b.await(b.Members[member].Name+" to judge a ban", func() bool {
		v := b.Node(member).SubmitBan(b.ctx, m.Bytes())
		if !v.OK() && v.Reason != validation.Duplicate && v.Reason.Nature() != validation.OfUs {
			b.t.Fatalf("%s judges a good ban %s", b.Members[member].Name, v.Reason)
		}
		return v.Reason.Nature() != validation.OfUs
	})
}

// nobodyBlamed checks that no running node has given a point.
func (b *bench) nobodyBlamed() {
	b.t.Helper()
	for _, i := range b.Running() {
		for _, name := range []string{"proctor_peer_points_total", "proctor_peer_bans_total"} {
			if got := b.Value(i, name); got != 0 {
				b.t.Errorf("%s: %s is %v, want 0", b.Members[i].Name, name, got)
			}
		}
		if s := b.Node(i).Snapshot(); s.Accounts.Len()+s.PeerBans.Len() > 0 {
			b.t.Errorf("%s has %d accounts and %d bans of peers", b.Members[i].Name, s.Accounts.Len(), s.PeerBans.Len())
			for _, a := range s.Accounts.All() {
				b.t.Errorf("%x: %+v", a.Peer, a.Entries)
			}
		}
	}
}

// A node that comes late, by any number of blocks, into the middle of honest
// traffic blames nobody and ends with everybody's flags.
func TestLateNode_BlamesNobody(t *testing.T) {
	for _, c := range []struct {
		name    string
		missing int // of 619 blocks
	}{{"one block behind", 1}, {"600 blocks behind", 600}, {"with nothing", 619}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, moving("spec"))
			b.forget(6, c.missing)
			b.start(0, 1, 2, 3, 4, 5)
			joined := make(chan error, 1)
			go func() { joined <- b.Start(6) }()
			ahead := b.stranger(1, 2, 3) // an honest peer that knows the next block already
			var bans []wire.PlatformBan
			for i := range 40 {
				evo, tip := i%5, b.Node(0).Snapshot().TipHeight()
				if evo == 0 {
					m := b.ban(b.evo(1), tip+1)
					ahead.Say(engine.TopicPlatformBan, m.Bytes())
					bans = append(bans, m)
				} else {
					m, at := b.ban(b.evo(evo+1), tip-2), i%6
					if b.Node(at).Snapshot().TipHeight() < m.SignedHeight {
						at = 0 // a busy machine can hold a node up
					}
					b.submit(at, m)
					bans = append(bans, m)
				}
				b.pause()
			}
			if err := <-joined; err != nil {
				t.Fatal(err)
			}
			last := make(map[wire.Hash]wire.PlatformBan)
			for _, m := range bans {
				last[m.ProTxHash] = m
			}
			b.await("the last ban of each evonode on every node", func() bool {
				for _, m := range last {
					for i := range b.Members {
						if !b.accepted(i, m) {
							return false
						}
					}
				}
				return b.Node(6).Snapshot().Confident()
			})
			for i := range 5 {
				if !b.FlagOn(b.evo(i+1), true) {
					t.Errorf("the flag of evonode %d is not set everywhere", i+1)
				}
			}
			b.nobodyBlamed()
		})
	}
}

// forget takes the last blocks from a member that has not started: its
// database is that of a node that has followed the others only.
func (b *bench) forget(member, blocks int) {
	b.t.Helper()
	all := b.blocks(member)
	if err := os.RemoveAll(b.dataDir(member)); err != nil {
		b.t.Fatal(err)
	}
	e, out, err := engine.New(engine.Config{Genesis: b.Genesis})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, block := range all[:len(all)-blocks] {
		e.Step(engine.Tick{Now: b.Genesis.SlotStart(block.Header.Slot)}, 0, out)
		e.Step(engine.Block{Block: block}, 1, out)
	}
	for _, r := range out.Replies {
		if !r.Verdict.OK() {
			b.t.Fatalf("a block of the history is judged %s", r.Verdict.Reason)
		}
	}
	db, err := store.Open(b.dataDir(member))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, writes := range out.Commits(1 << 20) {
		err = errors.Join(err, db.Commit(writes))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		b.t.Fatal(err)
	}
}

// blocks reads the blocks in the database of a member that has not started.
func (b *bench) blocks(member int) (blocks []wire.Block) {
	b.t.Helper()
	db, err := store.Open(b.dataDir(member))
	if err != nil {
		b.t.Fatal(err)
	}
	err = db.Walk(engine.KindBlock, nil, func(_, value []byte) error {
		block, err := wire.ParseBlock(value)
		blocks = append(blocks, block)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		b.t.Fatal(err)
	}
	return blocks
}

// pause waits for a quarter of a slot of the network's own time.
func (b *bench) pause() {
	b.t.Helper()
	began := time.Now()
	b.await("a while", func() bool { return time.Since(began) > b.Genesis.Slot()/4 })
}

// What an operator hands in one block early waits like a peer's, and is
// accepted when the block comes.
func TestSubmit_AheadOfTheTipWaits(t *testing.T) {
	o := moving("spec")
	o.Slot = time.Second
	b := newBench(t, o)
	b.start(0, 1)
	b.await("a new block", func() bool { return b.Node(1).Snapshot().TipHeight() > 619 })
	m := b.ban(b.evo(1), b.Node(1).Snapshot().TipHeight()+1)
	if v := b.Node(1).SubmitBan(b.ctx, m.Bytes()); v.Reason != validation.Ahead && !v.OK() { // or the block was faster
		t.Errorf("judged %s, want %s", v.Reason, validation.Ahead)
	}
	b.await("the ban on both", func() bool { return b.accepted(0, m) && b.accepted(1, m) })
}
