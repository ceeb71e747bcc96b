package testnet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/config"
)

// Names of the files that every node of a network shares.
const (
	GenesisFile = "genesis.json"
	ConfigFile  = "proctor.toml" // in each node's own directory
)

// WriteFiles writes what `proctor run --config NODE/proctor.toml` needs for
// each node: its key and configuration, and the shared genesis.
func (c *Cluster) WriteFiles() error {
	if err := writeJSON(filepath.Join(c.Dir, GenesisFile), c.Genesis, 0o644); err != nil {
		return err
	}
	for i, m := range c.Members {
		if err := m.writeKeys(c.NodeDir(i)); err != nil {
			return err
		}
		text, err := c.nodeConfig(i).Encode()
		if err != nil {
			return fmt.Errorf("testnet: configuration of %s: %w", m.Name, err)
		}
		if err := os.WriteFile(filepath.Join(c.NodeDir(i), ConfigFile), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeKeys writes the files of the keys that a node of m needs.
func (m Member) writeKeys(dir string) error {
	if err := config.WriteServiceKey(filepath.Join(dir, "service.key"), m.Service); err != nil {
		return err
	}
	return config.WriteOperatorKey(filepath.Join(dir, "operator.key"), m.Operator)
}

// nodeConfig is the configuration of member i on a machine that all share.
func (n *Network) nodeConfig(i int) config.Config {
	m, f := n.Members[i], config.Default()
	f.Network = n.Genesis.Network
	f.Genesis = filepath.Join("..", GenesisFile)
	f.ProTxHash = m.ProTxHash.String()
	f.P2P.Listen = m.Addresses()
	f.API.Listen = fmt.Sprintf("127.0.0.1:%d", m.APIPort)
	f.Metrics.Listen = "127.0.0.1:0"
	for _, p := range n.neighbours(i) {
		addrs, err := peer.AddrInfoToP2pAddrs(&p)
		if err != nil {
			panic(err) // a member's identity encodes
		}
		for _, a := range addrs {
			f.P2P.Bootstrap = append(f.P2P.Bootstrap, a.String())
		}
	}
	return f
}

func writeJSON(path string, v any, mode os.FileMode) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("testnet: %s: %w", path, err)
	}
	return os.WriteFile(path, append(b, '\n'), mode)
}
