package dkg

import (
	"errors"
	"fmt"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Why there is no session.
var (
	ErrTooFewMembers = errors.New("dkg: fewer members than the quorum type needs")
	ErrMember        = errors.New("dkg: unusable list of members")
	ErrBase          = errors.New("dkg: no session starts at this height")
)

// Roster is what does not change in a session: its type, its base block, its
// members. It judges messages by that alone, and may be shared.
type Roster struct {
	llmq    params.LLMQ
	base    int32
	hash    wire.Hash
	members []Member
	keys    []bls.PublicKey // zero for a member whose key does not decode: it cannot take part
	ids     []bls.ID
	index   map[wire.Hash]int
}

// NewRoster returns the roster of the session whose base block has that height
// and hash. Members are in the order of Select.
func NewRoster(q params.LLMQ, base int32, hash wire.Hash, members []Member) (*Roster, error) {
	switch {
	case !IsBase(q, base):
		return nil, fmt.Errorf("%w: %d", ErrBase, base)
	case len(members) < q.MinSize:
		return nil, fmt.Errorf("%w: %d of %d", ErrTooFewMembers, len(members), q.MinSize)
	case len(members) > q.Size:
		return nil, fmt.Errorf("%w: %d for %d places", ErrMember, len(members), q.Size)
	}
	r := &Roster{llmq: q, base: base, hash: hash, members: members, index: make(map[wire.Hash]int, len(members))}
	seen := make(map[bls.ID]bool, len(members))
	for i, m := range members {
		id, err := bls.NewID(m.ProTxHash)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMember, m.ProTxHash, err)
		}
		if seen[id] {
			return nil, fmt.Errorf("%w: %s has the id of another", ErrMember, m.ProTxHash)
		}
		seen[id] = true
		key, err := bls.ParsePublicKey(m.OperatorKey)
		if err != nil {
			key = bls.PublicKey{}
		}
		r.ids, r.keys = append(r.ids, id), append(r.keys, key)
		r.index[m.ProTxHash] = i
	}
	return r, nil
}

// LLMQ returns the quorum type.
func (r *Roster) LLMQ() params.LLMQ { return r.llmq }

// Base returns the height and hash of the base block; the hash names the quorum.
func (r *Roster) Base() (int32, wire.Hash) { return r.base, r.hash }

// Members returns the members in order of their index.
func (r *Roster) Members() []Member { return r.members }

// Keys returns the operator keys in order of the index, for VerifyCommitment.
func (r *Roster) Keys() []bls.PublicKey { return r.keys }

// Index returns the index of a member.
func (r *Roster) Index(proTx wire.Hash) (int, bool) {
	i, ok := r.index[proTx]
	return i, ok
}

// Checked is a message that is in shape. Item is to be verified next; whose
// Item is bad is ReasonSignature.
type Checked struct {
	Message wire.DKGMessage
	Item    bls.Item
	sender  int
}

// Check judges a message while the tip is at height, short of its operator
// signature and of its points. The reason is 0 if nothing is wrong so far.
// Source: spec/dash.md 5.3.
func (r *Roster) Check(m wire.DKGMessage, height int32) (Checked, Reason) {
	head := m.Head()
	if head.Type != r.llmq.Type || head.QuorumHash != r.hash {
		return Checked{}, ReasonSession
	}
	sender, ok := r.index[head.ProTxHash]
	if !ok {
		return Checked{}, ReasonMember
	}
	phase := PhaseAt(r.llmq, r.base, height)
	answerable := m.Kind() == wire.KindComplaint && phase == Justify // see Session.Answer
	if reason := timely(m.Kind(), phase); reason != 0 && !answerable {
		return Checked{}, reason
	}
	if !r.shaped(m) {
		return Checked{}, ReasonMalformed
	}
	sig, err := bls.ParseSignature(m.OperatorSignature())
	if err != nil || r.keys[sender] == (bls.PublicKey{}) {
		return Checked{}, ReasonSignature
	}
	return Checked{m, bls.Item{Key: r.keys[sender], Hash: m.SignHash(), Signature: sig}, sender}, 0
}

// phaseOf returns the phase in which a kind of message is sent. It is taken
// until that phase is over, and from one phase before, as tips differ.
func phaseOf(k wire.DKGKind) Phase { return Contribute + Phase(k-wire.KindContribution) }

func timely(k wire.DKGKind, now Phase) Reason {
	switch sent := phaseOf(k); {
	case now > sent:
		return ReasonLate
	case now+1 < sent:
		return ReasonEarly
	default:
		return 0
	}
}

func (r *Roster) shaped(m wire.DKGMessage) bool {
	switch m := m.(type) {
	case wire.Contribution:
		return len(m.Shares) == len(r.members) && len(m.Vector) == r.llmq.Threshold && distinct(m.Vector)
	case wire.Complaint:
		return len(m.BadMembers) == r.llmq.Size && len(m.ComplainFor) == r.llmq.Size
	case wire.Justification:
		members := make([]uint32, len(m.Shares))
		for i, s := range m.Shares {
			if uint64(s.Member) >= uint64(len(r.members)) {
				return false
			}
			if _, err := bls.ParseSecretKey(s.Share); err != nil {
				return false
			}
			members[i] = s.Member
		}
		return len(members) >= 1 && distinct(members)
	case wire.PrematureCommitment:
		return len(m.ValidMembers) == r.llmq.Size && m.ValidMembers.Count() >= r.llmq.MinSize && m.ValidMembers[len(r.members):].Count() == 0
	default:
		return false
	}
}

func distinct[T comparable](list []T) bool {
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if seen[v] {
			return false
		}
		seen[v] = true
	}
	return true
}

// Opened is a message with its points decoded, which is most of the cost of a
// contribution.
type Opened struct {
	Message   wire.DKGMessage
	id        wire.Hash
	sender    int
	vector    bls.VerificationVector // of a contribution
	ephemeral bls.PublicKey          // of a contribution
	operator  bls.Signature          // by the operator key
	quorum    bls.Signature          // of a premature commitment
}

// Open decodes the points of a message whose operator signature is good. The
// reason is 0 unless one is bad.
func (r *Roster) Open(c Checked) (Opened, Reason) {
	o := Opened{Message: c.Message, id: c.Message.ID(), sender: c.sender, operator: c.Item.Signature}
	var err error
	switch m := c.Message.(type) {
	case wire.Contribution:
		o.vector = make(bls.VerificationVector, len(m.Vector))
		for k, b := range m.Vector {
			if o.vector[k], err = bls.ParsePublicKey(b); err != nil {
				return Opened{}, ReasonPoint
			}
		}
		o.ephemeral, err = bls.ParsePublicKey(m.Ephemeral)
	case wire.PrematureCommitment:
		o.quorum, err = bls.ParseSignature(m.QuorumSignature)
	}
	if err != nil {
		return Opened{}, ReasonPoint
	}
	return o, 0
}

// Reopen takes a message that was kept before: its signature is not looked at
// again, nor the height.
func (r *Roster) Reopen(m wire.DKGMessage) (Opened, Reason) {
	c, reason := r.Check(m, r.base+r.llmq.DKGPhaseBlocks*int32(phaseOf(m.Kind())-1))
	if reason != 0 {
		return Opened{}, reason
	}
	return r.Open(c)
}
