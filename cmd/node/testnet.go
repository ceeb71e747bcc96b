package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/deploy"
	"github.com/proctornet/proctor/testnet"
)

func testnetCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "testnet",
		Short: "Make test networks, and run them in containers",
		Example: `  proctor testnet init --out net
  proctor testnet up net
  proctor testnet status net
  proctor testnet down net`,
	}
	group.AddCommand(testnetInitCommand(), testnetUpCommand(), testnetStatusCommand(), testnetLogsCommand(), testnetDownCommand())
	return group
}

// Sizes of a network unless others are asked for.
const (
	defaultContainers = 7
	defaultEvonodes   = 4
)

func testnetInitCommand() *cobra.Command {
	var o testnet.ContainerOptions
	c := &cobra.Command{
		Use:   "init --out DIR",
		Short: "Write a network whose nodes run in containers",
		Long: `Write a network whose nodes run in containers, to a new directory: genesis, keys
and configurations; compose.yaml, Prometheus with rules and alerts, dashboards for
Grafana; and a README.md of this very network. Its time begins now. Host ports that
are free now are chosen for it. All keys are PUBLIC TEST KEYS.

Nodes are in all; evonodes are those of them that make platform quorums. Four of the
nodes make the blocks.`,
		Example: `  proctor testnet init --out net
  proctor testnet init --nodes 10 --evonodes 6 --slot 500ms --profile core --out /srv/net`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Dir == "" {
				return unusable{errors.New("--out is missing: name a directory to write to")}
			}
			if !c.Flags().Changed("evonodes") {
				o.Evonodes = min(o.Evonodes, o.Nodes)
			}
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
			fmt.Fprintf(w, "\nPUBLIC TEST KEYS. Prometheus on port %d, Grafana on %d; %s/README.md tells what to try.\nStart it with: proctor testnet up %s\n",
				n.Files.PrometheusPort, n.Files.GrafanaPort, o.Dir, o.Dir)
			return w.Flush()
		},
	}
	c.Flags().IntVar(&o.Nodes, "nodes", defaultContainers, fmt.Sprintf("service nodes in all, %d to %d", testnet.MinContainers, testnet.MaxContainers))
	c.Flags().IntVar(&o.Evonodes, "evonodes", defaultEvonodes, "of them evonodes: 0, or 4 and more")
	c.Flags().StringVar(&o.Dir, "out", "", "directory to write to, empty or missing (required)")
	c.Flags().StringVar(&o.Profile, "profile", "spec", "rule profile: spec or core")
	c.Flags().DurationVar(&o.Slot, "slot", time.Second, "time from one block to the next")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "number that all keys follow from")
	return c
}

// openCluster finds the network of a command's first argument.
func openCluster(ctx context.Context, c *cobra.Command, args []string) (*deploy.Cluster, error) {
	return deploy.Open(ctx, args[0], c.ErrOrStderr())
}

// Limits of commands that wait for containers.
const (
	upLimit     = 3 * time.Minute
	statusLimit = 30 * time.Second
)

func testnetUpCommand() *cobra.Command {
	var grafana bool
	var limit time.Duration
	c := &cobra.Command{
		Use:   "up DIR",
		Short: "Start a network in containers and wait until every node is healthy",
		Long: `Start a network in containers and wait until every node is healthy: synced, and with
peers. It is docker compose, or docker-compose, in DIR. Grafana starts too if its
image is there. A network that was stopped goes on where it was.

Exit codes: 0 all are healthy, 1 not, or no container engine.`,
		Example: `  proctor testnet up net`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			cluster, err := openCluster(ctx, c, args)
			if err != nil {
				return err
			}
			if err := cluster.Up(ctx, grafana); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Prometheus  http://127.0.0.1:%s/alerts\nGrafana     http://127.0.0.1:%s, if its image was there\nNodes       proctor testnet status %s\n",
				cluster.Variable("PROMETHEUS_PORT"), cluster.Variable("GRAFANA_PORT"), args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&grafana, "grafana", false, "pull Grafana's image if it is not there")
	c.Flags().DurationVar(&limit, "timeout", upLimit, "how long it may take, pulling images included")
	return c
}

func testnetStatusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status DIR",
		Short: "Show how the nodes of a network in containers are",
		Long: `Show how the nodes of a network in containers are: what the container engine says,
what each says of itself, and what one of the highest says of all.

Exit codes: 0 all are healthy, 1 not, or no container engine.`,
		Example: `  proctor testnet status net
  proctor testnet status net --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), statusLimit)
			defer cancel()
			cluster, err := openCluster(ctx, c, args)
			if err != nil {
				return err
			}
			list, err := cluster.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), list)
			} else {
				err = printCluster(c.OutOrStdout(), list)
			}
			for _, n := range list {
				if err == nil && (n.Health == nil || !n.Health.Healthy) {
					err = errNo
				}
			}
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func printCluster(out io.Writer, list []deploy.NodeStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tCONTAINER\tHEIGHT\tPEERS\tSTATE\tCREDIT\tPROOF AGE\tPOSE\tPLATFORM BAN")
	for _, n := range list {
		fmt.Fprintf(w, "%s\t%s", n.Name, n.Container)
		if h := n.Health; h != nil {
			fmt.Fprintf(w, "\t%d\t%d", h.Height, h.Peers)
		} else {
			fmt.Fprint(w, "\t-\t-")
		}
		if s := n.Service; s != nil {
			fmt.Fprintf(w, "\t%s\t%d\t%s\t%s\t%s\n", s.State, s.Credit, orNone(int(s.ProofAge), -1), flagged(s.PoSeBanned, "banned"), flagged(s.PlatformBanFlag, "flag set"))
		} else {
			fmt.Fprint(w, "\t-\t-\t-\t-\t-\n")
		}
	}
	for _, n := range list {
		if n.Health == nil {
			continue
		}
		for _, problem := range n.Health.Problems {
			fmt.Fprintf(w, "%s: %s\n", n.Name, problem)
		}
	}
	return w.Flush()
}

func testnetLogsCommand() *cobra.Command {
	var follow bool
	var tail int
	c := &cobra.Command{
		Use:   "logs DIR [NODE...]",
		Short: "Show what the nodes of a network in containers logged",
		Example: `  proctor testnet logs net evo-1
  proctor testnet logs net --follow`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := openCluster(c.Context(), c, args)
			if err != nil {
				return err
			}
			err = cluster.Logs(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), follow, tail, args[1:]...)
			if follow && c.Context().Err() != nil {
				return nil // this is how following ends
			}
			return err
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	c.Flags().IntVar(&tail, "tail", 100, "lines of each container, from the newest")
	return c
}

func testnetDownCommand() *cobra.Command {
	var volumes bool
	c := &cobra.Command{
		Use:   "down DIR",
		Short: "Stop a network in containers and remove the containers",
		Long: `Stop a network in containers and remove the containers. Keys, chain and flags stay in
DIR, and what Prometheus stored in its volume unless --volumes is given.`,
		Example: `  proctor testnet down net
  proctor testnet down net --volumes && rm -r net`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, err := openCluster(c.Context(), c, args)
			if err != nil {
				return err
			}
			return cluster.Down(c.Context(), volumes)
		},
	}
	c.Flags().BoolVar(&volumes, "volumes", false, "remove also what Prometheus and Grafana stored")
	return c
}
