// Package deploy holds the files by which nodes run in containers: those that
// every network gets as they are, and templates of those that are its own. It
// writes them, and runs such a network on the container engine of the machine.
package deploy

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// Files of a network, in its directory, by which it is run.
const (
	ComposeFile = "compose.yaml"
	EnvFile     = ".env" // variables of compose.yaml
)

// Images, unless .env names others. The version of Prometheus is Debian's,
// which is the one that deploy/check.sh runs.
const (
	NodeImage       = "proctor:local"
	PrometheusImage = "prom/prometheus:v2.42.0"
	GrafanaImage    = "grafana/grafana:10.4.19"
)

// ImageUser is the user and group that our image runs as.
const ImageUser = 65532

//go:embed all:cluster
var files embed.FS

// templateSuffix ends the names of files that are rendered.
const templateSuffix = ".tmpl"

// Node is a node in a container, which other containers reach by its name.
type Node struct {
	Name, ProTxHash string
	Evo             bool
}

// Network is what the files of one network say.
type Network struct {
	Project       string // of compose: first part of the names of containers
	Nodes         []Node
	Profile       string
	Slot          time.Duration
	ProofValidity int32 // blocks
	Threshold     int   // members that sign a platform ban; 0 without platform quorum
	MetricsPort   int   // of each node in its container
	User, Group   int   // whose the files are, and whom nodes run as

	PrometheusPort, GrafanaPort int // on 127.0.0.1
}

// Names of images, for templates.
func (Network) NodeImage() string       { return NodeImage }
func (Network) PrometheusImage() string { return PrometheusImage }
func (Network) GrafanaImage() string    { return GrafanaImage }

// Evonodes counts the evonodes.
func (n Network) Evonodes() int { return len(n.evonodes()) }

func (n Network) evonodes() (evo []Node) {
	for _, m := range n.Nodes {
		if m.Evo {
			evo = append(evo, m)
		}
	}
	return evo
}

// Target is the evonode that examples ban, Askers the members that ask for it.
func (n Network) Target() Node   { evo := n.evonodes(); return evo[len(evo)-1] }
func (n Network) Askers() []Node { return n.evonodes()[:n.Threshold] }

// Paused is the node that examples stop: it makes no platform quorum if any
// does not.
func (n Network) Paused() Node {
	paused := n.Nodes[len(n.Nodes)-1]
	for _, m := range n.Nodes {
		if !m.Evo {
			paused = m
		}
	}
	return paused
}

// Watched is a node that examples leave alone.
func (n Network) Watched() Node {
	if evo := n.evonodes(); len(evo) > 0 {
		return evo[0]
	}
	return n.Nodes[0]
}

// silentBlocks is about what passes until a node is decommissioned, after its
// last proof has become stale: testers wait, and some slots are empty if it is
// an author.
const silentBlocks = 30

// SilentFor is how long a node must be paused until it is decommissioned.
func (n Network) SilentFor() time.Duration {
	return time.Duration(n.ProofValidity+silentBlocks) * n.Slot
}

// Write writes the files of a network around its nodes' directories.
func Write(dir string, n Network) error {
	return fs.WalkDir(files, "cluster", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, "cluster"), "/")
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		if plain, ok := strings.CutSuffix(name, templateSuffix); ok {
			if text, err = render(name, string(text), n); err != nil {
				return err
			}
			name = plain
		}
		return os.WriteFile(filepath.Join(dir, name), text, 0o644)
	})
}

func render(name, text string, n Network) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, n); err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	return b.Bytes(), nil
}
