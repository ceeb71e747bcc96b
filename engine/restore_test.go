package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func TestNew_RefusesAConfigurationThatCannotWork(t *testing.T) {
	n := testNetwork("spec")
	badKey := *n
	badKey.genesis.Nodes = slices.Clone(n.genesis.Nodes)
	badKey.genesis.Nodes[bob].OperatorKey[5] ^= 1
	stranger, half, wrongKey := n.configOf(alice), n.configOf(alice), n.configOf(alice)
	stranger.ProTxHash = proTx(nodes)
	half.ServiceKey = nil
	wrongKey.ServiceKey = n.service[bob]
	for name, c := range map[string]struct {
		config Config
		is     error
		text   string
	}{
		"operator key that is none": {badKey.configOf(-1), chain.ErrGenesis, proTx(bob).String()},
		"no service key":            {half, nil, "needs both"},
		"another service key":       {wrongKey, nil, n.genesis.Nodes[alice].ServiceKey.String()},
	} {
		_, _, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.text) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.text)
		}
	}
	// It observes until somebody registers it.
	if _, _, err := New(stranger); err != nil {
		t.Errorf("node that is not registered yet: %v", err)
	}
}

const (
	livedNodes = 8
	livedTip   = 14
)

// lived returns the records of an engine that has seen something of every
// kind, and that engine.
func lived(t testing.TB) (records, rig) {
	t.Helper()
	n := networkOf("core", livedNodes)
	e, out, err := n.start(n.configOf(alice))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(out.Writes)
	r := rig{Engine: e, network: n, t: t}
	a := n.author()
	inputs := []Input{
		Tick{n.genesis.SlotStart(1)},
		Block{"p", a.next(1)},
		Block{"p", a.next(2, n.update(bob, 1, "/ip4/1.2.3.4/tcp/1"), n.exit(livedNodes-1, 1))},
	}
	draw := a.draw()
	for slot := uint64(3); slot <= livedTip; slot++ {
		inputs = append(inputs, Tick{n.genesis.SlotStart(slot)}, Block{"p", a.next(slot)})
	}
	ballot := wire.Ballot{Height: draw.Height, BlockHash: draw.Hash, ProTxHash: proTx(cleo), Answer: wire.FailsUptime}
	passes := ballot
	passes.Answer = wire.Passes
	inputs = append(inputs,
		n.proof(bob, 7, a.tip),
		Vote{"p", n.vote(bob, ballot)},
		Vote{"p", n.vote(bob, passes)},
		n.unsignedBan("p", alice, 2),
		n.unsignedBan("p", bob, 3),
		Judged{"q", medium, wire.Hash{1}},
		Judged{"r", large, wire.Hash{2}},
		n.unsignedBan("p", bob, 1), // stale: what the check of its signature found is remembered
		Reached{"p", []string{"/ip4/1.2.3.4/udp/1/quic-v1"}},
		Farewell{Peer: "q", Code: 3, Reason: validation.Signature, Until: t0.Add(time.Hour)},
	)
	for _, in := range inputs {
		_, out := r.feed(in)
		stored.apply(out.Writes)
	}
	for _, k := range Kinds()[:KindDKG-1] {
		if len(stored[k]) == 0 {
			t.Fatalf("no record of kind %d", k)
		}
	}
	return stored, r
}

func TestRestore_BringsEverythingBack(t *testing.T) {
	stored, r := lived(t)
	e, out, err := Restore(r.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	sameKnowledge(t, e, r.Engine)
	ban, _ := r.Snapshot().PeerBan("r")
	if len(out.Writes) > 0 || len(out.Bans) != 1 || !reflect.DeepEqual(out.Bans[0], ban) {
		t.Errorf("effects %+v, want r's ban and nothing to store", out)
	}
	if len(out.Known) != 1 || out.Known[0].Peer != "p" {
		t.Errorf("contacts %+v, want p", out.Known)
	}
}

func TestRestore_NothingStoredIsANewEngine(t *testing.T) {
	n := testNetwork("spec")
	_, want, err := New(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	e, got, err := Restore(n.configOf(-1), make(records))
	if err != nil || !reflect.DeepEqual(got, want) || e.Snapshot().TipHeight() != 0 {
		t.Errorf("effects %+v, %v; want those of New", got, err)
	}
	stored := make(records)
	stored.apply(got.Writes)
	if _, out, err := Restore(n.configOf(-1), stored); err != nil || len(out.Writes) > 0 {
		t.Errorf("restored right after the first batch: %+v, %v", out, err)
	}
}

func TestRestore_OtherNetwork(t *testing.T) {
	stored, r := lived(t)
	other := testNetwork("spec")
	_, _, err := Restore(other.configOf(-1), stored)
	if !errors.Is(err, ErrOtherNetwork) {
		t.Fatalf("got %v, want %v", err, ErrOtherNetwork)
	}
	for _, hash := range []wire.Hash{r.genesis.Hash(), other.genesis.Hash()} {
		if !strings.Contains(err.Error(), hash.String()) {
			t.Errorf("error %q does not name %s", err, hash)
		}
	}
}

func TestRestore_RefusesContradictions(t *testing.T) {
	stored, r := lived(t)
	key := proTx(bob)
	flip := func(kind Kind, k string, at int) func(records) {
		return func(r records) {
			b := bytes.Clone(r[kind][k])
			b[at] ^= 1
			r[kind][k] = b
		}
	}
	remove := func(kind Kind, k string) func(records) { return func(r records) { delete(r[kind], k) } }
	breaks := map[string]func(records){
		"changed key of a node":     flip(KindNode, string(key[:]), 40),
		"changed address of a node": flip(KindNode, string(key[:]), 182),
		"missing node":              remove(KindNode, string(key[:])),
		"missing last block":        remove(KindBlock, string(heightKey(livedTip))),
		"missing block below it":    remove(KindBlock, string(heightKey(2))),
		"missing first block":       remove(KindBlock, string(heightKey(1))),
		"last block of another branch": func(r records) {
			other := networkOf("core", livedNodes).author()
			other.blocks(livedTip - 1)
			r[KindBlock][string(heightKey(livedTip))] = other.next(livedTip + 2).Bytes()
		},
		"a block too many": func(r records) {
			r[KindBlock][string(heightKey(livedTip+1))] = r[KindBlock][string(heightKey(livedTip))]
		},
		"missing meta":              remove(KindMeta, ""),
		"tip's height":              flip(KindMeta, "", 35),
		"tip's height below 0":      flip(KindMeta, "", 32),
		"tip's slot":                flip(KindMeta, "", 43),
		"tip's hash":                flip(KindMeta, "", 50),
		"root":                      flip(KindMeta, "", 80),
		"flag under a short key":    func(r records) { r[KindFlag]["short"] = slices.Collect(maps.Values(r[KindFlag]))[0] },
		"refusal under a short key": func(r records) { r[KindRefusal]["short"] = slices.Collect(maps.Values(r[KindRefusal]))[0] },
		"peer ban for a reason nobody knows": func(r records) {
			r[KindPeerBan]["x"] = append(bytes.Clone(r[KindPeerBan]["r"]), '!')
		},
	}
	for _, kind := range Kinds()[:KindDKG-1] {
		k := slices.Min(slices.Collect(maps.Keys(stored[kind])))
		cut := func(b []byte) []byte { return b[:len(b)-1] }
		breaks[fmt.Sprintf("kind %d cut short", kind)] = func(r records) { r[kind][k] = cut(r[kind][k]) }
		breaks[fmt.Sprintf("kind %d emptied", kind)] = func(r records) { r[kind][k] = []byte{} }
		breaks[fmt.Sprintf("kind %d too long", kind)] = func(r records) { r[kind][k] = append(bytes.Clone(r[kind][k]), 0) }
	}
	for name, f := range breaks {
		t.Run(name, func(t *testing.T) {
			broken := stored.clone()
			f(broken)
			if _, _, err := Restore(r.configOf(-1), broken); !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v, want %v", err, ErrCorrupt)
			}
		})
	}
}

func TestRestore_TipAtTheGenesisIsChecked(t *testing.T) {
	n := testNetwork("spec")
	_, out, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(records)
	stored.apply(out.Writes)
	stored[KindMeta][""][50] ^= 1
	if _, _, err := Restore(n.configOf(-1), stored); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want %v", err, ErrCorrupt)
	}
}

// failing is a database that cannot read one kind.
type failing struct {
	records
	kind Kind
}

var errRead = errors.New("cannot read")

func (f failing) Get(kind Kind, key []byte) ([]byte, error) {
	if kind == f.kind {
		return nil, errRead
	}
	return f.records.Get(kind, key)
}

func (f failing) Walk(kind Kind, from []byte, do func(key, value []byte) error) error {
	if kind == f.kind {
		return errRead
	}
	return f.records.Walk(kind, from, do)
}

func TestRestore_PassesReadErrorsOn(t *testing.T) {
	stored, r := lived(t)
	for _, kind := range Kinds()[:KindDKG-1] {
		if _, _, err := Restore(r.configOf(-1), failing{stored, kind}); !errors.Is(err, errRead) {
			t.Errorf("kind %d: got %v, want %v", kind, err, errRead)
		}
	}
}

func TestRestore_ChecksKeysAgainstTheConfiguration(t *testing.T) {
	stored, r := lived(t)
	c := r.configOf(alice)
	c.ServiceKey = r.service[bob]
	if _, _, err := Restore(c, stored); err == nil {
		t.Error("restored with another node's service key")
	}
}

// Blocks older than those known by hash are not read.
func TestRestore_LongChain(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand blocks")
	}
	n := testNetwork("spec")
	e, out, err := n.start(n.configOf(-1))
	if err != nil {
		t.Fatal(err)
	}
	r, stored := rig{Engine: e, network: n, t: t}, make(records)
	stored.apply(out.Writes)
	a := n.author()
	first := a.next(1)
	for _, b := range append([]wire.Block{first}, a.blocks(chain.RecentBlocks+params.CertificateLast+3)...) {
		stored.apply(r.connect(b).Writes)
	}
	delete(stored[KindBlock], string(heightKey(1)))
	restored, _, err := Restore(n.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	sameKnowledge(t, restored, e)
	r.Engine = restored
	r.at(a.tip.Slot)
	r.want(Block{Block: a.blocks(1)[0]}, validation.Valid)
}

func TestRestore_KeepsABanUntilItsEnd(t *testing.T) {
	stored, r := lived(t)
	e, _, err := Restore(r.configOf(-1), stored)
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = e
	began := t0.Add(livedTip * time.Second)
	if _, out := r.feed(Tick{began.Add(params.BanDuration - time.Millisecond)}); len(out.Unbans) > 0 {
		t.Errorf("unbans %v, want none yet", out.Unbans)
	}
	if _, out := r.feed(Tick{began.Add(params.BanDuration + expireEvery)}); !slices.Equal(out.Unbans, []Peer{"r"}) {
		t.Errorf("unbans %v, want r", out.Unbans)
	}
}
