package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// answerWith prints an answer as JSON or for people.
func answerWith[T any](c *cobra.Command, v T, asJSON bool, print func(io.Writer, T)) error {
	if asJSON {
		return printJSON(c.OutOrStdout(), v)
	}
	var text strings.Builder
	print(&text, v)
	_, err := io.WriteString(c.OutOrStdout(), text.String())
	return err
}

// rows prints names and what stands beside them.
type rows struct{ *tabwriter.Writer }

func newRows(w io.Writer) rows { return rows{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (r rows) row(name, format string, args ...any) {
	fmt.Fprintf(r, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

// at is a height and how far away that is.
func at(target, height int32, slot time.Duration) string {
	if target <= height {
		return fmt.Sprintf("height %d", target)
	}
	return fmt.Sprintf("height %d in %s", target, span(target-height, slot))
}

// span is a number of blocks and the time they take.
func span(blocks int32, slot time.Duration) string {
	if blocks < 0 {
		return count(blocks)
	}
	return fmt.Sprintf("%s (%s)", count(blocks), roughly(time.Duration(blocks)*slot))
}

// count is a number of blocks in words.
func count(blocks int32) string {
	if blocks == 1 {
		return "1 block"
	}
	return fmt.Sprintf("%d blocks", blocks)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// roughly is a duration in at most two units.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}

func onFirst(i int, name string) string {
	if i == 0 {
		return name
	}
	return ""
}
