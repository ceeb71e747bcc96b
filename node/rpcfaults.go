package node

import (
	"context"
	"encoding/hex"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/wire"
)

// faultMethods is what the operator can ask about who did wrong.
func (n *Node) faultMethods() []api.Method {
	return []api.Method{{
		Name: "quorum faults", Usage: "",
		Help: "list the proofs that quorums or members signed two things where they may sign one, or that members sent bad shares",
		Call: n.rpcFaults,
	}}
}

// The kinds of faults beside those of package signing.
const (
	contradiction   = "contradiction"    // a type's quorums signed two messages for one request
	dkgEquivocation = "dkg-equivocation" // two messages of one kind in a session
)

// Fault is what a member or a quorum did wrong, with what proves it.
type Fault struct {
	Kind       string        `json:"kind"`
	Name       string        `json:"name,omitempty"`      // in the genesis, of the member
	ProTxHash  *wire.Hash    `json:"proTxHash,omitempty"` // nil of a contradiction
	Type       wire.LLMQType `json:"llmqType"`
	QuorumHash wire.Hash     `json:"quorumHash"`       // that the first message names
	ID         *wire.Hash    `json:"id,omitempty"`     // of the request; nil in a session
	Height     int32         `json:"height,omitempty"` // of the tip when a share was found; of a session's base block
	Messages   []string      `json:"messages"`         // as they travel
}

func (n *Node) rpcFaults(context.Context, api.Params) (any, error) {
	s := n.Snapshot()
	list := make([]Fault, 0, s.Contradictions.Len()+len(s.ShareFaults)+len(s.DKGFaults))
	for _, c := range s.Contradictions.All() {
		list = append(list, Fault{
			Kind: contradiction, Type: c.First.Type, QuorumHash: c.First.QuorumHash, ID: &c.First.ID,
			Messages: []string{hex.EncodeToString(c.First.Bytes()), hex.EncodeToString(c.Second.Bytes())},
		})
	}
	for _, f := range s.ShareFaults {
		fault := Fault{
			Kind: string(f.Kind), Name: n.names[f.Member], ProTxHash: &f.Member, Type: f.Shares[0].Type, QuorumHash: f.Shares[0].QuorumHash,
			ID: &f.ID, Height: f.Height,
		}
		for _, x := range f.Shares {
			fault.Messages = append(fault.Messages, hex.EncodeToString(x.Bytes()))
		}
		list = append(list, fault)
	}
	for _, f := range s.DKGFaults {
		head := f.First.Head()
		list = append(list, Fault{
			Kind: dkgEquivocation, Name: n.names[head.ProTxHash], ProTxHash: &head.ProTxHash, Type: head.Type, QuorumHash: head.QuorumHash, Height: f.Height,
			Messages: []string{hex.EncodeToString(engine.DKGBytes(f.First)), hex.EncodeToString(engine.DKGBytes(f.Second))},
		})
	}
	return list, nil
}
