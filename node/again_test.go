package node_test

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// A ban that was judged is known again: by the same peer, past everything
// that gossip remembers, by another peer, and after a restart. It costs no
// second signature check, whatever the verdict was; who passes a forgery on is
// charged each time.
func TestBan_OfferedAgainCostsNoSecondCheck(t *testing.T) {
	for _, profile := range []string{"spec", "core"} {
		past, dir := frozenNetwork(t, 4, profile)
		n, stop := startNode(t, past.Network, dir)
		tip := n.Snapshot().TipHeight()
		good := signed(t, past, 1, tip)
		stale := signed(t, past, 1, tip-3)
		forged := signed(t, past, 2, tip)
		forged.Signature = good.Signature
		bad := forged
		bad.Signature = wire.Signature{0xc0}

		first := []validation.Reason{validation.Valid, validation.Stale, validation.Signature, validation.SignatureEncoding}
		again := []validation.Reason{validation.Duplicate, validation.Stale, validation.Signature, validation.SignatureEncoding}
		offer := func(n *node.Node, from string, want []validation.Reason) {
			t.Helper()
			for i, m := range []wire.PlatformBan{good, stale, forged, bad} {
				peer := engine.Peer(from) + engine.Peer(want[i])
				if v := n.JudgeFrom(t.Context(), peer, m.Bytes()); v.Reason != want[i] {
					t.Fatalf("%s: ban %d offered by %s is judged %s, want %s", profile, i, from, v.Reason, want[i])
				}
				charged := want[i] == validation.Signature || want[i] == validation.SignatureEncoding
				if _, banned := n.Snapshot().PeerBan(peer); charged {
					await(t, "the ban of "+string(peer), func() bool { _, ok := n.Snapshot().PeerBan(peer); return ok })
				} else if banned {
					t.Errorf("%s: %s was banned for %s", profile, from, want[i])
				}
			}
		}
		offer(n, "one", first)
		checks := value(t, n, "proctor_verify_batch_size")
		if checks != 4 {
			t.Errorf("%s: %v signatures checked, want 4", profile, checks)
		}
		offer(n, "one", again)
		offer(n, "another", again)
		if now := value(t, n, "proctor_verify_batch_size"); now != checks {
			t.Errorf("%s: offered again, %v signatures were checked", profile, now-checks)
		}
		stop()

		n, stop = startNode(t, past.Network, dir)
		offer(n, "later", again)
		if now := value(t, n, "proctor_verify_batch_size"); now != 0 {
			t.Errorf("%s: offered after a restart, %v signatures were checked", profile, now)
		}
		stop()
	}
}

// What was refused for our view of the chain is received and done with under
// one profile, and judged again under the other.
func TestBan_ReceivedAsTheProfileSays(t *testing.T) {
	for profile, again := range map[string]validation.Reason{"spec": validation.Duplicate, "core": validation.UnknownNode} {
		past, dir := frozenNetwork(t, 4, profile)
		n, stop := startNode(t, past.Network, dir)
		m := signed(t, past, 1, n.Snapshot().TipHeight())
		m.ProTxHash[0] ^= 1
		if v := n.JudgeFrom(t.Context(), "one", m.Bytes()); v.Reason != validation.UnknownNode {
			t.Fatalf("judged %s", v.Reason)
		}
		await(t, "the charge", func() bool { _, ok := n.Snapshot().Account("one"); return ok })
		if v := n.JudgeFrom(t.Context(), "another", m.Bytes()); v.Reason != again {
			t.Errorf("%s: judged %s when offered again, want %s", profile, v.Reason, again)
		}
		stop()
		n, stop = startNode(t, past.Network, dir)
		if v := n.JudgeFrom(t.Context(), "another", m.Bytes()); v.Reason != again {
			t.Errorf("%s: judged %s after a restart, want %s", profile, v.Reason, again)
		}
		stop()
	}
}

// A node shows what is safely inside the window, and nothing before it knows
// where the network stands: what its peers find too old would cost it points.
func TestShare_OnlyWhatPeersCanTake(t *testing.T) {
	past, dir := frozenNetwork(t, 4, "spec")
	n, stop := startNode(t, past.Network, dir)
	tip := n.Snapshot().TipHeight()
	for i, height := range []int32{tip - 576, tip - 571, tip - 570, tip} {
		if v := n.JudgeFrom(t.Context(), "one", signed(t, past, i+1, height).Bytes()); !v.OK() {
			t.Fatalf("judged %s", v.Reason)
		}
	}
	want := []int32{tip - 570, tip}
	var heights, served []int32
	for _, d := range n.Shares() {
		heights = append(heights, d.Height)
	}
	for _, m := range n.SharesRange() {
		served = append(served, m.SignedHeight)
	}
	if !slices.Equal(heights, want) || !slices.Equal(served, want) {
		t.Errorf("shows heights %v, serves %v, want %v", heights, served, want)
	}
	stop()

	resting, err := node.New(node.Config{
		Genesis: past.Genesis, Identity: past.Members[0].Service, DataDir: dir,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resting.Close()
	if resting.Snapshot().Accepted.Len() != 4 || resting.Shares() != nil || resting.SharesRange() != nil {
		t.Errorf("a node that is not synced has %d bans and shares %v, %v", resting.Snapshot().Accepted.Len(), resting.Shares(), resting.SharesRange())
	}
}

// signed is a ban of the nth evonode.
func signed(t testing.TB, past *testnet.Simulation, n int, height int32) wire.PlatformBan {
	t.Helper()
	signers := signersAt(t, past, height)
	m, err := signers.Ban(past.Members[n].ProTxHash, height, signers.Threshold)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// signersAt are the members of the platform quorum that signs at a height.
func signersAt(t testing.TB, past *testnet.Simulation, height int32) testnet.Signers {
	t.Helper()
	quorums, err := past.Quorums()
	if err != nil || len(quorums) == 0 {
		t.Fatalf("%d platform quorums (%v)", len(quorums), err)
	}
	return quorums.At(height)
}
