package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
)

func rulesCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "rules",
		Short: "Calculate what the rules would do",
		Example: `  proctor rules credit --active 1800 --decommissioned 121
  proctor rules pose --nodes 5000 --fail 1,1734 --until 5000`,
	}
	group.AddCommand(rulesCreditCommand(), rulesPoSeCommand())
	return group
}

// Limits of what the calculators take.
const (
	maxBlocks   = 1_000_000_000 // blocks; twice as many still fit into a height
	maxPoSe     = 1_000_000     // registered nodes
	maxFailures = 1000
)

// rulesOf are the rules of a profile in nominal blocks of 120 s, which the
// published rules count in.
func rulesOf(profile string) (params.Service, params.Profile, error) {
	p, err := params.ProfileByName(profile)
	if err != nil {
		return params.Service{}, p, unusable{fmt.Errorf("--profile: %w", err)}
	}
	n, err := params.NetworkByName("devnet")
	return n.Service(p), p, err
}

func profileFlag(c *cobra.Command, profile *string) {
	c.Flags().StringVar(profile, "profile", "spec", "rule profile: spec or core")
}

// whole is the value of a flag: a whole number between limits.
type whole struct {
	value       int32
	least, most int32
}

func (w *whole) String() string { return strconv.Itoa(int(w.value)) }
func (w *whole) Type() string   { return "number" }

// Set reads the number. The flag's name and what was given are added by pflag.
func (w *whole) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < int64(w.least) || n > int64(w.most) {
		return fmt.Errorf("want a whole number from %d to %d", w.least, w.most)
	}
	w.value = int32(n)
	return nil
}

// need refuses a command line without one of these flags.
func need(c *cobra.Command, flags ...string) error {
	for _, f := range flags {
		if !c.Flags().Changed(f) {
			return unusable{fmt.Errorf("--%s is not given: %s; see `%s --help`", f, c.Flags().Lookup(f).Usage, c.CommandPath())}
		}
	}
	return nil
}

// CreditAnswer is what `rules credit --json` prints.
type CreditAnswer struct {
	Credit       int32  `json:"credit"` // blocks of decommission; negative once it is overdrawn
	IfFailingNow string `json:"if_failing_now"`
}

// What failing its tests would do to a node: the values of IfFailingNow.
const (
	wouldDecommission = "decommissioned"
	wouldDeregister   = "deregistered"
	wouldNothing      = "nothing"
)

func rulesCreditCommand() *cobra.Command {
	active, down, start := whole{most: maxBlocks}, whole{most: maxBlocks}, whole{}
	var profile string
	var asJSON bool
	c := &cobra.Command{
		Use:   "credit",
		Short: "Calculate a service node's credit and what a failed test would do",
		Long: `Calculate the credit of a service node, in blocks of two minutes: what it has after
so many active blocks and, if --decommissioned is given, after so many blocks of
decommission since. Without --decommissioned the node is active; with it, 0
included, it is decommissioned.

What failing its tests now would do to it is one of
  decommissioned  it is active and has 60 blocks or more
  deregistered    it is active and has less, or decommissioned and has less than 0
  nothing         it is decommissioned and has 0 or more: it is left alone
The brake on the number of decommissioned nodes is not considered.

Exit codes: 0 calculated, 2 the input cannot be used.`,
		Example: `  proctor rules credit --active 720
  proctor rules credit --active 1800 --decommissioned 121
  proctor rules credit --active 839 --credit-at-start 32 --profile core --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := need(c, "active"); err != nil {
				return err
			}
			rules, _, err := rulesOf(profile)
			if err != nil {
				return err
			}
			down := down
			if !c.Flags().Changed("decommissioned") {
				down.value = state.NoHeight
			}
			n := nodeAfter(start.value, active.value, down.value)
			height := active.value + max(down.value, 0)
			answer := CreditAnswer{n.Credit(height, rules), ifFailing(n, height, rules)}
			if asJSON {
				return printJSON(c.OutOrStdout(), answer)
			}
			parts := n.CreditParts(height, rules)
			fmt.Fprintf(c.OutOrStdout(), "credit          %d blocks = %s\nif failing now  %s\n",
				answer.Credit, sum(parts.Base, parts.Earned, parts.Active, parts.Down), answer.IfFailingNow)
			return nil
		},
	}
	rules, _, err := rulesOf("spec")
	if err != nil {
		panic(err) // it is in the table
	}
	start.value, start.most = rules.InitialCredit, rules.MaxCredit // both profiles have the same
	c.Flags().Var(&active, "active", "blocks that the node has been active (required)")
	c.Flags().Var(&down, "decommissioned", "blocks that it has been decommissioned since; not given for a node that is active")
	c.Flags().Var(&start, "credit-at-start", "credit it had when it became active, blocks; the default is a new node's")
	c.Flags().Lookup("decommissioned").DefValue = ""
	profileFlag(c, &profile)
	jsonFlag(c, &asJSON)
	return c
}

// nodeAfter is a node that became active at height 0 and was decommissioned
// after so many active blocks, down blocks ago; not at all if down is NoHeight.
func nodeAfter(credit, active, down int32) state.Node {
	n := state.Node{CreditBase: credit, DecommissionedHeight: state.NoHeight}
	if down != state.NoHeight {
		n.DecommissionedHeight = active
	}
	return n
}

func ifFailing(n state.Node, height int32, r params.Service) string {
	credit := n.Credit(height, r)
	switch decommissioned := n.Service() == state.Decommissioned; {
	case decommissioned && credit >= 0:
		return wouldNothing
	case !decommissioned && credit >= r.MinimumCredit:
		return wouldDecommission
	default:
		return wouldDeregister
	}
}

// PoSeAnswer is what `rules pose --json` prints.
type PoSeAnswer struct {
	Events []PoSeEvent `json:"events"`
	Score  int32       `json:"score"`  // at the end
	Status string      `json:"status"` // at the end
}

// PoSeEvent is one row of the history of a PoSe score.
type PoSeEvent struct {
	Height int32  `json:"height"`
	Event  string `json:"event"`  // blocks or dkg-failure
	Change int32  `json:"change"` // of the score, since the row before
	Score  int32  `json:"score"`
	Status string `json:"status"` // valid or banned
}

// heights is the value of a flag: heights that ascend, separated by commas.
type heights []int32

func (h *heights) String() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]int32(*h))), ","), "[]")
}
func (h *heights) Type() string { return "heights" }

// Set appends heights.
func (h *heights) Set(text string) error {
	for _, t := range strings.Split(text, ",") {
		one := whole{most: maxBlocks}
		if err := one.Set(strings.TrimSpace(t)); err != nil {
			return fmt.Errorf("%.40q is no height: %w", t, err)
		}
		if n := len(*h); n > 0 && one.value < (*h)[n-1] {
			return fmt.Errorf("height %d stands after %d: heights ascend, and may repeat", one.value, (*h)[n-1])
		}
		if len(*h) == maxFailures {
			return fmt.Errorf("more than %d heights", maxFailures)
		}
		*h = append(*h, one.value)
	}
	return nil
}

func rulesPoSeCommand() *cobra.Command {
	nodes, until := whole{least: 1, most: maxPoSe}, whole{most: maxBlocks}
	var failures heights
	var profile string
	var asJSON bool
	c := &cobra.Command{
		Use:   "pose",
		Short: "Calculate a PoSe score over failed DKG sessions",
		Long: `Calculate how the PoSe score of a service node rises with each DKG session that it
fails, falls by one with each block, and bans it, in a network of so many
registered nodes.

A row is one of
  dkg-failure  the block at this height reports a failed session
  blocks       what the blocks since the row before took off the score: before
               each failure, at the end of each payment cycle (as many blocks as
               nodes), and at --until
Rows in which the score does not change are left out, but for the last.
The status is valid or banned; the score of a banned node does not fall.

Exit codes: 0 calculated, 2 the input cannot be used.`,
		Example: `  proctor rules pose --nodes 5000 --fail 1,1734,5500,7000 --until 10000
  proctor rules pose --nodes 100 --fail 24,24 --until 30 --profile core --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := need(c, "nodes", "fail", "until"); err != nil {
				return err
			}
			_, p, err := rulesOf(profile)
			if err != nil {
				return err
			}
			if last := failures[len(failures)-1]; last > until.value {
				return unusable{fmt.Errorf("--fail: height %d is above --until %d", last, until.value)}
			}
			answer := poseAnswer(p, nodes.value, failures, until.value)
			if asJSON {
				return printJSON(c.OutOrStdout(), answer)
			}
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "HEIGHT\tEVENT\tCHANGE\tSCORE\tSTATUS")
			for _, e := range answer.Events {
				fmt.Fprintf(t, "%d\t%s\t%+d\t%d\t%s\n", e.Height, e.Event, e.Change, e.Score, e.Status)
			}
			return t.Flush()
		},
	}
	c.Flags().Var(&nodes, "nodes", "registered nodes (required)")
	c.Flags().Var(&failures, "fail", "heights of failed DKG sessions, ascending, separated by commas (required)")
	c.Flags().Var(&until, "until", "height to calculate up to (required)")
	profileFlag(c, &profile)
	jsonFlag(c, &asJSON)
	return c
}

// poseHistory gathers the rows of a PoSe score.
type poseHistory struct {
	rows []PoSeEvent
	pose state.PoSe
	last int32 // height of the last row
	step int32 // blocks of a payment cycle
}

func poseAnswer(p params.Profile, nodes int32, failures []int32, until int32) PoSeAnswer {
	h := &poseHistory{pose: state.NoPoSe(), step: nodes}
	for _, height := range failures {
		h.blocks(height)
		before := h.pose.At(height)
		h.pose = h.pose.Punish(height, int(nodes), p)
		h.row(height, "dkg-failure", before)
	}
	h.blocks(until)
	if h.last != until { // failures are not above it
		h.row(until, "blocks", h.pose.At(until))
	}
	return PoSeAnswer{h.rows, h.pose.At(until), poseStatus(h.pose)}
}

// blocks lets the score fall up to a height.
func (h *poseHistory) blocks(height int32) {
	for h.last < height && h.pose.At(h.last) > h.pose.At(height) {
		before := h.pose.At(h.last)
		end := min(int64(height), (int64(h.last)/int64(h.step)+1)*int64(h.step))
		h.row(int32(end), "blocks", before)
	}
}

func (h *poseHistory) row(height int32, event string, before int32) {
	after := h.pose.At(height)
	h.rows = append(h.rows, PoSeEvent{height, event, after - before, after, poseStatus(h.pose)})
	h.last = height
}

func poseStatus(p state.PoSe) string {
	if p.Banned() {
		return "banned"
	}
	return "valid"
}
