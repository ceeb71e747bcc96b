package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

// run runs nodes of evonodes, which know each other.
func (c council) run(t *testing.T, members ...int) (nodes []*askable) {
	t.Helper()
	var met []peer.AddrInfo
	for _, i := range members {
		dir := t.TempDir()
		if err := c.past.Save(i, dir); err != nil {
			t.Fatal(err)
		}
		n, _ := startNode(t, c.past.Network, dir, func(config *node.Config) {
			m := c.past.Members[i]
			config.ProTxHash, config.Identity, config.OperatorKey, config.Bootstrap = m.ProTxHash, m.Service, &m.Operator, slices.Clone(met)
		})
		met = append(met, peer.AddrInfo{ID: n.Gossip().ID(), Addrs: n.Gossip().Addrs()})
		nodes = append(nodes, &askable{Node: n, t: t})
	}
	await(t, "all to meet", func() bool {
		return !slices.ContainsFunc(nodes, func(a *askable) bool { return len(a.Gossip().Contacts()) < len(nodes)-1 })
	})
	return nodes
}

// wantRefused calls a method that fails for that reason, in the words of the
// node and not those of a wrong call.
func (a *askable) wantRefused(reason string, method string, params ...any) {
	a.t.Helper()
	answer, err := a.Call(a.t.Context(), method, params...)
	if of := (*api.Error)(nil); err == nil || errors.As(err, &of) || !strings.HasPrefix(err.Error(), reason+": ") {
		a.t.Errorf("%s %v: %v, error %v; want %s", method, params, answer, err, reason)
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	members := []int{1, 2, 3}
	nodes := c.run(t, members...)

	// The chain stands still: who collects first is to be one that runs.
	var id wire.Hash
	for collects := -1; collects < 0; id[0]++ {
		var first node.SelectedQuorum
		nodes[0].ask(&first, "quorum selectquorum", 106, wire.Hash{id[0] + 1})
		collects = slices.IndexFunc(members, func(i int) bool { return c.past.Members[i].ProTxHash == first.RecoveryMembers[0] })
	}
	message, other := wire.Hash{1}, wire.Hash{2}

	for k, n := range nodes {
		member := slices.Index(c.quorum.Members, c.past.Members[members[k]].ProTxHash)
		want := c.share(member, id, message)
		for name, params := range map[string][]any{
			"quorum sign":         {106, id, message, c.quorum.Hash(), false},
			"quorum platformsign": {id, message, nil, false},
		} {
			var share node.ShareInfo
			n.ask(&share, name, params...)
			if share != (node.ShareInfo{106, c.quorum.Hash(), uint16(member), id, message, want.SignHash(), want.Signature.String()}) {
				t.Errorf("%s: %+v, want %+v", name, share, want)
			}
			of, err := bls.ParseSignature(want.Signature)
			if key := c.shares[c.quorum.Members[member]]; err != nil || !bls.Verify(key.PublicKey(), share.SignHash, of) {
				t.Errorf("%s: no share by the member's part of the key: %v", name, err)
			}
		}
		n.wantRefused("request-signed-other", "quorum sign", 106, id, other)
	}
	if sent := slices.ContainsFunc(nodes, func(a *askable) bool { return value(t, a.Node, "proctor_sig_shares_total") > 0 }); sent {
		t.Error("a share that was not submitted has reached a member")
	}

	for _, n := range nodes {
		var signs bool
		if n.ask(&signs, "quorum sign", 106, id, message, "", true); !signs {
			t.Error("does not sign")
		}
	}
	for _, n := range nodes {
		await(t, "the quorum's signature", func() bool { _, ok := n.Snapshot().Signature(106, id); return ok })
		var sig node.RecoveredSigInfo
		n.ask(&sig, "quorum getrecsig", 106, id, message)
		var good, conflicts bool
		n.ask(&good, "quorum verify", 106, id, message, sig.Sig, nil, n.Snapshot().TipHeight())
		n.ask(&conflicts, "quorum isconflicting", 106, id, other)
		if !good || !conflicts || sig.QuorumHash != c.quorum.Hash() {
			t.Errorf("%+v: verifies %t, another message conflicts %t", sig, good, conflicts)
		}
		var signs bool
		if n.ask(&signs, "quorum platformsign", id, message); !signs {
			t.Error("does not sign what is signed")
		}
		n.wantRefused("request-signed-other", "quorum platformsign", id, other, nil, false)
	}
}

func TestSign_Refused(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	n := &askable{Node: observing(t, c.past), t: t}
	id := wire.Hash{1}
	n.wantRefused("request-no-member", "quorum sign", 106, id, id)
	n.wantRefused("request-no-member", "quorum platformsign", id, id)
	n.wantError(api.CodeNotFound, "quorum not found", "quorum sign", 106, id, id, wire.Hash{9})
	n.wantError(api.CodeNotFound, "does not run here", "quorum sign", 4, id, id)
	n.wantError(api.CodeParams, "llmqtype is missing", "quorum sign")
	n.wantError(api.CodeParams, "id is missing", "quorum sign", 106)
	n.wantError(api.CodeParams, "msghash is missing", "quorum platformsign", id)
	n.wantError(api.CodeParams, "quorumhash", "quorum platformsign", id, id, "ab")
	n.wantError(api.CodeParams, "submit must be true or false", "quorum platformsign", id, id, nil, "no")
	n.wantError(api.CodeParams, "6 parameters, at most 5", "quorum sign", 106, id, id, nil, false, 1)
	n.wantError(api.CodeParams, "5 parameters, at most 4", "quorum platformsign", id, id, nil, false, 1)
}
