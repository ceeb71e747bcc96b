package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

func eventCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "event",
		Short: "Sign, read and submit the events that change the registry",
		Long: `Sign, read and submit the events that change the registry: a new service node, its
stake, its addresses, its end. An event is signed with key files and printed as hex
digits; a running node takes it and sends it to all others, and a block carries it.`,
		Example: `  proctor event register --staker-key staker.key --operator-key operator.key --service-key service.key --amount 1000 --submit
  proctor event update-service --node evo-1 --operator-key operator.key --address /ip4/203.0.113.7/tcp/19850 --submit
  proctor event list`,
	}
	group.AddCommand(eventRegisterCommand(), eventContributeCommand(), eventUpdateServiceCommand(), eventRevokeCommand(), eventExitCommand(),
		eventDecodeCommand(), eventSubmitCommand(), eventListCommand())
	return group
}

func eventDecodeCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "decode HEX",
		Short: "Show the fields of an event",
		Long: `Show the fields of an event, given as hex digits. Nothing is judged.

Exit codes: 0 shown, 2 the input cannot be used.`,
		Example: `  proctor event decode HEX
  proctor event decode HEX --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			event, err := node.ParseEventHex(strings.TrimSpace(args[0]))
			if err != nil {
				return unusable{err}
			}
			info := node.DescribeEvent(event)
			if asJSON {
				return printJSON(c.OutOrStdout(), info)
			}
			return printEvent(c.OutOrStdout(), info)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func printEvent(w io.Writer, e node.EventInfo) error {
	lines := [][2]string{
		{"kind", e.Kind}, {"network", e.Network.String()}, {"record", e.Record}, {"sequence", strconv.FormatUint(e.Sequence, 10)},
		{"protx_hash", e.ProTxHash.String()},
	}
	if e.Evo != nil {
		lines = append(lines, [2]string{"evo", strconv.FormatBool(*e.Evo)},
			[2]string{"operator_key", e.OperatorKey.String()}, [2]string{"service_key", e.ServiceKey.String()})
	}
	for _, a := range e.Addresses {
		lines = append(lines, [2]string{"address", a})
	}
	if e.Platform != "" {
		lines = append(lines, [2]string{"platform", e.Platform})
	}
	if e.Amount > 0 {
		lines = append(lines, [2]string{"amount", strconv.FormatUint(e.Amount, 10)})
	}
	if e.Reason != "" {
		lines = append(lines, [2]string{"reason", e.Reason})
	}
	return printLines(w, append(lines, [2]string{"sign_hash", e.SignHash.String()}))
}

func printLines(w io.Writer, lines [][2]string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "%-15s %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}

func eventSubmitCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "submit HEX",
		Short: "Hand an event to a running node",
		Long: `Hand an event to a running node, which judges it exactly as a peer's, keeps it for
the next block and sends it to all peers. Accepted means that it waits for a block,
not that a block has it: see proctor event list, proctor nodes and proctor explain.

Exit codes: 0 accepted, 1 not accepted or no answer, 2 the input cannot be used.`,
		Example: `  proctor event submit HEX --config evo-1/proctor.toml
  proctor event submit $(proctor event exit --node evo-1 --staker-key staker.key --sequence 4) --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			event, err := node.ParseEventHex(strings.TrimSpace(args[0]))
			if err != nil {
				return unusable{err}
			}
			return submitEvent(c, path, node.DescribeEvent(event).Hex, asJSON)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

// submitEvent hands an event to the running node and prints its verdict.
func submitEvent(c *cobra.Command, path, encoded string, asJSON bool) error {
	var r node.EventResult
	err := ask(c.Context(), path, "event submit", &r, encoded)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = printJSON(c.OutOrStdout(), r)
	default:
		lines := [][2]string{
			{"kind", r.Kind}, {"record", r.Record}, {"sequence", strconv.FormatUint(r.Sequence, 10)}, {"protx_hash", r.ProTxHash.String()},
			{"outcome", r.Outcome}, {"reason", string(r.Reason)},
		}
		if r.Detail != "" {
			lines = append(lines, [2]string{"detail", r.Detail})
		}
		err = printLines(c.OutOrStdout(), lines)
	}
	if err == nil && !r.Accepted {
		return errNo
	}
	return err
}

func eventListCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the events that wait for a block",
		Long: `List the events that a running node knows of and no block has yet.

Exit codes: 0 listed, 1 no answer, 2 the input cannot be used.`,
		Example: `  proctor event list --config evo-1/proctor.toml
  proctor event list --json | jq -r '.[].hex'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []node.EventInfo
			if err := ask(c.Context(), path, "event list", &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), list)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "KIND\tSEQUENCE\tNODE\tRECORD")
			for _, e := range list {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", e.Kind, e.Sequence, e.ProTxHash, e.Record)
			}
			return w.Flush()
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}
