package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

func quorumCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "quorum",
		Short: "List, show and verify long-living quorums, and watch them being made",
		Long: `List and show the long-living quorums that a running node knows, watch new ones being
made, and verify the final commitment that makes one.`,
		Example: `  proctor quorum list --config evo-1/proctor.toml
  proctor quorum dkg-status --config evo-1/proctor.toml
  proctor quorum verify-commitment HEX --operator-keys HEX,HEX,HEX`,
	}
	group.AddCommand(quorumListCommand(), quorumInfoCommand(), quorumDKGCommand(), quorumVerifyCommand())
	return group
}

// extendedQuorums are quorums by the name of their type, newest first, each
// under its hash.
type extendedQuorums map[string][]map[string]node.ExtendedQuorum

func quorumListCommand() *cobra.Command {
	var path string
	height := whole{most: math.MaxInt32}
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the quorums that sign",
		Long: `List the quorums of each type that sign, newest first: the height of the base block
whose hash names the quorum, the block that carries its commitment, how many of its
members have a share of its key.

Exit codes: 0 listed, 1 no answer, 2 the input cannot be used.`,
		Example: `  proctor quorum list --config evo-1/proctor.toml
  proctor quorum list --height 620 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var params []any
			if c.Flags().Changed("height") {
				params = append(params, height.value)
			}
			var lists extendedQuorums
			if err := ask(c.Context(), path, "quorum listextended", &lists, params...); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), lists)
			}
			return printQuorums(c.OutOrStdout(), lists)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	c.Flags().Var(&height, "height", "height at which they sign; the tip when left out")
	c.Flags().Lookup("height").DefValue = ""
	return c
}

func printQuorums(out io.Writer, lists extendedQuorums) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TYPE\tQUORUM\tBASE HEIGHT\tMINED IN\tVALID MEMBERS\tOF ALL PLACES")
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		for _, named := range lists[name] {
			for hash, q := range named {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", name, hash, q.CreationHeight, q.MinedBlockHash.Short(), q.NumValidMembers, q.HealthRatio)
			}
		}
	}
	return w.Flush()
}

func quorumInfoCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "info TYPE QUORUMHASH",
		Short: "Show a quorum and its members",
		Long: `Show a quorum and its members in order of their index: who has a share of its key, and
who signed the commitment. TYPE is the number or the name of the quorum's type. Any
quorum that a block has made is shown, however old.

Exit codes: 0 shown, 1 no such quorum or no answer, 2 the input cannot be used.`,
		Example: `  proctor quorum info 106 HASH --config evo-1/proctor.toml
  proctor quorum info llmq_test_platform HASH --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" {
				return unusable{fmt.Errorf(`type "" is neither a number nor a name such as llmq_test_platform`)}
			}
			hash, err := wire.ParseHash(args[1])
			if err != nil {
				return unusable{fmt.Errorf("quorumhash: %w", err)}
			}
			var q node.QuorumInfo
			if err := ask(c.Context(), path, "quorum info", &q, args[0], hash); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), q)
			}
			return printQuorum(c.OutOrStdout(), q)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func printQuorum(out io.Writer, q node.QuorumInfo) error {
	err := printLines(out, [][2]string{
		{"quorum", q.QuorumHash.String()},
		{"type", q.Type},
		{"base block", fmt.Sprintf("height %d", q.Height)},
		{"commitment", fmt.Sprintf("in block %d  %s", q.MinedHeight, q.MinedBlock)},
		{"public key", q.PublicKey.String()},
		{"signs with", fmt.Sprintf("%d shares; %d of %d members have one, %d are wanted", q.Threshold, q.Valid, len(q.Members), q.Size)},
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nMEMBER\tNODE\tSHARE\tSIGNED\tPROTXHASH\tOPERATOR KEY")
	for i, m := range q.Members {
		key := "-"
		if m.OperatorKey != nil {
			key = m.OperatorKey.String()
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", i, title(m.Name, m.ProTxHash), flagged(m.Valid, "yes"), flagged(m.Signer, "yes"), m.ProTxHash, key)
	}
	return w.Flush()
}

func quorumDKGCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "dkg-status",
		Short: "Show how far the quorums in the making are",
		Long: `Show the sessions of distributed key generation that a running node takes part in or
watches: the phase, what was heard of each member, who is at fault and why, whom this
node votes out and why; and the commitments that wait for a block.

Exit codes: 0 shown, 1 no answer, 2 the input cannot be used.`,
		Example: `  proctor quorum dkg-status --config evo-1/proctor.toml
  proctor quorum dkg-status --json | jq '.session[].status.phaseName'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			status, info, err := askDKG(c.Context(), path)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), status)
			}
			return printDKG(c.OutOrStdout(), status, info)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func askDKG(ctx context.Context, path string) (status node.DKGStatus, info node.DKGInfo, err error) {
	const eachMember = 2 // of the method's details
	if err = ask(ctx, path, "quorum dkgstatus", &status, eachMember); err == nil {
		err = ask(ctx, path, "quorum dkginfo", &info)
	}
	return status, info, err
}

func printDKG(out io.Writer, d node.DKGStatus, info node.DKGInfo) error {
	var text strings.Builder
	fmt.Fprintf(&text, "height %d; %s\n", d.Height, nextSession(info))
	for _, session := range d.Sessions {
		printSession(&text, session.Status)
	}
	for _, c := range d.Minable {
		fmt.Fprintf(&text, "\ncommitment of quorum %s waits for a block: %d signers, %d valid members\n", c.QuorumHash, c.SignersCount, c.ValidCount)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func nextSession(info node.DKGInfo) string {
	if info.Next == 0 {
		return "no type of quorum runs on this network"
	}
	return fmt.Sprintf("%d sessions run, the next begins in %d blocks", info.Active, info.Next)
}

func printSession(out io.Writer, s node.SessionStatus) {
	part := "this node only watches"
	if s.Self >= 0 {
		part = fmt.Sprintf("this node is member %d", s.Self)
	}
	fmt.Fprintf(out, "\n%s  %s\nbase block at height %d, phase %s; %s\n", s.Type, s.QuorumHash, s.QuorumHeight, s.PhaseName, part)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tNODE\tCONTRIBUTED\tCOMPLAINED\tJUSTIFIED\tCOMMITTED\tVOTES AGAINST\tCOMPLAINTS\tFAULT")
	for i, m := range s.Members {
		fault := m.Fault
		if fault == "none" {
			fault = "-"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i, title(m.Name, m.ProTxHash), said(m.Contributions), said(m.Complaints), said(m.Justifications),
			said(m.PrematureCommitments), orNone(m.BadVotes, 0), orNone(m.Accusers, 0), fault)
	}
	w.Flush() // into memory
	for _, v := range s.BadVotes {
		fmt.Fprintf(out, "we vote %s out: %s\n", title(v.Name, v.ProTxHash), cmp.Or(badVoteReasons[v.Reason], string(v.Reason)))
	}
}

// said shows how many different messages of a kind a member sent.
func said(messages int) string {
	switch messages {
	case 0:
		return "-"
	case 1:
		return "yes"
	default:
		return strconv.Itoa(messages)
	}
}
