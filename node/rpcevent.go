package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// EventMethods is what the operator can ask about events.
func (n *Node) EventMethods() []api.Method {
	return []api.Method{
		{
			Name: "event submit", Usage: "HEX",
			Help: "judge an event exactly as a peer's, keep it for the next block and send it to all peers; the answer is the verdict",
			Call: n.rpcEventSubmit,
		},
		{
			Name: "event list", Usage: "",
			Help: "list the events that wait for a block",
			Call: n.rpcEventList,
		},
		{
			Name: "event next", Usage: "node PROTXHASH|NAME | staker KEY",
			Help: "show what the next event of a service node or a staker must carry: network and sequence number",
			Call: n.rpcEventNext,
		},
	}
}

// RevokeReasons are the names of wire.Revoke's reasons, by number.
var RevokeReasons = [wire.MaxRevokeReason + 1]string{"none", "termination", "compromised-keys", "change-of-keys"}

// EventInfo shows an event. What its kind has not is left out.
type EventInfo struct {
	Kind        string            `json:"kind"`
	Network     wire.Hash         `json:"network"`
	Record      string            `json:"record"` // whose sequence number it carries: a ProTxHash, or a staker's key
	Sequence    uint64            `json:"sequence"`
	ProTxHash   wire.Hash         `json:"protx_hash"` // the service node; of a registration the one it makes
	Evo         *bool             `json:"evo,omitempty"`
	OperatorKey *wire.OperatorKey `json:"operator_key,omitempty"`
	ServiceKey  *wire.ServiceKey  `json:"service_key,omitempty"`
	Addresses   []string          `json:"addresses,omitempty"`
	Platform    string            `json:"platform,omitempty"` // endpoint of an evonode's platform service
	Amount      uint64            `json:"amount,omitempty"`
	Reason      string            `json:"reason,omitempty"` // of a revocation
	SignHash    wire.Hash         `json:"sign_hash"`        // what its signers signed
	Hex         string            `json:"hex"`
}

// DescribeEvent shows an event that was parsed.
func DescribeEvent(event wire.Event) EventInfo {
	info := EventInfo{
		Kind: event.Kind().String(), Network: event.Head().Network, Record: event.Record().String(), Sequence: event.Head().Sequence,
		ProTxHash: event.Record(), SignHash: event.SignHash(), Hex: hex.EncodeToString(event.Bytes()),
	}
	switch e := event.(type) {
	case wire.Register:
		info.Record, info.ProTxHash, info.Amount = e.Staker.String(), e.ProTxHash(), e.Amount
		info.Evo, info.OperatorKey, info.ServiceKey = &e.Evo, &e.OperatorKey, &e.ServiceKey
		info.Addresses, info.Platform = e.Addresses, e.Platform
	case wire.Contribute:
		info.Record, info.ProTxHash, info.Amount = e.Staker.String(), e.ProTxHash, e.Amount
	case wire.Exit:
		info.Record, info.ProTxHash = e.Staker.String(), e.ProTxHash
	case wire.UpdateService:
		info.Addresses, info.Platform = e.Addresses, e.Platform
	case wire.Revoke:
		info.Reason = RevokeReasons[e.Reason]
	}
	return info
}

// ParseEventHex reads an event as `event submit` takes it.
func ParseEventHex(text string) (wire.Event, error) {
	if len(text) > 2*wire.MaxEventSize {
		return nil, fmt.Errorf("event of %d hex digits, at most %d: %w", len(text), 2*wire.MaxEventSize, wire.ErrSize)
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("event of %d characters is not hex: %w", len(text), err)
	}
	return wire.ParseEvent(raw)
}

// EventResult answers `event submit`.
type EventResult struct {
	Kind      string            `json:"kind"`
	Record    string            `json:"record"`
	Sequence  uint64            `json:"sequence"`
	ProTxHash wire.Hash         `json:"protx_hash"`
	Accepted  bool              `json:"accepted"`
	Outcome   string            `json:"outcome"`
	Reason    validation.Reason `json:"reason"`
	Detail    string            `json:"detail,omitempty"` // for people: what of the event does not fit
}

func (n *Node) rpcEventSubmit(ctx context.Context, p api.Params) (any, error) {
	if len(p) != 1 {
		return nil, api.Invalid("%d parameters, want 1 (hex)", len(p))
	}
	text, err := p.Text(0, "event")
	if err != nil {
		return nil, err
	}
	event, err := ParseEventHex(text)
	if err != nil {
		return nil, api.Invalid("%s", err)
	}
	v := n.SubmitEvent(ctx, event)
	info := DescribeEvent(event)
	return EventResult{info.Kind, info.Record, info.Sequence, info.ProTxHash, v.OK(), v.Outcome.String(), v.Reason, n.objection(event, v.Reason)}, nil
}

// objection says more than a reason may, as it goes to our operator only.
func (n *Node) objection(event wire.Event, why validation.Reason) string {
	s := n.Snapshot()
	switch why {
	case validation.EventNetwork:
		return fmt.Sprintf("it is for network %s, this node follows %s", event.Head().Network, s.Network())
	case validation.EventSequence:
		return fmt.Sprintf("its sequence number is %d, the next is %d", event.Head().Sequence, s.NextSequence(event))
	case validation.EventRefused:
		if err := s.State.CheckEvent(s.TipHeight()+1, event); err != nil {
			return err.Error()
		}
		return ""
	case validation.EventWaiting:
		if other, ok := s.Waiting(event); ok {
			return fmt.Sprintf("an event %s with sequence number %d of the same record waits for a block", other.Kind(), other.Head().Sequence)
		}
		return ""
	case validation.EventSignature:
		if node, ok := s.State.Node(event.Record()); ok {
			return fmt.Sprintf("it is not signed by the node's operator key %s", node.OperatorKey)
		}
		return "not all of staker, operator and service key signed it"
	default:
		return ""
	}
}

func (n *Node) rpcEventList(context.Context, api.Params) (any, error) {
	list := make([]EventInfo, 0)
	for _, event := range n.Snapshot().Events.All() {
		list = append(list, DescribeEvent(event))
	}
	slices.SortFunc(list, func(a, b EventInfo) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Record, b.Record)) })
	return list, nil
}

// NextEvent answers `event next`.
type NextEvent struct {
	Network  wire.Hash `json:"network"`
	Record   string    `json:"record"`
	Sequence uint64    `json:"sequence"`
	Waiting  string    `json:"waiting,omitempty"` // kind of an event of the record that waits: the next must wait for it
}

func (n *Node) rpcEventNext(_ context.Context, p api.Params) (any, error) {
	if len(p) != 2 {
		return nil, api.Invalid("%d parameters, want 2 (node or staker, and which)", len(p))
	}
	whose, err := p.Text(0, "whose")
	if err != nil {
		return nil, err
	}
	text, err := p.Text(1, "which")
	if err != nil {
		return nil, err
	}
	s := n.Snapshot()
	next := NextEvent{Network: s.Network()}
	var record wire.Hash
	switch whose {
	case "node":
		if record, err = n.find(text); err != nil {
			return nil, err
		}
		node, ok := s.State.Node(record)
		if !ok {
			return nil, api.Invalid("service node %s is not registered", record)
		}
		next.Record, next.Sequence = record.String(), node.Sequence+1
	case "staker":
		var key wire.StakerKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			return nil, api.Invalid("%s", err)
		}
		staker, ok := s.State.Staker(key)
		if !ok {
			return nil, api.Invalid("staker %s was granted no stake in the genesis", key)
		}
		record = wire.Hash(key)
		next.Record, next.Sequence = key.String(), staker.Sequence+1
	default:
		return nil, api.Invalid("%.20q is neither node nor staker", whose)
	}
	if waiting, ok := s.Events.Get(record); ok {
		next.Waiting = waiting.Kind().String()
	}
	return next, nil
}
