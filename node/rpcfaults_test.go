package node_test

import (
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/wire"
)

func TestQuorum_Faults(t *testing.T) {
	a := newAskable(t)
	var got []node.Fault
	if a.ask(&got, "quorum faults"); got == nil || len(got) != 0 {
		t.Errorf("nobody did wrong: %+v, want an empty list", got)
	}
	member, quorum, id := a.network.Members[2], blockHash(48), wire.Hash{7}
	share := func(message byte) wire.SigShare {
		return wire.SigShare{Type: 106, QuorumHash: quorum, Member: 1, ID: id, MessageHash: wire.Hash{message}}
	}
	signed := func(message byte) wire.RecoveredSig {
		return wire.RecoveredSig{Type: 106, QuorumHash: quorum, ID: id, MessageHash: wire.Hash{message}}
	}
	complaint := func(bad bool) wire.Complaint {
		return wire.Complaint{
			DKGHead:    wire.DKGHead{Type: 106, QuorumHash: quorum, ProTxHash: member.ProTxHash},
			BadMembers: wire.Bitset{bad, false}, ComplainFor: make(wire.Bitset, 2),
		}
	}
	a.snapshot.Contradictions = a.snapshot.Contradictions.Set(wire.Hash{1}, signing.Contradiction{First: signed(1), Second: signed(2)})
	a.snapshot.ShareFaults = []signing.Fault{
		{Kind: signing.Equivocation, Member: member.ProTxHash, ID: id, Height: 60, Shares: []wire.SigShare{share(1), share(2)}},
		{Kind: signing.BadShare, Member: member.ProTxHash, ID: id, Height: 61, Shares: []wire.SigShare{share(1)}},
	}
	a.snapshot.DKGFaults = []engine.DKGFault{{Height: 48, Equivocation: dkg.Equivocation{First: complaint(false), Second: complaint(true)}}}
	text := func(messages ...interface{ Bytes() []byte }) (all []string) {
		for _, m := range messages {
			all = append(all, hex.EncodeToString(m.Bytes()))
		}
		return all
	}
	want := []node.Fault{
		{Kind: "contradiction", Type: 106, QuorumHash: quorum, ID: &id, Messages: text(signed(1), signed(2))},
		{Kind: "equivocation", Name: member.Name, ProTxHash: &member.ProTxHash, Type: 106, QuorumHash: quorum, ID: &id, Height: 60, Messages: text(share(1), share(2))},
		{Kind: "bad-share", Name: member.Name, ProTxHash: &member.ProTxHash, Type: 106, QuorumHash: quorum, ID: &id, Height: 61, Messages: text(share(1))},
		{Kind: "dkg-equivocation", Name: member.Name, ProTxHash: &member.ProTxHash, Type: 106, QuorumHash: quorum, Height: 48, Messages: []string{
			hex.EncodeToString(engine.DKGBytes(complaint(false))), hex.EncodeToString(engine.DKGBytes(complaint(true))),
		}},
	}
	if a.ask(&got, "quorum faults"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
