package main

import "github.com/spf13/cobra"

func quorumCommand() *cobra.Command {
	group := &cobra.Command{
		Use:     "quorum",
		Short:   "Verify what makes a long-living quorum",
		Example: `  proctor quorum verify-commitment HEX --operator-keys HEX,HEX,HEX`,
	}
	group.AddCommand(quorumVerifyCommand())
	return group
}
