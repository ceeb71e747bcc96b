package node_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

const shownTip = 120 // height of the tip that askable shows

// askable is a node that does not run and shows a branch of the test's making,
// with one platform quorum for every base block from 24 to 72. Regular-1 is
// member 0 of the network; the quorums are of the evonodes.
type askable struct {
	*node.Node
	t        testing.TB
	network  *testnet.Network
	llmq     params.LLMQ
	quorums  []state.Quorum   // oldest first
	sessions [][]*dkg.Session // of each, as its members stand
	snapshot *engine.Snapshot
}

func blockHash(height int32) wire.Hash { return sha256.Sum256(fmt.Append(nil, "block", height)) }

// session lets members make a quorum; the last of them never speaks.
func session(t testing.TB, q params.LLMQ, base int32, evonodes []testnet.Member) (wire.FinalCommitment, []*dkg.Session) {
	t.Helper()
	var members []dkg.Member
	for _, m := range evonodes {
		members = append(members, dkg.Member{ProTxHash: m.ProTxHash, OperatorKey: m.Operator.PublicKey().Bytes()})
	}
	roster, err := dkg.NewRoster(q, base, blockHash(base), members)
	if err != nil {
		t.Fatal(err)
	}
	sessions := make([]*dkg.Session, len(evonodes))
	for i, m := range evonodes {
		sessions[i] = dkg.NewSession(roster, dkg.Identity{ProTxHash: m.ProTxHash, Operator: m.Operator})
	}
	for height := base; height <= base+q.MiningEnd; height++ {
		for from, s := range sessions[:len(sessions)-1] {
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
	return final[0], sessions
}

func newAskable(t testing.TB) *askable {
	t.Helper()
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 5, Regular: 1, Profile: "spec", Slot: time.Hour, Seed: 3, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{
		Genesis: network.Genesis, Identity: network.Members[0].Service, DataDir: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	genesis, err := state.Genesis(network.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	a := &askable{Node: n, t: t, network: network, llmq: genesis.LLMQs()[0]}
	evonodes := network.Members[1:]
	var proTxs []wire.Hash
	for _, m := range evonodes {
		proTxs = append(proTxs, m.ProTxHash)
	}
	records := slices.Collect(genesis.Records())
	for base := int32(24); base <= 72; base += a.llmq.DKGInterval {
		var q state.Quorum
		q.Base, q.Mined, q.Members = base, base+11, proTxs
		var sessions []*dkg.Session
		q.Commitment, sessions = session(t, a.llmq, base, evonodes)
		a.quorums, a.sessions = append(a.quorums, q), append(a.sessions, sessions)
		key := state.QuorumKey(q.Type(), q.Hash())
		records = append(records, state.Record{Kind: state.KindQuorum, Key: key[:], Value: q.Bytes()})
	}
	a.snapshot = &engine.Snapshot{IsSynced: true}
	if a.snapshot.State, err = state.Load(network.Genesis, slices.Values(records)); err != nil {
		t.Fatal(err)
	}
	for height := range int32(shownTip + 1) {
		a.snapshot.Branch = append(a.snapshot.Branch, &engine.Link{Tip: chain.Tip{Height: height, Hash: blockHash(height)}, State: a.snapshot.State})
	}
	a.snapshot.Tip = a.snapshot.Branch[shownTip].Tip
	n.Show(a.snapshot)
	return a
}

// ask calls a method and decodes what a caller would read.
func (a *askable) ask(result any, method string, params ...any) {
	a.t.Helper()
	answer, err := a.Call(context.Background(), method, params...)
	if err != nil {
		a.t.Fatalf("%s %v: %v", method, params, err)
	}
	text, err := json.Marshal(answer)
	if err == nil {
		err = json.Unmarshal(text, result)
	}
	if err != nil {
		a.t.Fatalf("%s %v: %v", method, params, err)
	}
}

// wantError calls a method that fails with that code and words.
func (a *askable) wantError(code int, words string, method string, params ...any) {
	a.t.Helper()
	answer, err := a.Call(context.Background(), method, params...)
	var failed *api.Error
	if !errors.As(err, &failed) || failed.Code != code || !strings.Contains(failed.Message, words) {
		a.t.Errorf("%s %v: %v, error %v; want code %d and %q", method, params, answer, err, code, words)
	}
}

// sign lets members of a quorum sign a message.
func (a *askable) sign(quorum int, id, message wire.Hash) wire.RecoveredSig {
	a.t.Helper()
	q := a.quorums[quorum]
	r := wire.RecoveredSig{Type: q.Type(), QuorumHash: q.Hash(), ID: id, MessageHash: message}
	var shares []bls.SignatureShare
	var key bls.PublicKey
	for i, s := range a.sessions[quorum][:a.llmq.Threshold] {
		secret, result, ok := s.Share(q.Commitment.ValidMembers)
		if !ok {
			a.t.Fatalf("member %d has no share", i)
		}
		member, err := bls.NewID(q.Members[i])
		if err != nil {
			a.t.Fatal(err)
		}
		key = result.PublicKey()
		shares = append(shares, bls.SignatureShare{ID: member, Signature: secret.Sign(r.SignHash())})
	}
	sig, err := bls.Recover(a.llmq.Threshold, shares, key, r.SignHash())
	if err != nil {
		a.t.Fatal(err)
	}
	r.Signature = sig.Bytes()
	return r
}

func TestQuorum_Lists(t *testing.T) {
	a := newAskable(t)
	oldest, middle, newest := a.quorums[0], a.quorums[1], a.quorums[2]
	for _, c := range []struct {
		params []any
		want   []wire.Hash
	}{
		{nil, []wire.Hash{newest.Hash(), middle.Hash()}}, // two of llmq_test_platform sign
		{[]any{1}, []wire.Hash{newest.Hash()}},
		{[]any{9}, []wire.Hash{newest.Hash(), middle.Hash(), oldest.Hash()}},
	} {
		var got map[string][]wire.Hash
		if a.ask(&got, "quorum list", c.params...); len(got) != 1 || !slices.Equal(got["llmq_test_platform"], c.want) {
			t.Errorf("list %v: %v, want %v", c.params, got, c.want)
		}
	}
	for _, c := range []struct {
		params []any
		want   []state.Quorum
	}{
		{nil, []state.Quorum{newest, middle}},
		{[]any{83}, []state.Quorum{newest, middle}},
		{[]any{82}, []state.Quorum{middle, oldest}}, // a block before the newest was mined
		{[]any{35}, []state.Quorum{oldest}},
		{[]any{34}, nil},
	} {
		var got map[string][]map[string]node.ExtendedQuorum
		a.ask(&got, "quorum listextended", c.params...)
		list := got["llmq_test_platform"]
		if len(got) != 1 || len(list) != len(c.want) {
			t.Errorf("listextended %v: %v, want %d quorums", c.params, got, len(c.want))
			continue
		}
		for i, q := range c.want {
			want := node.ExtendedQuorum{CreationHeight: q.Base, MinedBlockHash: blockHash(q.Mined), NumValidMembers: 3, HealthRatio: "0.75"}
			if x := list[i][q.Hash().String()]; x != want {
				t.Errorf("listextended %v: %+v, want %+v", c.params, list[i], want)
			}
		}
	}
	a.wantError(api.CodeParams, "count is 0", "quorum list", 0)
	a.wantError(api.CodeParams, "2 parameters, at most 1", "quorum list", 1, 2)
	a.wantError(api.CodeParams, "count is -1", "quorum list", -1)
	a.wantError(api.CodeParams, "count must be", "quorum list", "many")
	a.wantError(api.CodeNotFound, "height 121", "quorum listextended", 121)
	a.wantError(api.CodeNotFound, "height -1", "quorum listextended", -1)
	a.wantError(api.CodeParams, "height must be", "quorum listextended", 1<<40)
}

func TestQuorum_Info(t *testing.T) {
	a := newAskable(t)
	q := a.quorums[1]
	for _, llmq := range []any{106, "106", "llmq_test_platform"} {
		var got node.QuorumInfo
		a.ask(&got, "quorum info", llmq, q.Hash(), false)
		members := got.Members
		got.Members = nil
		want := node.QuorumInfo{
			Height: 48, Type: "llmq_test_platform", QuorumHash: q.Hash(), MinedBlock: blockHash(59), MinedHeight: 59, Size: 4, Threshold: 3, Valid: 3,
			PublicKey: q.Key(),
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		for i, m := range a.network.Members[1:] {
			shown := members[i]
			if shown.Name != m.Name || shown.ProTxHash != m.ProTxHash || *shown.OperatorKey != wire.OperatorKey(m.Operator.PublicKey().Bytes()) ||
				!slices.Equal(shown.Addresses, m.Addresses()) || shown.Valid != (i < 3) || shown.Signer != (i < 3) {
				t.Errorf("member %d is shown as %+v", i, shown)
			}
		}
	}
	answer, err := a.Call(context.Background(), "quorum info", 106, q.Hash())
	if text, _ := json.Marshal(answer); err != nil || strings.Contains(strings.ToLower(string(text)), "secret") {
		t.Errorf("%s, %v: want no word of a secret", text, err)
	}
	a.wantError(api.CodeParams, "includeskshare must be false", "quorum info", 106, q.Hash(), true)
	a.wantError(api.CodeParams, "includeskshare must be true or false", "quorum info", 106, q.Hash(), 1)
	a.wantError(api.CodeParams, "4 parameters, at most 3", "quorum info", 106, q.Hash(), false, 1)
	a.wantError(api.CodeNotFound, "quorum not found", "quorum info", 106, wire.Hash{1})
	a.wantError(api.CodeNotFound, `"4" does not run here`, "quorum info", 4, q.Hash())
	a.wantError(api.CodeNotFound, `"x" does not run here`, "quorum info", "x", q.Hash())
	a.wantError(api.CodeParams, "llmqtype must be", "quorum info", []int{106}, q.Hash())
	a.wantError(api.CodeParams, "quorumhash", "quorum info", 106, "ab")
	a.wantError(api.CodeParams, "quorumhash is missing", "quorum info", 106)
}

func TestQuorum_MemberOf(t *testing.T) {
	a := newAskable(t)
	for i, m := range a.network.Members {
		want := 2
		if !m.Evo {
			want = 0
		}
		var got []node.MemberOf
		a.ask(&got, "quorum memberof", m.ProTxHash)
		if len(got) != want {
			t.Fatalf("%s is a member of %d quorums, want %d", m.Name, len(got), want)
		}
		for _, q := range got {
			if q.MemberIndex != i-1 || q.IsValidMember != (i < 4) || q.Members != nil {
				t.Errorf("%s: %+v", m.Name, q)
			}
		}
	}
	var all []node.MemberOf
	if a.ask(&all, "quorum memberof", "evo-1", 8); len(all) != 3 || all[2].QuorumHash != a.quorums[0].Hash() {
		t.Errorf("evo-1 is shown in %+v, want all three quorums", all)
	}
	a.wantError(api.CodeNotFound, "not found", "quorum memberof", wire.Hash{9})
	a.wantError(api.CodeParams, "neither", "quorum memberof", "nobody")
	a.wantError(api.CodeParams, "protxhash is missing", "quorum memberof")
	a.wantError(api.CodeParams, "count is 0", "quorum memberof", "evo-1", 0)
}

// The quorum that is shown is the one that signs.
func TestQuorum_Select(t *testing.T) {
	a := newAskable(t)
	seen := make(map[wire.Hash]bool)
	for i := range 20 {
		id := wire.Hash{byte(i)}
		var got node.SelectedQuorum
		a.ask(&got, "quorum selectquorum", 106, id)
		var mined []signing.Mined
		for _, q := range a.quorums {
			mined = append(mined, signing.Mined{Hash: q.Hash(), Height: q.Mined})
		}
		want, _ := signing.Select(a.llmq, mined, id, shownTip)
		if got.QuorumHash != want.Hash || len(got.RecoveryMembers) != 3 {
			t.Errorf("request %s selects %+v, want %s", id.Short(), got, want.Hash)
		}
		seen[got.QuorumHash] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d quorums were selected, want the 2 that sign", len(seen))
	}
	a.wantError(api.CodeParams, "id is missing", "quorum selectquorum", 106)
	a.wantError(api.CodeNotFound, "known: [106 llmq_test_platform]", "quorum selectquorum", 0, wire.Hash{})
	early := *a.snapshot
	early.Tip = early.Branch[42].Tip // the first quorum was mined 7 blocks below
	a.Show(&early)
	a.wantError(api.CodeNotFound, "no quorums active", "quorum selectquorum", 106, wire.Hash{})
}

func TestQuorum_Verify(t *testing.T) {
	a := newAskable(t)
	newest := a.quorums[2]
	message := wire.Hash{7}
	var mined []signing.Mined
	for _, q := range a.quorums {
		mined = append(mined, signing.Mined{Hash: q.Hash(), Height: q.Mined})
	}
	// A request that the newest quorum signs, and one that the oldest signed at
	// height 60.
	var id, old wire.Hash
	for i := range byte(200) {
		request := wire.Hash{i, 1}
		if q, _ := signing.Select(a.llmq, mined, request, shownTip); q.Hash == newest.Hash() {
			id = request
		}
		if q, _ := signing.Select(a.llmq, mined, request, 60+signing.SignHeightOffset); q.Hash == a.quorums[0].Hash() {
			old = request
		}
	}
	sig, oldSig := a.sign(2, id, message).Signature, a.sign(0, old, message).Signature
	bad := sig
	bad[5] ^= 1
	for _, c := range []struct {
		name   string
		params []any
		want   bool
	}{
		{"of the quorum named", []any{106, id, message, sig.String(), newest.Hash()}, true},
		{"of the quorum selected", []any{106, id, message, sig.String()}, true},
		{"at a height", []any{106, id, message, sig.String(), "", 83}, true},
		{"before the quorum was", []any{106, id, message, sig.String(), "", 82}, false},
		{"at a height, of the quorum named", []any{106, id, message, sig.String(), newest.Hash(), 30}, true},
		{"of another quorum", []any{106, id, message, sig.String(), a.quorums[0].Hash()}, false},
		{"another message", []any{106, id, wire.Hash{8}, sig.String()}, false},
		{"another request", []any{106, wire.Hash{8}, message, sig.String(), newest.Hash()}, false},
		{"of the quorum that signed then", []any{106, old, message, oldSig.String(), "", 60}, true},
		{"an interval later", []any{106, old, message, oldSig.String(), "", 84}, true},
		{"two intervals later", []any{106, old, message, oldSig.String(), "", 108}, false},
		{"no signature", []any{106, id, message, bad.String()}, false},
	} {
		var got bool
		if a.ask(&got, "quorum verify", c.params...); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	a.wantError(api.CodeNotFound, "quorum not found", "quorum verify", 106, id, message, sig.String(), wire.Hash{1})
	a.wantError(api.CodeParams, "192 hex digits", "quorum verify", 106, id, message, "ab")
	a.wantError(api.CodeParams, "signature is missing", "quorum verify", 106, id, message)
	a.wantError(api.CodeParams, "msghash", "quorum verify", 106, id, "x", sig.String())
	a.wantError(api.CodeParams, "quorumhash", "quorum verify", 106, id, message, sig.String(), "ab")
	a.wantError(api.CodeNotFound, "height 121", "quorum verify", 106, id, message, sig.String(), "", 121)
}

func TestQuorum_RecoveredSignatures(t *testing.T) {
	a := newAskable(t)
	r := a.sign(2, wire.Hash{1}, wire.Hash{2})
	a.snapshot.Signatures = a.snapshot.Signatures.Set(wire.DoubleHash([]byte{106}, r.ID[:]), r)
	for _, c := range []struct {
		id, message      wire.Hash
		has, conflicting bool
	}{
		{r.ID, r.MessageHash, true, false},
		{r.ID, wire.Hash{3}, false, true},
		{wire.Hash{4}, r.MessageHash, false, false},
	} {
		var has, conflicting bool
		a.ask(&has, "quorum hasrecsig", 106, c.id, c.message)
		a.ask(&conflicting, "quorum isconflicting", 106, c.id, c.message)
		if has != c.has || conflicting != c.conflicting {
			t.Errorf("%s %s: has %t, conflicting %t", c.id.Short(), c.message.Short(), has, conflicting)
		}
		if !c.has {
			a.wantError(api.CodeNotFound, "recovered signature not found", "quorum getrecsig", 106, c.id, c.message)
		}
	}
	var got node.RecoveredSigInfo
	a.ask(&got, "quorum getrecsig", 106, r.ID, r.MessageHash)
	if want := (node.RecoveredSigInfo{Type: 106, QuorumHash: r.QuorumHash, ID: r.ID, MsgHash: r.MessageHash, Sig: r.Signature.String(), Hash: r.InventoryHash()}); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for _, method := range []string{"quorum hasrecsig", "quorum getrecsig", "quorum isconflicting"} {
		a.wantError(api.CodeNotFound, "does not run here", method, 5, r.ID, r.MessageHash)
		a.wantError(api.CodeParams, "id", method, 106, "x", r.MessageHash)
		a.wantError(api.CodeParams, "msghash is missing", method, 106, r.ID)
	}
}

func TestQuorum_DKGStatus(t *testing.T) {
	a := newAskable(t)
	member, silent := a.sessions[2][1].Status(), a.network.Members[4]
	a.snapshot.DKG = []dkg.Status{member}
	a.snapshot.BadVotes = []engine.BadVote{
		{Type: 106, Quorum: member.Quorum, ProTxHash: silent.ProTxHash, Reason: engine.VoteFlagged},
		{Type: 106, Quorum: blockHash(48), ProTxHash: silent.ProTxHash, Reason: engine.VoteProtocol}, // of another session
	}
	c := a.quorums[2].Commitment
	a.snapshot.Minable = a.snapshot.Minable.Set(state.QuorumKey(106, c.QuorumHash), c)

	var got node.DKGStatus
	a.ask(&got, "quorum dkgstatus")
	if got.Height != shownTip || len(got.Sessions) != 1 || len(got.Connections) != 1 || len(got.Minable) != 1 {
		t.Fatalf("%+v", got)
	}
	s := got.Sessions[0].Status
	if got.Sessions[0].Type != "llmq_test_platform" || s.QuorumHash != blockHash(72) || s.QuorumHeight != 72 || s.Phase != 7 || s.PhaseName != "idle" || s.Self != 1 ||
		s.Size != 4 || !s.SentContribution || s.SentJustification || !s.SentCommitment || s.Members != nil {
		t.Errorf("%+v", s)
	}
	for what, pair := range map[string][2]any{
		"bad": {s.Bad, 1.}, "contributions": {s.Contributions, 3.}, "commitments": {s.PrematureCommitments, 3.}, "justifications": {s.Justifications, 0.},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	if want := (node.OurBadVote{Name: silent.Name, ProTxHash: silent.ProTxHash, Reason: engine.VoteFlagged}); !slices.Equal(s.BadVotes, []node.OurBadVote{want}) {
		t.Errorf("bad votes %+v, want %+v", s.BadVotes, want)
	}
	if others := got.Connections[0].Connections; len(others) != 3 || others[0].Connected {
		t.Errorf("connections %+v, want the three others, none connected", others)
	}
	if m := got.Minable[0]; m.Signers != "07" || m.SignersCount != 3 || m.QuorumHash != c.QuorumHash {
		t.Errorf("minable %+v", m)
	}

	a.ask(&got, "quorum dkgstatus", 2)
	s = got.Sessions[0].Status
	if fmt.Sprint(s.Bad) != "[3]" || fmt.Sprint(s.Contributions) != "[0 1 2]" || len(s.Members) != 4 {
		t.Errorf("with detail 2: %+v", s)
	}
	if m := s.Members[3]; m.Name != silent.Name || m.Fault != "no-contribution" || m.Contributions != 0 {
		t.Errorf("the silent member is %+v", m)
	}
	if m := s.Members[0]; m.Fault != "none" || m.Contributions != 1 || m.PrematureCommitments != 1 {
		t.Errorf("a good member is %+v", m)
	}

	watching := member
	watching.Self = -1
	a.snapshot.DKG = []dkg.Status{watching}
	if a.ask(&got, "quorum dkgstatus", 1); got.Sessions[0].Status.SentContribution || len(got.Connections) != 0 {
		t.Errorf("a watcher says %+v", got)
	}
	a.wantError(api.CodeParams, "detail is 3, want 0 to 2", "quorum dkgstatus", 3)
	a.wantError(api.CodeParams, "detail is -1", "quorum dkgstatus", -1)
	a.wantError(api.CodeParams, "detail must be", "quorum dkgstatus", "all")
}

func TestQuorum_DKGInfo(t *testing.T) {
	a := newAskable(t)
	idle, running := a.sessions[2][0].Status(), a.sessions[2][0].Status()
	running.Phase = dkg.Finalize
	for _, c := range []struct {
		tip      int32
		sessions []dkg.Status
		want     node.DKGInfo
	}{
		{120, nil, node.DKGInfo{Active: 0, Next: 24}},
		{119, []dkg.Status{idle, running}, node.DKGInfo{Active: 1, Next: 1}},
		{97, []dkg.Status{idle}, node.DKGInfo{Active: 0, Next: 23}},
	} {
		s := *a.snapshot
		s.Tip, s.DKG = s.Branch[c.tip].Tip, c.sessions
		a.Show(&s)
		var got node.DKGInfo
		if a.ask(&got, "quorum dkginfo"); got != c.want {
			t.Errorf("at %d: %+v, want %+v", c.tip, got, c.want)
		}
	}
}

func TestBanRequests(t *testing.T) {
	a := newAskable(t)
	var list []engine.BanRequest
	if a.ask(&list, "platformban requests"); list == nil || len(list) != 0 {
		t.Errorf("%v, want an empty list", list)
	}
	for i, since := range []int32{9, 3, 5} {
		r := engine.BanRequest{ProTxHash: wire.Hash{byte(i)}, Since: since, Evidence: []engine.Attempt{{Height: since, Failed: "refused"}}}
		a.snapshot.Requests = a.snapshot.Requests.Set(r.ProTxHash, r)
	}
	a.ask(&list, "platformban requests")
	if len(list) != 3 || list[0].Since != 3 || list[2].Since != 9 || list[1].Evidence[0].Failed != "refused" {
		t.Errorf("%+v", list)
	}
	a.wantError(api.CodeParams, "0 parameters", "platformban request")
	a.wantError(api.CodeParams, "3 parameters", "platformban request", "evo-1", "withdraw", "now")
	a.wantError(api.CodeParams, `"retract" is not withdraw`, "platformban request", "evo-1", "retract")
	a.wantError(api.CodeParams, `"nobody" is neither`, "platformban request", "nobody")
}
