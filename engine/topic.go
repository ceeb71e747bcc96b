package engine

import (
	"fmt"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Topic is a kind of gossip.
type Topic uint16

// The topics of all nodes.
const (
	TopicPlatformBan Topic = iota + 1
	TopicBlock
	TopicEvent
	TopicUptime
	TopicVote
	TopicCheckpoint
	TopicCommitment // final commitments, to be mined
	TopicRecovered  // signatures of quorums

	topicDKG Topic = 1 << 8 // and the type
)

// DKGTopic is where members of sessions of one type speak, and watchers
// listen. A message is one byte wire.DKGKind and the message itself.
func DKGTopic(t wire.LLMQType) Topic { return topicDKG | Topic(t) }

// DKG returns the quorum type of a topic that members of sessions speak on.
func (t Topic) DKG() (wire.LLMQType, bool) { return wire.LLMQType(t), t&topicDKG != 0 }

// Topics lists the topics of all nodes.
func Topics() []Topic {
	return []Topic{TopicPlatformBan, TopicBlock, TopicEvent, TopicUptime, TopicVote, TopicCheckpoint, TopicCommitment, TopicRecovered}
}

// MemberTopics lists the topics of members of such quorums.
func MemberTopics(llmqs []params.LLMQ) (topics []Topic) {
	for _, q := range llmqs {
		topics = append(topics, DKGTopic(q.Type))
	}
	return topics
}

func (t Topic) String() string {
	if of, ok := t.DKG(); ok {
		return fmt.Sprintf("dkg-%d", of)
	}
	return map[Topic]string{
		TopicPlatformBan: "platformban", TopicBlock: "block", TopicEvent: "event", TopicUptime: "uptime", TopicVote: "vote", TopicCheckpoint: "checkpoint",
		TopicCommitment: "commitment", TopicRecovered: "recovered",
	}[t]
}
