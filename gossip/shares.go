package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of sending and taking shares of quorums' signatures.
const (
	maxShareSends = 1024             // messages of ours waiting
	shareSenders  = 8                // at once, each to another node
	shareTimeout  = 10 * time.Second // for one message on both sides, dialling included

	// A member sends one share for a request to one recovery member; many
	// requests may fall together.
	sharesEvery = 10 * time.Millisecond // in which a peer may send another one
	sharesBurst = 2048                  // at once
)

// shareQueue holds shares of ours by the node they are for: there is one
// stream at a time to each, and one that does not answer holds up no other.
type shareQueue struct {
	taken *peerLimits // from peers

	mu      sync.Mutex
	waiting map[wire.Hash][]wire.SigShares // of a node that is being sent to too
	size    int
	ready   chan wire.Hash // nodes that nobody sends to yet; it never fills up
}

func newShareQueue() *shareQueue {
	return &shareQueue{
		taken:   newPeerLimits(sharesEvery, sharesBurst),
		waiting: make(map[wire.Hash][]wire.SigShares),
		ready:   make(chan wire.Hash, maxShareSends),
	}
}

// add reports false when there is no room.
func (q *shareQueue) add(m engine.SendShares) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size >= maxShareSends {
		return false
	}
	list, busy := q.waiting[m.To]
	q.waiting[m.To] = append(list, m.Shares)
	q.size++
	if !busy {
		q.ready <- m.To
	}
	return true
}

// next takes the oldest message for a node, which was ready. ok is false when
// there is none: then the node is no longer sent to.
func (q *shareQueue) next(to wire.Hash) (m wire.SigShares, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting[to]
	if len(list) == 0 {
		delete(q.waiting, to)
		return nil, false
	}
	q.waiting[to] = list[1:]
	q.size--
	return list[0], true
}

// drop gives up what waits for a node and returns how much that was.
func (q *shareQueue) drop(to wire.Hash) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting[to])
	delete(q.waiting, to)
	q.size -= n
	return n
}

// SendShares sends shares of ours, which have been stored, to another member.
// It does not wait; what does not fit is dropped and counted.
func (s *Service) SendShares(m engine.SendShares) {
	if !s.shares.add(m) {
		s.metrics.drops.WithLabelValues("shares").Inc()
	}
}

func (s *Service) runShares(ctx context.Context) error {
	var g errgroup.Group
	for range shareSenders {
		g.Go(func() error {
			for {
				select {
				case to := <-s.shares.ready:
					s.sendAll(ctx, to)
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	return g.Wait()
}

// sendAll sends what waits for a node. After a failure the rest is given up:
// it would fail too, and signing goes on with the next recovery member.
func (s *Service) sendAll(ctx context.Context, to wire.Hash) {
	for {
		m, ok := s.shares.next(to)
		if !ok {
			return
		}
		if err := s.sendShares(ctx, to, m); err != nil {
			s.metrics.shares.WithLabelValues(roleClient, resultFailed).Add(float64(1 + s.shares.drop(to)))
			s.log.Debug("send shares", "node", to, "err", err)
			return
		}
		s.metrics.shares.WithLabelValues(roleClient, resultDone).Inc()
	}
}

// sendShares sends one message; without an error the node has taken it.
func (s *Service) sendShares(ctx context.Context, to wire.Hash, m wire.SigShares) error {
	if s.config.Backend.Status().ProTxHash.IsZero() {
		return fmt.Errorf("%w: this node", errUnregistered) // we would be charged for it
	}
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	p, err := s.reach(ctx, to)
	if err != nil {
		return err
	}
	stream, err := s.host.NewStream(network.WithNoDial(ctx, "shares"), p, s.protocol("qsigshare"))
	if err != nil {
		return fmt.Errorf("open stream of shares: %w", err)
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })() // a stop does not wait for a peer
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	if _, err := stream.Write(frame(m.Bytes())); err != nil {
		return fmt.Errorf("send shares: %w", err)
	}
	stream.CloseWrite()
	if _, err := stream.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("shares not taken: %w", err)
	}
	return nil
}

// handleShares takes shares of another member.
func (s *Service) handleShares(stream network.Stream) {
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(shareTimeout))
	result := s.takeShares(stream)
	s.metrics.shares.WithLabelValues(roleServer, result).Inc()
	switch result {
	case resultDone:
	case resultLimited:
		stream.ResetWithError(network.StreamRateLimited)
	default:
		stream.Reset()
	}
}

func (s *Service) takeShares(stream network.Stream) (result string) {
	p := stream.Conn().RemotePeer()
	node, ok := s.nodeOf(p)
	if !ok {
		s.misbehaved(p)
		return resultStranger
	}
	b, err := readFrame(stream, wire.MaxSigSharesSize)
	var m wire.SigShares
	if err == nil {
		m, err = wire.ParseSigShares(b)
	}
	switch {
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		s.config.Backend.Misbehaved(engine.Peer(p), validation.Malformed.Verdict())
		return resultMalformed
	case err != nil:
		return resultFailed
	case !s.shares.taken.allow(p, len(m), time.Now()):
		return resultLimited
	}
	s.config.Backend.Shares(engine.Peer(p), node, m)
	return resultDone
}

// nodeOf returns the service node that a peer is: the transport has proven
// its service key. One that was registered at its handshake and has left
// since may still be a member of quorums.
func (s *Service) nodeOf(p peer.ID) (node wire.Hash, ok bool) {
	if key, err := ServiceKey(p); err == nil {
		if node, ok := s.config.Backend.RegisteredAs(key); ok {
			return node, true
		}
	}
	s.contact.Lock()
	defer s.contact.Unlock()
	node = s.contacts[p].Status.ProTxHash
	return node, !node.IsZero()
}
