package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/proctornet/proctor/wire"
)

// ban is the nth ban signed at a height.
func ban(height, n int) (m wire.PlatformBan) {
	m.SignedHeight = int32(height)
	binary.BigEndian.PutUint32(m.ProTxHash[:], uint32(n))
	return m
}

// bansAt are bans of the heights, one of each.
func bansAt(heights ...int) (all []wire.PlatformBan) {
	for _, h := range heights {
		all = append(all, ban(h, h))
	}
	return all
}

// sorted puts bans into the order of an answer.
func sorted(all ...wire.PlatformBan) []wire.PlatformBan {
	b := newBackend()
	b.keep(all...)
	return b.bans
}

func (n *node) has(all ...wire.PlatformBan) { n.set(func(b *backend) { b.keep(all...) }) }

func (n *node) inventoryOf() []wire.PlatformBan {
	return read(n, func(b *backend) []wire.PlatformBan { return slices.Clone(b.bans) })
}

func (n *node) exchanges(role, result string) float64 {
	return n.value("proctor_gossip_inventory_exchanges_total", "role", role, "result", result)
}

func (n *node) inventoryBans(result string) float64 {
	return n.value("proctor_gossip_inventory_bans_total", "result", result)
}

func frames(all ...wire.PlatformBan) (b []byte) {
	for _, m := range all {
		b = append(b, frame(m.Bytes())...)
	}
	return b
}

// ask puts a question to a service and returns all that it answers.
func (s *stranger) ask(n *node, request []byte) ([]byte, error) {
	s.t.Helper()
	stream := s.open(n, n.protocol("inventory"))
	defer stream.Reset()
	stream.Write(request)
	stream.CloseWrite()
	return io.ReadAll(stream)
}

func askSummary(digest [wire.BanDigestSize]byte) []byte {
	return frame(wire.InventoryRequest{Kind: wire.AskSummary, Digest: digest}.Bytes())
}

func askRange(from, to, count int) []byte {
	return frame(wire.InventoryRequest{Kind: wire.AskRange, Range: wire.BanRange{From: int32(from), To: int32(to), Count: uint16(count)}}.Bytes())
}

func askBans(all ...wire.PlatformBan) []byte {
	q := wire.InventoryRequest{Kind: wire.AskBans}
	for _, m := range all {
		q.Hashes = append(q.Hashes, m.InventoryHash())
	}
	return frame(q.Bytes())
}

func TestInventory_IsServed(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			all := sorted(append(bansAt(5, 6, 9), ban(6, 60))...)
			n, s := run(t, 1, listen(tr.address)), newStranger(t, 2)
			n.has(all...)
			s.meet(n)
			for _, c := range []struct {
				name    string
				request []byte
				want    []byte
			}{
				{"equal inventories", askSummary(summary(all).Digest()), []byte{0, 0, 0, 0}},
				{"other inventories", askSummary([wire.BanDigestSize]byte{}), frame(summary(all).Bytes())},
				{"one height", askRange(5, 5, 256), frames(all[0])},
				{"all heights", askRange(-9, 99, 256), frames(all...)},
				{"the first ones", askRange(0, 99, 2), frames(all[:2]...)},
				{"none there", askRange(7, 8, 256), nil},
				{"by hash", askBans(all[3], ban(1, 1), all[0]), frames(all[0], all[3])},
				{"by hashes that nobody knows", askBans(ban(1, 1)), nil},
			} {
				if got, err := s.ask(n, c.request); err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("%s: answer %x, %v, want %x", c.name, got, err, c.want)
				}
			}
			if len(n.offences()) != 0 {
				t.Errorf("offences %v", n.offences())
			}
			if n.exchanges("server", "equal") != 1 || n.exchanges("server", "done") != 7 || n.inventoryBans("served") != 9 {
				t.Errorf("%v equal, %v done, %v bans served", n.exchanges("server", "equal"), n.exchanges("server", "done"), n.inventoryBans("served"))
			}
		})
	}
}

func TestInventory_BadRequests(t *testing.T) {
	good := askRange(1, 2, 3)
	for i, c := range []struct {
		name    string
		request []byte
		offence bool
	}{
		{"empty frame", frame(nil), true},
		{"unknown kind", frame([]byte{9}), true},
		{"no range", frame([]byte{2}), true},
		{"oversized", binary.BigEndian.AppendUint32(nil, wire.MaxInventoryRequestSize+1), true},
		{"half a request", good[:9], false},
		{"nothing", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1), newStranger(t, 10+i)
			s.meet(n)
			if got, err := s.ask(n, c.request); err == nil || len(got) != 0 {
				t.Errorf("answered %x, %v, want a reset", got, err)
			}
			if got := len(n.offences()) == 1; got != c.offence {
				t.Errorf("offences %v", n.offences())
			}
			if n.exchanges("server", "malformed")+n.exchanges("server", "failed") != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestInventory_NotBeforeTheHandshake(t *testing.T) {
	n, s := run(t, 1, patience(200*time.Millisecond)), newStranger(t, 2)
	n.has(bansAt(5)...)
	s.dial(n)
	if got, err := s.ask(n, askRange(1, 9, 9)); err == nil || len(got) != 0 {
		t.Errorf("answered %x, %v, want a reset", got, err)
	}
}

// limited reports whether an answer is the refusal of one who asks too much.
func limited(b []byte, err error) bool {
	var end *network.StreamError
	return len(b) == 0 && errors.As(err, &end) && end.ErrorCode == network.StreamRateLimited
}

func TestInventory_SummariesAreLimited(t *testing.T) {
	n, s, other := prepare(t, 1), newStranger(t, 2), newStranger(t, 3)
	n.inventory.exchanges = newPeerLimits(time.Hour, exchangeBurst) // nothing comes back during the test
	n.start()
	s.meet(n)
	other.meet(n)
	for i := range exchangeBurst {
		if _, err := s.ask(n, askSummary([wire.BanDigestSize]byte{})); err != nil {
			t.Fatalf("summary %d: %v", i+1, err)
		}
	}
	if b, err := s.ask(n, askSummary([wire.BanDigestSize]byte{})); !limited(b, err) {
		t.Errorf("one too many was answered %x, %v", b, err)
	}
	if b, err := s.ask(n, askRange(1, 9, 9)); err != nil {
		t.Errorf("bans were answered %x, %v", b, err)
	}
	if _, err := other.ask(n, askSummary([wire.BanDigestSize]byte{})); err != nil {
		t.Errorf("another peer: %v", err)
	}
	n.inventory.everybody.SetBurst(0) // as if all peers together asked too often
	if b, err := other.ask(n, askSummary([wire.BanDigestSize]byte{})); !limited(b, err) {
		t.Errorf("above the limit of all: %x, %v", b, err)
	}
	if got := n.exchanges("server", "limited"); got != 2 || len(n.offences()) != 0 {
		t.Errorf("%v refusals counted, offences %v", got, n.offences())
	}
}

func TestInventory_ItemsAreLimited(t *testing.T) {
	n, s := prepare(t, 1), newStranger(t, 2)
	n.inventory.items = newPeerLimits(time.Hour, 1000) // nothing comes back during the test
	n.start()
	var all []wire.PlatformBan
	for i := range wire.MaxListedBans {
		all = append(all, ban(5, i))
	}
	n.has(all...)
	s.meet(n)
	left := 1000
	for ; left > wire.MaxListedBans; left -= wire.MaxListedBans + 1 {
		if b, err := s.ask(n, askRange(5, 5, wire.MaxListedBans)); err != nil || len(b) != len(frames(all...)) {
			t.Fatalf("%d bytes with %d items left: %v", len(b), left, err)
		}
	}
	if b, err := s.ask(n, askRange(5, 5, wire.MaxListedBans)); !limited(b, err) {
		t.Errorf("more than the limit: %d bytes, %v", len(b), err)
	}
	for left--; left > 0; left-- { // a request for nothing is one item
		if b, err := s.ask(n, askRange(6, 6, 1)); err != nil || len(b) != 0 {
			t.Fatalf("%d bytes with %d items left: %v", len(b), left, err)
		}
	}
	if b, err := s.ask(n, askBans(ban(1, 1))); !limited(b, err) {
		t.Errorf("a request with no items left: %d bytes, %v", len(b), err)
	}
}

// Source: spec/gossip.md 3.4.
func TestInventory_Limits(t *testing.T) {
	v := newInventory()
	for _, c := range []struct {
		name  string
		l     *peerLimits
		every time.Duration
		burst int
	}{
		{"exchanges, 6 a minute", v.exchanges, 10 * time.Second, 3},
		{"items, 2000 a minute", v.items, 30 * time.Millisecond, 2000},
	} {
		if c.l.every != c.every || c.l.burst != c.burst {
			t.Errorf("%s: one in %s, %d at once", c.name, c.l.every, c.l.burst)
		}
	}
	if v.everybody.Limit() != 20 {
		t.Errorf("%v exchanges a second", v.everybody.Limit())
	}
}

func TestStepDeadline(t *testing.T) {
	if d := time.Until(stepDeadline(time.Now().Add(time.Second))); d > time.Second {
		t.Errorf("a step ends %s from now, after the whole", d)
	}
	if d := time.Until(stepDeadline(time.Now().Add(time.Hour))); d > inventoryStep || d < inventoryStep-time.Second {
		t.Errorf("a step of %s", d)
	}
}
