package gossip

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/proctornet/proctor/engine"
)

// Limits of the outbox.
const (
	maxPublications = 1024 // messages of ours waiting to go out
	maxFetches      = 4    // requests for blocks waiting; the engine makes one at a time
)

// outbox holds what the engine wants sent, after its commit. The committer
// fills it and must not wait for the network, so what does not fit is
// dropped and counted.
type outbox struct {
	publications chan engine.Publication
	fetches      chan engine.Fetch
}

func newOutbox() *outbox {
	return &outbox{make(chan engine.Publication, maxPublications), make(chan engine.Fetch, maxFetches)}
}

// Publish sends a message of ours, which has been stored, to all peers.
func (s *Service) Publish(p engine.Publication) {
	select {
	case s.outbox.publications <- p:
	default:
		s.metrics.drops.WithLabelValues("publication").Inc()
	}
}

// Fetch asks a peer for blocks; the Backend gets the answer.
func (s *Service) Fetch(f engine.Fetch) {
	select {
	case s.outbox.fetches <- f:
	default:
		s.metrics.drops.WithLabelValues("fetch").Inc()
	}
}

func (s *Service) runOutbox(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			select {
			case p := <-s.outbox.publications:
				topic, joined := s.topics[p.Topic]
				if !joined {
					s.metrics.drops.WithLabelValues("publication").Inc()
					continue
				}
				if err := topic.Publish(ctx, p.Bytes); err != nil && ctx.Err() == nil {
					s.log.Warn("publish", "topic", p.Topic.String(), "err", err)
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	g.Go(func() error {
		for {
			select {
			case f := <-s.outbox.fetches:
				s.fetch(ctx, f)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return g.Wait()
}
