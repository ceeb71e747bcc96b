package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/wire"
)

// decoder shows the messages of one kind.
type decoder struct {
	kind string
	what string
	most int // bytes of the longest message
	show func(b []byte) (any, error)
}

// shownAs joins what reads a message with what shows it.
func shownAs[M any](parse func([]byte) (M, error), show func(M) fields) func([]byte) (any, error) {
	return func(b []byte) (any, error) {
		m, err := parse(b)
		if err != nil {
			return nil, err
		}
		return show(m), nil
	}
}

// decoders lists every kind of message. Platform bans name no quorum type: t
// is that of their network.
func decoders(t wire.LLMQType) []decoder {
	return slices.Concat(llmqDecoders(t), eventDecoders(), chainDecoders(), testDecoders(), streamDecoders())
}

func decodeCommand() *cobra.Command {
	var llmq uint8
	var asJSON bool
	var kinds []cobra.Completion
	var list strings.Builder
	for _, d := range decoders(0) {
		kinds = append(kinds, cobra.CompletionWithDesc(d.kind, d.what))
		fmt.Fprintf(&list, "\n  %-18s %s", d.kind, d.what)
	}
	c := &cobra.Command{
		Use:   "decode KIND HEX",
		Short: "Show the fields and the hashes of any message",
		Long: `Show the fields of a message and the hashes that follow from it, without judging it.
HEX is the message in hex digits, or - to read them from standard input. Hashes are
shown in display order, keys and signatures as their bytes, sets of members as one
digit for each member in order of the index. The kinds are
` + list.String() + `

Exit codes: 0 shown, 2 the input cannot be used.`,
		Example: `  proctor decode platformban HEX
  proctor decode qfcommit HEX --json
  proctor decode qcontrib - < contribution.hex`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return kinds, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := knownLLMQ(llmq); err != nil {
				return unusable{err}
			}
			d, err := decoderOf(args[0], wire.LLMQType(llmq))
			if err != nil {
				return unusable{err}
			}
			b, err := readHex(c.InOrStdin(), args[1], d.kind, d.most)
			if err != nil {
				return unusable{err}
			}
			shown, err := d.show(b)
			if err != nil {
				return unusable{fmt.Errorf("%s of %d bytes, at most %d: %w", d.kind, len(b), d.most, err)}
			}
			return show(c.OutOrStdout(), shown, asJSON)
		},
	}
	llmqFlag(c, &llmq)
	jsonFlag(c, &asJSON)
	return c
}

func decoderOf(kind string, t wire.LLMQType) (decoder, error) {
	all := decoders(t)
	i := slices.IndexFunc(all, func(d decoder) bool { return d.kind == kind })
	if i < 0 {
		known := make([]string, len(all))
		for i, d := range all {
			known[i] = d.kind
		}
		return decoder{}, fmt.Errorf("kind %.40q is unknown; known: %s", kind, strings.Join(known, ", "))
	}
	return all[i], nil
}

// readHex reads the hex digits of at most most bytes from text, or from in if
// text is "-". No more is taken in than such a message may have.
func readHex(in io.Reader, text, what string, most int) ([]byte, error) {
	const spaces = 16 // around what a file holds
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(in, int64(2*most+spaces+1)))
		if err != nil {
			return nil, fmt.Errorf("%s from standard input: %w", what, err)
		}
		text = string(read)
	}
	text = strings.TrimSpace(text)
	if len(text) > 2*most {
		return nil, fmt.Errorf("%s of more than %d hex digits, at most %d bytes: %w", what, 2*most, most, wire.ErrSize)
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s of %d characters, want at most %d hex digits, two for each byte: %w", what, len(text), 2*most, err)
	}
	return b, nil
}
