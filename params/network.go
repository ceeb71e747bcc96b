package params

import (
	"fmt"
	"strings"
	"time"

	"github.com/proctornet/proctor/wire"
)

// Quorum types with a name in the code.
const (
	MainnetPlatform wire.LLMQType = 4   // llmq_100_67
	TestnetPlatform wire.LLMQType = 6   // llmq_25_67
	TestPlatform    wire.LLMQType = 106 // llmq_test_platform
)

// Network is what distinguishes one kind of network from another.
type Network struct {
	Name         string
	PlatformType wire.LLMQType // quorum type that signs platform bans
	BlockTime    time.Duration // nominal: the rules' hours are counted in blocks of this length
	TestKeys     bool          // published keys are allowed

	// Confirmations is how many blocks after its registration a node gets its
	// place in the draws of quorums, so that nobody can choose that place by the
	// registration. Source: spec/dash.md 2.2 and 4.
	Confirmations int32
}

// dashBlockTime is the target spacing of every Dash network (spec/dash.md 3.2).
const dashBlockTime = 150 * time.Second

var networks = []Network{
	{Name: "devnet", PlatformType: TestPlatform, BlockTime: 120 * time.Second, TestKeys: true, Confirmations: 1},
	{Name: "regtest", PlatformType: TestPlatform, BlockTime: dashBlockTime, TestKeys: true, Confirmations: 1},
	{Name: "dash-testnet", PlatformType: TestnetPlatform, BlockTime: dashBlockTime, Confirmations: 1},
	{Name: "dash-mainnet", PlatformType: MainnetPlatform, BlockTime: dashBlockTime, Confirmations: 15},
}

// NetworkByName returns a network; the error of an unknown name lists the known.
func NetworkByName(name string) (Network, error) {
	known := make([]string, len(networks))
	for i, n := range networks {
		if n.Name == name {
			return n, nil
		}
		known[i] = n.Name
	}
	return Network{}, fmt.Errorf("network %.80q is unknown; known: %s", name, strings.Join(known, ", "))
}

// Profile says which of two readings of the rules is in force where the
// published documents and the running software differ (DESIGN.md section 8).
type Profile struct {
	Name string

	// AnyMinedQuorum accepts a ban from every platform quorum ever mined;
	// otherwise the quorum must have existed at the signed height and been
	// among the newest then.
	AnyMinedQuorum bool

	// ServiceUpdateClearsBan lets every update-service of a node clear its
	// PlatformPoSeBan flag; otherwise only one that revives it does.
	ServiceUpdateClearsBan bool

	// ReceivesRefused counts a refused ban as received, so that it is not
	// judged again when it is offered again; otherwise accepted ones only are.
	ReceivesRefused bool

	// PoSeNumerator over PoSeDenominator of the maximum is what one failed DKG
	// session costs.
	PoSeNumerator, PoSeDenominator int32

	// PoSeCapped keeps a score from rising above the maximum.
	PoSeCapped bool

	// KeepsCredit leaves a recommissioned node the credit it had, less twice
	// the blocks it was down; otherwise it has none.
	KeepsCredit bool
}

var profiles = []Profile{
	{Name: "spec", ReceivesRefused: true, PoSeNumerator: 2, PoSeDenominator: 3},
	{Name: "core", AnyMinedQuorum: true, ServiceUpdateClearsBan: true, PoSeNumerator: 66, PoSeDenominator: 100, PoSeCapped: true, KeepsCredit: true},
}

// ProfileByName returns a rule profile; the error of an unknown name lists
// the known.
func ProfileByName(name string) (Profile, error) {
	known := make([]string, len(profiles))
	for i, p := range profiles {
		if p.Name == name {
			return p, nil
		}
		known[i] = p.Name
	}
	return Profile{}, fmt.Errorf("rule profile %.80q is unknown; known: %s", name, strings.Join(known, ", "))
}
