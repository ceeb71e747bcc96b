package config

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// maxAddresses bounds each list of multiaddresses.
const maxAddresses = 64

// check finds what is wrong without opening anything. Errors name the key.
func (c Config) check() error {
	if _, err := params.NetworkByName(c.Network); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	for _, s := range Settings() {
		if s.path && !s.none && s.Value(&c) == "" {
			return fmt.Errorf("%s is empty: %s", s.Key, s.Help)
		}
		if s.list != nil && len(*s.list(&c)) > maxAddresses {
			return fmt.Errorf("%s has %d entries, at most %d", s.Key, len(*s.list(&c)), maxAddresses)
		}
	}
	if _, err := c.Node(); err != nil {
		return err
	}
	if len(c.P2P.Listen) == 0 {
		return fmt.Errorf("p2p.listen is empty: name at least one multiaddress")
	}
	for key, addresses := range map[string][]string{"p2p.listen": c.P2P.Listen, "p2p.announce": c.P2P.Announce} {
		for _, a := range addresses {
			if _, err := multiaddr.NewMultiaddr(a); err != nil {
				return fmt.Errorf("%s: %q is no multiaddress such as /ip4/127.0.0.1/tcp/19850: %w", key, a, err)
			}
		}
	}
	if _, err := c.Peers(); err != nil {
		return err
	}
	for key, listen := range map[string]string{"metrics.listen": c.Metrics.Listen, "api.listen": c.API.Listen} {
		if listen == "" {
			continue
		}
		_, port, err := net.SplitHostPort(listen)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%s: %q is not host:port with a port of 0 to 65535: %w", key, listen, err)
		}
	}
	if known := []string{Enforce, DryRun}; !slices.Contains(known, c.Penalties) {
		return fmt.Errorf("penalties: %.80q is unknown; known: %s", c.Penalties, strings.Join(known, ", "))
	}
	if _, err := c.LogLevel(); err != nil {
		return err
	}
	if formats := []string{"text", "json"}; !slices.Contains(formats, c.Log.Format) {
		return fmt.Errorf("log.format: %q is unknown; known: %s", c.Log.Format, strings.Join(formats, ", "))
	}
	return nil
}

// Node returns the service node this is; the zero hash for an observer.
func (c Config) Node() (wire.Hash, error) {
	if c.ProTxHash == "" {
		return wire.Hash{}, nil
	}
	h, err := wire.ParseHash(c.ProTxHash)
	if err != nil {
		return h, fmt.Errorf("protx_hash: %w", err)
	}
	return h, nil
}

// Operator reads the operator key of the service node this is, which must be
// the registered one if the node is in the genesis. It reports false for a
// node that never votes: an observer, or one without an operator_key.
func (c Config) Operator(g chain.Genesis) (key bls.SecretKey, votes bool, err error) {
	node, err := c.Node()
	if err != nil || node.IsZero() || c.OperatorKey == "" {
		return bls.SecretKey{}, false, err
	}
	if key, err = ReadOperatorKey(c.OperatorKey); err != nil {
		return bls.SecretKey{}, false, err
	}
	public := wire.OperatorKey(key.PublicKey().Bytes())
	i := slices.IndexFunc(g.Nodes, func(n chain.GenesisNode) bool { return n.ProTxHash == node })
	if i >= 0 && g.Nodes[i].OperatorKey != public {
		return bls.SecretKey{}, false, fmt.Errorf("operator key: %s holds the key of %s, but service node %s is registered with %s", c.OperatorKey, public, node, g.Nodes[i].OperatorKey)
	}
	return key, true, nil
}

// Peers returns the bootstrap peers, one entry for all addresses of a peer.
func (c Config) Peers() ([]peer.AddrInfo, error) {
	var addrs []multiaddr.Multiaddr
	for _, text := range c.P2P.Bootstrap {
		a, err := multiaddr.NewMultiaddr(text)
		if err == nil {
			_, err = peer.AddrInfoFromP2pAddr(a)
		}
		if err != nil {
			return nil, fmt.Errorf("p2p.bootstrap: %q is no multiaddress that ends in /p2p/ID: %w", text, err)
		}
		addrs = append(addrs, a)
	}
	return peer.AddrInfosFromP2pAddrs(addrs...)
}

// LogLevel returns the lowest level that is logged.
func (c Config) LogLevel() (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[c.Log.Level]
	if !ok {
		return 0, fmt.Errorf("log.level: %q is unknown; known: debug, info, warn, error", c.Log.Level)
	}
	return level, nil
}
