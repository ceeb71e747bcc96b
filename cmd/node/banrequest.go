package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

func banRequestCommand() *cobra.Command {
	var path string
	var withdraw, asJSON bool
	c := &cobra.Command{
		Use:   "request PROTX|NAME",
		Short: "Ask the platform quorum, as one of its members, to ban an evonode",
		Long: `Ask the platform quorum to sign a ban of an evonode. The running node must be a member
with a share of the key of a quorum that signs now. It asks again at later heights until
the evonode is flagged, the request expires, or it is withdrawn. The ban is signed once
as many members ask as the quorum's threshold; whichever has the signature sends it to
the network. The evonode is named by its ProTxHash, or by its name in the genesis.

Exit codes: 0 it is asked for, or no longer; 1 refused or no answer; 2 the input cannot
be used.`,
		Example: `  proctor ban request evo-4 --config evo-1/proctor.toml
  proctor ban request PROTXHASH --withdraw --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" {
				return unusable{fmt.Errorf(`"" is neither a ProTxHash nor a name; proctor nodes lists both`)}
			}
			params := []any{args[0]}
			if withdraw {
				params = append(params, "withdraw")
			}
			var r node.RequestResult
			if err := ask(c.Context(), path, "platformban request", &r, params...); err != nil {
				return err
			}
			var err error
			if asJSON {
				err = printJSON(c.OutOrStdout(), r)
			} else {
				err = printLines(c.OutOrStdout(), requestLines(r))
			}
			if err == nil && !r.Accepted {
				return errNo
			}
			return err
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&withdraw, "withdraw", false, "ask no longer")
	return c
}

func requestLines(r node.RequestResult) [][2]string {
	lines := [][2]string{{"protx_hash", r.ProTxHash.String()}, {"outcome", r.Outcome}, {"reason", string(r.Reason)}}
	if r.Detail != "" {
		lines = append(lines, [2]string{"detail", r.Detail})
	}
	if q := r.Request; q != nil {
		lines = append(lines, [2]string{"since", fmt.Sprint(q.Since)}, [2]string{"until", fmt.Sprint(q.Until)}, [2]string{"signed_at", heightList(q.Signed)})
	}
	return lines
}
