package testnet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The part of the story in which bans, good and bad ones, are judged.

// signed returns a ban signed by a threshold of members, two blocks below the
// tip unless the height is given.
func (s *Story) signed(proTx wire.Hash, height int32) (wire.PlatformBan, error) {
	return s.Cluster.Quorums.At(height).Ban(proTx, height, s.Cluster.Signers.Threshold)
}

func (s *Story) validBan(ctx context.Context) (string, error) {
	ban, err := s.signed(s.target().ProTxHash, s.height()-2)
	if err != nil {
		return "", err
	}
	entry := s.hearing()
	began := time.Now()
	if v := s.Cluster.Node(entry).SubmitBan(ctx, ban.Bytes()); !v.OK() {
		return "", fmt.Errorf("%s judged the ban %s", s.Cluster.Members[entry].Name, v.Reason)
	}
	if err := s.awaitFlag(ctx, s.target(), true); err != nil {
		return "", err
	}
	return fmt.Sprintf("entered at %s; flag of %s on disk on %d of %d nodes after %s",
		s.Cluster.Members[entry].Name, s.target().Name, len(s.Cluster.Running()), len(s.Cluster.Running()), round(time.Since(began))), nil
}

func (s *Story) awaitFlag(ctx context.Context, m Member, want bool) error {
	return s.Cluster.Await(ctx, fmt.Sprintf("the flag of %s to be %t everywhere", m.Name, want),
		func() bool { return s.Cluster.FlagOn(m.ProTxHash, want) })
}

// forgery sends a ban whose signature is a signature, but of another ban.
func (s *Story) forgery(ctx context.Context) (string, error) {
	c := s.Cluster
	forged, err := s.signed(s.second().ProTxHash, s.height()-2)
	if err != nil {
		return "", err
	}
	other, err := s.signed(s.target().ProTxHash, s.height()-3)
	if err != nil {
		return "", err
	}
	forged.Signature = other.Signature

	heard := s.hearing()
	forger, err := s.stranger(ctx, heard)
	if err != nil {
		return "", err
	}
	defer forger.Close()
	forger.Say(engine.TopicPlatformBan, forged.Bytes())
	err = c.Await(ctx, "every node that heard the forger to ban it", func() bool {
		for i := range heard {
			if !c.Node(i).Gossip().Banned(forger.ID()) {
				return false
			}
		}
		return len(forger.service.Peers()) == 0
	})
	if err != nil {
		return "", err
	}
	for _, i := range c.Running() {
		want := 0.0 // nodes behind those that heard it must not have
		if i < heard {
			want = params.PointsBan
		}
		if got := c.Value(i, "proctor_peer_points_total", "reason", string(validation.Signature)); got != want {
			return "", fmt.Errorf("%s gave %v points, want %v", c.Members[i].Name, got, want)
		}
	}
	if c.FlagOn(s.second().ProTxHash, true) {
		return "", fmt.Errorf("the forgery set the flag of %s", s.second().Name)
	}
	return fmt.Sprintf("%d of %d nodes that heard it gave %d points (%s), banned and disconnected it; nobody passed it on",
		heard, heard, params.PointsBan, validation.Signature), nil
}

// stranger makes a new peer that has met the first n nodes.
func (s *Story) stranger(ctx context.Context, n int) (*Stranger, error) {
	s.strangers++
	var targets []peer.AddrInfo
	for _, m := range s.Cluster.Members[:n] {
		targets = append(targets, m.AddrInfo())
	}
	p, err := NewStranger(s.Cluster.Network, s.options.Seed, s.strangers, targets)
	if err != nil {
		return nil, err
	}
	err = s.Cluster.Await(ctx, "a stranger to meet its peers", func() bool { return len(p.Peers(engine.TopicPlatformBan)) == n })
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// genuine sends the ban that the forgery pretended to be: equal inventory
// hash, right signature.
func (s *Story) genuine(ctx context.Context) (string, error) {
	ban, err := s.signed(s.second().ProTxHash, s.height()-2)
	if err != nil {
		return "", err
	}
	p, err := s.stranger(ctx, 1)
	if err != nil {
		return "", err
	}
	defer p.Close()
	began := time.Now()
	p.Say(engine.TopicPlatformBan, ban.Bytes())
	if err := s.awaitFlag(ctx, s.second(), true); err != nil {
		return "", err
	}
	return fmt.Sprintf("flag of %s set on all %d nodes after %s", s.second().Name, len(s.Cluster.Running()), round(time.Since(began))), nil
}

func (s *Story) oneTooOld(ctx context.Context) (string, error) {
	return s.judged(ctx, s.target().ProTxHash, s.height()-params.BanWindow-1, validation.HeightNear)
}

func (s *Story) farTooOld(ctx context.Context) (string, error) {
	return s.judged(ctx, s.target().ProTxHash, s.height()-params.BanWindow-params.BanHeightSlack-10, validation.HeightFar)
}

func (s *Story) unknownNode(ctx context.Context) (string, error) {
	return s.judged(ctx, hash(s.options.Seed, "nobody", 0), s.height()-2, validation.UnknownNode)
}

func (s *Story) regularNode(ctx context.Context) (string, error) {
	return s.judged(ctx, s.Cluster.Members[0].ProTxHash, s.height()-2, validation.RegularNode)
}

// judged sends a properly signed ban that breaks one rule to one node, and
// watches that node's metrics for the verdict and the points.
func (s *Story) judged(ctx context.Context, proTx wire.Hash, height int32, want validation.Reason) (string, error) {
	c, verdict := s.Cluster, want.Verdict()
	ban, err := s.signed(proTx, height)
	if err != nil {
		return "", err
	}
	p, err := s.stranger(ctx, 1)
	if err != nil {
		return "", err
	}
	defer p.Close()
	judgedBefore := c.Judged(0, verdict)
	pointsBefore := c.Value(0, "proctor_peer_points_total", "reason", string(want))
	p.Say(engine.TopicPlatformBan, ban.Bytes())
	err = c.Await(ctx, fmt.Sprintf("%s to judge the ban %s", c.Members[0].Name, want), func() bool {
		return c.Judged(0, verdict) == judgedBefore+1 &&
			c.Value(0, "proctor_peer_points_total", "reason", string(want)) == pointsBefore+float64(verdict.Points)
	})
	if err != nil {
		return "", err
	}
	if banned := c.Node(0).Gossip().Banned(p.ID()); banned != (verdict.Points >= params.PointsBan) {
		return "", fmt.Errorf("sender banned: %t after %d points", banned, verdict.Points)
	}
	text := fmt.Sprintf("signed at %d, tip %d: %s (%s), points: %d", height, s.height(), verdict.Outcome, want, verdict.Points)
	if verdict.Points >= params.PointsBan {
		text += ", sender banned"
	}
	return text, nil
}

func (s *Story) crash(ctx context.Context) (string, error) {
	c, victim := s.Cluster, s.victim()
	name := c.Members[victim].Name
	if err := c.Kill(victim); err != nil {
		return "", err
	}
	began := time.Now()
	if err := c.Start(victim); err != nil {
		return "", err
	}
	for _, m := range []Member{s.target(), s.second()} { // from disk: no peer has been met yet
		if !c.Node(victim).Snapshot().Flag(m.ProTxHash).Set() {
			return "", fmt.Errorf("%s forgot the flag of %s", name, m.Name)
		}
	}
	err := c.Await(ctx, name+" to catch up", func() bool {
		return c.ready(victim) && c.Node(victim).Snapshot().TipHeight() >= s.height()
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s came back with both flags, and was synced at height %d after %s",
		name, c.Node(victim).Snapshot().TipHeight(), round(time.Since(began))), nil
}

func (s *Story) updateService(ctx context.Context) (string, error) {
	c := s.Cluster
	if v := c.Node(0).SubmitEvent(ctx, c.Announce(s.target(), 0)); !v.OK() {
		return "", fmt.Errorf("%s judged the event %s", c.Members[0].Name, v.Reason)
	}
	if err := s.awaitFlag(ctx, s.target(), false); err != nil {
		return "", err
	}
	node, _ := c.Node(0).Snapshot().State.Node(s.target().ProTxHash)
	if !c.FlagOn(s.second().ProTxHash, true) {
		return "", fmt.Errorf("the flag of %s went as well", s.second().Name)
	}
	return fmt.Sprintf("%s revived in block %d: flag gone on all %d nodes; %s, which announced nothing, keeps its",
		s.target().Name, node.RevivedHeight, len(c.Running()), s.second().Name), nil
}
