package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The operator's page names every command, and every kind of message.
func TestDocs_NameEverything(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	spans := make(map[string]bool) // words in code
	for i, span := range strings.Split(string(page), "`") {
		if words := strings.Fields(span); i%2 == 1 {
			for _, w := range words {
				spans[w] = true
			}
		}
	}
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		switch c.Name() {
		case "completion", "demo", "testnet": // not an operator's
			return
		case "proctor":
		default:
			if !spans[c.Name()] {
				t.Errorf("docs/commands.md does not name %s", c.CommandPath())
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(rootCommand())
	for _, d := range decoders(106) {
		if !spans[d.kind] {
			t.Errorf("docs/commands.md does not name the kind %s", d.kind)
		}
	}
}
