package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var exitLine = regexp.MustCompile(`(?s)Exit codes: (.*?)\.(?:\n\n|\n?$)`)

// The table of exit codes in docs/commands.md is that of the commands: what
// the codes mean in general, then which command says more in its help.
func TestExitCodes_AreDocumented(t *testing.T) {
	var table strings.Builder
	fmt.Fprint(&table, "| Command | Exit codes |\n|---|---|\n")
	var add func(*cobra.Command)
	add = func(c *cobra.Command) {
		says := exitLine.FindStringSubmatch(c.Long)
		switch {
		case says != nil:
			codes := strings.Join(strings.Fields(says[1]), " ")
			name := c.CommandPath()
			if c.Parent() == nil {
				name = "every other command"
			} else {
				name = "`" + name + "`"
			}
			fmt.Fprintf(&table, "| %s | %s |\n", name, codes)
			if !strings.HasPrefix(codes, "0 ") {
				t.Errorf("%s does not say what 0 stands for: %s", c.CommandPath(), codes)
			}
		case strings.Contains(c.Long, "xit code"):
			t.Errorf("%s speaks of exit codes in another form:\n%s", c.CommandPath(), c.Long)
		}
		for _, sub := range c.Commands() {
			add(sub)
		}
	}
	add(rootCommand())

	const path = "../../docs/commands.md"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`(?s)(<!-- table:exits -->\n).*?(<!-- /table -->)`)
	if !place.Match(old) {
		t.Fatalf("%s has no place for the table of exit codes", path)
	}
	fresh := place.ReplaceAllString(string(old), "${1}"+strings.ReplaceAll(table.String(), "$", "$$")+"${2}")
	if fresh == string(old) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./cmd/node -run ExitCodes -update; want\n%s", path, table.String())
	}
	if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each shell gets a script that asks proctor what could follow.
func TestCompletion(t *testing.T) {
	for shell, word := range map[string]string{"bash": "__start_proctor", "zsh": "#compdef proctor", "fish": "complete -c proctor", "powershell": "Register-ArgumentCompleter"} {
		o := launch(t, "completion", shell).outcome() // cobra writes to the process's own output
		o.wantOK(t)
		if !strings.Contains(o.stdout, word) {
			t.Errorf("%s: no %q in\n%.300s", shell, word, o.stdout)
		}
	}
	o := proctor(t, "__complete", "wait")
	if o.code != exitOK || !strings.HasPrefix(o.stdout, "wait-safe\t") {
		t.Errorf("proctor wait<TAB> offers %q", o.stdout)
	}
}
