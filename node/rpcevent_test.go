package node_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/wire"
)

// callEvent calls a method of n as the API does.
func callEvent(t testing.TB, n *node.Node, method string, params ...any) (answer string, err error) {
	t.Helper()
	raw := make([]json.RawMessage, len(params))
	for i, p := range params {
		if raw[i], err = json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range n.EventMethods() {
		if m.Name != method {
			continue
		}
		result, err := m.Call(context.Background(), raw)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), nil
	}
	t.Fatalf("no method %q", method)
	return "", nil
}

// stillNetwork is one whose chain stands at the genesis.
func stillNetwork(t testing.TB) *testnet.Network {
	network, err := testnet.NewNetwork(testnet.Options{Nodes: 5, Regular: 1, Profile: "spec", Slot: time.Hour, Seed: 5, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func TestEvents_Submit(t *testing.T) {
	network := stillNetwork(t)
	n, _ := startNode(t, network, t.TempDir())
	first, second, third := network.Members[1], network.Members[2], network.Members[3]
	elsewhere := network.Announce(first, 0)
	elsewhere.Network = wire.Hash{7}
	forged := network.Announce(second, 0)
	forged.Signature = network.Announce(first, 0).Signature
	unsigned := network.Register(third, 500, 0)
	unsigned.ServiceKey[0] ^= 1 // other keys, whose holders have not signed
	unsigned.OperatorKey[9] ^= 1
	unknown := network.Announce(first, 0)
	unknown.ProTxHash = wire.Hash{9}
	for _, c := range []struct {
		name     string
		event    wire.Event
		accepted bool
		reason   string
		detail   string
	}{
		{"of another network", elsewhere, false, "event-network", network.Genesis.Hash().String()},
		{"out of sequence", network.Announce(first, 4), false, "event-sequence", "number is 5, the next is 1"},
		{"signed by another", forged, false, "event-signature", wire.OperatorKey(second.Operator.PublicKey().Bytes()).String()},
		{"not signed by the new keys", unsigned, false, "event-signature", "not all of staker, operator and service key"},
		{"of a node that is not registered", unknown, false, "event-refused", "node is not registered"},
		{"keys in use", network.Register(third, 500, 0), false, "event-refused", "key is zero or in use"},
		{"no stake is awaited", network.Contribute(third, first.ProTxHash, 500, 0), false, "event-refused", "node awaits no stake"},
		{"no stake in it", network.Exit(third, first.ProTxHash, 0), false, "event-refused", "staker has no stake in the node"},
		{"as it should be", network.Announce(first, 0), true, "valid", ""},
		{"a second time", network.Announce(first, 0), false, "duplicate", ""},
		{"by a staker", network.Exit(third, third.ProTxHash, 0), true, "valid", ""},
	} {
		answer, err := callEvent(t, n, "event submit", hex.EncodeToString(c.event.Bytes()))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got node.EventResult
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err)
		}
		info := node.DescribeEvent(c.event)
		if got.Accepted != c.accepted || string(got.Reason) != c.reason || !strings.Contains(got.Detail, c.detail) || (c.detail == "") != (got.Detail == "") {
			t.Errorf("%s: %s; want accepted %t, reason %s, detail %q", c.name, answer, c.accepted, c.reason, c.detail)
		}
		if got.Kind != info.Kind || got.Record != info.Record || got.Sequence != info.Sequence || got.ProTxHash != info.ProTxHash || got.Outcome == "" {
			t.Errorf("%s: %s does not show %+v", c.name, answer, info)
		}
	}

	answer, err := callEvent(t, n, "event list")
	if err != nil {
		t.Fatal(err)
	}
	var list []node.EventInfo
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatal(err)
	}
	want := []node.EventInfo{node.DescribeEvent(network.Exit(third, third.ProTxHash, 0)), node.DescribeEvent(network.Announce(first, 0))}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("waiting are %+v, want %+v", list, want)
	}

	staker := list[0].Record
	for _, c := range []struct{ whose, which, want string }{
		{"node", first.Name, `{"network":"` + network.Genesis.Hash().String() + `","record":"` + first.ProTxHash.String() + `","sequence":1,"waiting":"update-service"}`},
		{"node", second.ProTxHash.String(), `{"network":"` + network.Genesis.Hash().String() + `","record":"` + second.ProTxHash.String() + `","sequence":1}`},
		{"staker", staker, `{"network":"` + network.Genesis.Hash().String() + `","record":"` + staker + `","sequence":1,"waiting":"exit"}`},
	} {
		if got, err := callEvent(t, n, "event next", c.whose, c.which); err != nil || got != c.want {
			t.Errorf("event next %s %s: %s, %v; want %s", c.whose, c.which, got, err, c.want)
		}
	}
}

func TestEvents_WrongParameters(t *testing.T) {
	n, _ := startNode(t, stillNetwork(t), t.TempDir())
	if got, err := callEvent(t, n, "event list"); err != nil || got != "[]" {
		t.Errorf("waiting are %s, %v; want []", got, err)
	}
	zeros := strings.Repeat("0", 64)
	for _, c := range []struct {
		method string
		params []any
		words  string
	}{
		{"event submit", nil, "0 parameters, want 1"},
		{"event submit", []any{"00", "00"}, "2 parameters, want 1"},
		{"event submit", []any{7}, "event must be a string"},
		{"event submit", []any{"xy"}, "not hex"},
		{"event submit", []any{""}, "event"},
		{"event submit", []any{"00"}, "event"},
		{"event submit", []any{strings.Repeat("00", wire.MaxEventSize+1)}, fmt.Sprintf("at most %d", 2*wire.MaxEventSize)},
		{"event next", []any{"node"}, "1 parameters, want 2"},
		{"event next", []any{"peer", zeros}, `"peer" is neither node nor staker`},
		{"event next", []any{"node", zeros}, "is not registered"},
		{"event next", []any{"node", "nobody"}, `"nobody"`},
		{"event next", []any{"staker", zeros}, "granted no stake"},
		{"event next", []any{"staker", "00"}, "staker key has 2 characters"},
	} {
		if got, err := callEvent(t, n, c.method, c.params...); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s %.60v: %s, %v; want an error with %q", c.method, c.params, got, err, c.words)
		}
	}
}

func TestDescribeEvent_ShowsEveryField(t *testing.T) {
	network := stillNetwork(t)
	m := network.Members[1]
	revoke := network.Revoke(m, 2)
	revoke.Reason = 2
	for _, c := range []struct {
		event wire.Event
		keys  []string
	}{
		{network.Register(m, 500, 0), []string{`"evo":true`, `"operator_key":`, `"service_key":`, `"addresses":["/ip4/`, `"amount":500`}},
		{network.Contribute(m, wire.Hash{1}, 7, 0), []string{`"amount":7`, wire.Hash{1}.String()}},
		{network.Exit(m, wire.Hash{1}, 0), []string{wire.Hash{1}.String()}},
		{network.Announce(m, 0), []string{`"addresses":["/ip4/`, m.ProTxHash.String()}},
		{revoke, []string{`"reason":"compromised-keys"`, `"sequence":3`}},
	} {
		raw, err := json.Marshal(node.DescribeEvent(c.event))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range append(c.keys, `"kind":"`+c.event.Kind().String()+`"`, c.event.SignHash().String(), `"network":"`+network.Genesis.Hash().String()) {
			if !strings.Contains(string(raw), k) {
				t.Errorf("%s lacks %s: %s", c.event.Kind(), k, raw)
			}
		}
		back, err := node.ParseEventHex(node.DescribeEvent(c.event).Hex)
		if err != nil || !reflect.DeepEqual(back, c.event) {
			t.Errorf("%s comes back as %+v, %v", c.event.Kind(), back, err)
		}
	}
}
