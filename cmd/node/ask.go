package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
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
		Use:   "submit HEX | PROTXHASH HEIGHT QUORUMHASH SIGNATURE",
		Short: "Hand a platform ban to a running node",
		Long: `Hand a platform ban to a running node, which judges it exactly as a peer's, stores
it and sends it to all peers. It is given as 328 hex digits or as its four fields.

Exit codes: 0 accepted, 1 not accepted or no answer, 2 the input cannot be used.`,
		Example: `  proctor ban submit HEX --config evo-1/proctor.toml
  proctor ban submit PROTXHASH 620 QUORUMHASH SIGNATURE --config evo-1/proctor.toml --json`,
		Args: hexOrFields,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := banOfArgs(args)
			if err != nil {
				return unusable{err}
			}
			var r node.SubmitResult
			if err := ask(c.Context(), path, "platformban submit", &r, hex.EncodeToString(m.Bytes())); err != nil {
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

func hexOrFields(_ *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 4 {
		return fmt.Errorf("%d arguments, want 1 (hex) or 4 (protxhash, height, quorumhash, signature)", len(args))
	}
	return nil
}

func banOfArgs(args []string) (m wire.PlatformBan, err error) {
	if len(args) == 1 {
		return parseBanHex(args[0])
	}
	if m.ProTxHash, err = wire.ParseHash(args[0]); err != nil {
		return m, fmt.Errorf("protxhash: %w", err)
	}
	height, err := strconv.ParseInt(args[1], 10, 32)
	if err != nil {
		return m, fmt.Errorf("height: %q is not a whole number of 32 bits", args[1])
	}
	m.SignedHeight = int32(height)
	if m.QuorumHash, err = wire.ParseHash(args[2]); err != nil {
		return m, fmt.Errorf("quorumhash: %w", err)
	}
	return m, wire.DecodeHex(m.Signature[:], "signature", []byte(args[3]))
}
