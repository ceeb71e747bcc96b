package main

import (
	"fmt"
	"strings"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUnusable = 2
)

// exits says what the codes mean. Commands for which 0 and 1 are answers say
// so in their help, and docs/commands.md repeats it.
var exits = [...]string{
	exitOK:       "it worked",
	exitFailed:   "it did not, or the answer is no",
	exitUnusable: "the input cannot be used: usage, hex, keys, configuration",
}

// exitCodes is the line of it in the help.
func exitCodes() string {
	var codes []string
	for code, meaning := range exits {
		codes = append(codes, fmt.Sprintf("%d %s", code, meaning))
	}
	return strings.Join(codes, "; ")
}
