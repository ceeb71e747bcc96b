package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// BanRequest is a ban that this node, as a member, asks its platform quorum
// for, until the node is flagged, the request expires or is withdrawn. Once
// the node is flagged it stays for as long as the flag is set, to explain it.
type BanRequest struct {
	ProTxHash wire.Hash `json:"protx_hash"`
	Since     int32     `json:"since"`              // height
	Until     int32     `json:"until"`              // height at which it expires
	Monitor   bool      `json:"monitor"`            // asked for by our monitor, not by our operator
	Evidence  []Attempt `json:"evidence,omitempty"` // of the monitor
	Signed    []int32   `json:"signed"`             // heights that we signed the ban at, ascending
	Done      int32     `json:"done,omitempty"`     // height of the ban that set the flag; 0 while the request stands
}

// Stands reports whether the ban is still asked for.
func (r BanRequest) Stands() bool { return r.Done == 0 }

// floor is the lowest height of a ban that answers r: members that asked a
// little earlier may have it signed at a height below Since.
func (r BanRequest) floor() int32 { return r.Since - params.BanRequestEvery }

// height returns the height to sign the ban at when the tip is at one; ok is
// false if the next has to be waited for.
func (r BanRequest) height(tip int32) (height int32, ok bool) {
	height = max(0, tip-params.BanRequestDepth) / params.BanRequestEvery * params.BanRequestEvery
	return height, height >= r.floor()
}

// ban returns the ban that r asks for at a height, without signature.
func (r BanRequest) ban(height int32) wire.PlatformBan {
	return wire.PlatformBan{ProTxHash: r.ProTxHash, SignedHeight: height}
}

// requestBan carries out our operator's decision.
func (e *Engine) requestBan(in RequestBan, out *Effects) validation.Verdict {
	if !in.Withdraw {
		return e.ask(BanRequest{ProTxHash: in.ProTxHash}, out)
	}
	r, ok := e.requests.Get(in.ProTxHash)
	if !ok || !r.Stands() {
		return validation.RequestRefused.Verdict()
	}
	e.dropRequest(r, out)
	return validation.Valid.Verdict()
}

// ask takes a request up, in place of one for the same node that may stand.
func (e *Engine) ask(r BanRequest, out *Effects) validation.Verdict {
	n, registered := e.state.Node(r.ProTxHash)
	switch {
	case !registered || !n.Evo || n.PoSeBanned() || e.flag(r.ProTxHash).Set() || r.ProTxHash == e.config.ProTxHash:
		return validation.RequestRefused.Verdict()
	case !slices.ContainsFunc(e.platformQuorums(), e.holdsShare):
		return validation.RequestNoMember.Verdict()
	}
	old, had := e.requests.Get(r.ProTxHash)
	if !had && !e.roomForRequest(out) {
		return validation.RequestRefused.Verdict()
	}
	if !old.Stands() {
		old = BanRequest{}
	}
	r.Since = e.tree.Tip().Height
	r.Until = r.Since + params.BanRequestLife
	r.Signed = []int32{}
	for _, height := range old.Signed { // a signature may still come
		if height >= r.floor() {
			r.Signed = append(r.Signed, height)
		}
	}
	if len(r.Evidence) == 0 {
		r.Evidence = old.Evidence
	}
	e.keepRequest(r, out)
	if e.synced() {
		e.followTip(out)
		e.pursue(r, out)
	}
	return validation.Valid.Verdict()
}

// roomForRequest makes room by forgetting what explains the oldest flag.
func (e *Engine) roomForRequest(out *Effects) bool {
	if e.requests.Len() < params.MaxBanRequests {
		return true
	}
	var oldest *BanRequest
	for _, r := range e.requests.All() {
		if !r.Stands() && (oldest == nil || r.Done < oldest.Done) {
			oldest = &r
		}
	}
	if oldest == nil {
		return false
	}
	e.dropRequest(*oldest, out)
	out.Evicted++
	return true
}

// platformQuorums returns the platform quorums that sign now, newest first.
func (e *Engine) platformQuorums() []signing.Mined {
	t, tip := e.state.PlatformType(), e.tree.Tip().Height
	p, ok := e.state.LLMQ(t)
	if !ok {
		return nil
	}
	return signing.Active(p, newestQuorums(e.state, t, tip, p.SigningActive), tip)
}

// holdsShare reports whether we can sign in a platform quorum.
func (e *Engine) holdsShare(m signing.Mined) bool {
	q, _ := e.state.Quorum(e.state.PlatformType(), m.Hash)
	i, member := q.Index(e.config.ProTxHash)
	return member && q.Commitment.ValidMembers.Has(i) && e.vectorOf(q) != nil
}

func (e *Engine) keepRequest(r BanRequest, out *Effects) {
	e.requests = e.requests.Set(r.ProTxHash, r)
	value, err := json.Marshal(r)
	if err != nil {
		panic(err) // every field encodes
	}
	out.put(KindRequest, r.ProTxHash[:], value)
}

func (e *Engine) dropRequest(r BanRequest, out *Effects) {
	e.requests = e.requests.Delete(r.ProTxHash)
	out.delete(KindRequest, r.ProTxHash[:])
	e.retire(r)
}

// retire keeps our shares of a ban from going to further members.
func (e *Engine) retire(r BanRequest) {
	if s := e.signerOf(e.state.PlatformType()); s != nil {
		for _, height := range r.Signed {
			s.pool.Retire(r.ban(height).RequestID())
		}
	}
}

// pursueBans goes on with our requests at each new tip. Who is not synced asks
// for nothing: what it knows is old.
func (e *Engine) pursueBans(out *Effects) {
	tip := e.tree.Tip().Hash
	if tip == e.pursued || !e.synced() {
		return
	}
	first := e.pursued.IsZero()
	e.pursued = tip
	for _, r := range e.requests.All() {
		if first {
			e.publishAgain(r, out)
		}
		e.pursue(r, out)
	}
}

// publishAgain sends what came of a request before a stop: it was stored before
// it was sent, and may never have left.
func (e *Engine) publishAgain(r BanRequest, out *Effects) {
	for _, height := range r.Signed {
		if sig, ok := e.signatures.Get(signatureKey(e.state.PlatformType(), r.ban(height).RequestID())); ok {
			publishSignature(sig, out)
		}
	}
	if flag := e.flag(r.ProTxHash); flag.Set() && slices.Contains(r.Signed, flag.BannedHeight) {
		publishBan(flag.Ban, out)
	}
}

// pursue ends a request or signs the ban, if it has not been at this height.
func (e *Engine) pursue(r BanRequest, out *Effects) {
	n, registered := e.state.Node(r.ProTxHash)
	flag, tip := e.flag(r.ProTxHash), e.tree.Tip().Height
	switch {
	case !r.Stands():
		if !registered || !flag.Set() {
			e.dropRequest(r, out)
		}
		return
	case flag.Set() && flag.BannedHeight >= r.floor():
		e.retire(r)
		r.Done = flag.BannedHeight
		e.keepRequest(r, out)
		return
	case !registered || n.PoSeBanned() || tip >= r.Until:
		e.dropRequest(r, out)
		return
	}
	if height, ok := r.height(tip); ok && e.signRequest(e.state.PlatformType(), signing.BanRequest(r.ban(height)), out) == nil {
		if i, had := slices.BinarySearch(r.Signed, height); !had { // not always the last: a reorganisation may have taken us down
			r.Signed = slices.Insert(slices.Clone(r.Signed), i, height)
			e.keepRequest(r, out)
		}
	}
	for _, height := range r.Signed { // what came before we were synced
		if sig, ok := e.signatures.Get(signatureKey(e.state.PlatformType(), r.ban(height).RequestID())); ok && flag.Takes(height) {
			e.acceptSigned(r.ban(height), sig, out)
		}
	}
}

// useSignature bans if the signature is one that a request of ours asked for.
func (e *Engine) useSignature(sig wire.RecoveredSig, out *Effects) {
	if sig.Type != e.state.PlatformType() {
		return
	}
	for _, r := range e.requests.All() {
		for _, height := range r.Signed {
			if m := r.ban(height); r.Stands() && m.RequestID() == sig.ID {
				e.acceptSigned(m, sig, out)
			}
		}
	}
}

// acceptSigned accepts and sends a ban that its quorum has signed, as if our
// operator had brought it. Every member that asked for it does; whoever has
// had it does not mind.
func (e *Engine) acceptSigned(m wire.PlatformBan, sig wire.RecoveredSig, out *Effects) {
	q, ok := e.state.PlatformQuorum(sig.QuorumHash, m.SignedHeight)
	if !ok || sig.MessageHash != m.MessageHash() {
		return
	}
	m.QuorumHash, m.Signature = sig.QuorumHash, sig.Signature
	e.ban(Ban{Message: m, Key: q.Key()}, out)
}

// check reports what in a record contradicts itself.
func (r BanRequest) check() error {
	switch {
	case r.Since < 0 || r.Until < r.Since:
		return fmt.Errorf("from height %d to %d", r.Since, r.Until)
	case r.Done < 0 || r.Done > 0 && r.Done < r.floor():
		return fmt.Errorf("done at height %d, asked for at %d", r.Done, r.Since)
	}
	last := max(-1, r.floor()-1)
	for _, height := range r.Signed {
		if height <= last || height > r.Until {
			return fmt.Errorf("signed at height %d after %d, asked for at %d until %d", height, last, r.Since, r.Until)
		}
		last = height
	}
	return nil
}

func (e *Engine) loadRequests(r Records, _ meta) error {
	return corrupt(r.Walk(KindRequest, nil, func(key, value []byte) error {
		var r BanRequest
		err := json.Unmarshal(value, &r)
		if err == nil {
			err = r.check()
		}
		if err != nil {
			return fmt.Errorf("%w: request for a ban: %w", state.ErrRecord, err)
		}
		e.requests = e.requests.Set(r.ProTxHash, r)
		return misplaced("request for a ban", key, r.ProTxHash[:])
	}))
}
