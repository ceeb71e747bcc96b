package params

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 3.1, typed in a second time.
func TestLLMQ_Table(t *testing.T) {
	for _, want := range []LLMQ{
		{Type: 1, Name: "llmq_50_60", Size: 50, MinSize: 40, Threshold: 30, DKGInterval: 24, DKGPhaseBlocks: 2, MiningStart: 10, MiningEnd: 18, BadVotes: 40, SigningActive: 24, KeepOldConnections: 25, KeepOldKeys: 48, RecoveryMembers: 25},
		{Type: 4, Name: "llmq_100_67", Size: 100, MinSize: 80, Threshold: 67, DKGInterval: 24, DKGPhaseBlocks: 2, MiningStart: 10, MiningEnd: 18, BadVotes: 80, SigningActive: 24, KeepOldConnections: 25, KeepOldKeys: 1440, RecoveryMembers: 50},
		{Type: 5, Name: "llmq_60_75", Size: 60, MinSize: 50, Threshold: 45, DKGInterval: 288, DKGPhaseBlocks: 2, MiningStart: 42, MiningEnd: 50, BadVotes: 48, SigningActive: 32, KeepOldConnections: 64, KeepOldKeys: 64, RecoveryMembers: 25, Rotated: true},
		{Type: 6, Name: "llmq_25_67", Size: 25, MinSize: 22, Threshold: 17, DKGInterval: 24, DKGPhaseBlocks: 2, MiningStart: 10, MiningEnd: 18, BadVotes: 22, SigningActive: 24, KeepOldConnections: 25, KeepOldKeys: 1440, RecoveryMembers: 12},
		{Type: 106, Name: "llmq_test_platform", Size: 3, MinSize: 2, Threshold: 2, DKGInterval: 24, DKGPhaseBlocks: 2, MiningStart: 10, MiningEnd: 18, BadVotes: 2, SigningActive: 2, KeepOldConnections: 4, KeepOldKeys: 1440, RecoveryMembers: 3},
		{Type: 107, Name: "llmq_devnet_platform", Size: 12, MinSize: 9, Threshold: 8, DKGInterval: 24, DKGPhaseBlocks: 2, MiningStart: 10, MiningEnd: 18, BadVotes: 7, SigningActive: 4, KeepOldConnections: 5, KeepOldKeys: 1440, RecoveryMembers: 6},
	} {
		got, err := LLMQByType(want.Type)
		if err != nil || got != want {
			t.Errorf("type %d is %+v, %v; want %+v", want.Type, got, err, want)
		}
	}
	if len(llmqs) != 14 {
		t.Errorf("the table has %d rows, want 14", len(llmqs))
	}
	for _, q := range llmqs { // what holds for every row
		if q.Threshold > q.MinSize || q.MinSize > q.Size || q.MiningStart > q.MiningEnd {
			t.Errorf("row %+v contradicts itself", q)
		}
	}
}

func TestUnknownNames_ListTheKnown(t *testing.T) {
	_, llmq := LLMQByType(99)
	_, network := NetworkByName("mainnet")
	_, profile := ProfileByName("")
	for _, c := range []struct {
		err   error
		known []string
	}{
		{llmq, []string{"99", "4 (llmq_100_67)", "106 (llmq_test_platform)"}},
		{network, []string{`"mainnet"`, "devnet", "regtest", "dash-testnet", "dash-mainnet"}},
		{profile, []string{`""`, "spec", "core"}},
	} {
		for _, k := range c.known {
			if c.err == nil || !strings.Contains(c.err.Error(), k) {
				t.Errorf("error %v does not name %s", c.err, k)
			}
		}
	}
}

func TestNetworks_SignBansWithTheirPlatformType(t *testing.T) {
	for name, want := range map[string]wire.LLMQType{"devnet": 106, "regtest": 106, "dash-testnet": 6, "dash-mainnet": 4} {
		n, err := NetworkByName(name)
		if err != nil || n.PlatformType != want {
			t.Errorf("%s signs with type %d, %v; want %d", name, n.PlatformType, err, want)
		}
		if want := map[bool]int32{true: 15, false: 1}[name == "dash-mainnet"]; n.Confirmations != want { // spec/dash.md 2.2, step 3
			t.Errorf("%s confirms a node after %d blocks, want %d", name, n.Confirmations, want)
		}
		if n.TestKeys != (name == "devnet" || name == "regtest") {
			t.Errorf("%s allows published keys: %t", name, n.TestKeys)
		}
	}
}

// Source: DESIGN.md section 9.
func TestSmallPlatformQuorum(t *testing.T) {
	for evonodes, want := range map[int][2]int{4: {4, 3}, 5: {5, 3}, 6: {6, 4}, 11: {11, 6}, 12: {12, 7}, 13: {12, 7}, 500: {12, 7}} {
		q, err := SmallPlatformQuorum(evonodes)
		if err != nil || q.Size != want[0] || q.Threshold != want[1] || q.MinSize != want[1] || q.BadVotes != want[1] {
			t.Errorf("%d evonodes: %d:%d (min %d, bad %d), %v; want %d:%d", evonodes, q.Size, q.Threshold, q.MinSize, q.BadVotes, err, want[0], want[1])
		}
	}
	for evonodes := range 4 {
		if _, err := SmallPlatformQuorum(evonodes); err == nil {
			t.Errorf("%d evonodes make a quorum", evonodes)
		}
	}
}

// What a shape changes, and what makes none. Source: spec/dash.md 3.1,
// -llmqtestplatformparams.
func TestLLMQ_Shaped(t *testing.T) {
	q, err := LLMQByType(TestPlatform)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size, threshold int
		fits            bool
	}{
		{2, 2, true}, {3, 2, true}, {4, 3, true}, {5, 3, true}, {12, 7, true}, {12, 12, true}, {400, 201, true}, {400, 400, true},
		{0, 0, false}, {1, 1, false}, {2, 1, false}, {4, 2, false}, {5, 2, false}, {400, 200, false}, // two halves could sign two things
		{4, 5, false}, {4, 0, false}, {0, 3, false}, {-4, -3, false}, {4, -3, false}, {401, 300, false},
	} {
		want := q
		if c.fits {
			want.Size, want.MinSize, want.Threshold, want.BadVotes = c.size, c.threshold, c.threshold, c.threshold
		}
		got, err := q.Shaped(c.size, c.threshold)
		switch {
		case c.fits != (err == nil) || c.fits && got != want:
			t.Errorf("%d:%d is %+v, %v; want %+v, fits %t", c.size, c.threshold, got, err, want, c.fits)
		case !c.fits && !strings.Contains(err.Error(), fmt.Sprintf("type 106 of size %d and threshold %d", c.size, c.threshold)):
			t.Errorf("%d:%d: error %q does not name them", c.size, c.threshold, err)
		}
	}
}
