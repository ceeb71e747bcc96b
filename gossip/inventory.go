package gossip

import (
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/proctornet/proctor/wire"
)

// Limits of serving our inventory. Source: spec/gossip.md 3.4.
const (
	maxInventoryFrame = 64 << 10         // what we read of an answer at once
	inventoryStep     = 10 * time.Second // for one read or write
	inventoryWhole    = 30 * time.Second // for one stream

	// An exchange begins with a summary: 6 a minute of one peer, 3 at once,
	// and 20 a second of all.
	exchangeEvery      = 10 * time.Second
	exchangeBurst      = 3
	exchangesPerSecond = 20

	// Every other request costs a peer one item and one for each ban.
	itemsPerMinute = 2000
)

// inventory is the state of serving and comparing inventories.
type inventory struct {
	exchanges *peerLimits
	items     *peerLimits
	everybody *rate.Limiter

	jobs  chan inventoryJob
	met   chan peer.ID  // new contacts
	asked chan struct{} // Reconcile was called
	relay chan wire.PlatformBan
}

func newInventory() *inventory {
	return &inventory{
		exchanges: newPeerLimits(exchangeEvery, exchangeBurst),
		items:     newPeerLimits(time.Minute/itemsPerMinute, itemsPerMinute),
		everybody: rate.NewLimiter(exchangesPerSecond, exchangesPerSecond),
		jobs:      make(chan inventoryJob, maxInventoryJobs),
		met:       make(chan peer.ID, maxInventoryJobs),
		asked:     make(chan struct{}, 1),
		relay:     make(chan wire.PlatformBan, maxRelays),
	}
}

// handleInventory answers one question about our inventory.
func (s *Service) handleInventory(stream network.Stream) {
	defer stream.Close()
	end := time.Now().Add(inventoryWhole)
	result := s.serveInventory(stream, end)
	s.metrics.exchanges.WithLabelValues(roleServer, result).Inc()
	switch result {
	case resultLimited:
		stream.ResetWithError(network.StreamRateLimited)
	case resultMalformed:
		s.misbehaved(stream.Conn().RemotePeer())
		stream.Reset()
	case resultFailed:
		stream.Reset()
	}
}

func (s *Service) serveInventory(stream network.Stream, end time.Time) (result string) {
	stream.SetReadDeadline(stepDeadline(end))
	b, err := readFrame(stream, wire.MaxInventoryRequestSize)
	var q wire.InventoryRequest
	if err == nil {
		q, err = wire.ParseInventoryRequest(b)
	}
	switch {
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		return resultMalformed
	case err != nil:
		return resultFailed
	case q.Kind == wire.AskSummary:
		return s.serveSummary(stream, q, end)
	}
	return s.serveBans(stream, q, end)
}

// serveSummary sends our summary, or an empty frame to who has the same.
func (s *Service) serveSummary(stream network.Stream, q wire.InventoryRequest, end time.Time) string {
	now := time.Now()
	// The peer's own limit first, so that what is over it takes nothing from others.
	if !s.inventory.exchanges.allow(stream.Conn().RemotePeer(), 1, now) || !s.inventory.everybody.AllowN(now, 1) {
		return resultLimited
	}
	ours := s.config.Backend.BanSummary()
	equal := ours.Digest() == q.Digest
	answer := ours.Bytes()
	if equal {
		answer = nil
	}
	stream.SetWriteDeadline(stepDeadline(end))
	if _, err := stream.Write(frame(answer)); err != nil {
		return resultFailed
	}
	if equal {
		return resultEqual
	}
	return resultDone
}

// serveBans sends the bans asked for, each in a frame.
func (s *Service) serveBans(stream network.Stream, q wire.InventoryRequest, end time.Time) string {
	p := stream.Conn().RemotePeer()
	if !s.inventory.items.allow(p, 1, time.Now()) { // before anything is looked up
		return resultLimited
	}
	var bans []wire.PlatformBan
	if q.Kind == wire.AskRange {
		bans = s.config.Backend.BansInRange(q.Range)
		bans = bans[:min(len(bans), int(q.Range.Count))]
	} else {
		bans = s.config.Backend.BansByHash(q.Hashes)
		bans = bans[:min(len(bans), len(q.Hashes))]
	}
	if !s.inventory.items.allow(p, len(bans), time.Now()) {
		return resultLimited
	}
	for _, m := range bans {
		stream.SetWriteDeadline(stepDeadline(end))
		if _, err := stream.Write(frame(m.Bytes())); err != nil {
			return resultFailed
		}
		s.metrics.inventoryBans.WithLabelValues(banServed).Inc()
	}
	return resultDone
}

// stepDeadline is when the next read or write has to be over, of a stream
// that has to be over at end.
func stepDeadline(end time.Time) time.Time {
	step := time.Now().Add(inventoryStep)
	if step.After(end) {
		return end
	}
	return step
}

// readBan reads one ban of an answer.
func readBan(stream network.Stream, end time.Time) (wire.PlatformBan, error) {
	stream.SetReadDeadline(stepDeadline(end))
	b, err := readFrame(stream, wire.PlatformBanSize)
	if err != nil {
		return wire.PlatformBan{}, err
	}
	return wire.ParsePlatformBan(b)
}

// over reports whether an answer is at its end, rather than cut off.
func over(err error) bool { return err == io.EOF }
