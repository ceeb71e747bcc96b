package main

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

var killSeed = flag.Uint64("kill-seed", 0, "seed of the moments at which nodes are killed; 0 picks one")

const (
	killRounds   = 20
	bansPerRound = 8
)

// A node is killed while bans arrive. After each restart there are two
// outcomes for each of them: it is known, which it must be if the node had
// passed it on or shown its flag; or it is not, and is accepted when it comes
// again.
func TestRun_KilledAtAnyPoint(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d: repeat with -kill-seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	b := layOut(t, killRounds*bansPerRound)
	target := b.member.AddrInfo()
	target.Addrs = []multiaddr.Multiaddr{multiaddr.StringCast(b.member.Addresses()[1])}
	node := start(t, "--config", b.config())
	lost, partly := 0, 0
	for round := range killRounds {
		bans := make([]wire.PlatformBan, bansPerRound)
		for i := range bans { // of other nodes at another height each round
			bans[i] = b.ban(t, b.Members[round*bansPerRound+i].ProTxHash, b.tip-int32(round))
		}
		before := round * bansPerRound // flags of earlier rounds
		passedOn, shown := b.sendAndKill(t, node, round, target, bans, random)

		node = start(t, "--config", b.config())
		known := int(node.value("proctor_platform_ban_flags")) - before
		if known < len(passedOn) || known < shown-before {
			t.Fatalf("round %d, seed %d: %d flags after the restart; %d bans had been passed on, %d flags shown",
				round, seed, known, len(passedOn), shown-before)
		}
		lost += len(bans) - known
		if 0 < known && known < len(bans) {
			partly++
		}
		b.sendAgain(t, node, killRounds+round, target, bans, passedOn, known)
		if got := int(node.value("proctor_platform_ban_flags")); got != before+len(bans) {
			t.Fatalf("round %d, seed %d: %d flags after all bans came again, want %d", round, seed, got, before+len(bans))
		}
	}
	t.Logf("%d of %d bans were not yet stored; %d of %d kills fell between two bans", lost, killRounds*bansPerRound, partly, killRounds)
}

// sendAndKill lets a stranger send bans and kills the node meanwhile. It
// returns the bans that the node had passed on, and how many flags its
// metrics last showed.
func (b bed) sendAndKill(t testing.TB, node *process, number int, target peer.AddrInfo, bans []wire.PlatformBan, random *rand.Rand) (passedOn map[wire.PlatformBan]bool, shown int) {
	t.Helper()
	s := b.stranger(t, number, target)
	defer s.Close()
	// The moment: when the witness hears the ban that makes so many, or soon after.
	after, later := 1+random.IntN(len(bans)), time.Duration(random.IntN(2)*random.IntN(4000))*time.Microsecond
	w := newWitness(t, b.Genesis, number, target, bans[0].SignedHeight, after)
	defer w.close()
	await(t, "the witness to be passed what the node hears", func() bool { return w.service.MeshPeers(engine.TopicPlatformBan) == 1 })

	pauses := make([]time.Duration, len(bans))
	for i := range pauses {
		pauses[i] = time.Duration(random.IntN(2500)) * time.Microsecond
	}
	var said, watched sync.WaitGroup
	var last atomic.Int64
	watched.Go(func() {
		for {
			samples, err := node.scrape("proctor_platform_ban_flags")
			if err != nil {
				return // it is dead
			}
			last.Store(int64(samples[""]))
		}
	})
	said.Go(func() {
		for i, m := range bans {
			s.Say(engine.TopicPlatformBan, m.Bytes())
			<-time.After(pauses[i])
		}
	})
	select {
	case <-w.enough:
	case <-time.After(limit):
		t.Fatalf("the node passed on %d bans in %s, want %d", len(w.bans()), limit, after)
	}
	if later > 0 {
		<-time.After(later)
	}
	node.kill()
	watched.Wait()
	said.Wait()
	await(t, "the connection to end", func() bool { return len(w.service.TopicPeers(engine.TopicPlatformBan)) == 0 })
	return w.bans(), int(last.Load())
}

// sendAgain sends every ban once more, those that must be known first.
func (b bed) sendAgain(t testing.TB, node *process, number int, target peer.AddrInfo, bans []wire.PlatformBan, passedOn map[wire.PlatformBan]bool, known int) {
	t.Helper()
	s := b.stranger(t, number, target)
	defer s.Close()
	_, before := node.judged()
	for m := range passedOn {
		s.Say(engine.TopicPlatformBan, m.Bytes())
	}
	got := node.verdicts(before, len(passedOn))
	if len(passedOn) > 0 && got[string(validation.Duplicate)] != float64(len(passedOn)) {
		t.Fatalf("bans that the node had passed on are judged %v, want %d known", got, len(passedOn))
	}
	for _, m := range bans {
		if !passedOn[m] {
			s.Say(engine.TopicPlatformBan, m.Bytes())
		}
	}
	got = node.verdicts(before, len(bans))
	duplicates, valid := got[string(validation.Duplicate)], got[string(validation.Valid)]
	if duplicates != float64(known) || valid != float64(len(bans)-known) {
		t.Fatalf("%d bans, %d of them known, are judged %v", len(bans), known, got)
	}
}

// stranger makes a peer that has met the node.
func (b bed) stranger(t testing.TB, number int, target peer.AddrInfo) *testnet.Stranger {
	t.Helper()
	s, err := testnet.NewStranger(b.Network, 11, number, []peer.AddrInfo{target})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a stranger to be met", func() bool { return len(s.Peers(engine.TopicPlatformBan)) == 1 })
	return s
}

// witness is a peer that writes down which bans it is passed.
type witness struct {
	height int32         // of the bans that count: gossip may bring those of the round before
	after  int           // bans
	enough chan struct{} // closed once so many have been heard

	testnet.Bystander
	service *gossip.Service
	stop    context.CancelFunc
	done    chan error

	mu    sync.Mutex
	heard map[wire.PlatformBan]bool
}

func newWitness(t testing.TB, g chain.Genesis, number int, target peer.AddrInfo, height int32, after int) *witness {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(number))
	w := &witness{height: height, after: after, enough: make(chan struct{}), Bystander: testnet.Bystander{Genesis: g, Agent: "witness"}, done: make(chan error, 1), heard: make(map[wire.PlatformBan]bool)}
	var err error
	w.service, err = gossip.New(gossip.Config{
		Backend:         w,
		Network:         g.Network,
		Identity:        ed25519.NewKeyFromSeed(seed),
		Listen:          []string{"/ip4/127.0.0.1/tcp/0"},
		Log:             slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registerer:      prometheus.NewRegistry(),
		Bootstrap:       []peer.AddrInfo{target},
		SharedAddresses: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.done <- w.service.Run(ctx) }()
	return w
}

func (w *witness) close() {
	w.stop()
	<-w.done
}

func (w *witness) bans() map[wire.PlatformBan]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.heard)
}

func (w *witness) Judge(_ context.Context, topic engine.Topic, _ engine.Peer, data []byte) validation.Verdict {
	if m, err := wire.ParsePlatformBan(data); err == nil && topic == engine.TopicPlatformBan && m.SignedHeight == w.height {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.heard[m] = true; len(w.heard) == w.after {
			select {
			case <-w.enough: // one of them a second time
			default:
				close(w.enough)
			}
		}
	}
	return validation.Valid.Verdict()
}
