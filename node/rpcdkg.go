package node

import (
	"context"
	"encoding/hex"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/wire"
)

// dkgMethods is what the operator can ask about quorums in the making.
func (n *Node) dkgMethods() []api.Method {
	return []api.Method{
		{
			Name: "quorum dkgstatus", Usage: "[DETAIL]",
			Help: "show the sessions that this node takes part in or watches: with 0 how many, with 1 which members, with 2 each of them",
			Call: atMost(1, n.rpcDKGStatus),
		},
		{
			Name: "quorum dkginfo", Usage: "",
			Help: "tell how many sessions run, and in how many blocks the next begins",
			Call: n.rpcDKGInfo,
		},
	}
}

// DKGStatus answers `quorum dkgstatus`.
type DKGStatus struct {
	Height      int32                `json:"height"` // of the tip
	Sessions    []DKGSession         `json:"session"`
	Connections []SessionConnections `json:"quorumConnections"`
	Minable     []CommitmentInfo     `json:"minableCommitments"`
}

// DKGSession is one of the sessions.
type DKGSession struct {
	Type   string        `json:"llmqType"`
	Index  int           `json:"quorumIndex"`
	Status SessionStatus `json:"status"`
}

// SessionStatus is a session as it stood when the tip was new. Members are a
// number, or a list of indices from detail 1 on.
type SessionStatus struct {
	Type                 string          `json:"llmqType"`
	QuorumHash           wire.Hash       `json:"quorumHash"`
	QuorumHeight         int32           `json:"quorumHeight"`
	Phase                uint8           `json:"phase"`
	PhaseName            string          `json:"phaseName"`
	Self                 int             `json:"memberIndex"` // -1 of a watcher
	Size                 int             `json:"memberCount"`
	SentContribution     bool            `json:"sentContributions"`
	SentComplaint        bool            `json:"sentComplaint"`
	SentJustification    bool            `json:"sentJustification"`
	SentCommitment       bool            `json:"sentPrematureCommitment"`
	BadVotes             []OurBadVote    `json:"ourBadVotes"`
	Bad                  any             `json:"badMembers"` // at fault, or voted out
	WeComplain           any             `json:"weComplain"` // who gave us no usable share
	Contributions        any             `json:"receivedContributions"`
	Complaints           any             `json:"receivedComplaints"`
	Justifications       any             `json:"receivedJustifications"`
	PrematureCommitments any             `json:"receivedPrematureCommitments"`
	Members              []SessionMember `json:"members,omitempty"` // with detail 2
}

// OurBadVote is a member that our complaint wants out.
type OurBadVote struct {
	Name      string               `json:"name,omitempty"` // in the genesis
	ProTxHash wire.Hash            `json:"proTxHash"`
	Reason    engine.BadVoteReason `json:"reason"`
}

// SessionMember is what a session knows of a member. Of each kind of message
// two are kept at most.
type SessionMember struct {
	Name                 string    `json:"name,omitempty"` // in the genesis
	ProTxHash            wire.Hash `json:"proTxHash"`
	Contributions        int       `json:"contributions"`
	Complaints           int       `json:"complaints"`
	Justifications       int       `json:"justifications"`
	PrematureCommitments int       `json:"prematureCommitments"`
	BadVotes             int       `json:"badMemberVotes"`       // of others, to put it out
	Accusers             int       `json:"complaintsFromOthers"` // about its shares
	Unanswered           int       `json:"unanswered"`           // of them
	Fault                string    `json:"fault"`                // none while it is good
}

// SessionConnections tells which members this node has contact with.
type SessionConnections struct {
	Type        string             `json:"llmqType"`
	QuorumHash  wire.Hash          `json:"quorumHash"`
	Connections []MemberConnection `json:"quorumConnections"`
}

// MemberConnection is the contact with one member.
type MemberConnection struct {
	ProTxHash wire.Hash `json:"proTxHash"`
	Connected bool      `json:"connected"`
	Address   string    `json:"address,omitempty"`
	Outbound  bool      `json:"outbound"`
}

// CommitmentInfo shows a final commitment as Dash does.
type CommitmentInfo struct {
	Version      uint16           `json:"version"`
	Type         wire.LLMQType    `json:"llmqType"`
	QuorumHash   wire.Hash        `json:"quorumHash"`
	QuorumIndex  int16            `json:"quorumIndex"`
	SignersCount int              `json:"signersCount"`
	Signers      string           `json:"signers"` // bytes of the set
	ValidCount   int              `json:"validMembersCount"`
	Valid        string           `json:"validMembers"`
	PublicKey    wire.OperatorKey `json:"quorumPublicKey"`
	VectorHash   wire.Hash        `json:"quorumVvecHash"`
	QuorumSig    string           `json:"quorumSig"`
	MembersSig   string           `json:"membersSig"`
}

const maxDetail = 2

func (n *Node) rpcDKGStatus(_ context.Context, p api.Params) (any, error) {
	var detail int32
	if len(p) > 0 {
		var err error
		if detail, err = p.Height(0, "detail"); err != nil {
			return nil, err
		}
		if detail < 0 || detail > maxDetail {
			return nil, api.Invalid("detail is %d, want 0 to %d", detail, maxDetail)
		}
	}
	s := n.Snapshot()
	status := DKGStatus{Height: s.TipHeight(), Sessions: []DKGSession{}, Connections: []SessionConnections{}, Minable: []CommitmentInfo{}}
	for _, session := range s.DKG {
		status.Sessions = append(status.Sessions, n.dkgSession(s, session, detail))
		if session.Self >= 0 {
			status.Connections = append(status.Connections, n.sessionConnections(s, session))
		}
	}
	for _, c := range s.Minable.All() {
		status.Minable = append(status.Minable, commitmentInfo(c))
	}
	return status, nil
}

func (n *Node) dkgSession(s *engine.Snapshot, d dkg.Status, detail int32) DKGSession {
	llmq, _ := s.State.LLMQ(d.Type) // sessions are of types that run
	which := func(is func(m dkg.MemberStatus) bool) any {
		indices := []int{}
		for i, m := range d.Members {
			if is(m) {
				indices = append(indices, i)
			}
		}
		if detail == 0 {
			return len(indices)
		}
		return indices
	}
	status := SessionStatus{
		Type: llmq.Name, QuorumHash: d.Quorum, QuorumHeight: d.Height, Phase: uint8(d.Phase), PhaseName: d.Phase.String(), Self: d.Self, Size: len(d.Members),
		BadVotes:             []OurBadVote{},
		Bad:                  which(func(m dkg.MemberStatus) bool { return m.Fault != 0 }),
		WeComplain:           which(func(m dkg.MemberStatus) bool { return d.Self >= 0 && m.Lacked }),
		Contributions:        which(func(m dkg.MemberStatus) bool { return m.Contributed > 0 }),
		Complaints:           which(func(m dkg.MemberStatus) bool { return m.Complained > 0 }),
		Justifications:       which(func(m dkg.MemberStatus) bool { return m.Justified > 0 }),
		PrematureCommitments: which(func(m dkg.MemberStatus) bool { return m.Committed > 0 }),
	}
	if d.Self >= 0 {
		own := d.Members[d.Self]
		status.SentContribution, status.SentComplaint = own.Contributed > 0, own.Complained > 0
		status.SentJustification, status.SentCommitment = own.Justified > 0, own.Committed > 0
	}
	for _, v := range s.BadVotes {
		if v.Type == d.Type && v.Quorum == d.Quorum {
			status.BadVotes = append(status.BadVotes, OurBadVote{n.names[v.ProTxHash], v.ProTxHash, v.Reason})
		}
	}
	if detail == maxDetail {
		for _, m := range d.Members {
			status.Members = append(status.Members, SessionMember{
				Name: n.names[m.ProTxHash], ProTxHash: m.ProTxHash, Contributions: m.Contributed, Complaints: m.Complained, Justifications: m.Justified,
				PrematureCommitments: m.Committed, BadVotes: len(m.Voters), Accusers: len(m.Accusers), Unanswered: len(m.Unanswered), Fault: m.Fault.String(),
			})
		}
	}
	return DKGSession{Type: llmq.Name, Index: int(d.Height % llmq.DKGInterval), Status: status}
}

func (n *Node) sessionConnections(s *engine.Snapshot, d dkg.Status) SessionConnections {
	llmq, _ := s.State.LLMQ(d.Type)
	c := SessionConnections{Type: llmq.Name, QuorumHash: d.Quorum, Connections: []MemberConnection{}}
	contacts := make(map[wire.Hash]MemberConnection)
	for _, contact := range n.gossip.Contacts() {
		proTx := contact.Status.ProTxHash
		contacts[proTx] = MemberConnection{proTx, true, contact.Address, !contact.Inbound}
	}
	for i, m := range d.Members {
		if i == d.Self {
			continue
		}
		connection := contacts[m.ProTxHash]
		connection.ProTxHash = m.ProTxHash
		c.Connections = append(c.Connections, connection)
	}
	return c
}

func commitmentInfo(c wire.FinalCommitment) CommitmentInfo {
	return CommitmentInfo{
		Version: c.Version, Type: c.Type, QuorumHash: c.QuorumHash, QuorumIndex: c.QuorumIndex,
		SignersCount: c.Signers.Count(), Signers: packed(c.Signers), ValidCount: c.ValidMembers.Count(), Valid: packed(c.ValidMembers),
		PublicKey: c.PublicKey, VectorHash: c.VectorHash,
		QuorumSig: c.QuorumSignature.String(), MembersSig: c.MembersSignature.String(),
	}
}

// packed shows a set of members as Dash does: its bytes, lowest bit first.
func packed(s wire.Bitset) string {
	b := make([]byte, (len(s)+7)/8)
	for i := range s {
		if s.Has(i) {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return hex.EncodeToString(b)
}

// DKGInfo answers `quorum dkginfo`.
type DKGInfo struct {
	Active int   `json:"active_dkgs"`
	Next   int32 `json:"next_dkg"` // blocks until a session begins; 0 if no type runs
}

func (n *Node) rpcDKGInfo(context.Context, api.Params) (any, error) {
	s := n.Snapshot()
	var info DKGInfo
	for _, d := range s.DKG {
		if d.Phase < dkg.Idle {
			info.Active++
		}
	}
	for _, q := range s.State.LLMQs() {
		if next := q.DKGInterval - s.TipHeight()%q.DKGInterval; info.Next == 0 || next < info.Next {
			info.Next = next
		}
	}
	return info, nil
}
