package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

// How often a waiting command asks the node: twice a slot, within these.
const (
	leastPoll = 100 * time.Millisecond
	mostPoll  = 5 * time.Second
)

func waitSafeCommand() *cobra.Command {
	var path string
	var away, timeout time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "wait-safe",
		Short: "Wait until the running node may be restarted without missing a duty",
		Long: `Wait until the running node may go down for so long without missing any of its
duties: sessions that make quorums, hashes and answers it owes as a tester, uptime
proofs. What it waits for stands on standard error; when the window begins, it is
printed. A node that is not synced does not know its duties: it is waited for too.

Where there can be no such window, because testers are drawn so often or sessions
follow each other so closely, it says at once which time would do.

Exit codes: 0 safe now, 1 not before --timeout, or no answer, 2 the input cannot be used.`,
		Example: `  proctor wait-safe && sudo systemctl restart proctor
  proctor wait-safe --for 30s --timeout 10m --config evo-1/proctor.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			params, err := awayParams(away, nil)
			if err != nil {
				return err
			}
			if timeout <= 0 {
				return unusable{fmt.Errorf("--timeout: %s is not above 0", timeout)}
			}
			f, err := waitSafe(c.Context(), path, timeout, params, c.ErrOrStderr())
			if err != nil {
				return err
			}
			return answerWith(c, f.Restart, asJSON, func(w io.Writer, a node.AbsenceInfo) {
				fmt.Fprintln(w, "restart:", restartText(a, f.Height, seconds(f.SlotSeconds)))
			})
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	awayFlag(c, &away)
	c.Flags().DurationVar(&timeout, "timeout", time.Hour, "how long to wait at most")
	return c
}

// waitSafe asks until the node may go down. What is waited for is written to
// progress whenever it changes.
func waitSafe(ctx context.Context, path string, timeout time.Duration, params []any, progress io.Writer) (f node.ForecastInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := "the node has not answered"
	for {
		f = node.ForecastInfo{}
		if err := ask(ctx, path, "forecast", &f, params...); err != nil && ctx.Err() == nil {
			return f, err
		}
		if f.Restart.Safe {
			return f, nil
		}
		if ctx.Err() == nil {
			if text := waitingFor(f); text != last {
				fmt.Fprintf(progress, "height %d: %s\n", f.Height, text)
				last = text
			}
			if f.Synced && f.Restart.Window == nil && !f.Restart.Open {
				return f, fmt.Errorf("not safe: %s", last)
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return f, fmt.Errorf("not safe within %s: %s", timeout, last)
			}
			return f, ctx.Err()
		case <-time.After(min(max(seconds(f.SlotSeconds)/2, leastPoll), mostPoll)):
		}
	}
}

// waitingFor says what stands against a restart now.
func waitingFor(f node.ForecastInfo) string {
	if !f.Synced {
		return "the node is not synced: `proctor status` says what to do"
	}
	text := restartText(f.Restart, f.Height, seconds(f.SlotSeconds))
	for _, d := range f.Duties {
		if d.Chance == 1 && d.MissedBy(f.Height, f.Restart.Blocks) {
			return text + "; now it would miss to " + duty(d, f.Height, seconds(f.SlotSeconds))
		}
	}
	return text
}
