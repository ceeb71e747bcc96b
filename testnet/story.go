package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Sizes of a story's network, in nodes.
const (
	MinStoryNodes = 7
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
	storySlot    = time.Second
	storyHistory = params.BanWindow + params.BanHeightSlack + 40
	stepLimit    = 20 * time.Second
)

// Step is one claim of the story and whether it was observed.
type Step struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Listener hears the story while it happens.
type Listener struct {
	Begins func(name, title string)
	Ends   func(Step)
}

// Story is a network and what happens to it.
type Story struct {
	Cluster *Cluster
	Steps   []Step

	options   StoryOptions
	listener  Listener
	strangers int
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
	for _, chapter := range []struct {
		name, title string
		tell        func(context.Context) (string, error)
	}{
		{"network", fmt.Sprintf("%d nodes start %d blocks after their genesis", o.Nodes, storyHistory-1), s.start},
		{"valid-ban", "a platform quorum bans an evonode", s.validBan},
		{"forgery", "a stranger sends a ban with a wrong signature", s.forgery},
		{"genuine-after-forgery", "the genuine message follows the forged one", s.genuine},
		{"one-block-too-old", "a ban signed one block before the window", s.oneTooOld},
		{"far-too-old", "a ban signed far before the window", s.farTooOld},
		{"unknown-node", "a ban of a node nobody registered", s.unknownNode},
		{"regular-node", "a ban of a regular masternode", s.regularNode},
		{"crash", "a node is killed without warning and started again", s.crash},
		{"update-service", "the banned evonode announces its service", s.updateService},
	} {
		l.Begins(chapter.name, chapter.title)
		limit, cancel := context.WithTimeout(ctx, stepLimit)
		detail, err := chapter.tell(limit)
		cancel()
		step := Step{chapter.name, err == nil, detail}
		if err != nil {
			step.Detail = err.Error()
		}
		s.Steps = append(s.Steps, step)
		l.Ends(step)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if s.Cluster == nil {
			return s, err
		}
	}
	return s, nil
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
	return s.Cluster.Close()
}

func (s *Story) start(ctx context.Context) (string, error) {
	began := time.Now()
	n, err := NewNetwork(Options{
		Nodes:       s.options.Nodes,
		Regular:     s.options.Nodes / 4,
		Seed:        s.options.Seed,
		Profile:     s.options.Profile,
		Slot:        storySlot,
		History:     storyHistory,
		Now:         time.Now(),
		Unannounced: 1,
	})
	if err != nil {
		return "", err
	}
	c, err := NewCluster(n, s.options.Dir)
	if err != nil {
		return "", err
	}
	s.Cluster = c
	if err := c.WriteFiles(); err != nil {
		return "", err
	}
	if err := c.StartAll(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("all synced at height %d and in the mesh after %s; platform quorum of %d with threshold %d, made by a TRUSTED DEALER",
		s.height(), round(time.Since(began)), len(n.Dealer.Shares), n.Dealer.Threshold), nil
}

// target is the evonode the first ban hits: the last one, registered without
// an address and so PoSe-banned until it announces one. That makes its
// update-service a revival, which clears the flag in either rule profile.
func (s *Story) target() Member { return s.Cluster.Members[len(s.Cluster.Members)-1] }

// second is the evonode that the forger lies about.
func (s *Story) second() Member { return s.Cluster.Members[len(s.Cluster.Members)-2] }

func (s *Story) height() int32 { return s.Cluster.Node(0).Snapshot().TipHeight() }

// signed returns a ban signed by a threshold of members, two blocks below the
// tip unless the height is given.
func (s *Story) signed(proTx wire.Hash, height int32) (wire.PlatformBan, error) {
	return s.Cluster.Dealer.Ban(proTx, height, s.Cluster.Dealer.Threshold)
}

func (s *Story) validBan(ctx context.Context) (string, error) {
	ban, err := s.signed(s.target().ProTxHash, s.height()-2)
	if err != nil {
		return "", err
	}
	entry := len(s.Cluster.Members) / 2
	began := time.Now()
	if v := s.Cluster.Node(entry).SubmitBan(ctx, ban.Bytes()); !v.OK() {
		return "", fmt.Errorf("%s judged the ban %s", s.Cluster.Members[entry].Name, v.Reason)
	}
	if err := s.awaitFlag(ctx, s.target(), true); err != nil {
		return "", err
	}
	return fmt.Sprintf("entered at %s; flag of %s on disk on %d of %d nodes after %s",
		s.Cluster.Members[entry].Name, s.target().Name, len(s.Cluster.Members), len(s.Cluster.Members), round(time.Since(began))), nil
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

	heard := max(3, len(c.Members)/2)
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
	for i, m := range c.Members {
		want := 0.0 // nodes behind those that heard it must not have
		if i < heard {
			want = params.PointsBan
		}
		if got := c.Value(i, "proctor_peer_points_total", "reason", string(validation.Signature)); got != want {
			return "", fmt.Errorf("%s gave %v points, want %v", m.Name, got, want)
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
	return fmt.Sprintf("flag of %s set on all %d nodes after %s", s.second().Name, len(s.Cluster.Members), round(time.Since(began))), nil
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
	c, victim := s.Cluster, len(s.Cluster.Members)-3
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
		s.target().Name, node.RevivedHeight, len(c.Members), s.second().Name), nil
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
