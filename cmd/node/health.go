package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

// healthLimit is how long a node may take to say how it is.
const healthLimit = 5 * time.Second

func healthCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running node whether it follows its network",
		Long: `Ask a running node whether it follows its network: synced, and with at least one
peer unless nobody else is registered. Each problem says what to do next.

Exit codes: 0 healthy, 1 not healthy or no answer, 2 the input cannot be used.`,
		Example: `  proctor health --config evo-1/proctor.toml
  proctor health --config evo-1/proctor.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), healthLimit)
			defer cancel()
			var h node.Health
			if err := ask(ctx, path, "health", &h); err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), h); err != nil {
					return err
				}
			} else {
				printHealth(c.OutOrStdout(), h)
			}
			if !h.Healthy {
				return errNo
			}
			return nil
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func printHealth(w io.Writer, h node.Health) {
	fmt.Fprintf(w, "%-15s %t\n%-15s %t\n%-15s %d\n%-15s %.1f s\n%-15s %d\n%-15s %s\n",
		"healthy", h.Healthy, "synced", h.Synced, "height", h.Height, "tip_age", h.TipAgeSeconds, "peers", h.Peers, "view", h.View)
	for _, p := range h.Problems {
		fmt.Fprintf(w, "%-15s %s\n", "problem", p)
	}
}
