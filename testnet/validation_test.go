package testnet

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

var profiles = []string{"spec", "core"}

// legacySignature is a G2 point in the encoding that Dash used before its
// basic scheme (spec/dash.md 11.2).
const legacySignature = "8945f4bca3e1789d5d671f4c9986dcb5a1a7580ce52c4dd0eb5ceb7723465438c8dc63cce17ca1232f68f4143ad47fdb04f87946395daa5c795ed13a7ec456bcbdd253fb90231be80a7ff97f116b7689e3bf3bc1c892c5dc6b609e58a8499db7"

// Source: DIP-0031, Validation, through real sockets: a peer says it, the
// node's own metrics tell the verdict and the points, and a second node tells
// whether the message was passed on.
func TestValidation_EveryStepOverTheNetwork(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			b := newBench(t, frozen(profile))
			b.start(0, 1)
			tip := b.Node(0).Snapshot().TipHeight()
			if tip != 619 {
				t.Fatalf("tip %d, want 619", tip)
			}
			contradictions := 0
			for _, c := range []struct {
				name string
				data func() []byte
				want validation.Reason
			}{
				{"tip+6", func() []byte { return b.ban(b.evo(1), tip+6).Bytes() }, validation.HeightFar},
				{"tip-582", func() []byte { return b.ban(b.evo(1), tip-582).Bytes() }, validation.HeightFar},
				{"lowest height there is", func() []byte { return b.ban(b.evo(1), -1<<31).Bytes() }, validation.HeightFar},
				{"regular node", func() []byte { return b.ban(b.Members[0].ProTxHash, tip).Bytes() }, validation.RegularNode},
				{"unknown quorum", func() []byte { return b.altered(func(m *wire.PlatformBan) { m.QuorumHash[0] ^= 1 }) }, validation.UnknownQuorum},
				{"tip+5", func() []byte { return b.ban(b.evo(1), tip+5).Bytes() }, validation.Ahead},
				{"tip+1", func() []byte { return b.ban(b.evo(1), tip+1).Bytes() }, validation.Ahead},
				{"tip-577", func() []byte { return b.ban(b.evo(1), tip-577).Bytes() }, validation.HeightNear},
				{"tip-581", func() []byte { return b.ban(b.evo(1), tip-581).Bytes() }, validation.HeightNear},
				{"oldest allowed, tip-576", func() []byte { return b.ban(b.evo(1), tip-576).Bytes() }, validation.Valid},
				{"newest allowed, tip", func() []byte { return b.ban(b.evo(1), tip).Bytes() }, validation.Valid},
				{"valid but older than the flag", func() []byte { return b.ban(b.evo(1), tip-1).Bytes() }, validation.Stale},
				{"unknown node", func() []byte { return b.ban(wire.Hash{1}, tip).Bytes() }, validation.UnknownNode},
				{"signature of another ban", func() []byte {
					return b.altered(func(m *wire.PlatformBan) { m.Signature = b.ban(b.evo(3), tip).Signature })
				}, validation.Signature},
				{"forged and older than the flag", func() []byte {
					m := b.ban(b.evo(1), tip-2)
					m.Signature = b.ban(b.evo(3), tip).Signature
					return m.Bytes()
				}, validation.Signature},
				{"signature in the legacy encoding", func() []byte {
					return b.altered(func(m *wire.PlatformBan) { hex.Decode(m.Signature[:], []byte(legacySignature)) })
				}, validation.SignatureEncoding},
				{"signature at infinity", func() []byte {
					return b.altered(func(m *wire.PlatformBan) { m.Signature = wire.Signature{0xc0} })
				}, validation.SignatureEncoding},
				{"signature of zeros", func() []byte {
					return b.altered(func(m *wire.PlatformBan) { m.Signature = wire.Signature{} })
				}, validation.SignatureEncoding},
				{"one byte short", func() []byte { return b.ban(b.evo(2), tip).Bytes()[:163] }, validation.Malformed},
				{"one byte long", func() []byte { return append(b.ban(b.evo(2), tip).Bytes(), 0) }, validation.Malformed},
			} {
				// Three peers that contradict its view make a node doubt itself.
				if verdict := c.want.Verdict(); c.want.Nature() == validation.OfView && verdict.Points >= params.PointsMedium {
					if contradictions++; contradictions%params.DoubtPeers == 0 {
						b = newBench(t, frozen(profile))
						b.start(0, 1)
						contradictions++
					}
				}
				data := c.data()
				passedOn := b.Value(1, "proctor_gossip_judged_total", "topic", "platformban")
				b.judges(data, c.want)
				if t.Failed() {
					t.Fatalf("case %q", c.name)
				}
				if c.want == validation.Valid {
					m, _ := wire.ParsePlatformBan(data)
					b.await(c.name+" to reach the second node", func() bool { return b.accepted(0, m) && b.accepted(1, m) })
				} else if b.Value(1, "proctor_gossip_judged_total", "topic", "platformban") != passedOn {
					t.Errorf("%s: passed on although judged %s", c.name, c.want)
				}
			}
			if b.flag(0, b.evo(2)) || b.flag(0, b.evo(3)) {
				t.Error("a refused ban set a flag")
			}
		})
	}
}

// altered is a ban of the second evonode at the tip after change.
func (b *bench) altered(change func(*wire.PlatformBan)) []byte {
	m := b.ban(b.evo(2), b.Node(0).Snapshot().TipHeight())
	change(&m)
	return m.Bytes()
}

// A quorum that was mined after the signed height did not exist then. Source:
// DIP-0031, Validation, step 5; Dash Core does not ask (spec/dash.md 1.3).
func TestValidation_QuorumMustExistAtSignedHeight(t *testing.T) {
	for _, c := range []struct {
		profile string
		since   int32 // blocks from the commitment to the signed height
		want    validation.Reason
	}{
		{"spec", -1, validation.UnknownQuorum},
		{"spec", 0, validation.Valid},
		{"core", -1, validation.Valid},
	} {
		b := newBenchOfQuorums(t, frozen(c.profile))
		b.start(0)
		q := b.Signers
		m, err := q.Ban(b.evo(1), q.Mined+c.since, q.Threshold)
		if err != nil {
			t.Fatal(err)
		}
		b.judges(m.Bytes(), c.want)
		if got := b.flag(0, b.evo(1)); got != (c.want == validation.Valid) {
			t.Errorf("%s, quorum mined at %d, signed at %d: flag %t, want verdict %s", c.profile, q.Mined, m.SignedHeight, got, c.want)
		}
	}
}

// A node that is behind the clock judges nothing and blames nobody. What it
// heard meanwhile is not received: it is judged once the node is synced, sent
// on when it is good, and charged to whoever sent it when it is not. Source:
// DIP-0031, Validation, step 1.
func TestValidation_NotSyncedIsJudgedLater(t *testing.T) {
	for _, profile := range profiles {
		o := moving(profile)
		o.Now = time.Now().Add(-time.Minute)
		b := newBench(t, o)
		b.start(5, 6) // not the author: the chain stays where it is
		n := b.Node(6)
		b.await("the first tick", func() bool { return !n.Snapshot().Synced() })
		good := b.ban(b.evo(1), n.Snapshot().TipHeight())
		forged := b.ban(b.evo(2), n.Snapshot().TipHeight())
		forged.Signature = good.Signature
		honest, liar := b.stranger(6), b.stranger(6)
		honest.Say(engine.TopicPlatformBan, good.Bytes())
		liar.Say(engine.TopicPlatformBan, forged.Bytes())
		b.await("both to be deferred", func() bool { return b.Value(6, "proctor_deferred_bans") == 2 })
		if n.Snapshot().Accepted.Len() != 0 || b.Value(6, "proctor_peer_points_total") != 0 {
			t.Error("an unsynced node accepted a ban or gave points")
		}

		b.start(0)
		b.await("the ban to be accepted and sent on", func() bool { return b.accepted(6, good) && b.accepted(5, good) && b.accepted(0, good) })
		b.await("the liar to be banned", func() bool { return n.Gossip().Banned(liar.ID()) })
		if n.Gossip().Banned(honest.ID()) || b.flag(6, forged.ProTxHash) {
			t.Error("the honest sender was banned, or the forgery accepted")
		}
	}
}

// A forged twin has the inventory hash of the genuine ban. Whether it comes
// first, last or at the same moment, the genuine one passes.
func TestForgedTwin_NeverStopsTheGenuine(t *testing.T) {
	b := newBench(t, frozen("spec"))
	b.start(0, 1)
	tip := b.Node(0).Snapshot().TipHeight()
	forgeries := int32(0)
	forge := func(m wire.PlatformBan) []byte { // never the same bytes twice: those would not be judged again
		forgeries++
		m.Signature = b.ban(b.evo(1), tip-500-forgeries).Signature
		return m.Bytes()
	}
	everywhere := func(m wire.PlatformBan) func() bool {
		return func() bool { return b.accepted(0, m) && b.accepted(1, m) }
	}
	height := tip - 400
	for _, evo := range []int{1, 2, 3} {
		height++
		m := b.ban(b.evo(evo), height)
		b.judges(forge(m), validation.Signature)
		b.judges(m.Bytes(), validation.Valid)
		b.await("the genuine ban after its forgery", everywhere(m))

		b.judges(forge(m), validation.ForgedTwin)
		if !b.flag(0, m.ProTxHash) {
			t.Fatal("a forgery after the genuine ban took the flag away")
		}
	}
	for range 10 {
		height++
		m := b.ban(b.evo(2), height)
		forged := forge(m)
		liar, honest := b.stranger(0, 1), b.stranger(0, 1)
		liar.Say(engine.TopicPlatformBan, forged)
		honest.Say(engine.TopicPlatformBan, m.Bytes())
		b.await("the genuine ban beside its forgery", everywhere(m))
		b.await("both nodes to ban the liar", func() bool {
			return b.Node(0).Gossip().Banned(liar.ID()) && b.Node(1).Gossip().Banned(liar.ID())
		})
		if b.Node(0).Gossip().Banned(honest.ID()) || b.Node(1).Gossip().Banned(honest.ID()) {
			t.Fatal("the honest sender was banned beside the liar")
		}
	}
}

// In a flood of forgeries some messages find every queue full. A genuine ban
// among them may come late, but it comes.
func TestForgedTwin_AFloodDelaysAtMost(t *testing.T) {
	const liars, each = 3, 300
	b := newBench(t, frozen("spec"))
	b.start(0, 1)
	tip := b.Node(0).Snapshot().TipHeight()
	wrong := b.ban(b.evo(1), 50).Signature
	var senders []*Stranger
	for range liars {
		senders = append(senders, b.stranger(0, 1))
	}
	honest := b.stranger(0, 1)
	genuine := []wire.PlatformBan{b.ban(b.evo(1), tip), b.ban(b.evo(2), tip), b.ban(b.evo(3), tip)}
	for i := range each {
		for n, s := range senders {
			s.Say(engine.TopicPlatformBan, wire.PlatformBan{
				ProTxHash: b.evo(n + 1), SignedHeight: tip - int32(i), QuorumHash: b.Signers.QuorumHash, Signature: wrong,
			}.Bytes())
		}
		if i == each/2 {
			for _, m := range genuine {
				honest.Say(engine.TopicPlatformBan, m.Bytes())
			}
		}
	}
	b.await("the genuine bans on both nodes", func() bool {
		for _, m := range genuine {
			if !b.accepted(0, m) || !b.accepted(1, m) {
				return false
			}
		}
		return true
	})
	for _, node := range []int{0, 1} {
		for n, s := range senders {
			b.await("the liars to be banned", func() bool { return b.Node(node).Gossip().Banned(s.ID()) })
			if n == 0 && b.Node(node).Gossip().Banned(honest.ID()) {
				t.Error("the honest sender was banned")
			}
		}
	}
}
