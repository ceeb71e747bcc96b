package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

// shownEvent is an event with its signatures. What its kind has not is left out.
type shownEvent struct {
	node.EventInfo
	OperatorProof string `json:"operator_proof,omitempty"`
	ServiceProof  string `json:"service_proof,omitempty"`
	Signature     string `json:"signature"`
}

func eventDecoders() []decoder {
	all := []decoder{{"event", "any event, a change of the registry that somebody asks for", wire.MaxEventSize, func(b []byte) (any, error) {
		e, err := wire.ParseEvent(b)
		if err != nil {
			return nil, err
		}
		return showEvent(e), nil
	}}}
	for _, k := range []wire.EventKind{wire.KindRegister, wire.KindContribute, wire.KindUpdateService, wire.KindRevoke, wire.KindExit} {
		all = append(all, decoder{k.String(), "an event of that kind", wire.MaxEventSize, func(b []byte) (any, error) {
			e, err := wire.ParseEvent(b)
			switch {
			case err != nil:
				return nil, err
			case e.Kind() != k:
				return nil, fmt.Errorf("it is an event of kind %s: %w", e.Kind(), wire.ErrValue)
			}
			return showEvent(e), nil
		}})
	}
	return all
}

func showEvent(e wire.Event) shownEvent {
	shown := shownEvent{EventInfo: node.DescribeEvent(e)}
	switch e := e.(type) {
	case wire.Register:
		shown.OperatorProof, shown.ServiceProof, shown.Signature = e.OperatorProof.String(), e.ServiceProof.String(), e.Signature.String()
	case wire.Contribute:
		shown.Signature = e.Signature.String()
	case wire.Exit:
		shown.Signature = e.Signature.String()
	case wire.UpdateService:
		shown.Signature = e.Signature.String()
	case wire.Revoke:
		shown.Signature = e.Signature.String()
	}
	return shown
}

// chainDecoders are of what authors of blocks make.
func chainDecoders() []decoder {
	return []decoder{
		{"block", "a block with all it carries", wire.MaxBlockSize, shownAs(wire.ParseBlock, showBlock)},
		{"certificate", "the agreement of testers on one answer", wire.CertificateSize, shownAs(wire.ParseCertificate, showCertificate)},
	}
}

func showBlock(b wire.Block) fields {
	events, commitments, certificates := []shownEvent{}, []fields{}, []fields{}
	for _, e := range b.Events {
		events = append(events, showEvent(e))
	}
	for _, c := range b.Commitments {
		commitments = append(commitments, showCommitment(c))
	}
	for _, c := range b.Certificates {
		certificates = append(certificates, showCertificate(c))
	}
	h := b.Header
	return fields{
		{"hash", h.Hash()}, {"height", h.Height}, {"slot", h.Slot}, {"parent", h.Parent}, {"state_root", h.StateRoot}, {"content", h.Content},
		{"signature", h.Signature.String()}, {"events", events}, {"commitments", commitments}, {"certificates", certificates},
	}
}

func showBallot(b wire.Ballot) fields {
	return fields{{"height", b.Height}, {"block_hash", b.BlockHash}, {"protx_hash", b.ProTxHash}, {"answer", b.Answer}}
}

func showCertificate(c wire.Certificate) fields {
	voters := []int{}
	for i := range 16 {
		if c.Voters>>i&1 == 1 {
			voters = append(voters, i)
		}
	}
	return append(showBallot(c.Ballot), fields{{"voters", voters}, {"signature", c.Signature.String()}}...)
}

// testDecoders are of what service nodes say about themselves and each other.
func testDecoders() []decoder {
	return []decoder{
		{"uptime-proof", "a service node says that it is up, and where", wire.MaxUptimeProofSize, shownAs(wire.ParseUptimeProof, showProof)},
		{"vote", "a tester's answer about a service node", wire.VoteSize, shownAs(wire.ParseVote, showVote)},
		{"checkpoint", "a tester's word on which block stands at a height", wire.CheckpointSize, shownAs(wire.ParseCheckpoint, showCheckpoint)},
	}
}

func showProof(p wire.UptimeProof) fields {
	return fields{
		{"protx_hash", p.ProTxHash}, {"sequence", p.Sequence}, {"anchor_height", p.AnchorHeight}, {"anchor_hash", p.AnchorHash}, {"protocol", p.Protocol},
		{"agent", p.Agent}, {"addresses", list(p.Addresses)}, {"seal", p.Seal.String()}, {"digest", p.Digest()},
	}
}

func showVote(v wire.Vote) fields {
	e := v.Evidence
	return append(showBallot(v.Ballot), fields{
		{"voter", v.Voter}, {"signature", v.Signature.String()},
		{"evidence", fields{{"digest", e.Digest}, {"first", e.First}, {"second", e.Second}}}, {"seal", v.Seal.String()},
	}...)
}

func showCheckpoint(c wire.Checkpoint) fields {
	return fields{{"height", c.Height}, {"block_hash", c.BlockHash}, {"state_root", c.StateRoot}, {"voter", c.Voter}, {"seal", c.Seal.String()}}
}

// streamDecoders are of what two peers tell each other.
func streamDecoders() []decoder {
	return []decoder{
		{"status", "the first thing that peers tell each other", wire.MaxStatusSize, shownAs(wire.ParseStatus, showStatus)},
		{"goodbye", "the last thing, and why", wire.MaxGoodbyeSize, shownAs(wire.ParseGoodbye, showGoodbye)},
		{"block-range", "asks for blocks", wire.BlockRangeSize, shownAs(wire.ParseBlockRange, showBlockRange)},
		{"inventory-request", "asks for platform bans", wire.MaxInventoryRequestSize, shownAs(wire.ParseInventoryRequest, showInventoryRequest)},
		{"ban-summary", "digests of the platform bans a peer has", wire.MaxDigests * len(wire.BanSummary{{}}.Bytes()), shownAs(wire.ParseBanSummary, showBanSummary)},
		{"peer-list", "where third peers are reached", wire.MaxPeerListSize, shownAs(wire.ParsePeerList, showPeerList)},
	}
}

func showStatus(s wire.Status) fields {
	return fields{
		{"version", s.Version}, {"network", s.Network}, {"protx_hash", s.ProTxHash}, {"height", s.Height}, {"tip", s.Tip},
		{"synced", s.Synced}, {"agent", s.Agent},
	}
}

func showGoodbye(g wire.Goodbye) fields {
	f := fields{{"code", gossip.GoodbyeText(g.Code)}, {"code_number", g.Code}, {"reason", g.Reason}, {"until", g.Until}}
	if g.Until > 0 {
		f = append(f, field{"until_time", time.Unix(g.Until, 0).UTC()})
	}
	return f
}

func showBlockRange(q wire.BlockRange) fields { return fields{{"from", q.From}, {"count", q.Count}} }

func showInventoryRequest(q wire.InventoryRequest) fields {
	switch q.Kind {
	case wire.AskSummary:
		return fields{{"ask", "summary"}, {"digest", hex.EncodeToString(q.Digest[:])}}
	case wire.AskRange:
		return fields{{"ask", "range"}, {"from", q.Range.From}, {"to", q.Range.To}, {"after", q.Range.After}, {"count", q.Range.Count}}
	default:
		return fields{{"ask", "bans"}, {"inventory_hashes", list(q.Hashes)}}
	}
}

func showBanSummary(s wire.BanSummary) fields {
	heights := []fields{}
	for _, d := range s {
		heights = append(heights, fields{{"height", d.Height}, {"count", d.Count}, {"digest", hex.EncodeToString(d.Digest[:])}})
	}
	digest := s.Digest()
	return fields{{"heights", heights}, {"digest", hex.EncodeToString(digest[:])}}
}

func showPeerList(l wire.PeerList) fields {
	peers := []fields{}
	for _, e := range l {
		id := hex.EncodeToString([]byte(e.ID)) // unverified: it may be no identity
		if parsed, err := peer.IDFromBytes([]byte(e.ID)); err == nil {
			id = parsed.String()
		}
		peers = append(peers, fields{{"id", id}, {"addresses", list(e.Addresses)}})
	}
	return fields{{"peers", peers}}
}
