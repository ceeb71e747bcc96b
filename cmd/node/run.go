package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/node"
)

func runCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run a node until it is told to stop",
		Long: `Run a node until it is told to stop (interrupt or SIGTERM).

Every key of the configuration can be overridden by an environment variable
(p2p.listen by PROCTOR_P2P_LISTEN) and by a flag (--p2p.listen), which wins.
Lists are separated by commas.`,
		Example: `  proctor run --config evo-1/proctor.toml
  PROCTOR_LOG_LEVEL=debug proctor run --config proctor.toml --metrics.listen 127.0.0.1:9500`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := loadConfig(c, path)
			if err != nil {
				return unusable{err}
			}
			nc, err := nodeConfig(conf, c.ErrOrStderr())
			if err != nil {
				return unusable{err}
			}
			n, err := node.New(nc)
			if err != nil {
				return err
			}
			return n.Run(c.Context())
		},
	}
	configFlags(c, &path)
	return c
}

func configCommand() *cobra.Command {
	group := &cobra.Command{Use: "config", Short: "Look at a node's configuration", Example: `  proctor config check --config proctor.toml`}
	var path string
	check := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration and all it names, and show what is in force",
		Example: `  proctor config check --config proctor.toml
  PROCTOR_LOG_LEVEL=debug proctor config check --config proctor.toml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := loadConfig(c, path)
			if err != nil {
				return unusable{err}
			}
			if _, err := nodeConfig(conf, io.Discard); err != nil {
				return unusable{err}
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range config.Settings() {
				fmt.Fprintf(w, "%s\t%s\n", s.Key, s.Value(&conf))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "ok")
			return nil
		},
	}
	configFlags(check, &path)
	group.AddCommand(check)
	return group
}

func configFlags(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", "proctor.toml", "configuration file")
	for _, s := range config.Settings() {
		c.Flags().String(s.Key, "", s.Help)
	}
}

func loadConfig(c *cobra.Command, path string) (config.Config, error) {
	flags := make(map[string]string)
	for _, s := range config.Settings() {
		if f := c.Flags().Lookup(s.Key); f.Changed {
			flags[s.Key] = f.Value.String()
		}
	}
	return config.Load(path, config.Source{Environ: os.Environ(), Flags: flags})
}

// readGenesis reads the genesis that a configuration names.
func readGenesis(c config.Config) (g chain.Genesis, err error) {
	raw, err := os.ReadFile(c.Genesis)
	if err != nil {
		return g, fmt.Errorf("genesis: %w", err)
	}
	if g, err = chain.ParseGenesis(raw); err != nil {
		return g, fmt.Errorf("%s: %w", c.Genesis, err)
	}
	if g.Network != c.Network {
		return g, fmt.Errorf("network is %q, but %s is of %q", c.Network, c.Genesis, g.Network)
	}
	return g, nil
}

// nodeConfig reads the files that a configuration names. The node will log to
// log.
func nodeConfig(c config.Config, log io.Writer) (node.Config, error) {
	genesis, err := readGenesis(c)
	if err != nil {
		return node.Config{}, err
	}
	key, err := config.ReadServiceKey(c.ServiceKey)
	if err != nil {
		return node.Config{}, err
	}
	operator, votes, err := c.Operator(genesis)
	if err != nil {
		return node.Config{}, err
	}
	proTx, err1 := c.Node()
	peers, err2 := c.Peers()
	level, err3 := c.LogLevel()
	nc := node.Config{
		Genesis:        genesis,
		Identity:       key,
		DataDir:        c.DataDir,
		Listen:         c.P2P.Listen,
		Log:            newLogger(log, c.Log.Format, level),
		ProTxHash:      proTx,
		Bootstrap:      peers,
		Announce:       c.P2P.Announce,
		MetricsAddress: c.Metrics.Listen,
		APIAddress:     c.API.Listen,
		APICookie:      c.API.Cookie,
		DryRun:         c.Penalties == config.DryRun,
		Watch:          c.Watch,
	}
	if votes {
		nc.OperatorKey = &operator
	}
	return nc, errors.Join(err1, err2, err3)
}

func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
