package gossip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// maxFetched is how many bytes of blocks one answer may bring. The engine
// connects them in one commit, which has a limit; it asks for the rest.
const maxFetched = 512 << 10

// blocksTimeout bounds one exchange of blocks, on both sides.
const blocksTimeout = 10 * time.Second

// handleBlocks serves a range of our branch.
func (s *Service) handleBlocks(stream network.Stream) {
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(blocksTimeout))
	request := make([]byte, wire.BlockRangeSize)
	if _, err := io.ReadFull(stream, request); err != nil {
		stream.Reset()
		return
	}
	q, err := wire.ParseBlockRange(request)
	if err != nil {
		s.misbehaved(stream.Conn().RemotePeer())
		stream.Reset()
		return
	}
	if err := s.sendBlocks(stream, q); err != nil {
		s.log.Debug("send blocks", "peer", stream.Conn().RemotePeer(), "err", err)
		stream.Reset()
	}
}

// sendBlocks reads one block at a time, so that a request costs little memory,
// and stops where the asker does.
func (s *Service) sendBlocks(stream network.Stream, q wire.BlockRange) error {
	w := bufio.NewWriter(stream)
	for i, size := int32(0), 0; i < int32(q.Count) && size < maxFetched; i++ {
		blocks, err := s.config.Backend.Blocks(wire.BlockRange{From: q.From + i, Count: 1})
		if err != nil {
			s.log.Error("read a block for a peer", "height", q.From+i, "err", err)
			return errors.Join(err, w.Flush())
		}
		if len(blocks) == 0 {
			break
		}
		if _, err := w.Write(frame(blocks[0])); err != nil {
			return err
		}
		size += len(blocks[0])
	}
	return w.Flush()
}

// fetchBlocks asks a peer for blocks. What came before an error is returned
// with it.
func (s *Service) fetchBlocks(ctx context.Context, p peer.ID, q wire.BlockRange) (blocks []wire.Block, err error) {
	ctx, cancel := context.WithTimeout(ctx, blocksTimeout)
	defer cancel()
	stream, err := s.host.NewStream(ctx, p, s.protocol("blocks"))
	if err != nil {
		return nil, fmt.Errorf("open blocks stream: %w", err)
	}
	defer stream.Reset() // nothing more is wanted of it
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	if _, err := stream.Write(q.Bytes()); err != nil {
		return nil, fmt.Errorf("ask for blocks: %w", err)
	}
	r := bufio.NewReader(stream)
	for size := 0; len(blocks) < int(q.Count) && size < maxFetched; {
		b, err := readBlock(r)
		if errors.Is(err, io.EOF) {
			return blocks, nil
		}
		if err != nil {
			return blocks, fmt.Errorf("block %d of %d: %w", len(blocks)+1, q.Count, err)
		}
		blocks = append(blocks, b)
		size += len(b.Bytes())
	}
	return blocks, nil
}

func readBlock(r io.Reader) (wire.Block, error) {
	b, err := readFrame(r, wire.MaxBlockSize)
	if err != nil {
		return wire.Block{}, err
	}
	return wire.ParseBlock(b)
}

// fetch answers an engine's Fetch. Blocks that arrived before a failure are
// handed on: each proves itself.
func (s *Service) fetch(ctx context.Context, f engine.Fetch) {
	blocks, err := s.fetchBlocks(ctx, peer.ID(f.Peer), f.Range)
	if err != nil {
		s.log.Debug("fetch blocks", "peer", peer.ID(f.Peer), "from", f.Range.From, "err", err)
		if errors.Is(err, wire.ErrSize) || errors.Is(err, wire.ErrValue) {
			s.misbehaved(peer.ID(f.Peer))
		}
	}
	s.config.Backend.Fetched(engine.Fetched{Peer: f.Peer, Blocks: blocks})
}
