package gossip

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// unsynced keeps a service from comparing inventories by itself.
func unsynced(n *node) *node {
	n.set(func(b *backend) { b.status.Synced = false })
	return n
}

func meet(t *testing.T, a, b *node) {
	t.Helper()
	a.dial(b)
	await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
}

func TestReconcile_MissingBansAreFetched(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			common, theirs := bansAt(5, 6, 7), append(bansAt(8, 20), ban(6, 60), ban(6, 61))
			a.has(append(common, ban(30, 1))...)
			b.has(append(common, theirs...)...)
			meet(t, a, b) // which is enough
			want := sorted(slices.Concat(common, theirs, []wire.PlatformBan{ban(30, 1)})...)
			for _, n := range []*node{a, b} {
				await(t, "all bans", func() bool { return slices.Equal(n.inventoryOf(), want) })
			}
			for _, m := range theirs {
				if !a.hasJudged(string(m.Bytes())) {
					t.Errorf("the ban at %d was not judged", m.SignedHeight)
				}
			}
			for _, m := range common {
				if a.hasJudged(string(m.Bytes())) {
					t.Errorf("the ban at %d, which we had, was judged", m.SignedHeight)
				}
			}
			if len(a.offences())+len(b.offences()) != 0 {
				t.Errorf("offences %v %v", a.offences(), b.offences())
			}
		})
	}
}

// What we would find too old is not asked for: its server would be charged for
// a tip that is not ours.
func TestReconcile_FetchesNothingOutsideTheWindow(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	a.set(func(b *backend) { b.lowest = 8 })
	old, fresh := bansAt(6, 7), bansAt(8, 9)
	b.has(append(old, fresh...)...)
	meet(t, a, b)
	await(t, "what is inside", func() bool { return slices.Equal(a.inventoryOf(), sorted(fresh...)) })
	for _, m := range old {
		if a.hasJudged(string(m.Bytes())) {
			t.Errorf("the ban at %d was fetched", m.SignedHeight)
		}
	}
}

func TestReconcile_Counts(t *testing.T) {
	a, b := unsynced(run(t, 1)), unsynced(run(t, 2))
	a.has(bansAt(5, 6)...)
	b.has(append(bansAt(5, 6), ban(6, 60), ban(9, 9))...)
	meet(t, a, b)
	a.set(func(x *backend) {
		x.judge = func(_ context.Context, data []byte) validation.Verdict {
			if m, _ := wire.ParsePlatformBan(data); m.SignedHeight == 9 {
				return validation.UnknownNode.Verdict()
			}
			return validation.Valid.Verdict()
		}
	})
	a.exchange(testContext(t), inventoryJob{peer: b.ID()})
	for result, want := range map[string]float64{"known": 1, "accepted": 1, "refused": 1, "unasked": 0} {
		if got := a.inventoryBans(result); got != want {
			t.Errorf("%v bans %s, want %v", got, result, want)
		}
	}
	if got := a.value("proctor_gossip_judged_total", "topic", "platformban", "reason", "valid"); got != 1 {
		t.Errorf("%v judged valid", got)
	}
	if got := a.value("proctor_gossip_judged_total", "topic", "platformban", "reason", string(validation.UnknownNode)); got != 1 {
		t.Errorf("%v judged of an unknown node", got)
	}
	if got := b.inventoryBans("served"); got != 3 {
		t.Errorf("%v served, want those of the heights that differ", got)
	}
	if got := a.exchanges("client", "done"); got != 1 {
		t.Errorf("%v exchanges", got)
	}
	await(t, "the server's count", func() bool { return b.exchanges("server", "done") == 2 })
}

// A peer that has less, or the same, is asked for no bans.
func TestReconcile_NothingMissing(t *testing.T) {
	a, b := unsynced(run(t, 1)), unsynced(run(t, 2))
	a.has(bansAt(5, 6)...)
	b.has(bansAt(5)...)
	meet(t, a, b)
	a.exchange(testContext(t), inventoryJob{peer: b.ID()})
	b.has(bansAt(6)...)
	a.exchange(testContext(t), inventoryJob{peer: b.ID()})
	if got := a.exchanges("client", "equal"); got != 2 {
		t.Errorf("%v exchanges found nothing missing, want 2: log %q", got, a.logs.with("inventories"))
	}
	await(t, "the server's count", func() bool { return b.exchanges("server", "done") == 1 && b.exchanges("server", "equal") == 1 })
	if got := b.inventoryBans("served"); got != 0 {
		t.Errorf("%v bans served", got)
	}
}

// One node between two halves of a network is enough for both.
func TestReconcile_BansAreSentOn(t *testing.T) {
	left, bridge, right := unsynced(run(t, 1)), unsynced(run(t, 2)), unsynced(run(t, 3))
	meet(t, bridge, left)
	meet(t, bridge, right)
	await(t, "the mesh", func() bool { return bridge.MeshPeers(bans) == 2 })
	lost := append(bansAt(5, 6), ban(6, 60))
	left.has(lost...)
	bridge.set(func(b *backend) { b.status.Synced = true })
	bridge.Reconcile()
	await(t, "the far half", func() bool { return slices.Equal(right.inventoryOf(), sorted(lost...)) })
	await(t, "the count", func() bool { return bridge.inventoryBans("relayed") == 3 })
	if bridge.inventoryBans("relay-dropped") != 0 {
		t.Error("bans were not sent on")
	}
}

// What can no longer be served would be held against us.
func TestReconcile_OldBansAreNotSentOn(t *testing.T) {
	n := run(t, 1)
	n.inventory.relay <- ban(5, 5)
	await(t, "the ban to be dropped", func() bool { return n.inventoryBans("relay-dropped") == 1 })
	if n.inventoryBans("relayed") != 0 {
		t.Error("the ban was sent on")
	}
}

func TestReconcile_Pace(t *testing.T) {
	n := run(t, 1)
	var all []wire.PlatformBan
	for i := range 15 {
		all = append(all, ban(5, i))
	}
	n.has(all...)
	start := time.Now()
	for _, m := range all {
		n.inventory.relay <- m
	}
	await(t, "all to be sent on", func() bool { return n.inventoryBans("relayed") == 15 })
	if took := time.Since(start); took < 14*time.Second/relaysPerSecond {
		t.Errorf("15 bans were sent on in %s, at most %d a second", took, relaysPerSecond)
	}
}

func TestReconcile_NotBeforeWeAreSynced(t *testing.T) {
	a, b := unsynced(prepare(t, 1)), unsynced(run(t, 2)) // nobody else takes a's jobs
	meet(t, a, b)
	r := fixedRandom()
	for _, synced := range []bool{false, true} {
		a.set(func(x *backend) { x.status.Synced = synced })
		g := newAgenda(dayOne, r)
		g.ask(a.Peers(), dayOne, r)
		a.startDue(g, dayOne, r)
		if got := len(a.inventory.jobs) == 1; got != synced {
			t.Errorf("synced %t: %d comparisons", synced, len(a.inventory.jobs))
		}
	}
}

// Reconcile does not wait, and twice is once.
func TestReconcile_WhenAsked(t *testing.T) {
	a, b := prepare(t, 1), run(t, 2)
	b.has(bansAt(5)...)
	meet(t, a, b)
	<-a.inventory.met // so that nothing else brings the ban
	a.Reconcile()
	a.Reconcile()
	if len(a.inventory.asked) != 1 {
		t.Error("nothing was noted")
	}
	a.start()
	await(t, "the ban", func() bool { return len(a.inventoryOf()) == 1 })
}

func TestReconcile_Pages(t *testing.T) {
	a, b := unsynced(prepare(t, 1)), unsynced(prepare(t, 2))
	b.inventory.items = newPeerLimits(time.Nanosecond, 1<<20)
	var all []wire.PlatformBan
	for i := range maxExchangeBans + 500 { // several pages at one height, the limit within another
		all = append(all, ban(5+i/1000, i))
	}
	b.has(all...)
	a.start()
	b.start()
	meet(t, a, b)
	for i, want := range []int{maxExchangeBans, len(all), len(all)} {
		a.exchange(context.Background(), inventoryJob{peer: b.ID()})
		if got := len(a.inventoryOf()); got < want {
			t.Errorf("%d bans after exchange %d, want %d", got, i+1, want)
		}
		if got := len(a.judgedAll()); got != want {
			t.Errorf("%d bans judged after exchange %d, want %d", got, i+1, want)
		}
	}
	if a.exchanges("client", "done") != 2 || a.exchanges("client", "equal") != 1 {
		t.Errorf("%v done, %v equal", a.exchanges("client", "done"), a.exchanges("client", "equal"))
	}
}

// answering is a stranger that answers questions about its inventory.
func answering(t *testing.T, n *node, number int, answer func(wire.InventoryRequest, network.Stream)) *stranger {
	s := newStranger(t, number)
	s.SetStreamHandler(n.protocol("inventory"), func(stream network.Stream) {
		b, err := readFrame(stream, wire.MaxInventoryRequestSize)
		q, bad := wire.ParseInventoryRequest(b)
		if err != nil || bad != nil {
			stream.Reset()
			return
		}
		answer(q, stream)
	})
	s.meet(n)
	return s
}

func TestReconcile_BadServers(t *testing.T) {
	honest := summary(sorted(bansAt(5, 6, 7)...))
	in := sorted(ban(6, 1), ban(6, 2), ban(6, 3))
	at6 := summary(in)
	many := make([]wire.PlatformBan, 0, 300)
	for i := range 300 {
		many = append(many, ban(6, i))
	}
	many = sorted(many...)
	var wide wire.BanSummary
	for h := range int32(wire.MaxDigests + 1) {
		wide = append(wide, wire.HeightDigest{Height: h, Count: 1})
	}
	for i, c := range []struct {
		name    string
		summary []byte // frame
		bans    []byte // frames
		want    []wire.PlatformBan
		result  string
	}{
		{"honest", frame(honest.Bytes()), frames(bansAt(5, 6, 7)...), bansAt(5, 6, 7), "done"},
		{"less than announced", frame(honest.Bytes()), frames(bansAt(6)...), bansAt(6), "done"},
		{"no summary", nil, nil, nil, "failed"},
		{"half a summary", frame(honest.Bytes())[:30], nil, nil, "failed"},
		{"garbage for a summary", frame([]byte("garbage")), nil, nil, "malformed"},
		{"heights that descend", frame(wire.BanSummary{honest[1], honest[0]}.Bytes()), nil, nil, "malformed"},
		{"too many heights", frame(wide.Bytes()), nil, nil, "malformed"},
		{"a summary over the limit", binary.BigEndian.AppendUint32(nil, maxInventoryFrame+1), nil, nil, "malformed"},
		{"garbage for a ban", frame(at6.Bytes()), frame([]byte("garbage")), nil, "malformed"},
		{"a ban and a byte", frame(at6.Bytes()), frame(append(in[0].Bytes(), 0)), nil, "malformed"},
		{"an empty frame", frame(at6.Bytes()), frame(nil), nil, "malformed"},
		{"half a ban", frame(at6.Bytes()), append(frames(in[0]), frames(in[1])[:50]...), in[:1], "failed"},
		{"half a length", frame(at6.Bytes()), append(frames(in[0]), 0, 0), in[:1], "failed"},
		{"a height below", frame(at6.Bytes()), frames(ban(5, 1)), nil, "malformed"},
		{"a height above", frame(at6.Bytes()), frames(in[0], ban(7, 1)), in[:1], "malformed"},
		{"wrong order", frame(at6.Bytes()), frames(in[1], in[0]), in[1:2], "malformed"},
		{"a ban twice", frame(at6.Bytes()), frames(in[0], in[0]), in[:1], "malformed"},
		{"heights in wrong order", frame(honest.Bytes()), frames(bansAt(6, 5)...), bansAt(6), "malformed"},
		{"more than asked", frame(at6.Bytes()), frames(many...), many[:wire.MaxListedBans], "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := unsynced(run(t, 1))
			s := answering(t, n, 10+i, func(q wire.InventoryRequest, stream network.Stream) {
				if q.Kind == wire.AskSummary {
					stream.Write(c.summary)
				} else {
					stream.Write(c.bans)
				}
				stream.Close()
			})
			n.exchange(testContext(t), inventoryJob{peer: s.ID()})
			if got := n.inventoryOf(); !slices.Equal(got, sorted(c.want...)) {
				t.Errorf("took %d bans, want %d", len(got), len(c.want))
			}
			if got := n.exchanges("client", c.result); got != 1 {
				t.Errorf("no exchange ended as %s", c.result)
			}
			if got := slices.Equal(n.offences(), []engine.Peer{engine.Peer(s.ID())}); got != (c.result == "malformed") {
				t.Errorf("offences %v", n.offences())
			}
		})
	}
}

// A server that never stops, with bans in the right order, gets an end.
func TestReconcile_EndlessServer(t *testing.T) {
	n := unsynced(run(t, 1))
	sent := 0
	var mu sync.Mutex
	s := answering(t, n, 2, func(q wire.InventoryRequest, stream network.Stream) {
		defer stream.Close()
		if q.Kind == wire.AskSummary {
			stream.Write(frame(wire.BanSummary{{Height: 1, Count: 1}, {Height: 1 << 30, Count: 1}}.Bytes()))
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range q.Range.Count {
			stream.Write(frames(ban(int(q.Range.From)+1+int(i), 0)))
			sent++
		}
	})
	n.exchange(testContext(t), inventoryJob{peer: s.ID()})
	mu.Lock()
	defer mu.Unlock()
	if sent != maxExchangeBans || len(n.judgedAll()) != maxExchangeBans {
		t.Errorf("%d bans sent, %d judged, want %d", sent, len(n.judgedAll()), maxExchangeBans)
	}
}

func TestReconcile_SilentServer(t *testing.T) {
	for i, kind := range []wire.InventoryKind{wire.AskSummary, wire.AskRange} {
		n := unsynced(run(t, 1))
		hold := make(chan struct{})
		defer close(hold)
		s := answering(t, n, 10+i, func(q wire.InventoryRequest, stream network.Stream) {
			defer stream.Close()
			if q.Kind == kind {
				if kind == wire.AskRange {
					stream.Write(frames(ban(5, 5)))
				}
				<-hold
				return
			}
			stream.Write(frame(summary(bansAt(5, 6)).Bytes()))
		})
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		n.exchange(ctx, inventoryJob{peer: s.ID()})
		cancel()
		if n.exchanges("client", "failed") != 1 || len(n.offences()) != 0 {
			t.Errorf("%v failures, offences %v", n.exchanges("client", "failed"), n.offences())
		}
	}
}

// A stop does not wait for a silent server.
func TestReconcile_StopsInTime(t *testing.T) {
	n := run(t, 1)
	hold, asked := make(chan struct{}), make(chan struct{}, 9)
	defer close(hold)
	s := answering(t, n, 2, func(_ wire.InventoryRequest, stream network.Stream) {
		asked <- struct{}{}
		<-hold
		stream.Reset()
	})
	n.Want(engine.Want{Peer: engine.Peer(s.ID()), Bans: []wire.Hash{{1}}})
	<-asked
	start := time.Now()
	n.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// A node that cannot judge asks for no more, and blames nobody.
func TestReconcile_Overload(t *testing.T) {
	n := unsynced(run(t, 1))
	n.set(func(b *backend) {
		b.judge = func(context.Context, []byte) validation.Verdict { return validation.Overload.Verdict() }
	})
	pages := make(chan wire.BanRange, 99)
	var page []wire.PlatformBan
	for i := range wire.MaxListedBans {
		page = append(page, ban(5, i))
	}
	page = sorted(page...)
	s := answering(t, n, 2, func(q wire.InventoryRequest, stream network.Stream) {
		defer stream.Close()
		if q.Kind == wire.AskSummary {
			stream.Write(frame(summary(bansAt(5, 7)).Bytes()))
			return
		}
		pages <- q.Range
		stream.Write(frames(page...))
	})
	n.has(bansAt(6)...)
	n.exchange(testContext(t), inventoryJob{peer: s.ID()})
	if len(pages) != 1 || len(n.offences()) != 0 || n.exchanges("client", "failed") != 1 {
		t.Errorf("%d pages asked for, offences %v", len(pages), n.offences())
	}
}

func TestReconcile_ABannedServerIsLeft(t *testing.T) {
	n, s := unsynced(run(t, 1)), newStranger(t, 2)
	s.meet(n)
	n.book.add(s.ID(), time.Now().Add(time.Hour))
	if err := n.take(testContext(t), s.ID(), bansAt(5)); err != nil || len(n.judgedAll()) != 0 {
		t.Errorf("%v, judged %d", err, len(n.judgedAll()))
	}
}

func TestWant_FetchesByHash(t *testing.T) {
	a, b := unsynced(run(t, 1)), unsynced(run(t, 2))
	all := sorted(append(bansAt(5, 6), ban(6, 60))...)
	b.has(all...)
	meet(t, a, b)
	a.Want(engine.Want{Peer: b.peer(), Bans: []wire.Hash{all[2].InventoryHash(), {9}, all[0].InventoryHash()}})
	await(t, "two bans", func() bool { return slices.Equal(a.inventoryOf(), []wire.PlatformBan{all[0], all[2]}) })
	await(t, "the count", func() bool { return a.exchanges("client", "done") == 1 })
	var unknown []wire.Hash
	for i := range 3 * wire.MaxListedBans / 2 {
		unknown = append(unknown, wire.Hash{byte(i), byte(i >> 8), 1})
	}
	a.Want(engine.Want{Peer: b.peer(), Bans: unknown})
	await(t, "two requests", func() bool { return b.exchanges("server", "done") == 3 })
	a.Want(engine.Want{Peer: engine.Peer(id(t, 9)), Bans: unknown})
	await(t, "a failure", func() bool { return a.exchanges("client", "failed") == 1 })
	if len(a.offences())+len(b.offences()) != 0 {
		t.Errorf("offences %v %v", a.offences(), b.offences())
	}
}

func TestWant_BadServers(t *testing.T) {
	a, b := ban(5, 1), ban(5, 2)
	for i, c := range []struct {
		name   string
		answer []byte
		want   []wire.PlatformBan
		result string
	}{
		{"both", frames(b, a), []wire.PlatformBan{a, b}, "done"},
		{"one", frames(b), []wire.PlatformBan{b}, "done"},
		{"none", nil, nil, "done"},
		{"another", frames(a, ban(5, 3)), []wire.PlatformBan{a}, "malformed"},
		{"one twice", frames(a, a), []wire.PlatformBan{a}, "malformed"},
		{"garbage", frame([]byte("garbage")), nil, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := unsynced(run(t, 1))
			s := answering(t, n, 10+i, func(_ wire.InventoryRequest, stream network.Stream) {
				stream.Write(c.answer)
				stream.Close()
			})
			n.exchange(testContext(t), inventoryJob{s.ID(), []wire.Hash{a.InventoryHash(), b.InventoryHash()}})
			if got := n.inventoryOf(); !slices.Equal(got, sorted(c.want...)) {
				t.Errorf("took %d bans, want %d", len(got), len(c.want))
			}
			if got := n.exchanges("client", c.result); got != 1 {
				t.Errorf("no exchange ended as %s", c.result)
			}
			if got := len(n.offences()) == 1; got != (c.result == "malformed") {
				t.Errorf("offences %v", n.offences())
			}
		})
	}
}

func TestWant_DropsWhatDoesNotFit(t *testing.T) {
	n := prepare(t, 1) // not run: nobody works
	for range maxInventoryJobs + 3 {
		n.Want(engine.Want{Peer: "p", Bans: []wire.Hash{{1}}})
	}
	n.Want(engine.Want{Peer: "p"}) // for nothing
	if got := n.value("proctor_gossip_outbox_drops_total", "what", "want"); got != 3 {
		t.Errorf("%v dropped, want 3", got)
	}
}

func TestReconcile_Limited(t *testing.T) {
	a, b := unsynced(run(t, 1)), unsynced(run(t, 2))
	b.inventory.everybody.SetBurst(0)
	meet(t, a, b)
	a.exchange(testContext(t), inventoryJob{peer: b.ID()})
	if a.exchanges("client", "limited") != 1 || b.exchanges("server", "limited") != 1 {
		t.Errorf("%v and %v limited", a.exchanges("client", "limited"), b.exchanges("server", "limited"))
	}
}
