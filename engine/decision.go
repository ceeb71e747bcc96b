package engine

import (
	"encoding/json"
	"fmt"

	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// maxDecisions is how many decisions about one node are kept; the oldest go.
const maxDecisions = 256

// Decision is what one block changed about one node's service or PoSe score,
// and why: what `explain` prints.
type Decision struct {
	Height      int32              `json:"height"`
	BlockHash   wire.Hash          `json:"block_hash"`
	Slot        uint64             `json:"slot"`
	Transitions []state.Transition `json:"transitions"`      // in the order of the block
	Voters      []Voter            `json:"voters,omitempty"` // of the certificate, in the order of the draw
	Punishments []Failure          `json:"punishments,omitempty"`
	After       *state.Node        `json:"after,omitempty"` // nil if the node is gone
}

// Failure is a punishment for a session that found the node not valid.
type Failure struct {
	state.Punishment
	Type    wire.LLMQType `json:"llmq_type"`
	Quorum  wire.Hash     `json:"quorum_hash"`
	Base    int32         `json:"quorum_height"`
	Mined   int32         `json:"mined_height"`
	Index   int           `json:"index"` // of the node in the quorum
	Members int           `json:"members"`
	Valid   int           `json:"valid"`
	Signers int           `json:"signers"`
}

// failures are the punishments of the block with the quorums that brought
// them. Package state punishes in the order of the commitments and their
// members, and passes over those that left the registry.
func (l *Link) failures() (list []Failure) {
	left := l.diff.Punishments
	for _, q := range l.formed() {
		c := q.Commitment
		for i, proTx := range q.Members {
			if c.ValidMembers.Has(i) || len(left) == 0 || left[0].ProTxHash != proTx {
				continue
			}
			list = append(list, Failure{
				Punishment: left[0], Type: q.Type(), Quorum: q.Hash(), Base: q.Base, Mined: q.Mined,
				Index: i, Members: len(q.Members), Valid: c.ValidMembers.Count(), Signers: c.Signers.Count(),
			})
			left = left[1:]
		}
	}
	return list
}

// Voter is one tester behind a certificate.
type Voter struct {
	ProTxHash wire.Hash      `json:"protx_hash"`
	Heard     bool           `json:"heard"`              // we heard its vote; otherwise we know it from the certificate only
	Evidence  *wire.Evidence `json:"evidence,omitempty"` // what it says it saw
}

// decide keeps why the block of l changed service states and PoSe scores.
func (e *Engine) decide(l *Link, out *Effects) {
	decisions := make(map[wire.Hash]*Decision)
	var order []wire.Hash
	about := func(proTx wire.Hash) *Decision {
		d, had := decisions[proTx]
		if !had {
			d = &Decision{Height: l.Tip.Height, BlockHash: l.Tip.Hash, Slot: l.Tip.Slot}
			decisions[proTx] = d
			order = append(order, proTx)
			if n, ok := l.State.Node(proTx); ok {
				d.After = &n
			}
		}
		return d
	}
	for _, f := range l.failures() {
		d := about(f.ProTxHash)
		d.Punishments = append(d.Punishments, f)
	}
	for _, t := range l.diff.Transitions {
		d := about(t.ProTxHash)
		d.Transitions = append(d.Transitions, t)
		if t.Cause.Answer != 0 {
			d.Voters = e.voters(t)
		}
	}
	for _, proTx := range order {
		value, err := json.Marshal(decisions[proTx])
		if err != nil {
			panic(err) // every field encodes
		}
		out.put(KindDecision, decisionKey(proTx, l.Tip.Height), value)
		e.noteDecision(proTx, l.Tip.Height)
		if known := e.decisions[proTx]; len(known) > maxDecisions {
			out.delete(KindDecision, decisionKey(proTx, known[0]))
			e.decisions[proTx] = known[1:]
			out.Evicted++
		}
	}
}

// voters lists who stands behind the certificate that made a transition.
func (e *Engine) voters(t state.Transition) (voters []Voter) {
	c := t.Cause
	l := e.branch.Of(c.QuorumHeight, c.QuorumHash)
	if l == nil {
		return nil
	}
	ballot := wire.Ballot{Height: c.QuorumHeight, BlockHash: c.QuorumHash, ProTxHash: t.ProTxHash, Answer: c.Answer}
	heard := make(map[wire.Hash]wire.Vote)
	for _, v := range e.votes.Of(ballot) {
		heard[v.Voter] = v
	}
	for i, proTx := range l.Draw.Testers {
		if c.Voters&(1<<i) == 0 {
			continue
		}
		v, ok := heard[proTx]
		voter := Voter{ProTxHash: proTx, Heard: ok}
		if ok {
			voter.Evidence = &v.Evidence
		}
		voters = append(voters, voter)
	}
	return voters
}

// noteDecision remembers that there is a decision about a node at a height.
func (e *Engine) noteDecision(proTx wire.Hash, height int32) {
	e.decisions[proTx] = append(e.decisions[proTx], height)
	if height <= e.branch[0].Tip.Height {
		return // nobody will undo it
	}
	e.decidedAt[height] = append(e.decidedAt[height], proTx)
}

// forgetDecisions takes back what a block that is undone had decided.
func (e *Engine) forgetDecisions(height int32, out *Effects) {
	for _, proTx := range e.decidedAt[height] {
		out.delete(KindDecision, decisionKey(proTx, height))
		known := e.decisions[proTx]
		for len(known) > 0 && known[len(known)-1] >= height {
			known = known[:len(known)-1]
		}
		e.decisions[proTx] = known
		if len(known) == 0 {
			delete(e.decisions, proTx)
		}
	}
	delete(e.decidedAt, height)
}

func decisionKey(proTx wire.Hash, height int32) []byte {
	return append(append([]byte(nil), proTx[:]...), heightKey(height)...)
}

func (e *Engine) loadDecisions(r Records, _ meta) error {
	return corrupt(r.Walk(KindDecision, nil, func(key, value []byte) error {
		if len(key) != wire.HashSize+4 || !json.Valid(value) {
			return fmt.Errorf("%w: decision of %d bytes under a key of %d", state.ErrRecord, len(value), len(key))
		}
		e.noteDecision(wire.Hash(key[:wire.HashSize]), heightOf(key[wire.HashSize:]))
		return nil
	}))
}

// Decisions reads the decisions about a node up to a height, oldest first.
func Decisions(r Records, proTx wire.Hash, upTo int32) (list []Decision, err error) {
	err = r.Walk(KindDecision, proTx[:], func(key, value []byte) error {
		if wire.Hash(key[:wire.HashSize]) != proTx || heightOf(key[wire.HashSize:]) > upTo {
			return errEnough
		}
		var d Decision
		if err := json.Unmarshal(value, &d); err != nil {
			return fmt.Errorf("%w: decision on %s: %w", state.ErrRecord, proTx, err)
		}
		list = append(list, d)
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return list, err
}

var errEnough = fmt.Errorf("enough")
