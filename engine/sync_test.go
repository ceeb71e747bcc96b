package engine

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func wantFetches(t *testing.T, what string, out *Effects, want ...Fetch) {
	t.Helper()
	if !slices.Equal(out.Fetches, want) {
		t.Errorf("%s: fetches %v, want %v", what, out.Fetches, want)
	}
}

func fetchOf(p Peer, from int32, count uint16) Fetch {
	return Fetch{p, wire.BlockRange{From: from, Count: count}}
}

func TestSync_ClaimsAreBounded(t *testing.T) {
	r := observer(t, "spec")
	for i := range maxClaims + 10 {
		r.feed(PeerTip{Peer: Peer(fmt.Sprint(i)), Height: 0})
	}
	if n := len(r.sync.claims); n != maxClaims {
		t.Errorf("%d claims, want %d", n, maxClaims)
	}
	r.feed(PeerTip{Peer: "0", Height: -5}) // who is known may change its claim
	if got := r.sync.claims["0"].height; got != -5 {
		t.Errorf("claim %d, want -5", got)
	}
	r.feed(PeerGone{Peer: "0"})
	r.feed(PeerTip{Peer: "late", Height: 0})
	if _, ok := r.sync.claims["late"]; !ok {
		t.Error("a claim that has room now is not kept")
	}
	r.feed(PeerTip{Peer: "", Height: 9})
	if _, ok := r.sync.claims[""]; ok {
		t.Error("our own operator is no peer")
	}
}

// A peer that passed a block on while it went away leaves nothing that counts
// or takes a place for good.
func TestSync_WhoWasNeverMetIsNoContact(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	r.at(20)
	a.blocks(5)
	orphan := a.next(6)
	for i := range maxClaims + 10 {
		p := numbered(i)
		r.feed(PeerTip{Peer: p})
		r.feed(PeerGone{p})
		r.want(Block{p, orphan}, validation.BlockOrphan)
	}
	if n := r.sync.contacts(); n != 0 {
		t.Errorf("%d contacts, want none", n)
	}
	if len(r.sync.claims) > maxClaims {
		t.Errorf("%d claims, want at most %d", len(r.sync.claims), maxClaims)
	}
	for i := range maxClaims {
		r.feed(PeerTip{Peer: Peer(fmt.Sprint("met ", i))})
	}
	if n := r.sync.contacts(); n != maxClaims {
		t.Errorf("%d contacts, want %d: who was never met makes room", n, maxClaims)
	}
}

func TestSync_AsksOnePeerAtATime(t *testing.T) {
	r := observer(t, "spec")
	r.at(10)
	_, out := r.feed(PeerTip{Peer: "b", Height: 4})
	wantFetches(t, "first claim", out, fetchOf("b", 1, 4))
	_, out = r.feed(PeerTip{Peer: "a", Height: math.MaxInt32})
	wantFetches(t, "while one is under way", out)
	wantFetches(t, "next slot", r.at(11))
	wantFetches(t, "a moment before the timeout", r.at(24))
	// b did not answer, so its claim is refuted; a claimed more than there can be.
	wantFetches(t, "after the timeout", r.at(25), fetchOf("a", 1, 11))
	if !r.sync.claims["b"].refuted {
		t.Error("b's claim stands after its timeout")
	}
	r.feed(PeerTip{Peer: "c", Height: 3})
	r.feed(PeerGone{Peer: "a"})
	wantFetches(t, "after the asked one has gone", r.at(26), fetchOf("c", 1, 3))
}

func TestSync_AsksTheHighestAndOfEqualsTheLowestPeer(t *testing.T) {
	heights := map[Peer]int32{"d": 3, "b": 9, "c": 9, "a": 1}
	for range 20 { // maps differ in order
		s := newSyncer()
		for p, h := range heights {
			s.claim(p, h, false)
		}
		if p, h := s.highest(""); p != "b" || h != 9 {
			t.Fatalf("highest is %q at %d, want b at 9", p, h)
		}
	}
}

func TestSync_RefutedLiarsDoNotStopProduction(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	r.at(1)
	_, out := r.feed(PeerTip{Peer: "liar", Height: math.MaxInt32})
	wantFetches(t, "claim", out, fetchOf("liar", 1, 2))
	if _, ok := published(t, r.at(4)); ok {
		t.Error("a block while the claim stands")
	}
	_, out = r.feed(Fetched{Peer: "liar"})
	wantFetches(t, "empty answer", out)
	if _, ok := published(t, r.at(8)); !ok {
		t.Error("no block after the claim was refuted")
	}
	// Another one is silent instead.
	r.feed(PeerTip{Peer: "mute", Height: 99})
	if _, ok := published(t, r.at(12)); ok {
		t.Error("a block while the second claim stands")
	}
	r.at(24)
	if _, ok := published(t, r.at(28)); !ok {
		t.Error("no block after the second claim timed out")
	}
}

func TestSync_CatchesUpInSeveralBatches(t *testing.T) {
	const height = wire.MaxRangeBlocks + 40
	r := observer(t, "spec")
	a := r.author()
	all := a.blocks(height)
	r.at(height)
	if r.Snapshot().Synced() {
		t.Error("synced before it began")
	}
	_, out := r.feed(PeerTip{Peer: "p", Height: height})
	wantFetches(t, "claim", out, fetchOf("p", 1, wire.MaxRangeBlocks))

	_, out = r.feed(Fetched{Peer: "p", Blocks: all[:100]}) // it may send fewer
	wantFetches(t, "first answer", out, fetchOf("p", 101, height-100))
	puts, _ := kinds(out)
	wantKinds(t, "first answer", puts, map[Kind]int{KindBlock: 100, KindUndo: 100, KindNode: 100, KindMeta: 100})

	_, out = r.feed(Fetched{Peer: "p", Blocks: all[100:]})
	wantFetches(t, "last answer", out)
	if got := r.Snapshot(); got.Tip != a.tip || !got.Synced() {
		t.Errorf("tip %+v, synced %v; want %+v", got.Tip, got.Synced(), a.tip)
	}
}

// Identities of observers are free: one that comes back after each refutation
// must not hold an author back.
func TestSync_ObserversHoldNobodyBack(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	blocks := 0
	for slot := uint64(1); slot <= 40; slot++ {
		r.feed(PeerGone{Peer: "liar"})
		r.feed(PeerTip{Peer: "liar", Height: math.MaxInt32, Observer: true})
		if _, ok := published(t, r.at(slot)); ok {
			blocks++
		}
		r.feed(Fetched{Peer: "liar"})
	}
	if blocks != 9 { // slots 8 to 40; before, it warms up
		t.Errorf("%d blocks, want 9", blocks)
	}
}

// Nor does anybody hold back an author whose tip is as new as the clock.
func TestSync_ClaimsDoNotStopAnAuthorThatFollowsTheChain(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	a := r.author()
	r.at(99)
	r.want(Block{"p", a.next(99)}, validation.Valid)
	r.feed(PeerTip{Peer: "liar", Height: math.MaxInt32})
	if _, ok := published(t, r.at(100)); !ok {
		t.Error("no block on a tip of the slot before")
	}
}

// Refuted peers were not "asked and none is higher".
func TestSync_RefutedClaimsDoNotMakeSynced(t *testing.T) {
	r := observer(t, "spec")
	r.at(600)
	for _, p := range []Peer{"a", "b", "c"} {
		r.feed(PeerTip{Peer: p, Height: 595})
	}
	for _, p := range []Peer{"a", "b", "c"} {
		r.feed(Fetched{Peer: p})
	}
	if r.Snapshot().Synced() {
		t.Error("synced at height 0, with three peers that claimed 595 and did not deliver")
	}
}

// A block from a peer that is far ahead says nothing against its claim.
func TestSync_BlockDoesNotLowerAClaim(t *testing.T) {
	r := newRig(t, testNetwork("spec"), alice)
	a := r.author()
	r.at(97)
	r.feed(PeerTip{Peer: "p", Height: 50})
	r.want(Block{"p", a.next(97)}, validation.Valid)
	if got := r.sync.claims["p"].height; got != 50 {
		t.Errorf("claim %d of a peer that claimed 50 and passed on block 1", got)
	}
	if _, ok := published(t, r.at(104)); ok {
		t.Error("a block on a tip that a peer has left far behind")
	}
}

func TestSync_AnswersNobodyAskedForAreIgnored(t *testing.T) {
	r := observer(t, "spec")
	all := r.author().blocks(4)
	r.at(10)
	r.feed(PeerTip{Peer: "asked", Height: 4})
	_, out := r.feed(Fetched{Peer: "other", Blocks: all})
	if r.Snapshot().TipHeight() != 0 || len(out.Writes)+len(out.Fetches) > 0 {
		t.Errorf("tip %d, effects %+v; want no change", r.Snapshot().TipHeight(), out)
	}
	r.feed(Fetched{Peer: "asked", Blocks: all})
	if r.Snapshot().TipHeight() != 4 {
		t.Errorf("tip %d, want 4", r.Snapshot().TipHeight())
	}
	_, out = r.feed(Fetched{Peer: "asked", Blocks: all}) // twice
	if len(out.Writes)+len(out.Fetches) > 0 {
		t.Errorf("second answer to one request: %+v", out)
	}
}

func TestSync_BadBlockAmongFetchedIsChargedToWhoSentIt(t *testing.T) {
	r := observer(t, "spec")
	a := r.author()
	all := a.blocks(5)
	all[3].Header.StateRoot[0] ^= 1
	all[3] = r.sign(all[3])
	r.at(10)
	r.feed(PeerTip{Peer: "bad", Height: 5})
	r.feed(PeerTip{Peer: "good", Height: 4})
	_, out := r.feed(Fetched{Peer: "bad", Blocks: all})
	if len(out.Bans) != 1 || out.Bans[0].Peer != "bad" || out.Bans[0].Cause().Reason != validation.BlockServed || out.Bans[0].Cause().Evidence != all[3].Header.Hash() {
		t.Errorf("bans %+v, want bad's for block 4", out.Bans)
	}
	if h := r.Snapshot().TipHeight(); h != 3 {
		t.Errorf("tip %d, want 3: what was good stays", h)
	}
}

// The banned peer's connection closes, which is a PeerGone; then the next
// highest is asked.
func TestSync_GoesOnWithTheNextPeer(t *testing.T) {
	r := observer(t, "spec")
	all := r.author().blocks(5)
	r.at(10)
	r.feed(PeerTip{Peer: "first", Height: 5})
	r.feed(PeerTip{Peer: "second", Height: 5})
	_, out := r.feed(Fetched{Peer: "first"})
	wantFetches(t, "empty answer", out, fetchOf("second", 1, 5))
	r.feed(Fetched{Peer: "second", Blocks: all})
	if h := r.Snapshot().TipHeight(); h != 5 {
		t.Errorf("tip %d, want 5", h)
	}
}

func TestEngine_OrderOfClaimsDoesNotMatter(t *testing.T) {
	heights := map[Peer]int32{"a": 3, "b": 9, "c": 9, "d": 0, "e": 8}
	var first []*Effects
	for round := range 8 {
		r := observer(t, "spec")
		peers := slices.Sorted(maps.Keys(heights))
		rand.New(rand.NewPCG(uint64(round), 0)).Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, p := range peers {
			r.sync.claim(p, heights[p], false)
		}
		var all []*Effects
		for slot := uint64(1); slot < 60; slot += 15 {
			all = append(all, r.at(slot))
		}
		if first == nil {
			first = all
		}
		if !reflect.DeepEqual(all, first) {
			t.Fatalf("round %d: claims of %v in this order give %v, before %v", round, peers, all, first)
		}
	}
	if len(first[0].Fetches) != 1 || first[0].Fetches[0].Peer != "b" {
		t.Errorf("first fetch %v, want b's", first[0].Fetches)
	}
}

// mixed is a sequence of inputs of every type, good and bad.
func mixed(n *network, r *rand.Rand) (inputs []Input) {
	a := n.author()
	now := n.genesis.Time
	peers := []Peer{"", "p", "q", "r", "s"}
	for range 250 {
		now = now.Add(time.Duration(r.Int64N(int64(40 * time.Second))))
		p := peers[r.IntN(len(peers))]
		slot := n.genesis.SlotAt(now)
		var in Input = Tick{now}
		switch r.IntN(16) {
		case 0, 1:
			if slot > a.tip.Slot {
				in = Block{p, a.next(slot)}
			}
		case 2:
			if slot > a.tip.Slot {
				node := r.IntN(nodes)
				known, _ := a.state.Node(proTx(node))
				in = Block{p, a.next(slot, n.update(node, known.Sequence+1, "/ip4/1.2.3.4/tcp/1"))}
			}
		case 3:
			in = n.unsignedBan(p, r.IntN(nodes+1), max(0, a.tip.Height-int32(r.IntN(5))+1))
		case 4:
			in = Judged{p, validation.HeightFar.Verdict(), wire.Hash{byte(r.IntN(256))}}
		case 5:
			in = PeerTip{Peer: p, Height: int32(r.IntN(200)), Observer: r.IntN(2) == 0}
		case 6:
			in = PeerGone{p}
		case 7:
			in = Fetched{p, nil}
		case 8, 9:
			in = Judged{p, []validation.Verdict{ten, ten, validation.RegularNode.Verdict()}[r.IntN(3)], wire.Hash{byte(r.IntN(256))}}
		case 10:
			why := []inventory.Why{inventory.Unsynced, inventory.Unsure, inventory.Ahead, inventory.Busy}[r.IntN(4)]
			in = Defer{inventory.Deferred{From: string(p), Ban: n.unsignedBan(p, r.IntN(nodes+1), a.tip.Height+int32(r.IntN(4))).Message, Why: why}}
		case 11:
			in = BanPeer{p, time.Duration(r.Int64N(int64(time.Hour)))}
		case 12:
			in = UnbanPeer{p}
		case 13:
			in = Reached{p, []string{fmt.Sprintf("/ip4/1.2.3.4/tcp/%d", 1+r.IntN(3))}}
		case 14:
			in = Farewell{Peer: p, Code: byte(r.IntN(4)), Reason: validation.Signature}
		}
		inputs = append(inputs, in)
	}
	return inputs
}

func TestEngine_SameInputsSameEffects(t *testing.T) {
	var writes, charges, fetches, published, due int
	for s := range uint64(5) {
		var first Effects
		for round := range 3 {
			n := testNetwork([]string{"spec", "core"}[s%2])
			r := newRig(t, n, alice)
			var out Effects
			for i, in := range mixed(n, rand.New(rand.NewPCG(s, 1))) {
				r.Step(in, Ticket(i), &out)
			}
			if round == 0 {
				first = out
				writes += len(out.Writes)
				charges += len(out.Charges)
				fetches += len(out.Fetches)
				published += len(out.Publications)
				due += len(out.Due)
			}
			if !reflect.DeepEqual(out, first) {
				t.Errorf("seed %d: round %d differs from the first", s, round)
			}
		}
	}
	if writes < 100 || charges < 20 || fetches < 5 || published < 2 || due < 5 {
		t.Errorf("%d writes, %d charges, %d fetches, %d publications, %d due: the inputs do too little", writes, charges, fetches, published, due)
	}
}
