package engine

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// published returns the block that out publishes, if any.
func published(t testing.TB, out *Effects) (wire.Block, bool) {
	t.Helper()
	var blocks []wire.Block
	for _, raw := range sent(out, TopicBlock) {
		b, err := wire.ParseBlock(raw)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	switch len(blocks) {
	case 0:
		return wire.Block{}, false
	case 1:
		return blocks[0], true
	default:
		t.Fatalf("published %d blocks, want one", len(blocks))
		panic("unreachable")
	}
}

// sent returns what out publishes on a topic.
func sent(out *Effects, topic Topic) (messages [][]byte) {
	for _, p := range out.Publications {
		if p.Topic == topic {
			messages = append(messages, p.Bytes)
		}
	}
	return messages
}

func TestEngine_ProducesInItsOwnSlotsOnly(t *testing.T) {
	r := newRig(t, testNetwork("spec"), bob)
	other := observer(t, "spec")
	var slots []uint64
	for slot := uint64(1); slot <= 14; slot++ {
		for range 3 { // several ticks in a slot make one block
			b, ok := published(t, r.at(slot))
			if !ok {
				continue
			}
			slots = append(slots, slot)
			other.connect(b)
			if r.Snapshot().Tip != other.Snapshot().Tip {
				t.Errorf("slot %d: tip %+v, the other node's %+v", slot, r.Snapshot().Tip, other.Snapshot().Tip)
			}
		}
	}
	// Slot 5 is not synced any more and within the warm-up.
	if want := []uint64{1, 9, 13}; !slices.Equal(slots, want) {
		t.Errorf("blocks in slots %v, want %v", slots, want)
	}
}

func TestEngine_ObserverProducesNothing(t *testing.T) {
	r := observer(t, "spec")
	for slot := range uint64(12) {
		if _, ok := published(t, r.at(slot)); ok {
			t.Errorf("slot %d: a block by nobody", slot)
		}
	}
}

// An author that starts late must not fork off the others' branch because
// nobody has told it of one yet.
func TestEngine_ProductionWaitsForTheWarmUp(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	for slot := uint64(100); slot < 105; slot++ {
		if _, ok := published(t, r.at(slot)); ok {
			t.Errorf("slot %d: a block %d slots after the start", slot, slot-100)
		}
	}
	if _, ok := published(t, r.at(108)); !ok {
		t.Error("no block after the warm-up")
	}
}

func TestEngine_SyncedAuthorNeedsNoWarmUp(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	r.at(99)
	for _, p := range []Peer{"x", "y", "z"} {
		r.feed(PeerTip{Peer: p})
	}
	if _, ok := published(t, r.at(100)); !ok {
		t.Error("no block although three peers know no higher tip")
	}
}

func TestEngine_NoBlockBelowAHigherClaim(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	r.at(1)
	r.feed(PeerTip{Peer: "ahead", Height: 1})
	for slot := uint64(2); slot <= 15; slot++ {
		if _, ok := published(t, r.at(slot)); ok {
			t.Errorf("slot %d: a block while a peer claims a higher one", slot)
		}
	}
	r.feed(PeerGone{Peer: "ahead"})
	if _, ok := published(t, r.at(16)); !ok {
		t.Error("no block after the peer that claimed a higher one has left")
	}
}

func TestEngine_RefusedBlocks(t *testing.T) {
	const tip = 5
	n := testNetwork("spec")
	const address = "/ip4/1.2.3.4/tcp/1"
	for _, c := range []struct {
		name   string
		want   validation.Reason
		change func(*author) wire.Block
	}{
		{"signed by nobody", validation.BlockAuthor, func(a *author) wire.Block {
			b := a.draft(tip + 1)
			b.Header.Signature[3] ^= 1
			return b
		}},
		{"signed by another authority", validation.BlockAuthor, func(a *author) wire.Block {
			b := a.draft(tip + 1)
			b.Header.Signature = wire.ServiceSignature(ed25519.Sign(n.service[(tip+2)%nodes], b.Header.SignedBytes()))
			return b
		}},
		{"height too great", validation.BlockLink, func(a *author) wire.Block {
			b := a.draft(tip + 1)
			b.Header.Height++
			return n.sign(b)
		}},
		{"in its parent's slot", validation.BlockLink, func(a *author) wire.Block { return a.draft(tip) }},
		{"other state root", validation.BlockContent, func(a *author) wire.Block {
			b := a.draft(tip + 1)
			b.Header.StateRoot[0] ^= 1
			return n.sign(b)
		}},
		{"event with another node's signature", validation.BlockContent, func(a *author) wire.Block {
			return a.draft(tip+1, n.signEvent(bob, n.update(alice, 1, address)))
		}},
		{"event with a malformed signature", validation.BlockContent, func(a *author) wire.Block {
			e := n.update(alice, 1, address)
			e.Signature = wire.Signature{}
			return a.draft(tip+1, e)
		}},
		{"event of a node nobody registered", validation.BlockContent, func(a *author) wire.Block {
			e := n.update(alice, 1, address)
			e.ProTxHash = proTx(nodes)
			return a.draft(tip+1, n.signEvent(alice, e))
		}},
		{"event for another network", validation.BlockContent, func(a *author) wire.Block {
			e := n.update(alice, 1, address)
			e.Network[0] ^= 1
			return a.draft(tip+1, n.signEvent(alice, e))
		}},
		{"event that skips a sequence number", validation.BlockContent, func(a *author) wire.Block {
			return a.draft(tip+1, n.update(alice, 2, address))
		}},
		{"good event, then one that repeats it", validation.BlockContent, func(a *author) wire.Block {
			return a.draft(tip+1, n.update(alice, 1, address), n.update(alice, 1, address))
		}},
		{"two slots early", validation.BlockEarly, func(a *author) wire.Block { return a.draft(tip + 3) }},
		{"known", validation.Duplicate, func(a *author) wire.Block {
			b := n.author()
			return b.blocks(1)[0]
		}},
		{"second branch, properly signed: it may win", validation.Valid, func(a *author) wire.Block {
			b := n.author()
			b.blocks(tip - 2)
			return b.draft(tip + 1)
		}},
		{"second branch below what is final", validation.BlockDeep, func(a *author) wire.Block {
			b := n.author()
			b.blocks(2)
			return b.draft(tip + 1)
		}},
		{"parent unknown", validation.BlockOrphan, func(a *author) wire.Block {
			a.blocks(1)
			return a.draft(tip + 2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, n, -1)
			a := n.author()
			r.connect(a.blocks(tip)...)
			r.at(tip + 1)
			b := c.change(a)
			before := r.Snapshot()
			out := r.want(Block{From: "peer", Block: b}, c.want)

			after := r.Snapshot()
			if after.Tip != before.Tip || after.State.Root() != before.State.Root() || after.Flags.Len() != 0 {
				t.Errorf("state changed: tip %+v, was %+v", after.Tip, before.Tip)
			}
			puts, deletes := kinds(out)
			want := map[Kind]int{}
			switch p := c.want.Verdict().Points; {
			case p == 100:
				want[KindPeerBan] = 1
			case p > 0:
				want[KindAccount] = 1
			}
			if c.want == validation.BlockContent { // its author has signed what is below it all the same: that is final now
				want[KindMeta] = 1
			}
			wantKinds(t, "put", puts, want)
			wantKinds(t, "deleted", deletes, map[Kind]int{})
			for _, ban := range out.Bans {
				if ban.Cause().Evidence != b.Header.Hash() || ban.Cause().Reason != c.want {
					t.Errorf("ban %+v, want evidence %s", ban, b.Header.Hash())
				}
			}
			fetches := []Fetch(nil)
			switch c.want {
			case validation.BlockOrphan:
				fetches = []Fetch{{"peer", wire.BlockRange{From: tip + 1, Count: 2}}}
			case validation.BlockEarly: // our clock may be slow: then this is the sign that we fall behind
				fetches = []Fetch{{"peer", wire.BlockRange{From: tip + 1, Count: 1}}}
			}
			if !slices.Equal(out.Fetches, fetches) {
				t.Errorf("fetches %v, want %v", out.Fetches, fetches)
			}
			// The branch goes on from where it was.
			next := n.author()
			next.blocks(tip)
			r.at(tip + 8)
			r.want(Block{From: "other", Block: next.next(tip + 2)}, validation.Valid)
		})
	}
}

func TestEngine_ConnectsAndStoresABlock(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	b := a.next(2, r.update(alice, 1, "/ip4/1.2.3.4/tcp/1"), r.update(cleo, 1, "/ip4/1.2.3.5/tcp/1"))
	r.at(2)
	out := r.want(Block{From: "peer", Block: b}, validation.Valid)
	puts, _ := kinds(out)
	wantKinds(t, "put", puts, map[Kind]int{KindBlock: 1, KindUndo: 1, KindNode: 2, KindFlag: 1, KindMeta: 1})
	if got := r.Snapshot(); got.Tip != a.tip || got.State.Root() != a.state.Root() {
		t.Errorf("tip %+v, root %s; want %+v, %s", got.Tip, got.State.Root(), a.tip, a.state.Root())
	}
	if len(out.Publications) > 0 {
		t.Error("a peer's block is forwarded by the gossip layer, not published")
	}
}

func TestEngine_PutsEventsIntoItsBlocks(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	r.at(1)
	r.want(r.event("", r.update(bob, 1, "/ip4/1.2.3.4/tcp/1")), validation.Valid)
	second := r.update(bob, 1, "/ip4/1.2.3.4/tcp/2") // changed their mind: the last word counts
	r.want(r.event("", second), validation.Valid)
	r.want(r.event("", r.update(cleo, 1, "/ip4/1.2.3.4/tcp/3")), validation.Valid)

	r.at(7)
	b, ok := published(t, r.at(8))
	if !ok {
		t.Fatal("no block")
	}
	if len(b.Events) != 2 || eventID(b.Events[0]) != eventID(second) || b.Events[1].Record() != proTx(cleo) {
		t.Errorf("events %+v, want bob's second and cleo's", b.Events)
	}
	if n := len(r.pool.order); n != 0 {
		t.Errorf("%d events wait, want none: what is not in the block is stale", n)
	}
	if b, _ := published(t, r.at(12)); len(b.Events) != 0 {
		t.Errorf("events %+v stand in a second block", b.Events)
	}
}

func TestEngine_RefusedEvents(t *testing.T) {
	r := observer(t, "spec")
	good := r.update(bob, 1, "/ip4/1.2.3.4/tcp/1")
	otherNetwork := good
	otherNetwork.Network[0] ^= 1
	stranger := good
	stranger.ProTxHash = proTx(nodes)
	r.at(1)
	for name, c := range map[string]struct {
		event wire.UpdateService
		want  validation.Reason
	}{
		"another network":     {r.signEvent(bob, otherNetwork), validation.EventNetwork},
		"unknown node":        {r.signEvent(bob, stranger), validation.EventRefused},
		"old sequence number": {r.update(bob, 0, "/ip4/1.2.3.4/tcp/1"), validation.EventSequence},
		"skips a number":      {r.update(bob, 2, "/ip4/1.2.3.4/tcp/1"), validation.EventSequence},
	} {
		if v, out := r.feed(r.event("", c.event)); v != c.want.Verdict() || len(out.Writes) > 0 {
			t.Errorf("%s: verdict %+v, writes %v; want %s", name, v, out.Writes, c.want)
		}
	}
	// Signatures are checked before the engine, under a key that it compares.
	other := r.event("", good)
	other.Key = wire.OperatorKey(r.operator[alice].PublicKey().Bytes())
	r.want(other, validation.Internal)
	if len(r.pool.order) > 0 {
		t.Errorf("pool holds %v", r.pool.order)
	}
}

func TestEngine_EventPoolIsBoundedAndLosesWhatIsStale(t *testing.T) {
	r := observer(t, "spec")
	r.at(1)
	r.want(r.event("", r.update(bob, 1, "/ip4/1.2.3.4/tcp/1")), validation.Valid)
	for i := len(r.pool.order); i < maxPool; i++ { // as many other nodes' as may wait
		r.pool.add(wire.UpdateService{ProTxHash: wire.Hash{byte(i + 1), byte(i >> 8), 1}}, false)
	}
	r.want(r.event("", r.update(alice, 1, "/ip4/1.2.3.4/tcp/1")), validation.PoolFull)
	r.want(r.event("", r.update(bob, 1, "/ip4/1.2.3.4/tcp/2")), validation.Valid) // takes no room
	if len(r.pool.order) != maxPool {
		t.Errorf("%d events wait, want %d", len(r.pool.order), maxPool)
	}
	// Somebody else's block holds an event of bob's.
	a := r.author()
	r.connect(a.next(1, r.update(bob, 1, "/ip4/9.9.9.9/tcp/9")))
	if len(r.pool.order) != 0 {
		t.Errorf("%d events wait, want none", len(r.pool.order))
	}
	r.want(r.event("", r.update(alice, 1, "/ip4/1.2.3.4/tcp/1")), validation.Valid)
	r.connect(a.blocks(1)...)
	if len(r.pool.order) != 1 {
		t.Errorf("%d events wait, want alice's, which is good still", len(r.pool.order))
	}
}

func TestEngine_LargestUpdatesFitABlock(t *testing.T) {
	var events []wire.Event
	for range wire.MaxBlockEvents {
		e := wire.UpdateService{Addresses: make([]string, wire.MaxAddresses)}
		for i := range e.Addresses {
			e.Addresses[i] = fmt.Sprintf("%0*d", wire.MaxAddressLength, i)
		}
		events = append(events, e)
	}
	if n := len(wire.Block{Content: wire.Content{Events: events}}.Bytes()); n > wire.MaxBlockSize {
		t.Errorf("a block of the largest updates has %d bytes, at most %d are allowed", n, wire.MaxBlockSize)
	}
}
