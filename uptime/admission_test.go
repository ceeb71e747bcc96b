package uptime

import (
	"crypto/ed25519"
	"math"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

var network = wire.DoubleHash([]byte("network"))

// fakeView knows node 1 and blocks 0..tip+aheadKnown.
type fakeView struct {
	key        wire.ServiceKey
	public     bool
	tip, known int32
	book       Book
}

func (v fakeView) Network() wire.Hash { return network }
func (v fakeView) Public() bool       { return v.public }
func (v fakeView) Tip() int32         { return v.tip }
func (v fakeView) ServiceKey(proTx wire.Hash) (wire.ServiceKey, bool) {
	return v.key, proTx == nodeID(1)
}
func (v fakeView) Known(height int32, hash wire.Hash) bool {
	return height >= 0 && height <= v.known && hash == blockHash(height)
}
func (v fakeView) Last(proTx wire.Hash) (Record, bool) { return v.book.Get(proTx) }

func blockHash(height int32) wire.Hash {
	return wire.DoubleHash([]byte("block"), []byte{byte(height), byte(height >> 8)})
}

func secret() ed25519.PrivateKey {
	seed := nodeID(1)
	return ed25519.NewKeyFromSeed(seed[:])
}

func seal(message []byte) wire.ServiceSignature {
	return wire.ServiceSignature(ed25519.Sign(secret(), message))
}

func verify(key wire.ServiceKey, message []byte, s wire.ServiceSignature) bool {
	return ed25519.Verify(key[:], message, s[:])
}

func view() fakeView {
	last := Compose(network, Own{nodeID(1), "x", []string{at("1.2.3.4")}}, 7, Anchor{80, blockHash(80)}, seal)
	return fakeView{key: wire.ServiceKey(secret().Public().(ed25519.PublicKey)), public: true, tip: 100, known: 103, book: Book{}.With(last, 84)}
}

// Source: DESIGN.md section 6, spec/oxen.md 5.3 and 10.4 number 9.
func TestAdmit(t *testing.T) {
	type change = func(p *wire.UptimeProof, v *fakeView)
	anchor := func(h int32) change {
		return func(p *wire.UptimeProof, _ *fakeView) { p.AnchorHeight, p.AnchorHash = h, blockHash(h) }
	}
	addresses := func(public bool, a ...string) change {
		return func(p *wire.UptimeProof, v *fakeView) { p.Addresses, v.public = a, public }
	}
	heard := func(h int32) change {
		return func(_ *wire.UptimeProof, v *fakeView) {
			r, _ := v.book.Get(nodeID(1))
			r.Heard = h
			v.book = v.book.Put(r)
		}
	}
	for _, tc := range []struct {
		name   string
		change change
		want   Outcome
	}{
		{"as it should be", func(*wire.UptimeProof, *fakeView) {}, Admitted},
		{"first of a node", func(_ *wire.UptimeProof, v *fakeView) { v.book = Book{} }, Admitted},
		{"first of a node, sequence 0", func(p *wire.UptimeProof, v *fakeView) { p.Sequence, v.book = 0, Book{} }, Admitted},
		{"not registered", func(p *wire.UptimeProof, _ *fakeView) { p.ProTxHash = nodeID(2) }, UnknownNode},
		{"same sequence", func(p *wire.UptimeProof, _ *fakeView) { p.Sequence = 7 }, OldSequence},
		{"lower sequence", func(p *wire.UptimeProof, _ *fakeView) { p.Sequence = 6 }, OldSequence},
		{"highest sequence", func(p *wire.UptimeProof, _ *fakeView) { p.Sequence = math.MaxUint64 }, Admitted},
		{"a name", addresses(true, "/dns4/node.example/udp/1"), Admitted},
		{"private on a public network", addresses(true, at("10.0.0.1")), HiddenAddress},
		{"private as the second", addresses(true, at("1.2.3.4"), at("127.0.0.1")), HiddenAddress},
		{"private on a devnet", addresses(false, at("10.0.0.1")), Admitted},
		{"unspecified on a public network", addresses(true, at("0.0.0.0")), HiddenAddress},
		{"no host on a devnet", addresses(false, "/unix/socket"), BadAddress},
		{"no address", addresses(false), BadAddress},
		{"newest anchor known", anchor(103), Admitted},
		{"anchor unknown, at the end of the slack", anchor(105), AnchorUnknown},
		{"anchor beyond the slack", anchor(106), AnchorTooNew},
		{"anchor far beyond", anchor(math.MaxInt32), AnchorTooNew},
		{"oldest anchor", anchor(85), Admitted},
		{"one block too old", anchor(84), AnchorTooOld},
		{"negative, no wrap", anchor(math.MinInt32), AnchorTooOld},
		{"anchor of another chain", func(p *wire.UptimeProof, _ *fakeView) { p.AnchorHash[0] ^= 1 }, AnchorUnknown},
		{"first block after the spacing", heard(84), Admitted},
		{"last block of the spacing", heard(85), TooEarly},
		{"heard above our tip", heard(math.MaxInt32), TooEarly},
		{"another key", func(_ *wire.UptimeProof, v *fakeView) { v.key[0] ^= 1 }, BadSeal},
	} {
		p := Compose(network, Own{nodeID(1), "x", []string{at("1.2.3.4")}}, 8, Anchor{98, blockHash(98)}, seal)
		v := view()
		tc.change(&p, &v)
		p.Seal = seal(p.SealedBytes(network))
		calls := 0
		got := Admit(p, rules(t), v, func(k wire.ServiceKey, m []byte, s wire.ServiceSignature) bool {
			calls++
			return verify(k, m, s)
		})
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if want := map[bool]int{true: 1}[tc.want == Admitted || tc.want == BadSeal]; calls != want {
			t.Errorf("%s: %d seals verified, want %d", tc.name, calls, want)
		}
		if cheap := Check(p, rules(t), v); cheap != tc.want && tc.want != BadSeal {
			t.Errorf("%s: check gives %s, want %s", tc.name, cheap, tc.want)
		}
	}
}

// When several things are wrong, the first step decides.
func TestAdmit_InOrder(t *testing.T) {
	p := wire.UptimeProof{ProTxHash: nodeID(2), Sequence: 1, Addresses: []string{"x"}, AnchorHeight: 200}
	v := view()
	r, _ := v.book.Get(nodeID(1))
	r.Heard = 99
	v.book = v.book.Put(r)
	for _, step := range []struct {
		want Outcome
		mend func()
	}{
		{UnknownNode, func() { p.ProTxHash = nodeID(1) }},
		{OldSequence, func() { p.Sequence = 8 }},
		{BadAddress, func() { p.Addresses[0] = at("10.1.1.1") }},
		{HiddenAddress, func() { p.Addresses[0] = at("1.1.1.1") }},
		{AnchorTooNew, func() { p.AnchorHeight = 1 }},
		{AnchorTooOld, func() { p.AnchorHeight = 90 }},
		{AnchorUnknown, func() { p.AnchorHash = blockHash(90) }},
		{TooEarly, func() { v.tip = 101; r.Heard = 85; v.book = v.book.Put(r) }},
		{BadSeal, func() { p.Seal = seal(p.SealedBytes(network)) }},
		{Admitted, func() {}},
	} {
		if got := Admit(p, rules(t), v, verify); got != step.want {
			t.Errorf("outcome %s, want %s", got, step.want)
		}
		step.mend()
	}
}

func TestAdmit_TheSealBindsTheNetwork(t *testing.T) {
	p := Compose(nodeID(9), Own{nodeID(1), "x", []string{at("1.2.3.4")}}, 8, Anchor{98, blockHash(98)}, seal)
	if got := Admit(p, rules(t), view(), verify); got != BadSeal {
		t.Errorf("a proof of another network: %s, want bad-seal", got)
	}
}

func TestOutcomes_HaveNames(t *testing.T) {
	seen := map[string]bool{}
	for i, o := range Outcomes() {
		if int(o) != i+1 || seen[o.String()] || o.String() == "outcome-1" {
			t.Errorf("outcome %d is %q", i+1, o)
		}
		seen[o.String()] = true
	}
	for _, o := range []Outcome{Admitted, BadSeal, BadAddress, HiddenAddress} {
		if o.OursMayDiffer() {
			t.Errorf("%s depends on our view", o)
		}
	}
	if !AnchorUnknown.OursMayDiffer() {
		t.Error("an unknown anchor would be charged")
	}
}

func TestCompose_IsWhatPeersAdmit(t *testing.T) {
	p := Compose(network, Own{nodeID(1), "proctor/1", []string{at("1.2.3.4")}}, 8, Anchor{98, blockHash(98)}, seal)
	back, err := wire.ParseUptimeProof(p.Bytes())
	if err != nil || back.Digest() != p.Digest() || back.Protocol != wire.ProtocolVersion {
		t.Fatalf("own proof decodes to %+v, %v", back, err)
	}
	if got := Admit(back, rules(t), view(), verify); got != Admitted {
		t.Errorf("own proof: %s", got)
	}
}

func TestDue(t *testing.T) {
	for _, tc := range []struct {
		sent, tip int32
		want      bool
	}{
		{NoHeight, 0, true}, {0, 0, false}, {100, 129, false}, {100, 130, true}, {100, 99, false}, {0, math.MaxInt32, true}, {math.MaxInt32, 0, false},
	} {
		if got := Due(tc.sent, tc.tip, rules(t)); got != tc.want {
			t.Errorf("sent at %d, tip %d: due is %t, want %t", tc.sent, tc.tip, got, tc.want)
		}
	}
}

// A node that keeps to its schedule is not refused for spacing, does not go
// stale when one proof is lost, and peers a block ahead or behind know its
// anchor; by either profile on every network.
func TestSchedule_HoldsWithEveryRule(t *testing.T) {
	for _, n := range []string{"devnet", "regtest", "dash-testnet", "dash-mainnet"} {
		for _, p := range []string{"spec", "core"} {
			net, err := params.NetworkByName(n)
			if err != nil {
				t.Fatal(err)
			}
			profile, err := params.ProfileByName(p)
			if err != nil {
				t.Fatal(err)
			}
			r := net.Service(profile)
			if r.ProofEvery <= r.ProofSpacing || 2*r.ProofEvery > r.ProofValidity {
				t.Errorf("%s %s: a proof each %d blocks, spacing %d, validity %d", n, p, r.ProofEvery, r.ProofSpacing, r.ProofValidity)
			}
			h := AnchorHeight(100, r)
			own := Compose(network, Own{nodeID(1), "x", []string{at("1.2.3.4")}}, 8, Anchor{h, blockHash(h)}, seal)
			for tip := int32(99); tip <= 101; tip++ {
				v := view()
				v.tip, v.known, v.book = tip, tip, Book{}
				if o := Admit(own, r, v, verify); o != Admitted {
					t.Errorf("%s %s: a proof made at tip 100 with anchor %d is %s at tip %d", n, p, h, o, tip)
				}
			}
		}
	}
	if h := AnchorHeight(1, rules(t)); h != 0 {
		t.Errorf("anchor at tip 1 is %d, want genesis", h)
	}
}
