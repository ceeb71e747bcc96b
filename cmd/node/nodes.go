package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

func nodesCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "nodes",
		Short: "List the service nodes with state, credit and last uptime proof",
		Long: `List the service nodes of the registry as a running node sees it: their states,
credits in blocks, places in the order of rewards (1 is paid next), and how many
blocks ago their last uptime proofs were heard. proctor explain tells why.

Exit codes: 0 listed, 1 no answer, 2 the input cannot be used.`,
		Example: `  proctor nodes --config evo-1/proctor.toml
  proctor nodes --json | jq '.[] | select(.state != "active")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var nodes []node.ServiceNode
			if err := ask(c.Context(), path, "nodes", &nodes); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), nodes)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NODE\tTYPE\tSTATE\tCREDIT\tREWARD\tPROOF AGE\tPOSE\tPLATFORM BAN")
			for _, n := range nodes {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", title(n.Name, n.ProTxHash), n.Type, stateAndCause(n), n.Credit,
					orNone(n.RewardPosition, 0), orNone(int(n.ProofAge), -1), pose(n), flagged(n.PlatformBanFlag, "flag set"))
			}
			return w.Flush()
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

// stateAndCause is the state of a node and, while it is decommissioned, why.
func stateAndCause(n node.ServiceNode) string {
	if n.State == state.Decommissioned.String() && n.Cause != nil {
		return n.State + " (" + n.Cause.String() + ")"
	}
	return n.State
}

// pose is the PoSe score of a node, or that it is banned.
func pose(n node.ServiceNode) string {
	if n.PoSeBanned {
		return "banned"
	}
	return orNone(int(n.PoSeScore), 0)
}

func title(name string, proTx wire.Hash) string {
	if name == "" {
		return proTx.Short()
	}
	return name
}

func orNone(n, none int) string {
	if n == none {
		return "-"
	}
	return fmt.Sprint(n)
}

func flagged(set bool, word string) string {
	if set {
		return word
	}
	return "-"
}
