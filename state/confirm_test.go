package state

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 2.2, step 3. A node registered at 5 is confirmed in the
// first block H with (H-1)-5 >= confirmations, by the hash of block H-1.
func TestConfirm_ByTheBlockBefore(t *testing.T) {
	for network, at := range map[string]int32{"devnet": 7, "regtest": 7, "dash-testnet": 7, "dash-mainnet": 21} {
		g := staked("spec")
		g.Network = network
		s := start(t, g)
		if n, _ := s.Node(g.Nodes[0].ProTxHash); n.ConfirmedHash != g.Hash() {
			t.Errorf("%s: a node of the genesis has %s, want the network's hash", network, n.ConfirmedHash)
		}
		e := register(g, bob, 1, 400, 1) // awaits stake: confirmed all the same
		s, _ = applied(t, s, 5, e)
		for h := int32(6); h < 24; h++ {
			before := s
			next, diff := applied(t, s, h)
			n, _ := next.Node(e.ProTxHash())
			var want wire.Hash
			if h >= at {
				want = parentOf(at)
			}
			if n.ConfirmedHash != want {
				t.Errorf("%s, at %d: confirmed by %s, want %s", network, h, n.ConfirmedHash, want)
			}
			if back, err := next.Undo(diff); err != nil || !reflect.DeepEqual(viewOf(back), viewOf(before)) {
				t.Errorf("%s, at %d: undone: %v", network, h, err)
			}
			s = next
		}
	}
}

// A place in the draws is kept whatever becomes of the node.
func TestConfirm_Once(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	e := register(g, bob, 1, 1000, 1)
	node := e.ProTxHash()
	s, _ = applied(t, s, 5, e)
	s, _ = applied(t, s, 6)
	s, _ = applied(t, s, 7)
	s, _ = failing(t, s, 8, []wire.Hash{node}, []wire.Hash{node})
	s, _ = applied(t, s, 9, wire.UpdateService{EventHead: head(g, 1), ProTxHash: node, Addresses: []string{"b"}})
	s, _ = applied(t, s, 10, wire.Revoke{EventHead: head(g, 2), ProTxHash: node})
	if n, _ := s.Node(node); n.ConfirmedHash != parentOf(7) {
		t.Errorf("confirmed by %s, want %s", n.ConfirmedHash, parentOf(7))
	}
}

// Who left does not come back by being confirmed, and a block touches only
// whom it confirms.
func TestConfirm_TouchesOnlyTheConfirmed(t *testing.T) {
	g := staked("spec")
	s := start(t, g)
	var want []wire.Hash
	var events []wire.Event
	for i := range byte(6) {
		e := register(g, carol, uint64(i+1), 400, i+1)
		events = append(events, e)
		want = append(want, e.ProTxHash())
	}
	gone := want[0]
	s, _ = applied(t, s, 5, append(events, leaves(g, carol, 7, gone))...) // awaits: gone in the next block
	s, _ = applied(t, s, 6, register(g, bob, 1, 400, 9))                  // a block later than they
	s, diff := applied(t, s, 7)
	var got []wire.Hash
	for _, r := range diff.Before {
		if n, err := ParseNode(r.Value); r.Kind == KindNode && err == nil && wire.Hash(r.Key) != diff.Paid {
			got = append(got, n.ProTxHash)
		}
	}
	want = want[1:]
	slices.SortFunc(want, func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
	if !slices.Equal(got, want) {
		t.Errorf("block 7 touched %v, want %v", got, want)
	}
	if _, ok := s.Node(gone); ok {
		t.Error("the one that left is back")
	}
	if left := fmt.Sprint(len(viewOf(s).Unconfirmed)); left != "1" {
		t.Errorf("%s nodes wait to be confirmed, want 1", left)
	}
}
