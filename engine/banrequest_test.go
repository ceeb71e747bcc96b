package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func (c *council) request(i, node int) (BanRequest, bool) {
	return c.rigs[i].Snapshot().Requests.Get(proTx(node))
}

func TestBanRequest_Height(t *testing.T) {
	for _, x := range []struct {
		since, tip, height int32
		ok                 bool
	}{
		{0, 0, 0, true},
		{9, 9, 0, false},
		{9, 10, 8, true}, // two blocks below the tip
		{16, 17, 8, true},
		{16, 18, 16, true},
		{17, 17, 8, false}, // others may have gone on
		{17, 18, 16, true},
		{12, 105, 96, true},
		{12, 106, 104, true},
	} {
		if height, ok := (BanRequest{Since: x.since}).height(x.tip); height != x.height || ok != x.ok {
			t.Errorf("asked at %d, tip %d: height %d, %v; want %d, %v", x.since, x.tip, height, ok, x.height, x.ok)
		}
	}
}

// Members that come to it at different times sign at one height.
func TestBanRequest_AskedForAtDifferentTips(t *testing.T) {
	for _, x := range []struct {
		asked  []int32
		height int32
		at     int32 // the flag is set
	}{
		{[]int32{10, 12, 16}, 8, 16},
		{[]int32{11, 15, 17}, 16, 18},
		{[]int32{11, 13, 25}, 24, 26},
		{[]int32{18, 20, 24}, 16, 24}, // the last that takes part
		{[]int32{18, 20, 25}, 24, 26},
	} {
		c := newCouncil(t, 4, 3)
		for i, tip := range x.asked {
			c.until(tip)
			c.ask(i, c.node(victim))
			c.deliver()
		}
		if c.tip.Height < x.at {
			c.until(x.at - 1)
			c.wantFlags(fmt.Sprintf("asked at %v, a block before", x.asked), c.node(victim), state.NoHeight)
			c.until(x.at)
		}
		c.wantFlags(fmt.Sprintf("asked at %v", x.asked), c.node(victim), x.height)
		c.next()
		for i := range x.asked {
			r, _ := c.request(i, c.node(victim))
			if r.Stands() || r.Done != x.height || !slices.Contains(r.Signed, x.height) {
				t.Errorf("asked at %v: member %d's request is %+v, want it done at %d", x.asked, i, r, x.height)
			}
		}
		if _, has := c.request(3, c.node(victim)); has {
			t.Error("a member that was not asked has a request")
		}
	}
}

func TestBanRequest_Refused(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	c.next(c.revoke(2))
	for what, x := range map[string]struct {
		in     RequestBan
		reason validation.Reason
	}{
		"nobody":                     {RequestBan{ProTxHash: wire.Hash{99}}, validation.RequestRefused},
		"a regular node":             {RequestBan{ProTxHash: proTx(c.node(servant))}, validation.RequestRefused},
		"a PoSe-banned node":         {RequestBan{ProTxHash: proTx(2)}, validation.RequestRefused},
		"ourselves":                  {RequestBan{ProTxHash: proTx(0)}, validation.RequestRefused},
		"withdrawn, never asked for": {RequestBan{ProTxHash: proTx(c.node(victim)), Withdraw: true}, validation.RequestRefused},
	} {
		if v, out := c.step(0, x.in); v != x.reason.Verdict() || len(out.Writes)+len(out.Shares) > 0 {
			t.Errorf("%s: %+v, %d writes, want %+v and none", what, v, len(out.Writes), x.reason.Verdict())
		}
	}
	for i := range 2 {
		c.ask(i, c.node(victim))
	}
	c.deliver()
	c.want(0, RequestBan{ProTxHash: proTx(c.node(victim))}, validation.RequestRefused) // flagged
	c.next()
	c.want(0, RequestBan{ProTxHash: proTx(c.node(victim)), Withdraw: true}, validation.RequestRefused) // done

	for what, node := range map[string]int{"a node that is no member": 3, "an observer": -1} {
		r := stored(t, c.network, node)
		r.at(c.chain[0].Header.Slot)
		r.feed(Block{Block: c.chain[0]})
		if v, out := r.feed(RequestBan{ProTxHash: proTx(0)}); v != validation.RequestNoMember.Verdict() || len(out.Writes) > 0 {
			t.Errorf("%s: %+v", what, v)
		}
	}
	delete(c.rigs[1].keyShares, state.QuorumKey(params.TestPlatform, testQuorum))
	c.want(1, RequestBan{ProTxHash: proTx(0)}, validation.RequestNoMember)
}

// revoke takes a node's operator key back, which PoSe-bans it.
func (c *council) revoke(node int) wire.Event {
	e := wire.Revoke{EventHead: c.head(1), ProTxHash: proTx(node)}
	e.Signature = wire.Signature(c.operator[node].Sign(e.SignHash()).Bytes())
	return e
}

func TestBanRequest_Withdrawn(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.until(12)
	c.ask(0, c.node(victim))
	c.ask(1, c.node(victim))
	c.deliver()
	c.want(0, RequestBan{ProTxHash: proTx(c.node(victim)), Withdraw: true}, validation.Valid)
	if _, has := c.request(0, c.node(victim)); has || len(c.rigs[0].disk[KindRequest]) > 0 {
		t.Error("withdrawn, and it is there")
	}
	c.lose = func(p parcel) bool {
		if _, shares := p.in.(Shares); shares && p.from == 0 {
			t.Errorf("at %d a member sends its share of what it withdrew", c.tip.Height)
		}
		return false
	}
	c.until(18)
	c.ask(2, c.node(victim)) // the third, but of another height
	c.until(32)
	c.wantFlags("one has withdrawn", c.node(victim), state.NoHeight)
	c.lose = nil
	c.ask(0, c.node(victim))
	c.deliver()
	c.wantFlags("and asks again", c.node(victim), 24)
}

func TestBanRequest_Expires(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.until(12)
	c.ask(0, c.node(victim))
	c.until(12 + params.BanRequestLife - 1)
	r, has := c.request(0, c.node(victim))
	if want := []int32{8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104}; !has || !r.Stands() || !slices.Equal(r.Signed, want) {
		t.Fatalf("a block before it expires: %+v, %v; want signed at %v", r, has, want)
	}
	c.up(0)
	if again, _ := c.request(0, c.node(victim)); fmt.Sprint(again) != fmt.Sprint(r) {
		t.Errorf("after a restart %+v, want %+v", again, r)
	}
	c.next()
	if _, has := c.request(0, c.node(victim)); has || len(c.rigs[0].disk[KindRequest]) > 0 {
		t.Errorf("at %d it has not expired", c.tip.Height)
	}
	c.until(c.tip.Height + 8)
	if n := len(c.rigs[0].disk[KindSigned]); n != 13 {
		t.Errorf("%d votes, want those of the 13 heights", n)
	}
}

// A ban that is asked for again lives on from there.
func TestBanRequest_AskedForAgain(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.until(12)
	c.ask(0, c.node(victim))
	c.until(30)
	c.ask(0, c.node(victim))
	r, _ := c.request(0, c.node(victim))
	if r.Since != 30 || r.Until != 30+params.BanRequestLife || !slices.Equal(r.Signed, []int32{24}) {
		t.Errorf("asked for again: %+v", r)
	}
}

// What ends a request beside time.
func TestBanRequest_EndsWithItsNode(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.until(12)
	c.ask(0, c.node(victim))
	c.ask(1, 3)
	c.next(c.revoke(3))
	if _, has := c.request(1, 3); has {
		t.Error("the node is PoSe-banned, the request stands")
	}
	if _, has := c.request(0, c.node(victim)); !has {
		t.Error("nothing happened to the node, the request is gone")
	}
}

// Beside the flag it stays, to explain it.
func TestBanRequest_StaysWhileTheFlagIsSet(t *testing.T) {
	c := newCouncilOf(t, "core", 3, 2)
	c.until(12)
	c.ask(0, 2)
	c.ask(1, 2)
	c.deliver()
	c.wantFlags("asked", 2, 8)
	c.next()
	c.up(0)
	c.next()
	if r, has := c.request(0, 2); !has || r.Done != 8 {
		t.Errorf("the flag is set, and the request %+v, %v", r, has)
	}
	c.next(c.update(2, 1, "/ip4/127.0.0.1/udp/7777/quic-v1")) // clears it
	if r, has := c.request(0, 2); has || len(c.rigs[0].disk[KindRequest]) > 0 {
		t.Errorf("the flag is cleared, the request stays: %+v", r)
	}
}

func TestBanRequest_Bounded(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	out := new(Effects)
	for i := range params.MaxBanRequests {
		c.rigs[0].keepRequest(BanRequest{ProTxHash: wire.Hash{200, byte(i)}, Until: 100}, out)
	}
	c.want(0, RequestBan{ProTxHash: proTx(c.node(victim))}, validation.RequestRefused)
	c.rigs[0].keepRequest(BanRequest{ProTxHash: wire.Hash{200, 7}, Done: 7}, out)
	c.rigs[0].keepRequest(BanRequest{ProTxHash: wire.Hash{200, 5}, Done: 5}, out)
	c.rigs[0].disk.apply(out.Writes)
	c.want(0, RequestBan{ProTxHash: proTx(c.node(victim))}, validation.Valid)
	left := c.rigs[0].Snapshot().Requests
	_, five := left.Get(wire.Hash{200, 5})
	_, seven := left.Get(wire.Hash{200, 7})
	if left.Len() != params.MaxBanRequests || len(c.rigs[0].disk[KindRequest]) != left.Len() || five || !seven {
		t.Errorf("%d requests, %d stored, the oldest flag's is there: %v, the newer one's: %v", left.Len(), len(c.rigs[0].disk[KindRequest]), five, seven)
	}
}

// Who is behind signs nothing, and goes on when it has caught up.
func TestBanRequest_NotSynced(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	late := c.genesis.SlotStart(c.tip.Slot + 100)
	c.step(0, Tick{late})
	if _, out := c.step(0, RequestBan{ProTxHash: proTx(c.node(victim))}); len(out.Shares) > 0 {
		t.Error("it signs at an old tip")
	}
	old := c.block()
	c.step(0, Block{Block: old})
	if r, _ := c.request(0, c.node(victim)); len(r.Signed) > 0 || c.rigs[0].Snapshot().Tip != c.tip {
		t.Errorf("it has heard an old block, and signs: %+v", r)
	}
	c.tip.Slot += 96
	b := c.block()
	c.hear(0, b)
	if r, _ := c.request(0, c.node(victim)); !slices.Equal(r.Signed, []int32{8}) {
		t.Errorf("synced again: %+v", r)
	}
}

func TestBanRequest_Check(t *testing.T) {
	for _, x := range []struct {
		r  BanRequest
		ok bool
	}{
		{BanRequest{}, true},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{8, 16}}, true},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{4, 112}, Done: 4}, true},
		{BanRequest{Since: 3, Until: 103, Signed: []int32{0}, Done: 1}, true},
		{BanRequest{Since: -1, Until: 112}, false},
		{BanRequest{Since: 12, Until: 11}, false},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{3}}, false},
		{BanRequest{Since: 3, Until: 103, Signed: []int32{-1}}, false},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{113}}, false},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{16, 8}}, false},
		{BanRequest{Since: 12, Until: 112, Signed: []int32{16, 16}}, false},
		{BanRequest{Since: 12, Until: 112, Done: 3}, false},
		{BanRequest{Since: 3, Until: 112, Done: -1}, false},
	} {
		if err := x.r.check(); (err == nil) != x.ok {
			t.Errorf("%+v: %v, want sound %t", x.r, err, x.ok)
		}
	}
	c := newCouncil(t, 3, 2)
	c.until(12)
	c.ask(0, c.node(victim))
	for key, value := range c.rigs[0].disk[KindRequest] {
		c.rigs[0].disk[KindRequest][key] = bytes.Replace(value, []byte(`"since":12`), []byte(`"since":1200`), 1)
	}
	if _, _, err := Restore(c.configOf(0), c.rigs[0].disk); !errors.Is(err, ErrCorrupt) || !errors.Is(err, state.ErrRecord) {
		t.Errorf("a record that contradicts itself: %v, want %v", err, state.ErrRecord)
	}
}

// What a quorum signed for the request of a ban, and is not the ban.
func TestBanRequest_AnotherMessageIsNoBan(t *testing.T) {
	other := banOf(3+victim, 8)
	other.MessageHash = wire.Hash{1}
	for _, first := range []bool{false, true} {
		c := newCouncil(t, 3, 2)
		c.until(12)
		heard := func() {
			c.want(0, Recovered{"p", c.signedBy(other, 2), wire.OperatorKey(c.quorum.Bytes())}, validation.Valid)
		}
		if first {
			heard()
		}
		c.ask(0, c.node(victim))
		if !first {
			heard()
		}
		c.next()
		c.wantFlags(fmt.Sprintf("signed something else first %t", first), c.node(victim), state.NoHeight)
		if _, has := c.request(0, c.node(victim)); !has {
			t.Error("the request is gone")
		}
	}
}

// A signature that was not collected here bans as well, where it was asked for.
func TestBanRequest_UsesASignatureItHears(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.lose = func(p parcel) bool { _, ban := p.in.(Ban); return ban }
	c.until(12)
	for i := range 3 {
		c.ask(i, c.node(victim))
	}
	c.deliver()
	for i, want := range []bool{true, true, true, false} {
		if got := c.rigs[i].flagOf(c.node(victim)).Set(); got != want {
			t.Errorf("member %d: flag set is %v, want %v", i, got, want)
		}
	}
	if n := len(c.said[TopicPlatformBan]); n != 1 {
		t.Errorf("%d different bans, want 1", n)
	}
}
