package gossip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// byPrefix judges a message by the reason it starts with.
func byPrefix(_ context.Context, data []byte) validation.Verdict {
	reason, _, _ := strings.Cut(string(data), " ")
	return validation.Reason(reason).Verdict()
}

// judging runs f in the middle of every judgement.
func judging(f func()) func(context.Context, []byte) validation.Verdict {
	return func(context.Context, []byte) validation.Verdict {
		f()
		return validation.Valid.Verdict()
	}
}

// line runs three services that know only their neighbours, each in the
// other's mesh for every topic.
func line(t testing.TB, change ...func(*Config)) (a, b, c *node) {
	t.Helper()
	b = run(t, 2, change...)
	a, c = run(t, 1, append(change, bootstrap(b))...), run(t, 3, append(change, bootstrap(b))...)
	await(t, "the mesh", func() bool {
		for _, topic := range engine.Topics() {
			if a.MeshPeers(topic) != 1 || b.MeshPeers(topic) != 2 || c.MeshPeers(topic) != 1 {
				return false
			}
		}
		return true
	})
	return a, b, c
}

func (n *node) verdicts(t engine.Topic, r validation.Reason) float64 {
	n.t.Helper()
	return n.value("proctor_gossip_judged_total", "topic", t.String(), "outcome", r.Verdict().Outcome.String(), "reason", string(r))
}

func TestTopics_OnlyAcceptedIsForwarded(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, b, c := line(t, listen(tr.address))
			b.set(func(x *backend) { x.judge = byPrefix })
			for _, topic := range engine.Topics() {
				for _, m := range []string{"stale ignored", "signature rejected", "valid accepted"} {
					a.say(topic, m+" "+topic.String())
				}
				await(t, "the accepted message", func() bool { return c.hasJudged("valid accepted " + topic.String()) })
				await(t, "all verdicts", func() bool {
					return b.verdicts(topic, validation.Stale) == 1 && b.verdicts(topic, validation.Signature) == 1 && b.verdicts(topic, validation.Valid) == 1
				})
				a.say(topic, "valid barrier "+topic.String()) // whatever else was forwarded came before it
				await(t, "the barrier", func() bool { return c.hasJudged("valid barrier " + topic.String()) })
			}
			if got := c.judgedAll(); len(got) != 2*len(engine.Topics()) {
				t.Errorf("the end of the line judged %q, want what was accepted", got)
			}
			if got := a.judgedAll(); len(got) != 0 {
				t.Errorf("the author judged its own messages: %q", got)
			}
			if got, want := b.value("proctor_gossip_judge_duration_seconds"), float64(4*len(engine.Topics())); got != want {
				t.Errorf("%v durations observed, want %v", got, want)
			}
		})
	}
}

func TestTopics_OwnMessagesMustBeStored(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	a.dial(b)
	await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 })
	if err := a.topics[bans].Publish(testContext(t), []byte("not stored")); err == nil {
		t.Error("published a message that is not stored")
	}
	a.set(func(x *backend) { x.stored["block"+"stored as block"] = true })
	if err := a.topics[bans].Publish(testContext(t), []byte("stored as block")); err == nil {
		t.Error("published a message that is stored for another topic")
	}
	a.say(bans, "stored")
	await(t, "the stored message", func() bool { return b.hasJudged("stored") })
	if got := b.judgedAll(); len(got) != 1 {
		t.Errorf("heard %q", got)
	}
	if got := a.judgedAll(); len(got) != 0 {
		t.Errorf("judged its own %q", got)
	}
}

// A message that was first ignored can go on later: the publish after the
// second judgement is what the design rests on, and only some versions of
// pubsub have it (spec/gossip.md 0, 1.5).
func TestTopics_PublishAfterIgnore(t *testing.T) {
	a, b, c := line(t)
	b.set(func(x *backend) { x.judge = byPrefix })
	a.say(bans, "not-synced m")
	await(t, "the message", func() bool { return b.verdicts(bans, validation.NotSynced) == 1 })
	for range 3 {
		b.say(bans, "not-synced m")
	}
	await(t, "the message at the end", func() bool { return c.hasJudged("not-synced m") })
	b.say(bans, "barrier")
	await(t, "the barrier", func() bool { return c.hasJudged("barrier") })
	if got := c.judgedAll(); !slices.Equal(got, []string{"not-synced m", "barrier"}) {
		t.Errorf("the end of the line judged %q", got)
	}
	if got := b.verdicts(bans, validation.NotSynced); got != 1 {
		t.Errorf("judged %v times, want 1: one's own publication is not judged", got)
	}
}

func TestMessageID_CoversEveryByteAndTheTopic(t *testing.T) {
	topic, other := "/a", "/b"
	genuine := wire.PlatformBan{ProTxHash: wire.Hash{1}, SignedHeight: 5}
	data := genuine.Bytes()
	want := messageID(&pb.Message{Topic: &topic, Data: data})
	if len(want) != 20 {
		t.Errorf("id of %d bytes, want 20", len(want))
	}
	if messageID(&pb.Message{Topic: &topic, Data: slices.Clone(data), From: []byte("x"), Seqno: []byte{1}}) != want {
		t.Error("the id depends on more than topic and data")
	}
	if messageID(&pb.Message{Topic: &other, Data: data}) == want {
		t.Error("the id does not depend on the topic")
	}
	moved, rest := "/abc", []byte("d")
	if messageID(&pb.Message{Topic: &moved, Data: rest}) == messageID(&pb.Message{Topic: proto.String("/ab"), Data: []byte("cd")}) {
		t.Error("bytes move between topic and data")
	}
	for i := range data {
		changed := slices.Clone(data)
		changed[i] ^= 1
		if messageID(&pb.Message{Topic: &topic, Data: changed}) == want {
			t.Errorf("the id does not depend on byte %d", i)
		}
	}
}

// A forged signature must not keep the genuine message from being heard.
func TestTopics_ForgeryDoesNotHideTheGenuine(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	genuine := wire.PlatformBan{ProTxHash: wire.Hash{1}, SignedHeight: 5, Signature: wire.Signature{1}}
	forged := genuine
	forged.Signature = wire.Signature{2}
	if genuine.InventoryHash() != forged.InventoryHash() {
		t.Fatal("the two are not one fact")
	}
	n.set(func(b *backend) {
		b.judge = func(_ context.Context, data []byte) validation.Verdict {
			if string(data) == string(forged.Bytes()) {
				return validation.Signature.Verdict()
			}
			return validation.Valid.Verdict()
		}
	})
	s.meet(n)
	stream := s.mesh(n)
	for _, m := range []wire.PlatformBan{forged, forged, genuine, genuine} {
		send(t, stream, published(n.topicName(bans), string(m.Bytes())))
	}
	await(t, "both", func() bool {
		return n.verdicts(bans, validation.Signature) == 1 && n.verdicts(bans, validation.Valid) == 1
	})
	await(t, "the copies", func() bool { return n.value("proctor_gossip_duplicates_total") == 2 })
}

func TestTopics_PanicBlamesNobody(t *testing.T) {
	a, b, c := line(t)
	b.set(func(x *backend) {
		x.judge = func(_ context.Context, data []byte) validation.Verdict {
			if string(data) == "poison" {
				panic("boom")
			}
			return validation.Valid.Verdict()
		}
	})
	a.say(bans, "poison")
	await(t, "the verdict", func() bool { return b.verdicts(bans, validation.Internal) == 1 })
	a.say(bans, "after")
	await(t, "life to go on", func() bool { return c.hasJudged("after") })
	if c.hasJudged("poison") {
		t.Error("forwarded what could not be judged")
	}
	if len(b.logs.with("ERROR")) == 0 || len(b.offences()) != 0 {
		t.Errorf("log %q, offences %v", b.logs.with("ERROR"), b.offences())
	}
}

func TestTopics_JudgementHasADeadline(t *testing.T) {
	a, b := run(t, 1), run(t, 2)
	left := make(chan time.Duration, 1)
	b.set(func(x *backend) {
		x.judge = func(ctx context.Context, _ []byte) validation.Verdict {
			end, ok := ctx.Deadline()
			if !ok {
				end = time.Now().Add(time.Hour)
			}
			left <- time.Until(end)
			return validation.Valid.Verdict()
		}
	})
	a.dial(b)
	await(t, "pubsub", func() bool { return len(a.TopicPeers(bans)) == 1 })
	a.say(bans, "m")
	if got := <-left; got <= 0 || got > judgeTimeout {
		t.Errorf("%s left to judge, want at most %s", got, judgeTimeout)
	}
}

func TestTopics_WhatIsNeverJudged(t *testing.T) {
	unknown := "/proctor/test/other/1"
	big := func(n int) string { return strings.Repeat("x", n) }
	for i, c := range []struct {
		name string
		rpc  func(topic string) *pb.RPC
		cut  bool // the stream ends with it
	}{
		{"unknown topic", func(string) *pb.RPC { return published(unknown, "m") }, false},
		{"topic of another network", func(string) *pb.RPC { return published("/proctor/main/platformban/1", "m") }, false},
		{"oversized", func(topic string) *pb.RPC { return published(topic, big(maxRPCSize)) }, true},
		{"oversized in sum", func(topic string) *pb.RPC { return published(topic, big(maxRPCSize/2), big(maxRPCSize/2)) }, true},
		{"oversized control", func(topic string) *pb.RPC {
			rpc := published(topic, "m")
			rpc.Control = &pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: &topic, MessageIDs: []string{big(maxControlSize)}}}}
			return rpc
		}, true},
		{"with an author", func(topic string) *pb.RPC {
			return &pb.RPC{Publish: []*pb.Message{{Topic: &topic, Data: []byte("m"), From: []byte(id(t, 9))}}}
		}, false},
		{"with a signature", func(topic string) *pb.RPC {
			return &pb.RPC{Publish: []*pb.Message{{Topic: &topic, Data: []byte("m"), Signature: []byte{1}}}}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, s := run(t, 1), newStranger(t, 10+i)
			s.meet(n)
			topic := n.topicName(bans)
			stream := s.mesh(n)
			send(t, stream, c.rpc(topic))
			if c.cut {
				await(t, "the stream to end", func() bool {
					_, err := stream.Write([]byte{0}) // an empty RPC
					return err != nil
				})
				stream = s.mesh(n)
			}
			send(t, stream, published(topic, "barrier"))
			await(t, "the barrier", func() bool { return n.hasJudged("barrier") })
			if got := n.judgedAll(); len(got) != 1 {
				t.Errorf("judged %d messages, want the barrier", len(got))
			}
			if len(n.Peers()) != 1 {
				t.Error("the connection ended")
			}
		})
	}
}

// However long a message of a topic may be, pubsub hands on what fits its RPC,
// and whoever judges says that it is malformed: that costs 100 points. What is
// longer costs the stream and nobody's time.
func TestTopics_LongMessages(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	n.set(func(b *backend) {
		b.judge = func(context.Context, []byte) validation.Verdict { return validation.Malformed.Verdict() }
	})
	s.meet(n)
	for _, topic := range engine.Topics() {
		longest := topic.String() + strings.Repeat("x", maxRPCSize-100)
		send(t, s.mesh(n), published(n.topicName(topic), longest))
		await(t, "the verdict on "+topic.String(), func() bool { return n.hasJudged(longest) && n.verdicts(topic, validation.Malformed) == 1 })
		if v := validation.Malformed.Verdict(); v.Outcome != validation.Reject || v.Points != params.PointsBan {
			t.Fatalf("malformed is %+v", v)
		}
		stream := s.mesh(n)
		send(t, stream, published(n.topicName(topic), strings.Repeat("x", maxRPCSize)))
		await(t, "the stream to end", func() bool {
			_, err := stream.Write([]byte{0}) // an empty RPC
			return err != nil
		})
	}
	if got := n.judgedAll(); len(got) != len(engine.Topics()) {
		t.Errorf("judged %d messages, want one of each topic", len(got))
	}
}

// A peer cannot make us hear of topics that do not exist.
func TestTopics_SubscriptionsToOthersAreDropped(t *testing.T) {
	n, s := run(t, 1), newStranger(t, 2)
	s.meet(n)
	stream := s.mesh(n)
	send(t, stream, subscribed("/proctor/test/other/1"))
	send(t, stream, subscribed(n.topicName(bans)))
	await(t, "the known topic", func() bool { return len(n.TopicPeers(bans)) == 1 })
	if got := n.pubsub.ListPeers("/proctor/test/other/1"); len(got) != 0 {
		t.Errorf("peers of an unknown topic: %v", got)
	}
	var many pb.RPC
	for i := range maxSubscriptions + 1 {
		many.Subscriptions = append(many.Subscriptions, subscribed(fmt.Sprint(i)).Subscriptions...)
	}
	many.Publish = published(n.topicName(bans), "behind too many").Publish
	send(t, stream, &many)
	send(t, stream, published(n.topicName(bans), "barrier"))
	await(t, "the barrier", func() bool { return n.hasJudged("barrier") })
	if n.hasJudged("behind too many") {
		t.Error("an RPC with too many subscriptions was taken")
	}
}

// What members say reaches those that joined their topic, and no others.
func TestTopics_OfMembers(t *testing.T) {
	spoken := engine.DKGTopic(106)
	joins := func(c *Config) { c.MemberTopics = []engine.Topic{spoken} }
	a, b := run(t, 1, joins), run(t, 2, joins)
	outsider := run(t, 3)
	a.dial(b)
	outsider.dial(a)
	outsider.dial(b)
	await(t, "the mesh", func() bool {
		return a.MeshPeers(spoken) == 1 && b.MeshPeers(spoken) == 1 && outsider.MeshPeers(bans) == 2
	})
	a.say(spoken, "among us")
	await(t, "the message", func() bool { return b.hasJudged("among us") && b.verdicts(spoken, validation.Valid) == 1 })
	a.say(bans, "to all") // behind it
	await(t, "the barrier", func() bool { return outsider.hasJudged("to all") })
	if outsider.hasJudged("among us") {
		t.Error("an outsider was told what members say")
	}
	if got := outsider.TopicPeers(spoken); len(got) != 0 {
		t.Errorf("an outsider lists %v in a topic that it did not join", got)
	}
	outsider.say(spoken, "from outside")
	await(t, "the drop", func() bool { return outsider.value("proctor_gossip_outbox_drops_total", "what", "publication") == 1 })
	if got := a.value("proctor_gossip_mesh_peers", "topic", "dkg-106"); got != 1 {
		t.Errorf("%v mesh peers in the metrics", got)
	}
}

// Every type of quorum there is fits a peer's subscriptions.
func TestTopics_AllTypesCanBeNamed(t *testing.T) {
	most := len(engine.Topics())
	for q := range 256 {
		if _, err := params.LLMQByType(wire.LLMQType(q)); err == nil {
			most++
		}
	}
	if most > maxSubscriptions {
		t.Errorf("%d topics, a peer may name %d at once", most, maxSubscriptions)
	}
}

// Pubsub checks mesh and score parameters when it is made.
func TestParams_EverySize(t *testing.T) {
	for _, size := range []int{0, 1, 4, 10, 11, 200, 201, 5000} {
		for _, shared := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d nodes, shared addresses %t", size, shared), func(t *testing.T) {
				n := prepare(t, 1, func(c *Config) { c.SizeHint, c.SharedAddresses = size, shared })
				p := n.scoreParams()
				if off := p.IPColocationFactorWeight == 0; off != shared {
					t.Errorf("weight of shared addresses %v", p.IPColocationFactorWeight)
				}
				for name, topic := range p.Topics {
					if topic.MeshMessageDeliveriesWeight != 0 || topic.MeshFailurePenaltyWeight != 0 {
						t.Errorf("%s: deliveries in the mesh are scored", name)
					}
				}
				if len(p.Topics) != len(engine.Topics()) || p.SeenMsgTTL != seenTTL {
					t.Errorf("%d topics scored, seen for %s", len(p.Topics), p.SeenMsgTTL)
				}
				for _, topic := range engine.Topics() {
					if concurrencyOf(topic) == 0 || weightOf(topic) == 0 {
						t.Errorf("topic %s has no concurrency or no weight", topic)
					}
				}
			})
		}
	}
	for _, c := range []struct{ size, d, dhi int }{{1, 4, 8}, {10, 4, 8}, {11, 8, 12}, {200, 8, 12}, {201, 8, 12}} {
		if p := meshParams(c.size); p.D != c.d || p.Dhi != c.dhi {
			t.Errorf("%d nodes: D %d, Dhi %d, want %d, %d", c.size, p.D, p.Dhi, c.d, c.dhi)
		}
	}
	if meshParams(200).GossipFactor != pubsub.GossipSubGossipFactor || meshParams(201).GossipFactor != 0.1 {
		t.Error("gossip factor does not change above 200 nodes")
	}
}

func TestScore_DeadZoneAndDecay(t *testing.T) {
	for _, c := range []struct {
		points int
		age    time.Duration
		want   float64
	}{
		{0, 0, 0}, {1, 0, 0}, {9, 0, 0}, {10, 0, -1}, {50, 0, -41}, {99, 0, -90},
		{10, params.PointDecay, 0}, {20, params.PointDecay - time.Second, -11}, {20, params.PointDecay, -10}, {20, 5 * params.PointDecay, -6},
		{99, 1000 * params.PointDecay, 0},
	} {
		b := newBanBook()
		b.charged("p", c.points)
		b.points["p"] = account{c.points, time.Now().Add(-c.age)}
		if got := b.score("p"); got != c.want {
			t.Errorf("%d points %s ago: score %v, want %v", c.points, c.age, got, c.want)
		}
	}
	b := newBanBook()
	if got := b.score("nobody"); got != 0 {
		t.Errorf("score of an unknown peer %v, want 0", got)
	}
	b.charged("p", 50)
	b.charged("p", 12)
	if got := b.score("p"); got != -3 {
		t.Errorf("score %v, want that of the last total", got)
	}
	b.add("p", time.Now().Add(time.Hour)) // the account starts afresh after the ban
	if got := b.score("p"); got != 0 {
		t.Errorf("score of a banned peer %v, want 0", got)
	}
}

func TestScore_AccountsAreBounded(t *testing.T) {
	b := newBanBook()
	for i := range maxAccounts + 10 {
		b.charged(peer.ID(fmt.Sprint(i)), 50)
		if len(b.points) > maxAccounts {
			t.Fatalf("%d accounts, at most %d", len(b.points), maxAccounts)
		}
	}
}

func TestBanBook_IsABlacklist(t *testing.T) {
	b := newBanBook()
	if !b.Add("p") || b.Contains("p") || b.banned("p") {
		t.Error("pubsub itself can ban")
	}
	b.add("p", time.Now().Add(time.Hour))
	if !b.Contains("p") || b.InterceptPeerDial("p") || b.InterceptAddrDial("p", nil) || b.InterceptSecured(0, "p", nil) {
		t.Error("a banned peer passes")
	}
	if b.Contains("q") || !b.InterceptPeerDial("q") || !b.InterceptAddrDial("q", nil) || !b.InterceptSecured(0, "q", nil) {
		t.Error("another peer does not pass")
	}
	if !b.InterceptAccept(nil) {
		t.Error("refused before it is known who it is")
	}
}

// Small offences cost no place in the mesh, larger ones do, the largest cost
// a peer our ear.
func TestScore_CostsThePlaceInTheMesh(t *testing.T) {
	a, b, c := line(t)
	b.Charged(engine.Charge{Peer: a.peer(), Total: 9})
	b.Charged(engine.Charge{Peer: c.peer(), Total: 60})
	await(t, "the mesh to shrink", func() bool { return b.MeshPeers(bans) == 1 && b.MeshPeers(engine.TopicBlock) == 1 })
	b.tracer.mu.Lock()
	_, kept := b.tracer.mesh[b.topicName(bans)][a.ID()]
	b.tracer.mu.Unlock()
	if !kept {
		t.Error("9 points cost a place in the mesh")
	}
	c.say(bans, "with 60 points")
	await(t, "the message", func() bool { return b.hasJudged("with 60 points") })

	b.Charged(engine.Charge{Peer: c.peer(), Total: 99})
	c.say(bans, "with 99 points")
	a.say(bans, "with 9 points")
	await(t, "the message", func() bool { return b.hasJudged("with 9 points") })
	c.say(bans, "barrier of c")
	a.say(bans, "barrier of a")
	await(t, "the barrier", func() bool { return b.hasJudged("barrier of a") })
	if b.hasJudged("with 99 points") {
		t.Error("a peer below the graylist threshold is heard")
	}
}
