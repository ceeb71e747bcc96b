package main

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

func explainCommand() *cobra.Command {
	var path string
	height := whole{most: math.MaxInt32}
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain PROTX|NAME",
		Short: "Say why a service node is in its state: who saw what, and the arithmetic",
		Long: `Say how a service node came to its state. For each change: what the testers saw and
answered, the certificate of their signatures, the block that carried it, the credit
as a sum, what that led to; for each rise of its PoSe score the session of DKG that
found it not valid; of a banned evonode the quorum that signed, and what this node saw of
its platform endpoint. Then what comes next, and what to do about it. The node is named
by its ProTxHash, or by its name in the genesis.

The node that is asked tells what it stored with each block: what it did not hear, it
does not show. It keeps the newest 256 changes of each service node.

Exit codes: 0 explained, 1 no such node or no answer, 2 the input cannot be used.`,
		Example: `  proctor explain regular-3 --config evo-1/proctor.toml
  proctor explain evo-2 --at 655 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" {
				return unusable{fmt.Errorf(`"" is neither a ProTxHash nor a name; proctor nodes lists both`)}
			}
			params := []any{args[0]}
			if c.Flags().Changed("at") {
				params = append(params, height.value)
			}
			var x node.Explanation
			if err := ask(c.Context(), path, "explain", &x, params...); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), x)
			}
			var text strings.Builder
			printHistory(&text, x)
			_, err := io.WriteString(c.OutOrStdout(), text.String())
			return err
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	c.Flags().Var(&height, "at", "height to explain; the tip when left out")
	c.Flags().Lookup("at").DefValue = ""
	return c
}

func printHistory(w io.Writer, x node.Explanation) {
	fmt.Fprintf(w, "%s  %s\n", title(x.Name, x.ProTxHash), x.ProTxHash)
	fmt.Fprintf(w, "at height %d of %d: %s\n", x.Height, x.Tip, standing(x))
	if x.Credit != nil {
		fmt.Fprintf(w, "credit %d blocks = %s\n", x.Credit.Total, sum(x.Credit.Base, x.Credit.Earned, x.Credit.ActiveBlocks, x.Credit.Down))
	}
	if n := x.Node; n != nil {
		fmt.Fprintf(w, "%s; %s\n", lastProof(n), payment(n))
	}
	if len(x.Decisions) == 0 && x.State != "gone" {
		fmt.Fprintln(w, "nothing was decided about it since the genesis")
	}
	for _, d := range x.Decisions {
		fmt.Fprintf(w, "\nblock %d  %s\n", d.Height, d.BlockHash)
		for _, p := range d.Punishments {
			printPunishment(w, p)
		}
		for _, t := range d.Transitions {
			printTransition(w, x, d, t)
		}
	}
	printPlatformBan(w, x)
	next, do := outlook(x)
	printList(w, "what comes next", next)
	printList(w, "what to do", do)
}

func printList(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  - %s\n", l)
	}
}

// standing is a node's state with what else stands against it.
func standing(x node.Explanation) string {
	switch t := x.Tombstone; {
	case t != nil && t.Deregistered:
		return fmt.Sprintf("deregistered in block %d for %s", t.Height, t.Cause)
	case t != nil:
		return fmt.Sprintf("left in good order in block %d", t.Height)
	case x.State == "gone":
		return "not registered"
	}
	words := x.State
	if n := x.Node; n != nil {
		if n.State == state.Decommissioned.String() && n.Cause != nil {
			words += fmt.Sprintf(" since block %d for %s", n.DecommissionedHeight, *n.Cause)
		}
		switch {
		case n.PoSeBanned:
			words += ", PoSe-banned"
		case n.PoSeScore > 0:
			words += fmt.Sprintf(", PoSe score %d of %d", n.PoSeScore, n.PoSeMaximum)
		}
		if n.PlatformBanFlag {
			words += ", platform-ban flag set"
		}
	}
	return words
}

func lastProof(n *node.ServiceNode) string {
	if n.ProofHeight < 0 {
		return "no uptime proof of it was ever heard here"
	}
	return fmt.Sprintf("its last uptime proof was heard here at height %d, %d blocks ago", n.ProofHeight, n.ProofAge)
}

func payment(n *node.ServiceNode) string {
	if n.RewardPosition == 0 {
		return "it is not in the order of rewards"
	}
	return fmt.Sprintf("it is number %d in the order of rewards", n.RewardPosition)
}

func printTransition(w io.Writer, x node.Explanation, d engine.Decision, t state.Transition) {
	if t.Cause.Answer == 0 {
		fmt.Fprintf(w, "  event        %s\n", t.Cause.Event)
	} else {
		printCertificate(w, x, d, t.Cause)
	}
	if t.From != 0 {
		fmt.Fprintf(w, "  credit       %d blocks = %s%s\n", t.Credit, sum(t.CreditBase, t.Earned, t.ActiveBlocks, t.DownBlocks), measured(t))
	}
	if t.Cause.Answer.Fails() {
		fmt.Fprintf(w, "  network      %d active and %d decommissioned before; up to %d may be decommissioned at once\n", t.Active, t.Decommissioned, t.Brake)
	}
	fmt.Fprintf(w, "  result       %s\n", result(t))
}

// printCertificate tells of a certificate from the observations on.
func printCertificate(w io.Writer, x node.Explanation, d engine.Decision, c state.Cause) {
	q := c.QuorumHeight
	fmt.Fprintf(w, "  observed     %s\n", meaning(c.Answer))
	fmt.Fprintf(w, "  answers      %d of the testers drawn by block %d (%s) said at height %d or soon after: %s\n",
		bits.OnesCount16(c.Voters), q, c.QuorumHash.Short(), q+params.VoteDelay, c.Answer)
	for _, v := range d.Voters {
		fmt.Fprintf(w, "    %-10s %s\n", title(x.Names[v.ProTxHash.String()], v.ProTxHash), observation(c.Answer, q, v))
	}
	fmt.Fprintf(w, "  certificate  their signatures in one; blocks %d to %d could carry it\n", q+params.CertificateFirst, q+params.CertificateLast)
	fmt.Fprintf(w, "  block        %d carried it, in slot %d\n", d.Height, d.Slot)
}

func meaning(a wire.Answer) string {
	switch a {
	case wire.FailsUptime:
		return "no fresh uptime proof of it was heard"
	case wire.FailsCheckpoint:
		return "it owed the hash of a block and did not publish it"
	case wire.TwoAddresses:
		return "it gave two addresses within a day"
	default:
		return "it was decommissioned and passes its tests again"
	}
}

// measured compares the credit with what was decided by it.
func measured(t state.Transition) string {
	switch {
	case !t.Cause.Answer.Fails():
		return ""
	case t.From == state.Active && t.Credit >= t.MinimumCredit:
		return fmt.Sprintf("; that is %d or more", t.MinimumCredit)
	case t.From == state.Active:
		return fmt.Sprintf("; that is less than %d", t.MinimumCredit)
	default:
		return "; that is less than 0"
	}
}

// result is what a transition did.
func result(t state.Transition) string {
	change := fmt.Sprintf("%s -> %s", orGone(t.From), orGone(t.To))
	switch {
	case t.To == 0 && t.Cause.Answer != 0:
		return fmt.Sprintf("%s: deregistered, its stake is locked until height %d", change, t.UnlockHeight)
	case t.To == 0:
		return fmt.Sprintf("%s: it left in good order, its stake is free", change)
	case t.Cause.Answer == wire.TwoAddresses:
		return change + ": it stays active and goes to the end of the order of rewards"
	case t.To == state.Decommissioned:
		return fmt.Sprintf("%s: no rewards and duties; of its credit of %d blocks each block takes one", change, t.NewCredit)
	case t.From == state.Decommissioned:
		return fmt.Sprintf("%s: at the end of the order of rewards, with a credit of %d blocks", change, t.NewCredit)
	case t.To == state.Active:
		return fmt.Sprintf("%s: its stake is complete; it begins with a credit of %d blocks", change, t.NewCredit)
	default:
		return change + ": it awaits the rest of its stake"
	}
}

func sum(base, earned, active, down int32) string {
	text := fmt.Sprintf("%d at the start + %d earned in %d active blocks", base, earned, active)
	if down > 0 {
		text += fmt.Sprintf(" - %d blocks decommissioned", down)
	}
	return text
}

func orGone(s state.Service) string {
	if s == 0 {
		return "not registered"
	}
	return s.String()
}

// observation is what a tester drawn by the block at height q says it saw.
func observation(a wire.Answer, q int32, v engine.Voter) string {
	e := v.Evidence
	switch {
	case e == nil:
		return "its vote was not heard here; the certificate has its signature"
	case a == wire.FailsCheckpoint:
		return fmt.Sprintf("heard no hash of block %d from it", e.First)
	case a == wire.TwoAddresses:
		return fmt.Sprintf("saw one address last at height %d, another at %d (%s)", e.First, e.Second, e.Digest.Short())
	case e.First == state.NoHeight:
		return "never heard an uptime proof of it"
	default:
		return fmt.Sprintf("last heard its uptime proof %s at height %d, %d blocks before", e.Digest.Short(), e.First, max(0, q+params.VoteDelay-e.First))
	}
}

// outlook says what comes next for a node, and what its operator can do.
func outlook(x node.Explanation) (next, do []string) {
	name := title(x.Name, x.ProTxHash)
	if t := x.Tombstone; t != nil {
		return departed(x, *t)
	}
	n := x.Node
	if n == nil {
		if x.Height < x.Tip {
			next = append(next, fmt.Sprintf("height %d is past; proctor explain %s tells of the present", x.Height, name))
		}
		return next, nil
	}
	if x.Name == "" {
		name = x.ProTxHash.String()
	}
	switch n.State {
	case state.Awaiting.String():
		next = append(next, fmt.Sprintf("it has a stake of %d; until that is complete it is not tested and has no duties and rewards", n.Stake))
		do = append(do, fmt.Sprintf("add stake: proctor event contribute --node %s --staker-key FILE --amount N --submit", name))
	case state.Decommissioned.String():
		next, do = comeback(x, *n)
	default:
		next = append(next, ifItFails(*x.Credit))
	}
	update := fmt.Sprintf("proctor event update-service --node %s --operator-key FILE --address MULTIADDRESS --submit", name)
	if n.PoSeBanned {
		next = append(next, "while it is PoSe-banned it is not drawn to test and not rewarded; no time ends that")
		do = append(do, "mend it, then, unless its operator revoked it, revive it: "+update)
	}
	if n.PlatformBanFlag {
		next = append(next, "while its platform-ban flag is set, members that have heard the ban vote it out of new quorums, and its PoSe score rises with each")
		do = append(do, "mend its Platform service, then clear the flag (profile core: always; spec: if it was PoSe-banned): "+update)
	}
	if last := lastAnswer(x); last == wire.TwoAddresses {
		do = append(do, "run it at one address only, or name one in p2p.announce")
	}
	return next, do
}

// lastAnswer is the answer behind the newest change of state; 0 if it was an
// event.
func lastAnswer(x node.Explanation) wire.Answer {
	for _, d := range slices.Backward(x.Decisions) {
		if n := len(d.Transitions); n > 0 { // else its PoSe score was all that changed
			return d.Transitions[n-1].Cause.Answer
		}
	}
	return 0
}

func ifItFails(c node.Credit) string {
	if c.Total >= c.Minimum {
		return fmt.Sprintf("if it fails a test now it is decommissioned, and has %d blocks to pass again", c.Total)
	}
	return fmt.Sprintf("if it fails a test now it is deregistered, as its credit is below %d", c.Minimum)
}

func departed(x node.Explanation, t state.Tombstone) (next, do []string) {
	switch {
	case !t.Deregistered:
	case x.Tip < t.UnlockHeight:
		next = append(next, fmt.Sprintf("its stake is free from height %d on, in %d blocks", t.UnlockHeight, t.UnlockHeight-x.Tip))
	default:
		next = append(next, fmt.Sprintf("its stake is free since height %d", t.UnlockHeight))
	}
	if t.Deregistered {
		do = append(do, "find out why it failed before it is registered again")
	}
	return next, append(do, "register it anew, with the same keys if they are safe and with stake that is free: proctor event register --help")
}

// comeback tells what a decommissioned node has to do, and until when.
func comeback(x node.Explanation, n node.ServiceNode) (next, do []string) {
	if left := x.Credit.Total; left >= 0 {
		next = append(next, fmt.Sprintf("its credit is used up after block %d: from block %d on, if it still fails, it is deregistered and its stake locked",
			x.Height+left, int64(x.Height)+int64(left)+1))
	} else {
		next = append(next, "its credit is used up: the next certificate of a failed test deregisters it and locks its stake")
	}
	next = append(next, "when it passes, the testers recommission it at the end of the order of rewards")
	do = append(do, "run proctor health with its configuration: it must run, be synced and have peers")
	if n.Cause != nil && *n.Cause == wire.FailsCheckpoint {
		return next, append(do, fmt.Sprintf("let it follow the chain: it comes back once it has published the last %d block hashes due", params.ProbationHashes))
	}
	where := "no address"
	if len(n.Addresses) > 0 {
		where = strings.Join(n.Addresses, ", ")
	}
	return next, append(do, "see that its uptime proofs reach the others: it is registered or announced at "+where)
}
