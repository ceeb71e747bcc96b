package gossip

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// proTx names the nth peer of a test as a service node.
func proTx(n int) wire.Hash { return wire.Hash{byte(n), 0xff} }

// shareOf is a message of shares whose number and content say which it is.
func shareOf(n int) wire.SigShares { return wire.SigShares{{Type: 106, Member: uint16(n)}} }

// enrol makes services the service nodes that their numbers name, each
// of which knows all.
func enrol(nodes map[int]*node) {
	keys, where := make(map[wire.Hash]wire.ServiceKey), make(map[wire.Hash]peer.AddrInfo)
	for n, x := range nodes {
		keys[proTx(n)], where[proTx(n)] = serviceKey(n), x.info()
	}
	for n, x := range nodes {
		x.set(func(b *backend) { b.keys, b.where, b.status.ProTxHash = keys, where, proTx(n) })
	}
}

func (n *node) shareMessages(role, result string) float64 {
	return n.value("proctor_gossip_share_messages_total", "role", role, "result", result)
}

func (n *node) sharesTaken() []engine.Shares {
	return read(n, func(b *backend) []engine.Shares { return slices.Clone(b.shares) })
}

// Shares reach the member that they are for, which is dialled if need be, and
// tell it which node they come from.
func TestShares_ReachTheirNode(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b, c := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address)), run(t, 3, listen(tr.address))
			enrol(map[int]*node{1: a, 2: b, 3: c})
			for i := range 20 {
				a.SendShares(engine.SendShares{To: proTx(2), Shares: shareOf(i)})
			}
			b.SendShares(engine.SendShares{To: proTx(1), Shares: shareOf(7)})
			await(t, "the shares", func() bool { return len(b.sharesTaken()) == 20 && len(a.sharesTaken()) == 1 })
			for i, s := range b.sharesTaken() {
				if s.From != a.peer() || s.ProTxHash != proTx(1) || s.Shares[0].Member != uint16(i) {
					t.Errorf("message %d: %+v", i, s)
				}
			}
			await(t, "the count", func() bool {
				return a.shareMessages("client", "done") == 20 && b.shareMessages("server", "done") == 20 && b.shareMessages("client", "done") == 1
			})
			if len(c.sharesTaken()) != 0 || len(a.Peers()) != 1 {
				t.Error("somebody else was bothered")
			}
		})
	}
}

// A peer that no registered key belongs to has no shares.
func TestShares_OfStrangersAreCharged(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	stream := s.open(n, n.protocol("qsigshare"))
	stream.Write(frame(shareOf(1).Bytes()))
	await(t, "the charge", func() bool { return slices.Equal(n.offences(), []engine.Peer{engine.Peer(s.ID())}) })
	if got := n.shareMessages("server", "stranger"); got != 1 || len(n.sharesTaken()) != 0 {
		t.Errorf("%v messages of strangers counted, %d taken", got, len(n.sharesTaken()))
	}

	// Registered later, under the identity that it has always had.
	n.set(func(b *backend) { b.keys[proTx(2)] = serviceKey(2) })
	if _, err := s.sendShares(n, frame(shareOf(1).Bytes())); err != nil {
		t.Errorf("a node that was registered after its handshake: %v", err)
	}
	// And gone again: what it proved at the handshake was nothing.
	n.set(func(b *backend) { delete(b.keys, proTx(2)) })
	if _, err := s.sendShares(n, frame(shareOf(1).Bytes())); err == nil {
		t.Error("a node that is not registered any more was taken for one")
	}
	if got := n.sharesTaken(); len(got) != 1 || got[0].ProTxHash != proTx(2) {
		t.Errorf("taken %+v", got)
	}
}

// A node that was registered when it made the handshake may have left since,
// and be a member still.
func TestShares_OfANodeThatLeft(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	n.set(func(b *backend) { b.keys[proTx(2)] = serviceKey(2) })
	s.dial(n)
	st := goodStatus()
	st.ProTxHash = proTx(2)
	if g := s.greet(n, st); g != welcome {
		t.Fatalf("answered %s", g)
	}
	await(t, "the stranger to be met", func() bool { return len(n.Peers()) == 1 })
	n.set(func(b *backend) { delete(b.keys, proTx(2)) })
	if _, err := s.sendShares(n, frame(shareOf(1).Bytes())); err != nil {
		t.Error(err)
	}
	if got := n.sharesTaken(); len(got) != 1 || got[0].ProTxHash != proTx(2) || len(n.offences()) != 0 {
		t.Errorf("taken %+v, offences %v", got, n.offences())
	}
}

// sendShares writes bytes to a stream of shares and returns how it ended.
func (s *stranger) sendShares(n *node, b []byte) ([]byte, error) {
	s.t.Helper()
	stream := s.open(n, n.protocol("qsigshare"))
	defer stream.Reset()
	stream.Write(b)
	stream.CloseWrite()
	return io.ReadAll(stream)
}

func TestShares_Malformed(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	n.set(func(b *backend) { b.keys[proTx(2)] = serviceKey(2) })
	s.meet(n)
	good := shareOf(1).Bytes()
	tooMany := make(wire.SigShares, wire.MaxSigShares+1).Bytes()
	for i, c := range []struct {
		name string
		sent []byte
	}{
		{"none", frame([]byte{0})},
		{"empty", frame(nil)},
		{"short", frame(good[:len(good)-1])},
		{"long", frame(append(slices.Clone(good), 0))},
		{"too many", frame(tooMany)},
		{"longer than may be", frame(make([]byte, wire.MaxSigSharesSize+1))},
		{"a length without end", binary.BigEndian.AppendUint32(nil, 1<<31)},
	} {
		if _, err := s.sendShares(n, c.sent); err == nil {
			t.Errorf("%s: the stream ended well", c.name)
		}
		if got := read(n, func(b *backend) []validation.Verdict { return b.named }); len(got) != i+1 || got[i] != validation.Malformed.Verdict() {
			t.Errorf("%s: judged %v", c.name, got)
		}
	}
	if got := n.shareMessages("server", "malformed"); got != 7 || len(n.sharesTaken()) != 0 {
		t.Errorf("%v malformed messages counted, %d taken", got, len(n.sharesTaken()))
	}
	// What breaks off is nobody's fault.
	s.sendShares(n, frame(good)[:20])
	await(t, "the count", func() bool { return n.shareMessages("server", "failed") == 1 })
	if got := read(n, func(b *backend) int { return len(b.named) + len(b.offences) }); got != 7 {
		t.Errorf("%d offences, want 7", got)
	}
}

func TestShares_OfOnePeerAreLimited(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	n.set(func(b *backend) { b.keys[proTx(2)] = serviceKey(2) })
	s.meet(n)
	full, start := frame(make(wire.SigShares, wire.MaxSigShares).Bytes()), time.Now()
	if _, err := s.sendShares(n, full); err != nil {
		t.Fatalf("the first: %v", err)
	}
	if left := n.shares.taken.buckets[s.ID()].TokensAt(start); left != sharesBurst-wire.MaxSigShares {
		t.Errorf("%v shares are left to the peer, want %d", left, sharesBurst-wire.MaxSigShares)
	}
	n.shares.taken.allow(s.ID(), sharesBurst, time.Now().Add(time.Hour)) // none are left until then
	if _, err := s.sendShares(n, full); err == nil {
		t.Error("more were taken than may be")
	}
	if got := n.shareMessages("server", "limited"); got != 1 || len(n.sharesTaken()) != 1 || len(n.offences()) != 0 {
		t.Errorf("%v limited, %d messages taken, offences %v", got, len(n.sharesTaken()), n.offences())
	}
}

// A node that does not answer costs its own shares and holds up nobody's.
func TestShares_DeadNodesHoldUpNobody(t *testing.T) {
	silent := listenSilently(t)
	a, b := run(t, 1), run(t, 2)
	enrol(map[int]*node{1: a, 2: b})
	a.set(func(x *backend) {
		for n := 3; n < 3+shareSenders-1; n++ {
			x.where[proTx(n)] = peer.AddrInfo{ID: id(t, n), Addrs: []multiaddr.Multiaddr{silent}}
		}
	})
	for n := 3; n < 3+shareSenders-1; n++ {
		a.SendShares(engine.SendShares{To: proTx(n), Shares: shareOf(1)})
	}
	start := time.Now()
	a.SendShares(engine.SendShares{To: proTx(2), Shares: shareOf(1)})
	await(t, "the shares", func() bool { return len(b.sharesTaken()) == 1 })
	if waited := time.Since(start); waited > dialTimeout/2 {
		t.Errorf("waited %s for nodes that do not answer", waited)
	}
	a.SendShares(engine.SendShares{To: proTx(200), Shares: shareOf(1)}) // nobody
	await(t, "the failure", func() bool { return a.shareMessages("client", "failed") >= 1 })
}

// listenSilently is a place that takes connections and says nothing.
func listenSilently(t *testing.T) multiaddr.Multiaddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	return multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + strconv.Itoa(port))
}

func TestShareQueue(t *testing.T) {
	q := newShareQueue()
	for i := range maxShareSends {
		if !q.add(engine.SendShares{To: proTx(i % 3), Shares: shareOf(i)}) {
			t.Fatalf("no room for %d", i)
		}
	}
	if q.add(engine.SendShares{To: proTx(0), Shares: shareOf(0)}) {
		t.Error("there is room without end")
	}
	if len(q.ready) != 3 {
		t.Fatalf("%d nodes are ready, want 3", len(q.ready))
	}
	to := <-q.ready
	for i := range 2 {
		if m, ok := q.next(to); !ok || m[0].Member != uint16(3*i) {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	if !q.add(engine.SendShares{To: to, Shares: shareOf(0)}) || len(q.ready) != 2 {
		t.Error("a node that is being sent to was given to another sender")
	}
	if n := q.drop(to); n != maxShareSends/3+1-2+1 {
		t.Errorf("%d given up", n)
	}
	if _, ok := q.next(to); ok {
		t.Error("something is left")
	}
	if !q.add(engine.SendShares{To: to, Shares: shareOf(0)}) || len(q.ready) != 3 {
		t.Error("a node that nobody sends to is not ready")
	}
}
