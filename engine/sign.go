package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// signer is all signing of this node for one type of quorum.
type signer struct {
	llmq    params.LLMQ
	pool    *signing.Pool
	quorums map[wire.Hash]signerQuorum // whose shares and signatures are taken
}

// signerQuorum is a quorum as package signing sees it.
type signerQuorum struct {
	*signing.Quorum
	commitment wire.Hash // a reorganisation may bring another one to the same session
	member     bool      // we have a share of its key, and with it what checks shares
}

// newSigners returns a signer of each type that runs.
func (e *Engine) newSigners() (list []*signer) {
	for _, q := range e.state.LLMQs() {
		list = append(list, &signer{llmq: q, pool: signing.NewPool(q, e.config.ProTxHash)})
	}
	return list
}

// signerOf returns nil for a type that does not run here.
func (e *Engine) signerOf(t wire.LLMQType) *signer {
	i := slices.IndexFunc(e.signers, func(s *signer) bool { return s.llmq.Type == t })
	if i < 0 {
		return nil
	}
	return e.signers[i]
}

// signing does what signing needs after an input. Shares are checked once a
// step, at most signing.MaxChecked of them: the rest waits for the next input,
// or a flood of shares would hold the engine up.
func (e *Engine) signing(out *Effects) {
	e.followTip(out)
	e.pursueBans(out)
	for _, s := range e.signers {
		e.checkShares(s, out)
	}
}

// followTip tells the signers where we stand, after a reorganisation too.
func (e *Engine) followTip(out *Effects) {
	tip := e.tree.Tip()
	if tip.Hash == e.followed {
		return
	}
	e.followed = tip.Hash
	for _, s := range e.signers {
		a := s.pool.Advance(tip.Height, e.acceptable(s))
		for _, v := range a.Votes {
			out.delete(KindSigned, requestKey(v.Type, v.ID))
		}
		for _, id := range a.Recovered {
			e.forgetSignature(s.llmq.Type, id, out)
		}
		out.sendShares(a.Sends)
	}
}

// acceptable returns the quorums whose shares and signatures are taken at our
// tip. Those that were known are kept: they remember the keys of shares.
func (e *Engine) acceptable(s *signer) (list []*signing.Quorum) {
	tip := e.tree.Tip().Height
	known := make(map[wire.Hash]signerQuorum, s.llmq.KeepOldConnections)
	for _, m := range signing.Acceptable(s.llmq, newestQuorums(e.state, s.llmq.Type, tip, s.llmq.KeepOldConnections), tip) {
		made, _ := e.state.Quorum(s.llmq.Type, m.Hash)
		vector := e.vectorOf(made)
		q, had := s.quorums[m.Hash]
		if !had || q.Mined != m || q.commitment != made.Commitment.CommitmentHash() || q.member != (vector != nil) {
			var err error
			if q, err = newSignerQuorum(s.llmq, made, vector); err != nil {
				continue // apply has checked what can be wrong with it
			}
		}
		known[m.Hash] = q
		list = append(list, q.Quorum)
	}
	s.quorums = known
	return list
}

// vectorOf returns what shares of a quorum are checked with; nil if we have no
// share of its key ourselves. After a reorganisation ours may be of another
// commitment to the same session, and what the quorum signs is taken still.
func (e *Engine) vectorOf(q state.Quorum) bls.VerificationVector {
	share, ok := e.keyShares[state.QuorumKey(q.Type(), q.Hash())]
	llmq, runs := e.state.LLMQ(q.Type())
	if !ok || !runs || len(share.vector) != llmq.Threshold || share.vector.PublicKey().Bytes() != q.Key() {
		return nil
	}
	return share.vector
}

func newSignerQuorum(p params.LLMQ, q state.Quorum, vector bls.VerificationVector) (signerQuorum, error) {
	key, err := bls.ParsePublicKey(q.Key())
	if err != nil {
		return signerQuorum{}, err
	}
	valid := make([]bool, len(q.Members))
	for i := range valid {
		valid[i] = q.Commitment.ValidMembers.Has(i)
	}
	made, err := signing.NewQuorum(p, signing.Mined{Hash: q.Hash(), Height: q.Mined}, key, q.Members, valid, vector)
	return signerQuorum{made, q.Commitment.CommitmentHash(), vector != nil}, err
}

// newestQuorums lists the newest quorums of a type that were mined at or below a
// height, newest first: count of them, and those mined together with the last.
func newestQuorums(s state.State, t wire.LLMQType, height int32, count int) (list []signing.Mined) {
	for q := range s.Quorums(t) {
		if q.Mined > height {
			continue
		}
		if len(list) >= count && q.Mined < list[len(list)-1].Height {
			break
		}
		list = append(list, signing.Mined{Hash: q.Hash(), Height: q.Mined})
	}
	return list
}

// errNoQuorum means that no quorum signs at the height of a request yet.
var errNoQuorum = errors.New("no quorum signs at that height")

// signRequest makes our share of a request and sends it to the recovery member whose
// turn it is. What we sign for a request is stored in the same commit as all
// that leaves. The same request again goes on where it stopped.
func (e *Engine) signRequest(t wire.LLMQType, r signing.Request, out *Effects) error {
	s := e.signerOf(t)
	if s == nil {
		return fmt.Errorf("quorum type %d does not run here: %w", t, errNoQuorum)
	}
	q, ok := e.selected(s, r.ID, r.Height)
	if !ok {
		return errNoQuorum
	}
	made, err := s.pool.Sign(q, r, e.signIn(t, q))
	if err != nil {
		return err
	}
	out.keepSigned(made)
	return nil
}

// selected is the quorum that a request selects at a height.
func (e *Engine) selected(s *signer, id wire.Hash, height int32) (wire.Hash, bool) {
	q, ok := signing.Select(s.llmq, newestQuorums(e.state, s.llmq.Type, height-signing.SignHeightOffset, s.llmq.SigningActive), id, height)
	return q.Hash, ok
}

// signIn signs with our share of a quorum's key. The pool asks for no signature
// if we have none.
func (e *Engine) signIn(t wire.LLMQType, quorum wire.Hash) func(wire.Hash) wire.Signature {
	share := e.keyShares[state.QuorumKey(t, quorum)]
	return func(hash wire.Hash) wire.Signature { return share.secret.Sign(hash).Bytes() }
}

// keepSigned stores what we signed, and sends our share.
func (e *Effects) keepSigned(made signing.Signed) {
	if made.Fresh {
		e.put(KindSigned, requestKey(made.Vote.Type, made.Vote.ID), made.Vote.Bytes())
	}
	e.sendShares(made.Sends)
}

// requestKey is the key of what is kept of a request.
func requestKey(t wire.LLMQType, id wire.Hash) []byte { return append([]byte{byte(t)}, id[:]...) }

// sendShares adds shares to what goes to their members.
func (e *Effects) sendShares(sends []signing.Send) {
	for _, s := range sends {
		i := slices.IndexFunc(e.Shares, func(m SendShares) bool { return m.To == s.To && len(m.Shares) < wire.MaxSigShares })
		if i < 0 {
			i = len(e.Shares)
			e.Shares = append(e.Shares, SendShares{To: s.To})
		}
		e.Shares[i].Shares = append(e.Shares[i].Shares, s.Share)
	}
}

// sigShares takes shares to be checked.
func (e *Engine) sigShares(in Shares, out *Effects) {
	e.followTip(out)
	from := signing.Source{Peer: string(in.From), ProTx: in.ProTxHash}
	if e.doubtful() != Settled {
		from.ProTx = wire.Hash{} // a share by the key of another branch's commitment proves nothing
	}
	for _, x := range in.Shares {
		reason := signing.UnknownQuorum
		if s := e.signerOf(x.Type); s != nil {
			reason = s.pool.AddShare(x, from).Reason
		}
		if reason == signing.Taken {
			e.stir(x.Bytes())
		}
		e.judgedShare(in.From, x, reason, out)
	}
}

func (e *Engine) judgedShare(from Peer, x wire.SigShare, r signing.Reason, out *Effects) {
	v := ShareVerdict(r)
	out.SharesJudged = append(out.SharesJudged, v)
	e.charge(from, v, shareID(x), out)
}

// shareID identifies a share byte for byte.
func shareID(x wire.SigShare) wire.Hash { return wire.DoubleHash(x.Bytes()) }

// checkShares recovers what can be recovered.
func (e *Engine) checkShares(s *signer, out *Effects) {
	if !s.pool.Due() {
		return
	}
	c := s.pool.Check(e.stir(nil))
	for _, b := range c.Blamed {
		e.judgedShare(Peer(b.From.Peer), b.Share, b.Verdict.Reason, out)
	}
	if len(c.Faults) > 0 {
		e.keepShareFaults(c.Faults, out)
	}
	for _, r := range c.Recovered {
		publishSignature(r, out)
		e.keepSignature(r, out)
	}
}

// stir turns the secret that batches of shares are checked with, and returns
// it. Whoever knew it could make two wrong shares that hide each other. An
// engine has no randomness of its own, but HMAC under a key that only we have
// is to all others as good as random, also where they choose what goes in. It
// is drawn after the shares have gone in; so the same secret comes twice only
// if after another start the same shares came in the same order, and then the
// answers are the same ones too.
func (e *Engine) stir(b []byte) [32]byte {
	mac := hmac.New(sha256.New, e.config.ServiceKey.Seed())
	mac.Write([]byte("proctor/shares/1"))
	mac.Write(e.stirred[:])
	mac.Write(b)
	e.stirred = [32]byte(mac.Sum(nil))
	return e.stirred
}

// loadSigned puts back what we signed: nothing else is ever signed for those
// requests.
func (e *Engine) loadSigned(r Records, _ meta) error {
	e.signers = e.newSigners()
	return corrupt(r.Walk(KindSigned, nil, func(key, value []byte) error {
		v, err := signing.ParseVote(value)
		if err != nil {
			return fmt.Errorf("%w: %w", state.ErrRecord, err)
		}
		s := e.signerOf(v.Type)
		if s == nil {
			return fmt.Errorf("%w: a vote in a quorum of type %d, which does not run here", state.ErrRecord, v.Type)
		}
		if err := s.pool.Restore(v); err != nil {
			return fmt.Errorf("%w: %w", state.ErrRecord, err)
		}
		return misplaced("vote", key, requestKey(v.Type, v.ID))
	}))
}
