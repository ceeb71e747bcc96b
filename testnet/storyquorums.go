package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// The part of the story in which quorums make themselves, and members put out
// one of their own.

// quorums is what the story knows of them.
type quorums struct {
	platforms map[int]*PlatformService // by member
	died      int32                    // height at which an endpoint died
	banned    int32                    // height of the block that banned its owner
}

// openPlatforms lets every evonode serve at its platform endpoint.
func (s *Story) openPlatforms() error {
	s.quorums.platforms = make(map[int]*PlatformService)
	for i, m := range s.Cluster.Members {
		if m.Platform == "" {
			continue
		}
		if err := s.openPlatform(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Story) openPlatform(i int) error {
	p, err := NewPlatformService(s.Cluster.Members[i])
	if err == nil {
		s.quorums.platforms[i] = p
	}
	return err
}

// killPlatform ends the service at a member's endpoint, and nothing else of it.
func (s *Story) killPlatform(i int) error {
	p := s.quorums.platforms[i]
	delete(s.quorums.platforms, i)
	return p.Close()
}

func (s *Story) closePlatforms() (err error) {
	for _, p := range s.quorums.platforms {
		err = errors.Join(err, p.Close())
	}
	clear(s.quorums.platforms)
	return err
}

// platformQuorums lists the platform quorums, newest first.
func (s *Story) platformQuorums() []state.Quorum {
	view := s.state()
	return slices.Collect(view.Quorums(view.PlatformType()))
}

// quorumText tells of a quorum.
func quorumText(q state.Quorum) string {
	return fmt.Sprintf("platform quorum %s, %d of %d members valid, made by DKG from block %d on and mined in block %d",
		q.Hash().Short(), q.Commitment.ValidMembers.Count(), len(q.Members), q.Base, q.Mined)
}

// endpointDead tells how members of the platform quorum noticed what happened
// when the nodes had started.
func (s *Story) endpointDead(ctx context.Context) (string, error) {
	m := s.Cluster.Members[s.dead()]
	if err := s.awaitFlag(ctx, m, true); err != nil {
		return "", err
	}
	ban, ok := s.newestBan(m.ProTxHash)
	if !ok {
		return "", fmt.Errorf("the flag of %s is set, and no ban was accepted", m.Name)
	}
	view := s.state()
	q, ok := view.PlatformQuorum(ban.QuorumHash, ban.SignedHeight)
	if !ok {
		return "", fmt.Errorf("quorum %s, which signed, is not there", ban.QuorumHash.Short())
	}
	llmq, _ := view.LLMQ(q.Type())
	var signed []string
	attempts := 0
	for _, i := range s.Cluster.Running() {
		r, ok := s.Cluster.Node(i).Snapshot().Requests.Get(m.ProTxHash)
		if ok && r.Monitor && slices.Contains(r.Signed, ban.SignedHeight) {
			signed = append(signed, s.Cluster.Members[i].Name)
			attempts = max(attempts, len(r.Evidence))
		}
	}
	if len(signed) < llmq.Threshold || attempts == 0 {
		return "", fmt.Errorf("%d members asked for the ban with up to %d attempts as evidence, the threshold is %d", len(signed), attempts, llmq.Threshold)
	}
	return fmt.Sprintf("%s of %s was dead from block %d on: the monitors of %s tried it %d times each and signed a ban of height %d; %d are enough in quorum %s; its flag is on all %d nodes",
		m.Platform, m.Name, s.quorums.died, strings.Join(signed, ", "), attempts, ban.SignedHeight, llmq.Threshold, q.Hash().Short(), len(s.Cluster.Running())), nil
}

// newestBan is the newest accepted ban of a node.
func (s *Story) newestBan(proTx wire.Hash) (newest wire.PlatformBan, ok bool) {
	for _, m := range s.Cluster.Node(0).Snapshot().Accepted.All() {
		if m.ProTxHash == proTx && (!ok || m.SignedHeight > newest.SignedHeight) {
			newest, ok = m, true
		}
	}
	return newest, ok
}

// votedOut waits for two sessions whose members put the flagged one out, and
// lets its operator repair it.
func (s *Story) votedOut(ctx context.Context) (string, error) {
	i := s.dead()
	m := s.Cluster.Members[i]
	err := s.Cluster.Await(ctx, m.Name+" to be PoSe-banned", func() bool {
		n, _ := s.state().Node(m.ProTxHash)
		return n.PoSeBanned()
	})
	if err != nil {
		return "", err
	}
	n, _ := s.state().Node(m.ProTxHash)
	s.quorums.banned = n.PoSe.BanHeight
	if err := s.openPlatform(i); err != nil {
		return "", err
	}
	if v := s.Cluster.Node(0).SubmitEvent(ctx, s.Cluster.Announce(m, 0)); !v.OK() {
		return "", fmt.Errorf("%s judged the event %s", s.Cluster.Members[0].Name, v.Reason)
	}
	var out []state.Quorum // in which it is not valid, oldest first
	for _, q := range slices.Backward(s.platformQuorums()) {
		if index, member := q.Index(m.ProTxHash); member && q.Mined > s.quorums.died && !q.Commitment.ValidMembers.Has(index) {
			out = append(out, q)
		}
	}
	if len(out) != 2 || out[1].Mined != s.quorums.banned {
		return "", fmt.Errorf("%s is PoSe-banned in block %d and was put out of %d quorums", m.Name, s.quorums.banned, len(out))
	}
	scores, err := s.scores(m.ProTxHash, out[0].Mined, out[1].Mined)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was put out in the sessions from blocks %d and %d on: score %d in block %d, %d before the next, %d in block %d: PoSe-banned",
		m.Name, out[0].Base, out[1].Base, scores[0], out[0].Mined, scores[1], scores[2], out[1].Mined), nil
}

// scores are a node's after the first block, before the second punishes it,
// and after it.
func (s *Story) scores(proTx wire.Hash, first, second int32) (scores [3]int32, err error) {
	branch := s.Cluster.Node(0).Snapshot().Branch
	for k, height := range []int32{first, second} {
		l := branch.At(height)
		if l == nil {
			return scores, fmt.Errorf("block %d is not in memory any more", height)
		}
		n, _ := l.State.Node(proTx)
		scores[2*k] = n.PoSe.At(height)
		if k == 0 {
			scores[1] = n.PoSe.At(second)
		}
	}
	view := s.state()
	if scores[0] != state.PoSeIncrease(view.NodeCount(), view.Profile()) || scores[1] != scores[0]-(second-first) || scores[2] < state.PoSeMaximum(view.NodeCount()) {
		return scores, fmt.Errorf("scores %v with %d blocks between", scores, second-first)
	}
	return scores, nil
}

// revived waits until the repaired node is a valid member again.
func (s *Story) revived(ctx context.Context) (string, error) {
	m := s.Cluster.Members[s.dead()]
	var q state.Quorum
	err := s.Cluster.Await(ctx, m.Name+" to be in a quorum again", func() bool {
		for _, q = range slices.Backward(s.platformQuorums()) {
			if i, member := q.Index(m.ProTxHash); member && q.Base > s.quorums.banned && q.Commitment.ValidMembers.Has(i) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", err
	}
	n, _ := s.state().Node(m.ProTxHash)
	if n.PoSeBanned() || n.RevivedHeight <= s.quorums.banned || !s.Cluster.FlagOn(m.ProTxHash, false) {
		return "", fmt.Errorf("%s is in quorum %s; PoSe-banned %t, revived in block %d", m.Name, q.Hash().Short(), n.PoSeBanned(), n.RevivedHeight)
	}
	return fmt.Sprintf("%s repaired its endpoint and announced it in block %d: flag gone, score 0, and valid in the next %s", m.Name, n.RevivedHeight, quorumText(q)), nil
}

// killedInDKG kills a member after everybody's contributions, which nobody
// sends a second time, and starts it again.
func (s *Story) killedInDKG(ctx context.Context) (string, error) {
	detail, err := s.killedInOneDKG(ctx)
	if errors.Is(err, errTooLate) { // on a machine that was busy just then
		detail, err = s.killedInOneDKG(ctx)
	}
	return detail, err
}

// errTooLate means that a member was not back before its commitment was due.
var errTooLate = errors.New("came back too late")

func (s *Story) killedInOneDKG(ctx context.Context) (string, error) {
	c, victim := s.Cluster, s.victim()
	m := c.Members[victim]
	var base, killed int32
	err := c.Await(ctx, m.Name+" to have contributed to a quorum", func() bool {
		view := c.Node(victim).Snapshot()
		for _, st := range view.DKG {
			base, killed = st.Height, view.TipHeight()
			llmq, _ := view.State.LLMQ(st.Type)
			heard := killed > base+2*llmq.DKGPhaseBlocks // the others' complaints, which nobody sends again either
			if st.Self >= 0 && st.Phase == dkg.Complain && heard && st.Members[st.Self].Contributed > 0 {
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", err
	}
	if err := c.Kill(victim); err != nil {
		return "", err
	}
	if err := c.Start(victim); err != nil {
		return "", err
	}
	if err := c.Await(ctx, m.Name+" to be back", func() bool { return c.ready(victim) }); err != nil {
		return "", err
	}
	back := c.Node(victim).Snapshot().TipHeight()
	var q state.Quorum
	err = c.Await(ctx, "the quorum to be mined", func() bool {
		q = s.platformQuorums()[0]
		return q.Base >= base
	})
	if err != nil {
		return "", err
	}
	i, member := q.Index(m.ProTxHash)
	// Valid is also a member that contributed and never came back.
	if q.Base != base || !member || !q.Commitment.ValidMembers.Has(i) || !q.Commitment.Signers.Has(i) {
		return "", fmt.Errorf("%s, killed at height %d and back at %d, %w: it is not valid and a signer in the quorum from block %d on; wanted that from %d on", m.Name, killed, back, errTooLate, q.Base, base)
	}
	if err := c.Await(ctx, m.Name+" to have its share of the quorum's key", func() bool { return c.nodes[victim].disk.hasShare(q) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, killed at height %d after the contributions, was back at %d, signed and has its share of the key in %s", m.Name, killed, back, quorumText(q)), nil
}
