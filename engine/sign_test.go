package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestSign_AThresholdAndNoFewer(t *testing.T) {
	const size, threshold = 5, 3
	for asking := range size + 1 {
		for order := range uint64(4) {
			c := newCouncil(t, size, threshold)
			c.random = rand.New(rand.NewPCG(order, 0))
			c.until(12)
			for _, i := range c.random.Perm(size)[:asking] {
				if order%2 == 0 {
					c.deliver()
				}
				if !c.rigs[i].flagOf(c.node(victim)).Set() { // or it would be refused
					c.ask(i, c.node(victim))
				}
			}
			c.deliver()
			c.until(14)
			if asking < threshold {
				c.until(33)
				c.wantFlags(fmt.Sprintf("%d ask", asking), c.node(victim), state.NoHeight)
				if len(c.said[TopicRecovered]) > 0 {
					t.Errorf("%d ask, and a signature is made", asking)
				}
				continue
			}
			c.wantFlags(fmt.Sprintf("%d ask, order %d", asking, order), c.node(victim), 8)
			for i, r := range c.rigs {
				if sig, ok := r.Snapshot().Signature(params.TestPlatform, banOf(c.node(victim), 8).ID); !ok || sig.QuorumHash != testQuorum {
					t.Errorf("%d ask: member %d knows the signature: %v", asking, i, ok)
				}
			}
			if n := len(c.said[TopicRecovered]); n != 1 {
				t.Errorf("%d ask: %d different signatures, want 1", asking, n)
			}
		}
	}
}

// A share in another member's name that its key did not make.
func TestSign_AWrongShareIsChargedAndSpoilsNothing(t *testing.T) {
	c := newCouncil(t, 5, 3)
	c.until(12)
	request := banOf(c.node(victim), 8)
	collector := c.collector(request.ID, 0)
	wrong := c.share((collector+1)%5, request)
	wrong.Signature = c.shares[collector].Sign(wire.Hash{1}).Bytes()
	broken := wrong
	broken.Signature = wire.Signature{1}
	elsewhere := wrong
	elsewhere.QuorumHash = wire.Hash{1}
	c.step(collector, Shares{From: "liar", Shares: wire.SigShares{wrong}})
	c.step(collector, Shares{From: "broken", Shares: wire.SigShares{broken}})
	c.step(collector, Shares{From: "elsewhere", Shares: wire.SigShares{elsewhere, {Type: 1}}})
	for _, i := range []int{0, 1, 2} {
		c.ask((collector+i)%5, c.node(victim))
	}
	c.deliver()
	c.wantFlags("with a wrong share", c.node(victim), 8)
	want := map[Peer]int{"liar": params.PointsBan, "broken": params.PointsBan} // of three it would doubt its own view
	if !maps.Equal(c.points, want) {
		t.Errorf("charged %v, want %v", c.points, want)
	}
	if len(c.alarms) != 0 {
		t.Errorf("alarms %v: anybody can have made that share", c.alarms)
	}
}

// Around a reorganisation the branch of an honest member may have another
// commitment to the same session, and with it other keys of shares.
func TestSign_NobodyIsBlamedForSharesInDoubt(t *testing.T) {
	for _, doubtful := range []bool{false, true} {
		c := newCouncil(t, 5, 3)
		c.until(12)
		request := banOf(c.node(victim), 8)
		collector := c.collector(request.ID, 0)
		one, two, three := (collector+1)%5, (collector+2)%5, (collector+3)%5
		if doubtful {
			c.rigs[collector].sawBranch(c.tip.Height)
		}
		wrong, outside := c.share(one, request), c.share(one, request)
		wrong.Signature = c.shares[collector].Sign(wire.Hash{1}).Bytes()
		outside.Member = 5
		c.step(collector, Shares{"a", proTx(one), wire.SigShares{wrong}})
		c.step(collector, Shares{"b", proTx(two), wire.SigShares{outside}})
		c.step(collector, Shares{"c", proTx(two), wire.SigShares{c.share(two, request)}})
		c.step(collector, Shares{"d", proTx(three), wire.SigShares{c.share(three, request)}})
		c.ask(collector, c.node(victim))
		c.deliver()
		c.wantFlags("with a wrong share", c.node(victim), 8)
		points, faults := map[Peer]int{"a": params.PointsBan, "b": params.PointsBan}, 1
		if doubtful {
			points, faults = nil, 0
		}
		if got := c.rigs[collector].Snapshot().ShareFaults; !maps.Equal(c.points, points) || len(got) != faults || c.alarms[AlarmShare] != faults {
			t.Errorf("in doubt %t: charged %v, want %v; faults %+v, want %d", doubtful, c.points, points, got, faults)
		}
	}
}

func TestSign_AMemberThatSaysTwoThingsIsKept(t *testing.T) {
	c := newCouncil(t, 5, 3)
	c.until(12)
	request := banOf(c.node(victim), 8)
	other := request
	other.MessageHash = wire.Hash{1}
	a, b := c.share(1, request), c.share(1, other)
	wrong := c.share(2, request)
	wrong.Signature = a.Signature
	c.step(0, Shares{"x", wire.Hash{}, wire.SigShares{a}})
	c.step(0, Shares{"y", wire.Hash{}, wire.SigShares{b}})
	c.step(0, Shares{"2", proTx(2), wire.SigShares{wrong}}) // its own share from itself
	c.next()
	check := func(what string) {
		t.Helper()
		faults := c.rigs[0].Snapshot().ShareFaults
		if len(faults) != 2 || c.alarms[AlarmShare] != 2 {
			t.Fatalf("%s: faults %+v, alarms %v", what, faults, c.alarms)
		}
		for _, f := range faults {
			switch {
			case f.Kind == signing.Equivocation && f.Member == proTx(1) && len(f.Shares) == 2 && slices.Contains(f.Shares, a) && slices.Contains(f.Shares, b):
			case f.Kind == signing.BadShare && f.Member == proTx(2) && slices.Equal(f.Shares, []wire.SigShare{wrong}):
			default:
				t.Errorf("%s: fault %+v", what, f)
			}
		}
	}
	check("found")
	if c.points["x"] != 0 || c.points["y"] != 0 || c.points["2"] != params.PointsBan {
		t.Errorf("charged %v: who brings good shares is not to blame", c.points)
	}
	c.up(0)
	check("after a restart")
	c.step(0, Shares{"x", wire.Hash{}, wire.SigShares{a, b}})
	c.next()
	check("said once more")
}

func TestSign_TheNextMemberCollectsWhenOneIsDown(t *testing.T) {
	c := newCouncil(t, 5, 3)
	c.until(12)
	request := banOf(c.node(victim), 8)
	down := c.collector(request.ID, 0)
	c.down(down)
	for i := range 3 {
		c.ask((down+1+i)%5, c.node(victim))
	}
	c.deliver()
	c.wantFlags("at once", c.node(victim), state.NoHeight)
	c.next()
	c.wantFlags("a block later", c.node(victim), 8)
	for i, r := range c.rigs {
		if _, own := r.disk[KindRecovered][string(requestKey(params.TestPlatform, request.ID))]; i != down && !own {
			t.Errorf("member %d keeps no signature", i)
		}
	}
}

// signedBy is a whole signature of the council's quorum.
func (c *council) signedBy(r signing.Request, threshold int) wire.RecoveredSig {
	sig := wire.RecoveredSig{Type: params.TestPlatform, QuorumHash: testQuorum, ID: r.ID, MessageHash: r.MessageHash}
	var shares []bls.SignatureShare
	for i := range threshold {
		shares = append(shares, bls.SignatureShare{ID: c.members[i], Signature: c.shares[i].Sign(sig.SignHash())})
	}
	sig.Signature = must(bls.Recover(threshold, shares, c.quorum, sig.SignHash())).Bytes()
	return sig
}

func TestRecovered_Judged(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(10)
	key := wire.OperatorKey(c.quorum.Bytes())
	first := c.signedBy(signing.Request{ID: wire.Hash{1}, MessageHash: wire.Hash{1}}, 2)
	second := c.signedBy(signing.Request{ID: wire.Hash{1}, MessageHash: wire.Hash{2}}, 2)
	third := c.signedBy(signing.Request{ID: wire.Hash{1}, MessageHash: wire.Hash{3}}, 2)
	forged, unknown, otherType := first, first, first
	forged.Signature[5] ^= 1
	unknown.QuorumHash[0] ^= 1
	otherType.Type = params.MainnetPlatform
	for _, x := range []struct {
		what   string
		sig    wire.RecoveredSig
		key    wire.OperatorKey
		reason validation.Reason
	}{
		{"of an unknown quorum", unknown, key, validation.RecoveredUnknownQuorum},
		{"of a type that does not run", otherType, key, validation.RecoveredUnknownQuorum},
		{"verified under another key", first, wire.OperatorKey{1}, validation.Internal},
		{"good", first, key, validation.Valid},
		{"again", first, key, validation.Duplicate},
		{"another signature for it", forged, key, validation.RecoveredSignature},
		{"another message", second, key, validation.RecoveredConflict},
		{"the same once more", second, key, validation.Duplicate},
		{"a third message", third, key, validation.Duplicate},
	} {
		if v, out := c.step(0, Recovered{"p", x.sig, x.key}); v != x.reason.Verdict() || len(out.Publications) != 0 {
			t.Errorf("%s: %+v, want %+v; %d publications", x.what, v, x.reason.Verdict(), len(out.Publications))
		}
	}
	if c.points["p"] != params.PointsBan || c.alarms[AlarmContradiction] != 1 {
		t.Errorf("charged %v, alarms %v", c.points, c.alarms)
	}
	want := signing.Contradiction{First: first, Second: second}
	for what, again := range map[string]func(){"found": func() {}, "after a restart": func() { c.up(0) }} {
		again()
		s := c.rigs[0].Snapshot()
		got, _ := s.Contradictions.Get(signatureKey(first.Type, first.ID))
		kept, ok := s.Signature(first.Type, first.ID)
		if got != want || !ok || kept != first {
			t.Errorf("%s: the first is %v, the contradiction %+v", what, kept, got)
		}
	}
	c.want(0, Recovered{"q", second, key}, validation.Duplicate)
}

// What is older than any request that may be signed is forgotten with the next
// block, on disk too.
func TestSign_ForgetsWhatIsOld(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(3)
	old, young := signing.Request{ID: wire.Hash{1}, Height: 3 - signing.VoteBlocks}, signing.Request{ID: wire.Hash{2}, Height: 4 - signing.VoteBlocks}
	out := new(Effects)
	lasting := signing.Vote{Type: params.TestPlatform, QuorumHash: testQuorum, Request: signing.Request{ID: wire.Hash{3}, Height: signing.Lasting}}
	out.put(KindSigned, requestKey(params.TestPlatform, lasting.ID), lasting.Bytes())
	for _, r := range []signing.Request{old, young} {
		key := requestKey(params.TestPlatform, r.ID)
		out.put(KindSigned, key, signing.Vote{Type: params.TestPlatform, QuorumHash: testQuorum, Request: r}.Bytes())
		out.put(KindRecovered, key, signatureRecord{Height: r.Height, First: c.signedBy(r, 2)}.bytes())
	}
	c.rigs[0].disk.apply(out.Writes)
	c.up(0)
	c.next()
	for _, kind := range []Kind{KindSigned, KindRecovered} {
		left := slices.Sorted(maps.Keys(c.rigs[0].disk[kind]))
		want := []string{string(requestKey(params.TestPlatform, young.ID))}
		if kind == KindSigned {
			want = append(want, string(requestKey(params.TestPlatform, lasting.ID)))
		}
		if !slices.Equal(left, want) {
			t.Errorf("kind %d: %x is left, want %x", kind, left, want)
		}
	}
	if _, ok := c.rigs[0].Snapshot().Signature(params.TestPlatform, old.ID); ok || c.rigs[0].Snapshot().Signatures.Len() != 1 {
		t.Error("the snapshot remembers what the disk does not")
	}
}

func TestSendShares_Groups(t *testing.T) {
	out := new(Effects)
	var sends []signing.Send
	for i := range 2*wire.MaxSigShares + 1 {
		sends = append(sends, signing.Send{To: wire.Hash{1}, Share: wire.SigShare{Member: uint16(i)}})
	}
	sends = slices.Insert(sends, 5, signing.Send{To: wire.Hash{2}})
	out.sendShares(sends[:40])
	out.sendShares(sends[40:])
	var got []int
	next := uint16(0)
	for _, m := range out.Shares {
		if len(m.Shares) > wire.MaxSigShares {
			t.Errorf("%d shares in a message", len(m.Shares))
		}
		for _, x := range m.Shares {
			if m.To == (wire.Hash{1}) {
				if x.Member != next {
					t.Errorf("share %d comes where %d should", x.Member, next)
				}
				next++
			}
		}
		got = append(got, len(m.Shares))
	}
	if want := []int{wire.MaxSigShares, 1, wire.MaxSigShares, 1}; !slices.Equal(got, want) {
		t.Errorf("messages of %v shares, want %v", got, want)
	}
}

// A stop at any boundary of any commit, before anything of it has left: the
// signature is made all the same, and nobody signs two things for one request
// (see leaves).
func TestSign_StopsAtEveryCommit(t *testing.T) {
	const size, threshold = 4, 3
	matters := func(out *Effects) bool {
		return slices.ContainsFunc(out.Writes, func(w Write) bool {
			return w.Kind == KindSigned || w.Kind == KindRequest || w.Kind == KindRecovered || w.Kind == KindFlag
		})
	}
	run := func(stop int) (reached bool) {
		c := newCouncil(t, size, threshold)
		seen := 0
		c.kill = func(_ int, out *Effects) (int, bool) {
			if !matters(out) {
				return 0, false
			}
			for _, cut := range append([]int{0}, cuts(out)...) {
				if seen++; seen-1 == stop {
					return cut, true
				}
			}
			return 0, false
		}
		c.until(12)
		for i := range threshold {
			for range 2 { // an operator whose node stopped asks again
				if r, ok := c.rigs[i].Snapshot().Requests.Get(proTx(c.node(victim))); !ok || !r.Stands() {
					c.step(i, RequestBan{ProTxHash: proTx(c.node(victim))})
				}
			}
			c.deliver()
		}
		c.until(33)
		for i := range threshold {
			if f := c.rigs[i].flagOf(c.node(victim)); f.BannedHeight < 8 {
				t.Fatalf("stop %d: member %d has no flag", stop, i)
			}
		}
		return seen > stop
	}
	stop := 0
	for run(stop) {
		stop++
	}
	if stop < 10 {
		t.Errorf("%d stops tried: the test stops nowhere", stop)
	}
}

// Whatever is asked for, wherever the tip goes and whenever it stops: a member
// signs one message for one request, and what leaves was stored (see leaves).
func TestSign_NeverTwoMessages(t *testing.T) {
	blocks := newCouncil(t, 3, 2)
	for range 20 {
		blocks.block()
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := newCouncil(t, 3, 2)
		c.chain = blocks.chain
		for _, b := range c.chain[:12] {
			c.hear(0, b)
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			r := c.rigs[0]
			out := new(Effects)
			switch rapid.SampledFrom([]string{"sign", "sign", "raw", "block", "restart"}).Draw(rt, "step") {
			case "sign":
				request := signing.Request{
					ID:          wire.Hash{byte(rapid.IntRange(1, 3).Draw(rt, "id"))},
					MessageHash: wire.Hash{byte(rapid.IntRange(1, 2).Draw(rt, "message"))},
					Height:      8 + int32(rapid.IntRange(0, 6).Draw(rt, "height")),
				}
				err := r.signRequest(params.TestPlatform, request, out)
				r.signing(out)
				_ = err // refused or not: what leaves counts
			case "raw":
				r.Step(SignRequest{
					Type:        params.TestPlatform,
					ID:          wire.Hash{byte(rapid.IntRange(1, 3).Draw(rt, "id"))},
					MessageHash: wire.Hash{byte(rapid.IntRange(1, 2).Draw(rt, "message"))},
					Submit:      rapid.Bool().Draw(rt, "submit"),
				}, 7, out)
			case "block":
				if h := r.Snapshot().Tip.Height; int(h) < len(c.chain) {
					r.Step(Tick{c.genesis.SlotStart(c.chain[h].Header.Slot)}, 0, out)
					r.Step(Block{Block: c.chain[h]}, 0, out)
				}
			case "restart":
				c.rigs[0] = r.again(0)
				continue
			}
			if all := cuts(out); rapid.IntRange(0, 3).Draw(rt, "stop") == 0 {
				r.disk.apply(out.Writes[:rapid.SampledFrom(append(all, 0)).Draw(rt, "cut")])
				c.rigs[0] = r.again(0)
				continue
			}
			c.commit(0, out)
			c.queue = nil
		}
	})
}

// The quorums follow the tip, and so do the shares that are taken.
func TestSign_FollowsAReorganisation(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	member := c.collector(banOf(c.node(victim), 8).ID, 0)
	fork, long := *c, *c
	c.ask(member, c.node(victim))
	c.ask((member+1)%3, c.node(victim))
	c.queue = nil // the share is lost
	short := fork.block(c.update(c.node(servant), 1, "/ip4/127.0.0.1/udp/1/quic-v1"))
	long.bases = maps.Clone(c.bases)
	blocks := []wire.Block{long.block(), long.block()}
	if c.state.Root() == fork.state.Root() {
		t.Fatal("there is no fork")
	}
	for i := range c.rigs {
		c.hear(i, short)
	}
	for _, b := range blocks {
		for i := range c.rigs {
			c.hear(i, b)
		}
	}
	c.deliver()
	for i, r := range c.rigs {
		if r.Snapshot().Tip != long.tip || r.followed != long.tip.Hash {
			t.Fatalf("member %d stands at %d, its signers elsewhere", i, r.Snapshot().Tip.Height)
		}
	}
	c.wantFlags("after a reorganisation", c.node(victim), 8)
}

// A share of a quorum's key that comes late counts from the next block on.
func TestSign_AShareOfTheKeyThatComesLate(t *testing.T) {
	c := newCouncil(t, 3, 2)
	key := state.QuorumKey(params.TestPlatform, testQuorum)
	delete(c.rigs[0].keyShares, key)
	c.until(12)
	request := banOf(c.node(victim), 8)
	if err := c.rigs[0].signRequest(params.TestPlatform, request, new(Effects)); !errors.Is(err, signing.ErrNotMember) {
		t.Errorf("without a share of the key: %v, want %v", err, signing.ErrNotMember)
	}
	c.rigs[0].keepShare(key, keyShare{c.shares[0], c.vector}, new(Effects))
	c.next()
	if err := c.rigs[0].signRequest(params.TestPlatform, request, new(Effects)); err != nil {
		t.Errorf("a block after it came: %v", err)
	}
}

// A share of a key that cannot be the quorum's keeps nobody from taking what
// the quorum signs.
func TestSign_TakesSignaturesWithoutAFittingShare(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	r, key := c.rigs[0], state.QuorumKey(params.TestPlatform, testQuorum)
	of := func(threshold int) keyShare {
		p := must(bls.NewPolynomial(threshold, seed("another", 0)))
		return keyShare{must(p.Share(c.members[0])), p.Commit()}
	}
	for i, share := range map[string]keyShare{
		"of another key":       of(2),
		"of another threshold": {c.shares[0], c.vector[:1]},
	} {
		r.keepShare(key, share, new(Effects))
		r.followed = wire.Hash{}
		sig := c.signedBy(signing.Request{ID: wire.DoubleHash([]byte(i)), MessageHash: wire.Hash{1}}, 2)
		c.want(0, Recovered{"p", sig, wire.OperatorKey(c.quorum.Bytes())}, validation.Valid)
		if err := r.signRequest(params.TestPlatform, banOf(c.node(victim), 8), new(Effects)); !errors.Is(err, signing.ErrNotMember) {
			t.Errorf("a share %s: %v, want %v", i, err, signing.ErrNotMember)
		}
	}
}

// A reorganisation may bring another commitment to the same session.
func TestSign_AQuorumWithAnotherKey(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	r, s := c.rigs[0].Engine, c.rigs[0].signers[0]
	old := c.signedBy(banOf(c.node(victim), 8), 2)
	other, _ := councilNetwork("spec", 3, 2)
	polynomial := must(bls.NewPolynomial(2, seed("another", 0)))
	other.quorum = polynomial.Commit().PublicKey()
	again := func() bool {
		r.followed = wire.Hash{}
		r.followTip(new(Effects))
		return s.quorums[testQuorum].member
	}
	before, share := r.state, r.keyShares[state.QuorumKey(params.TestPlatform, testQuorum)]
	for _, shares := range []map[wire.Hash]keyShare{{}, {state.QuorumKey(params.TestPlatform, testQuorum): share}} {
		r.state, r.keyShares = before, shares
		if again() != (len(shares) > 0) || !s.quorums[testQuorum].Verify(old) {
			t.Error("the old key is not known")
		}
		r.state = other.beginWith([]wire.Hash{proTx(0), proTx(1), proTx(2)})
		if again() || s.quorums[testQuorum].Verify(old) {
			t.Error("the key is another, the old one stands")
		}
	}
	r.keyShares[state.QuorumKey(params.TestPlatform, testQuorum)] = keyShare{must(polynomial.Share(c.members[0])), polynomial.Commit()}
	if !again() {
		t.Error("our share of the new key does not count")
	}
}

// Records that nobody wrote so: what we signed above all must not be lost
// silently.
func TestSign_RestoreRefusesBrokenRecords(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	other := banOf(c.node(victim), 8)
	other.MessageHash = wire.Hash{1}
	c.step(0, Shares{From: "x", Shares: wire.SigShares{c.share(1, other)}})
	c.step(0, Shares{From: "x", Shares: wire.SigShares{c.share(1, banOf(c.node(victim), 8))}})
	c.next()
	c.ask(0, c.node(victim))
	c.ask(2, c.node(victim))
	c.deliver()
	sound := c.rigs[0].disk
	for _, kind := range []Kind{KindSigned, KindRecovered, KindRequest, KindShareFault} {
		if len(sound[kind]) == 0 {
			t.Fatalf("no record of kind %d", kind)
		}
		for what, broken := range map[string]func(key string, value []byte) (string, []byte){
			"cut short":         func(key string, value []byte) (string, []byte) { return key, value[:len(value)-1] },
			"with a byte more":  func(key string, value []byte) (string, []byte) { return key, append(bytes.Clone(value), '!') },
			"under another key": func(key string, value []byte) (string, []byte) { return key + "!", value },
		} {
			disk := sound.clone()
			for key, value := range sound[kind] {
				delete(disk[kind], key)
				key, value = broken(key, value)
				disk[kind][key] = value
			}
			if _, _, err := Restore(c.configOf(0), disk); !errors.Is(err, ErrCorrupt) {
				t.Errorf("kind %d %s: %v, want %v", kind, what, err, ErrCorrupt)
			}
		}
	}
}

func FuzzParseSignatureRecord(f *testing.F) {
	second := wire.RecoveredSig{MessageHash: wire.Hash{1}}
	f.Add(signatureRecord{Height: 5}.bytes())
	f.Add(signatureRecord{Second: &second}.bytes())
	f.Add(signatureRecord{Second: new(wire.RecoveredSig)}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseSignatureRecord(b)
		if err == nil && string(r.bytes()) != string(b) {
			t.Errorf("%x encodes back to %x", b, r.bytes())
		}
	})
}
