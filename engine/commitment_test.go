package engine

import (
	"errors"
	"slices"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 5.7.
func TestCommitment_WhatABlockMustCarry(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3), chain.GenesisLLMQ{Type: 100}, chain.GenesisLLMQ{Type: 101})) // of the last there are too few members
	h.until(33)
	r := h.rigs[0]
	before := r.branch
	h.until(34)
	var real, other wire.FinalCommitment
	for _, c := range r.minable.All() {
		if c.Type == params.TestPlatform {
			real = c
		} else {
			other = c
		}
	}
	base := r.branch.At(24).Tip.Hash
	null := func(t wire.LLMQType) wire.FinalCommitment {
		q, _ := r.state.LLMQ(t)
		return wire.NullCommitment(wire.CommitmentBasic, t, base, 0, q.Size)
	}
	changed := func(f func(c *wire.FinalCommitment)) wire.FinalCommitment {
		c := must(wire.ParseFinalCommitment(real.Bytes()))
		f(&c)
		return c
	}
	null106, null100, null101 := null(106), null(100), null(101)
	type list []wire.FinalCommitment
	for name, c := range map[string]struct {
		branch Branch
		list   list
		is     error
		reason dkg.CommitmentReason
	}{
		"none outside of the window":    {before.upTo(32), nil, nil, 0},
		"one outside of the window":     {before.upTo(32), list{null106}, ErrCommitmentNotAllowed, 0},
		"null ones at the first height": {before, list{null106, null100, null101}, nil, 0},
		"real ones":                     {r.branch, list{real, other, null101}, nil, 0},
		"a real and a null one":         {r.branch, list{real, null100, null101}, nil, 0},
		"null ones":                     {r.branch, list{null106, null100, null101}, nil, 0},
		"none":                          {r.branch, nil, ErrCommitmentMissing, 0},
		"the last is missing":           {r.branch, list{real, other}, ErrCommitmentMissing, 0},
		"the first is missing":          {r.branch, list{other, null101}, ErrCommitmentOrder, 0},
		"in another order":              {r.branch, list{other, real, null101}, ErrCommitmentOrder, 0},
		"twice":                         {r.branch, list{real, real, other, null101}, ErrCommitmentTwice, 0},
		"real and null":                 {r.branch, list{real, null106, other, null101}, ErrCommitmentTwice, 0},
		"one too many":                  {r.branch, list{real, other, null101, null101}, ErrCommitmentTwice, 0},
		"of a type that does not run":   {r.branch, list{changed(func(c *wire.FinalCommitment) { c.Type = 1 })}, ErrCommitmentNotAllowed, 0},
		"of another base block":         {r.branch, list{changed(func(c *wire.FinalCommitment) { c.QuorumHash[0] ^= 1 })}, ErrCommitmentInvalid, dkg.CommitmentQuorum},
		"null of another base block":    {r.branch, list{wire.NullCommitment(3, 106, wire.Hash{1}, 0, 5)}, ErrCommitmentInvalid, dkg.CommitmentQuorum},
		"null of another size":          {r.branch, list{wire.NullCommitment(3, 106, base, 0, 6)}, ErrCommitmentInvalid, dkg.CommitmentSize},
		"null of another version":       {r.branch, list{wire.NullCommitment(4, 106, base, 0, 5)}, ErrCommitmentInvalid, dkg.CommitmentVersion},
		"too few valid":                 {r.branch, list{changed(func(c *wire.FinalCommitment) { c.ValidMembers = wire.Bitset{true, true, false, false, false} })}, ErrCommitmentInvalid, dkg.CommitmentFewValid},
		"too few signers":               {r.branch, list{changed(func(c *wire.FinalCommitment) { c.Signers = wire.Bitset{true, true, false, false, false} })}, ErrCommitmentInvalid, dkg.CommitmentFewSigners},
		"one signer less":               {r.branch, list{changed(func(c *wire.FinalCommitment) { c.Signers[4] = false })}, ErrCommitmentInvalid, dkg.CommitmentMembersSignature},
		"one valid member less":         {r.branch, list{changed(func(c *wire.FinalCommitment) { c.ValidMembers[4] = false })}, ErrCommitmentInvalid, dkg.CommitmentQuorumSignature},
		"no vector hash":                {r.branch, list{changed(func(c *wire.FinalCommitment) { c.VectorHash = wire.Hash{} })}, ErrCommitmentInvalid, dkg.CommitmentVectorHash},
		"a key that is none":            {r.branch, list{changed(func(c *wire.FinalCommitment) { c.PublicKey[1] ^= 1 })}, ErrCommitmentInvalid, dkg.CommitmentKey},
		"another's quorum signature":    {r.branch, list{changed(func(c *wire.FinalCommitment) { c.QuorumSignature = other.QuorumSignature })}, ErrCommitmentInvalid, dkg.CommitmentQuorumSignature},
		"another's signers":             {r.branch, list{changed(func(c *wire.FinalCommitment) { c.MembersSignature = other.MembersSignature })}, ErrCommitmentInvalid, dkg.CommitmentMembersSignature},
		"of a session that nobody is in": {r.branch, list{real, other, changed(func(c *wire.FinalCommitment) {
			c.Type = 101
			c.Signers = make(wire.Bitset, 12)
			c.ValidMembers = make(wire.Bitset, 12)
		})}, ErrCommitmentInvalid, dkg.CommitmentNull},
	} {
		sessions, err := r.checkCommitments(c.branch, wire.Block{Content: wire.Content{Commitments: c.list}})
		if !errors.Is(err, c.is) || err == nil && len(sessions) != len(c.list) {
			t.Errorf("%s: %v and %d sessions, want %v", name, err, len(sessions), c.is)
		}
		if c.reason != 0 && (err == nil || !containsReason(err, c.reason)) {
			t.Errorf("%s: %v, want reason %s", name, err, c.reason)
		}
	}
	h.until(35)
	mined := list{real}
	if _, err := r.checkCommitments(r.branch, wire.Block{Content: wire.Content{Commitments: mined}}); !errors.Is(err, ErrCommitmentNotAllowed) {
		t.Errorf("mined before: %v, want %v", err, ErrCommitmentNotAllowed)
	}
	// A block without them is dead, and its sender has to answer for it.
	tip := r.tree.Tip()
	b := h.sign(wire.Block{Header: wire.Header{Height: tip.Height + 1, Slot: tip.Slot + 1, Parent: tip.Hash, StateRoot: r.state.Root(), Content: wire.Content{}.Hash()}})
	r.at(tip.Slot + 1)
	if r.tree.Tip() == tip { // unless it was our own turn
		r.want(Block{"p", b}, validation.BlockContent)
	}
}

func containsReason(err error, reason dkg.CommitmentReason) bool {
	text := ": " + reason.String()
	return len(err.Error()) >= len(text) && err.Error()[len(err.Error())-len(text):] == text
}

// The windows lie in the part of the branch that is always kept.
func TestCommitment_TheBranchReachesEverySession(t *testing.T) {
	for i := range 256 {
		q, err := params.LLMQByType(wire.LLMQType(i))
		if err != nil || q.Rotated {
			continue
		}
		if deepest := q.MiningEnd + dkg.SelectionDepth; deepest >= keepLinks {
			t.Errorf("type %d draws members up to %d blocks below the tip, %d are kept", q.Type, deepest, keepLinks)
		}
	}
}

// Author, gossip and block bring the same commitment; who has verified it
// once does not do so again.
func TestCommitment_IsVerifiedOnce(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(34)
	r := h.rigs[0]
	due := r.endings(r.branch)
	c, ok := r.minable.Get(state.QuorumKey(106, due[0].Hash))
	if !ok {
		t.Fatal("no commitment")
	}
	forged := must(wire.ParseFinalCommitment(c.Bytes()))
	forged.QuorumSignature[5] ^= 1
	if got := r.checkCommitment(due[0], forged); got == dkg.CommitmentGood {
		t.Error("a forged twin is good")
	}
	if _, known := r.verified.get(c.ID()); !known {
		t.Error("it is not remembered as verified")
	}
	r.verified.put(forged.ID(), true) // what is remembered is not verified again
	if got := r.checkCommitment(due[0], forged); got != dkg.CommitmentGood {
		t.Errorf("remembered as good, yet %s", got)
	}
	for i := range maxVerified + 1 {
		r.verified.put(wire.Hash{1, byte(i), byte(i >> 8)}, true)
	}
	if n := len(r.verified.found); n != maxVerified || len(r.verified.order) != n {
		t.Errorf("%d are remembered, want %d", n, maxVerified)
	}
}

func TestCommitment_Verdicts(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3), chain.GenesisLLMQ{Type: 101}))
	h.until(31)
	late := h.branchOff() // of which node 4 is told nothing of the end of the session
	late.pass = func(_, to int, p Publication) bool {
		m := speaks(p)
		return to != 4 || p.Topic != TopicCommitment && (m == nil || m.Kind() != wire.KindPrematureCommitment)
	}
	late.until(34)
	r, full := late.rigs[4], late.rigs[0]
	best, ok := full.minable.Get(state.QuorumKey(106, full.branch.At(24).Tip.Hash))
	if !ok || r.minable.Len() != 0 {
		t.Fatalf("commitments: %v, %d", ok, r.minable.Len())
	}
	worse := late.commitmentBy(best, 4)
	changed := func(f func(c *wire.FinalCommitment)) wire.FinalCommitment {
		c := must(wire.ParseFinalCommitment(best.Bytes()))
		f(&c)
		return c
	}
	in := func(c wire.FinalCommitment) Commitment { return Commitment{"p", c} }
	for _, c := range []struct {
		name string
		c    wire.FinalCommitment
		want validation.Reason
	}{
		{"of a type that does not run", changed(func(c *wire.FinalCommitment) { c.Type = 1 }), validation.CommitmentType},
		{"null", wire.NullCommitment(3, 106, best.QuorumHash, 0, 5), validation.CommitmentNull},
		{"of an unknown block", changed(func(c *wire.FinalCommitment) { c.QuorumHash[0] ^= 1 }), validation.CommitmentUnknownBlock},
		{"of a block where no session begins", changed(func(c *wire.FinalCommitment) { c.QuorumHash = r.branch.At(25).Tip.Hash }), validation.CommitmentBase},
		{"of a block too low for one", changed(func(c *wire.FinalCommitment) { c.QuorumHash = r.branch.At(0).Tip.Hash }), validation.CommitmentBase},
		{"of a session without members", changed(func(c *wire.FinalCommitment) { c.Type = 101 }), validation.CommitmentInvalid},
		{"too few signers", changed(func(c *wire.FinalCommitment) { c.Signers = wire.Bitset{true, true, false, false, false} }), validation.CommitmentInvalid},
		{"good", worse, validation.Valid},
		{"the same", worse, validation.Duplicate},
		{"better", best, validation.Valid},
		{"worse", worse, validation.CommitmentWorse},
	} {
		if _, v := r.Snapshot().JudgeCommitment(c.c); v.Reason != c.want {
			t.Errorf("%s: a validator says %s, want %s", c.name, v.Reason, c.want)
		}
		r.want(in(c.c), c.want)
	}
	if held, _ := r.minable.Get(state.QuorumKey(106, best.QuorumHash)); held.ID() != best.ID() || len(r.disk[KindMinable]) != 1 {
		t.Errorf("%d commitments are stored", len(r.disk[KindMinable]))
	}
	back := r.again(4)
	if held, _ := back.minable.Get(state.QuorumKey(106, best.QuorumHash)); held.ID() != best.ID() {
		t.Error("after a restart the commitment is gone")
	}
	late.until(36)
	r.want(in(best), validation.CommitmentMined)
	if r.minable.Len() != 0 || len(r.disk[KindMinable]) != 0 {
		t.Error("a mined commitment is kept")
	}
}

// What a node takes and forwards costs nobody points at a node that is a few
// blocks ahead. The session begins at 24, its members finalize at 34, blocks
// to 42 may carry its commitment, at 49 it is stale.
func TestCommitment_TakenWhileABlockMayCarryIt(t *testing.T) {
	n := hallNetwork(5, platform(5, 3))
	n.genesis.Authorities = slices.Delete(n.genesis.Authorities, 1, 2) // or it would put its commitment into a block
	h := newHall(t, n)
	h.onlyNodeCommits(1)
	var views []*Snapshot
	h.until(27)
	for h.height() < 49 {
		h.step()
		if view := h.rigs[0].Snapshot(); len(views) == 0 || views[len(views)-1].Tip != view.Tip {
			views = append(views, view)
		}
		r, height := h.rigs[1], h.rigs[1].tree.Tip().Height
		if want := 0; height >= 34 {
			if height <= 42 {
				want = 1
			}
			if r.minable.Len() != want || len(r.disk[KindMinable]) != want {
				t.Errorf("at %d node 1 keeps %d and stores %d, want %d", height, r.minable.Len(), len(r.disk[KindMinable]), want)
			}
			before := len(h.told)
			h.again(1)
			if n := len(onTopic(h.told[before:], TopicCommitment)); n != want {
				t.Errorf("started at %d node 1 announces %d, want %d", height, n, want)
			}
		}
	}
	c := must(wire.ParseFinalCommitment(onTopic(h.told, TopicCommitment)[0].Bytes))
	for _, view := range views {
		height, want := view.TipHeight(), validation.Valid
		switch {
		case height > 48:
			want = validation.CommitmentStale
		case height > 42:
			want = validation.CommitmentLate
		case height < 34:
			want = validation.CommitmentEarly
		}
		if _, v := view.JudgeCommitment(c); v != want.Verdict() {
			t.Errorf("at %d: %+v, want %+v", height, v, want.Verdict())
		}
	}
	shaky := *views[len(views)-1]
	shaky.Doubtful = BranchNear
	if _, v := shaky.JudgeCommitment(c); v != validation.Unsure.Verdict() {
		t.Errorf("stale, but we may be on the wrong branch: %+v, want %+v", v, validation.Unsure.Verdict())
	}
}

// onlyNodeCommits lets one node alone hear what a session results in, and
// keep it to itself.
func (h *hall) onlyNodeCommits(node int) {
	h.lie = func(_ int, p Publication) []Publication {
		if p.Topic == TopicCommitment {
			return nil
		}
		return []Publication{p}
	}
	h.pass = func(_, to int, p Publication) bool {
		m := speaks(p)
		return to == node || m == nil || m.Kind() != wire.KindPrematureCommitment
	}
}

func onTopic(told []said, topic Topic) (list []said) {
	for _, s := range told {
		if s.Topic == topic {
			list = append(list, s)
		}
	}
	return list
}

// A commitment that an earlier run stored and that is bad by now would make our
// own block one that nobody takes.
func TestCommitment_StoredOnesAreVerifiedForABlock(t *testing.T) {
	h := newHall(t, hallNetwork(5, platform(5, 3)))
	h.until(34)
	key := state.QuorumKey(106, h.rigs[0].branch.At(24).Tip.Hash)
	good, ok := h.rigs[0].minable.Get(key)
	if !ok {
		t.Fatal("no commitment")
	}
	forged := must(wire.ParseFinalCommitment(good.Bytes()))
	forged.MembersSignature[5] ^= 1
	for what, c := range map[string]wire.FinalCommitment{"good": good, "forged": forged} {
		h.rigs[0].disk[KindMinable][string(key[:])] = c.Bytes()
		list, _ := h.rigs[0].again(0).commitments()
		if len(list) != 1 || list[0].Null() != (what == "forged") {
			t.Errorf("%s: our block carries %d commitments, null %t", what, len(list), list[0].Null())
		}
	}
}

// Who hears the members can put together a good commitment of every subset of
// them that is large enough. Sent from the worst to the best, few are taken.
func TestCommitment_FewReplaceOneAnother(t *testing.T) {
	const size = 7
	h := newHall(t, hallNetwork(size, platform(size, 4)))
	h.onlyNodeCommits(1)
	h.until(34)
	r := h.rigs[0]
	best, ok := h.rigs[1].minable.Get(state.QuorumKey(106, r.branch.At(24).Tip.Hash))
	if !ok || best.Signers.Count() != size || r.minable.Len() != 0 {
		t.Fatalf("signed by %s, node 0 has %d", best.Signers, r.minable.Len())
	}
	q, _ := r.state.LLMQ(106)
	var all []wire.FinalCommitment
	for subset := range 1 << size {
		var signers []int
		for i := range size {
			if subset>>i&1 == 1 {
				signers = append(signers, i)
			}
		}
		if len(signers) >= q.MinSize {
			all = append(all, h.commitmentOf(best, signers...))
		}
	}
	slices.SortFunc(all, func(a, b wire.FinalCommitment) int {
		if dkg.Better(a, b) {
			return 1
		}
		return -1
	})
	taken := 0
	for _, c := range all {
		if v, _ := r.feed(Commitment{"p", c}); v.OK() {
			taken++
		} else if v != validation.CommitmentWorse.Verdict() {
			t.Errorf("signed by %s: %+v", c.Signers, v)
		}
	}
	if want := size - q.MinSize + 1; taken != want {
		t.Errorf("%d of %d commitments of one session are taken, want %d, one of each number of signers", taken, len(all), want)
	}
	if _, known := r.verified.get(best.ID()); !known {
		t.Error("the one that was taken last is verified again for a block")
	}
}

func TestCommitment_Supersedes(t *testing.T) {
	with := func(signers, valid int, vector byte) wire.FinalCommitment {
		c := wire.NullCommitment(3, 106, wire.Hash{1}, 0, 5)
		for i := range 5 {
			c.Signers[i], c.ValidMembers[i] = i < signers, i < valid
		}
		c.VectorHash[0] = vector
		return c
	}
	held := with(3, 3, 9)
	for _, c := range []struct {
		signers, valid int
		want           bool
	}{{2, 5, false}, {3, 2, false}, {3, 3, false}, {3, 4, true}, {4, 2, true}} {
		for vector := range byte(20) { // of which some have the lower id
			if got := supersedes(with(c.signers, c.valid, vector), held); got != c.want {
				t.Errorf("%d signers and %d valid members in place of 3 and 3: %v, want %v", c.signers, c.valid, got, c.want)
			}
		}
	}
}

// commitmentBy is a commitment to the same result with fewer signers, the
// first ones by index.
func (h *hall) commitmentBy(c wire.FinalCommitment, signers int) wire.FinalCommitment {
	var first []int
	for i := range signers {
		first = append(first, i)
	}
	return h.commitmentOf(c, first...)
}

func (h *hall) commitmentOf(c wire.FinalCommitment, signers ...int) wire.FinalCommitment {
	roster := h.rigs[0].sessionOf(c.Type, c.QuorumHash)
	var keys []bls.PublicKey
	var sigs []bls.Signature
	c.Signers = make(wire.Bitset, len(c.Signers))
	for _, i := range signers {
		c.Signers[i] = true
		keys = append(keys, roster.Keys()[i])
		sigs = append(sigs, h.operator[h.nodeOf(roster.Members()[i].ProTxHash)].Sign(c.CommitmentHash()))
	}
	c.MembersSignature = wire.Signature(must(bls.AggregateSecure(keys, sigs)).Bytes())
	return c
}
