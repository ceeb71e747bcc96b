package gossip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

func block(height int) wire.Block {
	return wire.Block{Header: wire.Header{Height: int32(height), Slot: uint64(height), Content: wire.Content{}.Hash()}}
}

func blockRange(from, count int) wire.BlockRange {
	return wire.BlockRange{From: int32(from), Count: uint16(count)}
}

// blockServer serves any range of a branch of 300 blocks, f in the middle.
func blockServer(f func()) func(wire.BlockRange) ([][]byte, error) {
	return func(q wire.BlockRange) (blocks [][]byte, err error) {
		f()
		for h := int(q.From); h < int(q.From)+int(q.Count) && h <= 300; h++ {
			blocks = append(blocks, block(h).Bytes())
		}
		return blocks, nil
	}
}

// heights is the answer to the only Fetch so far.
func (n *node) heights() []int {
	n.t.Helper()
	await(n.t, "the answer", func() bool { return read(n, func(b *backend) int { return len(b.fetched) }) == 1 })
	f := read(n, func(b *backend) engine.Fetched { return b.fetched[0] })
	heights := make([]int, 0)
	for _, b := range f.Blocks {
		heights = append(heights, int(b.Header.Height))
	}
	n.set(func(b *backend) { b.fetched = nil })
	return heights
}

func span(from, to int) []int {
	s := make([]int, 0)
	for h := from; h <= to; h++ {
		s = append(s, h)
	}
	return s
}

func TestBlocks_RangesAreServed(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b := run(t, 1, listen(tr.address)), run(t, 2, listen(tr.address))
			b.set(func(x *backend) { x.serve = blockServer(func() {}) })
			a.dial(b)
			await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
			for _, c := range []struct {
				name string
				q    wire.BlockRange
				want []int
			}{
				{"one", blockRange(1, 1), span(1, 1)},
				{"most", blockRange(10, wire.MaxRangeBlocks), span(10, 265)},
				{"up to the tip", blockRange(290, 20), span(290, 300)},
				{"above the tip", blockRange(301, 20), span(1, 0)},
			} {
				a.Fetch(engine.Fetch{Peer: b.peer(), Range: c.q})
				if got := a.heights(); !slices.Equal(got, c.want) {
					t.Errorf("%s: heights %v, want %v", c.name, got, c.want)
				}
			}
			if len(a.offences())+len(b.offences()) != 0 {
				t.Errorf("offences %v %v", a.offences(), b.offences())
			}
		})
	}
}

// However much is asked for, an answer is read block by block and ends.
func TestBlocks_AnswersAreBounded(t *testing.T) {
	var content wire.Content
	for i := range wire.MaxBlockEvents {
		long := "/" + strings.Repeat("a", wire.MaxAddressLength-1)
		content.Events = append(content.Events, wire.UpdateService{
			EventHead: wire.EventHead{Sequence: uint64(i)}, Addresses: []string{long, long, long, long},
		})
	}
	heavy := wire.Block{Header: wire.Header{Height: 1, Slot: 1, Content: content.Hash()}, Content: content}.Bytes()
	a, b := run(t, 1), run(t, 2)
	b.set(func(x *backend) {
		x.serve = func(q wire.BlockRange) ([][]byte, error) { return slices.Repeat([][]byte{heavy}, int(q.Count)), nil }
	})
	a.dial(b)
	await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
	a.Fetch(engine.Fetch{Peer: b.peer(), Range: blockRange(1, wire.MaxRangeBlocks)})
	want := (maxFetched + len(heavy) - 1) / len(heavy)
	if got := len(a.heights()); got != want {
		t.Errorf("%d blocks of %d bytes, want %d", got, len(heavy), want)
	}
	requests := read(b, func(x *backend) []wire.BlockRange { return slices.Clone(x.requests) })
	if len(requests) != want {
		t.Errorf("%d blocks were read, want %d", len(requests), want)
	}
	for i, q := range requests {
		if q != blockRange(1+i, 1) {
			t.Errorf("read %+v as the %dth", q, i+1)
		}
	}
}

// What could be read before a failure is sent.
func TestBlocks_BackendFailsOnTheWay(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	b.set(func(x *backend) {
		x.serve = func(q wire.BlockRange) ([][]byte, error) {
			if q.From == 3 {
				return nil, errors.New("disk")
			}
			return [][]byte{block(int(q.From)).Bytes()}, nil
		}
	})
	a.dial(b)
	await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
	a.Fetch(engine.Fetch{Peer: b.peer(), Range: blockRange(1, 9)})
	if got := a.heights(); len(got) > 2 { // the reset may overtake them
		t.Errorf("heights %v", got)
	}
	if len(a.offences()) != 0 || len(b.logs.with("ERROR")) != 1 {
		t.Errorf("offences %v, log %q", a.offences(), b.logs.with("ERROR"))
	}
}

func TestBlocks_BadRequests(t *testing.T) {
	for i, c := range []struct {
		name    string
		request []byte
		offence bool
	}{
		{"height 0", blockRange(0, 1).Bytes(), true},
		{"negative height", blockRange(-1, 1).Bytes(), true},
		{"no blocks", blockRange(1, 0).Bytes(), true},
		{"one too many", blockRange(1, wire.MaxRangeBlocks+1).Bytes(), true},
		{"half a request", blockRange(1, 1).Bytes()[:3], false},
		{"nothing", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1), newStranger(t, 10+i)
			n.set(func(b *backend) { b.serve = blockServer(func() {}) })
			s.meet(n)
			stream := s.open(n, n.protocol("blocks"))
			stream.Write(c.request)
			stream.CloseWrite()
			if got, err := io.ReadAll(stream); err == nil || len(got) != 0 {
				t.Errorf("answered %d bytes, %v, want a reset", len(got), err)
			}
			if got := len(n.offences()) == 1; got != c.offence {
				t.Errorf("offences %v", n.offences())
			}
			if read(n, func(b *backend) int { return len(b.requests) }) != 0 {
				t.Error("the backend was asked")
			}
		})
	}
}

func TestBlocks_BackendFails(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	b.set(func(x *backend) { x.serve = func(wire.BlockRange) ([][]byte, error) { return nil, errors.New("disk") } })
	a.dial(b)
	await(t, "both to meet", func() bool { return a.contact(b.ID()) == "up" && b.contact(a.ID()) == "up" })
	a.Fetch(engine.Fetch{Peer: b.peer(), Range: blockRange(1, 1)})
	if got := a.heights(); len(got) != 0 {
		t.Errorf("heights %v", got)
	}
	if len(b.logs.with("ERROR")) != 1 || len(a.offences()) != 0 {
		t.Errorf("log %q, offences %v", b.logs.with("ERROR"), a.offences())
	}
}

func TestBlocks_NotBeforeTheHandshake(t *testing.T) {
	n, s := run(t, 1, patience(200*time.Millisecond)), newStranger(t, 2)
	n.set(func(b *backend) { b.serve = blockServer(func() {}) })
	s.dial(n)
	stream := s.open(n, n.protocol("blocks"))
	stream.Write(blockRange(1, 1).Bytes())
	if got, err := io.ReadAll(stream); err == nil || len(got) != 0 {
		t.Errorf("answered %d bytes, %v, want a reset", len(got), err)
	}
	if read(n, func(b *backend) int { return len(b.requests) }) != 0 {
		t.Error("the backend was asked")
	}
}

// Whatever a server sends, a Fetch is answered, with what was good of it.
func TestBlocks_BadServers(t *testing.T) {
	good := func(from, to int) (b []byte) {
		for h := from; h <= to; h++ {
			b = append(b, frame(block(h).Bytes())...)
		}
		return b
	}
	content := block(3)
	content.Header.Content = wire.Hash{1}
	for i, c := range []struct {
		name    string
		answer  []byte
		reset   bool
		want    []int
		offence bool
	}{
		{"nothing", nil, false, span(1, 0), false},
		{"a reset", nil, true, span(1, 0), false},
		{"garbage", frame([]byte("garbage")), false, span(1, 0), true},
		{"an empty block", frame(nil), false, span(1, 0), true},
		{"garbage behind good ones", append(good(1, 2), frame([]byte("garbage"))...), false, span(1, 2), true},
		{"wrong content behind good ones", append(good(1, 2), frame(content.Bytes())...), false, span(1, 2), true},
		{"too long", append(good(1, 2), frame(make([]byte, wire.MaxBlockSize+1))...), false, span(1, 2), true},
		{"length of 4 GiB", append(good(1, 2), 0xff, 0xff, 0xff, 0xff), false, span(1, 2), true},
		{"too many", good(1, 9), false, span(1, 5), false},
		{"half a block", good(1, 4)[:len(good(1, 4))-20], false, span(1, 3), false},
		{"a length and no block", good(1, 4)[:len(good(1, 3))+4], false, span(1, 3), false},
		{"half a length", good(1, 4)[:len(good(1, 3))+2], false, span(1, 3), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1), newStranger(t, 10+i)
			s.SetStreamHandler(n.protocol("blocks"), func(stream network.Stream) {
				io.ReadFull(stream, make([]byte, wire.BlockRangeSize))
				if c.reset {
					stream.Reset()
					return
				}
				io.Copy(stream, bytes.NewReader(c.answer))
				stream.Close()
			})
			s.meet(n)
			n.Fetch(engine.Fetch{Peer: engine.Peer(s.ID()), Range: blockRange(1, 5)})
			if got := n.heights(); !slices.Equal(got, c.want) {
				t.Errorf("heights %v, want %v", got, c.want)
			}
			if got := slices.Equal(n.offences(), []engine.Peer{engine.Peer(s.ID())}); got != c.offence {
				t.Errorf("offences %v, want one: %t", n.offences(), c.offence)
			}
		})
	}
}

func TestBlocks_SilentServer(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	hold := make(chan struct{})
	defer close(hold)
	s.SetStreamHandler(n.protocol("blocks"), func(stream network.Stream) {
		stream.Write(frame(block(1).Bytes()))
		<-hold
		stream.Reset()
	})
	s.meet(n)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	n.fetch(ctx, engine.Fetch{Peer: engine.Peer(s.ID()), Range: blockRange(1, 5)})
	if got := n.heights(); !slices.Equal(got, span(1, 1)) {
		t.Errorf("heights %v, want what came before the silence", got)
	}
	if len(n.offences()) != 0 {
		t.Errorf("offences %v, want none", n.offences())
	}
}

func TestBlocks_PeerIsGone(t *testing.T) {
	n := run(t, 1)
	n.Fetch(engine.Fetch{Peer: engine.Peer(id(t, 9)), Range: blockRange(1, 5)})
	if got := n.heights(); len(got) != 0 {
		t.Errorf("heights %v", got)
	}
}
