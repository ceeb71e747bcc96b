package main

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// asks answers calls as says does, and writes their parameters down.
func asks(name string, answer any, asked *[]string) api.Method {
	return api.Method{Name: name, Usage: "[ANYTHING]", Call: func(_ context.Context, p api.Params) (any, error) {
		text, err := json.Marshal(append(api.Params{}, p...))
		*asked = append(*asked, string(text))
		return answer, err
	}}
}

// refuses answers every call with an error.
func refuses(name string, err error) api.Method {
	return api.Method{Name: name, Usage: "[ANYTHING]", Call: func(context.Context, api.Params) (any, error) { return nil, err }}
}

func TestQuorumList(t *testing.T) {
	one, two, three := hashOf(1), hashOf(2), hashOf(3)
	lists := extendedQuorums{
		"llmq_test_platform": {
			{two.String(): {CreationHeight: 600, MinedBlockHash: hashOf(9), NumValidMembers: 4, HealthRatio: "1.00"}},
			{one.String(): {CreationHeight: 576, MinedBlockHash: hashOf(8), NumValidMembers: 3, HealthRatio: "0.75"}},
		},
		"llmq_devnet": {{three.String(): {CreationHeight: 600, MinedBlockHash: hashOf(9), NumValidMembers: 12, HealthRatio: "1.00"}}},
		"llmq_test":   {},
	}
	var asked []string
	at := serve(t, []api.Method{asks("quorum listextended", lists, &asked)}, nil)
	o := proctor(t, "quorum", "list", "--config", at)
	o.wantOK(t)
	golden(t, "quorum-list.txt", o.stdout)
	var got extendedQuorums
	exactly(t, proctor(t, "quorum", "list", "--config", at, "--json", "--height", "620"), &got)
	if !reflect.DeepEqual(got, lists) {
		t.Errorf("JSON shows %+v, want %+v", got, lists)
	}
	if want := []string{"[]", "[620]"}; !slices.Equal(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}
	proctor(t, "quorum", "list", "--height", "-1").wantError(t, exitUnusable, "--height", `"-1"`, "0 to 2147483647")
	proctor(t, "quorum", "list", "--height", "x").wantError(t, exitUnusable, "--height", `"x"`)
	proctor(t, "quorum", "list", "extra").wantError(t, exitUnusable, `"extra"`)
	above := serve(t, []api.Method{refuses("quorum listextended", api.NotFound("height 9 is not on our branch"))}, nil)
	proctor(t, "quorum", "list", "--height", "9", "--config", above).wantError(t, exitFailed, "height 9 is not on our branch")
}

func TestQuorumInfo(t *testing.T) {
	hash, key := hashOf(2), wire.OperatorKey{0xaa}
	q := node.QuorumInfo{
		Height: 600, Type: "llmq_test_platform", QuorumHash: hash, MinedBlock: hashOf(9), MinedHeight: 611, Size: 4, Threshold: 3, Valid: 3, PublicKey: wire.OperatorKey{0xbb},
		Members: []node.QuorumMember{
			{Name: "evo-1", ProTxHash: hashOf(11), OperatorKey: &key, Addresses: []string{"/ip4/203.0.113.7/tcp/1"}, Valid: true, Signer: true},
			{ProTxHash: hashOf(12), OperatorKey: &key, Valid: true},
			{Name: "evo-3", ProTxHash: hashOf(13)},
			{Name: "evo-4", ProTxHash: hashOf(14), OperatorKey: &key, Valid: true, Signer: true},
		},
	}
	var asked []string
	at := serve(t, []api.Method{asks("quorum info", q, &asked)}, nil)
	o := proctor(t, "quorum", "info", "106", hash.String(), "--config", at)
	o.wantOK(t)
	golden(t, "quorum-info.txt", o.stdout)
	var got node.QuorumInfo
	exactly(t, proctor(t, "quorum", "info", "llmq_test_platform", hash.String(), "--config", at, "--json"), &got)
	if !reflect.DeepEqual(got, q) {
		t.Errorf("JSON shows %+v, want %+v", got, q)
	}
	if want := []string{`["106","` + hash.String() + `"]`, `["llmq_test_platform","` + hash.String() + `"]`}; !slices.Equal(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}
	proctor(t, "quorum", "info", "106").wantError(t, exitUnusable, "2 arg", "1")
	proctor(t, "quorum", "info", "106", "ab").wantError(t, exitUnusable, "quorumhash", `"ab"`, "64 hex digits")
	proctor(t, "quorum", "info", "", zeros).wantError(t, exitUnusable, `type ""`)
	none := serve(t, []api.Method{refuses("quorum info", api.NotFound("quorum not found"))}, nil)
	proctor(t, "quorum", "info", "106", zeros, "--config", none).wantError(t, exitFailed, "quorum not found")
}

func TestQuorumDKGStatus(t *testing.T) {
	votes := []node.OurBadVote{{Name: "evo-3", ProTxHash: hashOf(13), Reason: engine.VoteFlagged}, {ProTxHash: hashOf(12), Reason: engine.VoteUnreachable}}
	status := node.DKGStatus{
		Height: 606,
		Sessions: []node.DKGSession{
			{Type: "llmq_test_platform", Status: node.SessionStatus{
				Type: "llmq_test_platform", QuorumHash: hashOf(2), QuorumHeight: 600, Phase: 4, PhaseName: "justify", Self: 0, Size: 3, BadVotes: votes,
				Members: []node.SessionMember{
					{Name: "evo-1", ProTxHash: hashOf(11), Contributions: 1, Complaints: 1, Fault: "none"},
					{ProTxHash: hashOf(12), Fault: "no-contribution"},
					{Name: "evo-3", ProTxHash: hashOf(13), Contributions: 2, BadVotes: 3, Accusers: 1, Fault: "two-contributions"},
				},
			}},
			{Type: "llmq_devnet", Status: node.SessionStatus{Type: "llmq_devnet", QuorumHash: hashOf(2), QuorumHeight: 600, Phase: 1, PhaseName: "initialized", Self: -1}},
		},
		Connections: []node.SessionConnections{},
		Minable:     []node.CommitmentInfo{{Version: 3, Type: 106, QuorumHash: hashOf(1), SignersCount: 3, ValidCount: 4}},
	}
	var asked []string
	at := serve(t, []api.Method{asks("quorum dkgstatus", status, &asked), says("quorum dkginfo", node.DKGInfo{Active: 2, Next: 18})}, nil)
	o := proctor(t, "quorum", "dkg-status", "--config", at)
	o.wantOK(t)
	golden(t, "quorum-dkg-status.txt", o.stdout)
	var got node.DKGStatus
	exactly(t, proctor(t, "quorum", "dkg-status", "--config", at, "--json"), &got)
	if !reflect.DeepEqual(got, status) {
		t.Errorf("JSON shows %+v\nwant %+v", got, status)
	}
	if want := []string{"[2]", "[2]"}; !slices.Equal(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}
	quiet := serve(t, []api.Method{says("quorum dkgstatus", node.DKGStatus{Height: 9}), says("quorum dkginfo", node.DKGInfo{})}, nil)
	if o := proctor(t, "quorum", "dkg-status", "--config", quiet); o.stdout != "height 9; no type of quorum runs on this network\n" {
		t.Errorf("of no quorums it says %q", o.stdout)
	}
	proctor(t, "quorum", "dkg-status", "extra").wantError(t, exitUnusable, `"extra"`)
	proctor(t, "quorum", "dkg-status", "--nonsense").wantError(t, exitUnusable, "--nonsense", "proctor quorum dkg-status --help")
	broken := serve(t, []api.Method{says("quorum dkgstatus", status), refuses("quorum dkginfo", api.Invalid("not now"))}, nil)
	proctor(t, "quorum", "dkg-status", "--config", broken).wantError(t, exitFailed, "not now")
}

func TestBanRequest(t *testing.T) {
	hash := hashOf(4)
	request := engine.BanRequest{ProTxHash: hash, Since: 614, Until: 734, Signed: []int32{612, 616}}
	taken := node.RequestResult{ProTxHash: hash, Accepted: true, Outcome: "accept", Reason: validation.Valid, Request: &request}
	var asked []string
	at := serve(t, []api.Method{asks("platformban request", taken, &asked)}, nil)
	o := proctor(t, "ban", "request", "evo-4", "--config", at)
	o.wantOK(t)
	golden(t, "ban-request.txt", o.stdout)
	var got node.RequestResult
	exactly(t, proctor(t, "ban", "request", hash.String(), "--withdraw", "--config", at, "--json"), &got)
	if !reflect.DeepEqual(got, taken) {
		t.Errorf("JSON shows %+v, want %+v", got, taken)
	}
	if want := []string{`["evo-4"]`, `["` + hash.String() + `","withdraw"]`}; !slices.Equal(asked, want) {
		t.Errorf("the node was asked %q, want %q", asked, want)
	}

	refused := node.RequestResult{ProTxHash: hash, Outcome: "ignore", Reason: validation.RequestNoMember, Detail: "this node has no share"}
	at = serve(t, []api.Method{says("platformban request", refused)}, nil)
	for _, args := range [][]string{{}, {"--withdraw"}, {"--json"}} {
		o := proctor(t, append([]string{"ban", "request", "evo-4", "--config", at}, args...)...)
		if o.code != exitFailed || o.stderr != "" || len(o.stdout) == 0 {
			t.Errorf("refused: exit code %d, want %d; stdout %q, stderr %q", o.code, exitFailed, o.stdout, o.stderr)
		}
	}
	proctor(t, "ban", "request").wantError(t, exitUnusable, "1 arg", "0")
	proctor(t, "ban", "request", "").wantError(t, exitUnusable, `""`, "name")
	proctor(t, "ban", "request", "evo-4", "evo-5").wantError(t, exitUnusable, "1 arg", "2")
	unknown := serve(t, []api.Method{refuses("platformban request", api.Invalid(`"evo-9" is neither`))}, nil)
	proctor(t, "ban", "request", "evo-9", "--config", unknown).wantError(t, exitFailed, `"evo-9" is neither`)
}
