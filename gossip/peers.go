package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/wire"
)

// Limits of the exchange of addresses.
const (
	askEvery      = time.Minute      // in which one contact is asked
	askEverySoon  = 15 * time.Second // while we have too few contacts
	answerEvery   = 10 * time.Second // in which a peer gets one answer
	peersTimeout  = 10 * time.Second
	answerMargin  = time.Second // by which an answer's way may differ from the last one's
	leastAskAgain = answerEvery + answerMargin
)

// handlePeers tells a peer of others: opening the stream is the question.
func (s *Service) handlePeers(stream network.Stream) {
	defer stream.Close()
	stream.SetDeadline(time.Now().Add(peersTimeout))
	p := stream.Conn().RemotePeer()
	if !s.dialer.answers.allow(p, 1, time.Now()) {
		s.metrics.peerLists.WithLabelValues(roleServer, resultLimited).Inc()
		stream.Reset()
		return
	}
	skip := func(q peer.ID) bool { return q == p || s.book.banned(q) }
	s.dialer.mu.Lock()
	list := s.dialer.book.share(s.config.SharedAddresses, skip, s.dialer.random)
	s.dialer.mu.Unlock()
	if _, err := stream.Write(frame(list.Bytes())); err != nil {
		s.metrics.peerLists.WithLabelValues(roleServer, resultFailed).Inc()
		stream.Reset()
		return
	}
	s.metrics.peerLists.WithLabelValues(roleServer, resultDone).Inc()
}

// fetchPeers asks a peer for others.
func (s *Service) fetchPeers(ctx context.Context, p peer.ID) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "peers"), peersTimeout)
	defer cancel()
	stream, err := s.host.NewStream(ctx, p, s.protocol("peers"))
	if err != nil {
		return nil, fmt.Errorf("open peers stream: %w", err)
	}
	defer stream.Reset()
	deadline, _ := ctx.Deadline()
	stream.SetDeadline(deadline)
	if err := stream.CloseWrite(); err != nil {
		return nil, fmt.Errorf("ask for peers: %w", err)
	}
	b, err := readFrame(stream, wire.MaxPeerListSize)
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	list, err := wire.ParsePeerList(b)
	if err != nil {
		return nil, err
	}
	return s.hearsay(list)
}

// hearsay takes from a list what may be dialled. Kinds of addresses that we
// do not know are nobody's fault, identities are.
func (s *Service) hearsay(list wire.PeerList) (peers []peer.AddrInfo, err error) {
	for _, e := range list {
		i := peer.AddrInfo{}
		if i.ID, err = peer.IDFromBytes([]byte(e.ID)); err != nil {
			return nil, fmt.Errorf("peer %x: %w: %w", e.ID, err, wire.ErrValue)
		}
		for _, text := range e.Addresses {
			if a, err := multiaddr.NewMultiaddr(text); err == nil && dialable(a, s.config.SharedAddresses) {
				i.Addrs = append(i.Addrs, a)
			}
		}
		if len(i.Addrs) > 0 {
			peers = append(peers, i)
		}
	}
	return peers, nil
}

// ask asks one contact and notes what it tells.
func (s *Service) ask(ctx context.Context, p peer.ID) {
	peers, err := s.fetchPeers(ctx, p)
	switch {
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		s.metrics.peerLists.WithLabelValues(roleClient, resultMalformed).Inc()
		s.misbehaved(p)
	case err != nil:
		s.metrics.peerLists.WithLabelValues(roleClient, resultFailed).Inc()
		s.log.Debug("ask for peers", "peer", p, "err", err)
	default:
		s.metrics.peerLists.WithLabelValues(roleClient, resultDone).Inc()
		s.dialer.mu.Lock()
		defer s.dialer.mu.Unlock()
		for _, i := range peers {
			if !s.dialer.book.note(i, told) {
				s.metrics.addressDrops.Inc()
			}
		}
	}
}

// askAround asks contacts for other peers.
func (s *Service) askAround(ctx context.Context) error {
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	a := asking{asked: make(map[peer.ID]time.Time), last: time.Now()}
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			contacts := s.gate.open()
			if p, ok := a.choose(now, contacts, len(contacts) < s.config.Contacts, random); ok {
				s.ask(ctx, p)
			}
		}
	}
}

// asking decides whom to ask for peers and when.
type asking struct {
	asked map[peer.ID]time.Time // contacts, and others until they would answer again
	last  time.Time             // somebody was asked
}

// choose picks a contact to ask now. While there are too few contacts a new
// one is asked at once.
func (a *asking) choose(now time.Time, contacts []peer.ID, few bool, r *rand.Rand) (peer.ID, bool) {
	for p, at := range a.asked {
		if now.Sub(at) >= leastAskAgain && !slices.Contains(contacts, p) {
			delete(a.asked, p)
		}
	}
	every := askEvery
	if few {
		every = askEverySoon
	}
	due := now.Sub(a.last) >= every
	ripe := slices.DeleteFunc(slices.Sorted(slices.Values(contacts)), func(p peer.ID) bool {
		at, asked := a.asked[p]
		return asked && now.Sub(at) < leastAskAgain || !due && (asked || !few)
	})
	if len(ripe) == 0 {
		return "", false
	}
	p := ripe[r.IntN(len(ripe))]
	a.asked[p], a.last = now, now
	return p, true
}
