package main

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/testnet"
)

func testnetCommand() *cobra.Command {
	group := &cobra.Command{Use: "testnet", Short: "Make test networks", Example: `  proctor testnet init deploy/network`}
	group.AddCommand(testnetInitCommand())
	return group
}

func testnetInitCommand() *cobra.Command {
	var o testnet.ContainerOptions
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write the files of a network whose nodes run in containers",
		Long: `Write the files of a network whose nodes run in containers: the genesis, a
directory for each node with its keys and configuration, and the variables of
deploy/compose.yaml. The network begins now; the first evonode makes the blocks, and
the evonodes make their first quorum by block 35. All keys are PUBLIC TEST KEYS.

docs/deployment.md shows how to start it.`,
		Example: `  proctor testnet init deploy/network
  proctor testnet init --profile core --slot 500ms --seed 7 /srv/network`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Dir = args[0]
			if err := o.Check(); err != nil {
				return unusable{err}
			}
			n, err := testnet.WriteContainers(o)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NODE\tPROTXHASH")
			for _, m := range n.Members {
				fmt.Fprintf(w, "%s\t%s\n", m.Name, m.ProTxHash)
			}
			fmt.Fprintf(w, "\nPUBLIC TEST KEYS; start it with: docker compose --env-file %s -f deploy/compose.yaml up -d\n",
				filepath.Join(o.Dir, testnet.ComposeFile))
			return w.Flush()
		},
	}
	c.Flags().IntVar(&o.Nodes, "nodes", testnet.MinContainers,
		fmt.Sprintf("evonodes, %d to %d; deploy/compose.yaml runs %d", testnet.MinContainers, testnet.MaxContainers, testnet.MinContainers))
	c.Flags().StringVar(&o.Profile, "profile", "spec", "rule profile: spec or core")
	c.Flags().DurationVar(&o.Slot, "slot", time.Second, "time from one block to the next")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "number that all keys follow from")
	return c
}
