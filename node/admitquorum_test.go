package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// uncommitted is a network up to a height whose members have kept the final
// commitment of the second session to themselves.
func uncommitted(t *testing.T, height int32) (past *testnet.Simulation, final wire.FinalCommitment) {
	t.Helper()
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 6, Regular: 1, Profile: "spec", Slot: time.Hour, History: height + 1, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	past, err = network.Simulate(testnet.Link{Mute: func(_ int, p engine.Publication) bool {
		if p.Topic != engine.TopicCommitment || past.Slot <= secondBase {
			return false
		}
		c, err := wire.ParseFinalCommitment(p.Bytes)
		if err != nil {
			t.Error(err)
		}
		final = c
		return true
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := past.Run(int(height)); err != nil {
		t.Fatal(err)
	}
	return past, final
}

// observing runs an observer of a network as it stands, from what its first
// node has stored.
func observing(t *testing.T, past *testnet.Simulation) *node.Node {
	t.Helper()
	dir := t.TempDir()
	if err := past.Save(0, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNode(t, past.Network, dir)
	return n
}

// signedBy is the commitment with the first signers of those who signed it.
func signedBy(t *testing.T, network *testnet.Network, n *node.Node, c wire.FinalCommitment, signers int) wire.FinalCommitment {
	t.Helper()
	var keys []bls.PublicKey
	var signatures []bls.Signature
	c.Signers = slices.Clone(c.Signers)
	for k, m := range members(t, network, n, c) {
		if !c.Signers[k] {
			continue
		}
		if len(keys) == signers {
			c.Signers[k] = false
			continue
		}
		keys = append(keys, m.Operator.PublicKey())
		signatures = append(signatures, m.Operator.Sign(c.CommitmentHash()))
	}
	all, err := bls.AggregateSecure(keys, signatures)
	if err != nil {
		t.Fatal(err)
	}
	c.MembersSignature = all.Bytes()
	return c
}

// members are those of the session of a commitment, in order of the index.
func members(t *testing.T, network *testnet.Network, n *node.Node, c wire.FinalCommitment) (list []testnet.Member) {
	t.Helper()
	for _, r := range n.Snapshot().Rosters {
		if _, hash := r.Base(); hash != c.QuorumHash {
			continue
		}
		for _, of := range r.Members() {
			i := slices.IndexFunc(network.Members, func(m testnet.Member) bool { return m.ProTxHash == of.ProTxHash })
			list = append(list, network.Members[i])
		}
	}
	if len(list) == 0 {
		t.Fatal("nobody knows that session")
	}
	return list
}

func TestAdmit_FinalCommitments(t *testing.T) {
	t.Parallel()
	past, final := uncommitted(t, secondBase+12)
	network, n := past.Network, observing(t, past)
	if final.Signers.Count() != 5 {
		t.Fatalf("the commitment has %d signers, want 5", final.Signers.Count())
	}
	branch := n.Snapshot().Branch
	few := signedBy(t, network, n, final, 3)
	with := func(change func(*wire.FinalCommitment)) []byte {
		c := final
		c.Signers, c.ValidMembers = slices.Clone(c.Signers), slices.Clone(c.ValidMembers)
		change(&c)
		return c.Bytes()
	}
	judged(t, n, engine.TopicCommitment, malformed(final.Bytes())...)
	judged(t, n, engine.TopicCommitment,
		attempt{"another type", with(func(c *wire.FinalCommitment) { c.Type = 100 }), validation.CommitmentType},
		attempt{"null", wire.NullCommitment(final.Version, final.Type, final.QuorumHash, final.QuorumIndex, len(final.Signers)).Bytes(), validation.CommitmentNull},
		attempt{"an unknown block", with(func(c *wire.FinalCommitment) { c.QuorumHash[0] ^= 1 }), validation.CommitmentUnknownBlock},
		attempt{"no base block", with(func(c *wire.FinalCommitment) { c.QuorumHash = branch.At(secondBase - 1).Tip.Hash }), validation.CommitmentBase},
		attempt{"the session before", with(func(c *wire.FinalCommitment) { c.QuorumHash = branch.At(24).Tip.Hash }), validation.CommitmentStale},
		attempt{"another version", with(func(c *wire.FinalCommitment) { c.Version = 4 }), validation.CommitmentInvalid},
		attempt{"another size", with(func(c *wire.FinalCommitment) { c.Signers = append(c.Signers, false) }), validation.CommitmentInvalid},
		attempt{"too few signers", signedBy(t, network, n, final, 2).Bytes(), validation.CommitmentInvalid},
		attempt{"too few valid members", with(func(c *wire.FinalCommitment) { clear(c.ValidMembers) }), validation.CommitmentInvalid},
		attempt{"no vector", with(func(c *wire.FinalCommitment) { c.VectorHash = wire.Hash{} }), validation.CommitmentInvalid},
		attempt{"another key", with(func(c *wire.FinalCommitment) { c.PublicKey = points(1, 0)[0] }), validation.CommitmentSignature},
		attempt{"no quorum's signature", with(func(c *wire.FinalCommitment) { c.QuorumSignature = c.MembersSignature }), validation.CommitmentSignature},
		attempt{"no members' signature", with(func(c *wire.FinalCommitment) { c.MembersSignature = wire.Signature{0xc0} }), validation.CommitmentSignature},
		attempt{"a signer that did not sign", with(func(c *wire.FinalCommitment) { c.Signers[0] = false }), validation.CommitmentSignature},
		attempt{"a few signers", few.Bytes(), validation.Valid},
		attempt{"again", few.Bytes(), validation.Duplicate},
		attempt{"all signers", final.Bytes(), validation.Valid},
	)
	// What was replaced is not let out any more.
	judged(t, n, engine.TopicCommitment, attempt{"a few signers once more", few.Bytes(), validation.CommitmentWorse})
	if v := n.JudgeOn(t.Context(), engine.TopicCommitment, "", final.Bytes()); v.Reason != validation.Duplicate {
		t.Errorf("the best one again: judged %s", v.Reason)
	}
}

func TestAdmit_MinedCommitments(t *testing.T) {
	t.Parallel()
	past := soFar(t, 40)
	n := observing(t, past)
	for q := range n.Snapshot().State.Quorums(params.TestPlatform) {
		judged(t, n, engine.TopicCommitment, attempt{"of a quorum", q.Commitment.Bytes(), validation.CommitmentMined})
	}
}

// A peer that is found out has the rest of its commitments thrown away.
func TestAdmit_CommitmentsOfALiarAreVerifiedOnce(t *testing.T) {
	t.Parallel()
	past, final := uncommitted(t, secondBase+12)
	n := observing(t, past)
	n.Trust("liar")
	const lies = 40
	verdicts := make(chan validation.Verdict, lies)
	for i := range lies {
		c := final
		c.VectorHash = wire.Hash{1, byte(i)}
		go func() { verdicts <- n.JudgeOn(t.Context(), engine.TopicCommitment, "liar", c.Bytes()) }()
	}
	counts := make(map[validation.Reason]int)
	for range lies {
		counts[(<-verdicts).Reason]++
	}
	if wrong := counts[validation.CommitmentSignature]; wrong == 0 || wrong > 4 || wrong+counts[validation.Rate] != lies {
		t.Errorf("verdicts %v: want a few on the signature, the others not judged", counts)
	}
}

// keyShares are the shares of the first quorum's key that members hold, by
// ProTxHash.
func keyShares(t *testing.T, past *testnet.Simulation, q state.Quorum) map[wire.Hash]bls.SecretKey {
	t.Helper()
	shares := make(map[wire.Hash]bls.SecretKey)
	for i, m := range past.Members {
		dir := t.TempDir()
		if err := past.Save(i, dir); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		key := state.QuorumKey(q.Type(), q.Hash())
		record, err := db.Get(engine.KindShare, key[:])
		if err != nil {
			t.Fatal(err)
		}
		if record != nil {
			if shares[m.ProTxHash], _, err = engine.ParseKeyShare(record); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return shares
}

// council is a network with one quorum, and its members' shares.
type council struct {
	past   *testnet.Simulation
	quorum state.Quorum
	shares map[wire.Hash]bls.SecretKey
}

func newCouncil(t *testing.T) council {
	t.Helper()
	c := council{past: soFar(t, 44)}
	for q := range c.past.Engine(0).Snapshot().State.Quorums(params.TestPlatform) {
		c.quorum = q
	}
	if c.shares = keyShares(t, c.past, c.quorum); len(c.shares) != 5 {
		t.Fatalf("%d members hold a share, want 5", len(c.shares))
	}
	return c
}

// share is what the member with that index signs.
func (c council) share(member int, id, message wire.Hash) wire.SigShare {
	s := wire.SigShare{Type: c.quorum.Type(), QuorumHash: c.quorum.Hash(), Member: uint16(member), ID: id, MessageHash: message}
	s.Signature = c.shares[c.quorum.Members[member]].Sign(s.SignHash()).Bytes()
	return s
}

// signature is what the whole quorum signs.
func (c council) signature(t *testing.T, id, message wire.Hash) wire.RecoveredSig {
	t.Helper()
	r := wire.RecoveredSig{Type: c.quorum.Type(), QuorumHash: c.quorum.Hash(), ID: id, MessageHash: message}
	var shares []bls.SignatureShare
	for i, proTx := range c.quorum.Members {
		of, err := bls.NewID(proTx)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := bls.ParseSignature(c.share(i, id, message).Signature)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, bls.SignatureShare{ID: of, Signature: signature})
	}
	key, err := bls.ParsePublicKey(c.quorum.Key())
	if err != nil {
		t.Fatal(err)
	}
	all, err := bls.Recover(3, shares, key, r.SignHash())
	if err != nil {
		t.Fatal(err)
	}
	r.Signature = all.Bytes()
	return r
}

func TestAdmit_SignaturesOfQuorums(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	n := observing(t, c.past)
	good, conflict := c.signature(t, wire.Hash{1}, wire.Hash{2}), c.signature(t, wire.Hash{1}, wire.Hash{3})
	with := func(change func(*wire.RecoveredSig)) []byte {
		r := good
		change(&r)
		return r.Bytes()
	}
	judged(t, n, engine.TopicRecovered, malformed(good.Bytes())...)
	judged(t, n, engine.TopicRecovered,
		attempt{"another type", with(func(r *wire.RecoveredSig) { r.Type = 100 }), validation.RecoveredUnknownQuorum},
		attempt{"another quorum", with(func(r *wire.RecoveredSig) { r.QuorumHash[0] ^= 1 }), validation.RecoveredUnknownQuorum},
		attempt{"another request", with(func(r *wire.RecoveredSig) { r.ID[0] ^= 1 }), validation.RecoveredSignature},
		attempt{"another message", with(func(r *wire.RecoveredSig) { r.MessageHash[0] ^= 1 }), validation.RecoveredSignature},
		attempt{"no signature", with(func(r *wire.RecoveredSig) { r.Signature = wire.Signature{0xc0} }), validation.RecoveredSignature},
		attempt{"good", good.Bytes(), validation.Valid},
		attempt{"again", good.Bytes(), validation.Duplicate},
	)
	checks := value(t, n, "proctor_verify_batch_size")
	judged(t, n, engine.TopicRecovered,
		attempt{"forged later", with(func(r *wire.RecoveredSig) { r.Signature = conflict.Signature }), validation.RecoveredSignature})
	if now := value(t, n, "proctor_verify_batch_size"); now != checks {
		t.Errorf("%v signatures checked for one that cannot be right", now-checks)
	}
	if v := n.JudgeOn(t.Context(), engine.TopicRecovered, "", conflict.Bytes()); v != validation.RecoveredConflict.Verdict() {
		t.Errorf("against another one: judged %s", v.Reason)
	}
}

// Shares that come by stream: the engine judges, charges and counts.
func TestShares_Judged(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	dir := t.TempDir()
	if err := c.past.Save(1, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNode(t, c.past.Network, dir, func(config *node.Config) {
		m := c.past.Members[1]
		config.ProTxHash, config.Identity, config.OperatorKey = m.ProTxHash, m.Service, &m.Operator
	})
	self, _ := c.quorum.Index(c.past.Members[1].ProTxHash)
	one, two, three := (self+1)%5, (self+2)%5, (self+3)%5
	id, message := wire.Hash{1}, wire.Hash{2}
	foreign, other, beyond, none, wrong := c.share(one, id, message), c.share(one, id, message), c.share(one, id, message), c.share(two, id, message), c.share(two, id, message)
	foreign.QuorumHash[0] ^= 1
	other.Type = 100
	beyond.Member = 5
	none.Signature = wire.Signature{0xc0}
	wrong.Signature = c.share(three, id, message).Signature
	for _, o := range []struct {
		name  string
		share wire.SigShare
		want  validation.Reason
	}{
		{"of another quorum", foreign, validation.ShareUnknownQuorum},
		{"of another type", other, validation.ShareUnknownQuorum},
		{"of a member that there is not", beyond, validation.ShareMember},
		{"no signature", none, validation.ShareSignature},
		{"good", c.share(one, id, message), validation.Valid},
		{"again", c.share(one, id, message), validation.Duplicate},
		{"wrong", wrong, validation.Valid}, // as far as can be seen at once
		{"good too", c.share(self, id, message), validation.Valid},
	} {
		v := o.want.Verdict()
		labels := []string{"outcome", v.Outcome.String(), "reason", string(v.Reason)}
		before := sample(t, n, "proctor_sig_shares_total", labels...)
		from := engine.Peer(o.name)
		if v.Points > 0 {
			from = "liar" // with a third one it would doubt its own view
		}
		n.TakeShares(from, c.quorum.Members[one], wire.SigShares{o.share})
		n.Settle(t.Context())
		if got := sample(t, n, "proctor_sig_shares_total", labels...) - before; got != 1 {
			t.Errorf("%s: counted %v times as %s", o.name, got, o.want)
		}
		if _, banned := n.Snapshot().PeerBan(from); banned != (v.Points >= params.PointsBan) && o.name != "wrong" {
			t.Errorf("%s: banned %t", o.name, banned)
		}
	}
	// With as many as the threshold, what is wrong shows.
	if _, banned := n.Snapshot().PeerBan("wrong"); !banned {
		t.Error("whoever sent the wrong share is not banned")
	}
	n.TakeShares("third", c.quorum.Members[three], wire.SigShares{c.share(three, id, message)})
	n.Settle(t.Context())
	if sig, ok := n.Snapshot().Signature(c.quorum.Type(), id); !ok || sig != c.signature(t, id, message) {
		t.Errorf("the signature is not there: %+v", sig)
	}
	if got := value(t, n, "proctor_signatures_recovered_total", "type", "106"); got != 1 {
		t.Errorf("%v signatures recovered, want 1", got)
	}
	late := c.share(two, id, message)
	before := sample(t, n, "proctor_sig_shares_total", "outcome", "ignore", "reason", "share-decided")
	n.TakeShares("late", c.quorum.Members[two], wire.SigShares{late})
	n.Settle(t.Context())
	if got := sample(t, n, "proctor_sig_shares_total", "outcome", "ignore", "reason", "share-decided") - before; got != 1 {
		t.Errorf("a share of what is signed is counted %v times as decided", got)
	}
}

// sample is the value of one series, which must be there.
func sample(t *testing.T, n *node.Node, name string, labels ...string) float64 {
	t.Helper()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName(), l.GetValue())
			}
			if f.GetName() == name && slices.Equal(has, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no series %s %v", name, labels)
	return 0
}

func TestRequestBan(t *testing.T) {
	t.Parallel()
	c := newCouncil(t)
	dir := t.TempDir()
	if err := c.past.Save(1, dir); err != nil {
		t.Fatal(err)
	}
	n, _ := startNode(t, c.past.Network, dir, func(config *node.Config) {
		m := c.past.Members[1]
		config.ProTxHash, config.Identity, config.OperatorKey = m.ProTxHash, m.Service, &m.Operator
	})
	regular, target := c.past.Members[0].ProTxHash, c.past.Members[3].ProTxHash
	for _, o := range []struct {
		name     string
		proTx    wire.Hash
		withdraw bool
		want     validation.Reason
		standing float64
	}{
		{"a regular node", regular, false, validation.RequestRefused, 0},
		{"nobody", wire.Hash{1}, false, validation.RequestRefused, 0},
		{"ourselves", c.past.Members[1].ProTxHash, false, validation.RequestRefused, 0},
		{"withdrawn before", target, true, validation.RequestRefused, 0},
		{"an evonode", target, false, validation.Valid, 1},
		{"again", target, false, validation.Valid, 1},
		{"withdrawn", target, true, validation.Valid, 0},
	} {
		if v := n.RequestBan(t.Context(), o.proTx, o.withdraw); v != o.want.Verdict() {
			t.Errorf("%s: %s, want %s", o.name, v.Reason, o.want)
		}
		if got := value(t, n, "proctor_ban_requests"); got != o.standing {
			t.Errorf("%s: %v requests stand, want %v", o.name, got, o.standing)
		}
	}
	observer := observing(t, c.past)
	if v := observer.RequestBan(t.Context(), target, false); v != validation.RequestNoMember.Verdict() {
		t.Errorf("an observer: %s", v.Reason)
	}
}

func TestMetrics_OfQuorums(t *testing.T) {
	f := inSession(t, 4)
	if got := sample(t, f.Node, "proctor_dkg_phase", "type", "106"); got != 3 {
		t.Errorf("phase %v, want 3", got)
	}
	for name, labels := range map[string][]string{
		"proctor_quorums_mined_total":           {"result", "null", "type", "106"},
		"proctor_signatures_recovered_total":    {"type", "106"},
		"proctor_pose_punishments_total":        nil,
		"proctor_pose_bans_total":               nil,
		"proctor_ban_requests":                  nil,
		"proctor_gossip_share_messages_total":   {"result", "done", "role", "server"},
		"proctor_gossip_judge_duration_seconds": {"topic", "dkg-106"},
	} {
		if got := sample(t, f.Node, name, labels...); got != 0 {
			t.Errorf("%s: %v before anything happened", name, got)
		}
	}
}
