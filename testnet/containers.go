package testnet

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/params"
)

// Sizes of a network in containers, in nodes. Fewer make no platform quorum;
// more have not been tried.
const (
	MinContainers = 4
	MaxContainers = 100
)

// What a container sees, beside its node's directory (deploy/compose.yaml): the
// genesis, read-only, and a directory of its own to write to.
const (
	containerGenesis = "/" + GenesisFile
	containerDataDir = "/data"
)

// ComposeFile, in the directory of a network in containers, sets the variables
// of deploy/compose.yaml.
const ComposeFile = "compose.env"

// ImageUser is the user and group that our image runs as.
const ImageUser = 65532

// ContainerOptions of a network whose nodes run in containers.
type ContainerOptions struct {
	Nodes   int           // evonodes, MinContainers to MaxContainers
	Seed    uint64        // keys follow from it
	Profile string        // rule profile
	Slot    time.Duration // length of a slot, chain.MinSlot to chain.MaxSlot
	Dir     string        // an empty or missing directory
}

// Check reports what is wrong with o.
func (o ContainerOptions) Check() error {
	if o.Nodes < MinContainers || o.Nodes > MaxContainers {
		return fmt.Errorf("%d nodes, want %d to %d", o.Nodes, MinContainers, MaxContainers)
	}
	if o.Slot < chain.MinSlot || o.Slot > chain.MaxSlot || o.Slot%time.Millisecond != 0 {
		return fmt.Errorf("a slot of %s, want %s to %s in whole milliseconds", o.Slot, chain.MinSlot, chain.MaxSlot)
	}
	if _, err := params.ProfileByName(o.Profile); err != nil {
		return err
	}
	if strings.ContainsAny(o.Dir, "'\n") { // it will stand in quotes
		return fmt.Errorf("directory %q: compose reads no path with a quote or a line break in it", o.Dir)
	}
	return checkEmpty(o.Dir)
}

// WriteContainers makes a network that begins now and writes what its
// containers mount: the genesis, and a directory for each node with key,
// configuration, and an empty data directory. All belongs to the user that the
// containers run as: whoever calls this, or ImageUser if root does.
func WriteContainers(o ContainerOptions) (*Network, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("testnet: %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("testnet: %w", err)
	}
	n, err := NewNetwork(Options{
		Nodes: o.Nodes, Seed: o.Seed, Profile: o.Profile, Slot: o.Slot, Now: time.Now(), Apart: true,
		Authorities: min(maxAuthors, o.Nodes),
	})
	if err != nil {
		return nil, err
	}
	if err := n.writeContainers(dir); err != nil {
		return nil, fmt.Errorf("testnet: write a network to %s: %w", dir, err)
	}
	return n, nil
}

func (n *Network) writeContainers(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, GenesisFile), n.Genesis, 0o644); err != nil {
		return err
	}
	for i, m := range n.Members {
		if err := n.writeContainer(filepath.Join(dir, m.Name), i); err != nil {
			return err
		}
	}
	uid, gid := containerUser()
	if err := os.WriteFile(filepath.Join(dir, ComposeFile), composeEnv(dir, uid, gid), 0o644); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	return give(dir, uid, gid)
}

// writeContainer writes the directory of member i.
func (n *Network) writeContainer(dir string, i int) error {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return err
	}
	if err := n.Members[i].writeKeys(dir); err != nil {
		return err
	}
	text, err := n.containerConfig(i).Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ConfigFile), text, 0o600)
}

// containerConfig is the configuration of member i in its container, where
// paths are the container's. Metrics are for the other containers; commands are
// not.
func (n *Network) containerConfig(i int) config.Config {
	f := n.nodeConfig(i)
	f.Genesis = containerGenesis
	f.DataDir = path.Join(containerDataDir, "db") // which holds the database and nothing else
	f.API.Cookie = path.Join(containerDataDir, "api.cookie")
	f.P2P.Listen = config.Default().P2P.Listen
	f.Metrics.Listen = fmt.Sprintf("0.0.0.0:%d", MetricsPort)
	return f
}

// containerUser is whom the containers run as: never root.
func containerUser() (uid, gid int) {
	if uid = os.Getuid(); uid > 0 {
		return uid, os.Getgid()
	}
	return ImageUser, ImageUser
}

// composeEnv is the file that tells compose where the network lies and whose
// it is. Quotes keep what compose would replace in a path.
func composeEnv(dir string, uid, gid int) []byte {
	return fmt.Appendf(nil, "COMPOSE_PROJECT_NAME=proctor\nNETWORK_DIR='%s'\nNETWORK_USER=%d:%d\n", dir, uid, gid)
}

// give makes dir and all below it the user's.
func give(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}
