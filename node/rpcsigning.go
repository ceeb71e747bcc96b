package node

import (
	"context"
	"slices"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// signingMethods is what the operator can ask about what quorums sign.
func (n *Node) signingMethods() []api.Method {
	return []api.Method{
		{
			Name: "quorum selectquorum", Usage: "TYPE ID",
			Help: "show which quorum signs a request now, and which members collect the shares",
			Call: atMost(2, n.rpcSelectQuorum),
		},
		{
			Name: "quorum verify", Usage: "TYPE ID MSGHASH SIGNATURE [QUORUMHASH] [SIGNHEIGHT]",
			Help: "check a quorum's signature: of the quorum named, else of the one that the request selects at a height or now",
			Call: atMost(6, n.rpcVerify),
		},
		{
			Name: "quorum hasrecsig", Usage: "TYPE ID MSGHASH",
			Help: "tell whether this node has a quorum's signature of that message for that request",
			Call: atMost(3, n.rpcHasRecoveredSig),
		},
		{
			Name: "quorum getrecsig", Usage: "TYPE ID MSGHASH",
			Help: "show a quorum's signature of that message for that request",
			Call: atMost(3, n.rpcRecoveredSig),
		},
		{
			Name: "quorum isconflicting", Usage: "TYPE ID MSGHASH",
			Help: "tell whether a quorum has signed another message for that request",
			Call: atMost(3, n.rpcIsConflicting),
		},
	}
}

// SelectedQuorum answers `quorum selectquorum`.
type SelectedQuorum struct {
	QuorumHash      wire.Hash   `json:"quorumHash"`
	RecoveryMembers []wire.Hash `json:"recoveryMembers"`
}

func (n *Node) rpcSelectQuorum(_ context.Context, p api.Params) (any, error) {
	s := n.Snapshot()
	llmq, err := llmqParam(s, p, 0)
	if err != nil {
		return nil, err
	}
	id, err := hashParam(p, 1, "id")
	if err != nil {
		return nil, err
	}
	q, ok := selected(s.State, llmq, id, s.TipHeight())
	if !ok {
		return nil, api.NotFound("no quorums active")
	}
	made, err := signingQuorum(llmq, q)
	if err != nil {
		return nil, err
	}
	return SelectedQuorum{q.Hash(), made.RecoveryMembers(id)}, nil
}

// selected is the quorum that a request selects at a height.
func selected(s state.State, llmq params.LLMQ, id wire.Hash, height int32) (state.Quorum, bool) {
	m, ok := signing.Select(llmq, minedOf(s, llmq.Type), id, height)
	if !ok {
		return state.Quorum{}, false
	}
	return s.Quorum(llmq.Type, m.Hash)
}

// signingQuorum is a quorum as an outsider to it knows it.
func signingQuorum(llmq params.LLMQ, q state.Quorum) (*signing.Quorum, error) {
	key, err := bls.ParsePublicKey(q.Key())
	if err != nil {
		return nil, err
	}
	valid := make([]bool, len(q.Members))
	for i := range valid {
		valid[i] = q.Commitment.ValidMembers.Has(i)
	}
	return signing.NewQuorum(llmq, signing.Mined{Hash: q.Hash(), Height: q.Mined}, key, q.Members, valid, nil)
}

// request is a message that a quorum may have signed for a request.
type signedRequest struct {
	llmq    params.LLMQ
	id      wire.Hash
	message wire.Hash
}

func requestParams(s *engine.Snapshot, p api.Params) (r signedRequest, err error) {
	if r.llmq, err = llmqParam(s, p, 0); err != nil {
		return r, err
	}
	if r.id, err = hashParam(p, 1, "id"); err != nil {
		return r, err
	}
	r.message, err = hashParam(p, 2, "msghash")
	return r, err
}

func (n *Node) rpcVerify(_ context.Context, p api.Params) (any, error) {
	s := n.Snapshot()
	r, err := requestParams(s, p)
	if err != nil {
		return nil, err
	}
	text, err := p.Text(3, "signature")
	if err != nil {
		return nil, err
	}
	var sig wire.Signature
	if err := wire.DecodeHex(sig[:], "signature", []byte(text)); err != nil {
		return nil, api.Invalid("%s", err)
	}
	named, err := namedQuorum(p, 4)
	if err != nil {
		return nil, err
	}
	height := s.TipHeight()
	if len(p) > 5 {
		if height, err = p.Height(5, "signheight"); err == nil {
			err = onBranch(s, height)
		}
		if err != nil {
			return nil, err
		}
	}
	if !named.IsZero() {
		q, ok := s.State.Quorum(r.llmq.Type, named)
		if !ok {
			return nil, errNoQuorum
		}
		return r.signedBy(q, sig), nil
	}
	// The quorums that sign at the height itself, then those an interval
	// before: unlike a signer, who asks does not know how old the signature is.
	for _, offset := range []int32{0, r.llmq.DKGInterval} {
		q, ok := selected(s.State, r.llmq, r.id, height-offset+signing.SignHeightOffset)
		if ok && r.signedBy(q, sig) {
			return true, nil
		}
	}
	return false, nil
}

// namedQuorum reads a quorum that may be left out: an empty text or null stands
// before what follows. It is zero if none is named.
func namedQuorum(p api.Params, i int) (wire.Hash, error) {
	if i >= len(p) || slices.Contains([]string{`""`, "null"}, string(p[i])) {
		return wire.Hash{}, nil
	}
	return hashParam(p, i, "quorumhash")
}

func (r signedRequest) signedBy(q state.Quorum, sig wire.Signature) bool {
	made, err := signingQuorum(r.llmq, q)
	return err == nil && made.Verify(wire.RecoveredSig{Type: r.llmq.Type, QuorumHash: q.Hash(), ID: r.id, MessageHash: r.message, Signature: sig})
}

// RecoveredSigInfo shows a quorum's signature as `quorum getrecsig` of Dash does.
type RecoveredSigInfo struct {
	Type       wire.LLMQType `json:"llmqType"`
	QuorumHash wire.Hash     `json:"quorumHash"`
	ID         wire.Hash     `json:"id"`
	MsgHash    wire.Hash     `json:"msgHash"`
	Sig        string        `json:"sig"`
	Hash       wire.Hash     `json:"hash"`
}

// held is the signature of a request that this node has, of whatever message.
func (n *Node) held(p api.Params) (r signedRequest, sig wire.RecoveredSig, ok bool, err error) {
	s := n.Snapshot()
	if r, err = requestParams(s, p); err != nil {
		return r, sig, false, err
	}
	sig, ok = s.Signature(r.llmq.Type, r.id)
	return r, sig, ok, nil
}

func (n *Node) rpcHasRecoveredSig(_ context.Context, p api.Params) (any, error) {
	r, sig, ok, err := n.held(p)
	return ok && sig.MessageHash == r.message, err
}

func (n *Node) rpcIsConflicting(_ context.Context, p api.Params) (any, error) {
	r, sig, ok, err := n.held(p)
	return ok && sig.MessageHash != r.message, err
}

func (n *Node) rpcRecoveredSig(_ context.Context, p api.Params) (any, error) {
	r, sig, ok, err := n.held(p)
	switch {
	case err != nil:
		return nil, err
	case !ok || sig.MessageHash != r.message:
		return nil, api.NotFound("recovered signature not found")
	}
	return RecoveredSigInfo{sig.Type, sig.QuorumHash, sig.ID, sig.MessageHash, sig.Signature.String(), sig.InventoryHash()}, nil
}
