package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// quorumMethods is what the operator can ask about long-living quorums. Names,
// parameters and answers are Dash Core's; what an answer has beyond those is
// ours. Source: spec/dash.md 8.2.
func (n *Node) quorumMethods() []api.Method {
	return slices.Concat([]api.Method{
		{
			Name: "quorum list", Usage: "[COUNT]",
			Help: "list the newest quorums of each type, newest first: those that sign, or COUNT of them",
			Call: atMost(1, n.rpcQuorumList),
		},
		{
			Name: "quorum listextended", Usage: "[HEIGHT]",
			Help: "list the quorums that sign at a height, with when they were made and by how many",
			Call: atMost(1, n.rpcQuorumListExtended),
		},
		{
			Name: "quorum info", Usage: "TYPE QUORUMHASH [false]",
			Help: "show a quorum and its members; this node's share of its key is never shown",
			Call: atMost(3, n.rpcQuorumInfo),
		},
		{
			Name: "quorum memberof", Usage: "PROTXHASH [COUNT]",
			Help: "show the quorums that a service node is a member of, among the newest of each type",
			Call: atMost(2, n.rpcQuorumMemberOf),
		},
	}, n.signMethods(), n.signingMethods(), n.dkgMethods(), n.faultMethods())
}

// QuorumInfo shows a quorum as `quorum info` of Dash does.
type QuorumInfo struct {
	Height      int32            `json:"height"` // of the base block
	Type        string           `json:"type"`
	QuorumHash  wire.Hash        `json:"quorumHash"`
	QuorumIndex int16            `json:"quorumIndex"`
	MinedBlock  wire.Hash        `json:"minedBlock"`
	MinedHeight int32            `json:"minedHeight"`
	Size        int              `json:"size"` // members wanted
	Threshold   int              `json:"threshold"`
	Valid       int              `json:"numValidMembers"`
	Members     []QuorumMember   `json:"members,omitempty"` // in order of the index
	PublicKey   wire.OperatorKey `json:"quorumPublicKey"`
}

// QuorumMember shows a member as it was when the members were drawn, as far as
// this is remembered, else as it is now.
type QuorumMember struct {
	Name        string            `json:"name,omitempty"` // in the genesis
	ProTxHash   wire.Hash         `json:"proTxHash"`
	Addresses   []string          `json:"addresses,omitempty"`
	OperatorKey *wire.OperatorKey `json:"pubKeyOperator,omitempty"` // nil if the node is gone
	Valid       bool              `json:"valid"`                    // has a share of the key
	Signer      bool              `json:"signer"`                   // signed the commitment
}

// MemberOf shows a quorum and one member's place in it.
type MemberOf struct {
	QuorumInfo
	IsValidMember bool `json:"isValidMember"`
	MemberIndex   int  `json:"memberIndex"`
}

// ExtendedQuorum is what `quorum listextended` tells of a quorum.
type ExtendedQuorum struct {
	QuorumIndex     *int16    `json:"quorumIndex,omitempty"` // of a rotated type
	CreationHeight  int32     `json:"creationHeight"`
	MinedBlockHash  wire.Hash `json:"minedBlockHash"`
	NumValidMembers int       `json:"numValidMembers"`
	HealthRatio     string    `json:"healthRatio"` // of valid members in the size
}

// newest returns the newest quorums of a type that were mined at or below a
// height, newest first.
func newest(s state.State, t wire.LLMQType, height int32, count int) (list []state.Quorum) {
	for q := range s.Quorums(t) {
		if len(list) == count {
			break
		}
		if q.Mined <= height {
			list = append(list, q)
		}
	}
	return list
}

// minedOf names all quorums of a type, as package signing chooses among them.
func minedOf(s state.State, t wire.LLMQType) (list []signing.Mined) {
	for q := range s.Quorums(t) {
		list = append(list, signing.Mined{Hash: q.Hash(), Height: q.Mined})
	}
	return list
}

func (n *Node) rpcQuorumList(_ context.Context, p api.Params) (any, error) {
	count, err := countParam(p, 0)
	if err != nil {
		return nil, err
	}
	s := n.Snapshot()
	lists := make(map[string][]wire.Hash)
	for _, llmq := range s.State.LLMQs() {
		hashes := make([]wire.Hash, 0)
		for _, q := range newest(s.State, llmq.Type, s.TipHeight(), cmp.Or(count, llmq.SigningActive)) {
			hashes = append(hashes, q.Hash())
		}
		lists[llmq.Name] = hashes
	}
	return lists, nil
}

// countParam reads how many quorums of each type are wanted; 0 if none is
// given.
func countParam(p api.Params, i int) (int, error) {
	if i >= len(p) {
		return 0, nil
	}
	count, err := p.Height(i, "count")
	if err == nil && count < 1 {
		err = api.Invalid("count is %d, want 1 or more", count)
	}
	return int(count), err
}

func (n *Node) rpcQuorumListExtended(_ context.Context, p api.Params) (any, error) {
	s := n.Snapshot()
	height := s.TipHeight()
	if len(p) > 0 {
		var err error
		if height, err = p.Height(0, "height"); err != nil {
			return nil, err
		}
		if err := onBranch(s, height); err != nil {
			return nil, err
		}
	}
	lists := make(map[string][]map[string]ExtendedQuorum)
	for _, llmq := range s.State.LLMQs() {
		list := make([]map[string]ExtendedQuorum, 0)
		for _, q := range newest(s.State, llmq.Type, height, llmq.SigningActive) {
			valid := q.Commitment.ValidMembers.Count()
			x := ExtendedQuorum{
				CreationHeight: q.Base, MinedBlockHash: n.blockHash(s, q.Mined), NumValidMembers: valid,
				HealthRatio: fmt.Sprintf("%.2f", float64(valid)/float64(llmq.Size)),
			}
			if llmq.Rotated {
				x.QuorumIndex = &q.Commitment.QuorumIndex
			}
			list = append(list, map[string]ExtendedQuorum{q.Hash().String(): x})
		}
		lists[llmq.Name] = list
	}
	return lists, nil
}

func onBranch(s *engine.Snapshot, height int32) error {
	if height < 0 || height > s.TipHeight() {
		return api.NotFound("height %d is not on our branch, which goes from 0 to %d", height, s.TipHeight())
	}
	return nil
}

// blockHash is the hash of a block of our branch, however deep it lies; zero
// if it has just been undone.
func (n *Node) blockHash(s *engine.Snapshot, height int32) wire.Hash {
	if hash, ok := s.BlockAt(height); ok {
		return hash
	}
	raw, err := n.store.Get(engine.KindBlock, binary.BigEndian.AppendUint32(nil, uint32(height)))
	if err != nil || raw == nil {
		return wire.Hash{}
	}
	b, err := wire.ParseBlock(raw)
	if err != nil {
		return wire.Hash{}
	}
	return b.Header.Hash()
}

func (n *Node) rpcQuorumInfo(_ context.Context, p api.Params) (any, error) {
	s := n.Snapshot()
	llmq, err := llmqParam(s, p, 0)
	if err != nil {
		return nil, err
	}
	hash, err := hashParam(p, 1, "quorumhash")
	if err != nil {
		return nil, err
	}
	if len(p) > 2 {
		switch share, err := p.Bool(2, "includeskshare"); {
		case err != nil:
			return nil, err
		case share:
			return nil, api.Invalid("this node shows its share of a quorum's key to nobody: includeskshare must be false")
		}
	}
	q, ok := s.State.Quorum(llmq.Type, hash)
	if !ok {
		return nil, errNoQuorum
	}
	info := n.quorumInfo(s, llmq, q)
	info.Members = n.quorumMembers(s, q)
	return info, nil
}

// errNoQuorum is in the words that callers of Dash know.
var errNoQuorum = api.NotFound("quorum not found")

func (n *Node) quorumInfo(s *engine.Snapshot, llmq params.LLMQ, q state.Quorum) QuorumInfo {
	return QuorumInfo{
		Height: q.Base, Type: llmq.Name, QuorumHash: q.Hash(), QuorumIndex: q.Commitment.QuorumIndex,
		MinedBlock: n.blockHash(s, q.Mined), MinedHeight: q.Mined, Size: llmq.Size, Threshold: llmq.Threshold,
		Valid: q.Commitment.ValidMembers.Count(), PublicKey: q.Key(),
	}
}

func (n *Node) quorumMembers(s *engine.Snapshot, q state.Quorum) (members []QuorumMember) {
	registry := s.State
	if drawn := s.Branch.At(q.Base - dkg.SelectionDepth); drawn != nil {
		registry = drawn.State
	}
	for i, proTx := range q.Members {
		m := QuorumMember{Name: n.names[proTx], ProTxHash: proTx, Valid: q.Commitment.ValidMembers.Has(i), Signer: q.Commitment.Signers.Has(i)}
		if node, ok := registry.Node(proTx); ok {
			m.Addresses, m.OperatorKey = node.Addresses, &node.OperatorKey
		}
		members = append(members, m)
	}
	return members
}

func (n *Node) rpcQuorumMemberOf(_ context.Context, p api.Params) (any, error) {
	text, err := p.Text(0, "protxhash")
	if err != nil {
		return nil, err
	}
	proTx, err := n.find(text)
	if err != nil {
		return nil, err
	}
	count, err := countParam(p, 1)
	if err != nil {
		return nil, err
	}
	s := n.Snapshot()
	if _, registered := s.State.Node(proTx); !registered {
		return nil, api.NotFound("%s not found", proTx)
	}
	list := make([]MemberOf, 0)
	for _, llmq := range s.State.LLMQs() {
		for _, q := range newest(s.State, llmq.Type, s.TipHeight(), cmp.Or(count, llmq.SigningActive)) {
			if i, ok := q.Index(proTx); ok {
				list = append(list, MemberOf{n.quorumInfo(s, llmq, q), q.Commitment.ValidMembers.Has(i), i})
			}
		}
	}
	return list, nil
}

// atMost refuses calls with more parameters than a method has.
func atMost(most int, call func(context.Context, api.Params) (any, error)) func(context.Context, api.Params) (any, error) {
	return func(ctx context.Context, p api.Params) (any, error) {
		if len(p) > most {
			return nil, api.Invalid("%d parameters, at most %d", len(p), most)
		}
		return call(ctx, p)
	}
}

// llmqParam reads a quorum type that runs here: its number, as Dash's callers
// give it, or its name.
func llmqParam(s *engine.Snapshot, p api.Params, i int) (params.LLMQ, error) {
	known := make(map[string]params.LLMQ)
	for _, q := range s.State.LLMQs() {
		known[q.Name], known[strconv.Itoa(int(q.Type))] = q, q
	}
	var text string
	if number, err := p.Height(i, "llmqtype"); err == nil {
		text = strconv.Itoa(int(number))
	} else if text, err = p.Text(i, "llmqtype"); err != nil {
		return params.LLMQ{}, err
	}
	q, ok := known[text]
	if !ok {
		return q, api.NotFound("invalid LLMQ type: %.40q does not run here; known: %s", text, slices.Sorted(maps.Keys(known)))
	}
	return q, nil
}
