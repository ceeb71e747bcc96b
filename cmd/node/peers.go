package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

func peersCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "peers",
		Short: "List, explain, ban and forgive the peers of a running node",
		Long: `List the peers of a running node that have completed the handshake; with a
command, explain, ban or forgive one.`,
		Example: `  proctor peers --config evo-1/proctor.toml
  proctor peers explain PEER --config evo-1/proctor.toml
  proctor peers bans --config evo-1/proctor.toml --json`,
		Args: cobra.NoArgs,
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
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", p.ID, nodeName(p), p.Address, direction(p), p.Height, p.Points)
			}
			return w.Flush()
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	c.AddCommand(peersExplainCommand(), peersBanCommand(), peersUnbanCommand(), peersBansCommand())
	return c
}

func nodeName(p node.PeerInfo) string {
	if p.ProTxHash == "" {
		return "observer"
	}
	return p.ProTxHash[:8]
}

func direction(p node.PeerInfo) string {
	if p.Inbound {
		return "inbound"
	}
	return "outbound"
}

// peerArg is the first argument, a peer id.
func peerArg(args []string) (string, error) {
	if _, err := peer.Decode(args[0]); err != nil {
		return "", unusable{fmt.Errorf("%.80q is no peer id such as 12D3KooW...; `proctor peers` lists those connected", args[0])}
	}
	return args[0], nil
}

func peersExplainCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain PEER",
		Short: "Say why a peer stands as it does: points, ban, farewell",
		Long: `Say why a peer stands as it does: each charge with its reason and message, what
was forgiven meanwhile, the ban it led to, and the reason that the peer gave if
it left us. One point is forgiven every 10 minutes; 100 points ban for 24 hours.`,
		Example: `  proctor peers explain PEER --config evo-1/proctor.toml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := peerArg(args)
			if err != nil {
				return err
			}
			var e node.PeerExplanation
			if err := ask(c.Context(), path, "explainpeer", &e, id); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), e)
			}
			return printExplanation(c.OutOrStdout(), e)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func printExplanation(out io.Writer, e node.PeerExplanation) error {
	fmt.Fprintf(out, "peer %s\n", e.ID)
	if p := e.Contact; p != nil {
		fmt.Fprintf(out, "connected since %s, %s, %s, service node %s\n", clock(p.Since), direction(*p), p.Address, nodeName(*p))
	} else {
		fmt.Fprintln(out, "not connected")
	}
	switch b := e.Ban; {
	case b == nil:
		fmt.Fprintf(out, "%d of 100 points\n", e.Points)
	case b.DryRun:
		fmt.Fprintf(out, "would be banned from %s until %s for %s, but penalties are a dry run\n", clock(b.From), clock(b.Until), b.Reason)
	default:
		fmt.Fprintf(out, "banned from %s until %s for %s\n", clock(b.From), clock(b.Until), b.Reason)
	}
	charges := e.Charges
	if e.Ban != nil {
		charges = e.Ban.Charges
	}
	if err := printCharges(out, charges); err != nil {
		return err
	}
	if f := e.Farewell; f != nil {
		fmt.Fprintf(out, "it left us at %s: %s", clock(f.Time), f.Code)
		if f.Reason != "" {
			fmt.Fprintf(out, ", for %s", f.Reason)
		}
		if f.Until != nil {
			fmt.Fprintf(out, ", until %s", clock(*f.Until))
		}
		fmt.Fprintln(out)
	}
	return nil
}

func printCharges(out io.Writer, charges []node.ChargeInfo) error {
	if len(charges) == 0 {
		_, err := fmt.Fprintln(out, "no charges are remembered")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tFORGIVEN\tPOINTS\tTOTAL\tREASON\tMESSAGE\tRULE")
	for _, c := range charges {
		id := "-"
		if c.MessageID != "" {
			id = c.MessageID[:16]
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\n", clock(c.Time), c.Forgiven, c.Points, c.Total, c.Reason, id, c.When)
	}
	return w.Flush()
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func peersBanCommand() *cobra.Command {
	var path string
	var hours int
	c := &cobra.Command{
		Use:   "ban PEER",
		Short: "Refuse all contact with a peer",
		Example: `  proctor peers ban PEER --config evo-1/proctor.toml
  proctor peers ban PEER --hours 72 --config evo-1/proctor.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := peerArg(args)
			if err != nil {
				return err
			}
			if hours < 1 || hours > node.MaxBanHours {
				return unusable{fmt.Errorf("--hours: %d hours, want 1 to %d", hours, node.MaxBanHours)}
			}
			return say(c, path, "setban", id, "add", hours)
		},
	}
	c.Flags().IntVar(&hours, "hours", 24, "length of the ban, 1 to 8760")
	askFlags(c, &path)
	return c
}

func peersUnbanCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:     "unban PEER",
		Short:   "Lift a peer's ban and forget its points",
		Example: `  proctor peers unban PEER --config evo-1/proctor.toml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := peerArg(args)
			if err != nil {
				return err
			}
			return say(c, path, "setban", id, "remove")
		},
	}
	askFlags(c, &path)
	return c
}

// say calls a method that answers with a word, and prints it.
func say(c *cobra.Command, path, method string, params ...any) error {
	var word string
	if err := ask(c.Context(), path, method, &word, params...); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), word)
	return err
}

func peersBansCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:     "bans",
		Short:   "List the banned peers",
		Example: `  proctor peers bans --config evo-1/proctor.toml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var bans []node.PeerBanInfo
			if err := ask(c.Context(), path, "listbanned", &bans); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), bans)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PEER\tFROM\tUNTIL\tREASON\tCHARGES\tIN FORCE")
			for _, b := range bans {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", b.ID, clock(b.From), clock(b.Until), b.Reason, len(b.Charges), strconv.FormatBool(!b.DryRun))
			}
			return w.Flush()
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}
