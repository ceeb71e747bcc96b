package engine

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// story is what happens to one node while the network goes on: block by
// block, with bans that reach it late, twice, from anybody and in any order.
type story struct {
	blocks     []wire.Block // all of the network's
	side       []wire.Block // a block of a second branch by height; zero if there is none
	cut, again uint64       // slots between which the node hears no block
	claims     bool         // peers tell it of their tips meanwhile; or it may think that it knows them
	slow       map[uint64]bool
	revived    int32 // height at which cleo's flag was cleared; 0 if never
	bans       []Ban
	deliveries map[uint64][]delivery
}

type delivery struct {
	from Peer
	ban  wire.PlatformBan
}

var honest = []Peer{"h1", "h2", "h3", "h4", "h5"}

// drawChain draws the network's blocks: a slot may be empty, a block may have
// a sibling, and one block may revive cleo.
func (s *story) drawChain(t *rapid.T, n *network) {
	a := n.author()
	length := rapid.IntRange(12, 30).Draw(t, "blocks")
	revival := rapid.IntRange(0, length).Draw(t, "revival")
	for i := range length {
		slot := a.tip.Slot + 1
		if rapid.IntRange(0, 9).Draw(t, "empty slot") == 0 {
			slot += rapid.Uint64Range(1, 4).Draw(t, "empty slots")
		}
		var sibling wire.Block
		if rapid.IntRange(0, 9).Draw(t, "second branch") == 0 {
			sibling = a.draft(slot + 1)
		}
		s.side = append(s.side, sibling)
		if i+1 == revival {
			s.blocks = append(s.blocks, a.next(slot, n.update(cleo, 1, "/ip4/1.2.3.4/tcp/1")))
			s.revived = a.tip.Height
		} else {
			s.blocks = append(s.blocks, a.next(slot))
		}
	}
	end := a.tip.Slot
	s.cut = rapid.Uint64Range(1, end).Draw(t, "cut off")
	s.again = s.cut + rapid.Uint64Range(0, 25).Draw(t, "for")
	s.claims = rapid.IntRange(0, 2).Draw(t, "claims") == 0
	s.slow = make(map[uint64]bool)
	for slot := range end {
		s.slow[slot] = rapid.IntRange(0, 5).Draw(t, "slow") == 0
	}
}

// drawBans draws bans, each signed two blocks below the network's tip, and who
// brings them when. A forger brings twins of them.
func (s *story) drawBans(t *rapid.T, n *network) {
	s.deliveries = make(map[uint64][]delivery)
	end := s.blocks[len(s.blocks)-1].Header.Slot
	heights := rapid.Int32Range(0, int32(len(s.blocks))-2)
	for range rapid.IntRange(1, 8).Draw(t, "bans") {
		in := n.unsignedBan("", rapid.SampledFrom([]int{alice, bob, cleo}).Draw(t, "node"), heights.Draw(t, "height"))
		s.bans = append(s.bans, in)
		first := s.blocks[in.Message.SignedHeight+1].Header.Slot // of the block two above it
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			slot := rapid.Uint64Range(first, end+2).Draw(t, "slot")
			s.deliveries[slot] = append(s.deliveries[slot], delivery{rapid.SampledFrom(honest).Draw(t, "peer"), in.Message})
			if rapid.IntRange(0, 3).Draw(t, "forged") == 0 {
				twin := in.Message
				twin.Signature[95] ^= 1
				s.deliveries[slot] = append(s.deliveries[slot], delivery{"forger", twin})
			}
		}
	}
	for slot := range end + 3 {
		if d := s.deliveries[slot]; len(d) > 1 {
			s.deliveries[slot] = rapid.Permutation(d).Draw(t, "order")
		}
	}
}

// tell plays the story to a node.
func (s *story) tell(p *player) {
	next := 0
	end := s.blocks[len(s.blocks)-1].Header.Slot
	for slot := uint64(1); slot <= end+2; slot++ {
		p.tell(Tick{p.genesis.SlotStart(slot)})
		for next < len(s.blocks) && s.blocks[next].Header.Slot <= slot && (slot < s.cut || slot >= s.again) && !s.slow[slot] {
			p.tell(Block{"h1", s.blocks[next]})
			next++
		}
		for h := range next {
			if b := s.side[h]; b.Header.Slot == slot {
				p.tell(Block{"h2", b})
			}
		}
		if s.claims && slot%5 == 0 && slot >= s.cut && next < len(s.blocks) {
			p.tell(PeerTip{Peer: "h3", Height: s.blocks[next].Header.Height})
		}
		for _, d := range s.deliveries[slot] {
			p.deliver(d.from, d.ban)
		}
		p.tell(Tick{p.genesis.SlotStart(slot).Add(p.genesis.Slot() / 2)})
	}
	for ; next < len(s.blocks); next++ {
		p.tell(Block{"h1", s.blocks[next]})
	}
}

// drawStory draws a story and the profile of its network.
func drawStory(t *rapid.T) told {
	n := testNetwork(rapid.SampledFrom([]string{"spec", "core"}).Draw(t, "profile"))
	var s story
	s.drawChain(t, n)
	s.drawBans(t, n)
	return told{n, &s}
}

type told struct {
	*network
	*story
}

// play tells the story to the end and returns who heard it.
func (s told) play(t *testing.T) *player {
	p := newRig(t, s.network, -1).player(s.bans...)
	for _, h := range honest {
		p.tell(PeerTip{Peer: h})
	}
	s.tell(p)
	// The network goes on, so what waits is judged.
	a := s.author()
	for _, b := range s.blocks {
		a.next(b.Header.Slot, b.Events...)
	}
	for range 8 {
		b := a.next(a.tip.Slot + 3)
		p.tell(Tick{s.genesis.SlotStart(b.Header.Slot)})
		p.tell(Block{"h4", b})
		p.tell(Tick{s.genesis.SlotStart(b.Header.Slot + 1)})
		p.tell(Tick{s.genesis.SlotStart(b.Header.Slot + 2)})
	}
	return p
}

// The same good bans, whatever their order and whoever brings them, while the
// node is cut off, a block behind, sees a second branch or has it all twice:
// it ends with the flags that the bans alone determine, has accepted each that
// is not older than its flag, and has charged nobody but the forger.
func TestEngine_ConvergesAndBlamesNoHonestPeer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawStory(rt)
		if err := s.check(s.play(t)); err != nil {
			rt.Fatal(err)
		}
	})
}

// The stories tell enough: in some, always the same, bans meet every verdict.
func TestEngine_StoriesMeetEveryVerdict(t *testing.T) {
	seen := make(map[validation.Reason]int)
	stories := rapid.Custom(drawStory)
	for seed := range 40 {
		s := stories.Example(seed)
		p := s.play(t)
		if err := s.check(p); err != nil {
			t.Fatalf("story %d: %v", seed, err)
		}
		for r, n := range p.judged {
			seen[r] += n
		}
	}
	for _, r := range []validation.Reason{validation.Valid, validation.Duplicate, validation.Stale, validation.NotSynced,
		validation.Unsure, validation.Ahead, validation.Signature, validation.ForgedTwin} {
		if seen[r] == 0 {
			t.Errorf("no ban was judged %s: the stories tell too little (%v)", r, seen)
		}
	}
}

func (s *story) check(p *player) error {
	view := p.Snapshot()
	if view.Deferred != 0 || p.total.Lost != 0 {
		return fmt.Errorf("%d bans wait, %d were lost; doubtful %q", view.Deferred, p.total.Lost, view.Doubtful)
	}
	for _, c := range p.total.Charges {
		if c.Peer != "forger" {
			return fmt.Errorf("honest peer charged: %+v", c)
		}
	}
	for _, b := range p.total.Bans {
		if b.Peer != "forger" {
			return fmt.Errorf("honest peer banned: %+v", b)
		}
	}
	newest := make(map[wire.Hash]int32)
	cleared := map[wire.Hash]int32{proTx(cleo): s.revived}
	for _, in := range s.bans {
		m := in.Message
		newest[m.ProTxHash] = max(newest[m.ProTxHash], m.SignedHeight)
	}
	for _, in := range s.bans {
		m := in.Message
		if want := newest[m.ProTxHash] >= cleared[m.ProTxHash]; view.Flag(m.ProTxHash).Set() != want {
			return fmt.Errorf("flag of %s is set: %t, newest ban at %d, cleared at %d", m.ProTxHash, !want, newest[m.ProTxHash], cleared[m.ProTxHash])
		}
		got, ok := view.AcceptedBan(m.InventoryHash())
		late := m.SignedHeight < max(newest[m.ProTxHash], cleared[m.ProTxHash]) // may have come behind what made it stale
		why, refused := view.Refused(m.ID())
		switch {
		case ok && got != m:
			return fmt.Errorf("a forged twin of the ban of %s at %d was accepted", m.ProTxHash, m.SignedHeight)
		// What was stale by blocks that were undone is judged anew when it comes again.
		case !ok && !(late && (refused && why == validation.Stale || p.total.Undone > 0)):
			return fmt.Errorf("the ban of %s at %d was not accepted; newest %d, refused as %q", m.ProTxHash, m.SignedHeight, newest[m.ProTxHash], why)
		case ok && refused:
			return fmt.Errorf("the ban of %s at %d is accepted and refused as %q", m.ProTxHash, m.SignedHeight, why)
		}
	}
	for hash, m := range view.Accepted.All() {
		if !slices.ContainsFunc(s.bans, func(in Ban) bool { return in.Message == m }) {
			return fmt.Errorf("accepted %s, which nobody signed", hash)
		}
	}
	return nil
}
