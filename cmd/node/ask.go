package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/node"
)

// askFlags add the configuration by which a running node is found.
func askFlags(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", "proctor.toml", "configuration file of the running node")
}

// ask calls a method of the node that runs with the configuration at path.
func ask(ctx context.Context, path, method string, result any, params ...any) error {
	conf, err := config.Load(path, config.Source{Environ: os.Environ()})
	if err != nil {
		return unusable{err}
	}
	if conf.API.Listen == "" {
		return unusable{fmt.Errorf("%s: api.listen is empty: the node takes no commands", path)}
	}
	return api.Client{Addr: conf.API.Listen, Cookie: conf.API.Cookie}.Call(ctx, method, result, params...)
}

func banSubmitCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "submit HEX",
		Short: "Hand a platform ban to a running node",
		Long: `Hand a platform ban to a running node, which judges it exactly as a peer's, stores
it and sends it to all peers.

Exit codes: 0 accepted, 1 not accepted or no answer, 2 the input cannot be used.`,
		Example: `  proctor ban submit HEX --config evo-1/proctor.toml
  proctor ban submit $(proctor ban sign --dealer dealer.json --protx HASH --height 620) --config evo-1/proctor.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := parseBanHex(args[0]); err != nil {
				return unusable{err}
			}
			var r node.SubmitResult
			if err := ask(c.Context(), path, "platformban submit", &r, args[0]); err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), r); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(c.OutOrStdout(), "%-15s %s\n%-15s %s\n%-15s %s\n", "inventory_hash", r.InventoryHash, "outcome", r.Outcome, "reason", r.Reason)
			}
			if !r.Accepted {
				return errNo
			}
			return nil
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func peersCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:     "peers",
		Short:   "List the peers of a running node",
		Example: `  proctor peers --config evo-1/proctor.toml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var peers []node.PeerInfo
			if err := ask(c.Context(), path, "getpeerinfo", &peers); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), peers)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PEER\tSERVICE NODE\tADDRESS\tDIRECTION\tHEIGHT WHEN MET\tPOINTS")
			for _, p := range peers {
				name, direction := "observer", "outbound"
				if p.ProTxHash != "" {
					name = p.ProTxHash[:8]
				}
				if p.Inbound {
					direction = "inbound"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", p.ID, name, p.Address, direction, p.Height, p.Points)
			}
			return w.Flush()
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}
