// Package testnet makes networks for demonstrations and tests: genesis and
// keys, a prepared history, clusters of real nodes in one process, peers that
// misbehave, and the story that `proctor demo` tells. Every key it makes
// follows from a seed and is worth nothing.
package testnet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// Options of a network.
type Options struct {
	Nodes   int           // in all
	Regular int           // of them regular masternodes; the others are evonodes
	Seed    uint64        // keys and hashes follow from it
	Profile string        // rule profile
	Slot    time.Duration // length of a slot
	History int32         // slots that lie in the past when the network starts
	Now     time.Time     // when the network starts

	// Authorities is how many of the first nodes make blocks; default 1.
	Authorities int
	// NoBrake lets any number of nodes be decommissioned at once.
	NoBrake bool
	// NoQuorums leaves long-living quorums out; default: the platform type runs
	// where there are enough evonodes. Making a quorum's key costs time.
	NoQuorums bool
	// Unannounced evonodes, the last registered ones, have no address in the
	// genesis.
	Unannounced int
	// Unregistered members, the last ones, are not in the genesis. Their
	// ProTxHash is that of their registration, see Network.Joining.
	Unregistered int
	// Platforms gives every evonode a platform endpoint, where a PlatformService
	// may listen.
	Platforms bool
	// Apart gives every node a machine of its own, a container say, that is
	// reached by the node's name; default: all share this machine.
	Apart bool
}

// maxAuthors is how many nodes make blocks in a network that people run: three
// of four make one final, so that one may be away.
const maxAuthors = 4

// Network is a genesis and everything secret that belongs to it.
type Network struct {
	Genesis chain.Genesis
	Members []Member

	start uint64 // slot the network starts in
}

// Member is a service node of the network and its keys.
type Member struct {
	Name      string
	ProTxHash wire.Hash
	Evo       bool
	Service   ed25519.PrivateKey
	Operator  bls.SecretKey
	Staker    ed25519.PrivateKey // owns the node's stake, and as much again
	Host      string             // multiaddress of its machine
	Port      int                // of the node there, TCP and UDP
	APIPort   int                // of its operator's commands, on the loopback interface
	Platform  string             // endpoint of its platform service; "" if it has none

	Announced []string // multiaddresses in its uptime proofs; at first where it is reached
}

// NewNetwork makes a network. Ports on this machine are free when it returns.
func NewNetwork(o Options) (*Network, error) {
	if o.Authorities == 0 {
		o.Authorities = 1
	}
	n := &Network{Genesis: chain.Genesis{
		Network:    "devnet",
		Profile:    o.Profile,
		Time:       o.Now.Add(-time.Duration(o.History) * o.Slot).UTC().Truncate(time.Millisecond),
		SlotMillis: o.Slot.Milliseconds(),
		NoBrake:    o.NoBrake,

		StakingRequirement: StakingRequirement,
	}}
	n.start = n.Genesis.SlotAt(o.Now)
	for i := range o.Nodes {
		n.Members = append(n.Members, newMember(o, i))
	}
	if err := settle(n.Members, o); err != nil {
		return nil, err
	}
	for i, m := range n.Members {
		n.Members[i].Announced = m.Addresses()
	}
	evonodes := 0
	registered := o.Nodes - o.Unregistered
	for i, m := range n.Members {
		n.Genesis.Grants = append(n.Genesis.Grants, chain.Grant{Staker: m.stakerKey(), Amount: 2 * StakingRequirement})
		if i >= registered {
			continue
		}
		node := chain.GenesisNode{
			Name:        m.Name,
			ProTxHash:   m.ProTxHash,
			Evo:         m.Evo,
			OperatorKey: wire.OperatorKey(m.Operator.PublicKey().Bytes()),
			ServiceKey:  m.serviceKey(),
			Stakes:      []chain.Grant{{Staker: m.stakerKey(), Amount: StakingRequirement}},
		}
		if i < registered-o.Unannounced {
			node.Addresses = m.Addresses()
		}
		node.Platform = m.Platform
		n.Genesis.Nodes = append(n.Genesis.Nodes, node)
		if m.Evo {
			evonodes++
		}
	}
	for _, m := range n.Members[:o.Authorities] {
		n.Genesis.Authorities = append(n.Genesis.Authorities, m.ProTxHash)
	}
	if llmq, err := params.SmallPlatformQuorum(evonodes); err == nil && !o.NoQuorums { // else they are too few
		n.Genesis.LLMQs = []chain.GenesisLLMQ{{Type: llmq.Type, Size: llmq.Size, Threshold: llmq.Threshold}}
	}
	for i := registered; i < o.Nodes; i++ { // now that the genesis has its hash
		n.Members[i].ProTxHash = n.Joining(n.Members[i]).ProTxHash()
	}
	return n, nil
}

// newMember numbers regular nodes and evonodes apart: regular-1, evo-1.
func newMember(o Options, i int) Member {
	m := Member{Name: fmt.Sprintf("regular-%d", i+1), Evo: i >= o.Regular}
	if m.Evo {
		m.Name = fmt.Sprintf("evo-%d", i-o.Regular+1)
	}
	seed := secret(o.Seed, "service", i)
	m.Service = ed25519.NewKeyFromSeed(seed[:])
	m.Operator = bls.GenerateSecretKey(secret(o.Seed, "operator", i))
	seed = secret(o.Seed, "staker", i)
	m.Staker = ed25519.NewKeyFromSeed(seed[:])
	m.ProTxHash = hash(o.Seed, "protx", i)
	return m
}

func (m Member) serviceKey() wire.ServiceKey {
	return wire.ServiceKey(m.Service.Public().(ed25519.PublicKey))
}

// Addresses is where the member is reached.
func (m Member) Addresses() []string {
	return []string{
		fmt.Sprintf("%s/udp/%d/quic-v1", m.Host, m.Port),
		fmt.Sprintf("%s/tcp/%d", m.Host, m.Port),
	}
}

// Named returns a member by its name.
func (n *Network) Named(name string) (int, Member) {
	i := slices.IndexFunc(n.Members, func(m Member) bool { return m.Name == name })
	return i, n.Members[i]
}

// secret derives test keys. The label makes plain what they are.
func secret(seed uint64, role string, i int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "proctor PUBLIC TEST KEY %d %s %d", seed, role, i))
}

func hash(seed uint64, what string, i int) wire.Hash {
	return wire.DoubleHash([]byte("proctor test "+what), binary.BigEndian.AppendUint64(nil, seed), []byte{byte(i >> 8), byte(i)})
}

// Ports of a node that has a machine to itself.
const (
	P2PPort     = 19850
	APIPort     = 9465
	MetricsPort = 9464

	PlatformPort = 26656 // of a platform service
)

// settle gives the members their places.
func settle(members []Member, o Options) error {
	if o.Apart {
		for i := range members {
			m := &members[i]
			m.Host, m.Port, m.APIPort = "/dns4/"+m.Name, P2PPort, APIPort
			m.settlePlatform(o, m.Name, PlatformPort)
		}
		return nil
	}
	ports, err := freePorts(3 * len(members))
	if err != nil {
		return err
	}
	for i := range members {
		m := &members[i]
		m.Host, m.Port, m.APIPort = "/ip4/127.0.0.1", ports[3*i], ports[3*i+1]
		m.settlePlatform(o, "127.0.0.1", ports[3*i+2])
	}
	return nil
}

// The ports that networks listen on lie below those that systems give to
// outgoing connections: a port that is found free stays so until it is used.
const (
	lowestPort = 10_000
	portRange  = 20_000
)

// freePorts finds n ports that are free for TCP and UDP on 127.0.0.1, from a
// random one upwards, as other networks may be looking at the same time. All
// are held until all are found.
func freePorts(n int) (ports []int, err error) {
	first := rand.IntN(portRange)
	for i := 0; i < portRange && len(ports) < n; i++ {
		port := lowestPort + (first+i)%portRange
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close()
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		defer c.Close()
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("testnet: found %d free ports of %d to %d, want %d", len(ports), lowestPort, lowestPort+portRange-1, n)
	}
	return ports, nil
}
