package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/quorum/dkg"
)

func forecastCommand() *cobra.Command {
	var path string
	var away time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "forecast [PROTX|NAME]",
		Short: "Say what is in store for a service node, and when it may be restarted",
		Long: `Say what the rules have in store for a service node, that of the running node unless
another is named: the sessions that make quorums and the tests it has a part in, how
many failed sessions ban it, for how many blocks its credit lasts and what then, and
the next stretch of blocks in which it may go down for so long without missing any of
its duties. Times count blocks of one slot each: empty slots make them longer.

What depends on blocks to come has a chance instead of a yes or no.

Exit codes: 0 told, 1 no answer, 2 the input cannot be used.`,
		Example: `  proctor forecast --config evo-1/proctor.toml
  proctor forecast regular-3 --for 10m --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			params, err := awayParams(away, args)
			if err != nil {
				return err
			}
			var f node.ForecastInfo
			if err := ask(c.Context(), path, "forecast", &f, params...); err != nil {
				return err
			}
			return answerWith(c, f, asJSON, printForecast)
		},
	}
	askFlags(c, &path)
	jsonFlag(c, &asJSON)
	awayFlag(c, &away)
	return c
}

func awayFlag(c *cobra.Command, away *time.Duration) {
	c.Flags().DurationVar(away, "for", node.RestartTime, "how long the node will be down, 1s to 168h")
}

// awayParams are those of the method `forecast`. A time is rounded up: a
// shorter one would promise too much.
func awayParams(away time.Duration, args []string) ([]any, error) {
	if away < time.Second || away > node.MaxAbsence {
		return nil, unusable{fmt.Errorf("--for: %s is not between 1s and %s", away, node.MaxAbsence)}
	}
	params := []any{nil}
	if len(args) > 0 {
		if args[0] == "" {
			return nil, unusable{fmt.Errorf(`"" is neither a ProTxHash nor a name; proctor nodes lists both`)}
		}
		params[0] = args[0]
	}
	return append(params, int(math.Ceil(away.Seconds()))), nil
}

func printForecast(w io.Writer, f node.ForecastInfo) {
	slot := seconds(f.SlotSeconds)
	r := newRows(w)
	switch {
	case f.ProTxHash.IsZero():
		r.row("node", "an observer: nothing is asked of it")
	case !f.Registered:
		r.row("node", "%s is not registered", title(f.Name, f.ProTxHash))
	default:
		r.row("node", "%s, %s", title(f.Name, f.ProTxHash), f.Service)
	}
	r.row("height", "%d", f.Height)
	if f.Unlock >= 0 {
		r.row("stake", "free at %s", at(f.Unlock, f.Height, slot))
	}
	if f.PoSe != nil {
		r.row("PoSe", "%s", poseText(*f.PoSe, slot))
		r.row("credit", "%s", span(f.Credit, slot))
	}
	if f.IfDown != nil {
		r.row("if down", "%s", outageText(*f.IfDown, f.Height, slot))
	}
	if f.ExitHeight >= 0 {
		r.row("exit", "it leaves after %s", at(f.ExitHeight, f.Height, slot))
	}
	r.row("restart", "%s", restartText(f.Restart, f.Height, slot))
	for i, m := range f.Quorums {
		r.row(onFirst(i, "signs in"), "type %d, quorum %s: member %d%s", m.Type, m.Hash.Short(), m.Index, map[bool]string{false: ", put out"}[m.Valid])
	}
	for i, m := range f.Sessions {
		r.row(onFirst(i, "sessions"), "%s", meeting(m, f.Height, slot))
	}
	if f.NextTest >= 0 {
		r.row("tested", "at %s", at(f.NextTest, f.Height, slot))
	}
	for i, d := range f.Duties[:min(len(f.Duties), maxDutiesShown)] {
		r.row(onFirst(i, "duties"), "%s", duty(d, f.Height, slot))
	}
	if more := len(f.Duties) - maxDutiesShown; more > 0 {
		r.row("", "and %d more up to height %d; --json lists them", more, f.Duties[len(f.Duties)-1].From)
	}
	r.Flush()
}

// maxDutiesShown is how many duties people are shown.
const maxDutiesShown = 12

// poseText says how far a ban is.
func poseText(p forecast.PoSe, slot time.Duration) string {
	switch {
	case p.Banned:
		return fmt.Sprintf("banned with a score of %d of %d", p.Score, p.Maximum)
	case p.OneBansFor > 0:
		return fmt.Sprintf("score %d of %d; one failed session bans, for the next %s", p.Score, p.Maximum, span(p.OneBansFor, slot))
	case p.SecondWithin > 0:
		return fmt.Sprintf("score %d of %d; a failed session adds %d, a second within %s bans", p.Score, p.Maximum, p.Increase, span(p.SecondWithin, slot))
	default:
		return fmt.Sprintf("score %d of %d; a failed session adds %d, %d ban", p.Score, p.Maximum, p.Increase, p.Failures)
	}
}

// outageText says what comes of it, at the earliest, if the node goes down now.
func outageText(o forecast.Outage, height int32, slot time.Duration) string {
	text := fmt.Sprintf("its proof too old at height %d, ", o.FailsAt)
	if o.Decommissioned >= 0 {
		text += fmt.Sprintf("decommissioned at %d, ", o.Decommissioned)
	}
	return text + fmt.Sprintf("deregistered at %s, its stake locked until %d", at(o.Deregistered, height, slot), o.Unlocked)
}

// restartText says when the node may go down.
func restartText(a node.AbsenceInfo, height int32, slot time.Duration) string {
	long := fmt.Sprintf("of %s, which is %s,", seconds(a.Seconds), count(a.Blocks))
	switch w := a.Window; {
	case w == nil && a.Longest == 0 && !a.Open:
		return fmt.Sprintf("none %s is safe as far as can be seen", long)
	case w == nil && a.Open:
		return fmt.Sprintf("one %s is safe if the node is not drawn for what is to come; one of %s is in any case", long, span(a.Longest, slot))
	case w == nil:
		return fmt.Sprintf("none %s is safe; one of %s is", long, span(a.Longest, slot))
	case a.Safe:
		return fmt.Sprintf("one %s is safe now, up to height %d", long, w.Until)
	default:
		return fmt.Sprintf("one %s is safe from %s up to height %d", long, at(w.From, height, slot), w.Until)
	}
}

// duty tells what is to be done and when.
func duty(d forecast.Duty, height int32, slot time.Duration) string {
	when := fmt.Sprintf("by height %d", d.Until)
	if d.All {
		when = fmt.Sprintf("up to height %d", d.Until)
	}
	when = fmt.Sprintf("from %s, %s", at(d.From, height, slot), when)
	var what string
	switch d.Kind {
	case forecast.Session:
		what = fmt.Sprintf("make a quorum of type %d, session %d", d.Type, d.Height)
	case forecast.Checkpoint:
		what = fmt.Sprintf("publish the hash of block %d", d.Height)
	case forecast.Answer:
		what = fmt.Sprintf("answer as a tester drawn by block %d", d.Height)
	default:
		what = "send an uptime proof"
	}
	if d.Chance < 1 {
		what += fmt.Sprintf(", with a chance of %.1f %%", 100*d.Chance)
	}
	return what + ": " + when
}

// meeting tells of a session and the node's place in it.
func meeting(m forecast.Meeting, height int32, slot time.Duration) string {
	text := fmt.Sprintf("%s, session %d", m.Name, m.Base)
	if m.Phase != "" {
		text += ", in phase " + m.Phase
	}
	for i, begins := range m.Phases {
		if begins > height {
			text += fmt.Sprintf(", %s at %s", dkg.Phase(i+1), at(begins, height, slot))
			break
		}
	}
	switch {
	case m.Index >= 0:
		return text + fmt.Sprintf(": it is member %d", m.Index)
	case m.Known || m.Chance == 0:
		return text + ": it is no member"
	default:
		return text + fmt.Sprintf(": a member with a chance of %.0f %%, known at %s", 100*m.Chance, at(m.KnownAt, height, slot))
	}
}
