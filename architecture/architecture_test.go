// Package architecture holds the source tree to its rules: who may import
// whom, and what pure packages must not do.
package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/proctornet/proctor"

// The layers of docs/architecture.md. A package may import what its entry
// lists; "*" stands for everything.
var (
	pure = []string{"wire", "bls", "trie", "params", "chain", "inventory", "state", "uptime", "quorum", "quorum/dkg", "quorum/signing", "validation", "engine", "forecast"}

	allowed = map[string][]string{
		"wire":              nil,
		"bls":               nil,
		"metrics":           nil,
		"measure":           nil,
		"trie":              {"wire"},
		"params":            {"wire"},
		"chain":             {"wire", "params"},
		"inventory":         {"wire", "params", "trie"},
		"state":             {"wire", "params", "chain", "trie"},
		"uptime":            {"wire", "params", "trie"},
		"quorum":            {"wire", "params", "bls", "uptime"},
		"quorum/dkg":        {"wire", "params", "bls"},
		"quorum/signing":    {"wire", "params", "bls"},
		"validation":        {"wire", "params", "bls"},
		"engine":            {"wire", "bls", "trie", "params", "chain", "inventory", "state", "uptime", "quorum", "quorum/dkg", "quorum/signing", "validation"},
		"forecast":          {"wire", "params", "state", "uptime", "quorum", "quorum/dkg", "engine"},
		"store":             append([]string{"metrics"}, pure...),
		"validation/verify": append([]string{"metrics"}, pure...),
		"gossip":            append([]string{"metrics"}, pure...),
		"api":               append([]string{"metrics"}, pure...),
		"config":            {"wire", "bls", "params", "chain"},
		"node":              append([]string{"metrics", "store", "validation/verify", "gossip", "api", "config"}, pure...),
		"testnet":           append([]string{"metrics", "store", "gossip", "config", "node", "deploy"}, pure...),
		"cmd/node":          {"*"},
		"architecture":      nil,
		"docs":              nil,
		"deploy":            nil,
	}
)

// Standard packages that reach outside, and everything below them.
var impure = []string{"net", "os", "log", "sync", "io/fs", "path/filepath", "syscall", "runtime", "unsafe", "crypto/rand", "math/rand", "context", "embed", "plugin", "hash/maphash", "testing", "flag", "expvar", "io/ioutil", "C"}

// Modules of others that pure packages may use. Anything else reads clocks,
// starts goroutines or logs without our seeing it here.
var pureModules = map[string][]string{"bls": {"github.com/supranational/blst/bindings/go"}}

// Functions of otherwise harmless packages that reach outside. Of
// math/rand/v2 only generators with a given seed are allowed.
var impureCalls = map[string]func(name string) bool{
	"time": func(name string) bool {
		return slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep", "Local", "LoadLocation"}, name)
	},
	"fmt":            func(name string) bool { return strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Scan") },
	"crypto/ed25519": func(name string) bool { return name == "GenerateKey" }, // of a nil reader: global randomness
	"math/rand/v2":   func(name string) bool { return name != "NewChaCha8" && name != "ChaCha8" },
}

// file is a parsed source file and the folder of its package.
type file struct {
	folder string
	*ast.File
}

// sources parses every file of the module that is not a test.
func sources(t *testing.T) (files []file) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		folder, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			if nameless(f.Name.Name) {
				t.Errorf("%s: a package is named for what it holds, not %s", path, f.Name.Name)
			}
			if _, known := allowed[folder]; !known {
				t.Errorf("folder %s is in no layer: add it to the table", folder)
			}
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, file{folder, f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("found %d source files: is this the module's root?", len(files))
	}
	return files
}

func TestTree(t *testing.T) {
	for _, f := range sources(t) {
		for _, fault := range faults(f) {
			t.Errorf("%s/%s: %s", f.folder, f.Name.Name, fault)
		}
	}
}

// nameless reports whether a package's name says nothing about it.
func nameless(name string) bool {
	return slices.Contains([]string{"util", "utils", "common", "types", "helper", "helpers", "misc"}, strings.TrimSuffix(name, "_test"))
}

// faults lists the rules that f breaks.
func faults(f file) (found []string) {
	if nameless(f.Name.Name) {
		found = append(found, "a package is named for what it holds, not "+f.Name.Name)
	}
	may, known := allowed[f.folder]
	if !known {
		return append(found, "folder "+f.folder+" is in no layer: add it to the table")
	}
	names := make(map[string]string) // local name of each import
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			panic(err) // the parser has read it
		}
		names[localName(i, path)] = path
		if own, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(may, "*") && !slices.Contains(may, own) {
			found = append(found, "must not import "+own)
		}
		if slices.Contains(pure, f.folder) && !pureImport(f.folder, path) {
			found = append(found, "pure, but imports "+path)
		}
		if slices.Contains(pure, f.folder) && localName(i, path) == "." {
			found = append(found, "pure, but hides by a dot what it uses of "+path)
		}
	}
	if slices.Contains(pure, f.folder) {
		found = append(found, impurities(f, names)...)
	}
	return found
}

// pureImport reports whether a pure package in folder may import path.
func pureImport(folder, path string) bool {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == "math/rand/v2", strings.HasPrefix(path, module+"/"):
		return true // what it uses of them is checked elsewhere
	case path == "net/netip":
		return true // addresses as values, nothing that reaches outside
	case strings.Contains(first, "."):
		return slices.Contains(pureModules[folder], path)
	default:
		return !slices.ContainsFunc(impure, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
	}
}

func localName(i *ast.ImportSpec, path string) string {
	if i.Name != nil {
		return i.Name.Name
	}
	return strings.TrimSuffix(path, "/v2")[strings.LastIndex(strings.TrimSuffix(path, "/v2"), "/")+1:]
}

func impurities(f file, names map[string]string) (found []string) {
	ast.Inspect(f.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "pure, but starts a goroutine")
		case *ast.ChanType:
			found = append(found, "pure, but has a channel")
		case *ast.SelectStmt:
			found = append(found, "pure, but selects")
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok && (x.Name == "print" || x.Name == "println") {
				found = append(found, "pure, but calls "+x.Name)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if bad, ok := impureCalls[names[x.Name]]; ok && bad(n.Sel.Name) {
					found = append(found, fmt.Sprintf("pure, but uses %s.%s", x.Name, n.Sel.Name))
				}
			}
		}
		return true
	})
	return found
}

// Each rule must be able to fail.
func TestFaults_AreFound(t *testing.T) {
	for _, c := range []struct{ folder, source, want string }{
		{"wire", `package wire; import _ "github.com/proctornet/proctor/bls"`, "must not import bls"},
		{"gossip", `package gossip; import _ "github.com/proctornet/proctor/store"`, "must not import store"},
		{"engine", `package engine; import _ "github.com/proctornet/proctor/metrics"`, "must not import metrics"},
		{"engine", `package engine; import _ "net/http"`, "pure, but imports net/http"},
		{"uptime", `package uptime; import _ "net"`, "pure, but imports net"},
		{"uptime", `package uptime; import _ "github.com/proctornet/proctor/quorum"`, "must not import quorum"},
		{"quorum", `package quorum; import _ "github.com/proctornet/proctor/state"`, "must not import state"},
		{"quorum", `package quorum; import "math/rand/v2"; var _ = rand.IntN(2)`, "pure, but uses rand.IntN"},
		{"state", `package state; import _ "github.com/proctornet/proctor/quorum"`, "must not import quorum"},
		{"config", `package config; import _ "github.com/proctornet/proctor/node"`, "must not import node"},
		{"engine", `package engine; import _ "log/slog"`, "pure, but imports log/slog"},
		{"bls", `package bls; import _ "crypto/rand"`, "pure, but imports crypto/rand"},
		{"bls", `package bls; import (_ "os/exec"; _ "fmt")`, "pure, but imports os/exec"},
		{"bls", `package bls; import "math/rand"`, "pure, but imports math/rand"},
		{"wire", `package wire; import "C"`, "pure, but imports C"},
		{"wire", `package wire; import "github.com/supranational/blst/bindings/go"`, "pure, but imports github.com/supranational/blst/bindings/go"},
		{"state", `package state; import "hash/maphash"`, "pure, but imports hash/maphash"},
		{"chain", `package chain; import . "time"; var _ = Now()`, "pure, but hides by a dot what it uses of time"},
		{"chain", `package chain; import "crypto/ed25519"; var _, _, _ = ed25519.GenerateKey(nil)`, "pure, but uses ed25519.GenerateKey"},
		{"chain", `package chain; import "fmt"; func f() { fmt.Println() }`, "pure, but uses fmt.Println"},
		{"chain", `package chain; func f() { println() }`, "pure, but calls println"},
		{"chain", `package chain; import "time"; func f() { time.Sleep(1) }`, "pure, but uses time.Sleep"},
		{"state", `package state; type t struct{ c <-chan int }`, "pure, but has a channel"},
		{"testnet", `package testnet; import _ "github.com/proctornet/proctor/cmd/node"`, "must not import cmd/node"},
		{"api", `package api; import _ "github.com/proctornet/proctor/gossip"`, "must not import gossip"},
		{"validation/verify", `package verify; import _ "github.com/proctornet/proctor/store"`, "must not import store"},
		{"validation", `package validation; import _ "github.com/proctornet/proctor/validation/verify"`, "must not import validation/verify"},
		{"bls", `package bls; import "math/rand/v2"; var _ = rand.Uint64()`, "pure, but uses rand.Uint64"},
		{"chain", `package chain; import "time"; var _ = time.Now()`, "pure, but uses time.Now"},
		{"chain", `package chain; import clock "time"; var _ = clock.Since`, "pure, but uses clock.Since"},
		{"state", `package state; func f() { go f() }`, "pure, but starts a goroutine"},
		{"state", `package state; var _ chan int`, "pure, but has a channel"},
		{"state", `package state; func f() { select {} }`, "pure, but selects"},
		{"state", `package util`, "a package is named for what it holds, not util"},
		{"attic", `package attic`, "folder attic is in no layer: add it to the table"},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", c.source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := faults(file{c.folder, f}); !slices.Contains(got, c.want) {
			t.Errorf("%s: faults %q, want %q", c.source, got, c.want)
		}
	}
	harmless := `package bls; import ("fmt"; "math/rand/v2"; _ "net/netip"; "time"; blst "github.com/supranational/blst/bindings/go"); ` +
		`var _ = rand.NewChaCha8; const _ = time.Second; var _ = fmt.Sprint; var _ blst.Scalar`
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", harmless, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if got := faults(file{"bls", f}); len(got) > 0 {
		t.Errorf("%s: faults %q, want none", harmless, got)
	}
}
