package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of fetching bans that gossip did not bring.
const (
	maxInventoryJobs   = 64              // exchanges waiting
	parallelExchanges  = 2               // comparisons with different peers
	maxExchangeBans    = 4096            // of one exchange; the next brings the rest
	maxExchange        = 2 * time.Minute // for all streams of one exchange
	parallelJudgements = 32              // of one exchange: they are verified and stored together
	maxRelays          = 4096            // bans waiting to be sent on
	relaysPerSecond    = 20
)

// What became of a ban, as label values.
const (
	banServed   = "served"
	banKnown    = "known"
	banAccepted = "accepted"
	banRefused  = "refused" // or put off, by the judge
	banUnasked  = "unasked"
	banRelayed  = "relayed"
	banUnsent   = "relay-dropped"
)

// inventoryJob is one exchange: the bans wanted, or the whole inventory.
type inventoryJob struct {
	peer peer.ID
	bans []wire.Hash // nil: compare
}

// Want fetches bans from a peer. What does not fit is dropped and counted.
func (s *Service) Want(w engine.Want) {
	if len(w.Bans) > 0 && !s.enqueue(inventoryJob{peer.ID(w.Peer), w.Bans}) {
		s.metrics.drops.WithLabelValues("want").Inc()
	}
}

// Reconcile compares inventories with a few contacts soon. It does not wait.
func (s *Service) Reconcile() {
	select {
	case s.inventory.asked <- struct{}{}:
	default: // it has been asked for
	}
}

func (s *Service) enqueue(j inventoryJob) bool {
	select {
	case s.inventory.jobs <- j:
		return true
	default:
		return false
	}
}

// introduce puts a new contact on the agenda.
func (s *Service) introduce(p peer.ID) {
	select {
	case s.inventory.met <- p:
	default: // the rounds will find it
		s.metrics.drops.WithLabelValues("reconciliation").Inc()
	}
}

// runInventory fetches bans that gossip did not bring, until ctx ends.
func (s *Service) runInventory(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.keepAgenda(ctx) })
	g.Go(func() error { return s.relayBans(ctx) })
	var busy peerSet
	for range parallelExchanges {
		g.Go(func() error {
			for {
				select {
				case j := <-s.inventory.jobs:
					if len(j.bans) > 0 {
						s.exchange(ctx, j)
					} else if busy.add(j.peer) { // else one is under way, which brings the same
						s.exchange(ctx, j)
						busy.remove(j.peer)
					}
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	return g.Wait()
}

// peerSet is a set of peers for several goroutines.
type peerSet struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

// add reports false when p is in.
func (s *peerSet) add(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers == nil {
		s.peers = make(map[peer.ID]bool)
	}
	if s.peers[p] {
		return false
	}
	s.peers[p] = true
	return true
}

func (s *peerSet) remove(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
}

func (s *Service) keepAgenda(ctx context.Context) error {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	a := newAgenda(time.Now(), random)
	timer := time.NewTimer(a.wait(time.Now()))
	defer timer.Stop()
	for {
		select {
		case p := <-s.inventory.met:
			a.meet(p, time.Now(), random)
		case <-s.inventory.asked:
			a.ask(s.gate.open(), time.Now(), random)
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		s.startDue(a, time.Now(), random)
		timer.Reset(a.wait(time.Now()))
	}
}

// startDue begins the comparisons whose time has come. A node that is not
// synced can judge nothing; it asks when it is.
func (s *Service) startDue(a *agenda, now time.Time, r *rand.Rand) {
	for _, p := range a.take(s.gate.open(), now, r) {
		if s.config.Backend.Status().Synced && !s.enqueue(inventoryJob{peer: p}) {
			s.metrics.drops.WithLabelValues("reconciliation").Inc()
		}
	}
}

// exchange runs one job to its end and counts it.
func (s *Service) exchange(ctx context.Context, j inventoryJob) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "inventory"), maxExchange)
	defer cancel()
	result, err := resultDone, error(nil)
	if len(j.bans) > 0 {
		for hashes := range slices.Chunk(j.bans[:min(len(j.bans), maxExchangeBans)], wire.MaxListedBans) {
			if err = s.fetchByHash(ctx, j.peer, hashes); err != nil {
				break
			}
		}
	} else {
		result, err = s.compare(ctx, j.peer)
	}
	var end *network.StreamError
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrSize), errors.Is(err, wire.ErrValue):
		result = resultMalformed
		s.misbehaved(j.peer)
	case errors.As(err, &end) && end.Remote && end.ErrorCode == network.StreamRateLimited:
		result = resultLimited
	default:
		result = resultFailed
	}
	if err != nil {
		s.log.Debug("exchange of inventories", "peer", j.peer, "err", err)
	}
	s.metrics.exchanges.WithLabelValues(roleClient, result).Inc()
}

// compare fetches what a peer has and we have not.
func (s *Service) compare(ctx context.Context, p peer.ID) (result string, err error) {
	ours := s.config.Backend.BanSummary()
	theirs, err := s.fetchSummary(ctx, p, ours)
	if err != nil {
		return "", err
	}
	ranges := missing(ours, s.inWindow(theirs))
	if len(ranges) == 0 {
		return resultEqual, nil
	}
	fetched := 0
	for _, q := range ranges {
		for {
			if q.Count = uint16(min(wire.MaxListedBans, maxExchangeBans-fetched)); q.Count == 0 {
				return resultDone, nil
			}
			page, err := s.fetchRange(ctx, p, q)
			if e := s.take(ctx, p, page); e != nil {
				err = errors.Join(err, e)
			}
			if err != nil {
				return "", err
			}
			fetched += len(page)
			if len(page) < int(q.Count) {
				break
			}
			last := page[len(page)-1]
			q.From, q.After = last.SignedHeight, last.InventoryHash()
		}
	}
	return resultDone, nil
}

// inWindow leaves out the heights at which we would refuse every ban: the
// server's tip is not ours, and it must not be charged for that.
func (s *Service) inWindow(theirs wire.BanSummary) wire.BanSummary {
	from, to := s.config.Backend.BanWindow()
	return slices.DeleteFunc(theirs, func(d wire.HeightDigest) bool { return d.Height < from || d.Height > to })
}

// question opens a stream and asks. The caller calls done.
func (s *Service) question(ctx context.Context, p peer.ID, q wire.InventoryRequest, end time.Time) (stream network.Stream, done func(), err error) {
	if stream, err = s.host.NewStream(ctx, p, s.protocol("inventory")); err != nil {
		return nil, nil, fmt.Errorf("open inventory stream: %w", err)
	}
	keep := context.AfterFunc(ctx, func() { stream.Reset() }) // a stop does not wait for a peer
	done = func() {
		keep()
		stream.Reset()
	}
	stream.SetWriteDeadline(stepDeadline(end))
	if _, err := stream.Write(frame(q.Bytes())); err != nil {
		done()
		return nil, nil, fmt.Errorf("ask for bans: %w", err)
	}
	stream.CloseWrite()
	return stream, done, nil
}

// fetchSummary asks for a peer's summary, which is empty if it is ours.
func (s *Service) fetchSummary(ctx context.Context, p peer.ID, ours wire.BanSummary) (wire.BanSummary, error) {
	end := time.Now().Add(inventoryWhole)
	stream, done, err := s.question(ctx, p, wire.InventoryRequest{Kind: wire.AskSummary, Digest: ours.Digest()}, end)
	if err != nil {
		return nil, err
	}
	defer done()
	stream.SetReadDeadline(stepDeadline(end))
	b, err := readFrame(stream, maxInventoryFrame)
	if err != nil {
		return nil, fmt.Errorf("read summary: %w", err)
	}
	return wire.ParseBanSummary(b)
}

// fetchRange asks for a page of a range. Bans that came before an error are
// returned with it.
func (s *Service) fetchRange(ctx context.Context, p peer.ID, q wire.BanRange) (bans []wire.PlatformBan, err error) {
	height, after := q.From, q.After
	return s.fetchBans(ctx, p, wire.InventoryRequest{Kind: wire.AskRange, Range: q}, int(q.Count), func(m wire.PlatformBan) bool {
		hash := m.InventoryHash()
		ok := m.SignedHeight <= q.To && (m.SignedHeight > height || m.SignedHeight == height && bytes.Compare(hash[:], after[:]) > 0)
		height, after = m.SignedHeight, hash
		return ok
	})
}

// fetchByHash asks for bans by their hashes and takes them.
func (s *Service) fetchByHash(ctx context.Context, p peer.ID, hashes []wire.Hash) error {
	open := make(map[wire.Hash]bool, len(hashes))
	for _, h := range hashes {
		open[h] = true
	}
	bans, err := s.fetchBans(ctx, p, wire.InventoryRequest{Kind: wire.AskBans, Hashes: hashes}, len(hashes), func(m wire.PlatformBan) bool {
		hash := m.InventoryHash()
		ok := open[hash]
		open[hash] = false
		return ok
	})
	return errors.Join(err, s.take(ctx, p, bans))
}

// fetchBans asks and reads the answer, of most bans, all of which have been
// asked for. Anything else is an error of the peer: it could keep us judging
// for ever what nobody wants.
func (s *Service) fetchBans(ctx context.Context, p peer.ID, q wire.InventoryRequest, most int, asked func(wire.PlatformBan) bool) (bans []wire.PlatformBan, err error) {
	end := time.Now().Add(inventoryWhole)
	stream, done, err := s.question(ctx, p, q, end)
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		m, err := readBan(stream, end)
		if over(err) {
			return bans, nil
		}
		if err != nil {
			return bans, fmt.Errorf("ban %d of %d: %w", len(bans)+1, most, err)
		}
		if len(bans) == most || !asked(m) {
			s.metrics.inventoryBans.WithLabelValues(banUnasked).Inc()
			return bans, fmt.Errorf("ban %d of %d, signed at height %d, was not asked for: %w", len(bans)+1, most, m.SignedHeight, wire.ErrValue)
		}
		bans = append(bans, m)
	}
}

// errNotNow ends an exchange whose bans we cannot judge.
var errNotNow = errors.New("gossip: bans cannot be judged now")

// take judges bans of a peer as if it had sent them by gossip, except those
// that we have.
func (s *Service) take(ctx context.Context, p peer.ID, bans []wire.PlatformBan) error {
	var g errgroup.Group
	g.SetLimit(parallelJudgements)
	for _, m := range bans {
		if s.config.Backend.Stored(engine.TopicPlatformBan, m.Bytes()) {
			s.metrics.inventoryBans.WithLabelValues(banKnown).Inc()
			continue
		}
		if ctx.Err() != nil || s.book.banned(p) {
			break
		}
		g.Go(func() error { return s.takeOne(ctx, p, m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (s *Service) takeOne(ctx context.Context, p peer.ID, m wire.PlatformBan) error {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	v := s.judgeCounted(ctx, engine.TopicPlatformBan, p, m.Bytes())
	if v.OK() {
		s.metrics.inventoryBans.WithLabelValues(banAccepted).Inc()
		select {
		case s.inventory.relay <- m:
		default:
			s.metrics.inventoryBans.WithLabelValues(banUnsent).Inc()
		}
		return nil
	}
	s.metrics.inventoryBans.WithLabelValues(banRefused).Inc()
	if v.Reason == validation.NotSynced || v.Reason == validation.Overload {
		return errNotNow
	}
	return nil
}

// relayBans sends fetched bans on, slowly: one node between two halves of a
// network heals both, and they do not storm. A ban that has grown too old to
// be served while it waited stays here, or we would be charged for it.
func (s *Service) relayBans(ctx context.Context) error {
	pace := rate.NewLimiter(relaysPerSecond, 1)
	for {
		select {
		case m := <-s.inventory.relay:
			if pace.Wait(ctx) != nil {
				return nil
			}
			if len(s.config.Backend.BansByHash(wire.BanHashes{m.InventoryHash()})) == 0 {
				s.metrics.inventoryBans.WithLabelValues(banUnsent).Inc()
				continue
			}
			s.Publish(engine.Publication{Topic: engine.TopicPlatformBan, Bytes: m.Bytes()})
			s.metrics.inventoryBans.WithLabelValues(banRelayed).Inc()
		case <-ctx.Done():
			return nil
		}
	}
}
