package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/node"
)

func statusCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how a running node is, and the one thing to do if there is one",
		Long: `Say how a running node is. The first line is "` + node.AllWell + `", or the one thing
to do; other things to do stand at the end. Between them: the chain, the peers, the
service state and why, credit, PoSe score, platform ban, uptime proof, what would
happen if it went down now, its next duties, and alarms since it started.

Exit codes: 0 nothing to do, 1 something to do or no answer, 2 the input cannot be used.`,
		Example: `  proctor status --config evo-1/proctor.toml
  proctor status --json | jq .to_do`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s node.Status
			if err := ask(c.Context(), path, "status", &s); err != nil {
				return err
			}
			if err := answerWith(c, s, asJSON, printStatus); err != nil {
				return err
			}
			if !s.OK {
				return errNo
			}
			return nil
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

func printStatus(w io.Writer, s node.Status) {
	slot := time.Duration(s.Chain.SlotSeconds * float64(time.Second))
	fmt.Fprintf(w, "%s\n\n", s.Verdict)
	r := newRows(w)
	if x := s.Service; x != nil {
		r.row("node", "%s, %s on %s", title(x.Name, x.ProTxHash), cmp.Or(x.Type, "no service node yet"), s.Network)
		r.row("protx", "%s", x.ProTxHash)
	} else {
		r.row("node", "observer on %s", s.Network)
	}
	r.row("chain", "height %d, %s old, %s; final %d", s.Chain.Height, roughly(seconds(s.Chain.TipAgeSeconds)), synced(s.Chain), s.Chain.Final)
	r.row("peers", "%d, of them %d inbound", s.Peers.All, s.Peers.Inbound)
	if s.Service != nil {
		printService(r, *s.Service, s.Chain.Height, slot)
	}
	for i, d := range s.Duties {
		r.row(onFirst(i, "next"), "%s", duty(d.Duty, s.Chain.Height, slot))
	}
	if len(s.Alarms) == 0 {
		r.row("alarms", "none since the start")
	}
	for i, a := range s.Alarms {
		r.row(onFirst(i, "alarms"), "%s %d times, last at height %d, %s: %s", a.Kind, a.Count, a.Height, clock(a.Last), a.Text)
	}
	r.Flush()
	if len(s.ToDo) > 1 {
		printList(w, "then", s.ToDo[1:])
	}
}

func printService(r rows, x node.ServiceStatus, height int32, slot time.Duration) {
	r.row("service", "%s, %s", x.State, x.Why)
	if x.PoSe != nil {
		r.row("credit", "%s", span(x.Credit, slot))
		r.row("PoSe", "%s", poseText(*x.PoSe, slot))
	}
	if x.Type == "evo" {
		r.row("platform", "%s", map[bool]string{true: "ban flag set", false: "no ban"}[x.PlatformBanFlag])
	}
	if x.IfDown != nil {
		r.row("proof", "%s", proofText(x))
		r.row("if down", "%s", outageText(*x.IfDown, height, slot))
	}
	if x.Restart != nil {
		r.row("restart", "%s", restartText(*x.Restart, height, slot))
	}
}

func synced(c node.ChainStatus) string {
	if !c.Synced {
		return "not synced"
	}
	return "synced, view " + c.View
}

func proofText(x node.ServiceStatus) string {
	if x.ProofAge < 0 {
		return "none was sent yet"
	}
	return fmt.Sprintf("sent %d blocks ago, holds for %d", x.ProofAge, x.ProofValidity)
}
