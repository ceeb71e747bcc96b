package testnet

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/deploy"
	"github.com/proctornet/proctor/params"
)

// Sizes of a network in containers, in nodes. Fewer have no majority to lose
// one of; more have not been tried.
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

// ContainerOptions of a network whose nodes run in containers.
type ContainerOptions struct {
	Nodes    int           // MinContainers to MaxContainers
	Evonodes int           // of them; none, or as many as make a platform quorum
	Seed     uint64        // keys follow from it
	Profile  string        // rule profile
	Slot     time.Duration // length of a slot, chain.MinSlot to chain.MaxSlot
	Dir      string        // an empty or missing directory
}

// Check reports what is wrong with o.
func (o ContainerOptions) Check() error {
	if o.Nodes < MinContainers || o.Nodes > MaxContainers {
		return fmt.Errorf("%d nodes, want %d to %d", o.Nodes, MinContainers, MaxContainers)
	}
	if o.Evonodes < 0 || o.Evonodes > o.Nodes {
		return fmt.Errorf("%d evonodes of %d nodes, want 0 to %d", o.Evonodes, o.Nodes, o.Nodes)
	}
	if _, err := params.SmallPlatformQuorum(o.Evonodes); err != nil && o.Evonodes > 0 {
		return fmt.Errorf("%w, or none", err)
	}
	if o.Slot < chain.MinSlot || o.Slot > chain.MaxSlot || o.Slot%time.Millisecond != 0 {
		return fmt.Errorf("a slot of %s, want %s to %s in whole milliseconds", o.Slot, chain.MinSlot, chain.MaxSlot)
	}
	if _, err := params.ProfileByName(o.Profile); err != nil {
		return err
	}
	return checkEmpty(o.Dir)
}

// Containers is a network written for containers.
type Containers struct {
	*Network
	Files deploy.Network // what the files around the nodes' directories say
}

// WriteContainers makes a network that begins now and writes all that running
// it in containers takes: the genesis, a directory for each node with keys,
// configuration, and an empty data directory, and the files of package deploy.
// All belongs to the user that the containers run as: whoever calls this, or
// deploy.ImageUser if root does.
func WriteContainers(o ContainerOptions) (*Containers, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("testnet: %w", err)
	}
	n, err := NewNetwork(Options{
		Nodes: o.Nodes, Regular: o.Nodes - o.Evonodes, Seed: o.Seed, Profile: o.Profile, Slot: o.Slot, Now: time.Now(), Apart: true,
		Authorities: min(maxAuthors, o.Nodes),
	})
	if err != nil {
		return nil, err
	}
	c := &Containers{Network: n}
	if c.Files, err = n.containerFiles(o); err != nil {
		return nil, err
	}
	if err := c.write(o.Dir); err != nil {
		return nil, fmt.Errorf("testnet: write a network to %s: %w", o.Dir, err)
	}
	return c, nil
}

// containerFiles says what is written around the nodes' directories.
func (n *Network) containerFiles(o ContainerOptions) (f deploy.Network, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return f, err
	}
	network, err := params.NetworkByName(n.Genesis.Network)
	if err != nil {
		return f, err
	}
	profile, err := params.ProfileByName(o.Profile)
	if err != nil {
		return f, err
	}
	f = deploy.Network{
		Project: "proctor-" + n.Genesis.Hash().Short(), Profile: o.Profile, Slot: o.Slot,
		ProofValidity: network.Service(profile).ProofValidity, MetricsPort: MetricsPort,
		PrometheusPort: ports[0], GrafanaPort: ports[1],
	}
	f.User, f.Group = containerUser()
	for _, q := range n.Genesis.LLMQs {
		f.Threshold = q.Threshold
	}
	for _, m := range n.Members {
		f.Nodes = append(f.Nodes, deploy.Node{Name: m.Name, ProTxHash: m.ProTxHash.String(), Evo: m.Evo})
	}
	return f, nil
}

func (c *Containers) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, GenesisFile), c.Genesis, 0o644); err != nil {
		return err
	}
	for i, m := range c.Members {
		if err := c.writeContainer(filepath.Join(dir, m.Name), i); err != nil {
			return err
		}
	}
	if err := deploy.Write(dir, c.Files); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	return give(dir, c.Files.User, c.Files.Group)
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
	return deploy.ImageUser, deploy.ImageUser
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
