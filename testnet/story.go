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

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
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
