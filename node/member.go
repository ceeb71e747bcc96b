package node

import (
	"slices"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
)

// memberTopics lists the topics of quorums' members that this node joins.
// Whoever could be drawn does, and passes on what others say: a mesh of the
// members of one session would have to be made anew for each.
func (n *Node) memberTopics() []engine.Topic {
	s := n.Snapshot().State
	llmqs := slices.DeleteFunc(slices.Clone(s.LLMQs()), func(q params.LLMQ) bool { return !n.follows(q) })
	return engine.MemberTopics(llmqs)
}

// follows reports whether this node listens to how quorums of a type are made.
// What is not registered yet may come to be an evonode.
func (n *Node) follows(q params.LLMQ) bool {
	if n.config.Watch {
		return true
	}
	if n.config.ProTxHash.IsZero() {
		return false
	}
	s := n.Snapshot().State
	node, registered := s.Node(n.config.ProTxHash)
	return node.Evo || !registered || q.Type != s.PlatformType()
}
