package chain

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/proctornet/proctor/wire"
)

func TestParseGenesis_LLMQs(t *testing.T) {
	notRotated := []GenesisLLMQ{{Type: 1}, {Type: 2}, {Type: 3}, {Type: 4}, {Type: 6}, {Type: 100}, {Type: 101}, {Type: 102}, {Type: 104}, {Type: 106}, {Type: 107}}
	for _, c := range []struct {
		name, network string
		llmqs         []GenesisLLMQ
		want          string
	}{
		{"none", "devnet", nil, ""},
		{"of every type that is not rotated", "devnet", notRotated, ""},
		{"the same on the main network", "dash-mainnet", notRotated, ""},
		{"in a shape of its own", "devnet", []GenesisLLMQ{{106, 4, 3}}, ""},
		{"the same on another test network", "regtest", []GenesisLLMQ{{106, 4, 3}}, ""},
		{"in the smallest shape", "devnet", []GenesisLLMQ{{106, 2, 2}}, ""},
		{"in the largest shape", "devnet", []GenesisLLMQ{{106, wire.MaxQuorumMembers, wire.MaxQuorumMembers}}, ""},
		{"unknown", "devnet", []GenesisLLMQ{{Type: 99}}, "llmq type 99 is unknown"},
		{"no type", "devnet", []GenesisLLMQ{{}}, "llmq type 0 is unknown"},
		{"unknown in a shape of its own", "devnet", []GenesisLLMQ{{99, 4, 3}}, "llmq type 99 is unknown"},
		{"rotated", "devnet", []GenesisLLMQ{{Type: 103}}, "type 103 (llmq_test_dip0024) is rotated"},
		{"rotated in a shape of its own", "devnet", []GenesisLLMQ{{105, 4, 3}}, "is rotated"},
		{"twice", "devnet", []GenesisLLMQ{{Type: 100}, {Type: 106}, {Type: 100}}, "type 100 stands twice"},
		{"twice in two shapes", "devnet", []GenesisLLMQ{{Type: 106}, {106, 4, 3}}, "type 106 stands twice"},
		{"more than a block has commitments", "devnet", make([]GenesisLLMQ, wire.MaxBlockCommitments+1), "17 llmqs, at most 16"},
		{"a shape where keys are not published", "dash-testnet", []GenesisLLMQ{{6, 25, 17}}, "which only test networks may"},
		{"a threshold where keys are not published", "dash-mainnet", []GenesisLLMQ{{4, 100, 80}}, "which only test networks may"},
		{"threshold at half", "devnet", []GenesisLLMQ{{106, 4, 2}}, "size 4 and threshold 2"},
		{"threshold below half", "devnet", []GenesisLLMQ{{106, 5, 2}}, "a threshold above half of it"},
		{"threshold above the size", "devnet", []GenesisLLMQ{{106, 4, 5}}, "size 4 and threshold 5"},
		{"size only", "devnet", []GenesisLLMQ{{106, 4, 0}}, "size 4 and threshold 0"},
		{"threshold only", "devnet", []GenesisLLMQ{{106, 0, 3}}, "size 0 and threshold 3"},
		{"one member", "devnet", []GenesisLLMQ{{106, 1, 1}}, "want a size of 2 to 400"},
		{"a negative size", "devnet", []GenesisLLMQ{{106, -4, -3}}, "size -4"},
		{"more members than a commitment has", "devnet", []GenesisLLMQ{{106, wire.MaxQuorumMembers + 1, 300}}, "size 401"},
	} {
		g, _ := two()
		g.Network, g.LLMQs = c.network, c.llmqs
		b, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		checkGenesis(t, c.name, b, c.want)
	}
	checkGenesis(t, "type of another size", file(t, `"nodes"`, `"llmqs":[{"type":256}],"nodes"`), "cannot unmarshal")
	checkGenesis(t, "unknown key", file(t, `"nodes"`, `"llmqs":[{"type":106,"min_size":2}],"nodes"`), `unknown field "min_size"`)
}

// What only tunes quorums is part of the network's identity too: members that
// see other sizes would not come to one commitment.
func TestGenesis_HashCoversLLMQs(t *testing.T) {
	g, _ := two()
	seen := make(map[wire.Hash]string)
	for name, change := range map[string]func(*Genesis){
		"none":           func(*Genesis) {},
		"a type":         func(g *Genesis) { g.LLMQs = []GenesisLLMQ{{Type: 106}} },
		"another type":   func(g *Genesis) { g.LLMQs = []GenesisLLMQ{{Type: 100}} },
		"a size":         func(g *Genesis) { g.LLMQs = []GenesisLLMQ{{106, 4, 3}} },
		"a threshold":    func(g *Genesis) { g.LLMQs = []GenesisLLMQ{{106, 4, 4}} },
		"no quorum PoSe": func(g *Genesis) { g.NoQuorumPoSe = true },
		"an endpoint":    func(g *Genesis) { g.Nodes[0].Platform = "tcp://a:1" },
	} {
		other, _ := two()
		change(&other)
		if with, twice := seen[other.Hash()]; twice {
			t.Errorf("%s and %s make one network", name, with)
		}
		seen[other.Hash()] = name
	}
	if b, _ := json.Marshal(g); strings.Contains(string(b), "llmqs") || strings.Contains(string(b), "no_quorum_pose") || strings.Contains(string(b), `"platform"`) {
		t.Errorf("a network without quorums speaks of them: %s", b)
	}
}
