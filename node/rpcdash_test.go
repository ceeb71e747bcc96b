package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

func TestRPC_Chain(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks...)
	tip := int32(len(x.blocks))
	last := x.blocks[tip-1].Header

	var height int32
	if answer(t, n, &height, "getblockcount"); height != tip {
		t.Errorf("height is %d, want %d", height, tip)
	}
	var hash wire.Hash
	if answer(t, n, &hash, "getbestblockhash"); hash != last.Hash() {
		t.Errorf("best block is %s, want %s", hash, last.Hash())
	}
	for h, want := range map[int32]wire.Hash{0: x.Genesis.Hash(), 1: x.blocks[0].Header.Hash(), tip: last.Hash()} {
		if answer(t, n, &hash, "getblockhash", h); hash != want {
			t.Errorf("block %d is %s, want %s", h, hash, want)
		}
	}
	var final node.FinalBlock
	answer(t, n, &final, "getfinalblock")
	if final.Height < 1 || final.Height >= tip || final.Hash != x.blocks[final.Height-1].Header.Hash() {
		t.Errorf("the final block is %+v", final)
	}
	var info node.ChainInfo
	answer(t, n, &info, "getblockchaininfo")
	if info.Chain != "devnet" || info.Blocks != tip || info.Best != last.Hash() || info.Slot != last.Slot || info.Final != final.Height ||
		info.Time != x.Genesis.SlotStart(last.Slot).Unix() || info.Now < info.Slot || info.SlotMS != 1000 || info.Genesis != x.Genesis.Hash() || info.Profile != "spec" || info.Root.IsZero() {
		t.Errorf("chain info is %+v", info)
	}
	var sync node.SyncStatus
	answer(t, n, &sync, "mnsync status")
	if sync.IsSynced != n.Snapshot().Synced() || info.Behind == sync.IsBlockchainSynced {
		t.Errorf("sync status is %+v of a node that is synced %t", sync, n.Snapshot().Synced())
	}
	var network node.NetworkInfo
	answer(t, n, &network, "getnetworkinfo")
	if network.Protocol != wire.ProtocolVersion || network.Connections != 0 || len(network.LocalAddresses) == 0 || !strings.Contains(network.LocalAddresses[0], network.PeerID) {
		t.Errorf("network info is %+v", network)
	}
	var seconds int64
	if answer(t, n, &seconds, "uptime"); seconds < 0 || seconds > 3600 {
		t.Errorf("it runs for %d s", seconds)
	}
}

func TestRPC_ProTx(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks...)
	tip, silenced := int32(len(x.blocks)), x.certificate(t).block
	evonodes := 0
	for _, m := range x.Members {
		if m.Evo {
			evonodes++
		}
	}
	for _, c := range []struct {
		params []any
		want   int
	}{
		{nil, 10}, {[]any{"registered"}, 10}, {[]any{"valid"}, 9}, {[]any{"evo"}, evonodes}, {[]any{"valid", false}, 9}, {[]any{"valid", false, silenced - 1}, 10},
	} {
		var hashes []wire.Hash
		if answer(t, n, &hashes, "protx list", c.params...); len(hashes) != c.want {
			t.Errorf("list %v has %d nodes, want %d", c.params, len(hashes), c.want)
		}
	}
	var list []node.ProTx
	answer(t, n, &list, "protx list", "registered", true)
	for _, got := range list {
		i, _ := x.Named(got.Name)
		m := x.Members[i]
		if got.ProTxHash != m.ProTxHash || (got.Type == "Evo") != m.Evo || got.Confirmations != tip+1 ||
			got.State.PoSeBan != -1 || got.State.PoSeRevived != -1 || got.State.RegisteredHeight != 0 || got.State.OperatorKey != wire.OperatorKey(m.Operator.PublicKey().Bytes()) ||
			got.Meta.PlatformBanned || got.Meta.PlatformBanHeight != -1 {
			t.Errorf("%s: %+v", got.Name, got)
		}
	}
	var now, then, named node.ProTx
	answer(t, n, &now, "protx info", x.silent.ProTxHash.String())
	answer(t, n, &then, "protx info", x.silent.ProTxHash.String(), x.blocks[silenced-2].Header.Hash().String())
	answer(t, n, &named, "protx info", x.silent.Name)
	if now.State.Service.String() != "decommissioned" || now.State.Decommissioned != silenced || now.Confirmations != tip+1 || named.ProTxHash != now.ProTxHash {
		t.Errorf("at the tip: %+v", now)
	}
	if then.State.Service.String() != "active" || then.State.Decommissioned != -1 || then.Confirmations != silenced {
		t.Errorf("before block %d: %+v", silenced, then)
	}
}

func TestRPC_Masternode(t *testing.T) {
	x := theTested(t)
	n, _ := startNodeOf(t, x.Network, t.TempDir(), func(c *node.Config) {
		m := x.Members[9]
		c.Identity, c.ProTxHash, c.OperatorKey = m.Service, m.ProTxHash, &m.Operator
	})
	var status node.MasternodeStatus
	answer(t, n, &status, "masternode status")
	if status.State != "READY" || status.ProTxHash != x.silent.ProTxHash || status.DMN == nil || status.Type == "" || status.Service != status.DMN.Addresses.Core[0] {
		t.Errorf("at the genesis: %+v", status)
	}
	feed(t, n, x.blocks...)
	answer(t, n, &status, "masternode status")
	if status.State != "DECOMMISSIONED" || status.DMN.Service.String() != "decommissioned" || status.Status == "" {
		t.Errorf("at the tip: %+v", status)
	}
	var count node.MasternodeCount
	answer(t, n, &count, "masternode count")
	regular, evo := count.Detailed.Regular, count.Detailed.Evo
	if count.Total != 10 || count.Enabled != 9 || regular.Total != 4 || regular.Total+evo.Total != 10 || regular.Enabled+evo.Enabled != 9 {
		t.Errorf("count is %+v", count)
	}
	for filter, want := range map[string]int{"": 10, "ENABLED": 9, "DECOMMISSIONED": 1, x.silent.ProTxHash.String(): 1, x.silent.Name: 1, "nobody": 0} {
		var list map[string]node.ListedMasternode
		answer(t, n, &list, "masternodelist", "json", filter)
		for hash, entry := range list {
			if hash != entry.ProTxHash.String() {
				t.Errorf("%s stands under %s", entry.ProTxHash, hash)
			}
		}
		if len(list) != want {
			t.Errorf("%d nodes match %q, want %d", len(list), filter, want)
		}
	}

	unknown, _ := startNodeOf(t, x.Network, t.TempDir(), func(c *node.Config) { c.ProTxHash = wire.Hash{9} })
	if answer(t, unknown, &status, "masternode status"); status.State != "WAITING_FOR_PROTX" || status.DMN != nil {
		t.Errorf("before it is registered: %+v", status)
	}
	if got, err := x.observer(t).Call(t.Context(), "masternode status"); err == nil || !strings.Contains(err.Error(), "protx_hash") {
		t.Errorf("an observer: %+v, %v", got, err)
	}
}

// A wrong call says what is wrong, and with which code of Dash's or JSON-RPC's.
func TestRPC_WrongParameters(t *testing.T) {
	x := theTested(t)
	n := x.observer(t)
	feed(t, n, x.blocks[:3]...)
	nobody := wire.Hash{1}.String()
	for _, c := range []struct {
		method string
		params []any
		code   int
		want   string
	}{
		{"getblockhash", nil, api.CodeParams, "0 parameters, want 1"},
		{"getblockhash", []any{"1"}, api.CodeParams, "must be a whole number"},
		{"getblockhash", []any{4}, api.CodeNotFound, "Block height out of range: 4 is not in 0 to 3"},
		{"getblockhash", []any{-1}, api.CodeNotFound, "Block height out of range"},
		{"protx list", []any{"wallet"}, api.CodeParams, `"wallet" is unknown; known: registered, valid, evo`},
		{"protx list", []any{"valid", "yes"}, api.CodeParams, "must be true or false"},
		{"protx list", []any{"valid", false, 4}, api.CodeNotFound, "it is from 0 to 3"},
		{"protx list", []any{"valid", false, 1, 1}, api.CodeParams, "4 parameters, want 0 to 3"},
		{"protx info", nil, api.CodeParams, "0 parameters, want 1 to 2"},
		{"protx info", []any{nobody}, api.CodeNotFound, nobody + " not found"},
		{"protx info", []any{"evo-77"}, api.CodeParams, "neither 64 hex digits nor the name"},
		{"protx info", []any{x.silent.Name, nobody}, api.CodeNotFound, "not among those of our branch from height 0 to 3"},
		{"protx info", []any{x.silent.Name, 3}, api.CodeParams, "must be a string"},
		{"masternodelist", []any{"full"}, api.CodeParams, `"full" is unknown; known: json`},
		{"masternodelist", []any{1}, api.CodeParams, "must be a string"},
		{"masternodelist", []any{"json", 1}, api.CodeParams, "must be a string"},
		{"masternodelist", []any{"json", "a", "b"}, api.CodeParams, "3 parameters"},
	} {
		result, err := n.Call(t.Context(), c.method, c.params...)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s %v: %+v, error %v; want %d and %q", c.method, c.params, result, err, c.code, c.want)
		}
	}
}

// A loop that stands still is not alive, and nobody relies on it.
func TestPulse(t *testing.T) {
	begun := time.Unix(1000, 0)
	for _, c := range []struct {
		name  string
		beats []time.Duration
		at    time.Duration
		want  bool // a fault
	}{
		{"not begun", nil, time.Hour, false},
		{"just turned", []time.Duration{0}, 0, false},
		{"as long as may be", []time.Duration{0}, node.MaxPause, false},
		{"too long", []time.Duration{0}, node.MaxPause + 1, true},
		{"turned again", []time.Duration{0, node.MaxPause + 1}, node.MaxPause + 2, false},
	} {
		faults := node.PulseFaults(begun, c.beats, c.at)
		if (len(faults) > 0) != c.want || c.want && !strings.Contains(faults[0], "data_dir") {
			t.Errorf("%s: faults %q, want any %t", c.name, faults, c.want)
		}
	}
}
