// Command proctor runs a node, judges and makes platform bans offline, and
// tells the story of a network in one command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/metrics"
)

// unusable marks an error whose cause is the input.
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// errNo is the answer no: it has been printed, nothing is left to say.
var errNo = errors.New("the answer is no")

func main() {
	// The host's own log lines repeat, in another form, what we log and count.
	gologshim.SetDefaultHandler(slog.DiscardHandler)

	// The first signal stops in order, the second at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch bad := (unusable{}); {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitFailed
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, "proctor:", err)
		return exitUnusable
	default:
		fmt.Fprintln(stderr, "proctor:", err)
		return exitFailed
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "proctor",
		Short: "A gossip node that lets a network of service nodes prove, test and enforce its own service",
		Long: `A gossip node that lets a network of service nodes prove, test and enforce its
own service: DIP-0031 Platform Proof of Service over libp2p.

Exit codes: ` + exitCodes() + `.`,
		Example: `  proctor demo
  proctor ban verify HEX --quorum-key HEX --llmq-type 106
  proctor run --config proctor.toml`,
		Version:       metrics.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return unusable{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	root.AddCommand(runCommand(), configCommand(), keyCommand(), banCommand(), peersCommand(), nodesCommand(), explainCommand(), eventCommand(), rulesCommand(), healthCommand(), statusCommand(), forecastCommand(), waitSafeCommand(), quorumCommand(), decodeCommand(), demoCommand(), testnetCommand())
	root.InitDefaultCompletionCmd()
	wrapArgs(root)
	return root
}

// wrapArgs makes wrong arguments of every command unusable input, and gives
// commands that group others an error for what they do not know.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if c.HasSubCommands() {
		check = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		}
		if c.RunE == nil {
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return unusable{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
		}
		return nil
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}
