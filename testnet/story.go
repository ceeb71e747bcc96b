package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Sizes of a story's network, in nodes.
const (
	MinStoryNodes = 10
	MaxStoryNodes = 30
)

// StoryOptions of the tale that `proctor demo` tells.
type StoryOptions struct {
	Nodes   int    // MinStoryNodes to MaxStoryNodes
	Seed    uint64 // keys follow from it
	Profile string // rule profile
	Dir     string // an empty or missing directory for everything the nodes write
}

// The story's clock: more slots lie in the past than the height window is
// wide, and a step that takes longer than its limit has failed.
const (
	storySlot    = 700 * time.Millisecond
	storyHistory = params.BanWindow + params.BanHeightSlack + 40
	stepLimit    = 20 * time.Second
	testsLimit   = 75 * time.Second // of a step that waits for testers: 100 blocks
)

// Step is one claim of the story and whether it was observed.
type Step struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Listener hears the story while it happens.
type Listener struct {
	Begins   func(name, title string)
	Progress func(text string) // once a second or so, while a step goes on
	Ends     func(Step)
}

// Story is a network and what happens to it.
type Story struct {
	Cluster *Cluster
	Steps   []Step

	options   StoryOptions
	listener  Listener
	strangers int
	past      past
	tests     tests
	quorums   quorums
	shown     atomic.Pointer[node.Node] // whose height the progress tells; nil until all nodes run
}

// Check reports what is wrong with o.
func (o StoryOptions) Check() error {
	if o.Nodes < MinStoryNodes || o.Nodes > MaxStoryNodes {
		return fmt.Errorf("%d nodes, want %d to %d", o.Nodes, MinStoryNodes, MaxStoryNodes)
	}
	if _, err := params.ProfileByName(o.Profile); err != nil {
		return err
	}
	return checkEmpty(o.Dir)
}

// checkEmpty reports an error unless dir is empty or missing.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("directory %s is not empty", dir)
	}
	return nil
}

// Tell makes the network and lets everything happen to it. The error is for
// what kept the story from going on; a claim that was not observed is a Step
// that is not OK. Close the story in any case.
func Tell(ctx context.Context, o StoryOptions, l Listener) (*Story, error) {
	s := &Story{options: o, listener: l}
	s.tests.culprit, s.tests.spared = nobody, s.dead()
	for _, chapter := range s.chapters() {
		l.Begins(chapter.name, chapter.title)
		step := s.tell(ctx, chapter)
		s.Steps = append(s.Steps, step)
		l.Ends(step)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if s.Cluster == nil && !step.OK {
			return s, errors.New(step.Detail)
		}
	}
	return s, nil
}

type chapter struct {
	name, title string
	limit       time.Duration
	tell        func(context.Context) (string, error)
}

// chapters are told one after the other, but what they tell of goes on at the
// same time: the testers do not wait for the bans.
func (s *Story) chapters() []chapter {
	return []chapter{
		{"history", fmt.Sprintf("%d blocks of the past, by the same engines in virtual time", storyHistory), stepLimit, s.history},
		{"network", fmt.Sprintf("%d nodes start", s.options.Nodes), stepLimit, s.start},
		{"valid-ban", "a platform quorum bans an evonode", stepLimit, s.validBan},
		{"forgery", "a stranger sends a ban with a wrong signature", stepLimit, s.forgery},
		{"genuine-after-forgery", "the genuine message follows the forged one", stepLimit, s.genuine},
		{"one-block-too-old", "a ban signed one block before the window", stepLimit, s.oneTooOld},
		{"far-too-old", "a ban signed far before the window", stepLimit, s.farTooOld},
		{"unknown-node", "a ban of a node nobody registered", stepLimit, s.unknownNode},
		{"regular-node", "a ban of a regular masternode", stepLimit, s.regularNode},
		{"endpoint-dead", "an evonode's platform endpoint died: members of the quorum notice", testsLimit, s.endpointDead},
		{"silent-nodes", "two nodes have been silent since the past: testers notice", testsLimit, s.silentNodes},
		{"second-address", "a node proves its uptime from a second address", testsLimit, s.secondAddress},
		{"crash", "a node is killed without warning and started again", stepLimit, s.crash},
		{"update-service", "the banned evonode announces its service", stepLimit, s.updateService},
		{"killed-in-dkg", "a member is killed while a quorum is made, and comes back in time", testsLimit, s.killedInDKG},
		{"voted-out", "members put the dead evonode out of two quorums", testsLimit, s.votedOut},
		{"recommissioned", "one of the silent nodes proves its uptime again", testsLimit, s.recommissioned},
		{"deregistered", "the other silent node runs out of credit", testsLimit, s.deregistered},
		{"missing-checkpoint", "a tester withholds the hash of a block", testsLimit, s.missingCheckpoint},
		{"probation", "it publishes its hashes again", testsLimit, s.probation},
		{"revived", "the repaired evonode is in a quorum again", testsLimit, s.revived},
		{"lying-tester", "all the time a tester said that a healthy node fails", stepLimit, s.lyingTester},
	}
}

func (s *Story) tell(ctx context.Context, c chapter) Step {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	type told struct {
		detail string
		err    error
	}
	done := make(chan told, 1)
	go func() {
		detail, err := c.tell(ctx)
		done <- told{detail, err}
	}()
	for {
		select {
		case t := <-done:
			if t.err != nil {
				return Step{c.name, false, t.err.Error()}
			}
			return Step{c.name, true, t.detail}
		case <-ticks.C:
			s.listener.Progress(c.title + s.where())
		}
	}
}

// OK reports whether every claim was observed.
func (s *Story) OK() bool {
	return !slices.ContainsFunc(s.Steps, func(st Step) bool { return !st.OK })
}

// Close stops the network.
func (s *Story) Close() error {
	if s.Cluster == nil {
		return nil
	}
	return errors.Join(s.endLying(), s.Cluster.Close(), s.closePlatforms())
}

func (s *Story) start(ctx context.Context) (string, error) {
	began := time.Now()
	c, err := s.past.simulation.Cluster(s.options.Dir)
	if err != nil {
		return "", err
	}
	s.Cluster = c
	s.tests.silence(s.joining(), true) // a short proof interval had not let them be stale in the past
	s.tests.silence(s.returning(), true)
	c.mute = s.tests.mute
	c.Members[s.moving()].Announced = s.movedTo()
	if err := c.WriteFiles(); err != nil {
		return "", err
	}
	if err := s.openPlatforms(); err != nil {
		return "", err
	}
	if err := c.StartAll(ctx); err != nil {
		return "", err
	}
	s.quorums.died = s.height()
	if err := s.killPlatform(s.dead()); err != nil {
		return "", err
	}
	s.shown.Store(c.Node(0)) // an author: it runs to the end
	if err := s.startLying(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d nodes synced at height %d and in the mesh after %s", len(c.Members), s.height(), round(time.Since(began))), nil
}

// The roles, from the last member down, so that the first ones, which make
// the blocks, have none.
func (s *Story) role(i int) int { return s.options.Nodes - 1 - i }

func (s *Story) joining() int   { return s.role(0) } // registered late, silent for ever; the forger lies about it
func (s *Story) dead() int      { return s.role(2) } // its platform endpoint dies
func (s *Story) returning() int { return s.role(3) } // silent for a while
func (s *Story) victim() int    { return s.role(4) } // killed
func (s *Story) moving() int    { return s.role(5) } // has a second address

// target is the evonode the first ban hits: the last one of the genesis,
// registered without an address and so PoSe-banned until it announces one.
// That makes its update-service a revival, which clears the flag in either
// rule profile.
func (s *Story) target() Member { return s.Cluster.Members[s.role(1)] }

// second is the evonode that the forger lies about.
func (s *Story) second() Member { return s.Cluster.Members[s.joining()] }

// hearing is how many nodes, the first ones, hear the forger.
func (s *Story) hearing() int { return min(max(3, s.options.Nodes/2), s.options.Nodes-6) }

func (s *Story) height() int32 { return s.Cluster.Node(0).Snapshot().TipHeight() }

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

// Row is what the closing table says about a node.
type Row struct {
	Node   string   `json:"node"`
	Height int32    `json:"height"`
	Synced bool     `json:"synced"`
	Peers  int      `json:"peers"`
	Flags  []string `json:"flags"`  // evonodes whose flag is set
	Bans   int      `json:"banned"` // peers refused
	Root   string   `json:"state_root"`
}

// Table returns a row for every node.
func (s *Story) Table() (rows []Row) {
	for _, i := range s.Cluster.Running() {
		n := s.Cluster.Node(i)
		view := n.Snapshot()
		row := Row{
			Node:   s.Cluster.Members[i].Name,
			Height: view.TipHeight(),
			Synced: view.Synced(),
			Peers:  len(n.Gossip().Peers()),
			Bans:   int(s.Cluster.Value(i, "proctor_gossip_bans_active")),
			Root:   view.State.Root().Short(),
		}
		for _, m := range s.Cluster.Members {
			if view.Flag(m.ProTxHash).Set() {
				row.Flags = append(row.Flags, m.Name)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func round(d time.Duration) string {
	return strings.TrimSpace(d.Round(time.Millisecond).String())
}
