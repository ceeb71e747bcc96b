package params

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/wire"
)

// rows is the table of spec/dash.md 3.1 as it is printed there: name, id,
// size, min, threshold, interval, phase, mining window, bad votes, active,
// connections, keys, recovery, rotated.
const rows = `
llmq_50_60 1 50 40 30 24 2 10-18 40 24 25 48 25 no
llmq_400_60 2 400 300 240 288 4 20-28 300 4 5 8 100 no
llmq_400_85 3 400 350 340 576 4 20-48 300 4 5 8 100 no
llmq_100_67 4 100 80 67 24 2 10-18 80 24 25 1440 50 no
llmq_60_75 5 60 50 45 288 2 42-50 48 32 64 64 25 yes
llmq_25_67 6 25 22 17 24 2 10-18 22 24 25 1440 12 no
llmq_test 100 3 2 2 24 2 10-18 2 2 3 4 3 no
llmq_devnet 101 12 7 6 24 2 10-18 7 4 5 8 6 no
llmq_test_v17 102 3 2 2 24 2 10-18 2 2 3 4 3 no
llmq_test_dip0024 103 4 4 3 24 2 12-20 2 2 4 4 3 yes
llmq_test_instantsend 104 3 2 2 24 2 10-18 2 2 3 4 3 no
llmq_devnet_dip0024 105 8 6 4 48 2 12-20 7 2 4 4 4 yes
llmq_test_platform 106 3 2 2 24 2 10-18 2 2 4 1440 3 no
llmq_devnet_platform 107 12 9 8 24 2 10-18 7 4 5 1440 6 no
`

func TestLLMQ_EveryRow(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(rows), "\n")
	if len(lines) != len(llmqs) {
		t.Errorf("the table has %d rows, want %d", len(llmqs), len(lines))
	}
	for _, line := range lines {
		var kind wire.LLMQType
		if _, err := fmt.Sscanf(line, "%s %d", new(string), &kind); err != nil {
			t.Fatal(err)
		}
		q, err := LLMQByType(kind)
		rotated := map[bool]string{true: "yes", false: "no"}[q.Rotated]
		got := fmt.Sprintf("%s %d %d %d %d %d %d %d-%d %d %d %d %d %d %s", q.Name, q.Type, q.Size, q.MinSize, q.Threshold, q.DKGInterval,
			q.DKGPhaseBlocks, q.MiningStart, q.MiningEnd, q.BadVotes, q.SigningActive, q.KeepOldConnections, q.KeepOldKeys, q.RecoveryMembers, rotated)
		if err != nil || got != line {
			t.Errorf("row %q, %v; want %q", got, err, line)
		}
	}
}

func TestUnknownNames_ListAllTheKnown(t *testing.T) {
	_, llmq := LLMQByType(0xff)
	_, network := NetworkByName("Devnet")
	_, profile := ProfileByName("spec ")
	for _, q := range llmqs {
		if want := fmt.Sprintf("%d (%s)", q.Type, q.Name); !strings.Contains(llmq.Error(), want) {
			t.Errorf("error %q does not name %s", llmq, want)
		}
	}
	for _, n := range networks {
		if !strings.Contains(network.Error(), n.Name) {
			t.Errorf("error %q does not name %s", network, n.Name)
		}
	}
	for _, p := range profiles {
		if !strings.Contains(profile.Error(), p.Name) {
			t.Errorf("error %q does not name %s", profile, p.Name)
		}
	}
	if _, err := NetworkByName(strings.Repeat("x", 10_000)); len(err.Error()) > 300 {
		t.Errorf("a name of 10000 characters makes an error of %d", len(err.Error()))
	}
}

// Source: DESIGN.md section 8.
func TestProfiles(t *testing.T) {
	for _, want := range []Profile{
		{Name: "spec", ReceivesRefused: true, PoSeNumerator: 2, PoSeDenominator: 3},
		{Name: "core", AnyMinedQuorum: true, ServiceUpdateClearsBan: true, PoSeNumerator: 66, PoSeDenominator: 100, PoSeCapped: true, KeepsCredit: true},
	} {
		if got, err := ProfileByName(want.Name); err != nil || got != want {
			t.Errorf("profile %+v, %v; want %+v", got, err, want)
		}
	}
}

// Source: spec/dash.md 3.2 for Dash's own networks.
func TestNetworks_TypesExistAndBlockTimes(t *testing.T) {
	for name, want := range map[string]time.Duration{
		"devnet": 2 * time.Minute, "regtest": 150 * time.Second, "dash-testnet": 150 * time.Second, "dash-mainnet": 150 * time.Second,
	} {
		n, err := NetworkByName(name)
		if err != nil || n.BlockTime != want {
			t.Errorf("%s has block time %s, %v; want %s", name, n.BlockTime, err, want)
		}
		if _, err := LLMQByType(n.PlatformType); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Source: DIP-0031, Validation.
func TestRules_OfTheBan(t *testing.T) {
	if BanWindow != 576 || BanHeightSlack != 5 || PointsSmall != 1 || PointsMedium != 10 || PointsBan != 100 {
		t.Errorf("window %d, slack %d, points %d, %d, %d; want 576, 5, 1, 10, 100", BanWindow, BanHeightSlack, PointsSmall, PointsMedium, PointsBan)
	}
}

// Every shape must let a quorum sign with a member down, never let two halves
// sign different things, and keep the rest of type 106.
func TestSmallPlatformQuorum_IsAMajority(t *testing.T) {
	plain, err := LLMQByType(TestPlatform)
	if err != nil {
		t.Fatal(err)
	}
	for evonodes := 4; evonodes < 40; evonodes++ {
		q, err := SmallPlatformQuorum(evonodes)
		if err != nil || q.Threshold >= q.Size || 2*q.Threshold <= q.Size || q.Size > evonodes || q.Size > 12 {
			t.Errorf("%d evonodes: %d:%d, %v", evonodes, q.Size, q.Threshold, err)
		}
		q.Size, q.MinSize, q.Threshold, q.BadVotes = plain.Size, plain.MinSize, plain.Threshold, plain.BadVotes
		if q != plain {
			t.Errorf("%d evonodes change more than the shape: %+v, want %+v", evonodes, q, plain)
		}
	}
	if again, _ := LLMQByType(TestPlatform); again != plain {
		t.Errorf("shaping a quorum changed the table: %+v", again)
	}
	if q, err := SmallPlatformQuorum(-1); err == nil {
		t.Errorf("-1 evonodes make a quorum of %d:%d", q.Size, q.Threshold)
	}
}

// Source: DESIGN.md section 7, spec/gossip.md 1.6.
func TestRules_OfPeers(t *testing.T) {
	if BanDuration != 24*time.Hour || PointDecay != 10*time.Minute || HoldSlots != 2 || SyncedWithin != 3 || SyncedPeers != 3 {
		t.Errorf("a ban of %s, a point in %s, a hold of %d slots, synced within %d slots or by %d peers; want 24h, 10m, 2, 3, 3",
			BanDuration, PointDecay, HoldSlots, SyncedWithin, SyncedPeers)
	}
	// A view that is not synced is not settled either, and what self-doubt
	// takes back must still be remembered one by one.
	if FreshSlots > SyncedWithin {
		t.Errorf("a tip %d slots old is fresh and yet not synced", FreshSlots)
	}
	if DoubtPeers < 2 || DoubtWindow > DoubtTime {
		t.Errorf("doubt by %d peers within %s, for %s: one peer must not suffice, nor the same charges cause it twice", DoubtPeers, DoubtWindow, DoubtTime)
	}
}
