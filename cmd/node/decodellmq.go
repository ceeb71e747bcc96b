package main

import (
	"encoding/hex"

	"github.com/proctornet/proctor/wire"
)

// llmqDecoders are of the messages of long-living quorums. They are named as
// Dash names the message, their fields as its RPC does. Source: spec/dash.md
// 1.1, 5.2, 5.6, 7.4 and 7.5.
func llmqDecoders(t wire.LLMQType) []decoder {
	return []decoder{
		{"platformban", "a quorum bans an evonode from Platform", wire.PlatformBanSize, func(b []byte) (any, error) {
			m, err := wire.ParsePlatformBan(b)
			return newBanReport(m, t), err
		}},
		{"qcontrib", "a member's contribution to a quorum's key", wire.MaxDKGMessageSize, shownAs(wire.ParseContribution, showContribution)},
		{"qcomplaint", "whom a member wants out, who gave it no share", wire.MaxDKGMessageSize, shownAs(wire.ParseComplaint, showComplaint)},
		{"qjustify", "a member shows the shares complained about", wire.MaxDKGMessageSize, shownAs(wire.ParseJustification, showJustification)},
		{"qpcommit", "what a member found a session to result in", wire.MaxDKGMessageSize, shownAs(wire.ParsePrematureCommitment, showPremature)},
		{"qfcommit", "the final commitment, which makes a quorum", wire.MaxFinalCommitmentSize, shownAs(wire.ParseFinalCommitment, showCommitment)},
		{"qsigshare", "shares of a quorum's signature", wire.MaxSigSharesSize, shownAs(wire.ParseSigShares, showSigShares)},
		{"qsigrec", "a quorum's signature", wire.RecoveredSigSize, shownAs(wire.ParseRecoveredSig, showRecovered)},
	}
}

func showDKGHead(m wire.DKGMessage) fields {
	h := m.Head()
	return fields{{"llmq_type", h.Type}, {"quorum_hash", h.QuorumHash}, {"protx_hash", h.ProTxHash}}
}

func showDKGEnd(m wire.DKGMessage) fields {
	return fields{{"sig", m.OperatorSignature().String()}, {"sign_hash", m.SignHash()}, {"inventory_hash", m.ID()}}
}

func showContribution(m wire.Contribution) fields {
	shares := make([]string, len(m.Shares))
	for i, s := range m.Shares {
		shares[i] = hex.EncodeToString(s[:])
	}
	f := append(showDKGHead(m), fields{
		{"vvec", list(m.Vector)}, {"ephemeral_public_key", m.Ephemeral}, {"iv_seed", m.IVSeed}, {"encrypted_shares", shares},
	}...)
	return append(append(f, showDKGEnd(m)...), field{"vvec_hash", wire.VectorHash(m.Vector)})
}

func showComplaint(m wire.Complaint) fields {
	f := append(showDKGHead(m), fields{{"bad_members", m.BadMembers.String()}, {"complain_for_members", m.ComplainFor.String()}}...)
	return append(f, showDKGEnd(m)...)
}

func showJustification(m wire.Justification) fields {
	shares := make([]fields, len(m.Shares))
	for i, s := range m.Shares {
		shares[i] = fields{{"member_index", s.Member}, {"secret_share", hex.EncodeToString(s.Share[:])}}
	}
	return append(append(showDKGHead(m), field{"shares", shares}), showDKGEnd(m)...)
}

func showPremature(m wire.PrematureCommitment) fields {
	f := append(showDKGHead(m), fields{
		{"valid_members_count", m.ValidMembers.Count()}, {"valid_members", m.ValidMembers.String()}, {"quorum_public_key", m.PublicKey},
		{"quorum_vvec_hash", m.VectorHash}, {"quorum_sig", m.QuorumSignature.String()},
	}...)
	return append(append(f, showDKGEnd(m)...), field{"commitment_hash", m.SignHash()})
}

func showCommitment(c wire.FinalCommitment) fields {
	return fields{
		{"version", c.Version}, {"llmq_type", c.Type}, {"quorum_hash", c.QuorumHash}, {"quorum_index", c.QuorumIndex},
		{"signers_count", c.Signers.Count()}, {"signers", c.Signers.String()},
		{"valid_members_count", c.ValidMembers.Count()}, {"valid_members", c.ValidMembers.String()},
		{"quorum_public_key", c.PublicKey}, {"quorum_vvec_hash", c.VectorHash},
		{"quorum_sig", c.QuorumSignature.String()}, {"members_sig", c.MembersSignature.String()},
		{"null", c.Null()}, {"commitment_hash", c.CommitmentHash()}, {"inventory_hash", c.ID()},
	}
}

func showSigShares(m wire.SigShares) fields {
	shares := make([]fields, len(m))
	for i, s := range m {
		shares[i] = fields{
			{"llmq_type", s.Type}, {"quorum_hash", s.QuorumHash}, {"quorum_member", s.Member}, {"id", s.ID}, {"msg_hash", s.MessageHash},
			{"sig_share", s.Signature.String()}, {"sign_hash", s.SignHash()},
		}
	}
	return fields{{"shares", shares}}
}

func showRecovered(m wire.RecoveredSig) fields {
	return fields{
		{"llmq_type", m.Type}, {"quorum_hash", m.QuorumHash}, {"id", m.ID}, {"msg_hash", m.MessageHash}, {"sig", m.Signature.String()},
		{"sign_hash", m.SignHash()}, {"inventory_hash", m.InventoryHash()},
	}
}

// list is a list that is never null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
