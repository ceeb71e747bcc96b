package gossip

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// Limits of dialling.
const (
	dialEvery     = time.Second
	dialTimeout   = 5 * time.Second
	maxDials      = 16               // at once
	registryEvery = 10 * time.Second // in which the registry's nodes are looked up again
)

// dialer owns the address book.
type dialer struct {
	mu       sync.Mutex
	book     *addressBook
	random   *rand.Rand
	dialling map[peer.ID]struct{}

	answers *peerLimits // to peers that ask for addresses
}

func newDialer(self peer.ID, c Config) *dialer {
	return &dialer{
		book:     newAddressBook(self, c.Bootstrap, c.Known),
		random:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		dialling: make(map[peer.ID]struct{}),
		answers:  newPeerLimits(answerEvery, 1),
	}
}

// size is the number of peers in the address book.
func (d *dialer) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.book.candidates)
}

// redial keeps contact with the bootstrap peers and with as many others as
// are wanted. Nothing below does: after a cut, connections that ended stay
// ended (spec/gossip.md 2.5).
func (s *Service) redial(ctx context.Context) error {
	var dials sync.WaitGroup
	defer dials.Wait()
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	var looked time.Time
	for {
		now := time.Now()
		if now.Sub(looked) >= registryEvery {
			s.lookUp()
			looked = now
		}
		for _, p := range s.chooseDials(now) {
			dials.Go(func() { s.dial(ctx, p) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lookUp takes the registry's nodes into the address book.
func (s *Service) lookUp() {
	nodes := s.config.Backend.Registered()
	s.dialer.mu.Lock()
	defer s.dialer.mu.Unlock()
	s.metrics.addressDrops.Add(float64(s.dialer.book.register(nodes)))
}

// chooseDials picks whom to dial and marks them as being dialled.
func (s *Service) chooseDials(now time.Time) []peer.AddrInfo {
	contacts := len(s.gate.open())
	d := s.dialer
	d.mu.Lock()
	defer d.mu.Unlock()
	skip := func(p peer.ID) bool {
		_, dialling := d.dialling[p]
		return dialling || s.book.banned(p) || s.host.Network().Connectedness(p) == network.Connected
	}
	room := min(dialsPerRound, maxDials-len(d.dialling))
	chosen := d.book.choose(now, s.config.Contacts-contacts-len(d.dialling), room, skip, d.random)
	for _, p := range chosen {
		d.dialling[p.ID] = struct{}{}
	}
	return chosen
}

// dial connects to a peer that was chosen.
func (s *Service) dial(ctx context.Context, p peer.AddrInfo) {
	if err := s.connect(ctx, p); err != nil {
		s.log.Debug("dial", "peer", p.ID, "err", err)
	}
	s.dialer.mu.Lock()
	defer s.dialer.mu.Unlock()
	delete(s.dialer.dialling, p.ID)
}

// reached notes where a peer that we dialled has been met, and tells the
// backend.
func (s *Service) reached(c network.Conn) {
	p, a := c.RemotePeer(), c.RemoteMultiaddr()
	s.dialer.mu.Lock()
	fits := s.dialer.book.reach(p, a)
	s.dialer.mu.Unlock()
	if !fits {
		s.metrics.addressDrops.Inc()
	}
	if wire.CheckListedAddress(a.String()) == nil {
		s.config.Backend.Reached(engine.Peer(p), []string{a.String()})
	}
}
