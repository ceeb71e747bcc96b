package testnet

import (
	"context"
	"runtime/debug"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // simulations make much garbage and hold little
	goleak.VerifyTestMain(m)
}

// limit bounds whatever a test waits for.
const limit = slowness * 20 * time.Second

// bench is a cluster under test and the strangers that talk to it.
type bench struct {
	*Cluster
	t         testing.TB
	ctx       context.Context
	strangers int
}

// frozen are options of a network whose chain stands still: the present slot,
// 620, belongs to member 2, who is not started, and the next is an hour away.
func frozen(profile string) Options {
	return Options{Nodes: 7, Regular: 2, Seed: 7, Profile: profile, Slot: time.Hour, History: 620, Now: time.Now(), Authorities: 3}
}

// moving are options of a network with one author, member 0, and short slots.
func moving(profile string) Options {
	o := frozen(profile)
	o.Slot, o.Authorities = slowness*300*time.Millisecond, 1
	return o
}

// newBench prepares a cluster whose past has one platform quorum, if it is long
// enough: to make more takes time. No node runs yet.
func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	var s *Simulation
	s, err = n.Simulate(Link{Mute: func(_ int, p engine.Publication) bool {
		_, ofSession := p.Topic.DKG()
		return ofSession && s.Slot > firstQuorum
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(int(n.start) - 1); err != nil {
		t.Fatal(err)
	}
	return benchOf(t, clusterOf(t, s))
}

// newBenchOfQuorums prepares a cluster in whose past each session has made a
// quorum.
func newBenchOfQuorums(t testing.TB, o Options) *bench {
	t.Helper()
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCluster(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return benchOf(t, c)
}

func clusterOf(t testing.TB, s *Simulation) *Cluster {
	t.Helper()
	c, err := s.Cluster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// firstQuorum is a slot by which a network without empty slots has mined its
// first platform quorum, in block 35, and signs with it, 8 blocks later.
const firstQuorum = 45

// newLargeBench does so for a network of many, of whom only the authorities
// have lived on after the first platform quorum was made: that is faster.
func newLargeBench(t testing.TB, o Options) *bench {
	t.Helper()
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.Simulate(Link{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(firstQuorum); err != nil {
		t.Fatal(err)
	}
	for i := o.Authorities; i < o.Nodes; i++ {
		s.Down(i)
	}
	if err := s.Run(int(n.start) - 1 - firstQuorum); err != nil {
		t.Fatal(err)
	}
	return benchOf(t, clusterOf(t, s))
}

// benchOf closes a cluster when the test is over.
func benchOf(t testing.TB, c *Cluster) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), slowness*2*time.Minute)
	t.Cleanup(func() {
		cancel()
		if err := c.Close(); err != nil {
			t.Errorf("close the cluster: %v", err)
		}
	})
	return &bench{Cluster: c, t: t, ctx: ctx}
}

// start starts members and waits until each is in the mesh.
func (b *bench) start(members ...int) {
	b.t.Helper()
	for _, i := range members {
		if err := b.Start(i); err != nil {
			b.t.Fatal(err)
		}
	}
	if len(members) > 1 {
		b.await("the mesh", func() bool {
			for _, i := range members {
				if b.Node(i).Gossip().MeshPeers(engine.TopicPlatformBan) == 0 {
					return false
				}
			}
			return true
		})
	}
}

func (b *bench) await(what string, cond func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	if err := b.Await(ctx, what, cond); err != nil {
		b.t.Fatal(err)
	}
}

// stranger returns a new peer that has met the given members.
func (b *bench) stranger(members ...int) *Stranger {
	b.t.Helper()
	b.strangers++
	return b.speaker(members, func(peers []peer.AddrInfo) (*Stranger, error) { return NewStranger(b.Network, 7, b.strangers, peers) })
}

func (b *bench) speaker(members []int, make func([]peer.AddrInfo) (*Stranger, error)) *Stranger {
	b.t.Helper()
	var targets []peer.AddrInfo
	for _, i := range members {
		targets = append(targets, b.Members[i].AddrInfo())
	}
	s, err := make(targets)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Errorf("close a stranger: %v", err)
		}
	})
	b.await("a stranger to meet its peers", func() bool { return len(s.Peers(engine.TopicPlatformBan)) == len(members) })
	return s
}

// insider returns a peer with the identity of a member, whose node must not
// run, that has met the given members.
func (b *bench) insider(member int, targets ...int) *Stranger {
	b.t.Helper()
	return b.speaker(targets, func(peers []peer.AddrInfo) (*Stranger, error) { return NewInsider(b.Network, member, peers) })
}

// ban returns a ban signed by a threshold of the quorum.
func (b *bench) ban(proTx wire.Hash, height int32) wire.PlatformBan {
	b.t.Helper()
	m, err := b.Quorums.At(height).Ban(proTx, height, b.Signers.Threshold)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// evo returns the ProTxHash of the nth evonode, counted from 1.
func (b *bench) evo(n int) wire.Hash {
	for _, m := range b.Members {
		if m.Evo {
			if n--; n == 0 {
				return m.ProTxHash
			}
		}
	}
	panic("no such evonode")
}

// judges lets a new stranger say a platform ban to member 0 and waits for the
// verdict. It returns the stranger.
func (b *bench) judges(data []byte, want validation.Reason) *Stranger {
	b.t.Helper()
	return b.says(engine.TopicPlatformBan, data, want)
}

// says lets a new stranger say bytes to member 0 and waits for the verdict.
func (b *bench) says(topic engine.Topic, data []byte, want validation.Reason) *Stranger {
	b.t.Helper()
	s := b.stranger(0)
	verdict := want.Verdict()
	judged, all, points := b.judged(0, topic, want), b.judged(0, topic, ""), b.points(want)
	s.Say(topic, data)
	b.await("a verdict", func() bool { return b.judged(0, topic, "") == all+1 })
	if b.judged(0, topic, want) != judged+1 {
		b.t.Fatalf("not judged %s; judged: %v", want, b.verdicts(topic))
	}
	b.await("points", func() bool { return b.points(want) == points+float64(verdict.Points) })
	b.await("the ban, if any", func() bool {
		return b.Node(0).Gossip().Banned(s.ID()) == (verdict.Points == 100)
	})
	return s
}

// judged counts what a member has judged so, or all of a topic.
func (b *bench) judged(member int, topic engine.Topic, r validation.Reason) float64 {
	labels := []string{"topic", topic.String()}
	if r != "" {
		labels = append(labels, "outcome", r.Verdict().Outcome.String(), "reason", string(r))
	}
	return b.Value(member, "proctor_gossip_judged_total", labels...)
}

func (b *bench) points(r validation.Reason) float64 {
	return b.Value(0, "proctor_peer_points_total", "reason", string(r))
}

// verdicts counts what member 0 has judged so far.
func (b *bench) verdicts(topic engine.Topic) map[validation.Reason]float64 {
	m := make(map[validation.Reason]float64)
	for _, row := range validation.Table() {
		if n := b.judged(0, topic, row.Reason); n > 0 {
			m[row.Reason] = n
		}
	}
	return m
}

func (b *bench) flag(member int, proTx wire.Hash) bool {
	return b.Node(member).Snapshot().Flag(proTx).Set()
}

func (b *bench) accepted(member int, m wire.PlatformBan) bool {
	_, ok := b.Node(member).Snapshot().AcceptedBan(m.InventoryHash())
	return ok
}
