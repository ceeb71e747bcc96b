package dkg

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 5.6 and 5.7.
func TestVerify_Table(t *testing.T) {
	q := shape(t, 5)
	q.Size = 7 // five members of seven
	roster := newRoster(t, q, 5)
	c := newCluster(t, roster, 1).run()
	final := c.agreed(c.everybody()...)
	quorum := Quorum{q, base, roster.hash}
	rotated := q
	rotated.Rotated = true
	noKey := slices.Clone(roster.Keys())
	noKey[4] = bls.PublicKey{}
	for _, v := range []struct {
		name   string
		change func(c *wire.FinalCommitment)
		quorum Quorum
		keys   []bls.PublicKey
		want   CommitmentReason
	}{
		{"good", func(*wire.FinalCommitment) {}, quorum, roster.Keys(), CommitmentGood},
		{"version of a rotated quorum", func(c *wire.FinalCommitment) { c.Version = 4 }, quorum, roster.Keys(), CommitmentVersion},
		{"old version", func(c *wire.FinalCommitment) { c.Version = 1 }, quorum, roster.Keys(), CommitmentVersion},
		{"plain version of a rotated quorum", func(*wire.FinalCommitment) {}, Quorum{rotated, base, roster.hash}, roster.Keys(), CommitmentVersion},
		{"rotated", func(c *wire.FinalCommitment) { c.Version = 4 }, Quorum{rotated, base, roster.hash}, roster.Keys(), CommitmentGood},
		{"rotated, index 3", func(c *wire.FinalCommitment) { c.Version, c.QuorumIndex = 4, 3 }, Quorum{rotated, base + 3, roster.hash}, roster.Keys(), CommitmentGood},
		{"rotated, another index", func(c *wire.FinalCommitment) { c.Version, c.QuorumIndex = 4, 2 }, Quorum{rotated, base + 3, roster.hash}, roster.Keys(), CommitmentIndex},
		{"no base block", func(*wire.FinalCommitment) {}, Quorum{q, base + 1, roster.hash}, roster.Keys(), CommitmentIndex},
		{"another type", func(c *wire.FinalCommitment) { c.Type = 107 }, quorum, roster.Keys(), CommitmentType},
		{"another base block", func(c *wire.FinalCommitment) { c.QuorumHash[0] ^= 1 }, quorum, roster.Keys(), CommitmentQuorum},
		{"signers too short", func(c *wire.FinalCommitment) { c.Signers = c.Signers[:6] }, quorum, roster.Keys(), CommitmentSize},
		{"valid members too long", func(c *wire.FinalCommitment) { c.ValidMembers = append(slices.Clip(c.ValidMembers), false) }, quorum, roster.Keys(), CommitmentSize},
		{"null", func(c *wire.FinalCommitment) { *c = wire.NullCommitment(3, 106, roster.hash, 0, 7) }, quorum, roster.Keys(), CommitmentNull},
		{"two valid", func(c *wire.FinalCommitment) { c.ValidMembers = wire.Bitset{true, true, 6: false} }, quorum, roster.Keys(), CommitmentFewValid},
		{"two signers", func(c *wire.FinalCommitment) { c.Signers = wire.Bitset{true, true, 6: false} }, quorum, roster.Keys(), CommitmentFewSigners},
		{"valid beyond", func(c *wire.FinalCommitment) { c.ValidMembers[5] = true }, quorum, roster.Keys(), CommitmentBeyond},
		{"signer beyond", func(c *wire.FinalCommitment) { c.Signers[6] = true }, quorum, roster.Keys(), CommitmentBeyond},
		{"no vector hash", func(c *wire.FinalCommitment) { c.VectorHash = wire.Hash{} }, quorum, roster.Keys(), CommitmentVectorHash},
		{"no key", func(c *wire.FinalCommitment) { c.PublicKey = wire.OperatorKey{} }, quorum, roster.Keys(), CommitmentKey},
		{"key at infinity", func(c *wire.FinalCommitment) { c.PublicKey = wire.OperatorKey{0xc0} }, quorum, roster.Keys(), CommitmentKey},
		{"signer without key", func(*wire.FinalCommitment) {}, quorum, noKey, CommitmentOperatorKey},
		{"another valid set", func(c *wire.FinalCommitment) { c.ValidMembers[0] = false }, quorum, roster.Keys(), CommitmentQuorumSignature},
		{"another key", func(c *wire.FinalCommitment) { c.PublicKey = roster.Members()[0].OperatorKey }, quorum, roster.Keys(), CommitmentQuorumSignature},
		{"another vector", func(c *wire.FinalCommitment) { c.VectorHash[0] ^= 1 }, quorum, roster.Keys(), CommitmentQuorumSignature},
		{"no quorum signature", func(c *wire.FinalCommitment) { c.QuorumSignature = wire.Signature{} }, quorum, roster.Keys(), CommitmentQuorumSignature},
		{"signatures exchanged", func(c *wire.FinalCommitment) { c.QuorumSignature = c.MembersSignature }, quorum, roster.Keys(), CommitmentQuorumSignature},
		{"other members' signature", func(c *wire.FinalCommitment) { c.MembersSignature = c.QuorumSignature }, quorum, roster.Keys(), CommitmentMembersSignature},
		{"no members signature", func(c *wire.FinalCommitment) { c.MembersSignature = wire.Signature{} }, quorum, roster.Keys(), CommitmentMembersSignature},
		{"a signer fewer than signed", func(c *wire.FinalCommitment) { c.Signers[0] = false }, quorum, roster.Keys(), CommitmentMembersSignature},
		{"keys in another order", func(*wire.FinalCommitment) {}, quorum, append(slices.Clone(roster.Keys()[1:4]), roster.Keys()[:1]...), CommitmentBeyond},
	} {
		got := final
		got.Signers, got.ValidMembers = slices.Clone(final.Signers), slices.Clone(final.ValidMembers)
		v.change(&got)
		if reason := Verify(got, v.quorum, v.keys); reason != v.want {
			t.Errorf("%s: %s, want %s", v.name, reason, v.want)
		}
		if points := v.want.Points(); points == 0 != (v.want == CommitmentGood) {
			t.Errorf("%s costs %d points", v.want, points)
		}
		if null := CheckNull(got, v.quorum); (null == CommitmentGood) != (v.name == "null") {
			t.Errorf("%s as a null commitment: %s", v.name, null)
		}
	}
	other := wire.NullCommitment(3, 106, roster.hash, 0, 7)
	other.VectorHash[9] = 1
	if got := CheckNull(other, quorum); got != CommitmentNull {
		t.Errorf("null with a vector hash: %s", got)
	}
	swapped := slices.Clone(roster.Keys())
	swapped[0], swapped[4] = swapped[4], bls.PublicKey{}
	got := final
	got.Signers = wire.Bitset{true, true, true, true, 6: false}
	if s := VerifySignatures(got, swapped); s != (Signatures{KeyGood: true, SignersGood: true, Quorum: true}) {
		t.Errorf("other signers than signed: %+v", s)
	}
}

// Source: spec/dash.md 11.5; the operators' keys are not published.
func TestVerify_PublishedCommitment(t *testing.T) {
	raw, err := hex.DecodeString(vectors(t, "testdata/published.txt")["commitment"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := wire.ParseFinalCommitment(raw)
	if err != nil {
		t.Fatal(err)
	}
	q, err := params.LLMQByType(106)
	if err != nil {
		t.Fatal(err)
	}
	keys := []bls.PublicKey{operator(0).PublicKey(), operator(1).PublicKey(), operator(2).PublicKey()}
	if s := VerifySignatures(c, keys); s != (Signatures{KeyGood: true, SignersGood: true, Quorum: true}) {
		t.Errorf("%+v, want all but the members' signature, whose keys these are not", s)
	}
	quorum := Quorum{q, 24, c.QuorumHash}
	if got := Verify(c, quorum, keys); got != CommitmentMembersSignature {
		t.Errorf("%s, want %s", got, CommitmentMembersSignature)
	}
	c.QuorumHash[0] ^= 1
	quorum.Hash = c.QuorumHash
	if got := Verify(c, quorum, keys); got != CommitmentQuorumSignature {
		t.Errorf("for another block: %s, want %s", got, CommitmentQuorumSignature)
	}
}

func TestBetter_IsAnOrder(t *testing.T) {
	few := wire.FinalCommitment{Version: 3, Signers: wire.Bitset{true, false, true}, ValidMembers: wire.Bitset{true, true, true}}
	many := few
	many.Signers = wire.Bitset{true, true, true}
	less := few
	less.ValidMembers = wire.Bitset{true, true, false}
	other := few
	other.VectorHash[0] = 1
	list := []wire.FinalCommitment{less, few, many, other}
	for i, a := range list {
		for j, b := range list {
			if i != j && Better(a, b) == Better(b, a) || i == j && Better(a, b) {
				t.Errorf("%d and %d: %t and %t", i, j, Better(a, b), Better(b, a))
			}
		}
	}
	if !Better(many, few) || !Better(few, less) || !Better(many, less) {
		t.Error("more signers, then more valid members, are better")
	}
}
