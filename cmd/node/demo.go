package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/testnet"
)

func demoCommand() *cobra.Command {
	var o testnet.StoryOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a network of real nodes and show what it does to those that fail",
		Long: `Run a network of real nodes in this process, each with its own host and its own
database on disk, and show what happens to a forger, to nodes that fail their
tests, to an evonode whose platform is dead and that its quorum bans, and to a
node that is killed. All keys are PUBLIC TEST KEYS.

Exit codes: 0 every claim was observed, 1 not, 2 the input cannot be used.`,
		Example: `  proctor demo
  proctor demo --nodes 30 --profile core
  proctor demo --keep /tmp/net && proctor run --config /tmp/net/evo-1/proctor.toml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			keep := o.Dir != ""
			if err := o.Check(); err != nil {
				return unusable{err}
			}
			if !keep {
				dir, err := os.MkdirTemp("", "proctor-demo-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				o.Dir = dir
			}
			if asJSON {
				return tellJSON(c, o)
			}
			return tell(c, o, keep)
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().IntVar(&o.Nodes, "nodes", testnet.MinStoryNodes, fmt.Sprintf("nodes of the network, %d to %d", testnet.MinStoryNodes, testnet.MaxStoryNodes))
	c.Flags().StringVar(&o.Dir, "keep", "", "directory, new or empty, to keep genesis, keys, configurations, logs and databases in")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "number that all keys follow from")
	c.Flags().StringVar(&o.Profile, "profile", "spec", "rule profile: spec or core")
	return c
}

// tell prints one line a step, as it happens, and a table at the end.
func tell(c *cobra.Command, o testnet.StoryOptions, keep bool) error {
	w := c.OutOrStdout()
	fmt.Fprintf(w, "proctor demo: %d nodes, rule profile %s, seed %d, PUBLIC TEST KEYS\n\n", o.Nodes, o.Profile, o.Seed)
	began := time.Now()
	story, err := testnet.Tell(c.Context(), o, narrator(w))
	if story.Cluster != nil {
		fmt.Fprintln(w)
		printTable(w, story)
	}
	if err = errors.Join(err, story.Close()); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d of %d claims observed in %s\n", observed(story), len(story.Steps), time.Since(began).Round(100*time.Millisecond))
	if keep {
		fmt.Fprintf(w, "kept in %s; start a node again with: proctor run --config %s/%s/%s\n",
			o.Dir, o.Dir, story.Cluster.Members[0].Name, testnet.ConfigFile)
	}
	if !story.OK() {
		return errNo
	}
	return nil
}

// narrator prints one line a step. On a terminal the line says first what is
// being waited for.
func narrator(w io.Writer) testnet.Listener {
	terminal := isTerminal(w)
	return testnet.Listener{
		Begins: func(_, title string) {
			if terminal {
				fmt.Fprintf(w, "  ..  %s", title)
			}
		},
		Progress: func(text string) {
			if terminal {
				fmt.Fprintf(w, "\r\x1b[K  ..  %s", text)
			}
		},
		Ends: func(s testnet.Step) {
			if terminal {
				fmt.Fprint(w, "\r\x1b[K")
			}
			mark := "ok"
			if !s.OK {
				mark = "NO"
			}
			fmt.Fprintf(w, "  %s  %-22s %s\n", mark, s.Name, s.Detail)
		},
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func tellJSON(c *cobra.Command, o testnet.StoryOptions) error {
	story, err := testnet.Tell(c.Context(), o, testnet.Listener{Begins: func(string, string) {}, Progress: func(string) {}, Ends: func(testnet.Step) {}})
	result := struct {
		OK    bool           `json:"ok"`
		Steps []testnet.Step `json:"steps"`
		Nodes []testnet.Row  `json:"nodes"`
	}{OK: story.OK() && err == nil, Steps: story.Steps}
	if story.Cluster != nil {
		result.Nodes = story.Table()
	}
	err = errors.Join(err, story.Close(), printJSON(c.OutOrStdout(), result))
	if err == nil && !result.OK {
		return errNo
	}
	return err
}

func observed(s *testnet.Story) (n int) {
	for _, step := range s.Steps {
		if step.OK {
			n++
		}
	}
	return n
}

func printTable(w io.Writer, s *testnet.Story) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  NODE\tHEIGHT\tSYNCED\tPEERS\tFLAGS SET\tPEERS BANNED\tSTATE ROOT")
	for _, r := range s.Table() {
		fmt.Fprintf(t, "  %s\t%d\t%t\t%d\t%s\t%d\t%s\n", r.Node, r.Height, r.Synced, r.Peers, strings.Join(r.Flags, " "), r.Bans, r.Root)
	}
	t.Flush()
}
