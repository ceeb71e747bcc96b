package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The part of the story in which service nodes test each other.

// past is what happened before the nodes of the story start.
type past struct{ simulation *Simulation }

// storyEvonodes is how many evonodes there are at most: all of them find a
// place in every quorum.
const storyEvonodes = 12

// joinHeight is when the last member registers: late, so that it has little
// credit.
const joinHeight = 500

// history lets the past happen. Two nodes fall silent in it, early enough for
// testers to notice soon after the others start.
func (s *Story) history(context.Context) (string, error) {
	began := time.Now()
	n, err := NewNetwork(Options{
		Nodes: s.options.Nodes, Regular: max(2, s.options.Nodes-storyEvonodes), Seed: s.options.Seed, Profile: s.options.Profile,
		Slot: storySlot, History: storyHistory, Now: time.Now(), Authorities: maxAuthors, Unannounced: 1, Unregistered: 1,
		Platforms: true,
	})
	if err != nil {
		return "", err
	}
	sim, err := n.Simulate(Link{Mute: s.tests.mute}, s.options.Seed)
	if err != nil {
		return "", err
	}
	s.past.simulation = sim
	for sim.Slot+1 < n.Genesis.SlotAt(time.Now()) { // the present slot is left to the nodes
		if err := sim.Run(1); err != nil {
			return "", err
		}
		if err := s.happens(sim); err != nil {
			return "", err
		}
	}
	tip := sim.Engine(0).Snapshot()
	quorums := slices.Collect(tip.State.Quorums(tip.State.PlatformType()))
	if len(quorums) == 0 {
		return "", ErrNoQuorum
	}
	return fmt.Sprintf("%d blocks, %d of them final, by %d engines with real proofs, votes and draws in %s; %s joined at height %d with two stakers; %d quorums, the newest: %s",
		tip.TipHeight(), tip.Final.Height, s.options.Nodes, round(time.Since(began)), n.Members[s.joining()].Name, joinHeight, len(quorums), quorumText(quorums[0])), nil
}

// happens is what people do in the past.
func (s *Story) happens(sim *Simulation) error {
	joining, helper := sim.Members[s.joining()], sim.Members[0]
	view := sim.Engine(0).Snapshot()
	quiet := int32(storyHistory) - view.State.Rules().ProofValidity + 12
	submit := func(e wire.Event) error {
		if v := sim.Submit(0, e); !v.OK() {
			return fmt.Errorf("%s of the past is judged %s", e.Kind(), v.Reason)
		}
		return nil
	}
	switch view.TipHeight() {
	case joinHeight:
		return submit(sim.Joining(joining))
	case joinHeight + 3:
		return submit(sim.Contribute(helper, joining.ProTxHash, StakingRequirement-JoiningStake, 0))
	case quiet:
		s.tests.silence(s.joining(), true)
		s.tests.silence(s.returning(), true)
	}
	return nil
}

const nobody = -1

// tests is what the story does to testers while they work.
type tests struct {
	mu      sync.Mutex
	silent  map[int]bool // members that ever were silent: whether their uptime proofs do not go out now
	spared  int          // has had enough
	armed   bool         // the next tester that publishes the hash of a block does not
	culprit int          // the one that did not
	height  int32

	lies  int // false votes sent
	stop  context.CancelFunc
	ended chan error
}

func (t *tests) silence(member int, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.silent == nil {
		t.silent = make(map[int]bool)
	}
	t.silent[member] = on
}

// mute withholds the proofs of the silent, and one hash of one tester.
func (t *tests) mute(member int, p engine.Publication) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Topic == engine.TopicUptime {
		return t.silent[member]
	}
	if p.Topic != engine.TopicCheckpoint {
		return false
	}
	c, err := wire.ParseCheckpoint(p.Bytes)
	if err != nil {
		panic(err) // it is our own
	}
	if _, hasBeen := t.silent[member]; t.armed && member >= maxAuthors && !hasBeen && member != t.spared { // who has been silent has too little credit left
		t.armed, t.culprit, t.height = false, member, c.Height
	}
	return member == t.culprit && c.Height == t.height
}

func (t *tests) withheld() (member int, height int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.culprit, t.height
}

// movedTo is where the moving node says it is now: at its host's other name.
func (s *Story) movedTo() []string {
	m := s.Cluster.Members[s.moving()]
	return []string{fmt.Sprintf("/dns4/localhost/tcp/%d", m.Port)}
}

// where is what the line on the terminal says beside the title, while the
// chapter goes on in another goroutine.
func (s *Story) where() string {
	n := s.shown.Load()
	if n == nil {
		return ""
	}
	return fmt.Sprintf(", block %d", n.Snapshot().TipHeight())
}

func (s *Story) state() state.State { return s.Cluster.Node(0).Snapshot().State }

// awaitDecision waits until a node has come to a state since a height, and
// says why.
func (s *Story) awaitDecision(ctx context.Context, member int, since int32, want func(state.Transition) bool, what string) (engine.Decision, state.Transition, error) {
	m := s.Cluster.Members[member]
	var decision engine.Decision
	var transition state.Transition
	var failed error
	err := s.Cluster.Await(ctx, m.Name+" to be "+what, func() bool {
		var x node.Explanation
		if x, failed = s.Cluster.Node(0).Explain(m.ProTxHash, s.height()); failed != nil {
			return true
		}
		for _, d := range x.Decisions {
			for _, t := range d.Transitions {
				if d.Height > since && want(t) {
					decision, transition = d, t
					return true
				}
			}
		}
		return false
	})
	return decision, transition, errors.Join(err, failed)
}

func came(to state.Service, answer wire.Answer) func(state.Transition) bool {
	return func(t state.Transition) bool { return t.To == to && t.Cause.Answer == answer }
}

func (s *Story) silentNodes(ctx context.Context) (string, error) {
	text := ""
	for _, i := range []int{s.returning(), s.joining()} {
		d, t, err := s.awaitDecision(ctx, i, storyHistory, came(state.Decommissioned, wire.FailsUptime), "decommissioned")
		if err != nil {
			return "", err
		}
		heard, ok := s.Cluster.Node(0).Snapshot().Proofs.Get(s.Cluster.Members[i].ProTxHash) // it has said nothing since
		if !ok || d.Height <= heard.Heard+s.state().Rules().ProofValidity {
			return "", fmt.Errorf("%s was decommissioned in block %d, its last proof was heard at %d", s.Cluster.Members[i].Name, d.Height, heard.Heard)
		}
		text += fmt.Sprintf("%s in block %d, %d blocks after its last proof, by %d testers, credit %d; ", s.Cluster.Members[i].Name, d.Height, d.Height-heard.Heard, len(d.Voters), t.Credit)
	}
	return text + fmt.Sprintf("more than %d at once would have to wait", s.state().Brake()), nil
}

func (s *Story) secondAddress(ctx context.Context) (string, error) {
	d, _, err := s.awaitDecision(ctx, s.moving(), storyHistory, came(state.Active, wire.TwoAddresses), "found to have two addresses")
	if err != nil {
		return "", err
	}
	m := s.Cluster.Members[s.moving()]
	if d.After == nil || d.After.RewardHeight != d.Height || d.After.PenaltyHeight != d.Height {
		return "", fmt.Errorf("%s is not at the bottom of the reward list after block %d", m.Name, d.Height)
	}
	return fmt.Sprintf("%s fell to the bottom of the reward list in block %d, by %d testers; its credit stays", m.Name, d.Height, len(d.Voters)), nil
}

func (s *Story) recommissioned(ctx context.Context) (string, error) {
	c, i := s.Cluster, s.returning()
	down, _ := s.state().Node(c.Members[i].ProTxHash)
	s.tests.silence(i, false)
	d, t, err := s.awaitDecision(ctx, i, down.DecommissionedHeight, came(state.Active, wire.Passes), "recommissioned")
	if err != nil {
		return "", err
	}
	if d.Height < down.DecommissionedHeight+params.CertificateFirst+1 || d.After.RewardHeight != d.Height {
		return "", fmt.Errorf("%s came back in block %d, decommissioned in %d, with its place in the reward list at %d", c.Members[i].Name, d.Height, down.DecommissionedHeight, d.After.RewardHeight)
	}
	return fmt.Sprintf("%s proved its uptime and came back in block %d, %d after it fell, at the bottom of the reward list; credit %d -> %d",
		c.Members[i].Name, d.Height, d.Height-down.DecommissionedHeight, t.Credit, t.NewCredit), nil
}

func (s *Story) missingCheckpoint(ctx context.Context) (string, error) {
	s.tests.mu.Lock()
	s.tests.armed = true
	s.tests.mu.Unlock()
	err := s.Cluster.Await(ctx, "a tester to withhold a hash", func() bool { who, _ := s.tests.withheld(); return who != nobody })
	if err != nil {
		return "", err
	}
	who, height := s.tests.withheld()
	d, t, err := s.awaitDecision(ctx, who, height, came(state.Decommissioned, wire.FailsCheckpoint), "decommissioned")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s published no hash of block %d: decommissioned in block %d by %d of its fellows, credit %d",
		s.Cluster.Members[who].Name, height, d.Height, len(d.Voters), t.Credit), nil
}

func (s *Story) probation(ctx context.Context) (string, error) {
	who, height := s.tests.withheld()
	if who == nobody {
		return "", errors.New("no tester withheld a hash")
	}
	d, _, err := s.awaitDecision(ctx, who, height, came(state.Active, wire.Passes), "recommissioned")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s published %d hashes while decommissioned and came back in block %d", s.Cluster.Members[who].Name, params.ProbationHashes, d.Height), nil
}

func (s *Story) deregistered(ctx context.Context) (string, error) {
	m := s.Cluster.Members[s.joining()]
	d, t, err := s.awaitDecision(ctx, s.joining(), storyHistory, func(t state.Transition) bool { return t.To == 0 }, "deregistered")
	if err != nil {
		return "", err
	}
	grave, dead := s.state().Tombstone(m.ProTxHash)
	owner, _ := s.state().Staker(m.stakerKey())
	switch rules := s.state().Rules(); {
	case !dead || !grave.Deregistered || grave.UnlockHeight != d.Height+rules.StakeLock:
		return "", fmt.Errorf("%s is gone, but its tombstone says %+v", m.Name, grave)
	case t.Credit >= 0:
		return "", fmt.Errorf("%s was deregistered with a credit of %d", m.Name, t.Credit)
	case owner.Free(d.Height) != 2*StakingRequirement-JoiningStake:
		return "", fmt.Errorf("the owner of %s has %d of its stake free", m.Name, owner.Free(d.Height))
	}
	return fmt.Sprintf("%s ran out of credit: %d + %d - %d blocks = %d; deregistered in block %d, the stake of both stakers locked until height %d",
		m.Name, t.CreditBase, t.Earned, t.DownBlocks, t.Credit, d.Height, grave.UnlockHeight), nil
}

// liar and slandered are two of those who make blocks.
const liar, slandered = 1, 2

// startLying lets a tester say at each block that a healthy node fails. Its
// node votes honestly beside it: the lie is told with its keys, by a stranger.
func (s *Story) startLying(ctx context.Context) error {
	p, err := s.stranger(ctx, s.hearing())
	if err != nil {
		return err
	}
	lying, stop := context.WithCancel(context.Background())
	s.tests.stop, s.tests.ended = stop, make(chan error, 1)
	go func() {
		last := int32(0)
		for tick := time.NewTicker(storySlot / 7); ; {
			select {
			case <-tick.C:
			case <-lying.Done():
				tick.Stop()
				s.tests.ended <- p.Close()
				return
			}
			if b, ok := s.lie(); ok && b.Height > last {
				last = b.Height
				v := s.Cluster.Vote(s.Cluster.Members[liar], b, wire.Evidence{First: b.Height - 100, Second: -1})
				p.Say(engine.TopicVote, v.Bytes())
				s.tests.mu.Lock()
				s.tests.lies++
				s.tests.mu.Unlock()
			}
		}
	}()
	return nil
}

// lie is the newest ballot that the liar can cast.
func (s *Story) lie() (wire.Ballot, bool) {
	view := s.Cluster.Node(0).Snapshot()
	l := view.Branch.At(view.TipHeight() - params.VoteDelay)
	if l == nil {
		return wire.Ballot{}, false
	}
	b := wire.Ballot{Height: l.Tip.Height, BlockHash: l.Tip.Hash, ProTxHash: s.Cluster.Members[slandered].ProTxHash, Answer: wire.FailsUptime}
	member, target := view.Answerable(b, s.Cluster.Members[liar].ProTxHash)
	return b, member && target
}

// endLying waits until the liar is silent.
func (s *Story) endLying() error {
	if s.tests.stop == nil {
		return nil
	}
	s.tests.stop()
	s.tests.stop = nil
	return <-s.tests.ended
}

func (s *Story) lyingTester(context.Context) (string, error) {
	if err := s.endLying(); err != nil {
		return "", err
	}
	c := s.Cluster
	heard := c.Value(0, "proctor_gossip_judged_total", "topic", engine.TopicVote.String(), "reason", string(validation.Valid))
	x, err := c.Node(0).Explain(c.Members[slandered].ProTxHash, s.height())
	if err != nil {
		return "", err
	}
	if len(x.Decisions) > 0 || x.State != state.Active.String() {
		return "", fmt.Errorf("%s is %s after %d lies", c.Members[slandered].Name, x.State, s.tests.lies)
	}
	if s.tests.lies == 0 || heard < float64(s.tests.lies)/2 {
		return "", fmt.Errorf("%d lies were told and %v votes heard", s.tests.lies, heard)
	}
	return fmt.Sprintf("%s said of %s %d times that it fails; one vote of the %d needed makes no certificate, and nothing happened",
		c.Members[liar].Name, c.Members[slandered].Name, s.tests.lies, 7), nil
}
