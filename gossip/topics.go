package gossip

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p-pubsub/timecache"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Limits of pubsub. Source: spec/gossip.md 1.4 and 2.1.
const (
	maxRPCSize       = 256 << 10
	maxControlSize   = 64 << 10
	validateQueue    = 1024 // messages waiting to be judged
	validateThrottle = 8192 // messages being judged, all topics; see concurrency
	outboundQueue    = 512  // RPCs waiting, per peer
	judgeTimeout     = 5 * time.Second
	seenTTL          = 10 * time.Minute
)

// concurrency is how many messages of a topic are judged at once. Pubsub has
// marked a message as seen when it meets this limit, so one dropped here is
// lost: the limit is as high as what stands behind it can hold, which says no
// in time for the message to be deferred.
var concurrency = map[engine.Topic]int{
	engine.TopicPlatformBan: 6144, engine.TopicBlock: 512, engine.TopicEvent: 256,
	engine.TopicUptime: 512, engine.TopicVote: 512, engine.TopicCheckpoint: 256,
	engine.TopicCommitment: 64, engine.TopicRecovered: 512,
}

// memberConcurrency is that of the members of one type of quorum: all of the
// largest may speak at once.
const memberConcurrency = 512

func concurrencyOf(t engine.Topic) int {
	if _, ofMembers := t.DKG(); ofMembers {
		return memberConcurrency
	}
	return concurrency[t]
}

// weight is what a topic counts for in a peer's score. Source: spec/gossip.md
// 2.3.
var weight = map[engine.Topic]float64{
	engine.TopicPlatformBan: 1, engine.TopicBlock: 1, engine.TopicEvent: 0.7,
	engine.TopicUptime: 0.3, engine.TopicVote: 0.7, engine.TopicCheckpoint: 0.3,
	engine.TopicCommitment: 0.7, engine.TopicRecovered: 0.7,
}

const memberWeight = 0.7 // of the topics of members

func weightOf(t engine.Topic) float64 {
	if _, ofMembers := t.DKG(); ofMembers {
		return memberWeight
	}
	return weight[t]
}

// maxSubscriptions is how many topics a peer may name at once: all of a
// network with every type of quorum, and some that we do not know.
const maxSubscriptions = 64

// meshProtocols leaves out those that dodge the mesh's rules.
var meshProtocols = []protocol.ID{pubsub.GossipSubID_v13, pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}

func (s *Service) topicName(t engine.Topic) string {
	return fmt.Sprintf("/proctor/%s/%s/%d", s.config.Network, t, wire.ProtocolVersion)
}

// joined lists the topics that we take part in.
func (s *Service) joined() []engine.Topic {
	return slices.Concat(engine.Topics(), s.config.MemberTopics)
}

// join starts pubsub and subscribes to our topics.
func (s *Service) join() (err error) {
	var names []string
	for _, t := range s.joined() {
		names = append(names, s.topicName(t))
	}
	s.pubsub, err = pubsub.NewGossipSub(s.ctx, s.gate,
		// Messages prove themselves; who passes one on is nobody's business.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(names...), maxSubscriptions)),
		pubsub.WithMaxMessageSize(maxRPCSize),
		pubsub.WithMaxControlMessageSize(maxControlSize),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithValidateThrottle(validateThrottle),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithSeenMessagesStrategy(timecache.Strategy_LastSeen),
		pubsub.WithFloodPublish(true),
		pubsub.WithGossipSubProtocols(meshProtocols, pubsub.GossipSubDefaultFeatures),
		pubsub.WithGossipSubParams(meshParams(s.config.SizeHint)),
		pubsub.WithPeerScore(s.scoreParams(), scoreThresholds()),
		pubsub.WithBlacklist(s.book),
		pubsub.WithRawTracer(s.tracer),
		pubsub.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))), // what matters is counted
	)
	if err != nil {
		return fmt.Errorf("gossip: pubsub: %w", err)
	}
	s.topics = make(map[engine.Topic]*pubsub.Topic)
	for _, t := range s.joined() {
		if err := s.joinTopic(t); err != nil {
			return fmt.Errorf("gossip: topic %s: %w", s.topicName(t), err)
		}
	}
	return nil
}

func (s *Service) joinTopic(t engine.Topic) (err error) {
	name := s.topicName(t)
	err = s.pubsub.RegisterTopicValidator(name, s.validator(t),
		pubsub.WithValidatorTimeout(judgeTimeout), pubsub.WithValidatorConcurrency(concurrencyOf(t)))
	if err != nil {
		return err
	}
	if s.topics[t], err = s.pubsub.Join(name); err != nil {
		return err
	}
	// Messages are stored inside the validator. A relay forwards them without
	// the subscription channel, which loses what nobody reads in time.
	_, err = s.topics[t].Relay()
	return err
}

// validator asks the backend and counts. One validator does it all, because
// several would run side by side and the steps have an order.
func (s *Service) validator(t engine.Topic) pubsub.ValidatorEx {
	return func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if !s.begin() {
			return pubsub.ValidationIgnore
		}
		defer s.work.Done()
		if from == s.host.ID() {
			if s.config.Backend.Stored(t, m.Data) {
				return pubsub.ValidationAccept
			}
			return pubsub.ValidationIgnore
		}
		switch s.judgeCounted(ctx, t, from, m.Data).Outcome {
		case validation.Accept:
			return pubsub.ValidationAccept
		case validation.Reject:
			return pubsub.ValidationReject
		default:
			return pubsub.ValidationIgnore
		}
	}
}

// judgeCounted judges a message and counts that.
func (s *Service) judgeCounted(ctx context.Context, t engine.Topic, from peer.ID, data []byte) validation.Verdict {
	start := time.Now()
	v := s.judge(ctx, t, from, data)
	s.Count(t, v)
	s.metrics.latency.WithLabelValues(t.String()).Observe(time.Since(start).Seconds())
	return v
}

// Count counts a verdict on a message of a peer. The service does so itself
// for what it has judged; the node does for what it judges again.
func (s *Service) Count(t engine.Topic, v validation.Verdict) {
	s.metrics.judged.WithLabelValues(t.String(), v.Outcome.String(), string(v.Reason)).Inc()
}

// judge never blames a peer for a fault of ours: a panic ends in Internal.
func (s *Service) judge(ctx context.Context, t engine.Topic, from peer.ID, data []byte) (v validation.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("judging a message panicked", "topic", t.String(), "peer", from, "panic", p)
			v = validation.Internal.Verdict()
		}
	}()
	return s.config.Backend.Judge(ctx, t, engine.Peer(from), data)
}

// messageID covers the topic and every byte: a forged signature makes another
// message, and cannot keep the genuine one from being heard.
func messageID(m *pb.Message) string {
	h := sha256.New()
	topic := m.GetTopic()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(topic))))
	io.WriteString(h, topic)
	h.Write(m.GetData())
	return string(h.Sum(nil)[:20])
}

// meshParams fits the mesh to the size of the network. Source:
// spec/gossip.md 2.1 and 2.2.
func meshParams(nodes int) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	switch {
	case nodes <= 10:
		p.D, p.Dlo, p.Dhi, p.Dout, p.Dscore, p.Dlazy = 4, 2, 8, 1, 2, 3
	case nodes <= 200:
		p.D, p.Dlo, p.Dhi, p.Dout, p.Dscore, p.Dlazy = 8, 6, 12, 3, 5, 6
	default:
		p.D, p.Dlo, p.Dhi, p.Dout, p.Dscore, p.Dlazy = 8, 6, 12, 3, 6, 12
		p.GossipFactor = 0.1 // or IHAVE grows with the number of connections
	}
	p.HeartbeatInterval = 700 * time.Millisecond
	p.HistoryLength, p.HistoryGossip = 10, 4
	p.IWantFollowupTime = 5 * time.Second
	p.MaxIHaveMessages, p.MaxIHaveLength = 5, 500
	return p
}

// scoreThresholds and scoreParams make pubsub avoid peers that our own ledger
// thinks little of; banning is the ledger's. Source: spec/gossip.md 2.3.
func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold: -40, PublishThreshold: -60, GraylistThreshold: -80,
		AcceptPXThreshold: 100, OpportunisticGraftThreshold: 2,
	}
}

func (s *Service) scoreParams() *pubsub.PeerScoreParams {
	topics := make(map[string]*pubsub.TopicScoreParams)
	for _, t := range s.joined() {
		topics[s.topicName(t)] = &pubsub.TopicScoreParams{
			TopicWeight:      weightOf(t),
			TimeInMeshWeight: 0.005, TimeInMeshQuantum: time.Second, TimeInMeshCap: 1000,
			FirstMessageDeliveriesWeight: 0.5, FirstMessageDeliveriesCap: 20,
			FirstMessageDeliveriesDecay: pubsub.ScoreParameterDecay(10 * time.Minute),
			// No P3: at our low rates it punishes honest peers (spec/gossip.md 2.4).
			InvalidMessageDeliveriesWeight: -10,
			InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(time.Hour),
		}
	}
	p := &pubsub.PeerScoreParams{
		Topics:                 topics,
		TopicScoreCap:          30,
		AppSpecificScore:       s.book.score,
		AppSpecificWeight:      1,
		BehaviourPenaltyWeight: -10, BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay: pubsub.ScoreParameterDecay(time.Hour),
		DecayInterval:         time.Second,
		DecayToZero:           0.01,
		RetainScore:           6 * time.Hour,
		SeenMsgTTL:            seenTTL,
	}
	if s.config.DryRun {
		for _, t := range topics {
			t.InvalidMessageDeliveriesWeight = 0
		}
	}
	if !s.config.SharedAddresses {
		p.IPColocationFactorWeight, p.IPColocationFactorThreshold = -10, 3
	}
	return p
}
