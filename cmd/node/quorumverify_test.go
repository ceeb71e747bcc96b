package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/wire"
)

// published is the commitment of spec/dash.md 11.5, put together byte by byte:
// type 106, three members.
func published() string {
	return "0300" + "6a" + reverseHex("0bbcbd78c1bd71fd340c5bb5c62bea72017aa7e255ff459cca6f83390ffbdc60") + "0307" + "0307" +
		"acebd725d48f2c6849949ef4225bb0bfbb329d36a1abaffd92831527d2dae7b66e104b014b1d56e533150f3a39e68ef7" +
		reverseHex("c11c125599e9d07583dcac08fa46e387f4cdf07afbf580dab51d5f87e4bf82b4") +
		"88183e681480923d60aecd5fc9e8115e5a69c0c38bb4c84cd02ce0d3798e0c29ec0ef1ab0d75999ee5ed23c22cb1abb7" +
		"08f8fd62d58ed1f7007d5780853ebe540c50ab103752dfa26d49a7ae93bcf7e2cc30aa31b169fb7c5b3b95378bb2481a" +
		"81d0944f43b2d8121437b0391ec3278bbed2e937749fd7cb9266ed5ed3aa32b4c93307c89e7b1af2592a5675eb0e7911" +
		"07fef366f7f862a7604f6eee30c64084e2a30fc81cd30c252ebcd0bc118975b1bfcf474672741bd05fee8f811ebea61c"
}

const (
	publishedHash = "e0927206b9d877eaa8299a3b124927c53055b54a082dbea734e3713ac39f9571"
	publishedID   = "6ba9f53ade67980763a1258474a9ed02e656097fecfcea53336eeddace792d15"
)

// made is a quorum that members made in a session.
type made struct {
	commitment wire.FinalCommitment
	keys       []string // operator keys in order of the index
}

func (m made) verify(t testing.TB, args ...string) outcome {
	t.Helper()
	return proctor(t, append([]string{"quorum", "verify-commitment", hexOf(m.commitment), "--operator-keys", strings.Join(m.keys, ",")}, args...)...)
}

// makeQuorum runs a session of n members who hear everything of each other.
func makeQuorum(t testing.TB, q params.LLMQ, n int) made {
	t.Helper()
	const base = 288 // a multiple of every interval
	hash := func(words ...any) wire.Hash { return sha256.Sum256(fmt.Append(nil, words...)) }
	var quorum made
	var members []dkg.Member
	var identities []dkg.Identity
	for i := range n {
		key := bls.GenerateSecretKey(hash("operator", i))
		m := dkg.Member{ProTxHash: hash("protx", i), OperatorKey: key.PublicKey().Bytes()}
		members, quorum.keys = append(members, m), append(quorum.keys, m.OperatorKey.String())
		identities = append(identities, dkg.Identity{ProTxHash: m.ProTxHash, Operator: key, Seed: hash("seed", i)})
	}
	roster, err := dkg.NewRoster(q, base, hash("block"), members)
	if err != nil {
		t.Fatal(err)
	}
	sessions := make([]*dkg.Session, n)
	for i, who := range identities {
		sessions[i] = dkg.NewSession(roster, who)
	}
	for height := int32(base); height <= base+q.MiningEnd; height++ {
		for from, s := range sessions {
			for _, m := range s.Advance(height, nil) {
				for to, other := range sessions {
					if to != from {
						other.Add(m)
					}
				}
			}
		}
	}
	final := sessions[0].Commitments()
	if len(final) != 1 {
		t.Fatalf("%d final commitments, want 1", len(final))
	}
	quorum.commitment = final[0]
	return quorum
}

func llmq(t testing.TB, of wire.LLMQType) params.LLMQ {
	t.Helper()
	q, err := params.LLMQByType(of)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func small(t testing.TB, n int) params.LLMQ {
	t.Helper()
	q, err := params.SmallPlatformQuorum(n)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// verdict is what is said beside the fields of the commitment.
type verdict struct {
	Valid   bool   `json:"valid"`
	Reason  string `json:"reason"`
	Hash    string `json:"commitment_hash"`
	ID      string `json:"inventory_hash"`
	Quorum  bool   `json:"quorum_sig_valid"`
	Members bool   `json:"members_sig_valid"`
}

// wantVerdict compares both forms of the answer, and the exit code.
func wantVerdict(t testing.TB, run func(args ...string) outcome, want verdict) {
	t.Helper()
	code := exitFailed
	if want.Valid {
		code = exitOK
	}
	o := run("--json")
	var got verdict
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.code != code || o.stderr != "" {
		t.Fatalf("exit code %d, want %d; %v; stderr %q", o.code, code, err, o.stderr)
	}
	if want.Hash == "" {
		want.Hash, want.ID = got.Hash, got.ID
	}
	if got != want {
		t.Errorf("verdict %+v\nwant %+v", got, want)
	}
	o = run()
	text := o.lines(t)
	if o.code != code || text["valid"] != fmt.Sprint(want.Valid) || text["reason"] != want.Reason ||
		text["quorum_sig_valid"] != fmt.Sprint(want.Quorum) || text["members_sig_valid"] != fmt.Sprint(want.Members) {
		t.Errorf("as text: exit code %d\n%s", o.code, o.stdout)
	}
}

// The operator keys of the published commitment are not known: its members'
// signature cannot be verified, the quorum's can.
func TestVerifyCommitment_Published(t *testing.T) {
	keys := strings.Join([]string{vectorKey, vectorOtherKey, vectorLegacyKey}, ",")
	wantVerdict(t, func(args ...string) outcome {
		return proctor(t, append([]string{"quorum", "verify-commitment", published(), "--operator-keys", keys}, args...)...)
	}, verdict{false, "members-signature", publishedHash, publishedID, true, false})
}

// What members make in a session is valid, whatever the type and the size.
func TestVerifyCommitment_OfSessions(t *testing.T) {
	for _, c := range []struct {
		name    string
		llmq    params.LLMQ
		members int
		args    []string
	}{
		{"test platform", llmq(t, 106), 3, nil},
		{"a network of 4 evonodes", small(t, 4), 4, nil},
		{"a network of 7 evonodes, told", small(t, 7), 7, []string{"--llmq", "7:4"}},
		{"two of three", llmq(t, 100), 2, nil},
		{"devnet", llmq(t, 101), 8, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			quorum := makeQuorum(t, c.llmq, c.members)
			wantVerdict(t, func(args ...string) outcome { return quorum.verify(t, append(c.args, args...)...) }, verdict{
				true, "valid", quorum.commitment.CommitmentHash().String(), quorum.commitment.ID().String(), true, true,
			})
		})
	}
}

// Neither the version nor the index is signed.
func TestVerifyCommitment_Version4(t *testing.T) {
	rotated, plain := makeQuorum(t, llmq(t, 103), 4), makeQuorum(t, llmq(t, 106), 3)
	for _, c := range []struct {
		name    string
		quorum  made
		version uint16
		index   int16
		reason  string
	}{
		{"rotated, first", rotated, 4, 0, "valid"},
		{"rotated, second", rotated, 4, 1, "valid"},
		{"rotated, index below zero", rotated, 4, -1, "quorum-index"},
		{"rotated, index of the next interval", rotated, 4, 24, "quorum-index"},
		{"rotated in version 3", rotated, 3, 0, "version"},
		{"not rotated in version 4", plain, 4, 0, "version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.quorum.commitment.Version, c.quorum.commitment.QuorumIndex = c.version, c.index
			wantVerdict(t, func(args ...string) outcome { return c.quorum.verify(t, args...) },
				verdict{c.reason == "valid", c.reason, c.quorum.commitment.CommitmentHash().String(), c.quorum.commitment.ID().String(), true, true})
		})
	}
}

// Each signature is judged for itself.
func TestVerifyCommitment_NotValid(t *testing.T) {
	good := makeQuorum(t, small(t, 4), 4)
	for _, c := range []struct {
		name            string
		change          func(m *made)
		args            []string
		reason          string
		quorum, members bool
	}{
		{"other keys", func(m *made) { m.keys[0] = vectorKey }, nil, "members-signature", true, false},
		{"two keys exchanged", func(m *made) { m.keys[0], m.keys[1] = m.keys[1], m.keys[0] }, nil, "valid", true, true},
		{"a key missing", func(m *made) { m.keys = m.keys[:3] }, nil, "beyond-members", true, false},
		{"a signer taken out", func(m *made) { m.commitment.Signers[2] = false }, nil, "members-signature", true, false},
		{"a member taken out", func(m *made) { m.commitment.ValidMembers[2] = false }, nil, "quorum-signature", false, false},
		{"two signers", func(m *made) { m.commitment.Signers[0], m.commitment.Signers[1] = false, false }, nil, "too-few-signers", true, false},
		{"two valid", func(m *made) { m.commitment.ValidMembers[0], m.commitment.ValidMembers[1] = false, false }, nil, "too-few-valid", false, false},
		{"no quorum signature", func(m *made) { m.commitment.QuorumSignature = wire.Signature{} }, nil, "quorum-signature", false, true},
		{"no members signature", func(m *made) { m.commitment.MembersSignature = wire.Signature{} }, nil, "members-signature", true, false},
		{"signatures exchanged", func(m *made) {
			m.commitment.QuorumSignature, m.commitment.MembersSignature = m.commitment.MembersSignature, m.commitment.QuorumSignature
		}, nil, "quorum-signature", false, false},
		{"another quorum", func(m *made) { m.commitment.QuorumHash[0] ^= 1 }, nil, "quorum-signature", false, false},
		{"no vector hash", func(m *made) { m.commitment.VectorHash = wire.Hash{} }, nil, "vector-hash", false, false},
		{"key that is none", func(m *made) { m.commitment.PublicKey = wire.OperatorKey{1} }, nil, "quorum-key", false, false},
		{"another size", func(*made) {}, []string{"--llmq", "5:3"}, "size", true, true},
		{"sets of two sizes", func(m *made) { m.commitment.Signers = append(m.commitment.Signers, false) }, nil, "size", true, true},
		{"a threshold above the signers", func(m *made) { m.commitment.Signers[0] = false }, []string{"--llmq", "4:4"}, "too-few-signers", true, false},
		{"null", func(m *made) { m.commitment = wire.NullCommitment(3, 106, m.commitment.QuorumHash, 0, 4) }, nil, "null", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := made{good.commitment, slices.Clone(good.keys)}
			bad.commitment.Signers, bad.commitment.ValidMembers = slices.Clone(good.commitment.Signers), slices.Clone(good.commitment.ValidMembers)
			c.change(&bad)
			wantVerdict(t, func(args ...string) outcome { return bad.verify(t, append(c.args, args...)...) },
				verdict{Valid: c.reason == "valid", Reason: c.reason, Quorum: c.quorum, Members: c.members})
		})
	}
}

func TestVerifyCommitment_UnusableInput(t *testing.T) {
	good := makeQuorum(t, llmq(t, 106), 3)
	message, keys := hexOf(good.commitment), strings.Join(good.keys, ",")
	unknown, legacy := good.commitment, good.commitment
	unknown.Type, legacy.Version = 99, 1
	for _, c := range []struct {
		name, message, keys string
		args                []string
		words               []string
	}{
		{"no message", "", keys, nil, []string{"qfcommit of 0 bytes", "415"}},
		{"half a message", message[:100], keys, nil, []string{"qfcommit of 50 bytes", "415", "wrong size"}},
		{"a byte long", message + "00", keys, nil, []string{"qfcommit", "1 bytes after the end"}},
		{"not hex", "zz" + message[2:], keys, nil, []string{"qfcommit", "'z'"}},
		{"far too long", strings.Repeat("00", 500), keys, nil, []string{"qfcommit", "at most 415 bytes"}},
		{"legacy version", hexOf(legacy), keys, nil, []string{"version 1, want 3 or 4"}},
		{"unknown type", hexOf(unknown), keys, nil, []string{"99", "known", "106 (llmq_test_platform)"}},
		{"no keys", message, "", nil, []string{"--operator-keys", "0 keys", "1 to 3"}},
		{"too many keys", message, keys + "," + vectorKey, nil, []string{"--operator-keys", "4 keys", "1 to 3", "llmq_test_platform"}},
		{"a short key", message, keys[:len(keys)-2], nil, []string{"--operator-keys", "key 2", "94 characters", "96 hex digits"}},
		{"a key that is none", message, strings.Repeat("0", 96) + keys[96:], nil, []string{"--operator-keys", "key 0"}},
		{"an empty key", message, "," + keys[:2*97-1], nil, []string{"key 0", "0 characters"}},
		{"no shape", message, keys, []string{"--llmq", "3"}, []string{"--llmq", `"3"`, "SIZE:THRESHOLD"}},
		{"a shape of words", message, keys, []string{"--llmq", "a:b"}, []string{"--llmq", `"a:b"`}},
		{"a threshold of half", message, keys, []string{"--llmq", "4:2"}, []string{"--llmq", "size 4 and threshold 2", "above half"}},
		{"a size too large", message, keys, []string{"--llmq", "401:300"}, []string{"--llmq", "401", "2 to 400"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"quorum", "verify-commitment", c.message, "--operator-keys", c.keys}, c.args...)
			proctor(t, args...).wantError(t, exitUnusable, c.words...)
			proctor(t, append(args, "--json")...).wantError(t, exitUnusable, c.words...)
		})
	}
	proctor(t, "quorum", "verify-commitment", message).wantError(t, exitUnusable, "--operator-keys", "0 keys")
}
