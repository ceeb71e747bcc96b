package node_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// testedNetwork is a network of four authors and six others, one of which
// never sent a proof and was decommissioned for it, and its blocks.
type testedNetwork struct {
	*testnet.Network
	silent testnet.Member
	blocks []wire.Block // from height 1 on
}

var tested = sync.OnceValues(func() (*testedNetwork, error) {
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: 10, Regular: 4, Authorities: 4, Seed: 7, Profile: "spec", Slot: time.Second, History: 3600, Now: time.Now(), NoQuorums: true,
	})
	if err != nil {
		return nil, err
	}
	const silent = 9
	sim, err := n.Simulate(testnet.Link{Mute: func(i int, p engine.Publication) bool {
		return i == silent && p.Topic == engine.TopicUptime
	}}, 7)
	if err != nil {
		return nil, err
	}
	x := &testedNetwork{Network: n, silent: n.Members[silent]}
	decommissioned := func() bool {
		node, ok := sim.Engine(0).Snapshot().State.Node(x.silent.ProTxHash)
		return ok && node.Service() == state.Decommissioned
	}
	for i := 0; i < 400 && !decommissioned(); i++ {
		if err := sim.Run(1); err != nil {
			return nil, err
		}
	}
	if err := sim.Run(5); err != nil {
		return nil, err
	}
	for h := int32(1); h <= sim.Engine(0).Snapshot().TipHeight(); h++ {
		x.blocks = append(x.blocks, sim.Engine(0).Snapshot().Branch.At(h).Block)
	}
	return x, nil
})

func theTested(t testing.TB) *testedNetwork {
	t.Helper()
	x, err := tested()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// observer runs a node that has no block yet.
func (x *testedNetwork) observer(t testing.TB) *node.Node {
	t.Helper()
	n, _ := startNodeOf(t, x.Network, t.TempDir())
	return n
}

// feed hands a node blocks as a peer would.
func feed(t testing.TB, n *node.Node, blocks ...wire.Block) {
	t.Helper()
	for _, b := range blocks {
		if v := n.JudgeOn(t.Context(), engine.TopicBlock, "one", b.Bytes()); !v.OK() {
			t.Fatalf("block %d is judged %s", b.Header.Height, v.Reason)
		}
	}
}

// fork returns two empty blocks that replace the last one of a view's branch.
func (x *testedNetwork) fork(t testing.TB, view *engine.Snapshot) (blocks []wire.Block) {
	t.Helper()
	tip := view.Branch.At(view.TipHeight()).Block.Header
	below := view.Branch.At(tip.Height - 1)
	parent, before := below.Tip.Hash, below.State
	for i := range int32(2) {
		b := wire.Block{Header: wire.Header{
			Height: tip.Height + i, Slot: tip.Slot + uint64(i) + 1, Parent: parent, StateRoot: before.Root(), Content: wire.Content{}.Hash(),
		}}
		author := x.Members[b.Header.Slot%uint64(len(x.Genesis.Authorities))]
		b.Header.Signature = wire.ServiceSignature(ed25519.Sign(author.Service, b.Header.SignedBytes()))
		after, _, err := before.Apply(b)
		if err != nil {
			t.Fatal(err)
		}
		blocks, parent, before = append(blocks, b), b.Header.Hash(), after
	}
	return blocks
}

// What never happened shows as 0 from the start, and moves when it happens.
func TestMetrics_OfBlocks(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	type sample struct {
		name, label, value string
		want               float64
	}
	check := func(when string, want ...sample) {
		t.Helper()
		for _, s := range want {
			await(t, when+": "+s.name+" "+s.value, func() bool {
				return shows(t, n, s.name, s.label, s.value) && value(t, n, s.name, s.label, s.value) == s.want
			})
		}
	}
	zero := []sample{{"proctor_blocks_undone_total", "", "", 0}, {"proctor_certificate_wait_blocks", "", "", 0}}
	for _, to := range []string{"awaiting", "active", "decommissioned", "gone"} {
		zero = append(zero, sample{"proctor_service_transitions_total", "to", to, 0})
	}
	for _, kind := range []string{"misconduct", "checkpoint", "reorg"} {
		zero = append(zero, sample{"proctor_alarms_total", "kind", kind, 0})
	}
	check("at the start", zero...)
	check("at the start", sample{"proctor_service_nodes", "state", "active", 10}, sample{"proctor_service_nodes", "state", "decommissioned", 0})

	feed(t, n, x.blocks...)
	certified := x.certificate(t)
	check("after the blocks",
		sample{"proctor_service_transitions_total", "to", "decommissioned", 1},
		sample{"proctor_service_transitions_total", "to", "gone", 0},
		sample{"proctor_certificate_wait_blocks", "", "", float64(certified.block - certified.Height)},
		sample{"proctor_service_nodes", "state", "active", 9}, sample{"proctor_service_nodes", "state", "decommissioned", 1},
		sample{"proctor_blocks_undone_total", "", "", 0}, sample{"proctor_alarms_total", "kind", "reorg", 0})

	feed(t, n, x.fork(t, n.Snapshot())...)
	check("after a better branch",
		sample{"proctor_blocks_undone_total", "", "", 1}, sample{"proctor_alarms_total", "kind", "reorg", 1}, sample{"proctor_alarms_total", "kind", "misconduct", 0},
		sample{"proctor_service_transitions_total", "to", "decommissioned", 1})
}

// carried is a certificate and the height of the block that carries it.
type carried struct {
	wire.Certificate
	block int32
}

// certificate is the only one of the network.
func (x *testedNetwork) certificate(t testing.TB) (found carried) {
	t.Helper()
	for _, b := range x.blocks {
		for _, c := range b.Certificates {
			if found.block != 0 || c.ProTxHash != x.silent.ProTxHash || c.Answer != wire.FailsUptime {
				t.Fatalf("block %d: a certificate that %s %s", b.Header.Height, c.ProTxHash.Short(), c.Answer)
			}
			found = carried{c, b.Header.Height}
		}
	}
	return found
}

func TestNodes_ListsTheRegistry(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks...)
	var list []node.ServiceNode
	answer(t, n, &list, "nodes")
	if len(list) != len(x.Members) {
		t.Fatalf("%d nodes, want %d", len(list), len(x.Members))
	}
	positions := make(map[int]bool)
	for _, got := range list {
		i := slices.IndexFunc(x.Members, func(m testnet.Member) bool { return m.ProTxHash == got.ProTxHash })
		if i < 0 || got.Name != x.Members[i].Name || (got.Type == "evo") != x.Members[i].Evo || got.Stake != testnet.StakingRequirement {
			t.Errorf("node %s %q of type %s with stake %d", got.ProTxHash, got.Name, got.Type, got.Stake)
		}
		if got.ProofHeight != -1 || got.ProofAge != -1 { // only blocks were fed
			t.Errorf("%s: a proof at %d, %d blocks ago; none was heard here", got.Name, got.ProofHeight, got.ProofAge)
		}
		if got.ProTxHash == x.silent.ProTxHash {
			if got.State != "decommissioned" || got.DecommissionedHeight != x.certificate(t).block || got.Cause == nil || *got.Cause != wire.FailsUptime || got.RewardPosition != 0 {
				t.Errorf("the silent node: %+v", got)
			}
			continue
		}
		if got.State != "active" || got.DecommissionedHeight != -1 || got.Cause != nil || got.RewardPosition < 1 || positions[got.RewardPosition] {
			t.Errorf("%s: %+v", got.Name, got)
		}
		positions[got.RewardPosition] = true
	}
	if _, err := n.Call(t.Context(), "nodes", "evo-1"); err != nil {
		t.Errorf("a parameter too many: %v", err) // methods without parameters look at none
	}
}

func TestExplain_SaysWhoSawWhat(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks...)
	c := x.certificate(t)
	tip := int32(len(x.blocks))

	var got node.Explanation
	answer(t, n, &got, "explain", x.silent.Name)
	if got.ProTxHash != x.silent.ProTxHash || got.Name != x.silent.Name || got.Height != tip || got.Tip != tip || got.State != "decommissioned" || got.Node == nil || got.Tombstone != nil {
		t.Fatalf("by name at the tip: %+v", got)
	}
	if len(got.Decisions) != 1 || got.Decisions[0].Height != c.block || got.Decisions[0].BlockHash != x.blocks[c.block-1].Header.Hash() {
		t.Fatalf("decisions %+v, want one of block %d", got.Decisions, c.block)
	}
	d := got.Decisions[0]
	if len(d.Voters) != bits.OnesCount16(c.Voters) {
		t.Errorf("%d voters, want %d", len(d.Voters), bits.OnesCount16(c.Voters))
	}
	for _, v := range d.Voters {
		if v.Heard || v.Evidence != nil || v.ProTxHash == x.silent.ProTxHash || got.Names[v.ProTxHash.String()] == "" {
			t.Errorf("voter %+v, whose vote was never heard here", v)
		}
	}
	if len(d.Transitions) != 1 || d.Transitions[0].From != state.Active || d.Transitions[0].To != state.Decommissioned || d.After == nil {
		t.Errorf("transitions %+v", d.Transitions)
	}
	if cr := got.Credit; cr == nil || cr.Total != cr.Base+cr.Earned-cr.Down || cr.IfFailing == "" {
		t.Errorf("credit %+v does not add up", cr)
	}

	for _, c := range []struct {
		name      string
		params    []any
		state     string
		decisions int
	}{
		{"by hash", []any{x.silent.ProTxHash.String()}, "decommissioned", 1},
		{"at the block", []any{x.silent.Name, c.block}, "decommissioned", 1},
		{"just before", []any{x.silent.Name, c.block - 1}, "active", 0},
		{"at the genesis", []any{x.silent.Name, 0}, "active", 0},
		{"another node", []any{x.Members[0].Name}, "active", 0},
	} {
		var got node.Explanation
		answer(t, n, &got, "explain", c.params...)
		if got.State != c.state || len(got.Decisions) != c.decisions || got.Decisions == nil || got.Credit == nil {
			t.Errorf("%s: %s with decisions %v and credit %v, want %s and %d", c.name, got.State, got.Decisions, got.Credit, c.state, c.decisions)
		}
	}
}

// A node that joined, kept silent and was removed. Before it joined there is
// nothing to explain.
func TestExplain_OfANodeThatIsGone(t *testing.T) {
	network, err := testnet.NewNetwork(testnet.Options{
		Nodes: 9, Regular: 4, Authorities: 4, Unregistered: 1, Seed: 8, Profile: "spec", Slot: time.Second, History: 3600, Now: time.Now(), NoQuorums: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	joining := network.Members[8]
	joined := network.Register(joining, testnet.StakingRequirement, 0)
	proTx := joined.ProTxHash()
	sim, err := network.Simulate(testnet.Link{}, 8) // the member never learns that it is registered
	if err != nil {
		t.Fatal(err)
	}
	run := func(slots int) {
		t.Helper()
		if err := sim.Run(slots); err != nil {
			t.Fatal(err)
		}
	}
	sim.Down(8)
	run(3)
	if v := sim.Submit(0, joined); !v.OK() {
		t.Fatalf("the registration is judged %s", v.Reason)
	}
	run(8)
	registered, ok := sim.Engine(0).Snapshot().State.Node(proTx)
	if !ok {
		t.Fatal("the registration is in no block")
	}
	for range 250 {
		if _, dead := sim.Engine(0).Snapshot().State.Tombstone(proTx); dead {
			break
		}
		run(1)
	}
	dir := t.TempDir()
	if err := sim.Save(0, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNodeOf(t, network, dir)
	var got node.Explanation
	answer(t, n, &got, "explain", proTx.String())
	if got.State != "gone" || got.Tombstone == nil || got.Credit != nil || got.Node != nil || len(got.Decisions) != 3 {
		t.Fatalf("at the tip: %s with tombstone %v, credit %v and %d decisions; want gone with 3", got.State, got.Tombstone, got.Credit, len(got.Decisions))
	}
	last := got.Decisions[2]
	if last.Height != got.Tombstone.Height || last.After != nil || len(last.Voters) == 0 || !last.Voters[0].Heard || last.Voters[0].Evidence == nil {
		t.Errorf("the last decision is %+v, want one of votes that were heard", last)
	}
	answer(t, n, &got, "explain", proTx.String(), last.Height-1)
	if got.State != "decommissioned" || got.Tombstone != nil || len(got.Decisions) != 2 {
		t.Errorf("just before: %s with tombstone %v and %d decisions, want decommissioned, none and 2", got.State, got.Tombstone, len(got.Decisions))
	}
	if x, err := n.Call(t.Context(), "explain", proTx.String(), registered.RegisteredHeight-1); err == nil || !strings.Contains(err.Error(), "never registered") {
		t.Errorf("before it joined: %+v, %v; want an error", x, err)
	}
}

// What a block decided that is undone is not told any more.
func TestExplain_ForgetsWhatWasUndone(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	c := x.certificate(t)
	feed(t, n, x.blocks[:c.block]...)
	var got node.Explanation
	answer(t, n, &got, "explain", x.silent.Name)
	if got.State != "decommissioned" || len(got.Decisions) != 1 {
		t.Fatalf("%s with %d decisions, want decommissioned with 1", got.State, len(got.Decisions))
	}
	feed(t, n, x.fork(t, n.Snapshot())...)
	answer(t, n, &got, "explain", x.silent.Name)
	if got.Tip != c.block+1 || got.State != "active" || len(got.Decisions) != 0 {
		t.Errorf("after a better branch: tip %d, %s with %d decisions; want %d, active with 0", got.Tip, got.State, len(got.Decisions), c.block+1)
	}
}

func TestExplain_WrongParameters(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks[:3]...)
	name := x.silent.Name
	for _, c := range []struct {
		name   string
		params []any
		want   string
	}{
		{"none", nil, "0 parameters"},
		{"three", []any{name, 1, 2}, "3 parameters"},
		{"unknown name", []any{"evo-77"}, "neither 64 hex digits nor the name"},
		{"half a hash", []any{x.silent.ProTxHash.String()[:32]}, "neither 64 hex digits nor the name"},
		{"unknown hash", []any{wire.Hash{1}.String()}, "never registered"},
		{"a number for a name", []any{7}, "must be a string"},
		{"above the tip", []any{name, 4}, "from 0 to 3"},
		{"negative", []any{name, -1}, "from 0 to 3"},
		{"a text for a height", []any{name, "3"}, "must be a whole number"},
		{"a fraction", []any{name, 1.5}, "must be a whole number"},
		{"beyond 32 bits", []any{name, 1 << 40}, "must be a whole number"},
	} {
		_, err := n.Call(t.Context(), "explain", c.params...)
		var invalid *api.Error
		if !errors.As(err, &invalid) || invalid.Code != api.CodeParams || !strings.Contains(invalid.Message, c.want) {
			t.Errorf("%s: error %v, want one of parameters that says %q", c.name, err, c.want)
		}
	}
}

// answer asks the node as its operator would, and reads the answer.
func answer(t testing.TB, n *node.Node, into any, method string, params ...any) {
	t.Helper()
	result, err := n.Call(t.Context(), method, params...)
	if err != nil {
		t.Fatalf("%s %v: %v", method, params, err)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	reflect.ValueOf(into).Elem().SetZero()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s %v: %v in %s", method, params, err, raw)
	}
}

// shows reports whether a node exports a metric with that label.
func shows(t testing.TB, n *node.Node, name, label, value string) bool {
	t.Helper()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" {
				return true
			}
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return true
				}
			}
		}
	}
	return false
}
