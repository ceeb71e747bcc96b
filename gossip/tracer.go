package gossip

import (
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/metrics"
)

// tracer counts what happens inside pubsub, where messages can be dropped
// without anybody judging them. Pubsub calls it from its event loop, so it
// only counts.
type tracer struct {
	drops      *prometheus.CounterVec
	duplicates prometheus.Counter

	mu   sync.Mutex
	mesh map[string]map[peer.ID]struct{} // by topic name
}

// Places where pubsub drops messages, as label values.
var (
	dropQueue     = "validate-queue"
	dropThrottled = "validate-throttle"
	dropOutbound  = "peer-outbound"
)

func newTracer(r prometheus.Registerer, s *Service) *tracer {
	const subsystem = "gossip"
	t := &tracer{
		mesh: make(map[string]map[peer.ID]struct{}),
		drops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "pubsub_drops_total",
			Help: "Messages dropped inside pubsub because a queue was full, by queue.",
		}, []string{"queue"}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "duplicates_total",
			Help: "Messages that arrived again and were not judged again.",
		}),
	}
	for _, q := range []string{dropQueue, dropThrottled, dropOutbound} {
		t.drops.WithLabelValues(q)
	}
	r.MustRegister(t.drops, t.duplicates)
	for _, topic := range s.joined() {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metrics.Namespace, Subsystem: subsystem, Name: "mesh_peers",
			Help: "Peers in the mesh of a topic.", ConstLabels: prometheus.Labels{"topic": topic.String()},
		}, func() float64 { return float64(t.meshPeers(s.topicName(topic))) }))
	}
	return t
}

func (t *tracer) meshPeers(topic string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mesh[topic])
}

// Graft notes a new mesh peer.
func (t *tracer) Graft(p peer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mesh[topic] == nil {
		t.mesh[topic] = make(map[peer.ID]struct{})
	}
	t.mesh[topic][p] = struct{}{}
}

// Prune notes that a peer left the mesh.
func (t *tracer) Prune(p peer.ID, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mesh[topic], p)
}

// OnClosedOutboundStream notes that a peer left every mesh.
func (t *tracer) OnClosedOutboundStream(p peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, peers := range t.mesh {
		delete(peers, p)
	}
}

// RejectMessage counts what no validator saw.
func (t *tracer) RejectMessage(_ *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationQueueFull:
		t.drops.WithLabelValues(dropQueue).Inc()
	case pubsub.RejectValidationThrottled:
		t.drops.WithLabelValues(dropThrottled).Inc()
	}
}

// DropRPC counts what a slow peer will not get.
func (t *tracer) DropRPC(*pubsub.RPC, peer.ID) { t.drops.WithLabelValues(dropOutbound).Inc() }

// DuplicateMessage counts the price of the mesh.
func (t *tracer) DuplicateMessage(*pubsub.Message) { t.duplicates.Inc() }

// The rest of pubsub.RawTracer.

func (t *tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (t *tracer) Join(string)                              {}
func (t *tracer) Leave(string)                             {}
func (t *tracer) ValidateMessage(*pubsub.Message)          {}
func (t *tracer) DeliverMessage(*pubsub.Message)           {}
func (t *tracer) ThrottlePeer(peer.ID)                     {}
func (t *tracer) RecvRPC(*pubsub.RPC)                      {}
func (t *tracer) SendRPC(*pubsub.RPC, peer.ID)             {}
func (t *tracer) UndeliverableMessage(*pubsub.Message)     {}
