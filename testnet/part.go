package testnet

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// parting says which links of a cluster are cut.
type parting struct {
	mu   sync.Mutex
	side map[peer.ID]bool // of each member while the network is parted
}

func (p *parting) cuts(a, b peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, member := p.side[a]
	y, too := p.side[b]
	return member && too && x != y
}

func (p *parting) set(side map[peer.ID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.side = side
}

// Part cuts every link between the first n members and the others.
func (c *Cluster) Part(n int) {
	side := make(map[peer.ID]bool)
	for i, m := range c.Members {
		side[m.AddrInfo().ID] = i < n
	}
	c.parting.set(side)
	for _, i := range c.Running() {
		c.Node(i).Gossip().Sever()
	}
}

// Heal mends the links that Part cut. Nobody is told: whoever wants a
// connection again has to dial.
func (c *Cluster) Heal() { c.parting.set(nil) }
