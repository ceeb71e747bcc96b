package node

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

func TestHealth_ProblemsSayWhatToDo(t *testing.T) {
	const noPeer, notSynced = "p2p.bootstrap", "this machine's clock"
	for _, c := range []struct {
		name          string
		synced        bool
		peers, others int
		want          []string // words of each problem
	}{
		{"synced with a peer", true, 1, 3, nil},
		{"synced, nobody else is registered", true, 0, 0, nil},
		{"synced without peers", true, 0, 3, []string{noPeer}},
		{"behind with peers", false, 3, 3, []string{notSynced}},
		{"behind without peers", false, 0, 3, []string{noPeer, notSynced}},
	} {
		h := Health{Synced: c.synced, Peers: c.peers, Height: 7, TipAgeSeconds: 80}
		h.judge(c.others)
		if h.Healthy != (len(c.want) == 0) || !slices.EqualFunc(h.Problems, c.want, strings.Contains) {
			t.Errorf("%s: healthy %t, problems %q; want %t and %q", c.name, h.Healthy, h.Problems, len(c.want) == 0, c.want)
		}
	}
}

// Whether a node needs peers depends on who else is registered. The chain of
// these networks has an author who is never there.
func TestNode_Health(t *testing.T) {
	observer, self, other := wire.Hash{}, wire.Hash{1}, wire.Hash{2}
	for _, c := range []struct {
		name       string
		node       wire.Hash
		registered []wire.Hash
		age        time.Duration // of the genesis, in slots of an hour
		want       Health        // but for its problems
		problems   int
	}{
		{"alone", self, []wire.Hash{self}, 10 * time.Hour, Health{Healthy: true, Synced: true, TipAgeSeconds: 36000}, 0},
		{"an observer of one node", observer, []wire.Hash{other}, 0, Health{Synced: true}, 1},
		{"one of two, just begun", self, []wire.Hash{other, self}, 0, Health{Synced: true}, 1},
		{"one of two, far behind", self, []wire.Hash{other, self}, 10 * time.Hour, Health{TipAgeSeconds: 36000}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Now().Add(-c.age)
			n := runNode(t, begun, c.node, c.registered)
			var got Health
			deadline := time.Now().Add(10 * time.Second)
			for {
				got = n.Health(begun.Add(c.age))
				problems := len(got.Problems)
				got.Problems = nil
				if problems == c.problems && got.Healthy == c.want.Healthy && got.Synced == c.want.Synced && got.TipAgeSeconds == c.want.TipAgeSeconds {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("health %+v with %d problems, want %+v with %d", got, problems, c.want, c.problems)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
}

// runNode runs a node, registered or none, of a network in which those are registered.
func runNode(t *testing.T, begun time.Time, proTx wire.Hash, registered []wire.Hash) *Node {
	t.Helper()
	g := chain.Genesis{Network: "devnet", Profile: "spec", Time: begun, SlotMillis: time.Hour.Milliseconds()}
	identity := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for i, h := range registered {
		operator := wire.OperatorKey(bls.GenerateSecretKey([32]byte{byte(i + 1)}).PublicKey().Bytes())
		service := wire.ServiceKey{byte(i + 1)}
		if h == proTx {
			service = wire.ServiceKey(identity.Public().(ed25519.PublicKey))
		}
		g.Nodes = append(g.Nodes, chain.GenesisNode{ProTxHash: h, OperatorKey: operator, ServiceKey: service})
	}
	g.Authorities = []wire.Hash{{3}}
	n, err := New(Config{
		Genesis:   g,
		Identity:  identity,
		ProTxHash: proTx,
		DataDir:   t.TempDir(),
		Listen:    []string{"/ip4/127.0.0.1/tcp/0"},
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}
